//! The blocking API, over `reqwest::blocking`. Its driver follows no redirect and retries nothing.
//!
//! None of it may be used, or dropped, inside an async runtime: `reqwest::blocking` panics there.

mod authorized;
mod loopback;

use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use oauth_core::address::RequestAddressPolicy;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::exchange::{Boxed, Exchange, Input, SigningJob, Step};
use oauth_core::{Moment, Tokens};
use oauth_session::TokenDriver;
use oauth_session::store::Answer;

use crate::addresses::{self, AddressPolicy, Proxies, PublicOnly};
use crate::body::{self, CappedBody};
use crate::error_mapping;
use crate::localhost::{self, LocalhostResolver};
use crate::options::{Options, builder_failed};
use crate::origin_limiter::blocking::{OriginLimiter, Permit};
use crate::recording_resolver::Resolver;
use crate::signer::{self, BlockingSigner};

pub use authorized::{Authorized, Request, peek};
pub use loopback::Listener;
pub use oauth_session::blocking::GrantSource;

/// A driver that runs any [`Exchange`] on the calling thread. Cheap to clone: clones share connections
/// and limits.
#[derive(Clone)]
pub struct Driver {
    http: reqwest::blocking::Client,
    /// The client for plain http, which is only for this machine: neither a proxy nor a name server is used, because
    /// either would send unencrypted data to another machine.
    local: Arc<OnceLock<reqwest::blocking::Client>>,
    /// The client for URLs that another party named.
    public: Arc<PublicClient>,
    limiter: Arc<OriginLimiter>,
    resolver: Resolver,
    options: Options,
    signer: Option<BlockingSigner>,
}

impl Driver {
    /// A driver with the default [`Options`].
    ///
    /// `builder` may configure proxies, certificates or a resolver, for `https`. The driver itself ensures that no
    /// redirect is followed, no request repeated and no `Referer` sent, and that `localhost` is this machine. If
    /// addresses are checked ([`Options::addresses`]), it also disables the proxy and sets the resolver; a marked
    /// request goes over a separate client, without the settings of `builder`. [`Transport`](crate::Transport) gives
    /// both the same certificates.
    ///
    /// # Errors
    /// `transport.setup` if the TLS roots cannot be loaded, or the builder's settings are impossible.
    pub fn new(builder: reqwest::blocking::ClientBuilder) -> Result<Self, Error> {
        Self::with_options(builder, Options::default())
    }

    /// A driver with other limits than the default.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_options(
        builder: reqwest::blocking::ClientBuilder,
        options: Options,
    ) -> Result<Self, Error> {
        // No `https_only`: see the async driver.
        let resolver = Resolver::default();
        let http = match options.addresses {
            AddressPolicy::PublicOnly => public_only(builder, &resolver),
            AddressPolicy::PublicWhereMarked | AddressPolicy::Any => with_localhost(builder),
        };
        let http = configure(http, &options).build().map_err(builder_failed)?;
        Ok(Self {
            http,
            local: Arc::default(),
            limiter: Arc::new(OriginLimiter::new(options.in_flight_per_origin)),
            public: Arc::new(PublicClient {
                client: OnceLock::new(),
                builder: Box::new(|| Ok(reqwest::blocking::Client::builder())),
                proxies: Proxies::Environment,
            }),
            resolver,
            options,
            signer: None,
        })
    }

    /// Sets the resolver whose addresses are reported when a connection fails.
    pub(crate) fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets the builder of the client for URLs that another party named, and which requests go to a proxy.
    pub(crate) fn with_public(
        mut self,
        proxies: Proxies,
        builder: impl Fn() -> Result<reqwest::blocking::ClientBuilder, Error> + Send + Sync + 'static,
    ) -> Self {
        self.public = Arc::new(PublicClient {
            client: OnceLock::new(),
            builder: Box::new(builder),
            proxies,
        });
        self
    }

    /// Sets the signer for [`Step::Sign`]; without one, such a step fails with [`Input::Lost`].
    #[must_use]
    pub fn with_signer(
        mut self,
        signer: impl Fn(SigningJob) -> Result<Bytes, Cause> + Send + Sync + 'static,
    ) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// Runs an exchange to its end.
    ///
    /// # Errors
    /// The errors of the exchange. Transport failures are passed to the exchange as [`Input::Lost`], and the exchange
    /// decides whether it ends with that.
    pub fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Error> {
        let mut input = Input::Begin;
        loop {
            input = match exchange.resume(&Moment::system()?, input)? {
                Step::Send(request) => self.send(request).map_or_else(Input::Lost, Input::Reply),
                Step::Sleep(pause) => {
                    std::thread::sleep(pause);
                    Input::Elapsed
                }
                Step::Sign(job) => self.sign(job).map_or_else(Input::Lost, Input::Signed),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Done(output) => return Ok(output),
            };
        }
    }

    fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Cause> {
        let start = Instant::now();
        let send_by = request.extensions().get().copied();
        let address_policy = request.extensions().get().copied().unwrap_or_default();
        let mut request =
            reqwest::blocking::Request::try_from(request).map_err(error_mapping::lost)?;
        let _permit = self.acquire_permit(request.url(), self.options.longest_queue())?;
        error_mapping::in_time(send_by)?;
        // The timeout includes the time spent waiting for the permit.
        *request.timeout_mut() = Some(self.options.timeout.saturating_sub(start.elapsed()));
        let url = request.url().clone();
        let sent = self.client(&url, address_policy)?.execute(request);
        let mut response = sent.map_err(|error| {
            error_mapping::lost_at_endpoint(error, self.resolver.tried_addresses(&url))
        })?;
        let mut reply = CappedBody::begin(response.content_length())?;
        let mut chunk = [0; 8 << 10];
        // reqwest measures each read separately; a server that sends slowly would be read forever.
        while start.elapsed() < self.options.timeout {
            match response.read(&mut chunk) {
                Ok(0) => {
                    let headers = std::mem::take(response.headers_mut());
                    return Ok(reply.end(response.status(), headers));
                }
                Ok(size) => reply.push(chunk.get(..size).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error_mapping::cut(error)),
            }
        }
        Err(Cause::unknown("the reply took too long").because(Loss::Timeout))
    }

    pub(crate) fn sign(&self, job: SigningJob) -> Result<Bytes, Cause> {
        match &self.signer {
            Some(signer) => signer(job),
            None => Err(signer::none(&job)),
        }
    }

    /// Sends a request outside of an exchange, within `timeout` or the driver's own: to an API, with
    /// the credentials already attached. No redirect is followed and nothing is retried.
    ///
    /// # Errors
    /// The cause of a `lost` error.
    pub fn call(
        &self,
        mut request: reqwest::blocking::Request,
        timeout: Option<Duration>,
    ) -> Result<reqwest::blocking::Response, Cause> {
        *request.timeout_mut() = Some(timeout.unwrap_or(self.options.timeout));
        let url = request.url().clone();
        let _permit = self.acquire_permit(&url, self.options.timeout)?;
        let sent = self
            .client(&url, RequestAddressPolicy::Any)?
            .execute(request);
        sent.map_err(|error| {
            error_mapping::lost_at_endpoint(error, self.resolver.tried_addresses(&url))
        })
    }

    fn client(
        &self,
        url: &reqwest::Url,
        address_policy: RequestAddressPolicy,
    ) -> Result<&reqwest::blocking::Client, Cause> {
        if self.options.addresses.checks(address_policy) {
            addresses::check(url, self.public.proxies)?;
            return match self.options.addresses {
                AddressPolicy::PublicOnly => Ok(&self.http),
                AddressPolicy::PublicWhereMarked | AddressPolicy::Any => {
                    self.public.client(&self.resolver, &self.options)
                }
            };
        }
        if url.scheme() == "https" {
            return Ok(&self.http);
        }
        if let Some(local) = self.local.get() {
            return Ok(local);
        }
        let builder = reqwest::blocking::Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(LocalhostResolver));
        let local = configure(with_localhost(builder), &self.options)
            .build()
            .map_err(error_mapping::lost)?;
        Ok(self.local.get_or_init(|| local))
    }

    fn acquire_permit(&self, url: &reqwest::Url, limit: Duration) -> Result<Permit<'_>, Cause> {
        let origin = url.origin().ascii_serialization();
        self.limiter
            .acquire(origin, limit)
            .ok_or_else(error_mapping::limit_timeout)
    }
}

