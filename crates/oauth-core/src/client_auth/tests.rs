#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod constant_claims;
mod secret_syntax;
mod spiffe;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::jwt_methods::JWT_BEARER;
use super::*;
use crate::client::Client;
use crate::client_id::ClientId;
use crate::crypto::{KeyUse, Signer, SigningKey};
use crate::endpoint::revocation::Revocation;
use crate::error::Cause;
use crate::exchange::{Exchange, Input, Step};
use crate::http::Request;
use crate::issuer::Issuer;
use crate::jose::Alg;
use crate::jose::claims::read_unverified;
use crate::moment::{Moment, UnixTime};
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::server::Server;
use crate::testing::{error_code, json};

struct Sixty4;

impl Signer for Sixty4 {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[7; 64]))
    }
}

fn key() -> SigningKey {
    SigningKey::local("k1", Alg::Es256, Arc::new(Sixty4))
}

fn server_of(issuer: &str, more: &str) -> Server {
    let document = format!(
        r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token",
        "revocation_endpoint":"{issuer}/revoke"{more}}}"#
    );
    let Ok(crate::json::Json::Object(document)) = crate::json::parse(&document) else {
        panic!("an object")
    };
    let issuer = Issuer::parse(issuer).unwrap();
    Server::read(&issuer, &document, Rules::default()).unwrap()
}

fn server() -> Server {
    server_of("https://as.example", "")
}

fn client_with(auth: ClientAuth) -> Client {
    Client::new(server(), ClientId::new("me"), auth).unwrap()
}

fn at(seed: u8) -> Moment {
    Moment::fixed(UnixTime::from_secs(1_700_000_000), [seed; 32])
}

fn sent_request<T>(step: Step<T>) -> Request<Bytes> {
    match step {
        Step::Send(request) => request,
        other => panic!("{:?}", std::mem::discriminant(&other)),
    }
}

