//! Private keys: parsed from PEM and JWK, or generated.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use oauth_core::Error;
use oauth_core::crypto::{Signer, SigningKey};
use oauth_core::error::Cause;
use oauth_core::jose::{Alg, PublicJwk};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::der;
use crate::jwk::{PrivateJwk, Purpose, is_jwk};

/// The sizes of RSA keys (RFC 7518 section 3.3).
const MIN_RSA_BYTES: usize = 2048 / 8;
const MAX_RSA_BYTES: usize = 8192 / 8;

/// A private key that signs in this process. `Debug` shows only its algorithm.
#[derive(Clone)]
pub struct PrivateKey {
    alg: Alg,
    pair: Arc<KeyPair>,
    public: PublicJwk,
}

enum KeyPair {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// The reason why a string is not a usable key. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither PEM with a private key nor a JWK of one.
    Malformed,
    /// An encrypted key: decrypt it with [`decrypt_pem`](crate::decrypt_pem).
    Encrypted,
    /// The passphrase does not decrypt the key.
    Passphrase,
    /// A key that is encrypted by an unsupported method.
    Encryption,
    /// A key of the wrong type for the algorithm, or of a size that is not allowed.
    Algorithm,
    /// A JWK whose `use` or `key_ops` is for something else, such as encryption.
    Purpose,
    /// The system could not generate a key.
    Generation,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "neither a private key in PEM (PKCS#8, PKCS#1, SEC1) nor a private JWK (of RSA, \
                 with two primes and their exponents)"
            }
            Self::Encrypted => "the key is encrypted, and there is no passphrase",
            Self::Passphrase => "the passphrase does not decrypt the key",
            Self::Encryption => {
                "the key is encrypted otherwise than by PBES2 with PBKDF2 of at most ten million \
                 iterations and AES-CBC: convert it with openssl pkcs8 -topk8 -v2 aes256"
            }
            Self::Algorithm => {
                "the key does not support this algorithm, or has a size that is not allowed"
            }
            Self::Purpose => "the key's use or key_ops does not permit this",
            Self::Generation => "the system could not make a key",
        })
    }
}

impl std::error::Error for KeyError {}

impl PrivateKey {
    /// Reads a private key in PEM or as a JWK, for the first of these algorithms that it can sign with.
    ///
    /// # Errors
    /// The reason why the key was refused; `Algorithm` if it fits none of them.
    pub fn read(text: &str, candidates: &[Alg]) -> Result<Self, KeyError> {
        let read_as = |alg| {
            if is_jwk(text) {
                Self::from_jwk(text, alg)
            } else {
                Self::from_pem(text, alg)
            }
        };
        let mut last_error = KeyError::Algorithm;
        for alg in candidates {
            match read_as(*alg) {
                Err(KeyError::Algorithm) => {}
                Err(error) => last_error = error,
                key => return key,
            }
        }
        Err(last_error)
    }

