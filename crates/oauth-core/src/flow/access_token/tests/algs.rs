//! The algorithms accepted for access tokens if the caller configures none.

use super::{AT_JWT, claims};
use crate::exchange::{Exchange, Input, Step, VerificationJob};
use crate::flow::access_token::AccessTokenVerifier;
use crate::jose::{Alg, KeySet, signing_input};
use crate::json::Value;
use crate::moment::UnixTime;
use crate::server::EndpointKind;
use crate::testing::{self, NOW, at, error_code};

/// 2048 bits, odd.
fn rsa(more: &str) -> String {
    let modulus = format!("{}Q", "x".repeat(341));
    format!(r#"{{"kty":"RSA","kid":"rsa","e":"AQAB","n":"{modulus}"{more}}}"#)
}

fn ec(more: &str) -> String {
    format!(
        r#"{{"kty":"EC","crv":"P-256","kid":"ec","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"{more}}}"#
    )
}

/// A verifier of a server that lists these algorithms for ID tokens, and publishes these keys.
fn verifier(listed: &[&str], keys: &[String]) -> AccessTokenVerifier {
    let mut server = testing::server();
    if !listed.is_empty() {
        let named = Value::from(listed.iter().copied().map(Value::from).collect::<Vec<_>>());
        let metadata = [("id_token_signing_alg_values_supported".to_owned(), named)];
        server = server.with_metadata(metadata.into_iter().collect());
    }
    let server = server.with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let verifier = AccessTokenVerifier::new(server.unwrap(), "https://api.example");
    let keys = KeySet::parse(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap();
    assert!(!keys.is_empty());
    verifier.keep_keys(UnixTime::from_secs(NOW), keys);
    verifier
}

/// The algorithm used to verify such a token, or the error. The keys are fetched again once
/// if none matches.
fn alg_used(
    verifier: &AccessTokenVerifier,
    alg: &str,
    header: &str,
) -> Result<&'static str, &'static str> {
    let header = format!(r#"{{"alg":"{alg}"{AT_JWT}{header}}}"#);
    let text = signing_input(&header, &claims(""));
    let mut exchange = verifier.verify(&format!("{text}.{}", "A".repeat(86)));
    let mut step = error_code(exchange.resume(&at(), Input::Begin))?;
    if let Step::Send(_) = step {
        let keys = verifier.keys().unwrap().to_json();
        step = error_code(exchange.resume(&at(), Input::Reply(testing::json(200, &keys))))?;
    }
    match step {
        Step::Verify(VerificationJob::Signature { alg, .. }) => Ok(alg),
        step => panic!("{step:?}"),
    }
}

const REFUSED: Result<&str, &str> = Err("jws.alg_not_allowed");

#[test]
fn algorithm_of_a_published_key_is_accepted() {
    for listed in [&[][..], &["RS256"]] {
        let alg_used_with = |keys: &[String], alg| alg_used(&verifier(listed, keys), alg, "");
        assert_eq!(alg_used_with(&[ec("")], "ES256"), Ok("ES256"));
        assert_eq!(
            alg_used_with(&[ec(r#","alg":"ES256","use":"sig""#)], "ES256"),
            Ok("ES256")
        );
        assert_eq!(alg_used_with(&[rsa("")], "RS256"), Ok("RS256"));
        assert_eq!(
            alg_used_with(&[rsa(r#","alg":"PS256""#)], "PS256"),
            Ok("PS256")
        );
        // A key with `alg` is used only with that algorithm; an RSA key without `alg` is used with the default.
        assert_eq!(alg_used_with(&[ec("")], "ES384"), REFUSED);
        assert_eq!(alg_used_with(&[rsa("")], "PS256"), REFUSED);
        assert_eq!(alg_used_with(&[rsa("")], "RS512"), REFUSED);
        assert_eq!(alg_used_with(&[rsa(r#","alg":"RS512""#)], "PS512"), REFUSED);
        assert_eq!(
            alg_used_with(&[rsa(r#","alg":"PS256""#)], "RS256"),
            Err("jws.no_matching_key")
        );
        // A key with `use: enc` verifies no signature.
        assert_eq!(
            alg_used_with(&[rsa(""), ec(r#","use":"enc""#)], "ES256"),
            REFUSED
        );
        assert_eq!(
            alg_used_with(&[rsa(""), ec(r#","key_ops":["deriveKey"]"#)], "ES256"),
            REFUSED
        );
        assert_eq!(
            alg_used_with(&[rsa(""), ec(r#","alg":"ECDH-ES""#)], "ES256"),
            REFUSED
        );
    }
    // Listed algorithms are accepted as before.
    assert_eq!(
        alg_used(&verifier(&["PS256"], &[rsa("")]), "PS256", ""),
        Ok("PS256")
    );
}

#[test]
fn token_algorithm_must_fit_a_published_key() {
    let verifier = verifier(&[], &[rsa(""), ec("")]);
    let alg_used_with = |alg, header: &str| alg_used(&verifier, alg, header);
    assert_eq!(alg_used_with("ES256", r#","kid":"ec""#), Ok("ES256"));
    // Never HMAC, whose secret would be a public key, and never `none` in any spelling.
    for alg in [
        "HS256", "HS384", "HS512", "none", "None", "nOnE", "", "es256", "ES256 ",
    ] {
        for header in ["", r#","kid":"ec""#, r#","kid":"rsa""#] {
            assert_eq!(alg_used_with(alg, header), REFUSED, "{alg} {header}");
        }
    }
    // The kid of a key of another type, an unknown kid, and a key embedded in the token.
    assert_eq!(alg_used_with("ES256", r#","kid":"rsa""#), REFUSED);
    assert_eq!(
        alg_used_with("RS256", r#","kid":"ec""#),
        Err("jws.no_matching_key")
    );
    assert_eq!(alg_used_with("ES256", r#","kid":"other""#), REFUSED);
    let embedded_key = format!(r#","kid":"own","jwk":{}"#, ec(""));
    assert_eq!(alg_used_with("ES256", &embedded_key), REFUSED);
}

#[test]
fn explicitly_configured_algorithms_are_exclusive() {
    let named = verifier(&[], &[rsa(""), ec("")])
        .with_algs([Alg::Rs256])
        .unwrap();
    assert_eq!(alg_used(&named, "RS256", ""), Ok("RS256"));
    assert_eq!(alg_used(&named, "ES256", ""), REFUSED);
}
