//! Keys of a client during key rotation.

use std::collections::BTreeMap;

use oauth_core::Error;
use oauth_core::client_auth::ClientAssertion;
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::server::Server;
use oauth_crypto::{ClientKeys, PrivateKey};
use serde_json::{Map, Value};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn pem(alg: Alg) -> Result<String, Box<dyn std::error::Error>> {
    Ok(PrivateKey::generate(alg)?.to_pem()?.to_string())
}

/// A server that takes assertions with these algorithms.
fn server(algs: &[&str]) -> Result<Server, Error> {
    let name = "token_endpoint_auth_signing_alg_values_supported".to_owned();
    let metadata = Map::from_iter([(name, Value::from(algs))]);
    Ok(Server::new(Issuer::parse("https://as.example")?).with_metadata(metadata))
}

fn signs(made: Result<ClientAssertion, Error>) -> Result<(Alg, String), &'static str> {
    let made = made.map_err(|error| error.code())?;
    Ok((made.key().alg(), made.key().id().to_owned()))
}

fn published(keys: &ClientKeys) -> Result<Vec<BTreeMap<String, String>>, serde_json::Error> {
    let set: BTreeMap<String, Value> = serde_json::from_str(&keys.public_jwks())?;
    assert_eq!(set.keys().collect::<Vec<_>>(), ["keys"]);
    serde_json::from_value(set["keys"].clone())
}

#[test]
fn newest_key_with_an_algorithm_accepted_by_the_server_signs() -> Outcome {
    let (new, old) = (pem(Alg::Es256)?, pem(Alg::Rs256)?);
    let thumbprint = |text: &str, alg| {
        let key = PrivateKey::from_pem(text, alg)?;
        Ok::<_, oauth_crypto::KeyError>(key.public_jwk().thumbprint())
    };
    let of_new = (Alg::Es256, thumbprint(&new, Alg::Es256)?);
    let of_old = (Alg::Rs256, thumbprint(&old, Alg::Rs256)?);
    let keys = ClientKeys::read([new.as_str(), old.as_str()])?;
    let at = |algs: &[&str]| Ok::<_, Error>(signs(keys.client_assertion(&server(algs)?, None)));
    assert_eq!(at(&["RS256", "ES256"])?, Ok(of_new.clone()));
    assert_eq!(at(&["RS256"])?, Ok(of_old.clone()));
    assert_eq!(at(&["ES384"])?, Err("key.algorithm"));
    let both = server(&["RS256", "ES256"])?;
    let expected = keys.client_assertion(&both, Some(Alg::Rs256));
    assert_eq!(signs(expected), Ok(of_old));
    let other_way = ClientKeys::read([old.as_str(), new.as_str()])?;
    let signed = other_way.client_assertion(&server(&["ES256"])?, None);
    assert_eq!(signs(signed), Ok(of_new));
    Ok(())
}

#[test]
fn only_public_keys_are_published() -> Outcome {
    let (new, old) = (pem(Alg::EdDsa)?, pem(Alg::Rs256)?);
    let keys = ClientKeys::read([new.as_str(), old.as_str()])?;
    let set = published(&keys)?;
    let names = |at: usize| set[at].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(names(0), ["crv", "kid", "kty", "use", "x"]);
    assert_eq!(names(1), ["e", "kid", "kty", "n", "use"]);
    assert!(set.iter().all(|key| key["use"] == "sig"));
    // The kid in the header of an assertion is the published one.
    let signing = keys.client_assertion(&server(&["EdDSA"])?, None)?;
    assert_eq!(set[0]["kid"], signing.key().id());
    let named = published(&keys.clone().with_kid("2026-11"))?;
    assert_eq!(named[0]["kid"], "2026-11");
    assert_eq!(named[1], set[1]);
    let debug = format!("{keys:?}");
    assert!(!debug.contains("PRIVATE KEY"), "{debug}");
    Ok(())
}

#[test]
fn jwk_keeps_its_kid_and_alg() -> Outcome {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/vectors.json"))?;
    let key = |kid: &str, alg: Option<&str>| {
        let mut key = vectors["keys"]["as_private"]["rsa1"].clone();
        key["kid"] = kid.into();
        match alg {
            Some(alg) => key["alg"] = alg.into(),
            None => drop(key.as_object_mut().and_then(|key| key.remove("alg"))),
        }
        key.to_string()
    };
    let keys = ClientKeys::read(
        [key("new", Some("PS256")), key("old", None)]
            .iter()
            .map(String::as_str),
    )?;
    let set = published(&keys)?;
    assert_eq!(
        (set[0]["kid"].as_str(), set[1]["kid"].as_str()),
        ("new", "old")
    );
    assert_eq!(
        (set[0].get("alg").map(String::as_str), set[1].get("alg")),
        (Some("PS256"), None)
    );
    let at = |algs: &[&str]| Ok::<_, Error>(signs(keys.client_assertion(&server(algs)?, None)));
    assert_eq!(at(&["RS256", "PS256"])?, Ok((Alg::Ps256, "new".to_owned())));
    assert_eq!(at(&["RS256"])?, Ok((Alg::Rs256, "old".to_owned())));
    Ok(())
}

#[test]
fn empty_duplicate_or_unreadable_keys_are_refused() -> Outcome {
    let code = |texts: &[&str]| {
        let read = ClientKeys::read(texts.iter().copied());
        read.map(drop).map_err(|error| error.code())
    };
    let key = pem(Alg::Es256)?;
    assert_eq!(code(&[]), Err("client_auth.keys"));
    assert_eq!(code(&[&key, &key]), Err("client_auth.keys"));
    // An unreadable key is not skipped.
    assert_eq!(code(&[&key, "no key"]), Err("key.malformed"));
    assert_eq!(code(&["no key", &key]), Err("key.malformed"));
    let nameless = r#"{"kty":"EC","kid":""}"#;
    assert_eq!(code(&[nameless]), Err("key.malformed"));
    Ok(())
}
