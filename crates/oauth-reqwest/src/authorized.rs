//! [`Authorized`]: a client for resource servers, which attaches the token, renews it after a 401, respects the rate
//! limits, and never sends the token to another origin. Retries and redirects are decided in oauth-core
//! (`flow/resource/request.rs`).

mod outgoing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{self, Api, Clock, Event, OnRateLimit, Resource, Step, Verdict};
use oauth_core::moment::UnixTime;
use oauth_core::retry_after;

use crate::driver::Driver;
use crate::error_mapping;
use crate::peek;
use oauth_session::{Sources, Token, TokenSource};

pub(crate) use outgoing::{Outgoing, PreparedRequest};

/// A hook that is called with each pause before it is waited for.
pub(crate) type OnWait = Arc<dyn Fn(Duration) + Send + Sync>;

/// A client for a resource server, with its source of tokens. Cheap to clone; clones share what is known about its
/// limits.
///
/// An API whose routes belong to two owners gets two sources, and each request the token of its route; on request, it
/// waits if the API must not be called that often:
///
/// ```no_run
/// use std::time::Duration;
///
/// use oauth_core::Error;
/// use oauth_core::flow::resource::{Allowance, Api, OnRateLimit, Resource, Routes};
/// use oauth_reqwest::oauth_session::{FixedToken, Sources};
/// use oauth_reqwest::{Authorized, Driver, reqwest};
///
/// # async fn page() -> Result<(), Error> {
/// let driver = Driver::new(reqwest::Client::builder())?;
/// // A provider of `oauth-providers` has all of this: `provider("socios")?.api()?`.
/// let api = Api::new(Resource::new(["https://api.example"])?)
///     .with_routes(Routes::user_segments(["user"]))
///     .keeping(Allowance::new(10, 60));
/// let sources = Sources::application(FixedToken::from_env("APP_TOKEN"))
///     .with_user(FixedToken::from_file("ann.token"));
/// let api = Authorized::with_sources(driver, sources, api)?
///     .on_rate_limit(OnRateLimit::Wait { longest: Duration::from_secs(300) })
///     .on_wait(|pause| eprintln!("the API asks to wait {} s", pause.as_secs()));
/// let polls = api.get("https://api.example/user/polls").send().await?;
/// # Ok(())
/// # }
/// ```
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

    pub(crate) fn with_api(driver: Driver, sources: Sources, api: Api) -> Self {
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
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// A `POST` request.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    /// A request. An invalid URL is reported when it is sent.
    pub fn request(&self, method: Method, url: &str) -> Request {
        Request {
            us: self.clone(),
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
pub struct Request {
    us: Authorized,
    outgoing: Outgoing<reqwest::Body>,
}

impl fmt::Debug for Request {
    /// Shows no header fields, because they may contain the caller's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Request {
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

    /// Sets a body that is sent as it is made. It cannot be sent again, so a 401 is returned, and a 429 is an error;
    /// the token that a 401 refused is dropped, and the next request fetches another.
    pub fn body_stream(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.outgoing = self.outgoing.stream(body.into());
        self
    }

    /// Sets what to do if the API asks for a pause.
    pub fn on_rate_limit(mut self, on_rate_limit: OnRateLimit) -> Self {
        self.outgoing = self.outgoing.on_rate_limit(on_rate_limit);
        self
    }

    /// Sets how long the request may take up to the head of the reply, including sending the body, instead of
    /// [`Options::timeout`](crate::Options::timeout). Pauses are not part of it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.outgoing.timeout = Some(limit);
        self
    }

    /// Sends the request, and returns the reply, regardless of its status; its body streams.
    ///
    /// It is sent when the future is polled, but it takes its place in the queue for the API's limits with this call.
    ///
    /// A 401 about the token is answered once with a new token, if the body can be sent again; so is a reply that
    /// matches the API's [`ExpiredTokenReply`](resource::ExpiredTokenReply)s. Up to 20 redirects are followed within
    /// the origin: those of `GET` and `HEAD`, and a 307 or 308 of any method whose body can be sent again. All others
    /// are returned. A 429, and a 503 that names a pause, are an error with that pause, unless
    /// [`on_rate_limit`](Self::on_rate_limit) says to wait or to return them.
    ///
    /// # Errors
    /// `url.*`, `resource.origin_not_allowed`, `resource.no_token_source` and
    /// `resource.route_ambiguous` before anything is sent; `resource.rate_limited`; `token.*` for a request that
    /// already carries a token; `lost`; and the errors of [`TokenSource::token`].
    pub fn send(mut self) -> impl Future<Output = Result<reqwest::Response, Error>> + Send {
        let begun = Clock::system().and_then(|at| self.outgoing.request.resume(&at, Event::Begin));
        self.advance(begun)
    }

    async fn advance(self, begun: Result<Step, Error>) -> Result<reqwest::Response, Error> {
        let Self { us, mut outgoing } = self;
        let (mut tokens, mut response): (Option<Token>, Option<reqwest::Response>) = (None, None);
        let mut step = begun?;
        loop {
            step = match step {
                Step::Wait(pause) => {
                    // The connection is free for others in the meantime.
                    response = None;
                    if let Some(hook) = &us.on_wait {
                        hook(pause);
                    }
                    tokio::time::sleep(pause).await;
                    outgoing.request.resume(&Clock::system()?, Event::Elapsed)?
                }
                Step::Token(owner) => {
                    let result = us.sources.for_owner(owner)?.token(None).await;
                    outgoing.attach(&mut tokens, result)?
                }
                Step::Renew(owner) => {
                    let source = us.sources.for_owner(owner)?;
                    if tokens.is_none() {
                        source.refused_without_token();
                    }
                    let result = source.token(tokens.as_deref()).await;
                    outgoing.attach(&mut tokens, result)?
                }
                Step::Sign(job) => {
                    let signature = us.driver.sign(job).await.map_err(Error::lost)?;
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
                    let sent = us.driver.call(request, outgoing.timeout).await;
                    let sent = sent.map_err(|cause| Error::lost(cause).at_origin(&url.origin()));
                    let reply = response.insert(sent?);
                    let event = Event::Reply(reply.status(), reply.headers());
                    outgoing.request.resume(&Clock::system()?, event)?
                }
                Step::Peek(limit) => {
                    let timeout = outgoing.timeout.unwrap_or(us.driver.timeout());
                    let reply = response.take().ok_or(Misuse::OutOfOrder)?;
                    let (head, reply) = peek::peek(reply, limit, timeout).await;
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
                        && source.step_up(token, &step_up).await?.is_some()
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

/// Reads the requirements of a resource server's reply.
pub trait ResponseExt {
    /// The verdict about the token. After [`Request::send`], [`Verdict::Renew`] means that a new
    /// token was refused as well, or that the body could not be sent again.
    fn verdict(&self) -> Verdict;

    /// The pause that the reply asks for (`Retry-After`, `X-RateLimit-Reset`), at most five minutes.
    fn retry_after(&self) -> Option<Duration>;
}

impl ResponseExt for reqwest::Response {
    fn verdict(&self) -> Verdict {
        verdict(self.status(), self.headers())
    }

    fn retry_after(&self) -> Option<Duration> {
        pause(self.status(), self.headers())
    }
}

#[cfg(feature = "blocking")]
impl ResponseExt for reqwest::blocking::Response {
    fn verdict(&self) -> Verdict {
        verdict(self.status(), self.headers())
    }

    fn retry_after(&self) -> Option<Duration> {
        pause(self.status(), self.headers())
    }
}

fn verdict(status: StatusCode, headers: &HeaderMap) -> Verdict {
    resource::verdict(status, headers)
}

fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let now = UnixTime::system().ok()?;
    retry_after::limit(status, headers, now, retry_after::CAP)
}
