//! A request to a protected resource, as a state machine: waits for the rate limiter, asks for a token, renews it once
//! after a 401 or another reply by which the API reports its end, repeats once with a DPoP nonce, follows redirects
//! within the origin, and observes the pause of a 429 or 503. The `Authorization` header, and which characters a token
//! may contain (RFC 6750 section 2.1), are in `flow/resource.rs`.
//!
//! The host keeps the request itself, because its body may be a stream; this type decides what the host does next. The
//! loop of a host is always the same:
//!
//! ```
//! # use std::time::Duration;
//! # use http::{HeaderMap, Method, StatusCode};
//! # use oauth_core::flow::resource::{Api, Clock, Event, OnRateLimit, Resource, ResourceRequest, Step};
//! # use oauth_core::{Error, Tokens};
//! # fn clock() -> Clock { Clock { moment: oauth_core::Moment::without_randomness(oauth_core::moment::UnixTime::from_secs(0)), elapsed: Duration::ZERO } }
//! # fn source(refused: Option<&Tokens>) -> Result<Tokens, Error> { assert!(refused.is_none()); Ok(Tokens::bearer("t")) }
//! # fn http(url: &str, token: Option<&http::HeaderValue>) -> (StatusCode, HeaderMap) { assert!(token.is_some_and(http::HeaderValue::is_sensitive) && !url.is_empty()); (StatusCode::OK, HeaderMap::new()) }
//! # fn forget(_: &Tokens) {}
//! # fn sleep(_: Duration) {}
//! let api = Api::new(Resource::new(["https://api.example"])?);
//! let mut request = ResourceRequest::new(&api, Method::GET, "https://api.example/things")
//!     .on_rate_limit(OnRateLimit::Wait { longest: Duration::from_secs(60) });
//! let (mut tokens, mut reply) = (None, None);
//! let mut step = request.resume(&clock(), Event::Begin)?;
//! let reply = loop {
//!     step = match step {
//!         Step::Wait(pause) => {
//!             sleep(pause);
//!             request.resume(&clock(), Event::Elapsed)?
//!         }
//!         Step::Token(_owner) => {
//!             let fresh = tokens.insert(source(None)?);
//!             request.resume(&clock(), Event::Token(fresh))?
//!         }
//!         Step::Renew(_owner) => {
//!             let fresh = source(tokens.as_ref())?;
//!             request.resume(&clock(), Event::Token(tokens.insert(fresh)))?
//!         }
//!         // Only of an API with [`ExpiredTokenReply`](super::ExpiredTokenReply)s: the body's beginning, which stays the caller's.
//!         Step::Peek(_limit) => request.resume(&clock(), Event::Body(b""))?,
//!         // Only of an API with a DPoP key that lives with the host.
//!         Step::Sign(_job) => unreachable!(),
//!         Step::Send { url, authorization, dpop: _ } => {
//!             let (status, headers) = http(url.as_str(), authorization.as_ref());
//!             let reply = reply.insert((status, headers));
//!             request.resume(&clock(), Event::Reply(reply.0, &reply.1))?
//!         }
//!         Step::Done => break reply,
//!         Step::DoneRefused => {
//!             tokens.iter().for_each(forget);
//!             break reply;
//!         }
//!     };
//! };
//! assert!(reply.is_some());
//! # Ok::<(), Error>(())
//! ```

mod retry;
mod retry_after_step_up;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use bytes::Bytes;

use super::TokenOwner;
use super::api::Api;
use super::limiter::{Clock, Queueing, Ticket};
use super::proof_maker::{ProofStep, UnsignedProof};
use super::step::{Event, OnRateLimit, Step};
use crate::call::Retry;
use crate::dpop;
use crate::error::{Error, Kind, Misuse, ServerError};
use crate::moment::UnixTime;
use crate::token::{self, TokenType, Tokens};
use crate::url::{Url, without_fragment};

/// How many redirects are followed, as by `fetch` (Fetch, HTTP-redirect fetch).
const MAX_HOPS: u8 = 20;

