//! Decryption keys: private keys from PEM and JWK, and shared secrets. An encrypted key that cannot be decrypted is
//! replaced by a random one, so that failures look alike (RFC 7516 section 11.5).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::{constant_time, digest};
use oauth_core::Secret;
use oauth_core::crypto::{Decrypter, DecryptionFailed, DecryptionJob};
use oauth_core::jose::{Curve, Enc, EphemeralKey, JweAlg};
use zeroize::Zeroizing;

use crate::decrypt::{self, Bytes};
use crate::{KeyError, der, jwk, private_key};

/// A key that decrypts in this process, for one algorithm. `Debug` shows only the algorithm.
///
/// ```
/// use oauth_core::jose::{Enc, JweAlg, ResponseEncryption};
/// use oauth_crypto::DecryptionKey;
///
/// # fn encryption(pem: &str) -> Result<ResponseEncryption, oauth_core::Error> {
/// let key = DecryptionKey::from_pem(pem, JweAlg::RsaOaep256)?.with_kid("2026-01");
/// // For `Client::with_id_token_encryption`.
/// Ok(ResponseEncryption::new(JweAlg::RsaOaep256, key).encs([Enc::A256Gcm]))
/// # }
/// ```
#[derive(Clone)]
pub struct DecryptionKey {
    alg: JweAlg,
    id: Option<String>,
    key: Arc<Key>,
}

enum Key {
    Rsa(OaepPrivateDecryptingKey),
    Agreement(Curve, agreement::PrivateKey),
    Shared(Secret<Vec<u8>>),
}

impl DecryptionKey {
    /// Reads a key in PEM ([`from_pem`](Self::from_pem)) or as a JWK ([`from_jwk`](Self::from_jwk)).
    ///
    /// # Errors
    /// The reason why the key was refused.
    pub fn read(text: &str, alg: JweAlg) -> Result<Self, KeyError> {
        if text.trim_start().starts_with('{') {
            Self::from_jwk(text, alg)
        } else {
            Self::from_pem(text, alg)
        }
    }

    /// Reads a private key in PEM: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
    ///
    /// # Errors
    /// Why the key was not accepted.
    pub fn from_pem(text: &str, alg: JweAlg) -> Result<Self, KeyError> {
        let (label, der) = der::private_pem(text)?;
        if rsa_padding(alg).is_some() {
            return match label {
                "PRIVATE KEY" => Self::from_rsa(&der, alg),
                "RSA PRIVATE KEY" => Self::from_rsa_numbers(&der, alg),
                _ => Err(KeyError::Algorithm),
            };
        }
        if !alg.has_ephemeral_key() || !["PRIVATE KEY", "EC PRIVATE KEY"].contains(&label) {
            return Err(KeyError::Algorithm);
        }
        let curves = [Curve::P256, Curve::P384, Curve::P521].into_iter();
        let mut keys = curves.filter_map(|curve| {
            let key = agreement::PrivateKey::from_private_key_der(ecdh(curve), &der);
            Some(Key::Agreement(curve, key.ok()?))
        });
        keys.next()
            .map(|key| Self::new(key, alg))
            .ok_or(KeyError::Algorithm)
    }

