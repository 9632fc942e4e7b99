//! DPoP keys (RFC 9449), as strings.

use oauth_core::crypto::SigningKey;
use oauth_core::dpop;
use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::Holder;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::{Client as Core, Secret, json};

/// A private key to which tokens are bound.
#[derive(Debug, Clone)]
pub struct DpopKey {
    /// `None` if the key is held elsewhere.
    private: Option<oauth_crypto::DpopKey>,
    core: dpop::DpopKey,
}

impl DpopKey {
    /// Wraps this key, for example from a store.
    ///
    /// # Errors
    /// `key.algorithm`.
    pub fn new(private: oauth_crypto::DpopKey) -> Result<Self, Error> {
        let core = private.to_core()?;
        Ok(Self {
            private: Some(private),
            core,
        })
    }

    /// A key that is held elsewhere (KMS, HSM), by its public half as a JWK: each
    /// [`SigningJob`](oauth_core::exchange::SigningJob) has this holder.
    ///
    /// # Errors
    /// `key.malformed` if it is not a public JWK, `key.algorithm` if the key does not fit the algorithm.
    pub fn with_external_signer(
        alg: &str,
        public_jwk: &str,
        holder: Holder,
    ) -> Result<Self, Error> {
        let key = SigningKey::host("dpop", alg_from_name(alg)?).held_by(holder);
        let core = dpop::DpopKey::new(key, PublicJwk::parse(public_jwk)?)?;
        Ok(Self {
            private: None,
            core,
        })
    }

    /// Generates a new key of this algorithm, such as `ES256`.
    ///
    /// # Errors
    /// `key.algorithm`, `key.malformed`.
    pub fn generate(alg: &str) -> Result<Self, Error> {
        Self::new(oauth_crypto::DpopKey::generate(alg_from_name(alg)?)?)
    }

    /// Reads a private key in PEM or as a JWK, decrypted with a passphrase if there is one: for this algorithm, or the
    /// first with which it can sign.
    ///
    /// # Errors
    /// `key.*`.
    pub fn read(
        text: &Secret<String>,
        alg: Option<&str>,
        passphrase: Option<&Secret<String>>,
    ) -> Result<Self, Error> {
        let alg = alg.map(alg_from_name).transpose()?;
        let text = match passphrase {
            Some(passphrase) => oauth_crypto::decrypt_pem(text.expose(), passphrase)?,
            None => text.clone(),
        };
        Self::new(oauth_crypto::DpopKey::read(text.expose(), alg)?)
    }

    /// The JWK thumbprint that bound tokens carry (`jkt`, section 6.1).
    pub fn thumbprint(&self) -> String {
        self.core.thumbprint()
    }

    /// The key's public half as a JWK, in JSON.
    pub fn public_jwk(&self) -> String {
        json::value_text(&self.core.public_jwk().to_value())
    }

    /// The key as PKCS#8 in PEM, to store where secrets belong.
    ///
    /// # Errors
    /// `key.malformed` if the key cannot be written, `misuse.setup` for one that is held elsewhere.
    pub fn private_pem(&self) -> Result<Secret<String>, Error> {
        let elsewhere =
            || Error::from(Misuse::Setup).about("this key lives elsewhere, and stays there");
        let private = self.private.as_ref().ok_or_else(elsewhere)?;
        Ok(Secret::new(private.to_pem()?.to_string()))
    }

    /// The key, in the form that clients and connections use.
    pub const fn core(&self) -> &dpop::DpopKey {
        &self.core
    }

    /// The client with tokens bound to this key.
    pub(crate) fn configure(&self, client: Core) -> Core {
        client.with_dpop(self.core.clone())
    }
}

/// The algorithm of this name.
///
/// # Errors
/// `key.algorithm` for an unknown name.
pub fn alg_from_name(name: &str) -> Result<Alg, Error> {
    Alg::from_name(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))
}
