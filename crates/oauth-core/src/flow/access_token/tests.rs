#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod algs;
mod encrypted;
mod may_act;
mod refusals;

use std::time::Duration;

use super::{AccessTokenVerifier, ApiRefusal, Scheme};
use crate::challenge;
use crate::error::{Cause, Error};
use crate::exchange::{Exchange, Input, Step, VerificationJob};
use crate::jose::{Alg, KeySet, signing_input};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::server::EndpointKind;
use crate::testing::{self, NOW, at, error_code};
use crate::token::access_token::{AccessTokenProfile, ProvenKeys, VerifiedAccessToken};

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn verifier() -> AccessTokenVerifier {
    let server = testing::server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let verifier = AccessTokenVerifier::new(server.unwrap(), "https://api.example")
        .with_algs([Alg::Es256])
        .unwrap();
    verifier.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    verifier
}

/// A token whose signature verifies.
fn token(typ: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"ES256","kid":"1"{typ}}}"#);
    format!("{}.{}", signing_input(&header, claims), "A".repeat(86))
}

const AT_JWT: &str = r#","typ":"at+jwt""#;

/// The claims of RFC 9068, with these added or replaced.
fn claims(more: &str) -> String {
    let text = format!(
        r#"{{"iss":"https://as.example","aud":"https://api.example","sub":"u","client_id":"c",
        "jti":"j","iat":{NOW},"exp":{}}}"#,
        NOW + 300
    );
    let mut claims: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let more: Map<String, Value> = serde_json::from_str(&format!("{{{more}}}")).unwrap();
    claims.extend(more);
    claims.retain(|_, value| !matches!(value, Value::Null));
    serde_json::to_string(&claims).unwrap()
}

fn verify(
    verifier: &AccessTokenVerifier,
    token: &str,
    proven: ProvenKeys,
) -> Result<VerifiedAccessToken, Error> {
    let mut exchange = verifier.verify_with(token, proven);
    match exchange.resume(&at(), Input::Begin)? {
        Step::Verify(VerificationJob::Signature { alg: "ES256", .. }) => {}
        step => panic!("{step:?}"),
    }
    match exchange.resume(&at(), Input::Verified(true))? {
        Step::Done(token) => Ok(token),
        step => panic!("{step:?}"),
    }
}

fn verify_claims(
    verifier: &AccessTokenVerifier,
    typ: &str,
    more: &str,
) -> Result<(), &'static str> {
    let token = token(typ, &claims(more));
    error_code(verify(verifier, &token, ProvenKeys::none()).map(drop))
}

fn profile(profile: AccessTokenProfile) -> AccessTokenVerifier {
    verifier().with_profile(profile)
}

#[test]
fn valid_token_yields_its_claims() {
    let more = r#""scope":"read write","groups":["g"]"#;
    let token = token(AT_JWT, &claims(more));
    let token = verify(&verifier(), &token, ProvenKeys::none()).unwrap();
    assert_eq!((token.subject(), token.client_id()), ("u", Some("c")));
    assert_eq!(token.scope().as_str(), "read write");
    assert_eq!(token.issuer(), "https://as.example");
    assert_eq!(token.audience(), ["https://api.example"]);
    assert_eq!(token.expires_at(), Some(UnixTime::from_secs(NOW + 300)));
    assert!(token.claims().get("groups").is_some() && token.confirmation().is_none());
    assert!(!format!("{token:?}").contains("\"u\""));
}

