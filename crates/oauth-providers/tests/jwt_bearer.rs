//! The JWTs of token requests as documented by each provider (RFC 7523 section 2.1).

#![allow(clippy::unwrap_used)] // tests may panic

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use bytes::Bytes;
use oauth_core::crypto::{Signer, SigningKey};
use oauth_core::error::Cause;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::{ClientId, Error, Exchange as _, Input, Moment, Scope, Secret, Step};
use oauth_providers::{Provider, provider};
use serde_json::{Value, json};

const NOW: u64 = 1_750_000_000;

struct Zeros;

impl Signer for Zeros {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(vec![0; 256].into())
    }
}

fn key(id: &str, alg: Alg) -> SigningKey {
    SigningKey::local(id, alg, Arc::new(Zeros))
}

/// The client and arguments of a token request.
struct Asked<'a> {
    key: SigningKey,
    claims: &'a [(&'a str, &'a str)],
    scope: &'a str,
}

/// Header, claims and form of the request.
type Sent = (Value, Value, Vec<(String, String)>);

fn sent(preset: Provider, request: Asked<'_>) -> Result<Sent, Error> {
    exchange(preset, request).map(|(sent, _)| sent)
}

/// The request, and the scope of the tokens if the reply names none.
fn exchange(preset: Provider, assertion_input: Asked<'_>) -> Result<(Sent, String), Error> {
    let secret = Some(Secret::new("secret".to_owned()));
    let client = preset.client(ClientId::new("id"), secret)?;
    let mut assertion = client
        .server()
        .assertion(assertion_input.key, "id", "somebody")?;
    for (name, value) in assertion_input.claims {
        assertion = assertion.claim(name, *value)?;
    }
    let mut exchange =
        client.tokens_for_own_assertion(assertion, Scope::parse(assertion_input.scope)?);
    let at = Moment::fixed(UnixTime::from_secs(NOW), [7; 32]);
    let Step::Send(request) = exchange.resume(&at, Input::Begin)? else {
        panic!("a request")
    };
    let form = std::str::from_utf8(request.body()).unwrap();
    let form: Vec<_> = form
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let (_, jwt) = form.iter().find(|(name, _)| *name == "assertion").unwrap();
    let mut parts = jwt.split('.').map(|part| BASE64URL.decode(part).unwrap());
    let mut part = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    let (header, claims) = (part(), part());
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let sent = (header, claims, form.into_iter().map(owned).collect());
    let reply = oauth_core::http::Response::builder().header("content-type", "application/json");
    let reply = reply.body(r#"{"access_token":"t","token_type":"Bearer"}"#.into());
    let Step::Done(tokens) = exchange.resume(&at, Input::Reply(reply.unwrap()))? else {
        panic!("tokens")
    };
    Ok((sent, tokens.scope.as_str().to_owned()))
}

/// The claims without the random `jti`: Box requires 16 to 128 characters.
fn without_jti(mut claims: Value) -> Value {
    let jti = claims.as_object_mut().unwrap().remove("jti");
    let length = jti.unwrap().as_str().unwrap().len();
    assert!((16..=128).contains(&length), "{length}");
    claims
}

#[test]
fn salesforce_jwt_has_the_login_host_as_audience_and_lasts_three_minutes() {
    let request = Asked {
        key: key("", Alg::Rs256),
        claims: &[],
        scope: "api",
    };
    let (header, claims, form) = sent(provider("salesforce").unwrap(), request).unwrap();
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
    let expected = json!({
        "iss": "id", "sub": "somebody", "aud": "https://login.salesforce.com", "iat": NOW, "exp": NOW + 180,
    });
    assert_eq!(without_jti(claims), expected);
    assert!(
        form.contains(&("scope".to_owned(), "api".to_owned())),
        "{form:?}"
    );
    let sandbox =
        provider("salesforce").and_then(|preset| preset.with("host", "test.salesforce.com"));
    let request = Asked {
        key: key("", Alg::Rs256),
        claims: &[],
        scope: "",
    };
    let (_, claims, _) = sent(sandbox.unwrap(), request).unwrap();
    assert_eq!(
        claims.get("aud"),
        Some(&json!("https://test.salesforce.com"))
    );
}

#[test]
fn box_jwt_has_a_kid_and_subject_type_and_lasts_45_seconds() {
    for (kind, alg) in [("enterprise", Alg::Rs256), ("user", Alg::Rs512)] {
        let claims = [("box_sub_type", kind)];
        let request = Asked {
            key: key("k1", alg),
            claims: &claims,
            scope: "",
        };
        let (header, claims, form) = sent(provider("box").unwrap(), request).unwrap();
        assert_eq!(
            header,
            json!({ "alg": alg.as_str(), "kid": "k1", "typ": "JWT" })
        );
        let expected = json!({
            "iss": "id", "sub": "somebody", "box_sub_type": kind, "aud": "https://api.box.com/oauth2/token",
            "iat": NOW, "exp": NOW + 45,
        });
        assert_eq!(without_jti(claims), expected);
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["grant_type", "assertion", "client_id", "client_secret"]
        );
    }
}

