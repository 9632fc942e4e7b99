//! The async driver: [`Step`] in, [`Input`] out, over one `reqwest::Client`. It follows no redirect and retries
//! nothing: whether a request is sent again is decided in oauth-core (`call.rs`).

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use oauth_core::address::RequestAddressPolicy;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::exchange::{Boxed, Exchange, Input, SigningJob, Step};
use oauth_core::url::Url;
use oauth_core::{Moment, Tokens};
use oauth_session::TokenDriver;
use oauth_session::store::Answer;
use tokio::time::{self, Instant};

use crate::addresses::{self, AddressPolicy, Proxies, PublicOnly};
use crate::body::{self, CappedBody};
use crate::error_mapping;
use crate::localhost::{self, LocalhostResolver};
use crate::options::{Options, builder_failed};
use crate::origin_limiter::{OriginLimiter, Permit};
use crate::recording_resolver::Resolver;
use crate::signer::{self, Signer};

/// Runs any [`Exchange`] to its end. Cheap to clone: clones share connections and limits.
///
/// A caller that drops the future of [`run`](Self::run) drops the exchange with it; a request that was
/// already sent may still be carried out by the server.
#[derive(Clone)]
pub struct Driver {
    http: reqwest::Client,
    /// The client for plain http, which is only for this machine: neither a proxy nor a name server is used, because
    /// either would send unencrypted what must not leave it.
    local: Arc<OnceLock<reqwest::Client>>,
    /// The client for URLs that another party named.
    public: Arc<PublicClient>,
    limiter: Arc<OriginLimiter>,
    resolver: Resolver,
    options: Options,
    signer: Option<Signer>,
    on_wire: Option<WireHook>,
}

