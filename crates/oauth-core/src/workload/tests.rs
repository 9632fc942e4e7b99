#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::sync::Mutex;

use super::*;
use crate::base64::{Alphabet, append};
use crate::client::Client;
use crate::client_auth::{ClientAuth, FederatedAssertion};
use crate::client_config::ClientId;
use crate::http::header::AUTHORIZATION;
use crate::scope::Scope;
use crate::testing::{NOW, at, error_code, json, reply, server};

const URL: &str = "https://run.example/idtoken?api-version=2.0";

/// Variables and files that a test replaces while it runs.
#[derive(Default)]
struct FakeEnvironment(Mutex<Vec<(String, String)>>);

impl FakeEnvironment {
    fn with(name: &str, text: &str) -> Arc<Self> {
        let environment = Arc::new(Self::default());
        environment.set(name, text);
        environment
    }

    fn set(&self, name: &str, text: &str) {
        let mut all = self.0.lock().unwrap();
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), text.to_owned()));
    }

    fn get(&self, name: &str) -> Option<Secret<String>> {
        let all = self.0.lock().unwrap();
        let found = all.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| Secret::from(text.as_str()))
    }
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.get(name)
    }

    fn file(&self, path: &str) -> Result<Secret<String>, Cause> {
        self.get(path).ok_or_else(|| Cause::unsent("no such file"))
    }
}

