//! Faults by name, and the effect of each on a reply.

mod common;

use std::time::Duration;

use common::toy::MinimalExchange;
use common::*;
use oauth_testkit::twin::{Delivery, Fault};
use oauth_testkit::{Twin, TwinDriver};

const FORM: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "twin-client"),
    ("client_secret", "s3cr+t/%: ~"),
];

fn driver_with(fault: Fault) -> TwinDriver {
    let mut driver = TwinDriver::new(Twin::generic("https://as.test"));
    driver.twin().inject(fault);
    driver
}

/// The token endpoint's reply with a fault; the next one must be correct again.
fn reply_with(fault: Fault) -> http::Response<bytes::Bytes> {
    let name = fault.name();
    let mut driver = driver_with(fault);
    let reply = post(&mut driver, "/token", &FORM);
    assert_eq!(driver.twin().log()[0].fault, Some(name));
    let next = post(&mut driver, "/token", &FORM);
    assert!(next.status() == 200 && json(&next)["access_token"].is_string());
    assert_eq!(next.extensions().get::<Delivery>(), None);
    assert_eq!(driver.twin().counters().token_requests, 2);
    reply
}

#[test]
fn every_fault_name_parses_to_that_fault() {
    for name in Fault::NAMES {
        assert_eq!(Fault::parse(name).unwrap().name(), *name);
    }
    assert_eq!(Fault::parse("earthquake"), None);
    assert_eq!(
        Fault::parse("status"),
        Some(Fault::Status {
            status: 503,
            retry_after: None
        })
    );
    let with_values = r#"{"name":"status","status":500,"retry_after":7}"#;
    let parsed: Fault = serde_json::from_str(with_values).unwrap();
    assert_eq!(
        parsed,
        Fault::Status {
            status: 500,
            retry_after: Some(7)
        }
    );
}

#[test]
fn faults_can_replace_a_reply() {
    let reply = reply_with(Fault::Status {
        status: 502,
        retry_after: Some(9),
    });
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["retry-after"]),
        (502, &"9".parse().unwrap())
    );
    let reply = reply_with(Fault::Html);
    assert_eq!(
        (reply.status().as_u16(), &reply.body()[..2]),
        (200, &b"<!"[..])
    );
    let reply = reply_with(Fault::OversizedJson { bytes: 3_000_000 });
    assert_eq!(reply.body().len(), 3_000_000);
    assert!(json(&reply).is_object());
    let to = "https://elsewhere.example/x".to_owned();
    let reply = reply_with(Fault::RedirectTo {
        location: to.clone(),
        status: 308,
    });
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["location"]),
        (308, &to.parse().unwrap())
    );
    let reply = reply_with(Fault::NestedJson { depth: 100 });
    assert!(json(&reply)["nested"][0][0][0].is_array());
    let reply = reply_with(Fault::GzipBomb { expanded: 1 << 30 });
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    assert!(reply.body().len() < 1 << 20);
}

