//! `oauth inspect`: the contents of a token, and the checks that fail.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::common::{Run, RunResult, folder, log_in, oauth, start_twin};

const ISSUER: &str = "https://as.example";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// The claims of an ID token for the client `app`, valid for three and a half hours.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": "app", "client_id": "app", "jti": "1", "nonce": "n",
        "iat": now() - 3 * 86_400 - 100, "exp": now() + 12_600,
    })
}

fn signed_jwt(key: &PrivateKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

struct Issuer {
    key: PrivateKey,
    jwks: String,
}

impl Issuer {
    fn new(name: &str) -> Self {
        let key = PrivateKey::generate(Alg::Es256).unwrap();
        let path = folder(&format!("inspect-{name}")).join("jwks.json");
        let mut public = key.public_jwk().to_value();
        public["kid"] = "k".into();
        std::fs::write(&path, json!({ "keys": [public] }).to_string()).unwrap();
        Self {
            key,
            jwks: path.to_str().unwrap().to_owned(),
        }
    }

    fn token(&self, claims: &Value) -> String {
        signed_jwt(&self.key, &json!({ "alg": "ES256", "kid": "k" }), claims)
    }
}

fn inspect(token: &str, more: &[&str]) -> Run {
    oauth(&[&["inspect"], more].concat()).stdin(&format!("{token}\n"))
}

/// The record, and the names and codes of the checks that failed.
fn failed_check(done: &RunResult) -> (Value, Vec<(String, String)>) {
    let record: Value = serde_json::from_str(&done.stdout).unwrap();
    let checks = record["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["passed"] == false);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let failed = failed.map(|check| (text(&check["check"]), text(&check["code"])));
    let failed = failed.collect();
    (record, failed)
}

#[test]
fn a_token_is_shown_as_unverified() {
    let issuer = Issuer::new("shown");
    let mut claims = claims();
    claims["name"] = "Al\u{1b}[31mice".into();
    let token = issuer.token(&claims);
    let done = inspect(&token, &[]).run();
    assert!(done.stdout.contains("in 3 hours"), "{}", done.stdout);
    assert!(done.stdout.contains("3 days ago"), "{}", done.stdout);
    assert!(done.stdout.contains("NOT verified"), "{}", done.stdout);
    assert!(!done.stdout.contains('\u{1b}'), "{}", done.stdout);
    let signature = token.rsplit('.').next().unwrap().to_owned();
    assert!(!done.ok().contains(&signature));

    // An expired token is shown as well, since no check was requested.
    claims["exp"] = 1_000_000_000.into();
    let token = issuer.token(&claims);
    let shown = inspect(&token, &[]).run();
    assert!(shown.stdout.contains("2001-09-09T01:46:40Z"));
    assert!(shown.ok().contains("FAILED"));
    let run = inspect(&token, &["--audience", "app"]).run();
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("inspect.failed"), "{}", run.stderr);
    assert!(run.stderr.contains("failed: exp\n"), "{}", run.stderr);
}

#[test]
fn a_token_for_any_of_several_audiences_passes() {
    let issuer = Issuer::new("audiences");
    let token = issuer.token(&json!({
        "iss": ISSUER, "sub": "alice", "aud": "app", "iat": now(), "exp": now() + 60, "scope": ["read"],
    }));
    let plain = ["--typ", "access-token", "--token-profile", "jwt", "--json"];
    let judged = |audiences: &[&str]| {
        let named = audiences.iter().flat_map(|name| ["--audience", *name]);
        let keys = ["--issuer", ISSUER, "--jwks", &issuer.jwks];
        let options: Vec<_> = plain.into_iter().chain(keys).chain(named).collect();
        inspect(&token, &options).run()
    };
    judged(&["other", "app"]).ok();
    let (_, failed) = failed_check(&judged(&["other"]));
    let failed: Vec<_> = failed
        .iter()
        .map(|(check, code)| (&**check, &**code))
        .collect();
    assert_eq!(failed, [("api", "jwt.audience"), ("aud", "jwt.audience")]);
    let empty = judged(&["app", ""]);
    assert_eq!((empty.code, empty.stdout.as_str()), (2, ""));
}

#[test]
fn each_check_fails_on_its_own() {
    let issuer = Issuer::new("checks");
    let id_token = ["--typ", "id-token", "--client-id", "app"];
    for (options, member, value, code) in [
        (
            &["--issuer", ISSUER][..],
            "iss",
            json!("https://as.example/"),
            "jwt.issuer",
        ),
        (
            &["--issuer", ISSUER],
            "iss",
            Value::Null,
            "jwt.malformed_claim",
        ),
        (&["--audience", "app"], "aud", json!("app1"), "jwt.audience"),
        (
            &["--client-id", "app"],
            "aud",
            json!(["a", "b"]),
            "jwt.audience",
        ),
        (&["--nonce", "n"], "nonce", json!("n1"), "id_token.nonce"),
        (&id_token, "sub", json!(""), "jwt.missing_claim"),
        (&id_token, "azp", json!("app1"), "id_token.azp"),
        (&id_token, "exp", json!(now() - 61), "jwt.expired"),
        (&id_token, "exp", json!("soon"), "jwt.malformed_claim"),
        (&id_token, "nbf", json!(now() + 3600), "jwt.not_yet_valid"),
        (
            &id_token,
            "iat",
            json!(now() + 3600),
            "jwt.issued_in_future",
        ),
    ] {
        let mut claims = claims();
        let header = json!({ "alg": "ES256", "typ": "JWT" });
        let options = [options, &["--json"]].concat();
        let valid = inspect(&signed_jwt(&issuer.key, &header, &claims), &options).run();
        let (_, none) = failed_check(&valid);
        assert_eq!((valid.code, none), (0, vec![]), "{options:?}");
        claims[member] = value;
        let bad = inspect(&signed_jwt(&issuer.key, &header, &claims), &options).run();
        let (record, failed) = failed_check(&bad);
        assert_eq!(
            failed,
            [(member.to_owned(), code.to_owned())],
            "{options:?}"
        );
        assert_eq!(
            (bad.code, &record["signature"]),
            (1, &"not_verified".into())
        );
    }
}

const API: [&str; 7] = [
    "--typ",
    "access-token",
    "--issuer",
    ISSUER,
    "--audience",
    "app",
    "--json",
];

/// The claims of an access token, which has no nonce.
fn access() -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("nonce");
    claims
}

