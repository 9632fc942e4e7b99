//! Code shared by the methods that authenticate with a JWT. The claims and the audience of each are in `assertion.rs`
//! (keys) and `signed_secret.rs` (secrets).
//!
//! The methods implement a trait, so that a build without them, such as that of a web page, does not contain their
//! code.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::client_id::ClientId;
use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::http::{Request, Response};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::server::Server;
use crate::url::Url;

/// `client_assertion_type` of a JWT (RFC 7523 section 2.2).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// [`JWT_BEARER`] as it is written into a form.
pub(super) const JWT_BEARER_ENCODED: &str =
    "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// A client authentication method that presents a JWT with each request.
pub(crate) trait ClientJwt: fmt::Debug + Send + Sync {
    /// The registered name of the method.
    fn name(&self) -> &'static str;

    /// The JWT of a request, or what must be signed for it.
    ///
    /// # Errors
    /// The reason why the JWT cannot be made.
    fn make(&self, facts: &RequestFacts<'_>) -> Result<ClientJwtOutcome<'_>, Error>;

    /// Reads the JWT from the response to a [`ClientJwtOutcome::Remote`] request.
    ///
    /// # Errors
    /// The reason why the response contains no JWT.
    fn received(&self, _: &RequestFacts<'_>, _: &Response<Bytes>) -> Result<Secret<String>, Error> {
        Err(Misuse::OutOfOrder.into())
    }

    /// Writes the JWT into the request.
    fn write(&self, client_id: (&str, &str), jwt: &str, form: &mut Form);

    /// The secret that the client shares with the server.
    fn secret(&self) -> Option<&str> {
        None
    }

    /// Checks that the method can be used at this server.
    ///
    /// # Errors
    /// The reason why the method cannot be used at this server.
    fn check(&self, _: &Server) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the audience of the JWT is the issuer of the server (RFC 10070 section 4).
    fn audience_is_issuer(&self) -> bool;

    /// The client's own key, if it has one that the server knows.
    fn key(&self) -> Option<&SigningKey> {
        None
    }

    /// The issuer of the JWT: a JWT of another issuer may be replaced at any time.
    fn origin(&self) -> Origin {
        Origin::Own
    }
}

/// The issuer of the JWTs of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This client.
    Own,
    /// Another issuer, which replaces them before they expire.
    Foreign,
}

/// The request for which a JWT is made.
pub(crate) struct RequestFacts<'a> {
    pub(crate) server: &'a Server,
    pub(crate) client_id: &'a ClientId,
    pub(crate) url: &'a Url,
    pub(crate) at: &'a Moment,
}

/// The JWT for a request, or the next step to obtain it.
pub(crate) enum ClientJwtOutcome<'a> {
    /// The JWT.
    Ready(Secret<String>),
    /// The input that this key has to sign.
    Unsigned(Cow<'a, SigningKey>, String),
    /// The request for the JWT, to another server.
    #[cfg_attr(
        all(feature = "js", target_family = "wasm"),
        expect(dead_code, reason = "a browser page makes no such request")
    )]
    Remote(Box<Request<Bytes>>, Remote),
}

/// A request to another server for the JWT. A browser page cannot make one, so its build leaves this code out.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
#[derive(Debug)]
pub(crate) struct Remote(());
#[cfg(all(feature = "js", target_family = "wasm"))]
#[derive(Debug)]
pub(crate) enum Remote {}

impl ClientJwtOutcome<'_> {
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[allow(clippy::unnecessary_wraps)] // the version for browser pages fails
    pub(super) const fn remote(request: Box<Request<Bytes>>) -> Result<Self, Error> {
        Ok(Self::Remote(request, Remote(())))
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    pub(super) fn remote(_: Box<Request<Bytes>>) -> Result<Self, Error> {
        Err(Misuse::Setup.into())
    }
}