    /// Reads a private or symmetric JWK (RFC 7517). Its `alg`, if it has one, must be `alg`; its `use` and `key_ops`,
    /// if it has them, must permit decryption; its `kid` is the key's name.
    ///
    /// # Errors
    /// Why the key was not accepted.
    pub fn from_jwk(text: &str, alg: JweAlg) -> Result<Self, KeyError> {
        let jwk = jwk::PrivateJwk::parse(text)?;
        jwk.check_purpose(jwk::Purpose::Decryption)?;
        if jwk
            .text("alg")
            .is_some_and(|named_alg| named_alg != alg.as_str())
        {
            return Err(KeyError::Algorithm);
        }
        let key = match jwk.text("kty").unwrap_or_default() {
            "RSA" => Self::from_rsa_numbers(&jwk.rsa_private_key()?, alg)?,
            kty @ ("EC" | "OKP") if alg.has_ephemeral_key() => {
                let curve = match (kty, jwk.text("crv").unwrap_or_default()) {
                    ("EC", "P-256") => Curve::P256,
                    ("EC", "P-384") => Curve::P384,
                    ("EC", "P-521") => Curve::P521,
                    ("OKP", "X25519") => Curve::X25519,
                    _ => return Err(KeyError::Algorithm),
                };
                let key = agreement::PrivateKey::from_private_key(ecdh(curve), &jwk.bytes("d")?);
                let key = key.map_err(|_| KeyError::Algorithm)?;
                // Refuse a private key whose public half does not match: no later check would notice.
                let (x, y) = (
                    jwk.bytes("x")?,
                    jwk.optional_bytes("y")?.unwrap_or_default(),
                );
                let public = key.compute_public_key().map_err(|_| KeyError::Malformed)?;
                let encoded_point = point(curve, &x, &y);
                constant_time::verify_slices_are_equal(public.as_ref(), &encoded_point)
                    .map_err(|_| KeyError::Malformed)?;
                Self::new(Key::Agreement(curve, key), alg)
            }
            "oct" => Self::from_secret_bytes(&jwk.bytes("k")?, alg)?,
            "EC" | "OKP" => return Err(KeyError::Algorithm),
            _ => return Err(KeyError::Malformed),
        };
        Ok(match jwk.text("kid") {
            Some(id) => key.with_kid(id),
            None => key,
        })
    }

    /// A key of the octets of a shared secret, for `dir`, `A128KW`, `A128GCMKW` and similar ones.
    ///
    /// # Errors
    /// `Algorithm` for a secret without the length that the algorithm needs, and for algorithms that need a private
    /// key.
    pub fn from_secret_bytes(secret: &[u8], alg: JweAlg) -> Result<Self, KeyError> {
        let has_right_length = match alg {
            JweAlg::Dir => Enc::ALL.iter().any(|enc| enc.key_bytes() == secret.len()),
            _ if alg.has_ephemeral_key() => false,
            _ => alg.wrapping_bytes() == Some(secret.len()),
        };
        if has_right_length {
            Ok(Self::new(Key::Shared(Secret::new(secret.to_vec())), alg))
        } else {
            Err(KeyError::Algorithm)
        }
    }

    /// The key that is derived from a client secret (OpenID Connect Core section 10.2): the left part of its hash.
    /// `enc` determines its length if `alg` is `dir`.
    ///
    /// # Errors
    /// `Algorithm` for algorithms that need a private key.
    pub fn from_client_secret(secret: &str, alg: JweAlg, enc: Enc) -> Result<Self, KeyError> {
        let bytes = match alg {
            JweAlg::Dir => enc.key_bytes(),
            _ => alg.wrapping_bytes().ok_or(KeyError::Algorithm)?,
        };
        let hash = match bytes {
            ..=32 => &digest::SHA256,
            33..=48 => &digest::SHA384,
            _ => &digest::SHA512,
        };
        let hash = digest::digest(hash, secret.as_bytes());
        Self::from_secret_bytes(hash.as_ref().get(..bytes).unwrap_or_default(), alg)
    }

