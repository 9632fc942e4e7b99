//! Provider-specific grants described by a preset.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic

use oauth_core::Error;
use oauth_providers::Provider;

/// The preset with the extension grant described by these lines.
fn with_grant(lines: &str) -> Result<Provider, Error> {
    Provider::from_toml(&format!("{OWN_GRANTS}\n{lines}"))
}

const OWN_GRANTS: &str = r#"
name = "acme"
title = "Acme"
issuer = "https://login.acme.example"
client_auth = "basic"
public_clients = true
grants = ["client_credentials"]

[endpoints]
token_endpoint = "{issuer}/token"
"#;

#[test]
fn extension_grants_of_a_provider_file_are_described_and_announced() {
    let acme = with_grant(
        r#"
        [extension_grants.impersonation]
        grant_type = "https://acme.example/grants/impersonation"
        client_auth = "required"
        refresh_token = false
        fixed = { version = "2" }

        [extension_grants.impersonation.parameters]
        user_id = { description = "whose token it is to be" }
        reason = { required = false, repeated = true }
        pin = { required = false, secret = true }
        "#,
    );
    let server = acme.unwrap().server().unwrap();
    let grants: Vec<_> = server.extension_grants().collect();
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].name(), "impersonation");
    let parameters = grants[0].parameters().iter();
    let parameters: Vec<_> = parameters
        .map(|one| (one.name(), one.is_required(), one.is_secret()))
        .collect();
    let expected = [
        ("pin", false, true),
        ("reason", false, false),
        ("user_id", true, false),
    ];
    assert_eq!(parameters, expected);
    let offered = server.metadata()["grant_types_supported"].to_string();
    assert!(offered.contains("grants/impersonation"), "{offered}");
}

#[test]
fn invalid_extension_grant_is_refused_by_name() {
    for (lines, named) in [
        (
            "[extension_grants.a]\ngrant_type = \"password\"",
            "extension_grants.a",
        ),
        (
            "[extension_grants.\"a b\"]\ngrant_type = \"urn:x\"",
            "extension_grants.a b",
        ),
        (
            "[extension_grants.a]\ngrant_type = \"urn:x\"\nfixed = { client_id = \"x\" }",
            "extension_grants.a",
        ),
        (
            "[extension_grants.a]\ngrant_type = \"urn:x\"\nfixed = { b = \"x\" }\nparameters = { b = {} }",
            "extension_grants.a",
        ),
        (
            "[extension_grants.a]\ngrant_type = \"urn:x\"\nscope = 1",
            "scope",
        ),
    ] {
        let error = with_grant(lines).unwrap_err();
        assert_eq!(error.code(), "provider.data", "{lines}");
        assert!(error.detail().unwrap().contains(named), "{error}");
    }
}