    /// Reads a private key in PEM: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
    ///
    /// # Errors
    /// The reason why the key was refused.
    pub fn from_pem(text: &str, alg: Alg) -> Result<Self, KeyError> {
        let (label, der) = der::private_pem(text)?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(&der, alg),
            "RSA PRIVATE KEY" if is_rsa(alg) => Self::from_rsa(rsa_pair(&der)?, alg),
            "EC PRIVATE KEY" => {
                let signing = ecdsa(alg).ok_or(KeyError::Algorithm)?;
                let pair = EcdsaKeyPair::from_private_key_der(signing, &der)
                    .map_err(|_| KeyError::Algorithm)?;
                Self::from_ec(pair, alg)
            }
            _ => Err(KeyError::Algorithm),
        }
    }

    /// Reads a private JWK (RFC 7517). Its `alg`, if it has one, must be `alg`; its `use` and `key_ops`, if it has
    /// them, must permit signatures.
    ///
    /// # Errors
    /// The reason why the key was refused.
    pub fn from_jwk(text: &str, alg: Alg) -> Result<Self, KeyError> {
        let jwk = PrivateJwk::parse(text)?;
        jwk.check_purpose(Purpose::Signing)?;
        if jwk
            .text("alg")
            .is_some_and(|named_alg| named_alg != alg.as_str())
        {
            return Err(KeyError::Algorithm);
        }
        let bytes = |name: &str| jwk.bytes(name);
        match jwk.text("kty").unwrap_or_default() {
            "EC" => {
                let signing = ecdsa(alg).ok_or(KeyError::Algorithm)?;
                if jwk.text("crv").ok_or(KeyError::Malformed)? != curve(alg) {
                    return Err(KeyError::Algorithm);
                }
                let (private, x, y) = (bytes("d")?, bytes("x")?, bytes("y")?);
                let point = [&[4][..], &x, &y].concat();
                // An error means that the halves do not belong together, or are not numbers of the curve.
                let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &private, &point);
                Self::from_ec(pair.map_err(|_| KeyError::Malformed)?, alg)
            }
            "OKP" if is_ed25519(alg) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes("d")?, &bytes("x")?);
                Self::from_ed25519(pair.map_err(|_| KeyError::Malformed)?, alg)
            }
            "RSA" if is_rsa(alg) => Self::from_rsa(rsa_pair(&jwk.rsa_private_key()?)?, alg),
            "OKP" | "RSA" => Err(KeyError::Algorithm),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Reads a private key in PKCS#8, as DER.
    ///
    /// # Errors
    /// The reason why the key was refused.
    pub fn from_pkcs8(der: &[u8], alg: Alg) -> Result<Self, KeyError> {
        if let Some(signing) = ecdsa(alg) {
            return Self::from_ec(
                EcdsaKeyPair::from_pkcs8(signing, der).map_err(|_| KeyError::Algorithm)?,
                alg,
            );
        }
        if is_ed25519(alg) {
            let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Algorithm)?;
            return Self::from_ed25519(pair, alg);
        }
        if is_rsa(alg) {
            return Self::from_rsa(
                RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::Algorithm)?,
                alg,
            );
        }
        Err(KeyError::Algorithm)
    }

    /// Generates a new key. RSA keys have 2048 bits.
    ///
    /// # Errors
    /// `Generation` if the system cannot generate one, `Algorithm` for an algorithm with a shared secret.
    pub fn generate(alg: Alg) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        if let Some(signing) = ecdsa(alg) {
            return Self::from_ec(EcdsaKeyPair::generate(signing).map_err(failed)?, alg);
        }
        if is_ed25519(alg) {
            return Self::from_ed25519(Ed25519KeyPair::generate().map_err(failed)?, alg);
        }
        if is_rsa(alg) {
            let size = aws_lc_rs::rsa::KeySize::Rsa2048;
            return Self::from_rsa(RsaKeyPair::generate(size).map_err(failed)?, alg);
        }
        Err(KeyError::Algorithm)
    }

    fn from_ec(pair: EcdsaKeyPair, alg: Alg) -> Result<Self, KeyError> {
        let point = pair.public_key().as_ref();
        let (Some(coordinates), crv) = (point.get(1..), curve(alg)) else {
            return Err(KeyError::Malformed);
        };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let public = json!({ "kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y) });
        Self::new(KeyPair::Ec(pair), alg, &public)
    }

    fn from_ed25519(pair: Ed25519KeyPair, alg: Alg) -> Result<Self, KeyError> {
        let public =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) });
        Self::new(KeyPair::Ed25519(pair), alg, &public)
    }

    fn from_rsa(pair: RsaKeyPair, alg: Alg) -> Result<Self, KeyError> {
        let key = pair.public_key();
        let n = key.modulus().big_endian_without_leading_zero();
        let e = key.exponent().big_endian_without_leading_zero();
        let public = json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) });
        if !(MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&n.len()) {
            return Err(KeyError::Algorithm);
        }
        Self::new(KeyPair::Rsa(pair), alg, &public)
    }

    fn new(pair: KeyPair, alg: Alg, public: &Value) -> Result<Self, KeyError> {
        let public = PublicJwk::parse(&public.to_string()).map_err(|_| KeyError::Malformed)?;
        Ok(Self {
            alg,
            pair: Arc::new(pair),
            public,
        })
    }

    /// The key's algorithm.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// The key's public half, to register or to publish.
    pub const fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// The key as a type of the core, with this name.
    pub fn signing_key(&self, id: impl Into<String>) -> SigningKey {
        SigningKey::local(id, self.alg, Arc::new(self.clone()))
    }

    /// The key as PKCS#8 in PEM, to store: it is secret.
    ///
    /// # Errors
    /// `Malformed` if the key cannot be written.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let failed = |_| KeyError::Malformed;
        let der = match &*self.pair {
            KeyPair::Ec(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            KeyPair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            KeyPair::Rsa(pair) => {
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        };
        Ok(der::to_pem("PRIVATE KEY", &Zeroizing::new(der)))
    }
}

