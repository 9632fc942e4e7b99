//! A driver that runs exchanges against a twin in memory, with a simulated clock.

use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::moment::{Moment, UnixTime};

use crate::clock::Clock;
use crate::twin::{Delivery, Twin};

/// The number of steps after which an exchange counts as an endless loop.
const MAX_STEPS: usize = 10_000;

/// A driver for one [`Twin`], without sockets. Its clock does not advance until an exchange sleeps or
/// [`advance`](Self::advance) is called.
#[derive(Debug)]
pub struct TwinDriver {
    twin: Twin,
    clock: Clock,
}

impl TwinDriver {
    /// A driver at 1 750 000 000 seconds after the epoch.
    pub fn new(twin: Twin) -> Self {
        Self {
            twin,
            clock: Clock::new(),
        }
    }

    /// Sets the driver's clock.
    #[must_use]
    pub fn at(mut self, unix_seconds: u64) -> Self {
        self.clock.set(unix_seconds);
        self
    }

    /// Runs an exchange until it is done. A pause only advances the clock.
    ///
    /// A request to an origin other than the twin's is `Lost`, unsent: nothing else can be reached. So is every
    /// signature: this driver has no keys.
    ///
    /// # Errors
    /// The exchange's own, and `lost` for one that does not end within 10 000 steps.
    pub fn run<E: Exchange>(&mut self, mut exchange: E) -> Result<E::Output, Error> {
        let mut input = Input::Begin;
        for _ in 0..MAX_STEPS {
            input = match exchange.resume(&self.clock.moment(), input)? {
                Step::Send(request) => self.deliver(request),
                Step::Sleep(pause) => {
                    self.clock.advance(pause);
                    Input::Elapsed
                }
                Step::Sign(_) => Input::Lost(Cause::unsent("this driver holds no keys")),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Done(output) => return Ok(output),
            };
        }
        Err(Error::lost(Cause::unsent("the exchange does not end")))
    }

    /// Sends one request outside of any exchange, such as a call to the API. A reply that would
    /// be lost is returned with its [`Delivery`] in the extensions; a request to an origin other than
    /// the twin's is answered with 421.
    pub fn send(&mut self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        if !self.is_at_home(request.uri()) {
            let mut reply = http::Response::new(Bytes::new());
            *reply.status_mut() = http::StatusCode::MISDIRECTED_REQUEST;
            return reply;
        }
        let moment = self.clock.moment();
        self.twin.answer(&moment, request)
    }

    /// Opens an authorization URL as a browser whose user approves it (or denies it, after
    /// [`Twin::deny_next`]), and returns the callback's URL. `None` if the twin shows a page
    /// instead of redirecting, or the URL is not one of its own.
    pub fn browse(&mut self, url: &str) -> Option<String> {
        let reply = self.send(http::Request::get(url).body(Bytes::new()).ok()?);
        let location = reply
            .status()
            .is_redirection()
            .then(|| reply.headers().get(LOCATION))??;
        location.to_str().ok().map(str::to_owned)
    }

    /// Advances the clock.
    pub fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    /// The twin, to inspect or change.
    pub fn twin(&mut self) -> &mut Twin {
        &mut self.twin
    }

    /// The clock's time.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The clock's time with a fresh seed. Two drivers return the same sequence of seeds.
    pub fn moment(&mut self) -> Moment {
        self.clock.moment()
    }

    fn deliver(&mut self, request: http::Request<Bytes>) -> Input {
        if !self.is_at_home(request.uri()) {
            return Input::Lost(Cause::unsent("only the twin's own origin can be reached"));
        }
        let mut reply = self.send(request);
        let delivery: Delivery = reply.extensions_mut().remove().unwrap_or_default();
        let bytes = u64::try_from(reply.body().len()).unwrap_or(u64::MAX);
        self.clock.advance(Duration::from_millis(
            delivery.millis_per_byte.saturating_mul(bytes),
        ));
        if delivery.lost {
            Input::Lost(Cause::unknown("the connection was closed before a reply"))
        } else if bytes > crate::REPLY_LIMIT {
            // The limits are those of a real driver.
            Input::Lost(Cause::too_large())
        } else {
            Input::Reply(reply)
        }
    }

    fn is_at_home(&self, url: &http::Uri) -> bool {
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return false;
        };
        self.twin.base() == format!("{scheme}://{authority}")
    }
}
