//! The sans-IO contract of [`Exchange`]: each call of `resume` takes an input and returns a step. Authors of drivers
//! need to read only this file. (The token exchange of RFC 8693 is in `grant/token_exchange.rs`.)
//!
//! Requests that are repeated, as with a DPoP nonce, are further steps of the same exchange: `call.rs`.

mod compose;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::http::HeaderName;
use crate::http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, RETRY_AFTER, WWW_AUTHENTICATE};
use bytes::Bytes;

use crate::error::{Cause, Error};
use crate::jose::PublicJwk;
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;

pub use compose::{Boxed, ExchangeExt};
pub(crate) use compose::{OnceOnly, Ready, host_step};

/// The header fields that exchanges of this crate read from a reply; a host may omit all others.
pub const READ: [HeaderName; 7] = [
    CACHE_CONTROL,
    CONTENT_TYPE,
    DATE,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    HeaderName::from_static("dpop-nonce"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The field of this list with this name; letter case is ignored.
pub fn field_named(name: &[u8], fields: &[HeaderName]) -> Option<HeaderName> {
    let mut fields = fields.iter();
    fields
        .find(|field| name.eq_ignore_ascii_case(field.as_ref()))
        .cloned()
}

/// An exchange with an authorization server, as a value.
///
/// Each call takes the last event and returns the next action. An exchange opens no socket, reads no clock and draws no
/// randomness: equal state, moment and input always give an equal step.
pub trait Exchange {
    /// The result of the exchange.
    type Output;

    /// Processes one input and returns the next step.
    ///
    /// [`Input::Begin`] comes first; each later input reports the result of the step before it.
    ///
    /// # Errors
    /// `misuse.out_of_order` for an input that does not belong to the step before it, and `misuse.already_finished` for
    /// any call after [`Step::Done`] or an error. All other errors depend on the exchange; see [`Error::code`].
    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Self::Output>, Error>;
}

/// The next action of the driver.
///
/// Exhaustive on purpose: a driver that does not know a step must fail to compile.
#[must_use]
pub enum Step<T> {
    /// Send this request once, and follow no redirect. Report the result with [`Input::Reply`] or [`Input::Lost`]. The
    /// request's extensions may contain a [`SendBy`], and a
    /// [`RequestAddressPolicy`](crate::address::RequestAddressPolicy) if a server or document supplied the URL.
    Send(crate::http::Request<Bytes>),
    /// Wait this long. Answer with [`Input::Elapsed`].
    Sleep(Duration),
    /// Sign this with a key of the host. Answer with [`Input::Signed`] or
    /// [`Input::Lost`].
    Sign(SigningJob),
    /// Run this check: the core implements no cryptographic algorithms. Answer with [`Input::Verified`] or
    /// [`Input::Lost`]; `oauth_crypto::verify` does it in this process, `crypto.subtle` in a browser.
    Verify(VerificationJob),
    /// The exchange has ended.
    Done(T),
}

/// The time after which a request must not be sent, in the request's extensions.
///
/// A driver that queues requests compares it with the clock just before sending. If the time has passed, it reports an
/// unsent [`Input::Lost`], because another worker may already be sending the same refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendBy(pub UnixTime);

/// The event that the driver reports.
pub enum Input {
    /// The first input of every exchange.
    Begin,
    /// The server responded, with at most 1 MiB of body.
    Reply(crate::http::Response<Bytes>),
    /// No response arrived, no signature was made, or the response was too large to read.
    Lost(Cause),
    /// The pause has ended.
    Elapsed,
    /// The signature, in the form JWS uses for its algorithm (RFC 7518 section 3).
    Signed(Bytes),
    /// Whether the signature or hash is valid.
    Verified(bool),
}

/// Bytes to be signed with a key of the host (WebCrypto, KMS, HSM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningJob {
    /// The host's name for the key.
    pub key_id: String,
    /// The JWS algorithm (RFC 7518 section 3.1), such as `ES256`.
    pub alg: &'static str,
    /// The JWS signing input (RFC 7515 section 5.1): two base64url strings and a dot.
    pub signing_input: Bytes,
    /// What the host has attached to the key, if anything: see
    /// [`SigningKey::held_by`](crate::crypto::SigningKey::held_by).
    pub holder: Option<Holder>,
}

/// A value that a host attaches to its key, such as the object that signs. This crate returns it unchanged and never
/// reads it.
#[derive(Clone)]
pub struct Holder(Arc<dyn Any + Send + Sync>);

impl Holder {
    /// Wraps this value.
    pub fn new<T: Any + Send + Sync>(holder: T) -> Self {
        Self(Arc::new(holder))
    }

    /// The wrapped value, if it is of this type.
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Holder {}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holder")
    }
}

