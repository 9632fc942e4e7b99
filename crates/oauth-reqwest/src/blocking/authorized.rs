//! A client for resource servers, without `async`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{Api, Clock, Event, OnRateLimit, Resource, Step};

use super::Driver;
use crate::authorized::{OnWait, Outgoing, PreparedRequest};
use crate::error_mapping;
use crate::peek::peek_blocking;
use oauth_session::blocking::wait;
use oauth_session::{Sources, Token, TokenSource};

/// Reads up to `limit` bytes of a reply: these, and the reply with its whole body. For hosts that answer [`Step::Peek`]
/// without [`Authorized`].
///
/// If the body cannot be read, no bytes are returned, and the caller gets the error when it reads the body.
pub fn peek(
    response: reqwest::blocking::Response,
    limit: usize,
) -> (Vec<u8>, reqwest::blocking::Response) {
    peek_blocking(response, limit)
}

/// A client for a resource server, with its source of tokens. Cheap to clone; clones share what is known about its
/// limits.
///
/// The blocking form of [`crate::Authorized`], which has an example with two owners and a limit.
#[derive(Clone)]
pub struct Authorized {
    driver: Driver,
    sources: Sources,
    api: Api,
    on_rate_limit: OnRateLimit,
    on_wait: Option<OnWait>,
}

impl Authorized {
    /// A client for the origins of `resource`, with tokens of `source`.
    ///
    /// The driver may differ from the source's, with its own proxies, certificates and limits.
    pub fn new(driver: Driver, source: impl TokenSource + 'static, resource: Resource) -> Self {
        Self::with_api(driver, Sources::one(source), Api::new(resource))
    }

    /// A client for an API, with the token of its route's owner for each request.
    ///
    /// # Errors
    /// `resource.no_token_source` if there are two sources, and the API has one kind of route.
    pub fn with_sources(driver: Driver, sources: Sources, api: Api) -> Result<Self, Error> {
        let api = api.with_owners(sources.owners())?;
        Ok(Self::with_api(driver, sources, api))
    }

    fn with_api(driver: Driver, sources: Sources, api: Api) -> Self {
        Self {
            driver,
            sources,
            api,
            on_rate_limit: OnRateLimit::default(),
            on_wait: None,
        }
    }

    /// Sets what to do if the API asks for a pause, unless a request says otherwise.
    #[must_use]
    pub fn on_rate_limit(mut self, on_rate_limit: OnRateLimit) -> Self {
        self.on_rate_limit = on_rate_limit;
        self
    }

    /// Calls `hook` with each pause before it is waited for, to show it to a user.
    #[must_use]
    pub fn on_wait(mut self, hook: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.on_wait = Some(Arc::new(hook));
        self
    }

    /// A `GET` request.
    pub fn get(&self, url: &str) -> Request<'_> {
        self.request(Method::GET, url)
    }

    /// A `POST` request.
    pub fn post(&self, url: &str) -> Request<'_> {
        self.request(Method::POST, url)
    }

    /// A request. An invalid URL is reported when it is sent.
    pub fn request(&self, method: Method, url: &str) -> Request<'_> {
        Request {
            us: self,
            outgoing: Outgoing::new(&self.api, self.on_rate_limit, method, url),
        }
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("driver", &self.driver)
            .field("sources", &self.sources)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// A request that has not been sent yet.
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    us: &'a Authorized,
    outgoing: Outgoing<reqwest::blocking::Body>,
}

