//! Keys in every format, and invalid keys.

use std::sync::Arc;

use bytes::Bytes;
use oauth_core::crypto::Signer as _;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::{Error, Secret};
use oauth_crypto::{KeyError, PrivateKey, mac, verify};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn job(alg: &'static str, key: &PrivateKey, text: &str, signature: Bytes) -> VerificationJob {
    VerificationJob::Signature {
        alg,
        key: VerificationKey::Public(Arc::new(key.public_jwk().clone())),
        signing_input: Bytes::copy_from_slice(text.as_bytes()),
        signature,
    }
}

fn asymmetric() -> impl Iterator<Item = Alg> {
    Alg::ALL.iter().copied().filter(|alg| !alg.is_symmetric())
}

#[test]
fn key_round_trips_through_pem() -> Outcome {
    for alg in asymmetric() {
        let key = PrivateKey::generate(alg)?;
        let again = PrivateKey::from_pem(&key.to_pem()?, alg)?;
        assert_eq!(key.public_jwk(), again.public_jwk(), "{}", alg.as_str());
        let signature = again.sign(b"text")?;
        assert!(verify(&job(alg.as_str(), &key, "text", signature.clone())));
        assert!(!verify(&job(alg.as_str(), &key, "another", signature)));
    }
    Ok(())
}

#[test]
fn signature_verifies_only_under_its_algorithm() -> Outcome {
    for alg in asymmetric() {
        let key = PrivateKey::generate(alg)?;
        let signature = key.sign(b"text")?;
        let ed25519 = ["EdDSA", "Ed25519"];
        for other in Alg::ALL.iter().map(|other| other.as_str()) {
            let is_same = other == alg.as_str()
                || (ed25519.contains(&other) && ed25519.contains(&alg.as_str()));
            let is_good = verify(&job(other, &key, "text", signature.clone()));
            assert_eq!(is_good, is_same, "{} as {other}", alg.as_str());
        }
    }
    Ok(())
}

/// A key is cached in the form made for its first algorithm.
#[test]
fn cached_key_verifies_under_each_of_its_algorithms() -> Outcome {
    let first = PrivateKey::generate(Alg::Rs256)?;
    let second = PrivateKey::from_pem(&first.to_pem()?, Alg::Ps512)?;
    let key = Arc::new(first.public_jwk().clone());
    let is_good = |alg, signature: Bytes| {
        verify(&VerificationJob::Signature {
            alg,
            key: VerificationKey::Public(Arc::clone(&key)),
            signing_input: Bytes::from_static(b"text"),
            signature,
        })
    };
    let (rs256, ps512) = (first.sign(b"text")?, second.sign(b"text")?);
    for _ in 0..2 {
        assert!(is_good("RS256", rs256.clone()));
        assert!(is_good("PS512", ps512.clone()));
        assert!(!is_good("PS512", rs256.clone()));
        assert!(!is_good("RS256", ps512.clone()));
        assert!(!is_good("RS256", first.sign(b"another")?));
    }
    Ok(())
}

/// Some servers include the leading zero of a positive ASN.1 integer (forbidden by RFC 7518 section 6.3.1.1).
#[test]
fn leading_zeros_in_rsa_numbers_are_accepted() -> Outcome {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = PrivateKey::generate(Alg::Rs256)?;
    let mut jwk = key.public_jwk().to_value();
    for name in ["n", "e"] {
        let text = jwk[name].as_str().ok_or("no number")?;
        let longer = [
            vec![0, 0],
            URL_SAFE_NO_PAD.decode(text).map_err(|_| "no base64url")?,
        ]
        .concat();
        jwk[name] = URL_SAFE_NO_PAD.encode(longer).into();
    }
    let mut job = job("RS256", &key, "text", key.sign(b"text")?);
    if let VerificationJob::Signature { key, .. } = &mut job {
        *key = VerificationKey::Public(Arc::new(PublicJwk::parse(&jwk.to_string())?));
    }
    assert!(verify(&job));
    Ok(())
}

#[test]
fn public_key_is_not_accepted_as_hmac_secret() -> Outcome {
    let key = PrivateKey::generate(Alg::Es256)?;
    let jwk = key.public_jwk().to_json();
    let tag = mac(Alg::Hs256, jwk.as_bytes(), b"text").ok_or("no tag")?;
    assert!(!verify(&job("HS256", &key, "text", tag.clone().into())));
    // The same octets are accepted as a shared secret.
    let secret = VerificationKey::Secret(Secret::new(jwk.into_bytes()));
    assert!(verify(&VerificationJob::Signature {
        alg: "HS256",
        key: secret,
        signing_input: Bytes::from_static(b"text"),
        signature: tag.into(),
    }));
    assert!(mac(Alg::Es256, b"secret", b"text").is_none());
    Ok(())
}

#[test]
fn key_of_another_type_is_refused() -> Outcome {
    let ec = PrivateKey::generate(Alg::Es256)?.to_pem()?;
    for alg in asymmetric().filter(|alg| *alg != Alg::Es256) {
        let refused = PrivateKey::from_pem(&ec, alg).err();
        assert_eq!(refused, Some(KeyError::Algorithm), "{}", alg.as_str());
    }
    assert_eq!(
        PrivateKey::generate(Alg::Hs256).err(),
        Some(KeyError::Algorithm)
    );
    assert_eq!(Error::from(KeyError::Algorithm).code(), "key.algorithm");
    assert_eq!(Error::from(KeyError::Encrypted).code(), "key.encrypted");
    Ok(())
}