#[test]
fn docusign_jwt_has_the_bare_host_as_audience_and_the_scope_as_a_claim() {
    let hosts = [
        ("docusign", "account.docusign.com"),
        ("docusign-demo", "account-d.docusign.com"),
    ];
    for (preset, host) in hosts {
        for (scope, claim) in [
            ("", "signature impersonation"),
            ("impersonation", "impersonation"),
        ] {
            let request = Asked {
                key: key("", Alg::Rs256),
                claims: &[],
                scope,
            };
            let (sent, granted) = exchange(provider(preset).unwrap(), request).unwrap();
            let (header, claims, form) = sent;
            assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
            assert_eq!(granted, claim);
            let expected = json!({
                "iss": "id", "sub": "somebody", "aud": host, "scope": claim, "iat": NOW, "exp": NOW + 300,
            });
            assert_eq!(without_jti(claims), expected);
            assert!(form.iter().all(|(name, _)| name != "scope"), "{form:?}");
        }
    }
}

#[test]
fn assertions_the_provider_would_refuse_are_not_sent() {
    let kind = [("box_sub_type", "user")];
    let app = [("box_sub_type", "app")];
    let cases = [
        ("box", "", Alg::Rs256, &kind[..], "assertion.claim", "kid"),
        (
            "box",
            "k1",
            Alg::Rs256,
            &[],
            "assertion.claim",
            "box_sub_type",
        ),
        (
            "box",
            "k1",
            Alg::Rs256,
            &app[..],
            "assertion.claim",
            "enterprise, user",
        ),
        ("box", "k1", Alg::Es256, &kind, "key.algorithm", "ES256"),
        ("docusign", "", Alg::Ps256, &[], "key.algorithm", "PS256"),
    ];
    for (preset, id, alg, claims, code, about) in cases {
        let request = Asked {
            key: key(id, alg),
            claims,
            scope: "",
        };
        let refused = sent(provider(preset).unwrap(), request).unwrap_err();
        assert_eq!(refused.code(), code, "{about}");
        assert!(refused.to_string().contains(about), "{refused}");
    }
}

#[test]
fn invalid_jwt_bearer_settings_are_refused_by_name() {
    let file = |lines: &str| {
        Provider::from_toml(&format!(
            "name = \"acme\"\ntitle = \"Acme\"\nissuer = \"https://acme.example\"\nclient_auth = \"basic\"\n\
             grants = []\n\n[jwt_bearer]\n{lines}\n"
        ))
    };
    assert!(file("audience = \"acme\"\nclaims = { tenant = {} }").is_ok());
    for (lines, about) in [
        ("audience = \"\"", "jwt_bearer.audience"),
        ("lifetime = 0", "jwt_bearer.lifetime"),
        ("algs = [\"none\"]", "jwt_bearer.algs"),
        ("kid = \"maybe\"", "kid"),
        ("claims = { aud = {} }", "jwt_bearer.claims.aud"),
    ] {
        let refused = file(lines).unwrap_err();
        assert_eq!(refused.code(), "provider.data", "{lines}");
        assert!(refused.to_string().contains(about), "{refused}");
    }
}
