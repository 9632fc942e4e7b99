//! A [`Transport`] as strings and numbers, for profiles and other languages.

use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use serde::{Deserialize, Deserializer};

use super::{Route, Transport, TrustedRoots, bad_setting, certificates};
use crate::addresses::AddressPolicy;
use crate::options::Options;

/// The beginning of a PEM text, which no file name has.
const PEM: &str = "-----BEGIN ";

/// A [`Transport`] as strings and numbers. Absent settings are those of [`Transport::default`].
///
/// ```
/// use oauth_reqwest::transport::Settings;
///
/// let mut settings = Settings::default();
/// settings.proxy = Some("socks5h://proxy.example:1080".to_owned().into());
/// settings.connect_timeout = Some(2.5);
/// let driver = settings.read()?.driver()?;
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// Certificate authorities to trust in addition to the system's: PEM, or the name of a PEM file.
    pub ca: Option<String>,
    /// Certificate authorities to trust, and no others: PEM, or the name of a PEM file.
    pub only_ca: Option<String>,
    /// The certificate to present to servers that request one: PEM, or the name of a PEM file.
    #[serde(deserialize_with = "secret")]
    pub client_certificate: Option<Secret<String>>,
    /// The certificate's key, if it is not in the same text: PEM, or the name of a PEM file.
    #[serde(deserialize_with = "secret")]
    pub client_key: Option<Secret<String>>,
    /// The URL of a proxy, or `direct` for none. If absent, the environment may name one.
    #[serde(deserialize_with = "secret")]
    pub proxy: Option<Secret<String>>,
    /// How long a connection may take to open, in seconds.
    pub connect_timeout: Option<f64>,
    /// The timeout of a request in seconds, see [`Options::timeout`].
    pub timeout: Option<f64>,
    /// The policy of addresses: `public_where_marked`, `public_only` or `any`, see [`AddressPolicy`].
    pub addresses: Option<String>,
    /// The `User-Agent` that is sent.
    pub user_agent: Option<String>,
    /// The limit of requests in flight, see [`Options::in_flight_per_origin`].
    pub in_flight_per_origin: Option<usize>,
}

impl Settings {
    /// Resolves relative file names against this folder.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let moved = |text: &str| folder.join(text).to_string_lossy().into_owned();
        for path in [&mut self.ca, &mut self.only_ca].into_iter().flatten() {
            if !is_pem(path) {
                *path = moved(path);
            }
        }
        let secrets = [&mut self.client_certificate, &mut self.client_key];
        for path in secrets.into_iter().flatten() {
            if !is_pem(path.expose()) {
                *path = moved(path.expose()).into();
            }
        }
        self
    }

    /// Reads the files, and returns the transport.
    ///
    /// # Errors
    /// `transport.setup` for a file that cannot be read, a number that is not a time, both `ca` and `only_ca`, a key
    /// without a certificate, a user agent that is not a valid header, or an unknown policy of addresses.
    pub fn read(&self) -> Result<Transport, Error> {
        let mut transport = Transport {
            client_certificate: self.identity()?,
            ..Transport::default()
        };
        transport.trust = match (&self.ca, &self.only_ca) {
            (None, None) => TrustedRoots::System,
            (Some(ca), None) => TrustedRoots::Also(authorities("ca", ca)?),
            (None, Some(ca)) => TrustedRoots::Only(authorities("only_ca", ca)?),
            (Some(_), Some(_)) => return Err(bad_setting("give either ca or only_ca")),
        };
        transport.route = match &self.proxy {
            None => Route::Environment,
            Some(proxy) if proxy.expose() == "direct" => Route::Direct,
            Some(proxy) => Route::Proxy(proxy.clone()),
        };
        let mut options = Options::default();
        if let Some(limit) = self.connect_timeout {
            options.connect_timeout = seconds("connect_timeout", limit)?;
        }
        if let Some(limit) = self.timeout {
            options.timeout = seconds("timeout", limit)?;
        }
        if let Some(limit) = self.in_flight_per_origin {
            options.in_flight_per_origin = limit;
        }
        if let Some(name) = &self.addresses {
            let policy = AddressPolicy::from_name(name);
            let wrong = || bad_setting("addresses is public_where_marked, public_only or any");
            options.addresses = policy.ok_or_else(wrong)?;
        }
        if let Some(agent) = &self.user_agent {
            let value = HeaderValue::from_str(agent);
            options.user_agent =
                value.map_err(|_| bad_setting("user_agent is not a header value"))?;
        }
        // Invalid certificates and proxies are reported here, and not with the first request.
        transport.parts()?;
        Ok(transport.options(options))
    }

    fn identity(&self) -> Result<Option<Secret<String>>, Error> {
        let certificate = |text: &Secret<String>| pem("client_certificate", text.expose());
        match (&self.client_certificate, &self.client_key) {
            (None, None) => Ok(None),
            (Some(text), None) => certificate(text).map(|pem| Some(pem.into())),
            (Some(text), Some(key)) => {
                let (certificate, key) = (certificate(text)?, pem("client_key", key.expose())?);
                Ok(Some(format!("{certificate}\n{key}").into()))
            }
            (None, Some(_)) => Err(bad_setting("a client_key without a client_certificate")),
        }
    }
}

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with(PEM)
}

/// The certificates in this setting, or in the file that it names.
fn authorities(setting: &str, text_or_path: &str) -> Result<Vec<u8>, Error> {
    let pem = pem(setting, text_or_path)?.into_bytes();
    certificates(setting, &pem)?;
    Ok(pem)
}

/// The text, or the content of the file with that name. Errors name the setting, and the file if its name cannot be a
/// key.
fn pem(setting: &str, text_or_path: &str) -> Result<String, Error> {
    if is_pem(text_or_path) {
        return Ok(text_or_path.to_owned());
    }
    // A PEM text that lacks its first line is longer than any name, and may be a key.
    if text_or_path.contains('\n') {
        return Err(bad_setting(&format!(
            "{setting}: neither PEM nor the name of a file"
        )));
    }
    std::fs::read_to_string(text_or_path).map_err(|reason| {
        let about = if is_surely_a_name(text_or_path) {
            format!("{setting}: {text_or_path}")
        } else {
            format!("{setting}: neither PEM nor the name of a file that can be read")
        };
        bad_setting(&about).caused_by(Cause::unsent(reason))
    })
}

/// Whether the text has the form of a path and cannot be a key that lacks its PEM lines. The base64 of DER has no dot and
/// begins with one of `MA` to `MI`, here after the folder of a profile too; quotes and braces are those of a JWK, and
/// dashes those of a PEM text whose lines were joined.
fn is_surely_a_name(text: &str) -> bool {
    let is_der = |part: &str| matches!(part.as_bytes(), [b'M', b'A'..=b'I', ..]);
    let has_form_of_path = text.contains('.') || Path::new(text).is_absolute();
    let may_be_key = text.contains(['"', '{']) || text.contains("----");
    has_form_of_path && !may_be_key && !text.split(['/', '\\']).any(is_der)
}

fn seconds(name: &str, value: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| bad_setting(&format!("{name} is a positive number of seconds")))
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(Secret::new))
}
