#![allow(clippy::unwrap_used)] // tests may panic

use crate::http::Response;
use bytes::Bytes;

use super::*;
use crate::error::Cause;
use crate::quirk::Strictness;
use crate::testing::{at, json, reply};

const GOOD: &str =
    r#"{"issuer":"https://as.example/t","token_endpoint":"https://as.example/t/token"}"#;
const OTHER: &str = r#"{"issuer":"https://as.example"}"#;

fn issuer() -> Issuer {
    Issuer::parse("https://as.example/t").unwrap()
}

/// Runs the discovery with these replies; returns the number of requests and the first URL.
fn found(
    discovery_request: DiscoveryRequest,
    replies: Vec<Response<Bytes>>,
) -> (Vec<String>, Result<Server, Error>) {
    let mut exchange = Discovery::new(discovery_request);
    let mut input = Input::Begin;
    let (mut places, mut replies) = (Vec::new(), replies.into_iter());
    loop {
        match exchange.resume(&at(), input) {
            Ok(Step::Send(request)) => {
                places.push(request.uri().path().to_owned());
                let next = replies.next();
                input = Input::Reply(next.unwrap_or_else(|| json(404, "")));
            }
            Ok(Step::Done(server)) => return (places, Ok(server)),
            Ok(step) => unreachable!("{step:?}"),
            Err(error) => return (places, Err(error)),
        }
    }
}

fn discovery_request() -> DiscoveryRequest {
    DiscoveryRequest::new(issuer())
}

#[test]
fn discovery_continues_after_a_failed_url() {
    let html = || reply(200, &[("content-type", "text/html")], "<html>");
    for first in [
        json(500, "{}"),
        reply(502, &[("content-type", "text/html")], "<html>"),
        json(503, ""),
        html(),
        json(200, OTHER),
        json(200, "[]"),
        reply(302, &[("location", "/")], ""),
        json(401, ""),
    ] {
        let status = first.status();
        let (places, server) = found(discovery_request(), vec![first, json(200, GOOD)]);
        assert_eq!(places.len(), 2, "{status}");
        assert!(server.is_ok(), "{status}");
    }
}

#[test]
fn rate_limiting_or_a_lost_reply_ends_discovery() {
    for status in [408, 429] {
        let (places, server) = found(discovery_request(), vec![json(status, ""), json(200, GOOD)]);
        assert_eq!(places.len(), 1, "{status}");
        assert_eq!(server.map(drop).map_err(|e| e.code()), Err("denied.busy"));
    }
    let mut exchange = Discovery::new(discovery_request());
    let _ = exchange.resume(&at(), Input::Begin).unwrap();
    let lost = exchange.resume(&at(), Input::Lost(Cause::unknown("cut")));
    assert_eq!(lost.map(drop).map_err(|error| error.code()), Err("lost"));
}

#[test]
fn discovery_reports_the_most_specific_error() {
    let code = |replies| {
        found(discovery_request(), replies)
            .1
            .map(drop)
            .map_err(|error| error.code())
    };
    assert_eq!(code(vec![]), Err("denied.http_status"));
    // The error names the first URL and mentions that the others were tried.
    let missing = found(discovery_request(), vec![]).1.map(drop).unwrap_err();
    let detail = missing.detail().unwrap();
    assert!(detail.contains("(4 URLs: "), "{detail}");
    assert!(detail.ends_with("after its path)"), "{detail}");
    assert_eq!(code(vec![json(404, ""), json(500, "")]), Err("denied.busy"));
    assert_eq!(
        code(vec![json(500, ""), json(404, ""), json(200, OTHER)]),
        Err("metadata.issuer")
    );
    assert_eq!(
        code(vec![json(200, "[]"), json(200, OTHER), json(500, "")]),
        Err("metadata.issuer")
    );
}

#[test]
fn metadata_of_another_issuer_is_refused_naming_both() {
    let text = found(
        discovery_request(),
        vec![json(200, r#"{"issuer":"https://as.example/t/"}"#)],
    )
    .1
    .map(drop)
    .map_err(|error| error.to_string());
    let text = text.unwrap_err();
    assert!(
        text.contains("it names https://as.example/t/, expected https://as.example/t ["),
        "{text}"
    );
}

#[test]
fn openid_document_is_requested_first_if_preferred_or_openid_is_in_scope() {
    let openid = "/t/.well-known/openid-configuration";
    let oauth = "/.well-known/oauth-authorization-server/t";
    let expected = Scope::parse("openid read").unwrap();
    for request in [
        discovery_request().prefer(PreferredDocument::OpenId),
        discovery_request().scope(&expected),
    ] {
        let (places, server) = found(request.clone(), vec![json(200, GOOD)]);
        assert_eq!((places, server.is_ok()), (vec![openid.to_owned()], true));
        let (places, _) = found(request, vec![]);
        assert_eq!(places.len(), 4);
        assert_eq!(places.get(2).map(String::as_str), Some(oauth));
    }
    let (places, _) = found(
        discovery_request().scope(&Scope::parse("read").unwrap()),
        vec![],
    );
    assert_eq!(places.first().map(String::as_str), Some(oauth));
    assert_eq!(places.len(), 4);
}

#[test]
fn explicit_document_url_is_the_only_one_requested_and_the_issuer_must_match() {
    let place = || Url::parse("https://login.example/t/policy/metadata").unwrap();
    let (places, server) = found(discovery_request().document(place()), vec![json(200, GOOD)]);
    assert_eq!(places, ["/t/policy/metadata"]);
    assert_eq!(server.unwrap().issuer(), &issuer());
    let (places, server) = found(
        discovery_request().document(place()),
        vec![json(200, OTHER)],
    );
    assert_eq!(places.len(), 1);
    assert_eq!(
        server.map(drop).map_err(|error| error.code()),
        Err("metadata.issuer")
    );
}

#[test]
fn discovery_applies_the_given_rules() {
    let rules = Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    };
    let plain = reply(200, &[], GOOD);
    assert!(found(discovery_request(), vec![plain.clone()]).1.is_ok());
    let strict = found(discovery_request().rules(rules), vec![plain]).1;
    assert_eq!(
        strict.map(drop).map_err(|error| error.code()),
        Err("reply.content_type")
    );
}