/// The client for URLs that another party named, created on first use.
struct PublicClient {
    client: OnceLock<reqwest::blocking::Client>,
    builder: Box<dyn Fn() -> Result<reqwest::blocking::ClientBuilder, Error> + Send + Sync>,
    proxies: Proxies,
}

impl PublicClient {
    fn client(
        &self,
        resolver: &Resolver,
        options: &Options,
    ) -> Result<&reqwest::blocking::Client, Cause> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = (self.builder)().map_err(Cause::unsent)?;
        let configured = configure(public_only(builder, resolver), options);
        let client = configured.build().map_err(error_mapping::lost)?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Resolves `localhost` to this machine.
fn with_localhost(builder: reqwest::blocking::ClientBuilder) -> reqwest::blocking::ClientBuilder {
    builder.resolve_to_addrs(localhost::NAME, &localhost::ADDRESSES)
}

/// Connects only to public addresses, and without a proxy.
fn public_only(
    builder: reqwest::blocking::ClientBuilder,
    resolver: &Resolver,
) -> reqwest::blocking::ClientBuilder {
    let resolver = PublicOnly::new(Arc::new(resolver.clone()));
    builder.no_proxy().dns_resolver(Arc::new(resolver))
}

fn configure(
    builder: reqwest::blocking::ClientBuilder,
    options: &Options,
) -> reqwest::blocking::ClientBuilder {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(options.in_flight_per_origin)
        .pool_idle_timeout(options.idle_timeout)
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .http2_max_header_list_size(body::HEADER_LIMIT)
        .user_agent(options.user_agent.clone())
}

impl Driver {
    /// Runs an exchange on a thread of the runtime's blocking pool.
    fn run_on_blocking_thread<T: Send + 'static>(&self, exchange: Boxed<T>) -> Answer<'_, T> {
        let driver = self.clone();
        let run = tokio::task::spawn_blocking(move || driver.run(exchange));
        Box::pin(async {
            run.await
                .map_err(|stopped| Error::lost(Cause::unknown(stopped)))?
        })
    }
}

impl TokenDriver for Driver {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        self.run_on_blocking_thread(exchange)
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        self.run_on_blocking_thread(exchange)
    }

    /// Twice the timeout: the last read of a reply may take as long as everything before it.
    fn longest(&self) -> Duration {
        self.options.timeout * 2
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("options", &self.options)
            .field("signs", &self.signer.is_some())
            .finish_non_exhaustive()
    }
}
