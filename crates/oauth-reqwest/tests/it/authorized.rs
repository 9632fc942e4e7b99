use std::net::TcpListener;
use std::time::Duration;

use oauth_core::flow::resource::{Allowance, Api, OnRateLimit, Verdict};
use oauth_core::{Scope, danger};
use oauth_reqwest::oauth_session::Sources;
use oauth_reqwest::reqwest::Body;
use oauth_reqwest::{Authorized, GrantSource, Options, ResponseExt as _};
use oauth_testkit::{Fault, Served};

use crate::support::{confidential, counters, driver, driver_with, start_twin};

fn api(served: &Served) -> Authorized {
    let scope = Scope::parse("read write").unwrap();
    let source = GrantSource::client_credentials(driver(), &confidential(served), scope);
    let resource = danger::loopback_resource([served.base()]).unwrap();
    Authorized::new(driver(), source, resource)
}

fn echo(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

#[tokio::test]
async fn a_401_is_retried_once_with_a_new_token() {
    let served = start_twin();
    let api = api(&served);
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);
    served.with(|twin| twin.expire_access_tokens());
    let reply = api.post(&echo(&served)).body("again").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.text().await.unwrap().contains(r#""body":"again""#));
    assert_eq!(counters(&served).api_401, 1);
    assert_eq!(counters(&served).token_requests, 2);
}

#[tokio::test]
async fn a_second_401_is_returned_to_the_caller() {
    let served = start_twin();
    // Every token is expired when it arrives.
    served.with(|twin| twin.set_access_token_lifetime(0));
    let reply = api(&served).get(&echo(&served)).send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.verdict(), Verdict::Renew);
    assert_eq!(counters(&served).api_calls, 2);
    assert_eq!(counters(&served).token_requests, 2);
}

#[tokio::test]
async fn a_streamed_body_is_not_resent_after_a_401() {
    let served = start_twin();
    let api = api(&served);
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);
    served.with(|twin| twin.expire_access_tokens());
    let post = |text: &'static str| {
        api.post(&echo(&served))
            .body_stream(Body::wrap(text.to_owned()))
    };
    assert_eq!(post("one").send().await.unwrap().status(), 401);
    assert_eq!(counters(&served).api_calls, 2);
    // The token that was refused is not sent again.
    let reply = post("two").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.text().await.unwrap().contains(r#""body":"two""#));
    assert_eq!(counters(&served).token_requests, 2);
}

#[tokio::test]
async fn a_token_is_sent_only_to_its_origin() {
    let (served, elsewhere) = (start_twin(), crate::support::start_twin());
    let api = api(&served);
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);

    let error = api.get(&echo(&elsewhere)).send().await.unwrap_err();
    assert_eq!(error.code(), "resource.origin_not_allowed");
    for status in [301, 302, 303, 307, 308] {
        let location = echo(&elsewhere);
        served.with(|twin| twin.inject(Fault::RedirectTo { location, status }));
        let reply = api.get(&echo(&served)).send().await.unwrap();
        assert_eq!(reply.status(), status);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// The timeout is zero, to keep the test short; the server never answers.
#[tokio::test]
async fn a_request_timeout_can_be_shorter_than_the_drivers() {
    let served = start_twin();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let resource = danger::loopback_resource([served.base(), &silent_url]).unwrap();
    let patient = driver_with(Options::default().timeout(Duration::from_secs(3600)));
    let api = Authorized::new(patient, source, resource);
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);
    let hurried = api.get(&silent_url).timeout(Duration::ZERO);
    assert_eq!(hurried.send().await.unwrap_err().code(), "lost.timeout");
}