#[test]
fn inspect_validates_access_tokens_as_an_api_does() {
    let issuer = Issuer::new("api");
    let with_keys = [&API[..], &["--jwks", &issuer.jwks]].concat();
    let client = ["--client-id", "app"];
    let header = |typ: &str| json!({ "alg": "ES256", "kid": "k", "typ": typ });
    // Without keys the other checks are still made.
    for options in [&API[..], &with_keys] {
        let options = [options, &client].concat();
        let judge = |typ: &str, claims: &Value| {
            let token = signed_jwt(&issuer.key, &header(typ), claims);
            let done = inspect(&token, &options).run();
            let (record, failed) = failed_check(&done);
            assert_eq!(done.code, i32::from(!failed.is_empty()));
            (record, failed)
        };
        let of_api = |code: &str| vec![("api".to_owned(), code.to_owned())];
        let (valid, none) = judge("at+jwt", &access());
        assert_eq!(none, []);
        let mut checks = valid["checks"].as_array().unwrap().iter();
        let api = checks.find(|check| check["check"] == "api").unwrap();
        let words = api["detail"].as_str().unwrap();
        let is_supposed = words.contains("if its signature is valid");
        assert_eq!(is_supposed, valid["signature"] == "not_verified", "{words}");
        for (member, value, code) in [
            ("jti", Value::Null, "jwt.malformed_claim"),
            ("sub", json!(""), "jwt.malformed_claim"),
            ("client_id", json!("app1"), "jwt.audience"),
            ("cnf", json!({ "jkt": "x" }), "access_token.proof_required"),
        ] {
            let mut claims = access();
            claims[member] = value;
            assert_eq!(judge("at+jwt", &claims).1, of_api(code), "{member}");
        }
        // A token of one kind is not accepted as the other.
        assert_eq!(judge("JWT", &access()).1, of_api("jwt.typ"));
    }
    let token = signed_jwt(&issuer.key, &header("at+jwt"), &access());
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    let (record, failed) = failed_check(&inspect(&forged, &with_keys).run());
    let bad = |check: &str| (check.to_owned(), "jws.bad_signature".to_owned());
    assert_eq!(failed, [bad("signature"), bad("api")]);
    assert_eq!(record["signature"], "failed");
    let done = inspect(&token, &["--typ", "access-token"]).run();
    assert!(
        done.stderr.contains("usage.access_token"),
        "{}",
        done.stderr
    );
    assert_eq!(done.code, 2);
}

