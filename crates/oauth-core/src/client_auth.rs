//! Client authentication (RFC 6749 section 2.3). The method is selected in `client_auth/choice.rs`.

mod assertion;
mod choice;
mod federated;
mod jwt_methods;
mod signed_secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::browser_build::IS_BROWSER_BUILD;

use crate::http::HeaderValue;

use crate::base64::{self, Alphabet};
use crate::client_id::has_blank_ends;
use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::form::{self, Form};
pub(crate) use crate::header::header_value;
use crate::quirk::{Quirk, Rules};
use crate::secret::Secret;

pub use crate::workload::{AssertionRequest, AssertionSource};
pub use assertion::{AssertionAudience, ClientAssertion, PRIVATE_KEY_ALGS};
pub use choice::{Certificate, Credentials};
pub(crate) use federated::is_spiffe_id;
pub use federated::{AssertionProfile, ClientIdParameter, FederatedAssertion};
pub(crate) use jwt_methods::{ClientJwt, ClientJwtOutcome, Origin, Remote, RequestFacts};
pub use signed_secret::SignedSecret;

/// How the client authenticates: by exactly one method.
#[derive(Debug, Clone)]
pub struct ClientAuth(pub(crate) Method);

#[derive(Debug, Clone)]
pub(crate) enum Method {
    None,
    Unnamed,
    Basic(Secret<String>),
    Post(Secret<String>),
    Jwt(Arc<dyn ClientJwt>),
    Tls(Certificate),
}

impl ClientAuth {
    /// A public client, which sends only its id (`none`).
    pub const fn none() -> Self {
        Self(Method::None)
    }

    /// Sends no client id: for grants whose assertion names the client ("the client_id is unnecessary", RFC 7521
    /// section 4.1), such as those of service accounts ([`Client::with_own_assertion`]).
    ///
    /// [`Client::with_own_assertion`]: crate::Client::with_own_assertion
    pub const fn without_client_id() -> Self {
        Self(Method::Unnamed)
    }

    /// `client_secret_basic`: form-encoded, then Basic (RFC 6749 section 2.3.1).
    pub fn basic(secret: impl Into<Secret<String>>) -> Self {
        Self(Method::Basic(secret.into()))
    }

    /// `client_secret_post`: id and secret in the form body, never in a URL.
    pub fn post(secret: impl Into<Secret<String>>) -> Self {
        Self(Method::Post(secret.into()))
    }

    /// A `client_secret` that is a JWT the client signs for each request, as Sign in with Apple requires. The key stays
    /// with the host: the exchange asks for each signature with [`crate::Step::Sign`].
    pub fn signed_secret(secret: SignedSecret) -> Self {
        Self(Method::Jwt(Arc::new(secret)))
    }

    /// `private_key_jwt` or `client_secret_jwt`: a new assertion for each request (RFC 7523
    /// section 2.2). The client's own key signs it, in this process or with the host, which is asked with
    /// [`crate::Step::Sign`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use oauth_core::client_auth::ClientAssertion;
    /// use oauth_core::crypto::SigningKey;
    /// use oauth_core::jose::Alg;
    /// use oauth_core::ClientAuth;
    ///
    /// // A key that a key service holds; `oauth_crypto::PrivateKey` reads one from PEM.
    /// let key = SigningKey::host("signing-key-2026", Alg::Es256);
    /// let auth = ClientAuth::assertion(ClientAssertion::new(key));
    /// assert_eq!(auth.name(), "private_key_jwt");
    /// ```
    pub fn assertion(assertion: ClientAssertion) -> Self {
        Self(Method::Jwt(Arc::new(assertion)))
    }

    /// A workload's token instead of a key of the client (RFC 7521 section 4.2): it is read again for each request, and
    /// another time if the server refuses it (`invalid_client`) and it has been replaced in the meantime. A service
    /// that issues it is asked only once for each request.
    pub fn federated(assertion: FederatedAssertion) -> Self {
        Self(Method::Jwt(Arc::new(assertion)))
    }

    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705): the certificate of the
    /// connection authenticates the client, and the request only names it. The HTTP client holds the certificate;
    /// requests go to the server's mutual-TLS aliases (`mtls_endpoint_aliases`), if any. So does `spiffe_x509`, whose client
    /// id is a SPIFFE ID.
    pub const fn tls(certificate: Certificate) -> Self {
        Self(Method::Tls(certificate))
    }

    /// The registered name of the method, such as `client_secret_basic`.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            // Browser builds have no other method.
            _ if IS_BROWSER_BUILD => "none",
            Method::None | Method::Unnamed => "none",
            Method::Basic(_) => "client_secret_basic",
            Method::Post(_) => "client_secret_post",
            Method::Jwt(jwt) => jwt.name(),
            Method::Tls(Certificate::Pki) => "tls_client_auth",
            Method::Tls(Certificate::SelfSigned) => "self_signed_tls_client_auth",
            Method::Tls(Certificate::Svid) => "spiffe_x509",
        }
    }

    /// Whether the client authenticates, so is not a public client.
    pub const fn is_confidential(&self) -> bool {
        !IS_BROWSER_BUILD && !matches!(self.0, Method::None | Method::Unnamed)
    }

    /// The shared secret, to keep it out of URLs and error texts.
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.0 {
            _ if IS_BROWSER_BUILD => None,
            Method::Basic(secret) | Method::Post(secret) => Some(secret.expose()),
            Method::Jwt(jwt) => jwt.secret(),
            Method::None | Method::Unnamed | Method::Tls(_) => None,
        }
    }

    /// Refuses a client secret with whitespace at an end: RFC 6749 appendix A.2 allows no line break in a secret, and a
    /// space there was pasted by mistake. The server would only report a wrong secret.
    ///
    /// # Errors
    /// `client_auth.secret_syntax`.
    pub(crate) fn check_secret(&self) -> Result<(), Error> {
        match self.secret() {
            Some(secret) if has_blank_ends(secret) => Err(Misuse::SecretSyntax.into()),
            _ => Ok(()),
        }
    }

    /// The client secret, if there is one that the server knows too: keys are derived from it (OpenID Connect Core
    /// section 10.2).
    pub fn client_secret(&self) -> Option<Secret<String>> {
        self.secret().map(Secret::from)
    }

    /// The client's own key, if it authenticates with one (`private_key_jwt`).
    pub fn signing_key(&self) -> Option<&SigningKey> {
        self.jwt()?.key()
    }

    /// The JWTs of the method, if it uses any.
    pub(crate) fn jwt(&self) -> Option<&dyn ClientJwt> {
        match &self.0 {
            Method::Jwt(jwt) if !IS_BROWSER_BUILD => Some(&**jwt),
            _ => None,
        }
    }

    /// Writes the client's identification and credentials into a form, by one method only (RFC 6749 section 2.3). `jwt`
    /// is the JWT made for this request, if the method uses one.
    pub(crate) fn write(&self, client_id: (&str, &str), jwt: Option<&str>, form: &mut Form) {
        match (self.jwt(), jwt) {
            (Some(method), Some(jwt)) => method.write(client_id, jwt, form),
            _ if matches!(self.0, Method::Unnamed) => {}
            _ => {
                let (parameter, id) = client_id;
                form.push(parameter, id);
                // A secret that is the key of an HMAC is never sent, not even if there is no JWT.
                let is_sent = self.jwt().is_none();
                form.push_some("client_secret", self.secret().filter(|_| is_sent));
            }
        }
    }
}

/// The value of an `Authorization: Basic` header.
///
/// # Errors
/// `client_auth.colon_in_raw_id`, if the id is to be sent unencoded and contains a colon.
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