/// A request's turn is decided by the call, not by when a runtime first polls it.
#[tokio::test]
async fn the_rate_limit_counts_a_request_from_the_call_on() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let resource = danger::loopback_resource([served.base()]).unwrap();
    let limited = Api::new(resource).keeping(Allowance::new(1, 60));
    let api = Authorized::with_sources(driver(), Sources::one(source), limited).unwrap();
    let (first, second) = (
        api.get(&echo(&served)).send(),
        api.get(&echo(&served)).send(),
    );
    let second = second.await.unwrap_err();
    assert_eq!(second.code(), "resource.rate_limited");
    assert_eq!(first.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_same_origin_redirect_is_followed_if_the_method_is_kept() {
    let served = start_twin();
    let api = api(&served);
    let redirected = |path: &str, status: u16| {
        let location = format!("{}{path}", served.base());
        served.with(|twin| twin.inject(Fault::RedirectTo { location, status }));
    };
    let to = |path: &str| redirected(path, 307);
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);
    to("/api/echo?page=2");
    assert_eq!(api.get(&echo(&served)).send().await.unwrap().status(), 200);
    served.with(|twin| {
        let entry = twin.log().last().unwrap();
        assert_eq!(entry.query("page"), Some("2"));
        assert!(entry.header("authorization").is_some());
    });
    // A request that changes state is repeated unchanged, or not at all.
    to("/api/echo?page=3");
    let reply = api.post(&echo(&served)).body("x").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    served.with(|twin| {
        let entry = twin.log().last().unwrap();
        assert_eq!(
            (entry.method.as_str(), entry.query("page")),
            ("POST", Some("3"))
        );
    });
    redirected("/api/echo", 302);
    let reply = api.post(&echo(&served)).body("x").send().await.unwrap();
    assert_eq!(reply.status(), 302);
}

#[tokio::test]
async fn a_reply_reports_the_required_scope_and_the_retry_after_time() {
    let served = start_twin();
    let source = GrantSource::client_credentials(
        driver(),
        &confidential(&served),
        Scope::parse("read").unwrap(),
    );
    let resource = danger::loopback_resource([served.base()]).unwrap();
    let api = Authorized::new(driver(), source, resource);
    let reply = api.post(&echo(&served)).send().await.unwrap();
    let write = Scope::parse("write").unwrap();
    assert_eq!(reply.status(), 403);
    assert_eq!(reply.verdict(), Verdict::WidenScope(Some(write)));

    served.with(|twin| twin.set_rate_limit(1));
    let first = api.get(&echo(&served)).send().await.unwrap();
    assert_eq!((first.status().as_u16(), first.retry_after()), (200, None));
    let second = api.get(&echo(&served)).on_rate_limit(OnRateLimit::Pass);
    let second = second.send().await.unwrap();
    assert_eq!(second.status(), 429);
    assert!(second.retry_after().is_some());
    assert_eq!(counters(&served).api_429, 1);

    let error = api.get(&echo(&served)).send().await.unwrap_err();
    assert_eq!(error.code(), "resource.rate_limited");
    let after = error.advice().after().unwrap();
    assert!((1..=60).contains(&after.as_secs()), "{after:?}");
    // The next request is refused without being sent.
    let error = api.get(&echo(&served)).send().await.unwrap_err();
    assert_eq!(error.code(), "resource.rate_limited");
    assert_eq!(counters(&served).api_429, 2);
}

#[tokio::test]
async fn a_request_with_another_token_is_refused() {
    let served = start_twin();
    let api = api(&served);
    let twice = api
        .get(&echo(&served))
        .header("Authorization", "Bearer mine");
    let error = twice.send().await.unwrap_err();
    assert_eq!(error.code(), "token.more_than_one_method");
    let in_url = api.get(&format!("{}?access_token=mine", echo(&served)));
    assert_eq!(in_url.send().await.unwrap_err().code(), "token.in_query");
    assert_eq!(counters(&served).api_calls, 0);
}

#[tokio::test]
async fn a_missing_token_is_reported_with_the_error_of_its_source() {
    let served = start_twin();
    served.with(|twin| {
        twin.inject(Fault::Status {
            status: 503,
            retry_after: None,
        })
    });
    let error = api(&served).get(&echo(&served)).send().await.unwrap_err();
    assert_eq!(error.code(), "denied.busy");
    assert_eq!(counters(&served).api_calls, 0);
}
