#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests may panic

use bytes::Bytes;

use super::*;
use crate::base64;
use crate::error::Cause;
use crate::http::Response;
use crate::testing::{NOW, at, error_code, json, reply};

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;
const GOOD: &str =
    r#"{"resource":"https://r.example/mcp","authorization_servers":["https://as.example"]}"#;
const ROOT: &str =
    r#"{"resource":"https://r.example","authorization_servers":["https://as.example"]}"#;
const OWN_PLACE: &str = "https://r.example/.well-known/oauth-protected-resource/mcp";
const ROOT_PLACE: &str = "https://r.example/.well-known/oauth-protected-resource";

fn discovery_request() -> ResourceDiscoveryRequest {
    ResourceDiscoveryRequest::new(ResourceIdentifier::parse("https://r.example/mcp").unwrap())
}

fn challenged_request(field: &str) -> Result<ResourceDiscoveryRequest, Error> {
    discovery_request().challenge([field.as_bytes()])
}

/// The verification result for each key that is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Good,
    Bad,
}

struct Found {
    /// The requested URLs and their address policies.
    places: Vec<(String, RequestAddressPolicy)>,
    tried: usize,
    outcome: Result<ProtectedResourceMetadata, Error>,
}

impl Found {
    fn urls(&self) -> Vec<&str> {
        self.places.iter().map(|(url, _)| url.as_str()).collect()
    }

    fn code(&self) -> Result<(), &'static str> {
        self.outcome.as_ref().map(drop).map_err(Error::code)
    }
}

fn found(request: ResourceDiscoveryRequest, replies: Vec<Response<Bytes>>) -> Found {
    discover_with_signature(request, replies, Signature::Good)
}

fn discover_with_signature(
    discovery_request: ResourceDiscoveryRequest,
    replies: Vec<Response<Bytes>>,
    signature: Signature,
) -> Found {
    let mut exchange = ResourceDiscovery::new(discovery_request);
    let mut input = Input::Begin;
    let (mut places, mut tried, mut replies) = (Vec::new(), 0, replies.into_iter());
    let outcome = loop {
        input = match exchange.resume(&at(), input) {
            Ok(Step::Send(request)) => {
                assert_eq!(request.method(), "GET");
                assert!(!request.headers().contains_key("authorization"));
                let reach = request.extensions().get().copied().unwrap_or_default();
                places.push((request.uri().to_string(), reach));
                Input::Reply(replies.next().unwrap_or_else(|| json(404, "")))
            }
            Ok(Step::Verify(_)) => {
                tried += 1;
                Input::Verified(signature == Signature::Good)
            }
            Ok(Step::Done(resource)) => break Ok(resource),
            Ok(step) => panic!("{step:?}"),
            Err(error) => break Err(error),
        }
    };
    let after_end = exchange.resume(&at(), Input::Begin);
    assert_eq!(
        error_code(after_end).map(drop),
        Err("misuse.already_finished")
    );
    Found {
        places,
        tried,
        outcome,
    }
}

#[test]
fn well_known_url_of_the_resource_is_requested_and_the_origins_for_parent_match() {
    let from_resource = found(discovery_request(), vec![json(200, GOOD)]);
    assert_eq!(
        from_resource.places,
        [(OWN_PLACE.to_owned(), RequestAddressPolicy::Any)]
    );
    let resource = from_resource.outcome.unwrap();
    assert_eq!(resource.resource.as_str(), "https://r.example/mcp");
    assert_eq!(resource.signed_by, None);

    let nothing = found(discovery_request(), vec![json(404, ""), json(200, ROOT)]);
    assert_eq!(
        (nothing.urls(), nothing.code()),
        (vec![OWN_PLACE], Err("denied.http_status"))
    );

    let parent = found(
        discovery_request().matching(ResourceMatch::Parent),
        vec![json(404, ""), json(200, ROOT)],
    );
    assert_eq!(parent.urls(), [OWN_PLACE, ROOT_PLACE]);
    assert_eq!(
        parent.outcome.unwrap().resource.as_str(),
        "https://r.example"
    );

    // If the resource is an origin, both URLs are the same.
    let origin = ResourceIdentifier::parse("https://r.example").unwrap();
    let origin = ResourceDiscoveryRequest::new(origin).matching(ResourceMatch::Parent);
    assert_eq!(found(origin, vec![]).urls(), [ROOT_PLACE]);
}

#[test]
fn challenge_sets_the_metadata_url_on_the_same_origin() {
    let metadata_url = "https://r.example/.well-known/oauth-protected-resource/x";
    for field in [
        format!("Bearer resource_metadata=\"{metadata_url}\""),
        format!(
            "DPoP algs=\"ES256\", Bearer error=\"invalid_token\", resource_metadata=\"{metadata_url}\""
        ),
        format!("Other resource_metadata=\"{metadata_url}\""),
    ] {
        let found = found(challenged_request(&field).unwrap(), vec![json(200, GOOD)]);
        assert_eq!(
            found.places,
            [(metadata_url.to_owned(), RequestAddressPolicy::Any)],
            "{field}"
        );
        assert_eq!(found.code(), Ok(()), "{field}");
    }
    // It must name the requested URL, not the one its location is derived from (section 3.3).
    let other = GOOD.replace("/mcp", "/x");
    let field = format!("Bearer resource_metadata=\"{metadata_url}\"");
    let other = found(challenged_request(&field).unwrap(), vec![json(200, &other)]);
    assert_eq!(other.code(), Err("resource_metadata.resource"));
    // Nothing else is requested.
    let matching = challenged_request(&field)
        .unwrap()
        .matching(ResourceMatch::Parent);
    assert_eq!(found(matching, vec![]).urls(), [metadata_url]);
    let silent = challenged_request("Bearer error=\"invalid_token\"").unwrap();
    assert_eq!(found(silent, vec![]).urls(), [OWN_PLACE]);
}

