//! The registered properties of a client: how its tokens are bound, and how messages to and from it are signed and
//! encrypted. A client is registered in `dynamic_registration.rs`.

use std::sync::Arc;

use super::Client;
use crate::client_config::TokenBinding;
use crate::dpop::DpopKey;
use crate::jose::{Alg, ResponseEncryption};
use crate::profile::{Profile, Requirement};
use crate::quirk::Strictness;
use crate::request_encryption::RequestEncryption;
use crate::request_signing::RequestSigning;

impl Client {
    /// Asks for tokens that are bound to this key, and takes no others (RFC 9449).
    #[must_use]
    pub fn with_dpop(mut self, key: DpopKey) -> Self {
        Arc::make_mut(&mut self.0).dpop = Some(key);
        self
    }

    /// The key that its tokens are bound to (RFC 9449).
    pub fn dpop_key(&self) -> Option<&DpopKey> {
        self.0.dpop.as_ref()
    }

    /// Its tokens are bound to the certificate that the HTTP client shows
    /// (`tls_client_certificate_bound_access_tokens`, RFC 8705 section 3), whatever way it authenticates: requests go
    /// to the server's mutual-TLS aliases, if any.
    #[must_use]
    pub fn with_certificate_bound_tokens(mut self) -> Self {
        Arc::make_mut(&mut self.0).token_binding = TokenBinding::Certificate;
        self
    }

    /// Keeps to this profile: what it requires is turned on, and what it forbids is refused before anything is sent.
    ///
    /// # Errors
    /// None here. Every call of a client that the profile forbids ends with `profile.forbidden`, which names the
    /// clause.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
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

    /// Encrypts every authorization request to a key of the server, after it was signed (RFC 9101 section 4).
    #[must_use]
    pub fn with_request_encryption(mut self, encryption: RequestEncryption) -> Self {
        Arc::make_mut(&mut self.0).request_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts authorization responses that are signed by these algorithms, and no others, where signed ones are
    /// asked for: what the client is registered with (`authorization_signed_response_alg`, JARM section 3).
    #[must_use]
    pub fn with_authorization_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).authorization_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts signed authorization responses that are encrypted like this, and no plain ones: what the client is
    /// registered with (`authorization_encrypted_response_alg`).
    #[must_use]
    pub fn with_authorization_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).authorization_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts ID tokens that are signed by these algorithms, and no others: what the client is registered
    /// with (`id_token_signed_response_alg`). One with a shared secret is never accepted without this.
    #[must_use]
    pub fn with_id_token_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).id_token_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts ID tokens that name these audiences beside the client, such as the project of a Zitadel
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

    /// Accepts ID tokens that are encrypted like this, and no plain ones: what the client is registered with
    /// (`id_token_encrypted_response_alg`). Without this no encrypted one is accepted.
    #[must_use]
    pub fn with_id_token_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).id_token_encryption = Some(Arc::new(encryption));
        self
    }

    /// Accepts UserInfo responses that are signed by these algorithms, and no others, nor plain JSON: what
    /// the client is registered with (`userinfo_signed_response_alg`).
    #[must_use]
    pub fn with_userinfo_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        Arc::make_mut(&mut self.0).userinfo_algs = Some(algs.into_iter().collect());
        self
    }

    /// Accepts UserInfo responses that are encrypted like this, and no plain ones: what the client is
    /// registered with (`userinfo_encrypted_response_alg`). Inside is a signed response with
    /// [`Self::with_userinfo_algs`], and a JSON object without (OpenID Connect Core section 5.3.2).
    #[must_use]
    pub fn with_userinfo_encryption(mut self, encryption: ResponseEncryption) -> Self {
        Arc::make_mut(&mut self.0).userinfo_encryption = Some(Arc::new(encryption));
        self
    }
}
