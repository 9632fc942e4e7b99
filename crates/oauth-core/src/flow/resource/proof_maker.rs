//! Proof of possession in requests to an API (RFC 9449 section 7).
//!
//! Without the feature `sha2` no [`ProofMaker`] can be made, because a proof contains a hash.

use std::sync::{Arc, PoisonError, RwLock};

use crate::http::{HeaderMap, HeaderValue};

use crate::client_auth;
#[cfg(feature = "sha2")]
use crate::client_config::ClientConfig;
use crate::client_config::Shared;
use crate::crypto::SigningKey;
use crate::dpop::{self, DpopKey, ServerRole};
use crate::error::{Error, Misuse};
use crate::exchange::SigningJob;
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::url::Url;

/// A client's DPoP key, and the nonces that all clones of the client share.
#[derive(Debug, Clone)]
pub(super) struct ProofMaker {
    key: DpopKey,
    shared: Arc<Shared>,
}

/// The DPoP key of an API's tokens, for hosts that set up calls before the client of the tokens is known. Cheap to
/// clone; clones share the key.
#[derive(Debug, Clone, Default)]
pub struct Proofs(Arc<RwLock<Option<ProofMaker>>>);

impl Proofs {
    pub(super) fn proof_maker(&self) -> Option<ProofMaker> {
        let maker = self.0.read().unwrap_or_else(PoisonError::into_inner);
        maker.clone()
    }

    /// Uses the key and nonces of this client from now on; none if it has no key.
    #[cfg(feature = "sha2")]
    pub(crate) fn use_client(&self, config: &ClientConfig) {
        let mut maker = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *maker = config.dpop.clone().map(|key| ProofMaker {
            key,
            shared: Arc::clone(&config.shared),
        });
    }
}

/// A proof, or the job of signing it.
pub(super) enum ProofStep {
    Ready(HeaderValue),
    Sign(SigningJob, UnsignedProof),
}

/// A proof that waits for the host's signature.
pub(super) struct UnsignedProof {
    key: SigningKey,
    input: String,
}

impl ProofMaker {
    /// A proof maker with the client's DPoP key.
    ///
    /// # Errors
    /// `key.missing`.
    #[cfg(feature = "sha2")]
    pub(super) fn from_config(config: &ClientConfig) -> Result<Self, Error> {
        Ok(Self {
            key: config.dpop.clone().ok_or(Misuse::KeyMissing)?,
            shared: Arc::clone(&config.shared),
        })
    }

    #[cfg(feature = "sha2")]
    pub(super) fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    /// The proof for one request: each needs its own, even if it is sent again (section 11.1).
    pub(super) fn prove(
        &self,
        at: &Moment,
        method: &str,
        url: &Url,
        token: &Secret<String>,
    ) -> Result<ProofStep, Error> {
        let mut input = self.signing_input(at, method, url, token)?;
        let key = self.key.signing_key();
        if key.sign_in_place(&mut input)? {
            return client_auth::header_value(input).map(ProofStep::Ready);
        }
        let (key, job) = (key.clone(), key.job(input.clone()));
        Ok(ProofStep::Sign(job, UnsignedProof { key, input }))
    }

    #[cfg(feature = "sha2")]
    fn signing_input(
        &self,
        at: &Moment,
        method: &str,
        url: &Url,
        token: &Secret<String>,
    ) -> Result<String, Error> {
        let proof = dpop::Proof {
            method,
            url,
            token: Some(token),
            nonce: self
                .shared
                .nonces
                .newest_nonce(ServerRole::ResourceServer, url),
            issued_at: self.issues_at(at, url),
        };
        self.key.signing_input(&proof, at)
    }

    #[cfg(not(feature = "sha2"))]
    fn signing_input(
        &self,
        _: &Moment,
        _: &str,
        _: &Url,
        _: &Secret<String>,
    ) -> Result<String, Error> {
        Err(Misuse::KeyMissing.into())
    }

    /// The `iat` of a proof made now, by the resource server's clock.
    pub(super) fn issues_at(&self, at: &Moment, url: &Url) -> UnixTime {
        let clocks = &self.shared.clocks;
        clocks.server_time(ServerRole::ResourceServer, url, at.now())
    }

    /// Corrects the clock difference from the `Date` of a refused proof. True if it changed, so that a retry makes sense.
    pub(super) fn corrects_clock(
        &self,
        at: &Moment,
        url: &Url,
        headers: &HeaderMap,
        issued_at: UnixTime,
    ) -> bool {
        let (clocks, role) = (&self.shared.clocks, ServerRole::ResourceServer);
        clocks.correct_from_date(role, url, headers, at.now(), issued_at)
    }

    /// Checks that the key's algorithm is accepted.
    ///
    /// # Errors
    /// `key.algorithm` if the key's algorithm is not accepted.
    pub(super) fn check(&self, accepted: Option<&[String]>) -> Result<(), Error> {
        self.key.check_algorithm(accepted)
    }

    /// Remembers the nonce of a reply (section 9). True if there was one. If there are several nonces, none is
    /// remembered, because it is unknown which is meant; the caller still gets the reply.
    pub(super) fn update_from_reply(&self, url: &Url, headers: &HeaderMap) -> bool {
        let Ok(Some(nonce)) = dpop::nonce_field(headers) else {
            return false;
        };
        self.shared
            .nonces
            .store_nonce(ServerRole::ResourceServer, url, nonce);
        true
    }
}

impl UnsignedProof {
    /// Adds the signature that the host made.
    ///
    /// # Errors
    /// `client_auth.signature_length`.
    pub(super) fn signed(&self, signature: &bytes::Bytes) -> Result<HeaderValue, Error> {
        let jws = self.key.finish(&self.input, signature)?;
        client_auth::header_value(jws.into_inner())
    }
}