    /// Sets the key's name, which tokens may contain as `kid`.
    #[must_use]
    pub fn with_kid(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The key's algorithm.
    pub const fn alg(&self) -> JweAlg {
        self.alg
    }

    fn new(key: Key, alg: JweAlg) -> Self {
        let (id, key) = (None, Arc::new(key));
        Self { alg, id, key }
    }

    /// Reads an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    fn from_rsa_numbers(der: &[u8], alg: JweAlg) -> Result<Self, KeyError> {
        let pair = private_key::rsa_pair(der)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Malformed)?;
        Self::from_rsa(&Zeroizing::new(der.as_ref().to_vec()), alg)
    }

    fn from_rsa(der: &[u8], alg: JweAlg) -> Result<Self, KeyError> {
        if rsa_padding(alg).is_none() {
            return Err(KeyError::Algorithm);
        }
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError::Algorithm)?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::Malformed)?;
        if (2048..=8192).contains(&key.key_size_bits()) {
            Ok(Self::new(Key::Rsa(key), alg))
        } else {
            Err(KeyError::Algorithm)
        }
    }

    fn content_key(&self, job: &DecryptionJob) -> Result<Bytes, DecryptionFailed> {
        match &*self.key {
            Key::Rsa(key) => by_rsa(key, job),
            Key::Agreement(curve, key) => {
                let epk = job.ephemeral_key.as_ref().ok_or(DecryptionFailed)?;
                let shared = by_agreement(*curve, key, epk, job)?;
                if self.alg.is_direct() {
                    Ok(shared)
                } else {
                    decrypt::unwrap_content_key(&shared, job)
                }
            }
            Key::Shared(secret) if self.alg == JweAlg::Dir => {
                Ok(Zeroizing::new(secret.expose().clone()))
            }
            Key::Shared(secret) => decrypt::unwrap_content_key(secret.expose(), job),
        }
    }
}

impl Decrypter for DecryptionKey {
    fn decrypt(&self, job: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        // The algorithm is that of the key. A token that names another is refused.
        if job.alg != self.alg || job.encrypted_key.is_empty() != self.alg.is_direct() {
            return Err(DecryptionFailed);
        }
        let key = self.content_key(job)?;
        let mut plaintext = decrypt::decrypt_content(&key, job)?;
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }

    fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey")
            .field("alg", &self.alg)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// RSAES OAEP. "In the event of receiving an improperly formatted key ... the recipient substitutes a randomly
/// generated CEK and proceeds to the next step" (RFC 7516 section 11.5): so that timing reveals nothing about the key.
fn by_rsa(key: &OaepPrivateDecryptingKey, job: &DecryptionJob) -> Result<Bytes, DecryptionFailed> {
    let padding = rsa_padding(job.alg).ok_or(DecryptionFailed)?;
    let mut random = Zeroizing::new(vec![0; job.enc.key_bytes()]);
    rand::fill(&mut random).map_err(|_| DecryptionFailed)?;
    let mut output = Zeroizing::new(vec![0; key.min_output_size()]);
    let decrypted = key.decrypt(padding, &job.encrypted_key, &mut output, None);
    Ok(match decrypted {
        Ok(decrypted) if decrypted.len() == random.len() => Zeroizing::new(decrypted.to_vec()),
        _ => random,
    })
}

/// ECDH-ES (RFC 7518 section 4.6). A point that is not on the curve would reveal the private key to an attacker who can
/// send several: the library refuses it.
fn by_agreement(
    curve: Curve,
    key: &agreement::PrivateKey,
    epk: &EphemeralKey,
    job: &DecryptionJob,
) -> Result<Bytes, DecryptionFailed> {
    if epk.curve != curve {
        return Err(DecryptionFailed);
    }
    let peer = UnparsedPublicKey::new(ecdh(curve), point(curve, &epk.x, &epk.y));
    agreement::agree(key, peer, DecryptionFailed, |secret| {
        decrypt::derive_content_key(secret, job)
    })
}

/// The uncompressed point (SEC 1 section 2.3.3), or the bytes of an X25519 key.
pub(crate) fn point(curve: Curve, x: &[u8], y: &[u8]) -> Vec<u8> {
    match curve {
        Curve::X25519 => x.to_vec(),
        _ => [&[4][..], x, y].concat(),
    }
}

pub(crate) const fn ecdh(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
        Curve::X25519 => &X25519,
    }
}

pub(crate) const fn rsa_padding(alg: JweAlg) -> Option<&'static OaepAlgorithm> {
    match alg {
        JweAlg::RsaOaep => Some(&OAEP_SHA1_MGF1SHA1),
        JweAlg::RsaOaep256 => Some(&OAEP_SHA256_MGF1SHA256),
        _ => None,
    }
}