#[test]
fn invalid_private_key_is_refused_without_showing_its_text() {
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    assert_eq!(
        PrivateKey::from_pem(encrypted, Alg::Es256).err(),
        Some(KeyError::Encrypted)
    );
    let long = "-".repeat(100_000);
    for text in [
        "",
        "S3CRET",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nS3CRET!\n-----END PRIVATE KEY-----",
        long.as_str(),
    ] {
        let error = PrivateKey::from_pem(text, Alg::Es256).map(drop);
        assert!(
            matches!(error, Err(KeyError::Malformed)),
            "{text:.40}: {error:?}"
        );
        let error = PrivateKey::from_jwk(text, Alg::Es256).map(drop);
        assert!(!format!("{error:?}").contains("S3CRET"));
        assert!(matches!(error, Err(KeyError::Malformed)), "{error:?}");
    }
}

/// The key of RFC 7515 appendix A.3.
#[test]
fn jwk_with_mismatched_private_and_public_parts_is_refused() -> Outcome {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut jwk = serde_json::json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    });
    let read = |jwk: &serde_json::Value, alg| PrivateKey::from_jwk(&jwk.to_string(), alg).err();
    assert_eq!(read(&jwk, Alg::Es256), None);
    // A valid key of another algorithm is not malformed.
    assert_eq!(read(&jwk, Alg::Es384), Some(KeyError::Algorithm));
    jwk["d"] = URL_SAFE_NO_PAD.encode([1; 32]).into();
    assert_eq!(read(&jwk, Alg::Es256), Some(KeyError::Malformed));
    jwk["crv"] = serde_json::Value::Null;
    assert_eq!(read(&jwk, Alg::Es256), Some(KeyError::Malformed));
    Ok(())
}

#[test]
fn jwk_with_another_use_or_key_ops_is_refused() -> Outcome {
    let key = |members: serde_json::Value| {
        let mut jwk = serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            jwk[name] = value.clone();
        }
        PrivateKey::from_jwk(&jwk.to_string(), Alg::Es256).err()
    };
    for fit in [
        serde_json::json!({ "use": "sig" }),
        serde_json::json!({ "key_ops": ["verify", "sign"] }),
        serde_json::json!({ "use": "sig", "key_ops": ["sign"] }),
    ] {
        assert_eq!(key(fit.clone()), None, "{fit}");
    }
    for unfit in [
        serde_json::json!({ "use": "enc" }),
        serde_json::json!({ "use": "SIG" }),
        serde_json::json!({ "use": null }),
        serde_json::json!({ "key_ops": ["verify"] }),
        serde_json::json!({ "key_ops": ["deriveKey", "deriveBits"] }),
        serde_json::json!({ "key_ops": [] }),
        serde_json::json!({ "key_ops": "sign" }),
        serde_json::json!({ "use": "enc", "key_ops": ["sign"] }),
    ] {
        assert_eq!(key(unfit.clone()), Some(KeyError::Purpose), "{unfit}");
    }
    let error = Error::from(KeyError::Purpose);
    assert_eq!(error.code(), "key.algorithm");
    assert!(error.to_string().contains("key_ops"), "{error}");
    Ok(())
}

/// RSA keys of 1024 bits, made by OpenSSL.
#[test]
fn small_rsa_key_is_refused_for_its_algorithm_rather_than_as_malformed() -> Outcome {
    let pkcs1 = include_str!("openssl/rsa1024.pkcs1.pem");
    let pkcs8 = include_str!("openssl/rsa1024.pkcs8.pem");
    let jwk = include_str!("openssl/rsa1024.jwk");
    for alg in [Alg::Rs256, Alg::Ps512] {
        assert_eq!(
            PrivateKey::from_pem(pkcs1, alg).err(),
            Some(KeyError::Algorithm)
        );
        assert_eq!(
            PrivateKey::from_pem(pkcs8, alg).err(),
            Some(KeyError::Algorithm)
        );
        assert_eq!(
            PrivateKey::from_jwk(jwk, alg).err(),
            Some(KeyError::Algorithm)
        );
    }
    Ok(())
}

/// Otherwise the error would name the algorithm instead.
#[test]
fn truncated_or_extended_key_is_malformed() -> Outcome {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for alg in asymmetric() {
        let pem = PrivateKey::generate(alg)?.to_pem()?;
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).map_err(|_| "no base64")?;
        for length in [0, 1, 2, 3, 4, 30, der.len() - 1] {
            let body = STANDARD.encode(&der[..length]);
            let text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
            let refused = PrivateKey::from_pem(&text, alg).err();
            assert_eq!(
                refused,
                Some(KeyError::Malformed),
                "{} {length}",
                alg.as_str()
            );
        }
        let longer = STANDARD.encode([&der[..], &[0]].concat());
        let text = format!("-----BEGIN PRIVATE KEY-----\n{longer}\n-----END PRIVATE KEY-----\n");
        assert_eq!(
            PrivateKey::from_pem(&text, alg).err(),
            Some(KeyError::Malformed)
        );
    }
    Ok(())
}
