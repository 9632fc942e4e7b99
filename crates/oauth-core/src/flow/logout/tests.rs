#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{FrontChannelLogout, LogoutReply, LogoutRequest, Session, check_return};
use crate::client::Client;
use crate::crypto::{Decrypter, DecryptionFailed, DecryptionJob};
use crate::error::Error;
use crate::exchange::{Exchange, Input, Step};
use crate::jose::{Alg, Enc, JweAlg, KeySet, ResponseEncryption, signing_input};
use crate::moment::{Moment, UnixTime};
use crate::redirect_uri::RedirectUri;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::testing::{self, NOW, error_code};
use crate::token::logout_token::{LogoutToken, LogoutTokenChecks, ReplayProtection};

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn client() -> Client {
    let server = testing::server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let client = testing::client_of(server.unwrap()).with_id_token_algs([Alg::Es256]);
    client.keep_keys(UnixTime::from_secs(NOW - 100), KeySet::parse(KEYS).unwrap());
    client
}

/// A logout token with this `jti` and these claims, whose signature verifies.
fn token(jti: &str, more: &str) -> String {
    let claims = format!(
        r#"{{"iss":"https://as.example","jti":"{jti}","iat":{NOW},
        "events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}},{more}}}"#
    );
    let header = r#"{"alg":"ES256","kid":"1","typ":"logout+jwt"}"#;
    format!("{}.{}", signing_input(header, &claims), "A".repeat(86))
}

const FOR_US: &str = r#""aud":"id","exp":1750000120"#;

fn received_at(
    client: &Client,
    token: &str,
    checks: LogoutTokenChecks,
    seconds: u64,
) -> Result<LogoutToken, Error> {
    let at = Moment::without_randomness(UnixTime::from_secs(seconds));
    let mut exchange = client.verify_logout_token(Secret::from(token), checks);
    let Step::Verify(_) = exchange.resume(&at, Input::Begin)? else {
        panic!("a signature")
    };
    match exchange.resume(&at, Input::Verified(true))? {
        Step::Done(token) => Ok(token),
        step => panic!("{step:?}"),
    }
}

fn verify_logout_token(client: &Client, token: &str) -> Result<LogoutToken, Error> {
    received_at(client, token, LogoutTokenChecks::default(), NOW)
}

