//! Network settings: certificates, proxy and limits, and a `fetch` that uses them.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use napi::Result;
use napi::bindgen_prelude::{Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::url::Url;
use oauth_reqwest::transport::{Settings, TrustedRoots};
use oauth_reqwest::{Driver, Transport, reqwest};
use tokio::sync::Notify;

use crate::error::{fail, invalid, overdue};
use crate::held_key;
use crate::runtime::{self, promise};

/// The environment variable with additional certificate authorities for Node.js.
const EXTRA: &str = "NODE_EXTRA_CA_CERTS";

/// The settings of a network.
#[napi(object, object_to_js = false)]
pub struct NativeSettings {
    /// Additional certificate authorities: PEM, or the path of a PEM file.
    pub ca: Option<String>,
    /// The only trusted certificate authorities: PEM, or the path of a PEM file.
    pub only_ca: Option<String>,
    /// The client certificate: PEM, or the path of a PEM file.
    pub client_certificate: Option<String>,
    /// The private key of the client certificate: PEM, or the path of a PEM file.
    pub client_key: Option<String>,
    /// The URL of the proxy, or `direct`.
    pub proxy: Option<String>,
    /// The timeout of connecting, in milliseconds.
    pub connect_timeout: Option<f64>,
    /// The timeout of a request, in milliseconds.
    pub timeout: Option<f64>,
    /// The `User-Agent` field.
    pub user_agent: Option<String>,
    /// The most concurrent requests to one origin; at least 1.
    pub in_flight_per_origin: Option<u32>,
    /// `public_where_marked`, `public_only` or `any`.
    pub addresses: Option<String>,
}

/// The network over which requests are sent.
#[napi]
pub struct NativeNetwork(pub(crate) Arc<Network>);

/// A transport, and its driver, which all callers share.
pub(crate) struct Network {
    transport: Transport,
    shared_driver: OnceLock<Driver>,
}

impl Network {
    /// A network that also trusts the authorities of `NODE_EXTRA_CA_CERTS`, unless it trusts only its own.
    pub(crate) fn new(mut transport: Transport) -> std::result::Result<Self, Error> {
        if let Some(extra) = std::env::var_os(EXTRA).filter(|name| !name.is_empty()) {
            let more = read(Path::new(&extra))?;
            transport.trust = match transport.trust {
                TrustedRoots::System => TrustedRoots::Also(more),
                TrustedRoots::Also(own) => TrustedRoots::Also([own, more].join(&b'\n')),
                only => only,
            };
        }
        Ok(Self {
            transport,
            shared_driver: OnceLock::new(),
        })
    }

    /// The driver with this time limit, or the network's own. The first call takes some milliseconds, because it reads
    /// the system's certificates.
    pub(crate) fn driver(&self, timeout: Option<Duration>) -> std::result::Result<Driver, Error> {
        let driver = match self.shared_driver.get() {
            Some(driver) => driver.clone(),
            None => {
                let new = self.transport.driver()?.with_signer(held_key::signature);
                self.shared_driver.get_or_init(|| new).clone()
            }
        };
        Ok(driver.with_timeout(timeout.unwrap_or(self.transport.options.timeout)))
    }
}

/// The driver of this network, or of the system's.
pub(crate) fn driver_for(network: Option<&NativeNetwork>) -> Result<Driver> {
    let driver = match network {
        Some(network) => network.0.driver(None),
        None => runtime::driver(None),
    };
    driver.map_err(fail)
}

/// The names of settings in errors of the Rust crate, and in JavaScript.
const NAMES: [(&str, &str); 6] = [
    ("only_ca:", "onlyCa:"),
    ("client_certificate:", "clientCertificate:"),
    ("client_key:", "clientKey:"),
    ("user_agent ", "userAgent "),
    ("give either ca or only_ca", "give either ca or onlyCa"),
    (
        "a client_key without a client_certificate",
        "a clientKey without a clientCertificate",
    ),
];

/// Renames the settings in an error to their JavaScript names.
fn with_js_names(error: Error) -> Error {
    let detail = error.detail().unwrap_or_default();
    let renamed = NAMES.iter().find_map(|(rust, js)| {
        let rest = detail.strip_prefix(rust)?;
        Some(format!("{js}{rest}"))
    });
    match renamed {
        Some(detail) => error.about(&detail),
        None => error,
    }
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        Error::from(Misuse::TransportSetup)
            .about(&format!("{EXTRA}: {}", path.display()))
            .caused_by(Cause::unsent(error))
    })
}

#[napi]
impl NativeNetwork {
    /// A network with these settings. Reads the files that they name.
    #[napi(constructor)]
    pub fn new(options: NativeSettings) -> Result<Self> {
        let seconds = |ms: f64| ms / 1000.0;
        let mut settings = Settings::default();
        settings.ca = options.ca;
        settings.only_ca = options.only_ca;
        settings.client_certificate = options.client_certificate.map(Secret::new);
        settings.client_key = options.client_key.map(Secret::new);
        settings.proxy = options.proxy.map(Secret::new);
        settings.connect_timeout = options.connect_timeout.map(seconds);
        settings.timeout = options.timeout.map(seconds);
        settings.user_agent = options.user_agent;
        settings.addresses = options.addresses;
        settings.in_flight_per_origin = match options.in_flight_per_origin {
            Some(0) => return Err(invalid("inFlightPerOrigin must be at least 1")),
            limit => limit.and_then(|limit| usize::try_from(limit).ok()),
        };
        let network = settings
            .read()
            .map_err(with_js_names)
            .and_then(Network::new);
        let network = network.map_err(fail)?;
        Ok(Self(Arc::new(network)))
    }

