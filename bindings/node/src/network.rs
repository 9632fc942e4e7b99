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
use oauth_reqwest::transport::{Settings, Trust};
use oauth_reqwest::{Driver, Transport, reqwest};
use tokio::sync::Notify;

use crate::error::{fail, invalid, overdue};
use crate::held_key;
use crate::runtime::{self, promise};

/// The environment variable with additional certificate authorities for Node.js.
const EXTRA: &str = "NODE_EXTRA_CA_CERTS";

/// A network in strings and numbers.
#[napi(object, object_to_js = false)]
pub struct NativeSettings {
    /// PEM, or the name of a file of it.
    pub ca: Option<String>,
    /// PEM, or the name of a file of it.
    pub only_ca: Option<String>,
    /// PEM, or the name of a file of it.
    pub client_certificate: Option<String>,
    /// PEM, or the name of a file of it.
    pub client_key: Option<String>,
    /// A URL, or `direct`.
    pub proxy: Option<String>,
    /// Milliseconds.
    pub connect_timeout: Option<f64>,
    /// Milliseconds.
    pub timeout: Option<f64>,
    /// A header's value.
    pub user_agent: Option<String>,
    /// At least 1.
    pub in_flight_per_origin: Option<u32>,
    /// `public_where_marked`, `public_only` or `any`.
    pub addresses: Option<String>,
}

/// How requests leave this process.
#[napi]
pub struct NativeNetwork(pub(crate) Arc<Network>);

/// A transport, and its driver, which all callers share.
pub(crate) struct Network {
    transport: Transport,
    made: OnceLock<Driver>,
}

impl Network {
    /// A network that also trusts the authorities of `NODE_EXTRA_CA_CERTS`, unless it trusts only its own.
    pub(crate) fn new(mut transport: Transport) -> std::result::Result<Self, Error> {
        if let Some(extra) = std::env::var_os(EXTRA).filter(|name| !name.is_empty()) {
            let more = read(Path::new(&extra))?;
            transport.trust = match transport.trust {
                Trust::System => Trust::Also(more),
                Trust::Also(own) => Trust::Also([own, more].join(&b'\n')),
                only => only,
            };
        }
        Ok(Self {
            transport,
            made: OnceLock::new(),
        })
    }

    /// The driver with this time limit, or the network's own. The first call takes some milliseconds, because it reads
    /// the system's certificates.
    pub(crate) fn driver(&self, timeout: Option<Duration>) -> std::result::Result<Driver, Error> {
        let driver = match self.made.get() {
            Some(driver) => driver.clone(),
            None => {
                let made = self.transport.driver()?.with_signer(held_key::signature);
                self.made.get_or_init(|| made).clone()
            }
        };
        Ok(driver.with_timeout(timeout.unwrap_or(self.transport.options.timeout)))
    }
}

/// The driver of this network, or of the system's.
pub(crate) fn over(network: Option<&NativeNetwork>) -> Result<Driver> {
    let driver = match network {
        Some(network) => network.0.driver(None),
        None => runtime::driver(None),
    };
    driver.map_err(fail)
}

/// The names of settings in errors, and those in JavaScript.
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

/// An error of the settings, by the names that they have in JavaScript.
fn named(error: Error) -> Error {
    let detail = error.detail().unwrap_or_default();
    let told = NAMES.iter().find_map(|(theirs, ours)| {
        let rest = detail.strip_prefix(theirs)?;
        Some(format!("{ours}{rest}"))
    });
    match told {
        Some(told) => error.about(&told),
        None => error,
    }
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|why| {
        Error::from(Misuse::TransportSetup)
            .about(&format!("{EXTRA}: {}", path.display()))
            .caused_by(Cause::unsent(why))
    })
}