/// One request to a protected resource: everything but a streamed body.
pub struct ResourceRequest {
    api: Api,
    method: Method,
    url: Result<Url, Error>,
    headers: HeaderMap,
    body: Body,
    on_rate_limit: OnRateLimit,
    follows: bool,
    state: State,
    ticket: Option<Ticket>,
    waited: Duration,
    hops: u8,
    is_renewed: bool,
    /// How the token was presented last.
    presented: TokenPresentation,
    /// The `iat` of the last proof.
    proved_at: UnixTime,
    nonce: Retry,
    clock: Retry,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenPresentation {
    /// Not at all: the API requires no authorization.
    Not,
    AsBearer,
    WithProof,
}

enum Body {
    /// A body that can be sent again.
    Bytes(Bytes),
    /// A body that can be sent only once.
    Stream,
    Gone,
}

enum State {
    New,
    /// Waiting for its turn; `is_refused`: its previous token was refused.
    Queued {
        is_refused: bool,
    },
    /// Waiting for a token.
    Asking,
    /// Waiting for a signature.
    Signing(Box<Unsent>),
    Sent,
    /// Waiting for the beginning of the body of a reply with this status.
    Peeking(StatusCode),
    Over,
}

/// A request that waits for the host's signature.
struct Unsent {
    url: Url,
    authorization: HeaderValue,
    proof: UnsignedProof,
}

impl ResourceRequest {
    /// Creates a request. An invalid URL is reported by the first call of [`Self::resume`].
    pub fn new(api: &Api, method: Method, url: &str) -> Self {
        Self {
            api: api.clone(),
            method,
            url: Url::parse(without_fragment(url)),
            headers: HeaderMap::new(),
            body: Body::Bytes(Bytes::new()),
            on_rate_limit: OnRateLimit::default(),
            follows: true,
            state: State::New,
            ticket: None,
            waited: Duration::ZERO,
            hops: 0,
            is_renewed: false,
            presented: TokenPresentation::AsBearer,
            proved_at: UnixTime::from_secs(0),
            nonce: Retry::Unused,
            clock: Retry::Unused,
        }
    }

    /// Sets the header fields of the request; those of [`super::READ_BEFORE`] are read.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Adds a header field. An invalid one is reported at the first step.
    pub fn add_header(&mut self, name: &str, value: &str) {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => {
                let refused = Error::from(Misuse::HeaderValue);
                self.url = Err(refused.about(&format!("headers: {name}")));
            }
        }
    }

    /// The header fields of the request.
    pub const fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// The header field of this name, if it is read in replies: a host need not pass the others.
    pub fn field(&self, name: &[u8]) -> Option<HeaderName> {
        self.api.field(name)
    }

