//! APIs that report an expired token in a body, and the handling of bodies that are inspected for it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use oauth_core::flow::resource::{Api, ExpiredTokenReply};
use oauth_core::{Scope, danger};
use oauth_reqwest::oauth_session::{FixedToken, Sources};
use oauth_reqwest::{Authorized, GrantSource, blocking, reqwest};
use oauth_testkit::{Fault, Served};

use crate::support::{confidential, counters, driver, start_twin};

/// Rules for Slack's body, and for an API that answers with 404.
const RULES: &str =
    r#"[{"status":200,"body":{"ok":[false],"error":["token_expired"]}},{"status":404}]"#;

fn api_with_rules(base: &str) -> Api {
    let api = Api::new(danger::loopback_resource([base]).unwrap());
    api.with_expired_token_replies(ExpiredTokenReply::from_json(RULES).unwrap())
        .unwrap()
}

fn api(served: &Served) -> Authorized {
    let scope = Scope::parse("read write").unwrap();
    let source = GrantSource::client_credentials(driver(), &confidential(served), scope);
    Authorized::with_sources(
        driver(),
        Sources::one(source),
        api_with_rules(served.base()),
    )
    .unwrap()
}

fn in_body() -> Fault {
    Fault::parse("ended_token_in_body").unwrap()
}

fn not_found() -> Fault {
    let body = "{}".to_owned();
    Fault::EndedTokenInBody { status: 404, body }
}

fn for_threads() -> blocking::Driver {
    blocking::Driver::new(reqwest::blocking::Client::builder().no_proxy()).unwrap()
}

#[tokio::test]
async fn an_expired_token_reported_in_a_body_is_renewed_and_the_request_retried() {
    let served = start_twin();
    let api = api(&served);
    let echo = format!("{}/api/echo", served.base());
    let reply = api.get(&echo).send().await.unwrap();
    // The inspected body is complete.
    assert_eq!(reply.url().as_str(), echo);
    assert!(reply.text().await.unwrap().contains(r#""method":"GET""#));
    for (renewals, fault) in [(2, in_body()), (3, not_found())] {
        served.with(|twin| {
            twin.expire_access_tokens();
            twin.inject(fault);
        });
        let reply = api.post(&echo).body("again").send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(reply.text().await.unwrap().contains(r#""body":"again""#));
        assert_eq!(counters(&served).token_requests, renewals);
    }
}

#[tokio::test]
async fn a_second_expired_token_response_is_returned_to_the_caller() {
    let served = start_twin();
    // Every token is expired when it arrives.
    served.with(|twin| {
        twin.set_access_token_lifetime(0);
        twin.inject(in_body());
        twin.inject(in_body());
    });
    let echo = format!("{}/api/echo", served.base());
    let reply = api(&served).get(&echo).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let text = reply.text().await.unwrap();
    assert_eq!(text, r#"{"ok":false,"error":"token_expired"}"#);
    assert_eq!(counters(&served).token_requests, 2);
}

#[test]
fn blocking_requests_renew_expired_tokens_reported_in_a_body() {
    let served = start_twin();
    let source = blocking::GrantSource::client_credentials(
        for_threads(),
        &confidential(&served),
        Scope::parse("read write").unwrap(),
    );
    let api = api_with_rules(served.base());
    let api = blocking::Authorized::with_sources(for_threads(), Sources::one(source), api).unwrap();
    let echo = format!("{}/api/echo", served.base());
    let reply = api.get(&echo).send().unwrap();
    assert_eq!(reply.url().as_str(), echo);
    assert_eq!(reply.headers()["content-type"], "application/json");
    assert!(reply.text().unwrap().contains(r#""method":"GET""#));
    served.with(|twin| {
        twin.expire_access_tokens();
        twin.inject(in_body());
    });
    let reply = api.post(&echo).body("again").send().unwrap();
    assert!(reply.text().unwrap().contains(r#""body":"again""#));
    assert_eq!(counters(&served).token_requests, 2);
}

/// A server that sends this response and closes the connection.
fn server_answering(answer: Vec<u8>) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in socket.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(&answer);
        }
    });
    base
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";

/// A JSON response of this size without a Content-Length.
fn long(size: usize) -> (String, Vec<u8>) {
    let body = format!(
        r#"{{"ok":false,"error":"token_expired","padding":"{}"}}"#,
        "x".repeat(size)
    );
    (body.clone(), format!("{HEAD}\r\n{body}").into_bytes())
}

#[tokio::test]
async fn a_body_over_the_inspection_limit_is_returned_whole() {
    let (body, answer) = long(300_000);
    let base = server_answering(answer);
    let source = || Sources::one(FixedToken::new("t"));
    let api = Authorized::with_sources(driver(), source(), api_with_rules(&base)).unwrap();
    let reply = api.get(&base).send().await.unwrap();
    assert!(reply.text().await.unwrap() == body);
    let threads = std::thread::spawn(move || {
        let api =
            blocking::Authorized::with_sources(for_threads(), source(), api_with_rules(&base));
        api.unwrap().get(&base).send().unwrap().text().unwrap()
    });
    assert!(threads.join().unwrap() == body);
}

#[tokio::test]
async fn a_truncated_body_is_not_taken_for_an_ended_token_and_reading_it_fails() {
    let body = r#"{"ok":false,"error":"token_expired"}"#;
    let base = server_answering(format!("{HEAD}content-length: 1000\r\n\r\n{body}").into_bytes());
    let source = || Sources::one(FixedToken::new("t"));
    let api = Authorized::with_sources(driver(), source(), api_with_rules(&base)).unwrap();
    let reply = api.get(&base).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    reply.text().await.unwrap_err();
    let threads = std::thread::spawn(move || {
        let api =
            blocking::Authorized::with_sources(for_threads(), source(), api_with_rules(&base));
        api.unwrap().get(&base).send().unwrap().text().unwrap_err();
    });
    threads.join().unwrap();
}
