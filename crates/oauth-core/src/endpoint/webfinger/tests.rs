#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::exchange::{Exchange as _, Input, Step};
use crate::testing::{at, error_code, json, reply, run_with_reply};
use crate::{danger, discover_issuer};

const GOOD: &str = r#"{"subject":"acct:joe@example.com","links":[
    {"rel":"http://openid.net/specs/connect/1.0/issuer","href":"https://server.example.com"}]}"#;

fn identifier() -> UserIdentifier {
    UserIdentifier::parse("joe@example.com").unwrap()
}

fn found(body: &str) -> Result<String, &'static str> {
    let issuer = run_with_reply(discover_issuer(identifier()), json(200, body));
    error_code(issuer.map(|issuer| issuer.as_str().to_owned()))
}

/// The examples of sections 2.1 and 2.2, and variants.
#[test]
fn user_identifiers_are_normalized_to_a_resource_and_host() {
    for (typed, resource, place) in [
        (
            "joe@example.com",
            "acct:joe@example.com",
            "https://example.com",
        ),
        (
            " joe@EXAMPLE.com ",
            "acct:joe@example.com",
            "https://example.com",
        ),
        (
            "Acct:joe@example.com",
            "acct:joe@example.com",
            "https://example.com",
        ),
        (
            "acct:juliet%40capulet.example@shopping.example.com",
            "acct:juliet%40capulet.example@shopping.example.com",
            "https://shopping.example.com",
        ),
        (
            "juliet@capulet.example@shopping.example.com",
            "acct:juliet%40capulet.example@shopping.example.com",
            "https://shopping.example.com",
        ),
        (
            "https://example.com/joe",
            "https://example.com/joe",
            "https://example.com",
        ),
        (
            "example.com/joe",
            "https://example.com/joe",
            "https://example.com",
        ),
        ("example.com", "https://example.com/", "https://example.com"),
        (
            "https://example.com",
            "https://example.com/",
            "https://example.com",
        ),
        (
            "example.com?a=b",
            "https://example.com/?a=b",
            "https://example.com",
        ),
        (
            "example.com:8080",
            "https://example.com:8080/",
            "https://example.com:8080",
        ),
        (
            "acct:joe@example.com:8443",
            "acct:joe@example.com:8443",
            "https://example.com:8443",
        ),
        (
            "example.com/joe#me",
            "https://example.com/joe",
            "https://example.com",
        ),
        (
            "j+o'e@example.com",
            "acct:j+o'e@example.com",
            "https://example.com",
        ),
        (
            "j\u{f6}%e@example.com",
            "acct:j%C3%B6%25e@example.com",
            "https://example.com",
        ),
    ] {
        let read = UserIdentifier::parse(typed);
        let read = read.unwrap_or_else(|error| panic!("{typed}: {error}"));
        assert_eq!(read.as_str(), resource, "{typed}");
        assert_eq!(read.host.as_str(), place, "{typed}");
    }
}

#[test]
fn identifier_without_a_usable_host_is_refused() {
    let long = format!("{}@example.com", "j".repeat(MAX_IDENTIFIER_BYTES));
    for typed in [
        "",
        " ",
        "=example",
        "@example",
        "!example",
        "@",
        "joe@",
        "acct:joe",
        "acct:@example.com",
        "acct:joe@example.com/x",
        "mailto:joe@example.com",
        "http://example.com/joe",
        "ftp://example.com",
        "https://joe@example.com/",
        "joe@example.com:8080",
        "joe@example.com#me",
        "joe:secret@example.com",
        "javascript:alert(1)",
        "joe@ex\u{e4}mple.com",
        "joe@example.com\r\nx: y",
        "j\noe@example.com",
        &long,
    ] {
        let read = error_code(UserIdentifier::parse(typed));
        assert_eq!(read.map(drop), Err("webfinger.identifier"), "{typed:?}");
    }
}

#[test]
fn webfinger_request_asks_for_the_issuer_at_public_addresses_only() {
    let mut exchange = discover_issuer(identifier());
    let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
        panic!("a request")
    };
    assert_eq!(
        request.uri().to_string(),
        "https://example.com/.well-known/webfinger?resource=acct%3Ajoe%40example.com&\
         rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer"
    );
    assert_eq!(
        request.extensions().get::<RequestAddressPolicy>(),
        Some(&RequestAddressPolicy::PublicOnly)
    );
    assert!(!request.headers().contains_key("authorization"));
    assert_eq!(found(GOOD).as_deref(), Ok("https://server.example.com"));
    // The media type registered by RFC 7033.
    let jrd = reply(200, &[("content-type", "application/jrd+json")], GOOD);
    assert!(run_with_reply(discover_issuer(identifier()), jrd).is_ok());
    assert!(!format!("{:?}", identifier()).contains("joe"));
}