#[test]
fn faults_can_corrupt_a_reply() {
    let reply = reply_with(Fault::TruncatedJson);
    assert!(reply.body().starts_with(b"{") && !reply.body().ends_with(b"}"));
    let reply = reply_with(Fault::WrongContentType);
    assert_eq!(reply.headers()["content-type"], "text/plain");
    assert!(json(&reply)["access_token"].is_string());
    let reply = reply_with(Fault::DuplicateMember);
    let body = std::str::from_utf8(reply.body()).unwrap();
    assert_eq!(body.matches(r#""access_token":"#).count(), 2);
    json(&reply);
    let reply = reply_with(Fault::LostReply);
    assert_eq!(
        reply.extensions().get(),
        Some(&Delivery {
            lost: true,
            millis_per_byte: 0
        })
    );
    let reply = reply_with(Fault::SlowBody { millis_per_byte: 3 });
    assert_eq!(
        reply.extensions().get(),
        Some(&Delivery {
            lost: false,
            millis_per_byte: 3
        })
    );
}

#[test]
fn a_request_whose_reply_is_lost_is_processed() {
    let mut driver = driver_with(Fault::LostReply);
    let token = post(&mut driver, "/token", &FORM);
    let token = text(&json(&token), "access_token");
    assert_eq!(get(&mut driver, "/api/echo", Some(&token)).status(), 200);
}

#[test]
fn a_request_refused_by_a_fault_is_not_processed() {
    let mut driver = driver_with(Fault::parse("status").unwrap());
    let revoke = [("token", "x"), FORM[1], FORM[2]];
    assert_eq!(post(&mut driver, "/revoke", &revoke).status(), 503);
    assert_eq!(driver.twin().counters().revocations, 0);
}

#[test]
fn the_twin_driver_applies_delivery_faults() {
    let mut driver = driver_with(Fault::LostReply);
    let (_, reply) = driver
        .run(MinimalExchange::post("https://as.test/token", &FORM))
        .unwrap();
    // `MinimalExchange` authenticates in the header as well as in the body, which is refused; only the number of
    // requests matters here.
    refused(&reply, 400, "invalid_request");
    assert_eq!(driver.twin().counters().token_requests, 2);

    driver.twin().inject(Fault::SlowBody {
        millis_per_byte: 1000,
    });
    let before = driver.now();
    let (_, reply) = driver
        .run(MinimalExchange::get("https://as.test/api/echo"))
        .unwrap();
    let passed = driver.now().since(before);
    assert_eq!(passed, Duration::from_secs(reply.body().len() as u64));

    driver.twin().inject(Fault::OversizedJson {
        bytes: (1 << 20) + 1,
    });
    driver.twin().inject(Fault::OversizedJson {
        bytes: (1 << 20) + 1,
    });
    let error = driver
        .run(MinimalExchange::get("https://as.test/api/echo"))
        .unwrap_err();
    assert_eq!(error.code(), "reply.too_large");
}

#[test]
fn callback_faults_affect_only_the_authorization_endpoint() {
    let mut driver = driver_with(Fault::WrongIssuerInCallback);
    driver.twin().inject(Fault::ForeignStateInCallback);
    assert_eq!(post(&mut driver, "/token", &FORM).status(), 200);
    let query = [
        ("response_type", "code"),
        ("client_id", "twin-client"),
        ("redirect_uri", "https://app.example/callback"),
        ("state", "mine"),
    ];
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &query);
    let mut callback = || {
        let callback = driver.browse(&url).unwrap();
        (
            param(&callback, "iss").unwrap(),
            param(&callback, "state").unwrap(),
        )
    };
    let (right, mine) = ("https://as.test".to_owned(), "mine".to_owned());
    assert_eq!(
        callback(),
        ("https://attacker.example".to_owned(), mine.clone())
    );
    assert_eq!(
        callback(),
        (right.clone(), "state-of-another-flow".to_owned())
    );
    assert_eq!(callback(), (right, mine));
}

#[test]
fn a_fault_waits_for_an_applicable_reply_and_can_be_cleared() {
    let mut driver = driver_with(Fault::TruncatedJson);
    let revoke = [("token", "x"), FORM[1], FORM[2]];
    assert_eq!(post(&mut driver, "/revoke", &revoke).status(), 200);
    let reply = post(&mut driver, "/token", &FORM);
    assert!(!reply.body().ends_with(b"}"));
    driver.twin().inject(Fault::Html);
    driver.twin().clear_faults();
    assert!(json(&post(&mut driver, "/token", &FORM)).is_object());
}

#[test]
fn faults_can_remove_a_member_or_refuse_the_request() {
    let member = "scope".to_owned();
    let reply = reply_with(Fault::WithoutMember { member });
    let body = json(&reply);
    assert!(reply.status() == 200 && body.get("scope").is_none());
    assert!(body["access_token"].is_string());
    let reply = reply_with(Fault::Refusal {
        error: "temporarily_unavailable".to_owned(),
    });
    refused(&reply, 400, "temporarily_unavailable");
}