/// A cryptographic check, which the host runs.
#[derive(Clone)]
pub enum VerificationJob {
    /// Verify a signature.
    Signature {
        /// The JWS algorithm (RFC 7518 section 3.1), such as `RS256`.
        alg: &'static str,
        /// The key with which to verify it.
        key: VerificationKey,
        /// The JWS signing input (RFC 7515 section 5.2): two base64url strings and a dot.
        signing_input: Bytes,
        /// The signature, in the form of JWS (RFC 7518 section 3).
        signature: Bytes,
    },
    /// Verify that a claim is the left half of a value's hash, in base64url (OpenID Connect Core section 3.1.3.6).
    HalfHash {
        /// `SHA-256`, `SHA-384` or `SHA-512`.
        hash: &'static str,
        /// What is hashed: an access token, a code or a state.
        value: Secret<String>,
        /// The value of the claim.
        half: String,
    },
}

/// The key that verifies a signature.
#[derive(Clone)]
#[non_exhaustive]
pub enum VerificationKey {
    /// The signer's public key.
    Public(Arc<PublicJwk>),
    /// The octets of a shared secret (the client secret); never a key from a key set.
    Secret(Secret<Vec<u8>>),
}

impl fmt::Debug for VerificationJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature { alg, .. } => {
                let mut debug = f.debug_struct("Signature");
                debug.field("alg", alg).finish_non_exhaustive()
            }
            Self::HalfHash { hash, .. } => {
                let mut debug = f.debug_struct("HalfHash");
                debug.field("hash", hash).finish_non_exhaustive()
            }
        }
    }
}

impl<T> fmt::Debug for Step<T> {
    /// Shows the method, the URL without its query, and the header names; no header value, body or output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(request) => f
                .debug_struct("Send")
                .field("method", request.method())
                .field("url", &format_args!("{}", without_query(request.uri())))
                .field("headers", &request.headers().keys().collect::<Vec<_>>())
                .field("body_bytes", &request.body().len())
                .finish(),
            Self::Sleep(pause) => f.debug_tuple("Sleep").field(pause).finish(),
            Self::Sign(job) => f
                .debug_struct("Sign")
                .field("alg", &job.alg)
                .finish_non_exhaustive(),
            Self::Verify(job) => f.debug_tuple("Verify").field(job).finish(),
            Self::Done(_) => f.write_str("Done(..)"),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => f.write_str("Begin"),
            Self::Reply(reply) => f
                .debug_struct("Reply")
                .field("status", &reply.status())
                .field("body_bytes", &reply.body().len())
                .finish_non_exhaustive(),
            Self::Lost(cause) => f.debug_tuple("Lost").field(cause).finish(),
            Self::Elapsed => f.write_str("Elapsed"),
            Self::Signed(_) => f.write_str("Signed(..)"),
            Self::Verified(is_valid) => f.debug_tuple("Verified").field(is_valid).finish(),
        }
    }
}

fn without_query(uri: &crate::http::Uri) -> String {
    let mut text = uri.to_string();
    text.truncate(text.find('?').unwrap_or(text.len()));
    text
}
