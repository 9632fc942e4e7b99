#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::time::Duration;

use super::{IdToken, IdTokenChecks, IdTokenOrigin, UnexpectedNonce};
use crate::client::Client;
use crate::error::Error;
use crate::exchange::{Exchange, Input, Step, VerificationJob};
use crate::jose::{Alg, Claims, KeySet, signing_input};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::quirk::{Quirk, Rules};
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::testing::{self, NOW, at, error_code};

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn client(quirks: Vec<Quirk>) -> Client {
    let server = testing::server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let server = server.unwrap().with_rules(Rules {
        quirks,
        ..Rules::default()
    });
    let client = testing::client_of(server).with_id_token_algs([Alg::Es256]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

/// An ID token with these claims added or replaced, whose signature verifies.
fn token(typ: &str, more: &str) -> String {
    let ends = NOW + 300;
    let text = format!(
        r#"{{"iss":"https://as.example","aud":"id","sub":"u","nonce":"n","iat":{NOW},"exp":{ends}}}"#
    );
    let mut claims: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let more: Map<String, Value> = serde_json::from_str(&format!("{{{more}}}")).unwrap();
    claims.extend(more);
    claims.retain(|_, value| !matches!(value, Value::Null));
    let claims = serde_json::to_string(&claims).unwrap();
    let header = format!(r#"{{"alg":"ES256","kid":"1"{typ}}}"#);
    format!("{}.{}", signing_input(&header, &claims), "A".repeat(86))
}

/// The result for a token whose signature and hashes are valid.
fn verify_with(client: &Client, token: &str, checks: IdTokenChecks) -> Result<IdToken, Error> {
    let mut exchange = client.verify_id_token(Secret::from(token), checks);
    let mut step = exchange.resume(&at(), Input::Begin)?;
    loop {
        step = match step {
            Step::Verify(VerificationJob::Signature { .. } | VerificationJob::HalfHash { .. }) => {
                exchange.resume(&at(), Input::Verified(true))?
            }
            Step::Done(token) => return Ok(token),
            step => panic!("{step:?}"),
        };
    }
}

fn error_code_of(claim_changes: &str, checks: IdTokenChecks) -> Result<(), &'static str> {
    let client = client(Vec::new());
    error_code(verify_with(&client, &token("", claim_changes), checks).map(drop))
}

fn with_nonce() -> IdTokenChecks {
    IdTokenChecks::unsolicited(Some("n".into()))
}

/// Only `aud` may be one string instead of a list.
#[test]
fn amr_must_be_a_list_of_strings() {
    for (more, result) in [
        (r#""amr":["pwd","otp"]"#, Ok(())),
        (r#""amr":[]"#, Ok(())),
        (r#""amr":"pwd""#, Err("jwt.malformed_claim")),
        (r#""amr":["pwd",1]"#, Err("jwt.malformed_claim")),
        (r#""amr":{}"#, Err("jwt.malformed_claim")),
    ] {
        assert_eq!(error_code_of(more, with_nonce()), result, "{more}");
    }
}

/// If no refresh token can be lost, the ID token of a refresh is checked against the clock like any other
/// (OpenID Connect Core section 12.2: "otherwise, the same rules apply").
#[test]
fn refreshed_id_token_must_be_valid_at_the_current_time() {
    let original = r#"{"iss":"https://as.example","aud":"id","sub":"u"}"#;
    let checks = || IdTokenChecks {
        original: Some(Claims::from_json(original).unwrap()),
        ..IdTokenChecks::default()
    };
    let times = |iat: u64, exp: u64| format!(r#""nonce":null,"iat":{iat},"exp":{exp}"#);
    let judged = |more: &str| error_code_of(more, checks());
    assert_eq!(judged(&times(NOW, NOW + 300)), Ok(()));
    // An error about a minor claim would lose the refresh token of the same response.
    let one_method = format!(r#"{},"amr":"pwd""#, times(NOW, NOW + 300));
    assert_eq!(judged(&one_method), Ok(()));
    let ended = times(NOW - 400, NOW - 100);
    assert_eq!(judged(&ended), Err("jwt.expired"));
    let early = times(NOW + 3600, NOW + 3900);
    assert_eq!(judged(&early), Err("jwt.issued_in_future"));
}

#[test]
fn unsolicited_id_token_requires_the_expected_nonce() {
    assert_eq!(error_code_of("", with_nonce()), Ok(()));
    assert_eq!(
        error_code_of(r#""nonce":"m""#, with_nonce()),
        Err("id_token.nonce")
    );
    let missing = error_code_of(r#""nonce":null"#, with_nonce());
    assert_eq!(missing, Err("jwt.missing_claim"));
    // A missing nonce is tolerated by the quirk only if a code binds the response to the request.
    let quirk_client = client(vec![Quirk::IdTokensWithoutNonce]);
    let without = token("", r#""nonce":null"#);
    let judge = |checks| error_code(verify_with(&quirk_client, &without, checks).map(drop));
    assert_eq!(judge(with_nonce()), Err("jwt.missing_claim"));
    let answer = IdTokenChecks {
        nonce: Some("n".into()),
        ..IdTokenChecks::default()
    };
    assert_eq!(answer.origin, IdTokenOrigin::Answer);
    assert_eq!(judge(answer), Ok(()));
}

#[test]
fn unsolicited_id_token_without_nonce_is_limited_by_age() {
    let none = || IdTokenChecks::unsolicited(None);
    assert_eq!(error_code_of(r#""nonce":null"#, none()), Ok(()));
    assert_eq!(error_code_of("", none()), Err("jwt.unexpected_claim"));
    let ignored = IdTokenChecks {
        unexpected_nonce: UnexpectedNonce::Ignore,
        ..none()
    };
    assert_eq!(error_code_of("", ignored), Ok(()));
    let issued = |ago: u64| format!(r#""nonce":null,"iat":{}"#, NOW - ago);
    assert_eq!(
        error_code_of(&issued(86_400 + 61), none()),
        Err("jwt.too_old")
    );
    assert_eq!(error_code_of(&issued(86_400), none()), Ok(()));
    let with_max_token_age = IdTokenChecks {
        max_token_age: Some(Duration::from_secs(300)),
        ..none()
    };
    assert_eq!(
        error_code_of(&issued(361), with_max_token_age),
        Err("jwt.too_old")
    );
}

#[test]
fn audience_may_be_one_of_the_applications_own_clients_only() {
    let family = || IdTokenChecks {
        client_ids: vec!["android".to_owned(), "ios".to_owned()],
        ..with_nonce()
    };
    // An app that requests a token for the server: `aud` is the server's client, `azp` the app's.
    let of_an_app = r#""azp":"android""#;
    assert_eq!(error_code_of(of_an_app, family()), Ok(()));
    assert_eq!(error_code_of(of_an_app, with_nonce()), Err("id_token.azp"));
    // A native sign-in button: only the app's client.
    assert_eq!(error_code_of(r#""aud":"ios""#, family()), Ok(()));
    assert_eq!(
        error_code_of(r#""aud":"ios""#, with_nonce()),
        Err("jwt.audience")
    );
    assert_eq!(
        error_code_of(r#""aud":"mallory""#, family()),
        Err("jwt.audience")
    );
    assert_eq!(
        error_code_of(r#""azp":"mallory""#, family()),
        Err("id_token.azp")
    );
    let several = r#""aud":["id","ios"]"#;
    assert_eq!(
        error_code_of(several, family()),
        Err("id_token.azp_missing")
    );
    let named = format!(r#"{several},"azp":"ios""#);
    assert_eq!(error_code_of(&named, family()), Ok(()));
    let foreign = r#""aud":["id","mallory"],"azp":"id""#;
    assert_eq!(
        error_code_of(foreign, family()),
        Err("jwt.untrusted_audience")
    );
}

#[test]
fn token_of_an_excluded_tenant_is_refused() {
    let template = "https://login.example/{tenantid}/v2.0";
    let fixed = template.replace("{tenantid}", "one");
    let judged = |quirks: Vec<Quirk>, tenant: &str| {
        let iss = template.replace("{tenantid}", tenant);
        let token = token("", &format!(r#""iss":"{iss}","tid":"{tenant}""#));
        error_code(verify_with(&client(quirks), &token, with_nonce()).map(drop))
    };
    let for_all = Quirk::TenantIssuer(template.to_owned());
    let without_one = || vec![for_all.clone(), Quirk::ExcludedTenant("one".to_owned())];
    assert_eq!(judged(without_one(), "two"), Ok(()));
    assert_eq!(judged(without_one(), "one"), Err("jwt.issuer"));
    assert_eq!(judged(without_one(), "ONE"), Err("jwt.issuer"));
    let only_one = || vec![Quirk::TenantIssuer(fixed.clone())];
    assert_eq!(judged(only_one(), "one"), Ok(()));
    assert_eq!(judged(only_one(), "two"), Err("jwt.issuer"));
}

/// "Keys that have an issuer value with a GUID ... should only be used when the iss claim in the token matches the
/// value exactly" (Microsoft Entra, claims validation).
#[test]
fn a_key_published_for_an_issuer_verifies_only_its_tokens() {
    let template = "https://login.example/{tenantid}/v2.0";
    let issuer = |tenant: &str| template.replace("{tenantid}", tenant);
    let judged = |key_issuer: Option<&str>, quirks: Vec<Quirk>, tenant: &str| {
        let client = client(quirks);
        let member = key_issuer.map_or(String::new(), |named| format!(r#","issuer":{named}"#));
        let keys = KEYS.replacen(r#""kty""#, &format!(r#""unused":1{member},"kty""#), 1);
        let stored = KeySet::parse(&keys).unwrap().to_json();
        let verdicts = [keys, stored].map(|keys| {
            client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(&keys).unwrap());
            let claims = format!(r#""iss":"{}","tid":"{tenant}""#, issuer(tenant));
            let mut exchange =
                client.verify_id_token(Secret::from(token("", &claims)), with_nonce());
            let mut input = Input::Begin;
            loop {
                input = match exchange.resume(&at(), input) {
                    Ok(Step::Verify(_)) => Input::Verified(true),
                    Ok(Step::Send(_)) => Input::Reply(testing::json(200, &keys)),
                    Ok(Step::Done(_)) => break Ok(()),
                    Ok(step) => panic!("{step:?}"),
                    Err(error) => break Err((error.code(), error.detail().map(str::to_owned))),
                };
            }
        });
        let [published, stored] = verdicts;
        assert_eq!(published, stored);
        published
    };
    let for_all = || vec![Quirk::TenantIssuer(template.to_owned())];
    let quoted = |text: &str| format!(r#""{text}""#);
    for named in [None, Some(quoted(template)), Some(quoted(&issuer("one")))] {
        assert_eq!(
            judged(named.as_deref(), for_all(), "one"),
            Ok(()),
            "{named:?}"
        );
    }
    // A value of another type says nothing: the member is not registered.
    assert_eq!(judged(Some("7"), for_all(), "one"), Ok(()));
    for named in [
        issuer("two"),
        issuer("one").replace("https", "http"),
        "https://login.example/{tenantid}".to_owned(),
        String::new(),
    ] {
        let detail = format!("only for {named}: the key with the kid 1");
        let refused = Err(("jws.no_matching_key", Some(detail)));
        assert_eq!(judged(Some(&quoted(&named)), for_all(), "one"), refused);
    }
    // Elsewhere the member has no meaning.
    let plain = client(Vec::new());
    let keys = KEYS.replacen(r#""kty""#, r#""issuer":"https://other.example","kty""#, 1);
    plain.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(&keys).unwrap());
    assert!(verify_with(&plain, &token("", ""), with_nonce()).is_ok());
}

#[test]
fn hmac_id_token_for_another_client_of_the_application_is_refused() {
    let header = r#"{"alg":"HS256"}"#;
    let ends = NOW + 300;
    let claims = format!(
        r#"{{"iss":"https://as.example","aud":"ios","sub":"u","nonce":"n","iat":{NOW},"exp":{ends}}}"#
    );
    let token = format!("{}.{}", signing_input(header, &claims), "A".repeat(43));
    let auth = crate::client_auth::ClientAuth::basic("a secret of thirty-two bytes, or more");
    let id = crate::client_config::ClientId::new("id");
    let client = Client::new(testing::server(), id, auth).unwrap();
    let client = client.with_id_token_algs([Alg::Hs256]);
    let checks = IdTokenChecks {
        client_ids: vec!["ios".to_owned()],
        ..with_nonce()
    };
    let seen = verify_with(&client, &token, checks);
    assert_eq!(error_code(seen.map(drop)), Err("jwt.untrusted_audience"));
}

#[test]
fn at_hash_and_c_hash_are_required_for_unsolicited_tokens() {
    let with_access_token = || IdTokenChecks {
        access_token: Some("t".into()),
        ..with_nonce()
    };
    let missing = error_code_of("", with_access_token());
    assert_eq!(missing, Err("jwt.missing_claim"));
    assert_eq!(
        error_code_of(r#""at_hash":"h""#, with_access_token()),
        Ok(())
    );
    // In a token response it may be missing (section 3.1.3.6).
    let answer = IdTokenChecks {
        origin: IdTokenOrigin::Answer,
        ..with_access_token()
    };
    assert_eq!(error_code_of("", answer), Ok(()));
    let with_code = || IdTokenChecks {
        code: Some("c".into()),
        ..with_nonce()
    };
    assert_eq!(error_code_of("", with_code()), Err("jwt.missing_claim"));
    assert_eq!(error_code_of(r#""c_hash":"h""#, with_code()), Ok(()));
}

#[test]
fn at_hash_of_another_token_is_refused() {
    let checks = IdTokenChecks {
        access_token: Some("t".into()),
        ..with_nonce()
    };
    let token = token("", r#""at_hash":"h""#);
    let mut exchange = client(Vec::new()).verify_id_token(Secret::from(token), checks);
    let Step::Verify(_) = exchange.resume(&at(), Input::Begin).unwrap() else {
        panic!("a signature")
    };
    let step = exchange.resume(&at(), Input::Verified(true)).unwrap();
    let Step::Verify(VerificationJob::HalfHash { half, .. }) = step else {
        panic!("a hash")
    };
    assert_eq!(half, "h");
    let refused = exchange.resume(&at(), Input::Verified(false));
    assert_eq!(error_code(refused.map(drop)), Err("id_token.at_hash"));
}

#[test]
fn other_token_kinds_are_refused_as_id_tokens() {
    for more in [
        r#""typ":"Bearer""#,
        r#""typ":"DPoP""#,
        r#""typ":"Logout""#,
        r#""typ":"Refresh""#,
        r#""token_use":"access""#,
        r#""token_use":"refresh""#,
        r#""events":{}"#,
    ] {
        let seen = error_code_of(more, with_nonce());
        assert_eq!(seen, Err("jwt.unexpected_claim"), "{more}");
    }
    for more in [r#""typ":"ID""#, r#""token_use":"id""#] {
        assert_eq!(error_code_of(more, with_nonce()), Ok(()), "{more}");
    }
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        let token = token(&format!(r#","typ":"{typ}""#), "");
        let seen = verify_with(&client(Vec::new()), &token, with_nonce());
        assert_eq!(error_code(seen.map(drop)), Err("jwt.typ"), "{typ}");
    }
}

/// RFC 8693 section 4.4.
#[test]
fn may_act_claim_is_returned_only_if_it_is_an_object() {
    let verified_with = |more: &str| {
        let token = verify_with(&client(Vec::new()), &token("", more), with_nonce()).unwrap();
        let sub = token.may_act().and_then(|may| may.get("sub").cloned());
        (token.may_act().is_some(), sub)
    };
    let may_act = r#""may_act":{"sub":"admin@example.com","exp":1}"#;
    assert_eq!(
        verified_with(may_act),
        (true, Some("admin@example.com".into()))
    );
    for more in [r#""may_act":"admin""#, r#""act":{"sub":"admin"}"#, ""] {
        assert_eq!(verified_with(more), (false, None), "{more}");
    }
}

/// Claim errors are reported only for tokens with a valid signature.
#[test]
fn bad_signature_is_reported_before_claim_errors() {
    for more in [
        "",
        r#""iss":"https://evil.example""#,
        r#""exp":1"#,
        r#""aud":7"#,
    ] {
        let token = token("", more);
        let client = client(Vec::new());
        let mut exchange = client.verify_id_token(Secret::from(token.as_str()), with_nonce());
        let mut input = Input::Begin;
        let refused = loop {
            input = match exchange.resume(&at(), input) {
                Ok(Step::Verify(_)) => Input::Verified(false),
                // The key may have been replaced under its name.
                Ok(Step::Send(_)) => Input::Reply(testing::json(200, KEYS)),
                Ok(step) => panic!("{step:?}"),
                Err(error) => break error.code(),
            };
        };
        assert_eq!(refused, "jws.bad_signature", "{more}");
    }
}

#[test]
fn clock_skew_is_limited_to_five_minutes() {
    let judged = |ago: u64| {
        let mut checks = with_nonce();
        checks.clock_skew = Duration::from_secs(3600);
        error_code_of(
            &format!(r#""iat":{},"exp":{}"#, NOW - 900, NOW - ago),
            checks,
        )
    };
    assert_eq!(judged(299), Ok(()));
    assert_eq!(judged(300), Err("jwt.expired"));
}
