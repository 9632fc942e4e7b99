//! The steps that a request to an API asks of its host, and the events that the host reports back.

use std::time::Duration;

use crate::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;

use super::TokenOwner;
use crate::error::Error;
use crate::exchange::SigningJob;
use crate::token::Tokens;
use crate::url::Url;

/// How a pause that the API requires is handled: a 429, a 503 that names one, or an allowance that is
/// used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRateLimit {
    /// End with `resource.rate_limited`, whose advice contains the pause. While it lasts, other
    /// requests end the same way without being sent.
    #[default]
    Error,
    /// Wait and send again, in the order in which the requests were made, and fail only if the pauses of this request
    /// together would be longer than this.
    Wait {
        /// The longest wait.
        longest: Duration,
    },
    /// Return the reply to the caller as it is, and delay no other request.
    Pass,
}

/// The next task of the host.
#[derive(Debug)]
pub enum Step {
    /// Wait, then report [`Event::Elapsed`].
    Wait(Duration),
    /// Get a token of this owner; report the result with [`Event::Token`], or [`Event::NoToken`].
    Token(TokenOwner),
    /// Get a token to replace the last one, which was refused; report the result with [`Event::Token`]. If no token was
    /// sent, an API that had required no authorization does now: notify the source, then request a token from it.
    Renew(TokenOwner),
    /// Sign this for the proof of possession, with a key held by the host; report the result with [`Event::Signed`], or
    /// drop the request if there is no signature.
    Sign(SigningJob),
    /// Send the request to this URL with these header fields, without following redirects; report the result with
    /// [`Event::Reply`], or drop the request if there is no reply.
    Send {
        /// The URL to which the request is sent.
        url: Url,
        /// The value of `Authorization`; `None` for an API that requires no authorization.
        authorization: Option<HeaderValue>,
        /// The value of `DPoP`, if the token is bound to a key.
        dpop: Option<HeaderValue>,
    },
    /// Read the reply's body up to this many bytes, or to its end if that comes first, and report the result with
    /// [`Event::Body`]; keep the part that was read readable for the caller. A host that cannot do that passes an empty
    /// body.
    Peek(usize),
    /// Return the last reply to the caller.
    Done,
    /// Return the last reply to the caller, and notify the source that the refused token is no longer valid.
    DoneRefused,
}

/// The result of a task.
#[derive(Debug)]
pub enum Event<'a> {
    /// The first event.
    Begin,
    /// The pause has ended.
    Elapsed,
    /// The requested token.
    Token(&'a Tokens),
    /// There is no token, for this reason. If the API requires no authorization (`connect.not_protected`), the request
    /// is sent without one; otherwise the error is returned unchanged.
    NoToken(Error),
    /// The requested signature, in the form of JWS (RFC 7518 section 3).
    Signed(Bytes),
    /// The head of the reply.
    Reply(StatusCode, &'a HeaderMap),
    /// The beginning of the reply's body.
    Body(&'a [u8]),
}
