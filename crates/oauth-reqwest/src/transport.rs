//! The transport settings: certificates, proxy and limits in one record, for profiles and other languages too. Requests
//! are sent in `driver.rs`, which follows no redirect and retries nothing.

mod settings;

use std::fmt;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use reqwest::{Certificate, Identity, NoProxy, Proxy};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::addresses::Proxies;
use crate::driver::Driver;
use crate::options::Options;
use crate::recording_resolver::Resolver;
use crate::root_certificates;

pub use settings::Settings;

/// Certificates, proxy and limits, for the token requests and the API calls of a driver alike.
///
/// What is not set is that of the system: its certificates (or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name), and the proxy that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name.
///
/// ```
/// use std::time::Duration;
/// use oauth_reqwest::{Options, Transport};
///
/// let transport = Transport::default()
///     .proxy("socks5h://proxy.example:1080")
///     .options(Options::default().timeout(Duration::from_secs(5)));
/// let driver = transport.driver()?;
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Transport {
    /// Which certificate authorities are trusted.
    pub trust: TrustedRoots,
    /// The client's certificate and key, in PEM, for servers that request one.
    pub client_certificate: Option<Secret<String>>,
    /// The proxy through which requests go.
    pub route: Route,
    /// The limits.
    pub options: Options,
}

/// Which certificate authorities are trusted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum TrustedRoots {
    /// The authorities of the system.
    #[default]
    System,
    /// The authorities of the system and these, in PEM.
    Also(Vec<u8>),
    /// Only these, in PEM.
    Only(Vec<u8>),
}

/// The proxy through which requests go.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Route {
    /// The proxy that the environment names, if it names one.
    #[default]
    Environment,
    /// No proxy.
    Direct,
    /// This proxy: `http`, `https`, `socks5` or `socks5h`, except for the hosts of `NO_PROXY`. It may
    /// hold a user name and password.
    Proxy(Secret<String>),
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::Proxy(_) => "Proxy(..)",
        })
    }
}

/// reqwest has two builders, of two types, with the same methods.
macro_rules! configured {
    ($builder:expr, $parts:expr, $names:expr) => {{
        let parts = $parts;
        let builder = $builder.dns_resolver(std::sync::Arc::new($names.clone()));
        let builder = match parts.trust {
            ParsedRoots::System => builder,
            ParsedRoots::Also(certificates) => builder.tls_certs_merge(certificates),
            ParsedRoots::Only(certificates) => builder.tls_certs_only(certificates),
        };
        let builder = match parts.identity {
            Some(identity) => builder.identity(identity),
            None => builder,
        };
        match parts.proxy {
            Proxied::Environment => builder,
            Proxied::Direct => builder.no_proxy(),
            Proxied::By(proxy) => builder.proxy(*proxy),
        }
    }};
}

impl Transport {
    /// Trusts these certificate authorities, in PEM, in addition to the system's.
    #[must_use]
    pub fn trust_also(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust = TrustedRoots::Also(pem.into());
        self
    }

    /// Trusts these certificate authorities, in PEM, and no others.
    #[must_use]
    pub fn trust_only(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust = TrustedRoots::Only(pem.into());
        self
    }

    /// Presents this certificate, with its key, both in PEM, to servers that request one.
    #[must_use]
    pub fn client_certificate(mut self, pem: impl Into<Secret<String>>) -> Self {
        self.client_certificate = Some(pem.into());
        self
    }

    /// The thumbprint of the certificate that is presented, for
    /// [`Client::with_certificate`](oauth_core::client::Client::with_certificate); `None` if there is none, or it cannot
    /// be read.
    pub fn certificate_thumbprint(&self) -> Option<String> {
        let pem = self.client_certificate.as_ref()?.expose();
        let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?;
        first
            .ok()
            .map(|der| oauth_crypto::certificate_thumbprint(&der))
    }

