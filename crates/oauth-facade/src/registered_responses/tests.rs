#![allow(clippy::unwrap_used)] // tests may panic

use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;

use super::*;
use crate::{Auth, Server};

fn outcome(registration: &Registration) -> Result<(), &'static str> {
    outcome_of(Auth::None, registration)
}

fn outcome_of(auth: Auth, registration: &Registration) -> Result<(), &'static str> {
    let metadata = r#"{"issuer":"https://as.example"}"#;
    let server = Server::from_metadata("https://as.example", metadata, Default::default());
    let client = crate::Client::new(&server.unwrap(), "id", auth).unwrap();
    let registered = client.with_registration(registration);
    registered.map(drop).map_err(|error| error.code())
}

fn pem(alg: Alg) -> Secret<String> {
    let key = PrivateKey::generate(alg).unwrap();
    Secret::new(key.to_pem().unwrap().to_string())
}

#[test]
fn decryption_key_must_fit_the_registered_algorithm() {
    let shared = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
    let keys = vec![pem(Alg::Es256), pem(Alg::Rs256), Secret::from(shared)];
    for (alg, expected) in [
        ("ECDH-ES", Ok(())),
        ("RSA-OAEP-256", Ok(())),
        ("A128KW", Ok(())),
        ("A256KW", Err("key.algorithm")),
        ("RSA1_5", Err("key.algorithm")),
        ("PBES2-HS256+A128KW", Err("key.algorithm")),
    ] {
        let id_token = Registration {
            id_token_encrypted_response_alg: Some(alg.to_owned()),
            decryption_keys: keys.clone(),
            ..Registration::default()
        };
        assert_eq!(outcome(&id_token), expected, "{alg}");
        let userinfo = Registration {
            userinfo_encrypted_response_alg: Some(alg.to_owned()),
            userinfo_encrypted_response_enc: Some("A256GCM".to_owned()),
            userinfo_signed_response_alg: Some("ES256".to_owned()),
            decryption_keys: keys.clone(),
            ..Registration::default()
        };
        assert_eq!(outcome(&userinfo), expected, "{alg}");
    }
}

/// "symmetric keys ... derived from the client_secret value" (OpenID Connect Core section 10.2).
#[test]
fn symmetric_response_encryption_uses_the_client_secret() {
    for (alg, keys, expected) in [
        ("dir", vec![], Ok(())),
        ("A192KW", vec![], Ok(())),
        // The set also has a key for another use.
        ("A256GCMKW", vec![pem(Alg::Es256)], Ok(())),
        ("ECDH-ES", vec![], Err("arguments.inconsistent")),
        ("ECDH-ES+A128KW", vec![], Err("arguments.inconsistent")),
        ("RSA-OAEP", vec![pem(Alg::Es256)], Err("key.algorithm")),
    ] {
        let registration = Registration {
            id_token_encrypted_response_alg: Some(alg.to_owned()),
            id_token_encrypted_response_enc: Some("A256CBC-HS512".to_owned()),
            decryption_keys: keys,
            ..Registration::default()
        };
        let with_secret = outcome_of(Auth::Basic(Secret::from("secret")), &registration);
        assert_eq!(with_secret, expected, "{alg}");
        assert!(outcome(&registration).is_err(), "{alg}");
    }
}

/// An API decrypts with its own key and never with the client secret.
#[test]
fn access_token_decryption_uses_configured_keys_and_never_the_secret() {
    let shared = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
    let outcome_for = |alg: Option<&str>, enc: Option<&str>, keys: &[&str]| {
        let registration = Registration {
            access_token_encryption_alg: alg.map(str::to_owned),
            access_token_encryption_enc: enc.map(str::to_owned),
            decryption_keys: keys.iter().map(|key| Secret::from(*key)).collect(),
            ..Registration::default()
        };
        outcome_of(Auth::Basic(Secret::from("secret")), &registration)
    };
    for (alg, enc, keys, expected) in [
        (Some("A128KW"), Some("A256GCM"), &[shared][..], Ok(())),
        (Some("A128KW"), None, &[shared], Ok(())),
        (Some("A128KW"), None, &[], Err("arguments.inconsistent")),
        (
            Some("dir"),
            Some("A128GCM"),
            &[],
            Err("arguments.inconsistent"),
        ),
        (Some("ECDH-ES"), None, &[shared], Err("key.algorithm")),
        (Some("RSA1_5"), None, &[shared], Err("key.algorithm")),
        (
            None,
            Some("A256GCM"),
            &[shared],
            Err("arguments.inconsistent"),
        ),
    ] {
        assert_eq!(outcome_for(alg, enc, keys), expected, "{alg:?} {enc:?}");
    }
}

#[test]
fn inconsistent_response_encryption_settings_are_refused() {
    assert_eq!(outcome(&Registration::default()), Ok(()));
    let outcome_for = |alg: Option<&str>, enc: Option<&str>, keys: &[&str]| {
        outcome(&Registration {
            id_token_encrypted_response_alg: alg.map(str::to_owned),
            id_token_encrypted_response_enc: enc.map(str::to_owned),
            decryption_keys: keys.iter().map(|key| Secret::from(*key)).collect(),
            ..Registration::default()
        })
    };
    let shared = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
    assert_eq!(
        outcome_for(Some("A128KW"), None, &[]),
        Err("arguments.inconsistent")
    );
    assert_eq!(
        outcome_for(None, Some("A128GCM"), &[shared]),
        Err("arguments.inconsistent")
    );
    assert_eq!(
        outcome_for(Some("A128KW"), Some("none"), &[shared]),
        Err("key.algorithm")
    );
    assert_eq!(
        outcome_for(Some("A128KW"), Some("A128GCM"), &[shared]),
        Ok(())
    );
    assert_eq!(
        outcome_for(Some("A128KW"), None, &["no key"]),
        Err("key.malformed")
    );
    let none = Registration {
        userinfo_signed_response_alg: Some("none".to_owned()),
        ..Registration::default()
    };
    assert_eq!(outcome(&none), Err("key.algorithm"));
}

#[test]
fn request_encryption_accepts_only_public_key_algorithms() {
    for (alg, enc, expected) in [
        (Some("ECDH-ES"), None, Ok(())),
        (Some("RSA-OAEP-256"), Some("A256GCM"), Ok(())),
        (Some("dir"), None, Err("key.algorithm")),
        (Some("A128KW"), None, Err("key.algorithm")),
        (Some("RSA1_5"), None, Err("key.algorithm")),
        (Some("ECDH-ES"), Some("A7"), Err("key.algorithm")),
        (None, Some("A256GCM"), Err("arguments.inconsistent")),
    ] {
        let registration = Registration {
            request_object_encryption_alg: alg.map(str::to_owned),
            request_object_encryption_enc: enc.map(str::to_owned),
            ..Registration::default()
        };
        assert_eq!(outcome(&registration), expected, "{alg:?} {enc:?}");
    }
}