#[test]
fn answer_about_another_subject_is_refused() {
    let issuer_for_subject =
        |subject: &str| found(&GOOD.replace("\"acct:joe@example.com\"", subject));
    let valid = Ok("https://server.example.com".to_owned());
    assert_eq!(
        issuer_for_subject("\"acct:ann@example.com\""),
        Err("webfinger.subject")
    );
    assert_eq!(
        issuer_for_subject("\"acct:Joe@example.com\""),
        Err("webfinger.subject")
    );
    assert_eq!(
        issuer_for_subject("\"https://example.com/joe\""),
        Err("webfinger.subject")
    );
    assert_eq!(issuer_for_subject("7"), Err("webfinger.subject"));
    assert_eq!(issuer_for_subject("\"acct:joe@EXAMPLE.COM\""), valid);
    let alias = "\"https://example.com/joe\",\"aliases\":[\"x\",\"acct:joe@example.com\"]";
    assert_eq!(issuer_for_subject(alias), valid);
    assert_eq!(found(&GOOD.replace("subject", "other")), valid);
}

#[test]
fn issuer_relation_is_matched_exactly_and_the_first_link_is_used() {
    let issuer_for_links = |links: &str| found(&format!(r#"{{"links":{links}}}"#));
    let rel = "http://openid.net/specs/connect/1.0/issuer";
    for links in [
        "[]",
        "{}",
        "[7]",
        r#"[{"href":"https://a.example"}]"#,
        r#"[{"rel":"issuer","href":"https://a.example"}]"#,
        r#"[{"rel":"https://openid.net/specs/connect/1.0/issuer","href":"https://a.example"}]"#,
        r#"[{"rel":"http://openid.net/specs/connect/1.0/Issuer","href":"https://a.example"}]"#,
    ] {
        assert_eq!(
            issuer_for_links(links),
            Err("webfinger.no_issuer"),
            "{links}"
        );
    }
    for href in [
        r#""""#,
        r#""http://a.example""#,
        r#""https://a.example?x=y""#,
        r#""https://a.example#x""#,
        r#""https://u@a.example""#,
        r#""javascript:alert(1)""#,
        "7",
        "null",
    ] {
        let links = format!(r#"[{{"rel":"{rel}","href":{href}}}]"#);
        assert_eq!(issuer_for_links(&links), Err("webfinger.issuer"), "{href}");
    }
    let two = format!(
        r#"[{{"rel":"other","href":"https://0.example"}},{{"rel":"{rel}","href":"https://1.example/a"}},
            {{"rel":"{rel}","href":"https://2.example"}}]"#
    );
    assert_eq!(issuer_for_links(&two).as_deref(), Ok("https://1.example/a"));
    assert_eq!(found("{}"), Err("webfinger.no_issuer"));
    assert_eq!(found("[]"), Err("webfinger.malformed"));
    assert_eq!(
        found(r#"{"links":[],"links":[]}"#),
        Err("reply.duplicate_member")
    );
}

#[test]
fn redirects_are_refused_and_404_is_an_error() {
    let moved = reply(302, &[("location", "https://elsewhere.example/")], "");
    let moved = error_code(run_with_reply(discover_issuer(identifier()), moved).map(drop));
    assert_eq!(moved, Err("reply.redirect"));
    let none =
        error_code(run_with_reply(discover_issuer(identifier()), reply(404, &[], "")).map(drop));
    assert_eq!(none, Err("denied.http_status"));
}

#[test]
fn loopback_identifier_uses_plain_http_only_for_loopback_hosts() {
    let local = danger::loopback_user_identifier("acct:joe@127.0.0.1:8080").unwrap();
    assert_eq!(local.host.as_str(), "http://127.0.0.1:8080");
    let url_identifier = danger::loopback_user_identifier("http://127.0.0.1:8080/joe").unwrap();
    assert_eq!(url_identifier.as_str(), "http://127.0.0.1:8080/joe");
    let other = danger::loopback_user_identifier("joe@example.com").unwrap();
    assert_eq!(other.host.as_str(), "https://example.com");
    let refused = danger::loopback_user_identifier("http://example.com/joe");
    assert_eq!(error_code(refused.map(drop)), Err("webfinger.identifier"));
}