#[test]
fn challenge_to_another_origin_is_refused_before_sending() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://r.example/.well-known/oauth-protected-resource",
        "https://r.example:8443/.well-known/oauth-protected-resource",
        "https://evil.example/.well-known/oauth-protected-resource",
        "https://r.example.evil.example/",
        "//evil.example/",
        "/relative",
        "",
    ] {
        let refused = challenged_request(&format!("Bearer resource_metadata=\"{url}\""));
        assert_eq!(
            error_code(refused).map(drop),
            Err("resource_metadata.url"),
            "{url}"
        );
    }
}

#[test]
fn invalid_metadata_or_server_errors_end_the_search() {
    let parent = || discovery_request().matching(ResourceMatch::Parent);
    for (first, outcome) in [
        (
            reply(302, &[("location", "https://evil.example/")], ""),
            "reply.redirect",
        ),
        (json(500, ""), "denied.busy"),
        (json(429, ""), "denied.busy"),
        (
            json(200, &GOOD.replace("r.example", "s.example")),
            "resource_metadata.resource",
        ),
        (json(200, "[]"), "resource_metadata.malformed"),
        (json(200, "{}"), "resource_metadata.missing_resource"),
    ] {
        let found = found(parent(), vec![first, json(200, ROOT)]);
        assert_eq!((found.places.len(), found.code()), (1, Err(outcome)));
    }
    let html = || reply(200, &[("content-type", "text/html")], "<html>");
    for first in [html(), json(401, ""), json(403, "{}"), json(405, "")] {
        let found = found(parent(), vec![first, json(200, ROOT)]);
        assert_eq!((found.places.len(), found.code()), (2, Ok(())));
    }
    let telling = found(parent(), vec![html(), json(404, "")]);
    assert_eq!(telling.code(), Err("reply.content_type"));
    let mut lost = ResourceDiscovery::new(parent());
    let _ = lost.resume(&at(), Input::Begin).unwrap();
    let lost = lost.resume(&at(), Input::Lost(Cause::unknown("cut")));
    assert_eq!(error_code(lost).map(drop), Err("lost"));
}

#[test]
fn resource_mismatch_error_names_the_endpoint_and_both_resources() {
    let other = found(discovery_request(), vec![json(200, ROOT)]);
    let text = other.outcome.unwrap_err().to_string();
    assert!(text.starts_with("resource_metadata: "), "{text}");
    assert!(
        text.contains("it names https://r.example, expected https://r.example/mcp ["),
        "{text}"
    );
}

fn signed(claims: &str) -> String {
    let input = crate::jose::signing_input(r#"{"alg":"ES256"}"#, claims);
    format!("{input}.{}", base64::url_safe([1; 64]))
}

fn with_signed(claims: &str) -> Response<Bytes> {
    let token = signed(claims);
    let rest = GOOD.strip_suffix('}').unwrap();
    json(
        200,
        &format!(r#"{rest},"signed_metadata":"{token}","x":1}}"#),
    )
}

fn trusting() -> ResourceDiscoveryRequest {
    discovery_request().trust("https://trust.example", KeySet::parse(KEYS).unwrap())
}

#[test]
fn signed_metadata_of_a_trusted_issuer_takes_precedence() {
    let claims = format!(
        r#"{{"iss":"https://trust.example","iat":{NOW},"authorization_servers":["https://signed.example"],
            "x":2,"signed_metadata":"no"}}"#
    );
    let found = found(trusting(), vec![with_signed(&claims)]);
    assert_eq!(found.tried, 1);
    let resource = found.outcome.unwrap();
    assert_eq!(resource.signed_by.as_deref(), Some("https://trust.example"));
    assert_eq!(
        resource.authorization_servers[0].as_str(),
        "https://signed.example"
    );
    assert_eq!(resource.metadata["x"], 2);
    assert!(!resource.metadata.contains_key("iss"));
    // They are validated like all others.
    let other = r#"{"iss":"https://trust.example","resource":"https://s.example/"}"#;
    let other = super::tests::found(trusting(), vec![with_signed(other)]);
    assert_eq!(other.code(), Err("resource_metadata.resource"));
}

#[test]
fn signed_metadata_of_an_untrusted_issuer_is_ignored() {
    let claims = |iss: &str, more: &str| {
        format!(r#"{{"iss":"{iss}","authorization_servers":["https://evil.example"]{more}}}"#)
    };
    let trusted = "https://trust.example";
    let past = format!(r#","exp":{}"#, NOW - 61);
    for (name, request, claims, signature) in [
        (
            "nobody",
            discovery_request(),
            claims(trusted, ""),
            Signature::Good,
        ),
        ("forged", trusting(), claims(trusted, ""), Signature::Bad),
        (
            "another's",
            trusting(),
            claims("https://evil.example", ""),
            Signature::Good,
        ),
        (
            "nobody's",
            trusting(),
            r#"{"authorization_servers":["https://evil.example"]}"#.to_owned(),
            Signature::Good,
        ),
        (
            "expired",
            trusting(),
            claims(trusted, &past),
            Signature::Good,
        ),
        ("no object", trusting(), "[]".to_owned(), Signature::Good),
    ] {
        let found = discover_with_signature(request, vec![with_signed(&claims)], signature);
        let resource = found.outcome.unwrap();
        assert_eq!(resource.signed_by, None, "{name}");
        let servers: Vec<_> = resource
            .authorization_servers
            .iter()
            .map(Issuer::as_str)
            .collect();
        assert_eq!(servers, ["https://as.example"], "{name}");
        assert_eq!(
            found.tried,
            usize::from(signature == Signature::Bad),
            "{name}"
        );
    }
}
