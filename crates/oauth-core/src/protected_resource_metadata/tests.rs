#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::json::{self, Json};
use crate::testing::error_code;

fn id(text: &str) -> ResourceIdentifier {
    ResourceIdentifier::parse(text).unwrap()
}

fn document(text: &str) -> Map<String, Value> {
    match json::parse(text).unwrap() {
        Json::Object(object) => object.to_map(),
        _ => panic!("an object"),
    }
}

/// A document for `https://r.example/a` with these members.
fn read(members: &str) -> Result<ProtectedResourceMetadata, Error> {
    let text = format!(r#"{{"resource":"https://r.example/a"{members}}}"#);
    ProtectedResourceMetadata::read(
        &id("https://r.example/a"),
        document(&text),
        ResourceMatch::Identical,
    )
}

#[test]
fn well_known_path_is_inserted_after_the_host() {
    for (resource, place) in [
        (
            "https://r.example",
            "https://r.example/.well-known/oauth-protected-resource",
        ),
        (
            "https://r.example/",
            "https://r.example/.well-known/oauth-protected-resource",
        ),
        (
            "https://r.example/?a=1",
            "https://r.example/.well-known/oauth-protected-resource?a=1",
        ),
        (
            "https://r.example?a=1",
            "https://r.example/.well-known/oauth-protected-resource?a=1",
        ),
        (
            "https://r.example:8443/m/",
            "https://r.example:8443/.well-known/oauth-protected-resource/m/",
        ),
        (
            "https://r.example/m?a=1",
            "https://r.example/.well-known/oauth-protected-resource/m?a=1",
        ),
    ] {
        assert_eq!(id(resource).well_known().as_str(), place, "{resource}");
    }
}

#[test]
fn identifier_must_be_an_https_url_without_fragment() {
    for (text, outcome) in [
        ("https://r.example/a", Ok(())),
        ("https://r.example/a#b", Err("resource.syntax")),
        ("r.example", Err("resource.syntax")),
        ("urn:example:r", Err("resource.syntax")),
        ("https://user@r.example/", Err("resource.syntax")),
        ("http://r.example/a", Err("url.insecure")),
        ("http://127.0.0.1/a", Err("url.insecure")),
    ] {
        let parsed = error_code(ResourceIdentifier::parse(text));
        assert_eq!(parsed.map(drop), outcome, "{text}");
    }
    let canonical = ResourceIdentifier::for_server("HTTPS://MCP.example:443/?x=A").unwrap();
    assert_eq!(canonical.as_str(), "https://mcp.example?x=A");
}

#[test]
fn metadata_must_name_the_requested_resource_or_its_parent() {
    let asked = |check_resource: &str, named: &str, matching| {
        let text = format!(r#"{{"resource":"{named}","authorization_servers":"wrong"}}"#);
        let read = ProtectedResourceMetadata::read(&id(check_resource), document(&text), matching);
        // No other member is read before.
        read.unwrap_err().code() == "resource_metadata.malformed"
    };
    use ResourceMatch::{Identical, Parent};
    for (url, named, identical, parent) in [
        ("https://r.example/a", "https://r.example/a", true, true),
        ("https://r.example", "https://r.example/", true, true),
        ("https://r.example/", "https://r.example", true, true),
        ("https://r.example/a", "https://r.example/a/", false, true),
        ("https://r.example/a/", "https://r.example/a", false, true),
        ("https://r.example/a", "https://R.example/a", false, false),
        ("https://r.example/a", "https://r.example", false, true),
        ("https://r.example/a/b", "https://r.example/a", false, true),
        ("https://r.example/ab", "https://r.example/a", false, false),
        ("https://r.example/a", "https://r.example/a/b", false, false),
        ("https://r.example/a", "https://evil.example", false, false),
        ("https://r.example/a", "https://r.example:444", false, false),
        ("https://r.example/a", "http://r.example", false, false),
        ("https://r.example/a", "https://r.example?x=1", false, false),
    ] {
        assert_eq!(asked(url, named, Identical), identical, "{url} {named}");
        assert_eq!(asked(url, named, Parent), parent, "{url} {named} (parent)");
    }
    let missing = ProtectedResourceMetadata::read(&id("https://r.example"), Map::new(), Parent);
    assert_eq!(
        error_code(missing).map(drop),
        Err("resource_metadata.missing_resource")
    );
}

#[test]
fn resource_covers_only_urls_beneath_it() {
    let covers = |resource: &str, url: &str| id(resource).covers(&Url::parse(url).unwrap());
    for url in [
        "https://r.example/a",
        "https://r.example/a?x=1",
        "https://r.example/a/b",
    ] {
        assert!(covers("https://r.example/a", url), "{url}");
        assert!(covers("https://r.example", url), "{url}");
    }
    for url in [
        "https://r.example/b",
        "https://r.example/ab",
        "https://r.example/",
        "https://r.example/a/..%2fb",
        "https://r.example/a%2Fb",
        "https://r.example/a%5cb",
        "https://r.example:8443/a",
        "https://other.example/a",
    ] {
        assert!(!covers("https://r.example/a", url), "{url}");
    }
    assert!(!covers(
        "https://r.example/a?t=1",
        "https://r.example/a?t=2"
    ));
    assert!(!covers("https://r.example/a?t=1", "https://r.example/a"));
}

#[test]
fn known_members_are_parsed_and_others_kept() {
    let all = read(
        r#","authorization_servers":["https://as.example","http://no.example","https://as.example"],
        "scopes_supported":["a","b"],"bearer_methods_supported":["body","header"],
        "dpop_bound_access_tokens_required":true,"dpop_signing_alg_values_supported":["ES256"],
        "tls_client_certificate_bound_access_tokens":null,"x":1"#,
    );
    let all = all.unwrap();
    let issuers: Vec<_> = all
        .authorization_servers
        .iter()
        .map(Issuer::as_str)
        .collect();
    assert_eq!(issuers, ["https://as.example"]);
    assert_eq!(all.ignored, ["http://no.example"]);
    assert_eq!(all.scopes_supported.unwrap().as_str(), "a b");
    assert_eq!((all.requires_dpop, all.requires_mtls), (true, false));
    assert_eq!(all.dpop_algs.unwrap(), ["ES256"]);
    assert_eq!(all.metadata.get("x").and_then(Value::as_u64), Some(1));
    assert_eq!(all.signed_by, None);
    let bare = read("").unwrap();
    assert!(bare.authorization_servers.is_empty() && bare.scopes_supported.is_none());
}

#[test]
fn invalid_scope_names_in_metadata_are_ignored() {
    for (listed, names, ignored) in [
        (r#"["a","b c","","d",7,null]"#, Some("a d"), vec!["b c", ""]),
        (r#"["b c"]"#, None, vec!["b c"]),
        ("[]", None, vec![]),
        (r#""a b""#, None, vec![]),
    ] {
        let read = read(&format!(r#","scopes_supported":{listed}"#)).unwrap();
        let scopes = read.scopes_supported.as_ref().map(Scope::as_str);
        assert_eq!(scopes, names, "{listed}");
        assert_eq!(read.ignored, ignored, "{listed}");
    }
}

#[test]
fn unusable_metadata_members_are_refused_by_name() {
    for (members, refused, detail) in [
        (
            r#","authorization_servers":[]"#,
            "resource_metadata.no_authorization_server",
            None,
        ),
        (
            r#","authorization_servers":["x"]"#,
            "resource_metadata.no_authorization_server",
            None,
        ),
        (
            r#","authorization_servers":"x""#,
            "resource_metadata.malformed",
            Some("authorization_servers"),
        ),
        (
            r#","authorization_servers":[1]"#,
            "resource_metadata.malformed",
            Some("authorization_servers"),
        ),
        (
            r#","bearer_methods_supported":[]"#,
            "resource_metadata.bearer_methods",
            Some("it lists none"),
        ),
        (
            r#","bearer_methods_supported":["query","body"]"#,
            "resource_metadata.bearer_methods",
            Some("query body"),
        ),
        (
            r#","dpop_bound_access_tokens_required":"true""#,
            "resource_metadata.malformed",
            Some("dpop_bound_access_tokens_required"),
        ),
        (
            r#","tls_client_certificate_bound_access_tokens":1"#,
            "resource_metadata.malformed",
            Some("tls_client_certificate_bound_access_tokens"),
        ),
    ] {
        let error = read(members).unwrap_err();
        assert_eq!(
            (error.code(), error.detail()),
            (refused, detail),
            "{members}"
        );
    }
}
