//! The steps and events between a request to an API and its host.

use std::time::Duration;

use crate::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;

use super::TokenFor;
use crate::error::Error;
use crate::exchange::SigningJob;
use crate::token::Tokens;
use crate::url::Url;

/// What to do where the API asks for a pause: a 429, a 503 that names one, or an allowance that is
/// used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// End with `resource.rate_limited`, whose advice holds the pause. While it lasts, other
    /// requests end the same way without being sent.
    #[default]
    Fail,
    /// Wait and send again, in the order of asking, and fail only where all pauses of this request
    /// together would be longer than this.
    Wait {
        /// The longest wait.
        longest: Duration,
    },
    /// Hand the reply to the caller as it is, and delay no other request.
    HandBack,
}

/// What the host has to do next.
#[derive(Debug)]
pub enum Step {
    /// Wait; answer with [`Event::Elapsed`].
    Wait(Duration),
    /// Get a token of this owner; answer with [`Event::Token`], or with [`Event::NoToken`].
    Token(TokenFor),
    /// Get a token in place of the last one, which was refused; answer with [`Event::Token`]. If there was none, then an API
    /// that had asked for no authorization does now: tell the source, and ask it.
    Renew(TokenFor),
    /// Sign this for the proof of proof_maker, with a key that lives with the host; answer with
    /// [`Event::Signed`], or drop the request if there is no signature.
    Sign(SigningJob),
    /// Send the request to this URL with these header fields, without following redirects; answer with
    /// [`Event::Reply`], or drop the request if there is none.
    Send {
        /// Where to.
        url: Url,
        /// The value of `Authorization`; none at an API that asks for no authorization.
        authorization: Option<HeaderValue>,
        /// The value of `DPoP`, where the token is bound to a key.
        dpop: Option<HeaderValue>,
    },
    /// Read the reply's body up to this many bytes, or to its end if that comes first, and answer with
    /// [`Event::Body`]; what was read stays the caller's. A host that cannot do that answers with nothing.
    Peek(usize),
    /// The last reply is the caller's.
    Done,
    /// The last reply is the caller's, and the token that it refused is dead: tell the source.
    DoneRefused,
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// Comes first.
    Begin,
    /// The pause has elapsed.
    Elapsed,
    /// The token that was asked for.
    Token(&'a Tokens),
    /// There is no token, and this is why. If the API asks for no authorization (`connect.not_protected`), the request
    /// goes without; otherwise the error comes back as it is.
    NoToken(Error),
    /// The signature that was asked for, as JWS has it (RFC 7518 section 3).
    Signed(Bytes),
    /// The head of the reply.
    Reply(StatusCode, &'a HeaderMap),
    /// The beginning of its body.
    Body(&'a [u8]),
}