impl Signer for PrivateKey {
    fn sign(&self, input: &[u8]) -> Result<Bytes, Cause> {
        let failed = |_| Cause::unsent("the key made no signature");
        let random = SystemRandom::new();
        match &*self.pair {
            KeyPair::Ec(pair) => {
                let signature = pair.sign(&random, input).map_err(failed)?;
                Ok(Bytes::copy_from_slice(signature.as_ref()))
            }
            KeyPair::Ed25519(pair) => Ok(Bytes::copy_from_slice(pair.sign(input).as_ref())),
            KeyPair::Rsa(pair) => {
                let padding =
                    rsa_padding(self.alg).ok_or_else(|| Cause::unsent("no RSA algorithm"))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, input, &mut signature)
                    .map_err(failed)?;
                Ok(signature.into())
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        use oauth_core::error::Misuse;
        let misuse = match error {
            KeyError::Algorithm | KeyError::Purpose => Misuse::KeyAlgorithm,
            KeyError::Encrypted => Misuse::KeyEncrypted,
            KeyError::Passphrase => Misuse::KeyPassphrase,
            _ => Misuse::KeyMalformed,
        };
        match error {
            // The code's own text says the same.
            KeyError::Encrypted | KeyError::Passphrase => Self::from(misuse),
            _ => Self::from(misuse).about(&error.to_string()),
        }
    }
}

/// The key of an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
pub(crate) fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair, KeyError> {
    RsaKeyPair::from_der(der).map_err(|_| match der::rsa_modulus_bytes(der) {
        // The library refuses small keys without saying so.
        Some(..MIN_RSA_BYTES) => KeyError::Algorithm,
        _ => KeyError::Malformed,
    })
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const fn curve(alg: Alg) -> &'static str {
    match alg {
        Alg::Es384 => "P-384",
        Alg::Es512 => "P-521",
        _ => "P-256",
    }
}

const fn ecdsa(alg: Alg) -> Option<&'static EcdsaSigningAlgorithm> {
    match alg {
        Alg::Es256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Alg::Es384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Alg::Es512 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
}

const fn is_ed25519(alg: Alg) -> bool {
    matches!(alg, Alg::EdDsa | Alg::Ed25519)
}

fn is_rsa(alg: Alg) -> bool {
    rsa_padding(alg).is_some()
}

fn rsa_padding(alg: Alg) -> Option<&'static dyn RsaEncoding> {
    Some(match alg {
        Alg::Rs256 => &RSA_PKCS1_SHA256,
        Alg::Rs384 => &RSA_PKCS1_SHA384,
        Alg::Rs512 => &RSA_PKCS1_SHA512,
        Alg::Ps256 => &RSA_PSS_SHA256,
        Alg::Ps384 => &RSA_PSS_SHA384,
        Alg::Ps512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}