impl fmt::Debug for Request<'_> {
    /// Shows no header fields, because they may contain the caller's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// Adds a header field. A request that already has an `Authorization` is refused.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.outgoing = self.outgoing.header(name, value);
        self
    }

    /// Sets a body that can be sent again after a 401 or a 429.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.outgoing = self.outgoing.body(body.into());
        self
    }

    /// Sets a body that is read as it is sent. It cannot be sent again, so a 401 is returned, and a 429 is an error;
    /// the token that a 401 refused is dropped, and the next request fetches another.
    pub fn body_stream(mut self, body: impl Into<reqwest::blocking::Body>) -> Self {
        self.outgoing = self.outgoing.stream(body.into());
        self
    }

    /// Sets what to do if the API asks for a pause.
    pub fn on_rate_limit(mut self, on_rate_limit: OnRateLimit) -> Self {
        self.outgoing = self.outgoing.on_rate_limit(on_rate_limit);
        self
    }

    /// Sets how long the request may take up to the head of the reply, including sending the body, instead of
    /// [`Options::timeout`](crate::Options::timeout). It then applies to each read of the body. Pauses are not part of
    /// it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.outgoing.timeout = Some(limit);
        self
    }

    /// Sends the request, and returns the reply regardless of its status; its body streams.
    ///
    /// A 401 about the token is answered once with a new token, if the body can be sent again. Up to 20
    /// redirects are followed within the origin: those of `GET` and `HEAD`, and a 307 or 308 of any method whose body
    /// can be sent again. All others are returned. A 429, and a 503 that names a pause, are an error with that pause,
    /// unless [`on_rate_limit`](Self::on_rate_limit) says to wait or to return them.
    ///
    /// # Errors
    /// `url.*`, `resource.origin_not_allowed`, `resource.no_token_source` and
    /// `resource.route_ambiguous` before anything is sent; `resource.rate_limited`; `token.*` for a request that
    /// already carries a token; `lost`; and the errors of [`TokenSource::token`].
    pub fn send(self) -> Result<reqwest::blocking::Response, Error> {
        let Self { us, mut outgoing } = self;
        let (mut tokens, mut response): (Option<Token>, Option<reqwest::blocking::Response>) =
            (None, None);
        let mut step = outgoing.request.resume(&Clock::system()?, Event::Begin)?;
        loop {
            step = match step {
                Step::Wait(pause) => {
                    // The connection is free for others in the meantime.
                    response = None;
                    if let Some(hook) = &us.on_wait {
                        hook(pause);
                    }
                    std::thread::sleep(pause);
                    outgoing.request.resume(&Clock::system()?, Event::Elapsed)?
                }
                Step::Token(owner) => {
                    let result = wait(us.sources.for_owner(owner)?.token(None))?;
                    outgoing.attach(&mut tokens, result)?
                }
                Step::Renew(owner) => {
                    let source = us.sources.for_owner(owner)?;
                    if tokens.is_none() {
                        source.refused_without_token();
                    }
                    let result = wait(source.token(tokens.as_deref()))?;
                    outgoing.attach(&mut tokens, result)?
                }
                Step::Sign(job) => {
                    let signature = us.driver.sign(job).map_err(Error::lost)?;
                    let event = Event::Signed(signature);
                    outgoing.request.resume(&Clock::system()?, event)?
                }
                Step::Send {
                    url,
                    authorization,
                    dpop,
                } => {
                    let request = match outgoing.pack(&url, authorization, dpop)? {
                        PreparedRequest::Bytes(request) => request.try_into(),
                        PreparedRequest::Stream(request) => request.try_into(),
                    };
                    let request =
                        request.map_err(|error| Error::lost(error_mapping::lost(error)))?;
                    let sent = us.driver.call(request, outgoing.timeout);
                    let sent = sent.map_err(|cause| Error::lost(cause).at_origin(&url.origin()));
                    let reply = response.insert(sent?);
                    let event = Event::Reply(reply.status(), reply.headers());
                    outgoing.request.resume(&Clock::system()?, event)?
                }
                Step::Peek(limit) => {
                    let reply = response.take().ok_or(Misuse::OutOfOrder)?;
                    let (head, reply) = peek(reply, limit);
                    response = Some(reply);
                    let event = Event::Body(&head);
                    outgoing.request.resume(&Clock::system()?, event)?
                }
                end @ (Step::Done | Step::DoneRefused) => {
                    let source = us.sources.for_owner(outgoing.request.owner()?)?;
                    match (end, &tokens) {
                        (Step::DoneRefused, Some(token)) => source.refuse(token),
                        (Step::DoneRefused, None) => source.refused_without_token(),
                        _ => {}
                    }
                    let reply = response.as_ref();
                    let retry = reply.and_then(|r| outgoing.step_up_retry(r.status(), r.headers()));
                    if let (Some(token), Some((step_up, again))) = (&tokens, retry)
                        && wait(source.step_up(token, &step_up))??.is_some()
                    {
                        // The connection is free for others in the meantime.
                        response = None;
                        outgoing.request = again;
                        outgoing.request.resume(&Clock::system()?, Event::Begin)?
                    } else {
                        return response.ok_or_else(|| Misuse::OutOfOrder.into());
                    }
                }
            };
        }
    }
}