/// The parameters of a request.
fn form_of(request: &Request<Bytes>) -> Vec<(String, String)> {
    let body = std::str::from_utf8(request.body()).unwrap();
    let pairs = form::parse(body).unwrap().into_iter();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn value(request: &Request<Bytes>, name: &str) -> Option<String> {
    let mut pairs = form_of(request).into_iter();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn first(client: &Client, seed: u8) -> Request<Bytes> {
    let mut exchange = client.client_credentials(Scope::none());
    sent_request(exchange.resume(&at(seed), Input::Begin).unwrap())
}

fn header(jwt: &str) -> String {
    let bytes = base64::decode(jwt.split('.').next().unwrap(), Alphabet::UrlSafe).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn client_assertion_aud_is_the_issuer_and_jti_is_fresh() {
    let client = client_with(ClientAuth::assertion(ClientAssertion::new(key())));
    let request = first(&client, 1);
    assert!(!request.headers().contains_key("authorization"));
    assert_eq!(
        value(&request, "client_assertion_type").as_deref(),
        Some(JWT_BEARER),
        "JWT_BEARER_ENCODED"
    );
    assert_eq!(value(&request, "client_id").as_deref(), Some("me"));
    assert_eq!(value(&request, "client_secret"), None);
    let jwt = value(&request, "client_assertion").unwrap();
    assert_eq!(
        header(&jwt),
        r#"{"alg":"ES256","kid":"k1","typ":"client-authentication+jwt"}"#
    );
    let claims = read_unverified(&jwt).unwrap();
    for (name, text) in [("iss", "me"), ("sub", "me"), ("aud", "https://as.example")] {
        assert_eq!(claims.text(name).unwrap(), Some(text), "{name}");
    }
    assert_eq!(
        claims.time("iat").unwrap().unwrap().as_secs(),
        1_700_000_000
    );
    assert_eq!(
        claims.time("exp").unwrap().unwrap().as_secs(),
        1_700_000_060
    );
    let other = value(&first(&client, 2), "client_assertion").unwrap();
    assert_ne!(
        read_unverified(&other).unwrap().text("jti").unwrap(),
        claims.text("jti").unwrap()
    );
    let mut revoke = client.revoke(Revocation::new("t"));
    let request = sent_request(revoke.resume(&at(3), Input::Begin).unwrap());
    let jwt = value(&request, "client_assertion").unwrap();
    assert_eq!(
        read_unverified(&jwt).unwrap().audience().unwrap(),
        ["https://as.example"]
    );
}

#[test]
fn host_key_requests_a_signature_and_refuses_a_wrong_length() {
    let key = SigningKey::host("kms-1", Alg::Es256);
    let client = client_with(ClientAuth::assertion(ClientAssertion::new(key)));
    let mut exchange = client.client_credentials(Scope::none());
    let Step::Sign(job) = exchange.resume(&at(1), Input::Begin).unwrap() else {
        panic!("nothing to sign")
    };
    assert_eq!((job.key_id.as_str(), job.alg), ("kms-1", "ES256"));
    let signed = Input::Signed(Bytes::from_static(&[9; 64]));
    let request = sent_request(exchange.resume(&at(1), signed).unwrap());
    let jwt = value(&request, "client_assertion").unwrap();
    assert!(jwt.as_bytes().starts_with(&job.signing_input));
    let mut exchange = client.client_credentials(Scope::none());
    let _ = exchange.resume(&at(1), Input::Begin).unwrap();
    let signed = Input::Signed(Bytes::from_static(&[9; 70]));
    assert_eq!(
        error_code(exchange.resume(&at(1), signed).map(drop)),
        Err("client_auth.signature_length")
    );
}

#[test]
fn assertion_audience_thumbprint_and_lifetime_are_configurable() {
    let jwt_of = |assertion: ClientAssertion| {
        value(
            &first(&client_with(ClientAuth::assertion(assertion)), 1),
            "client_assertion",
        )
        .unwrap()
    };
    let audience = |audience| {
        let jwt = jwt_of(ClientAssertion::new(key()).audience(audience));
        read_unverified(&jwt)
            .unwrap()
            .text("aud")
            .unwrap()
            .map(str::to_owned)
    };
    let named = audience(AssertionAudience::TokenEndpoint);
    assert_eq!(named.as_deref(), Some("https://as.example/token"));
    let named = audience(AssertionAudience::Endpoint);
    assert_eq!(named.as_deref(), Some("https://as.example/token"));
    let named = audience(AssertionAudience::Other("urn:them".to_owned()));
    assert_eq!(named.as_deref(), Some("urn:them"));
    let jwt = jwt_of(
        ClientAssertion::new(key())
            .certificate_thumbprint("dGh1bWI")
            .lifetime(10),
    );
    assert!(header(&jwt).contains(r#""x5t#S256":"dGh1bWI""#));
    let claims = read_unverified(&jwt).unwrap();
    assert_eq!(
        claims.time("exp").unwrap().unwrap().as_secs(),
        1_700_000_010
    );
}

/// The header is built once; changing the configuration builds another.
#[test]
fn setting_a_thumbprint_on_a_clone_leaves_the_original_header_unchanged() {
    let (server, client_id) = (server(), ClientId::new("me"));
    let url = server.endpoint(crate::server::EndpointKind::Token).unwrap();
    let made = |assertion: &ClientAssertion| {
        let facts = RequestFacts {
            server: &server,
            client_id: &client_id,
            url,
            at: &at(1),
        };
        match assertion.make(&facts).unwrap() {
            ClientJwtOutcome::Unsigned(_, input) => header(&input),
            _ => panic!("an assertion to sign"),
        }
    };
    let assertion = ClientAssertion::new(key());
    let plain = made(&assertion);
    assert_eq!(
        plain,
        r#"{"alg":"ES256","kid":"k1","typ":"client-authentication+jwt"}"#
    );
    let copy = assertion.clone().certificate_thumbprint("dGh1bWI");
    assert!(made(&copy).contains(r#""x5t#S256":"dGh1bWI""#));
    assert_eq!(made(&assertion), plain);
}

#[test]
fn key_with_a_non_issuer_audience_is_refused_at_a_second_server() {
    let key = key();
    let make = |issuer: &str, audience: AssertionAudience| {
        let assertion = ClientAssertion::new(key.clone()).audience(audience);
        let auth = ClientAuth::assertion(assertion);
        error_code(Client::new(server_of(issuer, ""), ClientId::new("me"), auth).map(drop))
    };
    assert_eq!(make("https://a.example", AssertionAudience::Issuer), Ok(()));
    assert_eq!(make("https://b.example", AssertionAudience::Issuer), Ok(()));
    assert_eq!(
        make("https://a.example", AssertionAudience::TokenEndpoint),
        Err("key.used_at_two_servers")
    );
    // Keys read twice count as one key if they have the same name, and as two otherwise.
    let used = KeyUse::default();
    let make = |id: &str, issuer: &str| {
        let key = SigningKey::local(id, Alg::Es256, Arc::new(Sixty4));
        let assertion = ClientAssertion::new(key).audience(AssertionAudience::TokenEndpoint);
        let auth = ClientAuth::assertion(assertion.noting_use(&used));
        error_code(Client::new(server_of(issuer, ""), ClientId::new("me"), auth).map(drop))
    };
    assert_eq!(make("one", "https://a.example"), Ok(()));
    assert_eq!(make("one", "https://a.example"), Ok(()));
    assert_eq!(make("two", "https://b.example"), Ok(()));
    assert_eq!(
        make("one", "https://b.example"),
        Err("key.used_at_two_servers")
    );
}

#[test]
fn unsupported_assertion_algorithm_is_refused_at_client_construction() {
    let metadata = r#","token_endpoint_auth_signing_alg_values_supported":["PS256"]"#;
    let server = server_of("https://as.example", metadata);
    let auth = ClientAuth::assertion(ClientAssertion::new(key()));
    let error = Client::new(server, ClientId::new("me"), auth).unwrap_err();
    assert_eq!(error.code(), "key.algorithm");
    assert_eq!(error.detail(), Some("ES256; the server accepts PS256"));
    let hmac = SigningKey::local("", Alg::Hs256, Arc::new(Sixty4));
    let auth = ClientAuth::assertion(ClientAssertion::new(hmac));
    let made = Client::new(self::server(), ClientId::new("me"), auth);
    assert_eq!(
        error_code(made.map(drop)),
        Err("key.algorithm"),
        "no secret is known"
    );
    let made = ClientAssertion::with_shared_secret("secret", key());
    assert_eq!(
        error_code(made.map(drop)),
        Err("key.algorithm"),
        "not of a shared secret"
    );
}

fn workload(claims: &str) -> String {
    let header = base64::url_safe(r#"{"alg":"ES256"}"#);
    format!("{header}.{}.c2ln", base64::url_safe(claims))
}

const GOOD: &str = r#"{"sub":"w","aud":["https://as.example"],"exp":1700000600}"#;

/// A source that returns these tokens in order, and then repeats the last one.
fn reading(texts: Vec<String>) -> (FederatedAssertion, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let source = move |_: &AssertionRequest<'_>| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let text = texts.get(number).or(texts.last()).cloned();
        text.map(Secret::new)
            .ok_or_else(|| Cause::unsent("no file"))
    };
    (FederatedAssertion::new(source), reads)
}

#[test]
fn workload_token_is_read_per_request_and_sent_without_client_id() {
    let newer = workload(r#"{"sub":"w","aud":"https://as.example","exp":1700000700}"#);
    let (assertion, reads) = reading(vec![format!("{}\n", workload(GOOD)), newer.clone()]);
    let client = client_with(ClientAuth::federated(assertion));
    let request = first(&client, 1);
    let names: Vec<_> = form_of(&request)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        ["grant_type", "client_assertion_type", "client_assertion"]
    );
    assert_eq!(value(&request, "client_assertion"), Some(workload(GOOD)));
    assert_eq!(value(&first(&client, 2), "client_assertion"), Some(newer));
    assert_eq!(reads.load(Ordering::Relaxed), 2);
    let (assertion, _) = reading(vec![workload(GOOD)]);
    let client = client_with(ClientAuth::federated(
        assertion.client_id(ClientIdParameter::Sent),
    ));
    assert_eq!(
        value(&first(&client, 1), "client_id").as_deref(),
        Some("me")
    );
}

#[test]
fn assertion_source_receives_the_audience_and_required_expiry() {
    let events = Arc::new(std::sync::Mutex::new(Vec::new()));
    let source = || {
        let events = Arc::clone(&events);
        FederatedAssertion::new(move |request: &AssertionRequest<'_>| {
            let (audience, until) = (request.audience.to_owned(), request.expires_at.as_secs());
            let claims = format!(r#"{{"sub":"w","aud":"{audience}","exp":{until}}}"#);
            events.lock().unwrap().push((audience, until));
            Ok(Secret::new(workload(&claims)))
        })
    };
    first(&client_with(ClientAuth::federated(source())), 1);
    first(
        &client_with(ClientAuth::federated(source().audience("api://x"))),
        2,
    );
    let until = at(1).now().as_secs() + 60;
    let expected = [
        ("https://as.example".to_owned(), until),
        ("api://x".to_owned(), until),
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}

#[test]
fn malformed_workload_token_is_refused_and_never_shown() {
    let refused = |text: String| {
        let (assertion, _) = reading(vec![text]);
        let mut exchange =
            client_with(ClientAuth::federated(assertion)).client_credentials(Scope::none());
        let error = exchange.resume(&at(1), Input::Begin).map(drop).unwrap_err();
        assert!(!format!("{error:?}").contains("c2ln"), "{error:?}");
        error.code()
    };
    let malformed = "client_auth.assertion_malformed";
    assert_eq!(refused(String::new()), "lost.unsent");
    assert_eq!(refused(r#"{"token":"x"}"#.to_owned()), malformed);
    assert_eq!(refused("\n".to_owned()), "lost.unsent");
    for (before, after) in [
        ("", " x"),
        (" ", ""),
        ("", "\n\n"),
        ("", " \n"),
        ("\u{feff}", ""),
    ] {
        assert_eq!(
            refused(format!("{before}{}{after}", workload(GOOD))),
            malformed
        );
    }
    assert_eq!(refused(workload("[]")), malformed);
    assert_eq!(refused(workload(r#"{"aud":7}"#)), malformed);
    let expired = workload(r#"{"aud":"https://as.example","exp":1700000000}"#);
    assert_eq!(refused(expired), "client_auth.assertion_expired");
    for audience in [
        r#"["https://as.example","https://kubernetes"]"#,
        r#""https://kubernetes""#,
        "[]",
    ] {
        let token = workload(&format!(r#"{{"aud":{audience}}}"#));
        assert_eq!(
            refused(token),
            "client_auth.assertion_audience",
            "{audience}"
        );
    }
    let (assertion, _) = reading(vec![workload(GOOD)]);
    let spiffe = ClientAuth::federated(assertion.profile(AssertionProfile::SpiffeJwt));
    let mut exchange = client_with(spiffe).client_credentials(Scope::none());
    assert_eq!(
        error_code(exchange.resume(&at(1), Input::Begin).map(drop)),
        Err(malformed)
    );
}

/// RFC 7523 section 3: "The JWT MUST be digitally signed or have a Message Authentication Code".
#[test]
fn unsigned_or_encrypted_workload_token_is_refused() {
    let valid = workload(GOOD);
    let (_, rest) = valid.split_once('.').unwrap();
    let under = |header: &str| format!("{}.{rest}", base64::url_safe(header));
    for (token, detail) in [
        (under(r#"{"alg":"none"}"#), "it is not signed"),
        (under(r#"{"alg":"nOnE"}"#), "it is not signed"),
        (under("{}"), "it is not signed"),
        (under(r#"{"alg":7}"#), "it is not signed"),
        (
            valid.trim_end_matches("c2ln").to_owned(),
            "it is not signed",
        ),
        (format!("e30.{rest}.YQ.YQ"), "it is encrypted"),
        (format!("AAAA.{rest}"), "not a JWS of a JSON object"),
        (under("[]"), "not a JWS of a JSON object"),
        (workload(&GOOD.replace(r#"{"#, r#"{"iss":7,"#)), "iss"),
    ] {
        let (assertion, _) = reading(vec![token.clone()]);
        let mut exchange =
            client_with(ClientAuth::federated(assertion)).client_credentials(Scope::none());
        let error = exchange.resume(&at(1), Input::Begin).map(drop).unwrap_err();
        assert_eq!(error.code(), "client_auth.assertion_malformed", "{token}");
        assert_eq!(error.detail(), Some(detail), "{token}");
    }
}

/// RFC 7523 section 3: a stolen assertion without an expiry could be used indefinitely.
#[test]
fn workload_token_without_exp_is_refused_naming_its_source() {
    struct Placed(&'static str);
    impl crate::workload::AssertionSource for Placed {
        fn assertion(&self, _: &AssertionRequest<'_>) -> Result<Secret<String>, Cause> {
            let claims = r#"{"sub":"w","aud":"https://as.example"}"#;
            Ok(Secret::new(workload(claims)))
        }

        fn location(&self) -> String {
            self.0.to_owned()
        }
    }
    let (called, _) = reading(vec![workload(r#"{"sub":"w","aud":"https://as.example"}"#)]);
    for (assertion, place) in [
        (FederatedAssertion::new(Placed("/run/token")), "/run/token"),
        (called, "a callback"),
    ] {
        let mut exchange =
            client_with(ClientAuth::federated(assertion)).client_credentials(Scope::none());
        let error = exchange.resume(&at(1), Input::Begin).map(drop).unwrap_err();
        assert_eq!(error.code(), "client_auth.assertion_malformed");
        let detail = format!("the token of {place} has no exp");
        assert_eq!(error.detail(), Some(detail.as_str()));
    }
}

#[test]
fn invalid_client_is_retried_once_if_the_workload_token_has_changed() {
    let newer = workload(r#"{"sub":"w","aud":"https://as.example","exp":1700000900}"#);
    let refusal = || Input::Reply(json(401, r#"{"error":"invalid_client"}"#));
    let newest = workload(r#"{"sub":"x","aud":"https://as.example","exp":1700000900}"#);
    let (assertion, _) = reading(vec![workload(GOOD), newer.clone(), newest]);
    let mut exchange =
        client_with(ClientAuth::federated(assertion)).client_credentials(Scope::none());
    let _ = sent_request(exchange.resume(&at(1), Input::Begin).unwrap());
    let request = sent_request(exchange.resume(&at(2), refusal()).unwrap());
    assert_eq!(value(&request, "client_assertion"), Some(newer));
    let refused = exchange.resume(&at(3), refusal()).map(drop);
    assert_eq!(error_code(refused), Err("denied.invalid_client"), "once");
    let (assertion, reads) = reading(vec![workload(GOOD)]);
    let mut exchange =
        client_with(ClientAuth::federated(assertion)).client_credentials(Scope::none());
    let _ = sent_request(exchange.resume(&at(1), Input::Begin).unwrap());
    let refused = exchange.resume(&at(2), refusal()).map(drop);
    assert_eq!(
        error_code(refused),
        Err("denied.invalid_client"),
        "it is still the same"
    );
    assert_eq!(reads.load(Ordering::Relaxed), 2);
}