fn jwt(claims: &str) -> String {
    let mut text = String::new();
    append(br#"{"alg":"RS256"}"#, Alphabet::UrlSafe, &mut text);
    text.push('.');
    append(claims.as_bytes(), Alphabet::UrlSafe, &mut text);
    format!("{text}.c2ln")
}

fn token_for(subject: &str) -> String {
    let exp = NOW + 300;
    jwt(&format!(
        r#"{{"aud":"https://as.example","sub":"{subject}","exp":{exp}}}"#
    ))
}

fn endpoint() -> WorkloadTokenService {
    WorkloadTokenService::new(URL)
        .unwrap()
        .audience_parameter("audience")
        .bearer(&"request-token".into())
        .unwrap()
        .format(TokenFormat::Json("value".to_owned()))
}

fn token_file(source: CredentialSource) -> WorkloadToken {
    WorkloadToken::from_source(source, Arc::new(FakeEnvironment::default()))
}

fn client(token: WorkloadToken) -> Client {
    let auth = ClientAuth::federated(FederatedAssertion::from_workload_token(token));
    Client::new(server(), ClientId::new("id"), auth).unwrap()
}

fn expect_request<T>(step: Result<Step<T>, Error>) -> Request<Bytes> {
    match step.unwrap() {
        Step::Send(request) => request,
        step => panic!("{:?}", std::mem::discriminant(&step)),
    }
}

fn body(request: &Request<Bytes>) -> String {
    String::from_utf8(request.body().to_vec()).unwrap()
}

#[test]
fn service_is_queried_for_each_request_with_its_own_credential() {
    let client = client(token_file(CredentialSource::Endpoint(endpoint())));
    for subject in ["first", "second"] {
        let mut exchange = client.client_credentials(Scope::none());
        let sent = expect_request(exchange.resume(&at(), Input::Begin));
        assert_eq!(sent.method(), "GET");
        assert_eq!(
            sent.uri().to_string(),
            "https://run.example/idtoken?api-version=2.0&audience=https%3A%2F%2Fas.example"
        );
        let bearer = sent.headers().get(AUTHORIZATION).unwrap();
        assert_eq!(bearer, "Bearer request-token");
        assert!(bearer.is_sensitive() && sent.body().is_empty());
        let answer = json(
            200,
            &format!(r#"{{"value":"{}","count":1}}"#, token_for(subject)),
        );
        let request = expect_request(exchange.resume(&at(), Input::Reply(answer)));
        assert_eq!(request.uri(), "https://as.example/token");
        assert!(request.headers().get(AUTHORIZATION).is_none());
        let body = body(&request);
        assert!(body.contains(&token_for(subject)), "{body}");
        assert!(!body.contains("request-token"), "{body}");
        let tokens = json(200, r#"{"access_token":"a","token_type":"Bearer"}"#);
        let done = exchange.resume(&at(), Input::Reply(tokens)).unwrap();
        assert!(matches!(done, Step::Done(_)));
    }
}

#[test]
fn refused_service_token_is_not_requested_again() {
    let client = client(token_file(CredentialSource::Endpoint(endpoint())));
    let mut exchange = client.client_credentials(Scope::none());
    let _ = expect_request(exchange.resume(&at(), Input::Begin));
    let answer = json(200, &format!(r#"{{"value":"{}"}}"#, token_for("a")));
    let _ = expect_request(exchange.resume(&at(), Input::Reply(answer)));
    let refusal = Input::Reply(json(401, r#"{"error":"invalid_client"}"#));
    let refused = exchange.resume(&at(), refusal).map(drop);
    assert_eq!(error_code(refused), Err("denied.invalid_client"));
}

#[test]
fn service_failures_are_classified_and_hide_the_response_text() {
    let client = client(token_file(CredentialSource::Endpoint(endpoint())));
    let after = |input: Input| {
        let mut exchange = client.client_credentials(Scope::none());
        let _ = expect_request(exchange.resume(&at(), Input::Begin));
        let error = exchange.resume(&at(), input).map(drop).unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("request-token"), "{shown}");
        error
    };
    let replied = |status, text: &str| after(Input::Reply(json(status, text))).code();
    let echo = r#"{"error":"invalid_grant","message":"request-token"}"#;
    assert_eq!(replied(403, echo), "workload.refused");
    assert_eq!(replied(302, ""), "workload.refused");
    assert_eq!(replied(503, echo), "lost.unsent");
    assert_eq!(replied(429, echo), "lost.unsent");
    for text in ["", "request-token", "[]", "{}", r#"{"value":7}"#] {
        assert_eq!(replied(200, text), "workload.malformed", "{text}");
    }
    assert_eq!(replied(200, r#"{"value":" "}"#), "lost.unsent");
    let large = format!(r#"{{"value":"{}"}}"#, "a".repeat(MAX_BYTES));
    assert_eq!(replied(200, &large), "workload.malformed");
    let elsewhere = jwt(r#"{"aud":"https://other.example"}"#);
    assert_eq!(
        replied(200, &format!(r#"{{"value":"{elsewhere}"}}"#)),
        "client_auth.assertion_audience"
    );
    // Nothing has been sent to the server, regardless of the earlier request.
    let lost = after(Input::Lost(Cause::unknown("cut off")));
    assert_eq!(lost.code(), "lost.unsent");
    assert!(lost.to_string().contains("cut off"), "{lost}");
}

#[test]
fn oversized_workload_token_is_refused() {
    let padded = |length: usize| {
        let exp = NOW + 300;
        let pad = "a".repeat(length);
        jwt(&format!(
            r#"{{"aud":"https://as.example","exp":{exp},"pad":"{pad}"}}"#
        ))
    };
    for (length, code_of_it) in [
        (MAX_BYTES / 2, Ok(())),
        (MAX_BYTES, Err("client_auth.assertion_malformed")),
    ] {
        let source = move |_: &AssertionRequest<'_>| Ok(Secret::new(padded(length)));
        let client = client(WorkloadToken::new(source));
        let mut exchange = client.client_credentials(Scope::none());
        let step = exchange.resume(&at(), Input::Begin).map(drop);
        assert_eq!(error_code(step), code_of_it, "{length}");
    }
}

#[test]
fn variables_and_files_are_read_for_each_request() {
    let in_json = CredentialSource::File {
        path: "there".to_owned(),
        format: TokenFormat::Json("token".to_owned()),
    };
    let sources = [
        (CredentialSource::Variable("there".to_owned()), ["", ""]),
        (
            CredentialSource::File {
                path: "there".to_owned(),
                format: TokenFormat::Text,
            },
            ["", "\r\n"],
        ),
        (in_json, [r#"{"token":""#, r#""}"#]),
    ];
    for (source, [before, after]) in sources {
        let around = FakeEnvironment::with("there", "");
        let client = client(WorkloadToken::from_source(source, around.clone()));
        for subject in ["first", "second"] {
            around.set("there", &format!("{before}{}{after}", token_for(subject)));
            let mut exchange = client.client_credentials(Scope::none());
            let request = expect_request(exchange.resume(&at(), Input::Begin));
            assert!(body(&request).contains(&token_for(subject)));
        }
    }
}

#[test]
fn missing_or_malformed_source_is_named_without_its_content() {
    let refused = |source: CredentialSource, text: &str| {
        let token = WorkloadToken::from_source(source, FakeEnvironment::with("there", text));
        let mut exchange = client(token).client_credentials(Scope::none());
        let error = exchange.resume(&at(), Input::Begin).map(drop).unwrap_err();
        assert!(
            !format!("{error:?} {error}").contains("hunter22"),
            "{error}"
        );
        (error.code(), error.to_string())
    };
    let (code, detail) = refused(CredentialSource::Variable("CI_TOKEN".to_owned()), "");
    assert_eq!(code, "environment.missing");
    assert!(detail.contains("CI_TOKEN"), "{detail}");
    let file = |path: &str| CredentialSource::File {
        path: path.to_owned(),
        format: TokenFormat::Json("token".to_owned()),
    };
    assert_eq!(refused(file("elsewhere"), "").0, "lost.unsent");
    assert_eq!(
        refused(file("there"), r#"{"other":"hunter22"}"#).0,
        "workload.malformed"
    );
    assert_eq!(refused(file("there"), "hunter22").0, "workload.malformed");
}

#[test]
fn plain_http_service_is_allowed_only_on_loopback_and_the_metadata_address() {
    for url in [
        "http://127.0.0.1:8080/token",
        "http://localhost/token",
        "http://169.254.169.254/computeMetadata/v1/token",
    ] {
        assert!(WorkloadTokenService::new(url).is_ok(), "{url}");
    }
    for url in [
        "http://run.example/token",
        "http://169.254.169.253/token",
        "http://169.254.169.254.example/token",
    ] {
        assert_eq!(
            error_code(WorkloadTokenService::new(url).map(drop)),
            Err("url.insecure")
        );
    }
    for name in ["host", "Content-Length", "no header"] {
        let refused = endpoint().header(name, "x").map(drop);
        assert_eq!(error_code(refused), Err("http.header_value"), "{name}");
    }
    let shown = format!("{:?}", token_file(CredentialSource::Endpoint(endpoint())));
    assert!(
        !shown.contains("request-token") && !shown.contains("api-version"),
        "{shown}"
    );
}

#[test]
fn workload_token_is_exchanged_for_the_clients_tokens() {
    let around = FakeEnvironment::with("there", "opaque-1");
    let source = CredentialSource::Variable("there".to_owned());
    let token = WorkloadToken::from_source(source, around.clone());
    let subject = SubjectToken::new(token, "jwt", "//pool/provider")
        .default_scope(Scope::parse("cloud").unwrap());
    let client = Client::new(
        server(),
        ClientId::new("id"),
        ClientAuth::without_client_id(),
    )
    .unwrap();
    let client = client.with_subject_token(subject);
    for (token, scope, expected) in [("opaque-1", "", "cloud"), ("opaque-2", "a", "a")] {
        around.set("there", token);
        let mut exchange = client.client_credentials(Scope::parse(scope).unwrap());
        let request = expect_request(exchange.resume(&at(), Input::Begin));
        let body = body(&request);
        for part in [
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
            "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
            "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
            "audience=%2F%2Fpool%2Fprovider",
            &format!("subject_token={token}"),
            &format!("scope={expected}"),
        ] {
            assert!(
                body.split('&').any(|found| found == part),
                "{part} in {body}"
            );
        }
        assert!(!body.contains("client_id"), "{body}");
    }
}

#[test]
fn token_can_be_fetched_without_a_client() {
    let mut fetch = token_file(CredentialSource::Endpoint(endpoint())).fetch("somebody");
    let sent = expect_request(fetch.resume(&at(), Input::Begin));
    assert!(sent.uri().to_string().ends_with("&audience=somebody"));
    let plain = reply(200, &[], r#"{"value":"opaque\n"}"#);
    let Step::Done(token) = fetch.resume(&at(), Input::Reply(plain)).unwrap() else {
        panic!("a token")
    };
    assert_eq!(token.expose(), "opaque");
    assert_eq!(
        error_code(fetch.resume(&at(), Input::Begin).map(drop)),
        Err("misuse.already_finished")
    );
    let mut lost = token_file(CredentialSource::Endpoint(endpoint())).fetch("somebody");
    let _ = expect_request(lost.resume(&at(), Input::Begin));
    let refused = lost.resume(&at(), Input::Lost(Cause::unknown("cut off")));
    assert_eq!(error_code(refused.map(drop)), Err("lost.unsent"));
}
