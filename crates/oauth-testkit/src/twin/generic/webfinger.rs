//! `GET /.well-known/webfinger`: the issuer that signs in the users of this host (RFC 7033, OpenID Connect Discovery
//! section 2).

use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::super::authority::Authority;
use super::super::wire::{self, ReceivedRequest, Reply};

pub(super) const PATH: &str = "/.well-known/webfinger";
const ISSUER: &str = "http://openid.net/specs/connect/1.0/issuer";

/// Answers for `acct:alice@{host}` and `{base}/alice`, and for `bob` in both forms, whose `subject` in the answer is
/// alice.
pub(super) fn respond(authority: &Authority, request: &ReceivedRequest) -> Reply {
    if request.method != Method::GET {
        return wire::method_not_allowed("GET");
    }
    let Some(resource) = request.query("resource") else {
        return wire::plain(400, "text/plain", "resource is missing.");
    };
    let issuer = &authority.rules.issuer;
    let (_, host) = issuer.split_once("://").unwrap_or_default();
    let names_person = |person: &str| {
        [
            format!("acct:{person}@{host}"),
            format!("{issuer}/{person}"),
        ]
    };
    let accounts = names_person("alice").into_iter().zip(names_person("bob"));
    let subject = accounts
        .filter(|(alice, bob)| [alice.as_str(), bob].contains(&resource))
        .map(|(alice, _)| alice)
        .next();
    let Some(subject) = subject else {
        return wire::not_found();
    };
    let link = json!({ "rel": ISSUER, "href": issuer });
    // "If no matching link relation types exist, the links array in the JRD will be empty" (RFC 7033 section 4.3)
    let is_requested = request.query("rel").is_none_or(|rel| rel == ISSUER);
    let links: Vec<Value> = is_requested.then_some(link).into_iter().collect();
    let mut reply = wire::json(200, &json!({ "subject": subject, "links": links }));
    let media = http::HeaderValue::from_static("application/jrd+json");
    reply.headers_mut().insert(CONTENT_TYPE, media);
    reply
}
