//! How the client proves who it is (RFC 6749 section 2.3).

mod signed_secret;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::error::{Error, Misuse};
use crate::form::{self, Form};
use crate::identity::ClientId;
use crate::quirk::{Quirk, Rules};
use crate::secret::Secret;

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

    /// A `client_secret` that is a JWT the client signs anew for each request, as Sign in with
    /// Apple asks. The key stays with the host: the exchange asks for it with
    /// [`crate::Step::Sign`].
    pub const fn signed_secret(secret: SignedSecret) -> Self {
        Self(Method::Signed(secret))
    }

    /// `none`, `client_secret_basic` or `client_secret_post`: the registered name of the method.
    pub const fn name(&self) -> &'static str {
        match self.0 {
            Method::None => "none",
            Method::Basic(_) => "client_secret_basic",
            Method::Post(_) | Method::Signed(_) => "client_secret_post",
        }
    }

    /// Whether the client can prove who it is.
    pub const fn is_confidential(&self) -> bool {
        !matches!(self.0, Method::None)
    }

    pub(crate) const fn is_basic(&self) -> bool {
        matches!(self.0, Method::Basic(_))
    }

    /// The shared secret, to keep it out of URLs and error texts.
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.0 {
            Method::Basic(secret) | Method::Post(secret) => Some(secret.expose()),
            Method::None | Method::Signed(_) => None,
        }
    }

    /// Writes id and credentials into a request with this purpose (a grant type or an endpoint's
    /// name). `signed` is the JWT of [`Self::signed_secret`].
    pub(crate) fn apply(
        &self,
        id: &ClientId,
        rules: &Rules,
        request: Request<'_>,
        signed: Option<&str>,
    ) -> Result<(), Error> {
        let Request {
            purpose,
            form,
            headers,
        } = request;
        let id_parameter = rules.client_id_parameter();
        let (secret, in_body) = match &self.0 {
            Method::None => (None, true),
            Method::Basic(secret) => (
                Some(secret.expose().as_str()),
                rules.wants_body_credentials(purpose),
            ),
            Method::Post(secret) => (Some(secret.expose().as_str()), true),
            Method::Signed(_) => (signed, true),
        };
        if in_body {
            form.push(id_parameter, id.as_str());
            form.push_some("client_secret", secret);
        } else {
            headers.insert(
                AUTHORIZATION,
                basic(id.as_str(), secret.unwrap_or_default(), rules)?,
            );
        }
        Ok(())
    }
}

/// The parts of a request that authentication writes to.
pub(crate) struct Request<'a> {
    pub(crate) purpose: &'a str,
    pub(crate) form: &'a mut Form,
    pub(crate) headers: &'a mut HeaderMap,
}

/// The value of an `Authorization: Basic` header.
///
/// # Errors
/// `client_auth.colon_in_raw_id`, if the id is to be sent unencoded and holds a colon.
pub fn basic(id: &str, secret: &str, rules: &Rules) -> Result<HeaderValue, Error> {
    // Room for the worst case, so that no copy of the secret is left behind by growing.
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
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
    let mut text = Zeroizing::new(String::with_capacity(6 + (pair.len() + 2) / 3 * 4));
    text.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut text);
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::from(Misuse::HeaderValue))?;
    value.set_sensitive(true);
    Ok(value)
}