    /// Sends everything through this proxy, except for loopback addresses and the hosts of `NO_PROXY`.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<Secret<String>>) -> Self {
        self.route = Route::Proxy(url.into());
        self
    }

    /// Sends nothing through a proxy, regardless of what the environment says.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.route = Route::Direct;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// A driver with these settings.
    ///
    /// # Errors
    /// `transport.setup` for an invalid certificate or proxy, and if `SSL_CERT_FILE` and `SSL_CERT_DIR` point nowhere.
    pub fn driver(&self) -> Result<Driver, Error> {
        let resolver = Resolver::default();
        let builder = configured!(reqwest::Client::builder(), self.parts()?, resolver);
        let driver = Driver::with_options(builder, self.options.clone())?;
        let (transport, names) = (self.clone(), resolver.clone());
        let public = move || {
            Ok(configured!(
                reqwest::Client::builder(),
                transport.parts()?,
                names
            ))
        };
        Ok(driver
            .with_resolver(resolver)
            .with_public(self.proxies(), public))
    }

    /// A blocking driver with these settings.
    ///
    /// # Errors
    /// The errors of [`driver`](Self::driver).
    #[cfg(feature = "blocking")]
    pub fn blocking_driver(&self) -> Result<crate::blocking::Driver, Error> {
        let resolver = Resolver::default();
        let builder = configured!(
            reqwest::blocking::Client::builder(),
            self.parts()?,
            resolver
        );
        let driver = crate::blocking::Driver::with_options(builder, self.options.clone())?;
        let (transport, names) = (self.clone(), resolver.clone());
        let public = move || {
            let builder = reqwest::blocking::Client::builder();
            Ok(configured!(builder, transport.parts()?, names))
        };
        Ok(driver
            .with_resolver(resolver)
            .with_public(self.proxies(), public))
    }

    const fn proxies(&self) -> Proxies {
        match self.route {
            Route::Environment => Proxies::Environment,
            Route::Direct => Proxies::None,
            Route::Proxy(_) => Proxies::All,
        }
    }

    fn parts(&self) -> Result<Parts, Error> {
        if !matches!(self.trust, TrustedRoots::Only(_)) {
            root_certificates::check_variables()?;
        }
        Ok(Parts {
            trust: match &self.trust {
                TrustedRoots::System => ParsedRoots::System,
                TrustedRoots::Also(pem) => ParsedRoots::Also(certificates("trust_also", pem)?),
                TrustedRoots::Only(pem) => ParsedRoots::Only(certificates("trust_only", pem)?),
            },
            identity: self.client_certificate.as_ref().map(identity).transpose()?,
            proxy: match &self.route {
                Route::Environment => Proxied::Environment,
                Route::Direct => Proxied::Direct,
                Route::Proxy(url) => Proxied::By(Box::new(proxy(url)?)),
            },
        })
    }
}

/// The schemes of proxies.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

struct Parts {
    trust: ParsedRoots,
    identity: Option<Identity>,
    proxy: Proxied,
}

enum ParsedRoots {
    System,
    Also(Vec<Certificate>),
    Only(Vec<Certificate>),
}

enum Proxied {
    Environment,
    Direct,
    By(Box<Proxy>),
}

/// The certificates of a setting of this name. reqwest would read them with the first request.
fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    let unread = || bad_setting(&format!("{setting}: the certificates cannot be read"));
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unread().caused_by(Cause::unsent(error)))?;
        let added = trusted.add(certificate);
        added.map_err(|error| unread().caused_by(Cause::unsent(error)))?;
    }
    if trusted.is_empty() {
        return Err(bad_setting(&format!(
            "{setting}: there is no certificate in the PEM text"
        )));
    }
    let read = Certificate::from_pem_bundle(pem);
    read.map_err(|error| bad(&format!("{setting}: the certificates"), error))
}

fn identity(pem: &Secret<String>) -> Result<Identity, Error> {
    Identity::from_pem(pem.expose().as_bytes())
        .map_err(|error| bad("the client certificate or its key", error))
}

fn proxy(url: &Secret<String>) -> Result<Proxy, Error> {
    // reqwest notices another scheme only with the first request.
    let (scheme, _) = url.expose().split_once("://").unwrap_or_default();
    if !SCHEMES.contains(&scheme) {
        let schemes = SCHEMES.join(", ");
        return Err(bad_setting(&format!(
            "the scheme of a proxy is one of {schemes}"
        )));
    }
    let proxy = Proxy::all(url.expose().as_str()).map_err(|error| bad("the proxy", error))?;
    Ok(proxy.no_proxy(NoProxy::from_env()))
}

fn bad_setting(detail: &str) -> Error {
    Error::from(Misuse::TransportSetup).about(detail)
}

/// The error without the text, which may contain a key or a password.
fn bad(setting: &str, error: reqwest::Error) -> Error {
    bad_setting(&format!("{setting} cannot be read")).caused_by(Cause::unsent(error.without_url()))
}