#[test]
fn access_token_profiles_of_servers_are_supported() {
    for alg in [Alg::Rs256, Alg::Es384, Alg::Es512, Alg::EdDsa] {
        let key = PrivateKey::generate(alg).unwrap();
        let mut claims = access();
        claims.as_object_mut().unwrap().remove("client_id");
        (claims["typ"], claims["azp"]) = ("Bearer".into(), "web".into());
        claims["scope"] = "read".into();
        let header = json!({ "alg": alg.as_str(), "kid": "k", "typ": "JWT" });
        let token = signed_jwt(&key, &header, &claims);
        let (_, of_rfc) = failed_check(&inspect(&token, &API).run());
        assert_eq!(of_rfc, [("api".to_owned(), "jwt.typ".to_owned())]);
        let keycloak = [&API[..6], &["--token-profile", "keycloak"]].concat();
        let text = inspect(&token, &keycloak).run().ok();
        assert!(text.contains("client web, scope read"), "{text}");
        assert!(text.contains("NOT verified"), "{text}");
    }
    let unknown = inspect("e30.e30.", &["--token-profile", "other"]).run();
    assert!(
        unknown.stderr.contains("rfc9068, keycloak"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn signatures_are_verified_with_the_keys_of_a_file() {
    let issuer = Issuer::new("jwks");
    let options = ["--issuer", ISSUER, "--jwks", &issuer.jwks, "--json"];
    let judged = |token: &str| {
        let done = inspect(token, &options).run();
        let (record, failed) = failed_check(&done);
        (done.code, record["signature"].clone(), failed)
    };
    let token = issuer.token(&claims());
    assert_eq!(judged(&token), (0, "verified".into(), vec![]));

    let bad = |code: &str| {
        let failed = vec![("signature".to_owned(), code.to_owned())];
        (1, "failed".into(), failed)
    };
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    assert_eq!(judged(&forged), bad("jws.bad_signature"));
    let other = PrivateKey::generate(Alg::Es384).unwrap();
    let unknown = signed_jwt(&other, &json!({ "alg": "ES384", "kid": "k" }), &claims());
    assert_eq!(judged(&unknown), bad("jws.no_matching_key"));
    let none = signed_jwt(&other, &json!({ "alg": "none" }), &claims());
    assert_eq!(judged(&none), bad("jws.alg_not_allowed"));
    let hmac = signed_jwt(&other, &json!({ "alg": "HS256" }), &claims());
    assert_eq!(judged(&hmac), bad("jws.alg_not_allowed"));

    let text = inspect(&forged, &["--issuer", ISSUER, "--jwks", &issuer.jwks]).run();
    assert!(
        text.stdout.contains("signature is INVALID"),
        "{}",
        text.stdout
    );
    std::fs::write(&issuer.jwks, "{}").unwrap();
    let done = inspect(&token, &options).run();
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("usage.jwks"), "{}", done.stderr);
    // Keys need an issuer.
    let alone = inspect(&token, &["--jwks", &issuer.jwks]).run();
    assert_eq!(alone.code, 2);
}

#[test]
fn inspect_validates_id_tokens_as_a_login_does() {
    let issuer = Issuer::new("login");
    let keys = ["--issuer", ISSUER, "--jwks", &issuer.jwks, "--json"];
    let kind = ["--typ", "id-token", "--client-id", "app", "--nonce", "n"];
    let options = [&keys[..], &kind].concat();
    let mut claims = claims();
    let valid_token = inspect(&issuer.token(&claims), &options).run().json();
    let checks = valid_token["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "login"));
    // The other claims are valid, but the second audience is not trusted.
    claims["aud"] = json!(["app", "other"]);
    claims["azp"] = "app".into();
    let done = inspect(&issuer.token(&claims), &options).run();
    let expected = ("login".to_owned(), "jwt.untrusted_audience".to_owned());
    assert_eq!((done.code, failed_check(&done).1), (1, vec![expected]));
}

#[test]
fn keys_are_fetched_only_if_requested() {
    let served = start_twin();
    let file = folder("inspect-fetch").join("tokens.json");
    log_in(
        &served,
        &["--scope", "openid", "--save", file.to_str().unwrap()],
    );
    let tokens: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let token = tokens["id_token"].as_str().unwrap();
    let before = served.with(|twin| twin.log().len());
    let base = served.base().to_owned();
    let expected = [
        "--issuer",
        &base,
        "--client-id",
        "twin-client",
        "--typ",
        "id-token",
    ];
    inspect(token, &expected).run().ok();
    assert_eq!(served.with(|twin| twin.log().len()), before);

    let fetching = [&expected[..], &["--fetch-keys", "--loopback-http"]].concat();
    let text = inspect(token, &fetching).run().ok();
    assert!(text.contains("the signature is valid"), "{text}");
    let logged = served.with(|twin| {
        let log = twin.log().iter().skip(before);
        log.map(|entry| entry.path.clone()).collect::<Vec<_>>()
    });
    let well_known = logged.iter().filter(|path| path.contains("/.well-known/"));
    assert!(well_known.count() >= 1, "{logged:?}");
    assert_eq!(logged.iter().filter(|path| *path == "/jwks").count(), 1);
    assert!(!logged.iter().any(|path| path == "/token"), "{logged:?}");

    // Plain http must be enabled, and an unreachable server is not reported as a fault of the token.
    let done = inspect(token, &[&expected[..], &["--fetch-keys"]].concat()).run();
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    drop(served);
    let done = inspect(token, &fetching).run();
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("lost."), "{}", done.stderr);
}

#[test]
fn a_token_on_the_command_line_is_refused() {
    let token = Issuer::new("argument").token(&claims());
    let done = oauth(&["inspect", &token]).run();
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("usage.token_argument"));
    assert!(!done.stderr.contains(&token[..20]), "{}", done.stderr);
    let file = folder("inspect-file").join("token.jwt");
    std::fs::write(&file, &token).unwrap();
    let shown = oauth(&["inspect", file.to_str().unwrap()]).run().ok();
    assert!(shown.contains("alice"));
}

#[test]
fn an_invalid_token_is_refused_and_not_shown() {
    for text in ["opaque-t0ken", "t0ken.a.b", "e30.t0ken.AA.AA"] {
        let done = inspect(text, &[]).run();
        assert_eq!((done.code, done.stdout.as_str()), (1, ""));
        assert!(done.stderr.contains("jws.malformed"), "{}", done.stderr);
        assert!(done.stderr.contains("oauth introspect"), "{}", done.stderr);
        assert!(!done.stderr.contains("t0ken"), "{}", done.stderr);
    }
    assert_eq!(inspect("", &[]).run().code, 2);
    assert_eq!(oauth(&["inspect", "/nonexistent"]).run().code, 2);
}

#[test]
fn only_the_header_of_an_encrypted_token_is_shown() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
    let token = format!("{header}.AAAA.AAAA.c2VjcmV0.AAAA");
    let text = inspect(&token, &[]).run().ok();
    assert!(
        text.contains("A256GCM") && text.contains("encrypted"),
        "{text}"
    );
    let done = inspect(&token, &["--typ", "id-token", "--json"]).run();
    let (record, failed) = failed_check(&done);
    assert_eq!((done.code, &record["encrypted"]), (1, &true.into()));
    assert_eq!((&record["claims"], failed), (&Value::Null, vec![]));
    assert!(done.stderr.contains("encrypted"), "{}", done.stderr);
}
