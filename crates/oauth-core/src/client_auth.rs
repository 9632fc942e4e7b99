//! How the client proves who it is (RFC 6749 section 2.3).

mod signed_secret;

use crate::http::HeaderValue;

use crate::base64::{self, Alphabet};
use crate::error::{Error, Misuse};
use crate::form;
use crate::quirk::{Quirk, Rules};
use crate::secret::{self, Secret};
use crate::server::Server;

pub use signed_secret::SignedSecret;

/// The client's way to authenticate, one and only one.
#[derive(Debug, Clone)]
pub struct ClientAuth(pub(crate) Method);

#[derive(Debug, Clone)]
pub(crate) enum Method {
    None,
    Basic(Secret<String>),
    Post(Secret<String>),
    Signed(SignedSecret),
    Tls,
}

impl ClientAuth {
    /// A public client: it only names itself (`none`).
    pub const fn none() -> Self {
        Self(Method::None)
    }

    /// `client_secret_basic`: form-encoded, then Basic (RFC 6749 section 2.3.1).
    pub fn basic(secret: impl Into<Secret<String>>) -> Self {
        Self(Method::Basic(secret.into()))
    }

    /// `client_secret_post`: id and secret in the form body, never in a URL.
    pub fn post(secret: impl Into<Secret<String>>) -> Self {
        Self(Method::Post(secret.into()))
    }

    /// A secret, sent as the server takes it by its `token_endpoint_auth_methods_supported` (RFC 8414
    /// section 2): `client_secret_basic` before `client_secret_post`, and the first of them where it
    /// says nothing.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, which names what the server takes.
    pub fn secret_as_taken(
        secret: impl Into<Secret<String>>,
        server: &Server,
    ) -> Result<Self, Error> {
        let methods = server.token_endpoint_auth_methods();
        let takes = |name: &str| methods.iter().any(|method| method == name);
        if takes("client_secret_basic") {
            return Ok(Self::basic(secret));
        }
        if takes("client_secret_post") {
            return Ok(Self::post(secret));
        }
        let taken = match methods.is_empty() {
            true => "none".to_owned(),
            false => methods.join(", "),
        };
        Err(Error::from(Misuse::NoUsableMethod).about(&taken))
    }

    /// A `client_secret` that is a JWT the client signs anew for each request, as Sign in with
    /// Apple asks. The key stays with the host: the exchange asks for it with
    /// [`crate::Step::Sign`].
    pub const fn signed_secret(secret: SignedSecret) -> Self {
        Self(Method::Signed(secret))
    }

    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705): the certificate of the
    /// connection says who the client is, the request only names it. The HTTP client has the
    /// certificate; requests go to the server's aliases for mutual TLS, where it has such.
    pub const fn tls() -> Self {
        Self(Method::Tls)
    }

    /// The registered name of the method: `none`, `client_secret_basic`, `client_secret_post` or
    /// `tls_client_auth`.
    pub const fn name(&self) -> &'static str {
        match self.0 {
            Method::None => "none",
            Method::Basic(_) => "client_secret_basic",
            Method::Post(_) | Method::Signed(_) => "client_secret_post",
            Method::Tls => "tls_client_auth",
        }
    }

    /// Whether the client can prove who it is.
    pub const fn is_confidential(&self) -> bool {
        !matches!(self.0, Method::None)
    }

    /// The shared secret, to keep it out of URLs and error texts.
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.0 {
            Method::Basic(secret) | Method::Post(secret) => Some(secret.expose()),
            Method::None | Method::Signed(_) | Method::Tls => None,
        }
    }
}

/// The value of an `Authorization: Basic` header.
///
/// # Errors
/// `client_auth.colon_in_raw_id`, if the id is to be sent unencoded and holds a colon.
pub fn basic(id: &str, secret: &str, rules: &Rules) -> Result<HeaderValue, Error> {
    // Room for the worst case, so that no copy of the secret is left behind by growing.
    let mut pair = String::with_capacity(3 * (id.len() + secret.len()) + 1);
    if rules.has(&Quirk::RawBasic) {
        if id.contains(':') {
            return Err(Misuse::ColonInRawId.into());
        }
        pair.push_str(id);
        pair.push(':');
        pair.push_str(secret);
    } else {
        form::encode(id, &mut pair);
        pair.push(':');
        form::encode(secret, &mut pair);
    }
    let pair = Secret::new(pair);
    let mut text = String::with_capacity(6 + pair.expose().len().div_ceil(3) * 4);
    text.push_str("Basic ");
    base64::append(pair.expose().as_bytes(), Alphabet::Standard, &mut text);
    text.extend(std::iter::repeat_n('=', (3 - pair.expose().len() % 3) % 3));
    header_value(text)
}

/// A header value that is not shown, and whose memory is overwritten once it is sent.
pub(crate) fn header_value(text: String) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_maybe_shared(secret::wiped(text));
    let mut value = value.map_err(|_| Error::from(Misuse::HeaderValue))?;
    value.set_sensitive(true);
    Ok(value)
}
