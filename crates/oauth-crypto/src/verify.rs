//! Signature verification, as the core requests it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::{Alg, PublicJwk};

use crate::KeyError;
use crate::der::rsa_public_key;

/// Checks that a public key is valid: its point is on its curve, its modulus can be used.
///
/// # Errors
/// `Malformed`.
pub fn check_public_key(key: &PublicJwk) -> Result<(), KeyError> {
    let malformed = |_| KeyError::Malformed;
    let point = || uncompressed_point(key).unwrap_or_default();
    let parsed = if key.fits(Alg::Es256) {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()).map(drop)
    } else if key.fits(Alg::Es384) {
        ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()).map(drop)
    } else if key.fits(Alg::Es512) {
        ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point()).map(drop)
    } else if key.fits(Alg::EdDsa) {
        ParsedPublicKey::new(&ED25519, key.bytes("x").unwrap_or_default()).map(drop)
    } else {
        // The core has checked the size of the RSA key. Any other defect makes the verification fail.
        Ok(())
    };
    parsed.map_err(malformed)
}

/// Whether the signature or hash is valid. False if it cannot be verified, for example if the key does not fit the
/// algorithm.
pub fn verify(job: &VerificationJob) -> bool {
    match job {
        VerificationJob::Signature {
            alg,
            key,
            signing_input,
            signature,
        } => match (Alg::from_name(alg), key) {
            (Some(alg), VerificationKey::Public(key)) => public(alg, key, signing_input, signature),
            (Some(alg), VerificationKey::Secret(secret)) => {
                is_mac(alg, secret.expose(), signing_input, signature)
            }
            _ => false,
        },
        VerificationJob::HalfHash { hash, value, half } => {
            let Some(algorithm) = algorithm(hash) else {
                return false;
            };
            let digest = digest::digest(algorithm, value.expose().as_bytes());
            let digest = digest.as_ref();
            let (left_half, _) = digest.split_at(digest.len() / 2);
            let left_half = URL_SAFE_NO_PAD.encode(left_half);
            verify_slices_are_equal(left_half.as_bytes(), half.as_bytes()).is_ok()
        }
    }
}

/// A public key prepared for verification by one algorithm; `None` if it cannot be used.
struct PreparedKey {
    alg: Alg,
    key: Option<ParsedPublicKey>,
}

fn public(alg: Alg, key: &PublicJwk, input: &[u8], signature: &[u8]) -> bool {
    if !key.fits(alg) {
        return false;
    }
    let is_valid = |key: &ParsedPublicKey| key.verify_sig(input, signature).is_ok();
    let prepared = key.derived(|| PreparedKey {
        alg,
        key: parse_key(alg, key),
    });
    match prepared {
        Some(prepared) if prepared.alg == alg => prepared.key.as_ref().is_some_and(is_valid),
        // The key was prepared for another algorithm, which is rare: parse it again.
        _ => parse_key(alg, key).as_ref().is_some_and(is_valid),
    }
}

fn parse_key(alg: Alg, key: &PublicJwk) -> Option<ParsedPublicKey> {
    let parsed = match alg {
        Alg::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed_point(key)?),
        Alg::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, uncompressed_point(key)?),
        Alg::Es512 => ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, uncompressed_point(key)?),
        Alg::EdDsa | Alg::Ed25519 => ParsedPublicKey::new(&ED25519, key.bytes("x")?),
        Alg::Rs256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa(key)?),
        Alg::Rs384 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA384, rsa(key)?),
        Alg::Rs512 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, rsa(key)?),
        Alg::Ps256 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, rsa(key)?),
        Alg::Ps384 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, rsa(key)?),
        Alg::Ps512 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, rsa(key)?),
        // A public key must never be used as an HMAC secret, and unknown kinds of keys are refused.
        _ => return None,
    };
    parsed.ok()
}

/// The uncompressed point of an elliptic curve (SEC 1 section 2.3.3).
fn uncompressed_point(key: &PublicJwk) -> Option<Vec<u8>> {
    Some([&[4][..], &key.bytes("x")?, &key.bytes("y")?].concat())
}

/// The key in DER. Leading zeros of the modulus, which some servers write, are removed.
fn rsa(key: &PublicJwk) -> Option<Vec<u8>> {
    Some(rsa_public_key(&key.bytes("n")?, &key.bytes("e")?).to_vec())
}

/// The tag of an HMAC; `None` for an algorithm that is not an HMAC.
pub fn mac(alg: Alg, secret: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let key = hmac::Key::new(hmac_algorithm(alg)?, secret);
    Some(hmac::sign(&key, input).as_ref().to_vec())
}

fn is_mac(alg: Alg, secret: &[u8], input: &[u8], tag: &[u8]) -> bool {
    hmac_algorithm(alg)
        .is_some_and(|alg| hmac::verify(&hmac::Key::new(alg, secret), input, tag).is_ok())
}

/// The HMAC of an algorithm with a shared secret.
fn hmac_algorithm(alg: Alg) -> Option<hmac::Algorithm> {
    match alg {
        Alg::Hs256 => Some(hmac::HMAC_SHA256),
        Alg::Hs384 => Some(hmac::HMAC_SHA384),
        Alg::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn algorithm(name: &str) -> Option<&'static digest::Algorithm> {
    match name {
        "SHA-256" => Some(&digest::SHA256),
        "SHA-384" => Some(&digest::SHA384),
        "SHA-512" => Some(&digest::SHA512),
        _ => None,
    }
}