#[napi]
impl NativeNetwork {
    /// Reads the files it names.
    #[napi(constructor)]
    pub fn new(given: NativeSettings) -> Result<Self> {
        let seconds = |ms: f64| ms / 1000.0;
        let mut settings = Settings::default();
        settings.ca = given.ca;
        settings.only_ca = given.only_ca;
        settings.client_certificate = given.client_certificate.map(Secret::new);
        settings.client_key = given.client_key.map(Secret::new);
        settings.proxy = given.proxy.map(Secret::new);
        settings.connect_timeout = given.connect_timeout.map(seconds);
        settings.timeout = given.timeout.map(seconds);
        settings.user_agent = given.user_agent;
        settings.addresses = given.addresses;
        settings.in_flight_per_origin = match given.in_flight_per_origin {
            Some(0) => return Err(invalid("inFlightPerOrigin is at least 1")),
            limit => limit.and_then(|limit| usize::try_from(limit).ok()),
        };
        let network = settings.read().map_err(named).and_then(Network::new);
        let network = network.map_err(fail)?;
        Ok(Self(Arc::new(network)))
    }

    /// How long a request may take, in milliseconds, where a client says nothing else.
    #[napi(getter)]
    pub fn timeout_ms(&self) -> f64 {
        self.0.transport.options.timeout.as_secs_f64() * 1000.0
    }

    /// The thumbprint of the certificate that is presented, if there is one.
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
            patience: self.0.transport.options.timeout,
            request: Some(request),
            reply: Arc::default(),
            stop: Arc::default(),
        })
    }
}

/// Plain http goes no further than this machine.
fn read_request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Option<Uint8Array>,
) -> std::result::Result<reqwest::Request, Error> {
    let to = Url::parse(url)?;
    if !url.starts_with("https:") && !to.is_loopback() {
        return Err(Error::from(Misuse::InsecureTransport).about(&to.origin()));
    }
    let mut request = http::Request::builder().method(method).uri(to.as_str());
    for (name, value) in headers {
        let refused = || Error::from(Misuse::HeaderValue).about(&format!("headers: {name}"));
        let field = name.parse::<http::HeaderName>().map_err(|_| refused())?;
        let value = http::HeaderValue::from_str(value).map_err(|_| refused())?;
        request = request.header(field, value);
    }
    let body = body.map(|body| body.to_vec()).unwrap_or_default();
    let wrong = |why| Error::from(Misuse::HeaderValue).caused_by(Cause::unsent(why));
    let request = request.body(body).map_err(wrong)?;
    reqwest::Request::try_from(request)
        .map_err(|error| Error::lost(Cause::unsent(error.without_url())))
}

/// One request, and its reply as it comes.
#[napi]
pub struct NativeRequest {
    driver: Driver,
    patience: Duration,
    request: Option<reqwest::Request>,
    reply: Arc<tokio::sync::Mutex<Option<reqwest::Response>>>,
    stop: Arc<Notify>,
}

/// The head of a reply.
#[napi(object, object_from_js = false)]
pub(crate) struct NativeHead {
    /// The HTTP status.
    pub status: u32,
    /// Names and values; what of a value is not UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
}

#[napi]
impl NativeRequest {
    /// Sends it; its reply's head.
    #[napi(ts_return_type = "Promise<NativeHead>")]
    pub fn head<'env>(&mut self, env: &'env Env) -> Result<Object<'env>> {
        let request = self.request.take();
        let request = request.ok_or_else(|| fail(Misuse::Over.into()))?;
        let (driver, reply, stop) = (self.driver.clone(), self.reply.clone(), self.stop.clone());
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
            *reply.lock().await = Some(response);
            Ok(head)
        })
    }

    /// The next bytes of the body; nothing at its end.
    #[napi(ts_return_type = "Promise<Uint8Array | undefined>")]
    pub fn chunk<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let (reply, stop, patience) = (self.reply.clone(), self.stop.clone(), self.patience);
        promise(env, async move {
            let mut held = reply.lock().await;
            let Some(response) = held.as_mut() else {
                return Ok(None);
            };
            let read = tokio::select! {
                read = tokio::time::timeout(patience, response.chunk()) => read,
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

    /// Ends it here: nothing more is sent or read.
    #[napi]
    pub fn cancel(&mut self) {
        self.request = None;
        self.stop.notify_one();
        let reply = Arc::clone(&self.reply);
        if let Ok(runtime) = crate::runtime::runtime() {
            // A socket of the runtime is let go inside it.
            runtime.spawn(async move { *reply.lock().await = None });
        }
    }
}