    /// Sets a body that can be sent again.
    #[must_use]
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = Body::Bytes(body);
        self
    }

    /// Marks the body as one that can be sent only once: it is sent again neither after a 401 nor after a 429.
    #[must_use]
    pub fn body_once(mut self) -> Self {
        self.body = Body::Stream;
        self
    }

    /// Sets how a rate limit of the API is handled.
    #[must_use]
    pub const fn on_rate_limit(mut self, on_rate_limit: OnRateLimit) -> Self {
        self.on_rate_limit = on_rate_limit;
        self
    }

    /// Leaves redirects to the host, which must not send the token to another origin. One that leads
    /// to a route of another owner is `resource.redirect`.
    #[must_use]
    pub const fn without_redirects(mut self) -> Self {
        self.follows = false;
        self
    }

    /// The method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The body, if it can be sent again.
    pub const fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Stream | Body::Gone => None,
        }
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// Before anything is sent: `url.*`, `resource.*`, `token.*` for a request that already carries a token. After a
    /// reply: `resource.rate_limited`. `misuse.out_of_order` for an event that does not belong to the last step.
    pub fn resume(&mut self, at: &Clock, event: Event<'_>) -> Result<Step, Error> {
        match (std::mem::replace(&mut self.state, State::Over), event) {
            (State::Over, _) => Err(Misuse::Over.into()),
            (State::New, Event::Begin) => {
                let url = self.url.as_ref().map_err(Error::clone)?;
                self.api.resource.check(url)?;
                let owner = self.api.owner(url)?;
                if self.on_rate_limit != OnRateLimit::Pass {
                    self.ticket = Some(self.api.limiter.ticket(url.origin_text()));
                }
                self.queue(at, owner, false)
            }
            (State::Queued { is_refused }, Event::Elapsed) => {
                let owner = self.owner()?;
                self.queue(at, owner, is_refused)
            }
            (State::Asking, Event::Token(tokens)) => self.present(at, tokens),
            (State::Asking, Event::NoToken(reason)) => self.send_without_token(reason),
            (State::Signing(unsent), Event::Signed(signature)) => {
                let proof = unsent.proof.signed(&signature)?;
                self.send(unsent.url, Some(unsent.authorization), Some(proof))
            }
            (State::Sent, Event::Reply(status, headers)) => self.reply(at, status, headers),
            (State::Peeking(status), Event::Body(body)) => self.after_peek(at, status, body),
            (state, _) => {
                self.state = state;
                Err(Misuse::OutOfOrder.into())
            }
        }
    }

    /// The owner of the token that the request needs.
    ///
    /// # Errors
    /// `url.*`, and those of [`Api::owner`].
    pub fn owner(&self) -> Result<TokenOwner, Error> {
        self.api.owner(self.url.as_ref().map_err(Error::clone)?)
    }

    /// Asks for a token if the rate limiter admits the request; otherwise waits, or fails if the
    /// wait would be too long.
    fn queue(&mut self, at: &Clock, owner: TokenOwner, is_refused: bool) -> Result<Step, Error> {
        let queueing = match self.on_rate_limit {
            OnRateLimit::Wait { .. } => Queueing::Waits,
            OnRateLimit::Error | OnRateLimit::Pass => Queueing::None,
        };
        let ticket = self.ticket.as_ref();
        let Some(pause) = ticket.and_then(|ticket| ticket.admit(at.elapsed, queueing)) else {
            self.state = State::Asking;
            return Ok(if is_refused {
                Step::Renew(owner)
            } else {
                Step::Token(owner)
            });
        };
        let longest = match self.on_rate_limit {
            OnRateLimit::Wait { longest } => longest,
            OnRateLimit::Error | OnRateLimit::Pass => Duration::ZERO,
        };
        if self.waited.saturating_add(pause) > longest {
            return Err(self.rate_limit_error(pause, None));
        }
        self.waited += pause;
        self.state = State::Queued { is_refused };
        Ok(Step::Wait(pause))
    }

    /// Puts the token into the request, with a proof if it is bound to a key.
    fn present(&mut self, at: &Clock, tokens: &Tokens) -> Result<Step, Error> {
        let url = self.url.clone()?;
        let body = self.bytes().map(|bytes| &**bytes);
        self.api.resource.may_carry(&url, &self.headers, body)?;
        if let (TokenType::Dpop, Some(proof_maker)) = (&tokens.token_type, self.api.proof_maker()) {
            if self.headers.contains_key(dpop::PROOF_FIELD) {
                return Err(Misuse::TokenTwice.into());
            }
            let token = &tokens.access_token;
            let authorization = token::authorization_header(&TokenType::Dpop, token)?;
            self.presented = TokenPresentation::WithProof;
            self.proved_at = proof_maker.issues_at(&at.moment, &url);
            return match proof_maker.prove(&at.moment, self.method.as_str(), &url, token)? {
                ProofStep::Ready(proof) => self.send(url, Some(authorization), Some(proof)),
                ProofStep::Sign(job, proof) => {
                    self.state = State::Signing(Box::new(Unsent {
                        url,
                        authorization,
                        proof,
                    }));
                    Ok(Step::Sign(job))
                }
            };
        }
        self.presented = TokenPresentation::AsBearer;
        let authorization = super::bearer(tokens.bearer_token()?)?;
        self.send(url, Some(authorization), None)
    }

    /// Sends the request without a token, if the API requires none.
    fn send_without_token(&mut self, reason: Error) -> Result<Step, Error> {
        if !matches!(reason.kind(), Kind::Misuse(Misuse::ConnectOpen)) {
            return Err(reason);
        }
        let url = self.url.clone()?;
        let body = self.bytes().map(|bytes| &**bytes);
        self.api.resource.may_carry(&url, &self.headers, body)?;
        self.presented = TokenPresentation::Not;
        self.send(url, None, None)
    }

    fn send(
        &mut self,
        url: Url,
        authorization: Option<HeaderValue>,
        dpop: Option<HeaderValue>,
    ) -> Result<Step, Error> {
        match self.body {
            Body::Bytes(_) => {}
            Body::Stream => self.body = Body::Gone,
            Body::Gone => return Err(Misuse::Over.into()),
        }
        self.state = State::Sent;
        Ok(Step::Send {
            url,
            authorization,
            dpop,
        })
    }

    fn end_with(&mut self, step: Step) -> Step {
        self.state = State::Over;
        self.ticket = None;
        step
    }

    fn rate_limit_error(&mut self, pause: Duration, status: Option<StatusCode>) -> Error {
        let origin = self
            .ticket
            .as_ref()
            .map(|ticket| ticket.origin().to_owned());
        self.end_with(Step::Done);
        // Rounded up, so that a caller that waits this long is not too early.
        let rounded_up = Duration::from_secs(pause.as_secs() + u64::from(pause.subsec_nanos() > 0));
        let status = status.map(|status| status.as_u16());
        Error::from(ServerError::rate_limited(rounded_up, status))
            .at_origin(&origin.unwrap_or_default())
            .at_endpoint("resource")
    }
}

impl fmt::Debug for ResourceRequest {
    /// Shows no header fields, because they may contain the caller's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceRequest").finish_non_exhaustive()
    }
}
