//! A client for resource servers: it attaches the token, renews it after a 401, and never takes it
//! to another origin.

#[doc(hidden)]
pub mod trip;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use oauth_core::error::Error;
use oauth_core::flow::resource::{self, Resource, Verdict};
use oauth_core::moment::UnixTime;
use oauth_core::retry_after;

use crate::driver::Driver;
use crate::reply;
use oauth_session::TokenSource;
use trip::{Leg, Parcel, Trip};

/// A resource server, and the token it wants. Cheap to clone.
#[derive(Clone)]
pub struct Authorized {
    driver: Driver,
    source: Arc<dyn TokenSource>,
    resource: Resource,
}

impl Authorized {
    /// Requests to the origins of `resource`, with tokens of `source`.
    ///
    /// The driver may be another than the source's: proxies, certificates and limits are its own.
    pub fn new(driver: Driver, source: impl TokenSource + 'static, resource: Resource) -> Self {
        Self {
            driver,
            source: Arc::new(source),
            resource,
        }
    }

    /// A `GET` request.
    pub fn get(&self, url: &str) -> Request<'_> {
        self.request(Method::GET, url)
    }

    /// A `POST` request.
    pub fn post(&self, url: &str) -> Request<'_> {
        self.request(Method::POST, url)
    }

    /// A request. What is wrong with the URL is told when it is sent.
    pub fn request(&self, method: Method, url: &str) -> Request<'_> {
        Request {
            us: self,
            trip: Trip::new(&self.resource, method, url),
            timeout: None,
        }
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("driver", &self.driver)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// A request that is not sent yet.
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    us: &'a Authorized,
    trip: Trip<reqwest::Body>,
    timeout: Option<Duration>,
}

impl fmt::Debug for Request<'_> {
    /// Its fields may be secrets of the caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl Request<'_> {
    /// Adds a header field. `Authorization` is not yours to set: the request is then refused.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.trip.header(name, value);
        self
    }

    /// Sets a body that can be sent once more after a 401.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.trip.body(body.into());
        self
    }

    /// Sets a body that is sent as it is made. It cannot be sent again, so a 401 is handed back;
    /// the token it refused is forgotten all the same, and the next request fetches another.
    pub fn body_stream(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.trip.stream(body.into());
        self
    }

    /// How long the head of the reply may take, the sending of the body included, instead of
    /// [`Options::timeout`](crate::Options::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Sends the request, and gives back the reply whatever its status; its body streams.
    ///
    /// A 401 that speaks of the token is answered once with a new token, if the body can be sent
    /// again. Up to ten redirects of `GET` and `HEAD` are followed within the origin; all others
    /// are handed back. A 429 is handed back too: see [`ResponseExt`] for what a reply asks for.
    ///
    /// # Errors
    /// `url.*` and `resource.origin_not_allowed` before anything is sent; `token.*` for a request
    /// that carries a token already; `lost`; and the errors of [`TokenSource::token`].
    pub async fn send(mut self) -> Result<reqwest::Response, Error> {
        self.trip.check()?;
        let Authorized { driver, source, .. } = self.us;
        let mut tokens = source.token(None).await?;
        loop {
            let request = match self.trip.pack(&tokens)? {
                Parcel::Bytes(request) => request.try_into(),
                Parcel::Stream(request) => request.try_into(),
            };
            let request = request.map_err(|error| Error::lost(reply::lost(error)))?;
            let response = driver
                .call(request, self.timeout)
                .await
                .map_err(Error::lost)?;
            match self.trip.after(response.status(), response.headers()) {
                Leg::Over => return Ok(response),
                Leg::OverAndDead => {
                    source.refuse(&tokens);
                    return Ok(response);
                }
                Leg::Renew => tokens = source.token(Some(&tokens)).await?,
                Leg::Follow => {}
            }
        }
    }
}

/// What a resource server's reply asks for.
pub trait ResponseExt {
    /// What it says about the token. After [`Request::send`], [`Verdict::Renew`] means that a new
    /// token was refused as well, or that the body could not be sent again.
    fn verdict(&self) -> Verdict;

    /// The pause it asks for (`Retry-After`, `X-RateLimit-Reset`), at most five minutes.
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
    resource::after(status, headers)
}

fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let now = UnixTime::system().ok()?;
    retry_after::limit(status, headers, now, retry_after::CAP)
}
