#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::exchange::{Exchange as _, Input, Step};
use crate::testing::{at, client_of, reply, server};

const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"e","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn fetched(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Result<FetchedKeys, Error> {
    let jwks_uri = "https://as.example/jwks";
    let client = client_of(
        server()
            .with_endpoint(EndpointKind::Jwks, jwks_uri)
            .unwrap(),
    );
    let mut call = client.call(Jwks);
    let Step::Send(request) = call.resume(&at(), Input::Begin)? else {
        return Err(Error::from(ProtocolViolation::JwksShape));
    };
    assert_eq!(
        (
            request.uri().to_string().as_str(),
            request.method().as_str()
        ),
        (jwks_uri, "GET")
    );
    // Public keys are not secret, so the client does not authenticate.
    assert!(request.headers().get("authorization").is_none());
    match call.resume(&at(), Input::Reply(reply(status, headers, body)))? {
        Step::Done(keys) => Ok(keys),
        _ => Err(Error::from(ProtocolViolation::JwksShape)),
    }
}

fn age(control: &[&str]) -> Option<u64> {
    let mut headers = vec![("content-type", "application/jwk-set+json")];
    headers.extend(control.iter().map(|field| ("cache-control", *field)));
    fetched(200, &headers, SET)
        .unwrap()
        .max_age
        .map(|age| age.as_secs())
}

#[test]
fn cache_control_sets_the_key_set_lifetime() {
    assert_eq!(age(&[]), None);
    assert_eq!(
        age(&["public, max-age=21600, must-revalidate"]),
        Some(21_600)
    );
    assert_eq!(age(&["Max-Age=\"60\""]), Some(60));
    assert_eq!(age(&["max-age=600", "no-cache"]), Some(0));
    assert_eq!(age(&["no-store"]), Some(0));
    assert_eq!(age(&["max-age=soon, s-maxage=7"]), None);
}

/// RFC 7517 section 8.5.2.
#[test]
fn strict_rules_accept_the_jwk_set_media_type() {
    let server = server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let rules = crate::quirk::Rules {
        strictness: crate::quirk::Strictness::Strict,
        ..Default::default()
    };
    let client = client_of(server.unwrap().with_rules(rules));
    for (media, code) in [
        ("application/jwk-set+json", None),
        ("application/json", None),
        ("application/octet-stream", Some("reply.content_type")),
    ] {
        let reply = reply(200, &[("content-type", media)], SET);
        let error = crate::testing::run_with_reply(client.call(Jwks), reply).err();
        assert_eq!(error.map(|error| error.code()), code, "{media}");
    }
}

#[test]
fn malformed_key_set_or_error_status_is_refused() {
    let json = [("content-type", "application/json")];
    for body in ["[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#] {
        let refused = fetched(200, &json, body).unwrap_err();
        assert!(
            ["jwks.malformed", "reply.shape"].contains(&refused.code()),
            "{body}: {refused}"
        );
    }
    assert_eq!(
        fetched(404, &json, SET).unwrap_err().code(),
        "denied.http_status"
    );
}

/// Servers with many tenants publish large sets: the limit is higher than for other replies.
#[test]
fn a_thousand_keys_are_read_and_four_thousand_refused() {
    let key = |n: usize| SET[9..SET.len() - 2].replace(r#""kid":"e""#, &format!(r#""kid":"{n}""#));
    let set = |count: usize| {
        let keys: Vec<_> = (0..count).map(key).collect();
        let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        fetched(200, &[("content-type", "application/json")], &body)
    };
    let all = set(1000).unwrap().keys;
    for kid in ["0", "999"] {
        assert_eq!(all.candidates(crate::jose::Alg::EdDsa, Some(kid)).len(), 1);
    }
    assert_eq!(
        set(4000).map(drop).unwrap_err().code(),
        "reply.too_many_values"
    );
}
