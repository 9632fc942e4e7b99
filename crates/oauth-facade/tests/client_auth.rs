//! Unusable keys and secrets are refused immediately, before a client is created.

use oauth_core::crypto::KeyUse;
use oauth_core::jose::Alg;
use oauth_facade::{Auth, PrivateKeyJwt, Secret, SecretJwt};

fn pem(alg: Alg) -> String {
    let key = oauth_crypto::PrivateKey::generate(alg).expect("a key");
    key.to_pem().expect("its text").to_string()
}

fn key_jwt(keys: &[&str]) -> PrivateKeyJwt {
    PrivateKeyJwt {
        keys: keys.iter().map(|key| Secret::from(*key)).collect(),
        passphrase: None,
        alg: None,
        kid: None,
        certificate_thumbprint: None,
        audience: None,
        used: KeyUse::default(),
    }
}

/// The code and the argument named by the error.
fn refused(auth: Auth) -> (&'static str, String) {
    let error = auth.check().expect_err("it cannot be used");
    let detail = error.detail().unwrap_or_default();
    assert!(!error.to_string().contains("PRIVATE"), "{error}");
    let argument = detail.split(':').next().unwrap_or_default();
    (error.code(), argument.to_owned())
}

#[test]
fn secret_with_a_line_break_is_refused_before_sending() {
    let server = oauth_facade::Server::from_metadata(
        "https://as.example",
        r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#,
        oauth_facade::Transport::Https,
    );
    let server = server.expect("a server");
    let code = |auth| {
        let made = oauth_facade::Client::new(&server, "id", auth);
        made.map(drop).map_err(|error| error.code())
    };
    let refused = Err("client_auth.secret_syntax");
    for text in ["s3cret\n", " s3cret", "s3cret\r\n"] {
        let secret = || Secret::from(text);
        assert_eq!(code(Auth::Documented(Some(secret()))), refused, "{text:?}");
        assert_eq!(code(Auth::Basic(secret())), refused, "{text:?}");
        assert_eq!(code(Auth::Post(secret())), refused, "{text:?}");
    }
    assert_eq!(code(Auth::Basic(Secret::from("a secret: ~"))), Ok(()));
}

#[test]
fn unusable_private_key_is_refused_naming_the_argument() {
    let (ec, rsa) = (pem(Alg::Es256), pem(Alg::Rs256));
    let detail = |jwt| refused(Auth::PrivateKeyJwt(jwt));
    let named = |code, argument: &str| (code, argument.to_owned());
    assert_eq!(detail(key_jwt(&["no key"])), named("key.malformed", "key"));
    assert_eq!(
        detail(key_jwt(&[&ec, "no key"])),
        named("key.malformed", "key")
    );
    assert_eq!(detail(key_jwt(&[])), named("client_auth.keys", "key"));
    assert_eq!(
        detail(key_jwt(&[&ec, &ec])),
        named("client_auth.keys", "key")
    );
    let of_one = PrivateKeyJwt {
        kid: Some("k".to_owned()),
        ..key_jwt(&[&ec, &rsa])
    };
    assert_eq!(detail(of_one), named("arguments.inconsistent", "kid"));
    for alg in ["RS256", "HS256", "none", "ES384"] {
        let jwt = PrivateKeyJwt {
            alg: Some(alg.to_owned()),
            ..key_jwt(&[&ec])
        };
        assert_eq!(detail(jwt), named("key.algorithm", "alg"), "{alg}");
    }
    let sealed = include_str!("../../oauth-crypto/tests/encrypted/aes256.pem");
    assert_eq!(detail(key_jwt(&[sealed])), named("key.encrypted", "key"));
    let wrong = PrivateKeyJwt {
        passphrase: Some(Secret::from("wrong")),
        ..key_jwt(&[sealed])
    };
    assert_eq!(detail(wrong), named("key.passphrase", "passphrase"));
}

#[test]
fn usable_keys_and_secrets_pass_the_check() {
    let (ec, rsa) = (pem(Alg::Es256), pem(Alg::Rs256));
    for (keys, alg) in [
        (vec![ec.as_str()], None),
        (vec![&rsa], Some("PS512")),
        // The newest key that supports the algorithm signs.
        (vec![&ec, &rsa], Some("RS256")),
    ] {
        let jwt = PrivateKeyJwt {
            alg: alg.map(str::to_owned),
            ..key_jwt(&keys)
        };
        assert!(Auth::PrivateKeyJwt(jwt).check().is_ok(), "{alg:?}");
    }
    assert!(Auth::Basic(Secret::from("s")).check().is_ok());
}

#[test]
fn unusable_hmac_secret_is_refused_naming_the_argument() {
    let error_for = |secret: &str, alg: &str| {
        let secret = Secret::from(secret);
        let (alg, audience) = (alg.to_owned(), None);
        refused(Auth::SecretJwt(SecretJwt {
            secret,
            alg,
            audience,
        }))
    };
    let named = |code, argument: &str| (code, argument.to_owned());
    let long = "a".repeat(32);
    assert_eq!(
        error_for("short", "HS256"),
        named("jws.key_too_small", "secret")
    );
    assert_eq!(
        error_for(&long, "HS512"),
        named("jws.key_too_small", "secret")
    );
    assert_eq!(error_for(&long, "ES256"), named("key.algorithm", "alg"));
    assert_eq!(error_for(&long, "none"), named("key.algorithm", "alg"));
    let file = Auth::ServiceAccount(Secret::from("{}"), None);
    assert_eq!(
        file.check().map_err(|error| error.code()),
        Err("provider.data")
    );
}
