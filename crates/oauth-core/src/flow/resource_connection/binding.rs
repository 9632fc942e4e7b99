//! Whether the tokens of an API are bound to a key (RFC 9449), and the algorithm of that key; or to a certificate (RFC
//! 8705).

use super::{ConnectRequest, Connection};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::certificate::KnownCertificate;
use crate::dpop::DpopKey;
use crate::endpoint::registration::Registration;
use crate::error::{Error, Misuse};
use crate::jose::Alg;

/// The algorithms of keys that are made for an API, best first.
const PREFERRED_ALGS: [Alg; 8] = [
    Alg::Es256,
    Alg::EdDsa,
    Alg::Ed25519,
    Alg::Es384,
    Alg::Es512,
    Alg::Ps256,
    Alg::Ps384,
    Alg::Ps512,
];

/// The metadata member with the algorithms of proofs that a server accepts (RFC 9449 section 5.1).
const SERVER_ALGS: &str = "dpop_signing_alg_values_supported";

impl ConnectRequest {
    /// Binds tokens to this key (RFC 9449), whether or not the API requires that: the client registers itself
    /// accordingly (section 5.2), and the connection fails if the API or its server does not accept proofs of such a
    /// key.
    #[must_use]
    pub fn dpop(mut self, key: DpopKey) -> Self {
        self.dpop = Some(key);
        self
    }

    /// The key to which tokens will be bound, if the caller has one.
    pub const fn dpop_key(&self) -> Option<&DpopKey> {
        self.dpop.as_ref()
    }

    /// Binds tokens to the certificate that the HTTP client presents (RFC 8705 section 3), as
    /// [`Client::with_certificate_bound_tokens`] does: the client registers itself accordingly (section 3.4).
    ///
    /// [`Client::with_certificate_bound_tokens`]: crate::Client::with_certificate_bound_tokens
    #[must_use]
    pub fn certificate_bound_tokens(mut self) -> Self {
        self.certificate = Some(KnownCertificate::default());
        self
    }

    /// Binds tokens to the certificate with this thumbprint, which the HTTP client presents, as
    /// [`Client::with_certificate`](crate::Client::with_certificate) does: the client registers itself accordingly.
    #[must_use]
    pub fn certificate(mut self, thumbprint: &str) -> Self {
        self.certificate = Some(KnownCertificate::from_thumbprint(thumbprint));
        self
    }

    /// Records the thumbprint of the certificate that the HTTP client presents, as
    /// [`Client::with_presented_certificate`](crate::Client::with_presented_certificate) does: stored tokens carry it with
    /// [`Self::certificate_bound_tokens`], and if the client authenticates with the certificate and the server's metadata
    /// says that it binds tokens.
    #[must_use]
    pub fn presented_certificate(mut self, thumbprint: &str) -> Self {
        self.presented_certificate = Some(thumbprint.to_owned());
        self
    }

    /// How the client registers itself, if it does.
    pub(super) fn registration(&self) -> Option<Registration> {
        let mut registration = self.registration.clone()?;
        if self.dpop.is_some() {
            registration.metadata.dpop_bound_access_tokens = Some(true);
        }
        if !IS_BROWSER_BUILD && self.certificate.is_some() {
            let bound = &mut registration
                .metadata
                .tls_client_certificate_bound_access_tokens;
            *bound = Some(true);
        }
        Some(registration)
    }
}

impl Connection {
    /// The algorithm of the key, if tokens must be bound to one: because the API accepts no others
    /// (`dpop_bound_access_tokens_required`, RFC 9728 section 2), or because the client is registered for that. The
    /// algorithm is the first preferred one that the API and its server accept.
    ///
    /// # Errors
    /// `key.algorithm` if they accept none of them.
    pub fn dpop_alg(&self) -> Result<Option<Alg>, Error> {
        let registered = self.registration.as_ref();
        let registered = registered.and_then(|client| client.metadata.dpop_bound_access_tokens);
        if !self.resource.requires_dpop && registered != Some(true) {
            return Ok(None);
        }
        let server = self.server.named_list(SERVER_ALGS);
        let lists = [self.resource.dpop_algs.as_deref(), server.as_deref()];
        let is_accepted = |alg: &Alg| {
            let mut lists = lists.iter().flatten();
            lists.all(|list| list.iter().any(|name| name == alg.as_str()))
        };
        let common_alg = PREFERRED_ALGS.into_iter().find(is_accepted);
        let none = || {
            let accepted: Vec<_> = lists.iter().flatten().map(|list| list.join(" ")).collect();
            let detail = format!("accepted for DPoP are {}", accepted.join(", and "));
            Error::from(Misuse::KeyAlgorithm).about(&detail)
        };
        common_alg.map(Some).ok_or_else(none)
    }

    /// Checks that the API and its server accept proofs of this key.
    ///
    /// # Errors
    /// `key.algorithm`.
    pub fn check_dpop_key(&self, key: &DpopKey) -> Result<(), Error> {
        key.check_algorithm(self.resource.dpop_algs.as_deref())?;
        key.check_algorithm(self.server.named_list(SERVER_ALGS).as_deref())
    }

    /// Checks that proofs of this key, or of one that is made for the API, will be accepted.
    pub(super) fn check_binding(&self, key: Option<&DpopKey>) -> Result<(), Error> {
        match key {
            Some(key) => self.check_dpop_key(key),
            None => self.dpop_alg().map(drop),
        }
    }
}
