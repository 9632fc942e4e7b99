//! The options of a driver: its limits. Certificates and proxies are in `transport.rs`.

use std::time::Duration;

use http::HeaderValue;
use oauth_core::error::{Cause, Error, Misuse};

use crate::addresses::AddressPolicy;

/// The limits of a driver.
///
/// ```
/// use std::time::Duration;
/// use oauth_reqwest::Options;
///
/// let options = Options::default().timeout(Duration::from_secs(5)).in_flight_per_origin(4);
/// assert_eq!(options.connect_timeout, Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long a connection may take to open, including TLS: 10 s.
    pub connect_timeout: Duration,
    /// How long a request to an authorization server may take, from when the driver gets it to the last byte of the
    /// reply: 30 s. Half of it may be spent waiting for its turn. `reqwest::blocking` checks the clock only between two
    /// reads, so there it may be twice as long.
    ///
    /// For a resource request it is counted from its turn to the head of the reply, and it may wait
    /// for its turn as long again.
    pub timeout: Duration,
    /// How many requests may be in flight to one origin, at least 1; the others wait: 16. As many
    /// connections may be kept idle. With HTTP/1.1 these are all connections, apart from those on which
    /// the body of a resource server's reply is still being read.
    pub in_flight_per_origin: usize,
    /// How long a connection may be idle before it is closed here: 4 s. Many servers close idle connections themselves,
    /// Node.js after 5 s, and a request that is on its way at that moment is lost, with its refresh token.
    pub idle_timeout: Duration,
    /// Which addresses are connected to: any, but only public ones for URLs that someone other than the caller named.
    pub addresses: AddressPolicy,
    /// The `User-Agent`, for requests that have none: `oauth-core/VERSION`.
    pub user_agent: HeaderValue,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            in_flight_per_origin: 16,
            idle_timeout: Duration::from_secs(4),
            addresses: AddressPolicy::default(),
            user_agent: HeaderValue::from_static(concat!("oauth-core/", env!("CARGO_PKG_VERSION"))),
        }
    }
}

impl Options {
    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets [`in_flight_per_origin`](Self::in_flight_per_origin).
    #[must_use]
    pub const fn in_flight_per_origin(mut self, limit: usize) -> Self {
        self.in_flight_per_origin = limit;
        self
    }

    /// Sets [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub const fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets [`addresses`](Self::addresses).
    #[must_use]
    pub const fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.addresses = policy;
        self
    }

    /// Sets [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn user_agent(mut self, value: HeaderValue) -> Self {
        self.user_agent = value;
        self
    }
}

impl Options {
    /// How long a request to an authorization server may wait for a permit: there must be time left for
    /// the response, or its outcome is not known.
    pub(crate) fn longest_queue(&self) -> Duration {
        self.timeout / 2
    }
}

/// Most likely there are no certificates, and the environment says why.
pub(crate) fn builder_failed(error: reqwest::Error) -> Error {
    if let Err(named) = crate::root_certificates::check_variables() {
        return named.caused_by(Cause::unsent(error.without_url()));
    }
    Error::from(Misuse::TransportSetup)
        .about("the HTTP client cannot be built")
        .caused_by(Cause::unsent(error.without_url()))
}