type WireHook = Arc<dyn Fn(WireEvent<'_>) + Send + Sync>;

/// A request of an exchange, its reply or its loss, for a trace. It holds secrets: redact it before showing it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum WireEvent<'a> {
    /// A request that is sent.
    Sent(&'a http::Request<Bytes>),
    /// The reply that arrived.
    Received(&'a http::Response<Bytes>),
    /// No reply arrived, for this cause.
    Lost(&'a Cause),
}

impl fmt::Debug for WireEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent(_) => "Sent",
            Self::Received(_) => "Received",
            Self::Lost(_) => "Lost",
        })
    }
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
    pub fn new(builder: reqwest::ClientBuilder) -> Result<Self, Error> {
        Self::with_options(builder, Options::default())
    }

    /// A driver with other limits than the default.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_options(builder: reqwest::ClientBuilder, options: Options) -> Result<Self, Error> {
        // No `https_only`: which URLs may be plain http (loopback, on request) is decided by
        // `oauth_core::url::Url::require`, which every request has passed before `Step::Send`.
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
                builder: Box::new(|| Ok(reqwest::Client::builder())),
                proxies: Proxies::Environment,
            }),
            resolver,
            options,
            signer: None,
            on_wire: None,
        })
    }

    /// The same driver, with its connections and permits for requests, and another limit for each request
    /// ([`Options::timeout`]).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Sets the resolver whose addresses are reported when a connection fails.
    pub(crate) fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets what the client for URLs that another party named is made from, and which requests go to a proxy.
    pub(crate) fn with_public(
        mut self,
        proxies: Proxies,
        builder: impl Fn() -> Result<reqwest::ClientBuilder, Error> + Send + Sync + 'static,
    ) -> Self {
        self.public = Arc::new(PublicClient {
            client: OnceLock::new(),
            builder: Box::new(builder),
            proxies,
        });
        self
    }

    /// Answers [`Step::Sign`] with this signer; without one, such a step is lost.
    #[must_use]
    pub fn with_signer<F, S>(mut self, signer: F) -> Self
    where
        F: Fn(SigningJob) -> S + Send + Sync + 'static,
        S: Future<Output = Result<Bytes, Cause>> + Send + 'static,
    {
        self.signer = Some(Arc::new(move |job| Box::pin(signer(job))));
        self
    }

    /// Calls this function with every request of an exchange, and with its reply.
    #[must_use]
    pub fn on_wire(mut self, on_wire: impl Fn(WireEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_wire = Some(Arc::new(on_wire));
        self
    }

    fn report_wire(&self, event: WireEvent<'_>) {
        if let Some(on_wire) = &self.on_wire {
            on_wire(event);
        }
    }

    /// Runs an exchange to its end.
    ///
    /// # Errors
    /// The errors of the exchange. Transport failures are passed to the exchange as [`Input::Lost`], and the exchange
    /// decides whether it ends with that.
    pub async fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Error> {
        let mut input = Input::Begin;
        loop {
            input = match exchange.resume(&Moment::system()?, input)? {
                Step::Send(request) => {
                    self.report_wire(WireEvent::Sent(&request));
                    let sent = self.send(request).await;
                    self.report_wire(match &sent {
                        Ok(reply) => WireEvent::Received(reply),
                        Err(cause) => WireEvent::Lost(cause),
                    });
                    sent.map_or_else(Input::Lost, Input::Reply)
                }
                Step::Sleep(pause) => {
                    time::sleep(pause).await;
                    Input::Elapsed
                }
                Step::Sign(job) => self.sign(job).await.map_or_else(Input::Lost, Input::Signed),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Done(output) => return Ok(output),
            };
        }
    }

    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Cause> {
        let start = Instant::now();
        let send_by = request.extensions().get().copied();
        let address_policy = request.extensions().get().copied().unwrap_or_default();
        let mut request = reqwest::Request::try_from(request).map_err(error_mapping::lost)?;
        let _place = self
            .acquire_permit(request.url(), self.options.longest_queue())
            .await?;
        error_mapping::in_time(send_by)?;
        // The timeout includes the time spent waiting for a permit.
        *request.timeout_mut() = Some(self.options.timeout.saturating_sub(start.elapsed()));
        let url = request.url().clone();
        let sent = self.client(&url, address_policy)?.execute(request).await;
        let mut response = sent.map_err(|error| {
            error_mapping::lost_at_endpoint(error, self.resolver.tried_addresses(&url))
        })?;
        let mut reply = CappedBody::begin(response.content_length())?;
        while let Some(chunk) = response.chunk().await.map_err(error_mapping::lost)? {
            reply.push(&chunk)?;
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(reply.end(response.status(), headers))
    }

    pub(crate) async fn sign(&self, job: SigningJob) -> Result<Bytes, Cause> {
        match &self.signer {
            Some(signer) => signer(job).await,
            None => Err(signer::none(&job)),
        }
    }

    /// The default timeout of a request.
    pub(crate) const fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Sends a request outside of an exchange, within `timeout` or the driver's own: to an API, with
    /// the credentials already attached. No redirect is followed and nothing is retried.
    ///
    /// Its permit is released once the head of the reply has arrived: the body belongs to the caller, who may never
    /// read it.
    ///
    /// # Errors
    /// The cause of a `lost`.
    pub async fn call(
        &self,
        request: reqwest::Request,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, Cause> {
        let url = request.url().clone();
        let _place = self.acquire_permit(&url, self.options.timeout).await?;
        let reply = self
            .client(&url, RequestAddressPolicy::Any)?
            .execute(request);
        time::timeout(timeout.unwrap_or(self.options.timeout), reply)
            .await
            .map_err(|elapsed| Cause::unknown(elapsed).because(Loss::Timeout))?
            .map_err(|error| {
                error_mapping::lost_at_endpoint(error, self.resolver.tried_addresses(&url))
            })
    }

    /// The HTTP client for requests to this URL, for libraries that use a [`reqwest::Client`] themselves. It follows no
    /// redirect and repeats nothing. The timeout and the limit of requests in flight do not apply to it, only to
    /// [`call`](Self::call).
    ///
    /// # Errors
    /// `lost` if there is no such client.
    pub fn http_client(&self, url: &Url) -> Result<reqwest::Client, Error> {
        let url = reqwest::Url::parse(url.as_str()).map_err(|_| Misuse::UrlSyntax)?;
        let client = self
            .client(&url, RequestAddressPolicy::Any)
            .map_err(Error::lost)?;
        Ok(client.clone())
    }

    /// The error `lost` for a failed request over [`http_client`](Self::http_client): whether it
    /// was sent, and why it failed, without its URL.
    pub fn lost(&self, error: reqwest::Error) -> Error {
        let tried = error
            .url()
            .and_then(|url| self.resolver.tried_addresses(url));
        Error::lost(error_mapping::lost_at_endpoint(error, tried))
    }

    fn client(
        &self,
        url: &reqwest::Url,
        address_policy: RequestAddressPolicy,
    ) -> Result<&reqwest::Client, Cause> {
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
        let builder = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(LocalhostResolver));
        let local = configure(with_localhost(builder), &self.options)
            .build()
            .map_err(error_mapping::lost)?;
        Ok(self.local.get_or_init(|| local))
    }

    async fn acquire_permit(&self, url: &reqwest::Url, limit: Duration) -> Result<Permit, Cause> {
        let origin = url.origin().ascii_serialization();
        time::timeout(limit, self.limiter.acquire(origin))
            .await
            .map_err(|_| error_mapping::limit_timeout())
    }
}

/// The client for URLs that another party named, made when it is first needed.
struct PublicClient {
    client: OnceLock<reqwest::Client>,
    builder: Box<dyn Fn() -> Result<reqwest::ClientBuilder, Error> + Send + Sync>,
    proxies: Proxies,
}

impl PublicClient {
    fn client(&self, resolver: &Resolver, options: &Options) -> Result<&reqwest::Client, Cause> {
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
fn with_localhost(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.resolve_to_addrs(localhost::NAME, &localhost::ADDRESSES)
}

/// Connects only to public addresses, and without a proxy.
fn public_only(builder: reqwest::ClientBuilder, resolver: &Resolver) -> reqwest::ClientBuilder {
    let resolver = PublicOnly::new(Arc::new(resolver.clone()));
    builder.no_proxy().dns_resolver(Arc::new(resolver))
}

fn configure(builder: reqwest::ClientBuilder, options: &Options) -> reqwest::ClientBuilder {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(options.in_flight_per_origin)
        .pool_idle_timeout(options.idle_timeout)
        .connect_timeout(options.connect_timeout)
        .http2_max_header_list_size(body::HEADER_LIMIT)
        .user_agent(options.user_agent.clone())
}

impl TokenDriver for Driver {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(self.run(exchange))
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        Box::pin(self.run(exchange))
    }

    fn longest(&self) -> Duration {
        self.options.timeout
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
