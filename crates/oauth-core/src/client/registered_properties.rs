//! The registered properties of a client: how its tokens are bound, and how messages to and from it are signed and
//! encrypted. A client is registered in `dynamic_registration.rs`; what the server registered instead of what was
//! requested (RFC 7591 section 3.2.1) is read in `registered_client/response.rs`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Client;
use crate::certificate::KnownCertificate;
use crate::client_config::TokenBinding;
use crate::dpop::DpopKey;
use crate::jose::{Alg, ResponseEncryption};
use crate::quirk::Strictness;
use crate::request_encryption::RequestEncryption;
use crate::request_signing::RequestSigning;
use crate::security_profile::{Requirement, SecurityProfile};
use crate::server::FlagDefault;

impl Client {
    /// Requests tokens that are bound to this key, and accepts no others (RFC 9449), unless the server is known to bind
    /// none ([`Quirk::UnboundTokens`](crate::quirk::Quirk::UnboundTokens)).
    #[must_use]
    pub fn with_dpop(mut self, key: DpopKey) -> Self {
        Arc::make_mut(&mut self.0).dpop = Some(key);
        self
    }

    /// The key to which the client's tokens are bound (RFC 9449).
    pub fn dpop_key(&self) -> Option<&DpopKey> {
        self.0.dpop.as_ref()
    }

    /// Expects tokens that are bound to the certificate that the HTTP client presents
    /// (`tls_client_certificate_bound_access_tokens`, RFC 8705 section 3), however the client authenticates: requests
    /// go to the server's mutual-TLS aliases, if any.
    #[must_use]
    pub fn with_certificate_bound_tokens(mut self) -> Self {
        Arc::make_mut(&mut self.0).token_binding = TokenBinding::Certificate;
        self
    }

    /// Expects tokens that are bound to the certificate with this thumbprint (`x5t#S256`: the base64url of its SHA-256,
    /// RFC 8705 section 3.1), which the HTTP client presents. Stored tokens then carry the thumbprint: after the
    /// certificate is replaced, a session renews a token that is bound to the old one and does not send it. For a
    /// public client the refresh token is bound too (section 4), so the user has to sign in again (`key.mismatch`).
    #[must_use]
    pub fn with_certificate(self, thumbprint: &str) -> Self {
        self.with_known_certificate(KnownCertificate::from_thumbprint(thumbprint))
    }

    /// Records the thumbprint of the certificate that the HTTP client presents. The effect is that of
    /// [`Self::with_certificate`] if tokens are expected to be bound to a certificate: because of
    /// [`Self::with_certificate_bound_tokens`], or because the client authenticates with the certificate and the server's
    /// metadata says that it binds tokens (`tls_client_certificate_bound_access_tokens`, RFC 8705 section 3.3).
    #[must_use]
    pub fn with_presented_certificate(self, thumbprint: &str) -> Self {
        let config = &self.0;
        let is_announced = || {
            let announced = "tls_client_certificate_bound_access_tokens";
            config.shows_certificate() && config.server.flag(announced, FlagDefault::False)
        };
        if config.token_binding == TokenBinding::Certificate || is_announced() {
            self.with_certificate(thumbprint)
        } else {
            self
        }
    }

    pub(crate) fn with_known_certificate(mut self, certificate: KnownCertificate) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.token_binding = TokenBinding::Certificate;
        config.certificate = certificate;
        self
    }

    /// Applies this profile: enables what it requires, and refuses what it forbids before anything is sent.
    ///
    /// # Errors
    /// None here. Every later call that the profile forbids fails with `profile.forbidden`, which names the
    /// clause.
    #[must_use]
    pub fn with_profile(mut self, profile: SecurityProfile) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.profile = Some(profile);
        if profile.requires(Requirement::StrictReading) {
            config.server.set_strictness(Strictness::Strict);
        }
        self
    }

    /// Signs every authorization request (RFC 9101).
    #[must_use]
    pub fn with_request_signing(mut self, signing: RequestSigning) -> Self {
        Arc::make_mut(&mut self.0).request_signing = Some(signing);
        self
    }

    /// Encrypts every authorization request to a key of the server, after it has been signed (RFC 9101 section 4).
    #[must_use]
    pub fn with_request_encryption(mut self, encryption: RequestEncryption) -> Self {
        Arc::make_mut(&mut self.0).request_encryption = Some(Arc::new(encryption));
        self
    }

    /// If signed authorization responses are requested, accepts only those signed by these algorithms: as the
    /// client is registered (`authorization_signed_response_alg`, JARM section 3).
    #[must_use]
    pub fn with_authorization_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).authorization_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts only signed authorization responses that are encrypted like this, and no plain ones: as the client is
    /// registered (`authorization_encrypted_response_alg`).
    #[must_use]
    pub fn with_authorization_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).authorization_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts only ID tokens that are signed by these algorithms: as the client is registered
    /// (`id_token_signed_response_alg`). An algorithm with a shared secret is never accepted without this.
    #[must_use]
    pub fn with_id_token_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).id_token_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts ID tokens and logout tokens that name these audiences besides the client, such as the project of a Zitadel
    /// application. Any other is refused (OpenID Connect Core section 3.1.3.7, item 3).
    #[must_use]
    pub fn with_trusted_audiences<T: Into<String>>(
        mut self,
        audiences: impl IntoIterator<Item = T>,
    ) -> Self {
        let audiences = audiences.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.0).trusted_audiences = audiences;
        self
    }

    /// Accepts only ID tokens that are encrypted like this, and no plain ones: as the client is registered
    /// (`id_token_encrypted_response_alg`). Without this, no encrypted ID token is accepted.
    #[must_use]
    pub fn with_id_token_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).id_token_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts only UserInfo responses that are signed by these algorithms, and no plain JSON: as the client is
    /// registered (`userinfo_signed_response_alg`).
    #[must_use]
    pub fn with_userinfo_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).userinfo_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts only UserInfo responses that are encrypted like this, and no plain ones: as the client is registered
    /// (`userinfo_encrypted_response_alg`). It contains a signed response with [`Self::with_userinfo_algs`], and a JSON
    /// object without it (OpenID Connect Core section 5.3.2).
    #[must_use]
    pub fn with_userinfo_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).userinfo_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts only access tokens that are encrypted like this, and no plain ones, in the verifiers of
    /// [`Self::access_token_verifier`]: see [`AccessTokenVerifier::with_encryption`].
    ///
    /// [`AccessTokenVerifier::with_encryption`]: crate::flow::access_token::AccessTokenVerifier::with_encryption
    #[must_use]
    pub fn with_access_token_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).access_token_encryption = Some(Arc::new(encryption));
        self
    }
}
