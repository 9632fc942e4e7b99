//! What the core asks to be verified.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::{Alg, PublicJwk};

use crate::KeyError;

/// Whether a public key is one: its point lies on its curve, its modulus can be used.
///
/// # Errors
/// `Malformed`.
pub fn check_public_key(key: &PublicJwk) -> Result<(), KeyError> {
    let malformed = |_| KeyError::Malformed;
    let point = || {
        let (x, y) = (
            key.bytes("x").unwrap_or_default(),
            key.bytes("y").unwrap_or_default(),
        );
        [&[4][..], &x, &y].concat()
    };
    let parsed = if key.fits(Alg::Es256) {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()).map(drop)
    } else if key.fits(Alg::Es384) {
        ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()).map(drop)
    } else if key.fits(Alg::Es512) {
        ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point()).map(drop)
    } else if key.fits(Alg::EdDsa) {
        ParsedPublicKey::new(&ED25519, key.bytes("x").unwrap_or_default()).map(drop)
    } else {
        // The core has looked at the size of an RSA key; all else shows when it is used.
        Ok(())
    };
    parsed.map_err(malformed)
}

/// Whether it is good. What cannot be verified, such as a key that does not fit its algorithm, is not.
pub fn verify(job: &VerificationJob) -> bool {
    match job {
        VerificationJob::Signature {
            alg,
            key,
            signing_input,
            signature,
        } => match (Alg::named(alg), key) {
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
            let whole = digest::digest(algorithm, value.expose().as_bytes());
            let whole = whole.as_ref();
            let (left, _) = whole.split_at(whole.len() / 2);
            let left = URL_SAFE_NO_PAD.encode(left);
            verify_slices_are_equal(left.as_bytes(), half.as_bytes()).is_ok()
        }
    }
}

fn public(alg: Alg, key: &PublicJwk, input: &[u8], signature: &[u8]) -> bool {
    if !key.fits(alg) {
        return false;
    }
    match alg {
        Alg::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED, key, input, signature),
        Alg::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED, key, input, signature),
        Alg::Es512 => ecdsa(&ECDSA_P521_SHA512_FIXED, key, input, signature),
        Alg::EdDsa | Alg::Ed25519 => {
            let x = key.bytes("x").unwrap_or_default();
            UnparsedPublicKey::new(&ED25519, x)
                .verify(input, signature)
                .is_ok()
        }
        Alg::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256, key, input, signature),
        Alg::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384, key, input, signature),
        Alg::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512, key, input, signature),
        Alg::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256, key, input, signature),
        Alg::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384, key, input, signature),
        Alg::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512, key, input, signature),
        // A public key is nobody's secret; and what is not known here is not good.
        _ => false,
    }
}

fn ecdsa(
    alg: &'static EcdsaVerificationAlgorithm,
    key: &PublicJwk,
    input: &[u8],
    signature: &[u8],
) -> bool {
    let (Some(x), Some(y)) = (key.bytes("x"), key.bytes("y")) else {
        return false;
    };
    // The uncompressed point (SEC 1 section 2.3.3).
    let point = [&[4][..], &x, &y].concat();
    UnparsedPublicKey::new(alg, point)
        .verify(input, signature)
        .is_ok()
}

fn rsa(
    parameters: &'static RsaParameters,
    key: &PublicJwk,
    input: &[u8],
    signature: &[u8],
) -> bool {
    let (Some(n), Some(e)) = (key.bytes("n"), key.bytes("e")) else {
        return false;
    };
    // Some servers write the zero that marks a positive number in ASN.1.
    let [n, e] = [&n, &e].map(|bytes| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..).unwrap_or_default()
    });
    RsaPublicKeyComponents { n, e }
        .verify(parameters, input, signature)
        .is_ok()
}

/// The tag of an HMAC; `None` for an algorithm that is none.
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