#[test]
fn hmac_signed_access_token_is_refused() {
    let text = signing_input(r#"{"alg":"HS256","typ":"at+jwt"}"#, &claims(""));
    let mut exchange = verifier().verify(&format!("{text}.{}", "A".repeat(43)));
    let step = exchange.resume(&at(), Input::Begin);
    assert_eq!(error_code(step.map(drop)), Err("jws.alg_not_allowed"));
}

#[test]
fn algorithms_come_from_metadata_without_hmac_and_default_to_rs256() {
    let named = Value::from(["HS256", "PS256"].map(Value::from).to_vec());
    let metadata = [("id_token_signing_alg_values_supported".to_owned(), named)];
    let server = testing::server().with_metadata(metadata.into_iter().collect());
    let algs_of = |server| AccessTokenVerifier::new(server, "https://api.example").algs;
    assert_eq!(*algs_of(server), [Alg::Ps256]);
    assert_eq!(*algs_of(testing::server()), [Alg::Rs256]);
}

#[test]
fn other_token_kinds_are_refused_under_every_profile() {
    // With every claim that a profile requires.
    let all = r#""azp":"c","cid":"c","token_use":"access","typ":"Bearer""#;
    for &known in AccessTokenProfile::ALL {
        let verifier = profile(known);
        assert_eq!(verify_claims(&verifier, AT_JWT, all), Ok(()), "{known:?}");
        let foreign = [
            r#""nonce":"n","at_hash":"h""#,
            r#""c_hash":"h""#,
            r#""s_hash":"h""#,
            r#""events":{}"#,
            r#""token_use":"id""#,
            r#""typ":"ID""#,
            r#""typ":"Logout""#,
            r#""typ":"Refresh""#,
        ];
        for more in foreign {
            let more = format!("{all},{more}");
            let result = verify_claims(&verifier, AT_JWT, &more);
            assert_eq!(result, Err("jwt.unexpected_claim"), "{known:?} {more}");
        }
        // Some servers copy the login's nonce into a token that its `typ` declares an access token.
        let copied = format!(r#"{all},"nonce":"n""#);
        assert_eq!(
            verify_claims(&verifier, AT_JWT, &copied),
            Ok(()),
            "{known:?}"
        );
        let expected = match known {
            AccessTokenProfile::Rfc9068 => "jwt.typ",
            _ => "jwt.unexpected_claim",
        };
        for typ in ["", r#","typ":"JWT""#] {
            assert_eq!(
                verify_claims(&verifier, typ, &copied),
                Err(expected),
                "{known:?}"
            );
        }
        for typ in [
            "logout+jwt",
            "application/logout+jwt",
            "id_token+jwt",
            "dpop+jwt",
            "",
        ] {
            let typ = format!(r#","typ":"{typ}""#);
            assert_eq!(
                verify_claims(&verifier, &typ, all),
                Err("jwt.typ"),
                "{known:?}{typ}"
            );
        }
    }
}

#[test]
fn each_profile_reads_its_providers_claims() {
    let none = r#""client_id":null"#;
    let (jwt, no_type) = (r#","typ":"JWT""#, "");
    let cases = [
        (
            AccessTokenProfile::Keycloak,
            jwt,
            r#""azp":"c","typ":"Bearer","scope":"read""#,
        ),
        (
            AccessTokenProfile::Entra,
            jwt,
            r#""azp":"c","jti":null,"scp":"read""#,
        ),
        (
            AccessTokenProfile::Entra,
            jwt,
            r#""appid":"c","jti":null,"scp":"read""#,
        ),
        (
            AccessTokenProfile::Auth0,
            jwt,
            r#""azp":"c","jti":null,"scope":"read""#,
        ),
        (
            AccessTokenProfile::Okta,
            no_type,
            r#""cid":"c","scp":["read"]"#,
        ),
    ];
    for (known, typ, expected) in cases {
        let verifier = profile(known).require_scope(Scope::parse("read").unwrap());
        assert_eq!(
            verify_claims(&verifier, typ, &format!("{none},{expected}")),
            Ok(()),
            "{known:?}"
        );
        // Without the claim that names the client, an ID token looks the same.
        let stripped = expected
            .replace("\"azp\"", "\"x\"")
            .replace("\"cid\"", "\"x\"");
        let stripped = format!("{none},{}", stripped.replace("\"appid\"", "\"x\""));
        assert_eq!(
            verify_claims(&verifier, typ, &stripped),
            Err("jwt.missing_claim"),
            "{known:?}"
        );
        assert_eq!(
            verify_claims(&self::verifier(), typ, expected),
            Err("jwt.typ"),
            "{known:?}"
        );
    }
    let keycloak = profile(AccessTokenProfile::Keycloak);
    assert_eq!(
        verify_claims(&keycloak, jwt, r#""azp":"c""#),
        Err("jwt.missing_claim")
    );
}

/// As written by servers without a profile: the scope as a list, no `jti`, and no client.
#[test]
fn jwt_profile_accepts_any_common_form_of_scope_client_and_typ() {
    let plain = || profile(AccessTokenProfile::Jwt).require_scope(Scope::parse("read").unwrap());
    let none = r#""client_id":null,"jti":null"#;
    for typ in ["", r#","typ":"JWT""#, AT_JWT] {
        for scope in [
            r#""scope":["read","write"]"#,
            r#""scope":"read write""#,
            r#""scp":["read"]"#,
        ] {
            assert_eq!(
                verify_claims(&plain(), typ, &format!("{none},{scope}")),
                Ok(())
            );
        }
    }
    let token = |more: &str| token("", &claims(&format!("{none},{more}")));
    let read = |more| verify(&plain(), &token(more), ProvenKeys::none()).unwrap();
    assert_eq!(read(r#""scope":"read""#).client_id(), None);
    assert_eq!(read(r#""scope":"read","azp":"c""#).client_id(), Some("c"));
    let scopeless = verify_claims(&plain(), "", none);
    assert_eq!(scopeless, Err("access_token.insufficient_scope"));
    for missing in ["iss", "sub", "aud", "iat", "exp"] {
        let more = format!(r#"{none},"scope":"read","{missing}":null"#);
        let result = verify_claims(&plain(), "", &more);
        assert_eq!(result, Err("jwt.missing_claim"), "{missing}");
    }
}

/// RFC 9068 section 5, RFC 8725 section 3.12.
#[test]
fn id_token_is_refused_by_the_jwt_profile() {
    let plain = profile(AccessTokenProfile::Jwt);
    let for_a_client = r#""client_id":null,"jti":null,"aud":"c","azp":"c""#;
    assert_eq!(verify_claims(&plain, "", for_a_client), Err("jwt.audience"));
    // The API uses a client ID as its identifier.
    let alike = plain.or_audience("c");
    let result = verify_claims(&alike, "", for_a_client);
    assert_eq!(result, Err("jwt.unexpected_claim"));
    let of_another = for_a_client.replace(r#""azp":"c""#, r#""azp":"app""#);
    assert_eq!(verify_claims(&alike, "", &of_another), Ok(()));
}

#[test]
fn cognito_token_without_aud_must_name_the_app_client() {
    let for_client = verifier()
        .or_audience("c")
        .with_profile(AccessTokenProfile::Cognito);
    let cases = [
        (r#""token_use":"access","aud":null"#, Ok(())),
        (
            r#""token_use":"access","aud":null,"client_id":"other""#,
            Err("jwt.audience"),
        ),
        (
            r#""token_use":"access","aud":"https://other.example""#,
            Err("jwt.audience"),
        ),
        (r#""token_use":"access""#, Ok(())),
        (r#""aud":null"#, Err("jwt.missing_claim")),
    ];
    for (more, expected) in cases {
        assert_eq!(verify_claims(&for_client, "", more), expected, "{more}");
    }
}

#[test]
fn claim_of_the_wrong_type_is_reported_as_malformed() {
    let cases = [
        r#""sub":"""#,
        r#""client_id":"""#,
        r#""client_id":1"#,
        r#""scope":["read"]"#,
        r#""scope":"a\"b""#,
        r#""jti":1"#,
        r#""acr":1"#,
        r#""auth_time":"1""#,
        r#""auth_time":1750000061"#,
        r#""cnf":"x""#,
        r#""cnf":{"jkt":1}"#,
    ];
    for more in cases {
        let result = verify_claims(&verifier(), AT_JWT, more);
        assert_eq!(result, Err("jwt.malformed_claim"), "{more}");
    }
    let okta = profile(AccessTokenProfile::Okta);
    let result = verify_claims(&okta, "", r#""cid":"c","scp":["read admin"]"#);
    assert_eq!(result, Err("jwt.malformed_claim"));
}

#[test]
fn proven_keys_must_match_the_tokens_confirmation() {
    let verifier = verifier();
    let judged = |more: &str, proven: &ProvenKeys| {
        let token = token(AT_JWT, &claims(more));
        error_code(verify(&verifier, &token, proven.clone()).map(drop))
    };
    let (none, jkt, cert) = (
        ProvenKeys::none(),
        ProvenKeys::dpop("k"),
        ProvenKeys::certificate("t"),
    );
    let mut both = jkt.clone();
    both.x5t_s256 = Some("t".to_owned());
    let refused = Err("access_token.proof_required");
    for (more, proven, expected) in [
        ("", &none, Ok(())),
        ("", &cert, Ok(())),
        ("", &jkt, refused),
        (r#""cnf":{}"#, &none, refused),
        (r#""cnf":{"jkt":"k"}"#, &none, refused),
        (r#""cnf":{"jkt":"k"}"#, &jkt, Ok(())),
        (r#""cnf":{"jkt":"other"}"#, &jkt, refused),
        (r#""cnf":{"jkt":"t"}"#, &cert, refused),
        (r#""cnf":{"x5t#S256":"t"}"#, &none, refused),
        (r#""cnf":{"x5t#S256":"t"}"#, &cert, Ok(())),
        (r#""cnf":{"x5t#S256":"other"}"#, &cert, refused),
        (r#""cnf":{"x5t#S256":"t","jkt":"k"}"#, &cert, refused),
        (r#""cnf":{"x5t#S256":"t","jkt":"k"}"#, &both, Ok(())),
        (r#""cnf":{"kid":"k"}"#, &none, refused),
        (r#""cnf":{"kid":"k","jkt":"k"}"#, &both, refused),
    ] {
        assert_eq!(judged(more, proven), expected, "{more} {proven:?}");
    }
}

#[test]
fn acr_and_auth_time_requirements_are_enforced() {
    let strict = verifier().require_max_age(Duration::from_secs(60));
    let strict = strict.require_acr(["gold", "silver"]).unwrap();
    let unmet = Err("access_token.insufficient_user_authentication");
    for (acr, age, expected) in [
        ("silver", 120, Ok(())),
        ("silver", 121, unmet),
        ("bronze", 0, unmet),
    ] {
        let more = format!(r#""acr":"{acr}","auth_time":{}"#, NOW - age);
        assert_eq!(verify_claims(&strict, AT_JWT, &more), expected, "{more}");
    }
    // `iat` does not replace `auth_time`.
    assert_eq!(verify_claims(&strict, AT_JWT, r#""acr":"gold""#), unmet);
    let now = format!(r#""auth_time":{NOW}"#);
    assert_eq!(verify_claims(&strict, AT_JWT, &now), unmet);
}

#[test]
fn clock_skew_is_limited_to_five_minutes() {
    let lenient = verifier().with_clock_skew(Duration::from_secs(3600));
    let ended = |ago: u64| format!(r#""exp":{}"#, NOW - ago);
    assert_eq!(verify_claims(&lenient, AT_JWT, &ended(299)), Ok(()));
    assert_eq!(
        verify_claims(&lenient, AT_JWT, &ended(300)),
        Err("jwt.expired")
    );
    assert_eq!(
        verify_claims(&verifier(), AT_JWT, &ended(60)),
        Err("jwt.expired")
    );
}

#[test]
fn clones_share_keys_but_not_requirements() {
    let verifier = verifier();
    let admin = verifier
        .clone()
        .require_scope(Scope::parse("admin").unwrap());
    assert_eq!(verify_claims(&verifier, AT_JWT, ""), Ok(()));
    let refused = verify_claims(&admin, AT_JWT, r#""scope":"administrator""#);
    assert_eq!(refused, Err("access_token.insufficient_scope"));
    let keys = KeySet::parse(r#"{"keys":[]}"#).unwrap();
    admin.keep_keys(UnixTime::from_secs(NOW), keys);
    assert_eq!(verifier.keys().map(|keys| keys.ids().count()), Some(0));
}

#[test]
fn failures_unrelated_to_the_token_give_5xx_without_a_challenge() {
    let verifier = verifier();
    let error = Error::lost(Cause::unsent("no network"));
    for (code, status) in [
        (error.code(), 503),
        ("lost.timeout", 503),
        ("denied.http_status", 503),
        ("reply.too_large", 503),
        ("jwks.malformed", 503),
        ("endpoint.missing", 500),
        ("misuse.no_clock", 500),
        ("", 500),
    ] {
        let refusal = verifier.refuse_code(Scheme::Bearer, code);
        assert_eq!(
            (refusal.status, refusal.challenge),
            (status, None),
            "{code}"
        );
    }
}