    /// The timeout of requests in milliseconds, unless a client has its own.
    #[napi(getter)]
    pub fn timeout_ms(&self) -> f64 {
        self.0.transport.options.timeout.as_secs_f64() * 1000.0
    }

    /// The thumbprint of the client certificate, if there is one.
    #[napi(getter)]
    pub fn certificate_thumbprint(&self) -> Option<String> {
        self.0.transport.certificate_thumbprint()
    }

    /// A request that is not an exchange.
    #[napi]
    pub fn request(
        &self,
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: Option<Uint8Array>,
    ) -> Result<NativeRequest> {
        let request = read_request(&method, &url, &headers, body).map_err(fail)?;
        Ok(NativeRequest {
            driver: self.0.driver(None).map_err(fail)?,
            read_timeout: self.0.transport.options.timeout,
            request: Some(request),
            response_slot: Arc::default(),
            stop: Arc::default(),
        })
    }
}

/// Builds a request. Plain http is allowed only on loopback addresses.
fn read_request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Option<Uint8Array>,
) -> std::result::Result<reqwest::Request, Error> {
    let target = Url::parse(url)?;
    if !url.starts_with("https:") && !target.is_loopback() {
        return Err(Error::from(Misuse::InsecureTransport).about(&target.origin()));
    }
    let mut request = http::Request::builder().method(method).uri(target.as_str());
    for (name, value) in headers {
        let refused = || Error::from(Misuse::HeaderValue).about(&format!("headers: {name}"));
        let field = name.parse::<http::HeaderName>().map_err(|_| refused())?;
        let value = http::HeaderValue::from_str(value).map_err(|_| refused())?;
        request = request.header(field, value);
    }
    let body = body.map(|body| body.to_vec()).unwrap_or_default();
    let invalid = |error| Error::from(Misuse::HeaderValue).caused_by(Cause::unsent(error));
    let request = request.body(body).map_err(invalid)?;
    reqwest::Request::try_from(request)
        .map_err(|error| Error::lost(Cause::unsent(error.without_url())))
}

/// One request, and its response as it arrives.
#[napi]
pub struct NativeRequest {
    driver: Driver,
    read_timeout: Duration,
    request: Option<reqwest::Request>,
    response_slot: Arc<tokio::sync::Mutex<Option<reqwest::Response>>>,
    stop: Arc<Notify>,
}

/// The status and header fields of a response.
#[napi(object, object_from_js = false)]
pub(crate) struct NativeHead {
    /// The HTTP status.
    pub status: u32,
    /// Names and values; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
}

#[napi]
impl NativeRequest {
    /// Sends the request, and returns the status and header fields of the response.
    #[napi(ts_return_type = "Promise<NativeHead>")]
    pub fn head<'env>(&mut self, env: &'env Env) -> Result<Object<'env>> {
        let request = self.request.take();
        let request = request.ok_or_else(|| fail(Misuse::Over.into()))?;
        let (driver, response_slot, stop) = (
            self.driver.clone(),
            self.response_slot.clone(),
            self.stop.clone(),
        );
        promise(env, async move {
            let response = tokio::select! {
                response = driver.call(request, None) => response.map_err(Error::lost)?,
                () = stop.notified() => return Err(overdue("the caller gave up")),
            };
            let text =
                |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let fields = response.headers().iter();
            let head = NativeHead {
                status: response.status().as_u16().into(),
                headers: fields
                    .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                    .collect(),
            };
            *response_slot.lock().await = Some(response);
            Ok(head)
        })
    }

    /// The next chunk of the body; nothing at its end.
    #[napi(ts_return_type = "Promise<Uint8Array | undefined>")]
    pub fn chunk<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let (response_slot, stop, read_timeout) = (
            self.response_slot.clone(),
            self.stop.clone(),
            self.read_timeout,
        );
        promise(env, async move {
            let mut held = response_slot.lock().await;
            let Some(response) = held.as_mut() else {
                return Ok(None);
            };
            let read = tokio::select! {
                read = tokio::time::timeout(read_timeout, response.chunk()) => read,
                () = stop.notified() => return Err(overdue("the caller gave up")),
            };
            let chunk = read
                .map_err(|late| Cause::unknown(late).because(Loss::Timeout))
                .and_then(|chunk| {
                    chunk.map_err(|error| Cause::unknown(error.without_url()).because(Loss::Closed))
                })
                .map_err(Error::lost)?;
            if chunk.is_none() {
                *held = None;
            }
            Ok(chunk.map(|bytes| Uint8Array::from(bytes.to_vec())))
        })
    }

    /// Cancels the request: nothing more is sent or read.
    #[napi]
    pub fn cancel(&mut self) {
        self.request = None;
        self.stop.notify_one();
        let response_slot = Arc::clone(&self.response_slot);
        if let Ok(runtime) = crate::runtime::runtime() {
            // The socket belongs to the runtime, and must be dropped inside it.
            runtime.spawn(async move { *response_slot.lock().await = None });
        }
    }
}
