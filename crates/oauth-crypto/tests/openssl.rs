//! Keys that OpenSSL has written in every form, from `openssl genrsa -traditional`, `openssl ecparam -genkey -noout` and
//! `openssl genpkey`; the other forms are from `openssl pkcs8 -topk8`, encrypted with the passphrase "correct", and the
//! public halves from `openssl pkey -pubout`.
//!
//! Signatures are verified with the public key written by OpenSSL, not with the one derived from the private key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_core::Secret;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_crypto::{KeyError, PrivateKey, decrypt_pem};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("openssl/", $name, ".pem"))
    };
}

struct Key {
    alg: Alg,
    verified_by: &'static dyn VerificationAlgorithm,
    /// The PEM label and the text.
    forms: &'static [(&'static str, &'static str)],
    encrypted: &'static str,
    public: &'static str,
}

const RSA: &[(&str, &str)] = &[
    ("RSA PRIVATE KEY", file!("rsa.pkcs1")),
    ("PRIVATE KEY", file!("rsa.pkcs8")),
];

const KEYS: &[Key] = &[
    Key {
        alg: Alg::Rs256,
        verified_by: &RSA_PKCS1_2048_8192_SHA256,
        forms: RSA,
        encrypted: file!("rsa.encrypted"),
        public: file!("rsa.public"),
    },
    Key {
        alg: Alg::Ps512,
        verified_by: &RSA_PSS_2048_8192_SHA512,
        forms: RSA,
        encrypted: file!("rsa.encrypted"),
        public: file!("rsa.public"),
    },
    Key {
        alg: Alg::Es256,
        verified_by: &ECDSA_P256_SHA256_FIXED,
        forms: &[
            ("EC PRIVATE KEY", file!("p256.sec1")),
            // As `openssl ecparam -genkey` writes it: the curve parameters precede the key.
            ("EC PARAMETERS", file!("p256.parameters")),
            ("PRIVATE KEY", file!("p256.pkcs8")),
        ],
        encrypted: file!("p256.encrypted"),
        public: file!("p256.public"),
    },
    Key {
        alg: Alg::Es384,
        verified_by: &ECDSA_P384_SHA384_FIXED,
        forms: &[
            ("EC PRIVATE KEY", file!("p384.sec1")),
            ("PRIVATE KEY", file!("p384.pkcs8")),
        ],
        encrypted: file!("p384.encrypted"),
        public: file!("p384.public"),
    },
    Key {
        alg: Alg::Es512,
        verified_by: &ECDSA_P521_SHA512_FIXED,
        forms: &[
            ("EC PRIVATE KEY", file!("p521.sec1")),
            ("PRIVATE KEY", file!("p521.pkcs8")),
        ],
        encrypted: file!("p521.encrypted"),
        public: file!("p521.public"),
    },
    Key {
        alg: Alg::EdDsa,
        verified_by: &ED25519,
        forms: &[("PRIVATE KEY", file!("ed25519.pkcs8"))],
        encrypted: file!("ed25519.encrypted"),
        public: file!("ed25519.public"),
    },
];

const TEXT: &[u8] = b"header.payload";

/// The `SubjectPublicKeyInfo` in a PEM.
fn public(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let text: String = lines.collect();
    STANDARD.decode(text).expect("base64")
}

/// Signs with the key in this PEM, and verifies the signature with OpenSSL's public key.
///
/// # Errors
/// If the key cannot be read.
fn sign_and_verify(key: &Key, pem: &str) -> Result<(), KeyError> {
    let alg = key.alg.as_str();
    let read = PrivateKey::from_pem(pem, key.alg)?;
    let signature = read.sign(TEXT).expect("a signature");
    let public = UnparsedPublicKey::new(key.verified_by, public(key.public));
    assert!(public.verify(TEXT, &signature).is_ok(), "{alg}");
    assert!(public.verify(b"another", &signature).is_err(), "{alg}");
    Ok(())
}

#[test]
fn openssl_keys_in_every_pem_form_sign_verifiably() {
    for key in KEYS {
        for (label, pem) in key.forms {
            assert!(pem.starts_with(&format!("-----BEGIN {label}-----")));
            let outcome = sign_and_verify(key, pem);
            assert_eq!(outcome, Ok(()), "{} {label}", key.alg.as_str());
        }
    }
}

#[test]
fn encrypted_openssl_keys_sign_after_decryption() {
    for key in KEYS {
        let alg = key.alg.as_str();
        assert_eq!(
            sign_and_verify(key, key.encrypted),
            Err(KeyError::Encrypted),
            "{alg}"
        );
        let wrong = decrypt_pem(key.encrypted, &Secret::from("wrong")).map(drop);
        assert_eq!(wrong, Err(KeyError::Passphrase), "{alg}");
        let opened = decrypt_pem(key.encrypted, &Secret::from("correct")).expect(alg);
        assert_eq!(sign_and_verify(key, opened.expose()), Ok(()), "{alg}");
    }
}
