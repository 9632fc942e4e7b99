#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::redirect_uri::RedirectUri;
use crate::testing::{error_code, server};

const URL: &str = "https://app.example/c.json";

fn url() -> ClientIdUrl {
    ClientIdUrl::parse(URL).unwrap()
}

fn document(members: &str) -> Result<ClientIdMetadataDocument, Error> {
    let text =
        format!(r#"{{"client_id":"{URL}","redirect_uris":["http://127.0.0.1/cb"]{members}}}"#);
    ClientIdMetadataDocument::parse(url(), &text)
}

#[test]
fn client_id_url_requires_https_and_an_unambiguous_path() {
    for valid in [
        URL,
        "https://app.example/",
        "https://app.example:8443/c",
        "https://app.example/c?v=1",
    ] {
        assert_eq!(ClientIdUrl::parse(valid).unwrap().as_str(), valid);
    }
    for bad in [
        "",
        "https://app.example",
        "https://app.example?x",
        "http://app.example/c",
        "https://app.example/./c",
        "https://app.example/a/../c",
        "https://app.example/%2e%2e/c",
        "https://app.example/c#f",
        "https://app.example/c#",
        "https://me@app.example/c",
        "https://me:pw@app.example/c",
        "app.example/c",
        "https:///c",
        " https://app.example/c",
    ] {
        let read = ClientIdUrl::parse(bad).map(|_| ());
        assert_eq!(error_code(read), Err("client_id_metadata.url"), "{bad}");
    }
}

#[test]
fn document_with_another_client_id_a_secret_or_unusable_keys_is_refused() {
    let refusal = |members| error_code(document(members).map(|_| ()));
    let none = r#","token_endpoint_auth_method":"none""#;
    assert_eq!(refusal(none), Ok(()));
    // The standard's default authentication method is a shared secret.
    assert_eq!(refusal(""), Err("client_id_metadata.shared_secret"));
    for method in ["basic", "post", "jwt", "other"] {
        let members = format!(r#","token_endpoint_auth_method":"client_secret_{method}""#);
        let fault = error_code(document(&members).map(|_| ()));
        assert_eq!(fault, Err("client_id_metadata.shared_secret"));
    }
    for secret in [
        r#""client_secret":"x""#,
        r#""client_secret":null"#,
        r#""client_secret_expires_at":0"#,
    ] {
        let members = format!("{none},{secret}");
        let fault = error_code(document(&members).map(|_| ()));
        assert_eq!(fault, Err("client_id_metadata.client_secret"));
    }
    let private = r#","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","d":"AA"}]}"#;
    assert_eq!(refusal(private), Err("client_metadata.private_key"));
    let keyless = r#","token_endpoint_auth_method":"private_key_jwt""#;
    assert_eq!(refusal(keyless), Err("client_metadata.keys_missing"));

    for id in [r#""https://app.example/C.json""#, "7", "null"] {
        let text = format!(r#"{{"client_id":{id},"token_endpoint_auth_method":"none"}}"#);
        let read = ClientIdMetadataDocument::parse(url(), &text).map(|_| ());
        assert_eq!(
            error_code(read),
            Err("client_id_metadata.client_id"),
            "{id}"
        );
    }
    let without =
        r#"{"client_id":"https://app.example/c.json","token_endpoint_auth_method":"none"}"#;
    let read = ClientIdMetadataDocument::parse(url(), without).map(|_| ());
    assert_eq!(error_code(read), Err("client_metadata.inconsistent"));
    let read = ClientIdMetadataDocument::parse(url(), "no JSON").map(|_| ());
    assert_eq!(error_code(read), Err("client_metadata.malformed"));
}

#[test]
fn document_round_trips_through_json() {
    let uri = RedirectUri::parse("http://127.0.0.1/cb").unwrap();
    let mut metadata = ClientMetadata::with_redirect_uris([uri]);
    metadata.client_name = Some("X".to_owned());
    let document = ClientIdMetadataDocument::new(url(), metadata).unwrap();
    let text = document.to_json();
    assert!(text.starts_with(r#"{"client_id":"https://app.example/c.json","#));
    assert!(text.contains(r#""token_endpoint_auth_method":"none""#));
    assert!(text.contains(r#""application_type":"native""#));
    let read = ClientIdMetadataDocument::parse(url(), &text).unwrap();
    assert_eq!(read.to_json(), text);
    assert_eq!(error_code(read.check_for_mcp()), Ok(()));
    assert!(read.warnings().is_empty());
}

#[test]
fn mcp_check_requires_a_name_and_redirect_uris() {
    let unnamed = document(r#","token_endpoint_auth_method":"none""#).unwrap();
    assert_eq!(
        error_code(unnamed.check_for_mcp()),
        Err("client_metadata.name_missing")
    );
    let machine = format!(
        r#"{{"client_id":"{URL}","client_name":"X","grant_types":["client_credentials"],
        "token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/k"}}"#
    );
    let machine = ClientIdMetadataDocument::parse(url(), &machine).unwrap();
    assert_eq!(
        error_code(machine.check_for_mcp()),
        Err("client_metadata.inconsistent")
    );
}

#[test]
fn large_document_and_unusual_urls_are_warned_about() {
    let warnings = |url: &str, name: String| {
        let uri = RedirectUri::parse("https://app.example/cb").unwrap();
        let mut metadata = ClientMetadata::with_redirect_uris([uri]);
        metadata.client_name = Some(name);
        let url = ClientIdUrl::parse(url).unwrap();
        ClientIdMetadataDocument::new(url, metadata)
            .unwrap()
            .warnings()
    };
    let short = || "X".to_owned();
    assert_eq!(warnings(URL, short()), []);
    assert_eq!(warnings(URL, "x".repeat(MAX_DOCUMENT)), [Warning::Large]);
    assert_eq!(
        warnings("https://app.example/c?v", short()),
        [Warning::Query]
    );
    assert_eq!(
        warnings("https://app.example/", short()),
        [Warning::BarePath]
    );
    for odd in ["https://App.example/c", "https://app.example:443/c"] {
        assert_eq!(warnings(odd, short()), [Warning::NotNormalized], "{odd}");
    }
}

#[test]
fn identification_prefers_metadata_document_then_registration_then_by_hand() {
    use Identification::{ByHand, DynamicRegistration, MetadataDocument};
    let plain = server();
    assert_eq!(Identification::offered_by(&plain), [ByHand]);
    let kind = EndpointKind::Registration;
    let registering = plain.with_endpoint(kind, "https://as.example/r").unwrap();
    assert_eq!(
        Identification::offered_by(&registering),
        [DynamicRegistration, ByHand]
    );
    let mut metadata = registering.metadata().clone();
    metadata.insert(SUPPORT_MEMBER.to_owned(), true.into());
    let both = registering.with_metadata(metadata);
    assert_eq!(
        Identification::offered_by(&both),
        [MetadataDocument, DynamicRegistration, ByHand]
    );
}