#[test]
fn logout_token_is_accepted_once_by_all_clones_of_a_client() {
    let client = client();
    let token = token("1", &format!(r#"{FOR_US},"sub":"u","sid":"s""#));
    let first = verify_logout_token(&client, &token).unwrap();
    assert_eq!((first.subject(), first.sid()), (Some("u"), Some("s")));
    assert_eq!((first.jti(), first.issuer()), ("1", "https://as.example"));
    assert_eq!(first.issued_at(), UnixTime::from_secs(NOW));
    assert_eq!(first.expires_at(), Some(UnixTime::from_secs(NOW + 120)));
    // After the tolerated clock skew.
    assert_eq!(first.forget_at(), UnixTime::from_secs(NOW + 180));
    assert!(!format!("{first:?}").contains("\"u\""));
    let again = verify_logout_token(&client.clone(), &token);
    assert_eq!(error_code(again.map(drop)), Err("logout_token.replayed"));
    assert!(verify_logout_token(&self::client(), &token).is_ok());
}

/// Turns every ciphertext into this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

/// "If ID Token encryption was negotiated with the OP at Registration time and the Logout Token is not encrypted,
/// the RP SHOULD reject it" (OpenID Connect Back-Channel Logout section 2.6, step 1).
#[test]
fn logout_token_must_be_encrypted_where_id_tokens_are() {
    let signed = token("1", &format!(r#"{FOR_US},"sid":"s""#));
    let encoded = |bytes| URL_SAFE_NO_PAD.encode(vec![1; bytes]);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A128GCM"}"#);
    let sealed = format!("{header}..{}.{}.{}", encoded(12), encoded(4), encoded(16));
    let encryption = ResponseEncryption::new(JweAlg::Dir, Known(signed.clone()));
    let encrypted = client().with_id_token_encryption(encryption.encs([Enc::A128Gcm]));
    let begun = |client: &Client, token: &str| {
        let at = Moment::without_randomness(UnixTime::from_secs(NOW));
        let checks = LogoutTokenChecks::default();
        let mut exchange = client.verify_logout_token(Secret::from(token), checks);
        exchange.resume(&at, Input::Begin).map(drop)
    };
    assert_eq!(
        error_code(begun(&encrypted, &signed)),
        Err("jwe.not_encrypted")
    );
    assert_eq!(error_code(begun(&client(), &sealed)), Err("jwe.unexpected"));
    assert_eq!(
        verify_logout_token(&encrypted, &sealed).unwrap().sid(),
        Some("s")
    );
    let replayed = verify_logout_token(&encrypted, &sealed).map(drop);
    assert_eq!(error_code(replayed), Err("logout_token.replayed"));
}

#[test]
fn logout_token_ends_sessions_by_subject_and_sid() {
    let verified_with = |more: &str| {
        verify_logout_token(&client(), &token("1", &format!("{FOR_US},{more}"))).unwrap()
    };
    let (named, both, all) = (
        verified_with(r#""sid":"s""#),
        verified_with(r#""sub":"u","sid":"s""#),
        verified_with(r#""sub":"u""#),
    );
    let session = |subject: &str, sid: Option<&str>| {
        let sid = sid.map(str::to_owned);
        Session::new("https://as.example", subject.to_owned(), sid)
    };
    for (subject, sid, expected) in [
        ("u", Some("s"), [true, true, true]),
        ("u", Some("t"), [false, false, true]),
        ("u", None, [false, true, true]),
        ("v", None, [false, false, false]),
        ("v", Some("t"), [false, false, false]),
    ] {
        let session = session(subject, sid);
        let ends = [&named, &both, &all].map(|token| token.ends(&session));
        assert_eq!(ends, expected, "{session:?}");
    }
    let elsewhere = Session::new("https://other.example", "u".to_owned(), "s".to_owned());
    assert!(!both.ends(&elsewhere) && !all.ends(&elsewhere));
}

#[test]
fn caller_managed_replay_protection_remembers_nothing() {
    let client = client();
    let checks = LogoutTokenChecks {
        replay: ReplayProtection::Caller,
        ..LogoutTokenChecks::default()
    };
    let token = token("1", &format!(r#"{FOR_US},"sub":"u""#));
    for _ in 0..2 {
        assert!(received_at(&client, &token, checks.clone(), NOW).is_ok());
    }
    assert!(
        verify_logout_token(&client, &token).is_ok(),
        "nothing was remembered"
    );
}

#[test]
fn refused_logout_token_is_not_remembered() {
    let client = client();
    let wrong = token("1", r#""aud":"other","exp":1750000120,"sub":"u""#);
    assert_eq!(
        error_code(verify_logout_token(&client, &wrong).map(drop)),
        Err("jwt.audience")
    );
    assert!(verify_logout_token(&client, &token("1", &format!(r#"{FOR_US},"sub":"u""#))).is_ok());
}

#[test]
fn invalid_logout_token_claims_are_refused_with_specific_codes() {
    for (more, expected) in [
        (r#""aud":"id","exp":1749999940,"sub":"u""#, "jwt.expired"),
        (r#""aud":"id","sub":"u""#, "jwt.missing_claim"),
        (r#""exp":1750000120,"sub":"u""#, "jwt.missing_claim"),
        (
            r#""aud":["id","other"],"exp":1750000120,"sub":"u""#,
            "jwt.untrusted_audience",
        ),
        (
            r#""aud":"id","exp":1750000120,"sub":"""#,
            "jwt.malformed_claim",
        ),
        (
            r#""aud":"id","exp":1750000120,"sid":1"#,
            "jwt.malformed_claim",
        ),
        (
            r#""aud":"id","exp":1750000120,"sub":"u","nonce":null"#,
            "jwt.unexpected_claim",
        ),
    ] {
        let result = verify_logout_token(&client(), &token("1", more));
        assert_eq!(error_code(result.map(drop)), Err(expected), "{more}");
    }
    let long = token(&"j".repeat(513), &format!(r#"{FOR_US},"sub":"u""#));
    assert_eq!(
        error_code(verify_logout_token(&client(), &long).map(drop)),
        Err("jwt.malformed_claim")
    );
    let checks = LogoutTokenChecks {
        trusted_audiences: vec!["other".to_owned()],
        ..LogoutTokenChecks::default()
    };
    let several = token("1", r#""aud":["id","other"],"exp":1750000120,"sub":"u""#);
    assert!(received_at(&client(), &several, checks, NOW).is_ok());
    // As for ID tokens, audiences trusted by the client are accepted.
    let trusting = client().with_trusted_audiences(["other"]);
    assert!(verify_logout_token(&trusting, &several).is_ok());
    let third = token(
        "2",
        r#""aud":["id","other","third"],"exp":1750000120,"sub":"u""#,
    );
    let result = verify_logout_token(&trusting, &third).map(drop);
    assert_eq!(error_code(result), Err("jwt.untrusted_audience"));
}

#[test]
fn logout_token_without_exp_is_accepted_and_remembered_for_the_configured_age() {
    let client = client();
    let checks = LogoutTokenChecks {
        max_age_without_expiry: Some(Duration::from_secs(120)),
        ..LogoutTokenChecks::default()
    };
    let endless = token("1", r#""aud":"id","sub":"u""#);
    let at =
        |seconds| error_code(received_at(&client, &endless, checks.clone(), seconds).map(drop));
    assert_eq!(at(NOW - 61), Err("jwt.issued_in_future"));
    assert_eq!(at(NOW + 180), Err("jwt.too_old"));
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW + 179), Err("logout_token.replayed"));
    // An `exp` that is present applies.
    let ended = token("2", r#""aud":"id","exp":1749999940,"sub":"u""#);
    let result = received_at(&client, &ended, checks.clone(), NOW);
    assert_eq!(error_code(result.map(drop)), Err("jwt.expired"));
}

#[test]
fn end_session_url_and_form_contain_all_request_parameters() {
    let server = testing::server()
        .with_endpoint(
            EndpointKind::EndSession,
            "https://as.example/logout?tenant=1",
        )
        .unwrap();
    let client = testing::client_of(server);
    let bare = client.end_session_url(&LogoutRequest::new()).unwrap();
    assert_eq!(
        bare.as_str(),
        "https://as.example/logout?tenant=1&client_id=id"
    );
    let mut request = LogoutRequest::new();
    request.id_token_hint = Some(Secret::from("a.b.c"));
    request.logout_hint = Some("a@b.example".to_owned());
    request.post_logout_redirect_uri = RedirectUri::parse("https://rp.example/bye").ok();
    request.state = Some(Secret::from("st ate"));
    request.ui_locales = Some("de en".to_owned());
    let url = client.end_session_url(&request).unwrap();
    let expected = "https://as.example/logout?tenant=1&id_token_hint=a.b.c&logout_hint=a%40b.example&client_id=id\
                  &post_logout_redirect_uri=https%3A%2F%2Frp.example%2Fbye&state=st+ate&ui_locales=de+en";
    assert_eq!(url.as_str(), expected);
    let form = client.end_session_form(&request).unwrap();
    let mut posted = crate::form::Form::new();
    for (name, value) in form.fields() {
        posted.push(name, value);
    }
    let posted = [form.action().as_str(), "&", posted.as_str()].concat();
    assert_eq!(posted, expected);
    let shown = format!("{request:?} {form:?}");
    assert!(!shown.contains("a.b.c") && !shown.contains("ate") && !shown.contains("a@b"));
}

#[test]
fn missing_or_conflicting_end_session_endpoint_is_refused() {
    let end_session_url = |client: Client| client.end_session_url(&LogoutRequest::new());
    let error = end_session_url(testing::client()).unwrap_err();
    assert_eq!(
        (error.code(), error.endpoint()),
        ("endpoint.missing", Some("end_session"))
    );
    assert_eq!(error.detail(), Some("end_session_endpoint"));
    let url = "https://as.example/logout?client_id=other";
    let server = testing::server().with_endpoint(EndpointKind::EndSession, url);
    let client = testing::client_of(server.unwrap());
    let posted = client.end_session_form(&LogoutRequest::new());
    assert_eq!(
        error_code(posted.map(drop)),
        Err("form.duplicate_parameter")
    );
    let twice = end_session_url(client);
    assert_eq!(error_code(twice.map(drop)), Err("form.duplicate_parameter"));
}

#[test]
fn logout_return_requires_the_state_that_was_sent() {
    let state = Secret::from("s1");
    for callback in [
        "https://rp.example/bye?state=s1",
        "/bye?a=b&state=s1#x",
        "state=s1",
    ] {
        assert_eq!(
            error_code(check_return(callback, &state)),
            Ok(()),
            "{callback}"
        );
    }
    for (callback, expected) in [
        ("https://rp.example/bye", "logout.state"),
        ("https://rp.example/bye?state=", "logout.state"),
        ("https://rp.example/bye?state=s2", "logout.state"),
        ("https://rp.example/bye#state=s1", "logout.state"),
        ("?state=s1&state=s1", "logout.malformed"),
        ("?state=%ff", "logout.malformed"),
    ] {
        assert_eq!(
            error_code(check_return(callback, &state)),
            Err(expected),
            "{callback}"
        );
    }
    let large = format!("?state=s1&x={}", "x".repeat(64 << 10));
    assert_eq!(
        error_code(check_return(&large, &state)),
        Err("logout.malformed")
    );
}

#[test]
fn frontchannel_logout_ends_the_named_session_or_any_without_parameters() {
    let session = Session::new("https://as.example", "u".to_owned(), "s".to_owned());
    let parse = |query: &str| error_code(FrontChannelLogout::parse(query));
    let ends = |query: &str| parse(query).map(|logout| logout.ends(&session));
    assert_eq!(ends("?iss=https://as.example&sid=s"), Ok(true));
    assert_eq!(ends("?iss=https://as.example&sid=t"), Ok(false));
    assert_eq!(ends("?iss=https://other.example&sid=s"), Ok(false));
    assert_eq!(ends("https://rp.example/fc"), Ok(true));
    for query in ["?sid=s", "?iss=https://as.example", "?sid=s&sid=s&iss=a"] {
        assert_eq!(ends(query), Err("logout.malformed"), "{query}");
    }
    let reply = LogoutReply::for_result(&parse("?sid=s"));
    assert_eq!((reply.status, reply.cache_control), (400, "no-store"));
}

#[cfg(feature = "sha2")]
#[test]
fn every_logout_request_has_a_random_state() {
    let uri = RedirectUri::parse("http://127.0.0.1/out").unwrap();
    let begin = |seed: u8| {
        let moment = Moment::fixed(UnixTime::from_secs(NOW), [seed; 32]);
        LogoutRequest::returning_to(uri.clone(), &moment).unwrap()
    };
    let request = begin(1);
    let state = request.state.clone().unwrap();
    let back = format!("http://127.0.0.1/out?state={}", state.expose());
    assert!(check_return(&back, &state).is_ok());
    let other = begin(2).state.unwrap();
    assert_eq!(error_code(check_return(&back, &other)), Err("logout.state"));
    let without_randomness = Moment::without_randomness(UnixTime::from_secs(NOW));
    let without_state = LogoutRequest::returning_to(uri, &without_randomness).map(|_| ());
    assert_eq!(error_code(without_state), Err("misuse.no_randomness"));
}
