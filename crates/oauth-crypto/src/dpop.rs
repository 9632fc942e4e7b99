//! DPoP keys in this process (RFC 9449).

use oauth_core::dpop;
use oauth_core::error::{Error, Misuse};
use oauth_core::jose::Alg;
use zeroize::Zeroizing;

use crate::private_key::{KeyError, PrivateKey};

/// The algorithms of DPoP proofs, the usual one first: "an asymmetric digital
/// signature algorithm" (RFC 9449 section 4.2).
const ALGS: [Alg; 10] = [
    Alg::Es256,
    Alg::Ed25519,
    Alg::Es384,
    Alg::Es512,
    Alg::Ps256,
    Alg::Rs256,
    Alg::Ps384,
    Alg::Ps512,
    Alg::Rs384,
    Alg::Rs512,
];

/// A private key to which tokens are bound. `Debug` shows only its algorithm.
///
/// ```
/// use oauth_crypto::DpopKey;
///
/// let key = DpopKey::generate(oauth_core::jose::Alg::Es256)?;
/// let stored = key.to_pem()?;
/// let again = DpopKey::read(&stored, None)?;
/// assert_eq!(again.to_core()?.thumbprint(), key.to_core()?.thumbprint());
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DpopKey(PrivateKey);

impl DpopKey {
    /// Generates a new key.
    ///
    /// # Errors
    /// `key.algorithm` for an algorithm with a shared secret, `key.malformed` if the system could not generate one.
    pub fn generate(alg: Alg) -> Result<Self, Error> {
        Ok(Self(PrivateKey::generate(alg)?))
    }

    /// Reads a private key in PEM (PKCS#8, PKCS#1, SEC1) or as a JWK: for this algorithm, or for the first with which
    /// it can sign.
    ///
    /// # Errors
    /// `key.malformed`, `key.encrypted`, `key.algorithm`.
    pub fn read(text: &str, alg: Option<Alg>) -> Result<Self, Error> {
        let private_key = match &alg {
            Some(alg) => PrivateKey::read(text, std::slice::from_ref(alg)),
            None => PrivateKey::read(text, &ALGS),
        };
        Ok(Self(private_key?))
    }

    /// The key as a type of the core.
    ///
    /// # Errors
    /// `key.algorithm`.
    pub fn to_core(&self) -> Result<dpop::DpopKey, Error> {
        dpop::DpopKey::new(self.0.signing_key(""), self.0.public_jwk().clone())
    }

    /// The key as PKCS#8 in PEM, to store: it is secret.
    ///
    /// # Errors
    /// `key.malformed` if the key cannot be written.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        self.0
            .to_pem()
            .map_err(|_: KeyError| Misuse::KeyMalformed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpop_key_round_trips_through_pem_and_debug_hides_it() -> Result<(), Error> {
        for alg in [Alg::Es256, Alg::Es384, Alg::Es512, Alg::Ed25519] {
            let key = DpopKey::generate(alg)?;
            let pem = key.to_pem()?;
            let reread = DpopKey::read(&pem, Some(alg))?;
            assert_eq!(reread.to_core()?.thumbprint(), key.to_core()?.thumbprint());
            let inside: String = pem.lines().skip(1).take(1).collect();
            assert!(!format!("{key:?}").contains(&inside));
        }
        let [one, other] = [
            DpopKey::generate(Alg::Es256)?,
            DpopKey::generate(Alg::Es256)?,
        ];
        assert_ne!(one.to_core()?.thumbprint(), other.to_core()?.thumbprint());
        Ok(())
    }

    #[test]
    fn hmac_algorithms_are_refused_for_dpop_keys() {
        for alg in [Alg::Hs256, Alg::Hs384, Alg::Hs512] {
            let made = DpopKey::generate(alg).map(drop);
            assert_eq!(made.map_err(|error| error.code()), Err("key.algorithm"));
        }
    }
}
