#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::testing::error_code;

fn uris(uris: &[&str]) -> ClientMetadata {
    let uris = uris.iter().map(|uri| RedirectUri::parse(uri).unwrap());
    ClientMetadata::with_redirect_uris(uris)
}

fn fault(text: &str) -> (&'static str, String) {
    let error = ClientMetadata::from_json(text).unwrap_err();
    (error.code(), error.detail().unwrap_or_default().to_owned())
}

#[test]
fn only_members_that_are_set_are_serialized() {
    let mut metadata = uris(&["https://app.example/cb"]);
    assert_eq!(
        metadata.to_json().expose(),
        r#"{"redirect_uris":["https://app.example/cb"],"application_type":"web"}"#
    );
    metadata.client_name = Some("App".to_owned());
    metadata.scope = Scope::parse("a b").ok();
    metadata.dpop_bound_access_tokens = Some(false);
    metadata.tls_client_certificate_bound_access_tokens = Some(true);
    let mut extra = Map::new();
    extra.insert("client_name#ja".to_owned(), "アプリ".into());
    metadata.extra = Extra::from(extra);
    let text = metadata.to_json();
    for part in [
        r#""client_name#ja":"アプリ""#,
        r#""scope":"a b""#,
        r#""dpop_bound_access_tokens":false"#,
        r#""tls_client_certificate_bound_access_tokens":true"#,
    ] {
        assert!(text.expose().contains(part), "{part}");
    }
    let again = ClientMetadata::from_json(text.expose()).unwrap();
    assert_eq!(again.to_json().expose().len(), text.expose().len());
    assert_eq!(again.scope, metadata.scope);
}

#[test]
fn application_type_is_derived_from_the_redirect_uris() {
    let derived = |metadata: ClientMetadata| metadata.derived_application_type();
    for native in [
        "http://127.0.0.1/cb",
        "http://[::1]:7/cb",
        "http://localhost/cb",
        "com.example.app:/cb",
    ] {
        assert_eq!(derived(uris(&[native])), Some(ApplicationType::Native));
    }
    assert_eq!(
        derived(uris(&["https://app.example/cb"])),
        Some(ApplicationType::Web)
    );
    let mixed = uris(&["https://app.example/cb", "http://127.0.0.1/cb"]);
    assert_eq!(derived(mixed), None);
    let mut given = uris(&["http://127.0.0.1/cb"]);
    given.application_type = Some(ApplicationType::Web);
    assert!(
        given
            .to_json()
            .expose()
            .contains(r#""application_type":"web""#)
    );
    assert_eq!(derived(ClientMetadata::new()), None);
}

#[test]
fn inconsistent_client_metadata_is_refused() {
    let cases = [
        (r#"{}"#, "redirect_uris"),
        (r#"{"grant_types":["implicit"]}"#, "redirect_uris"),
        (
            r#"{"redirect_uris":["https://a.example/"],"response_types":["code id_token"]}"#,
            "response_types",
        ),
        (
            r#"{"grant_types":["client_credentials"],"response_types":["code"]}"#,
            "response_types",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"grant_types":["authorization_code","implicit"]}"#,
            "grant_types",
        ),
        (
            r#"{"redirect_uris":["com.example:/"],"application_type":"web"}"#,
            "application_type",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"jwks":{"keys":[]},"jwks_uri":"https://a.example/"}"#,
            "jwks",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"authorization_grant_profiles_supported":["urn:ietf:params:oauth:grant-profile:id-jag"]}"#,
            "authorization_grant_profiles_supported",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"frontchannel_logout_uri":"https://b.example/out"}"#,
            "frontchannel_logout_uri",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"frontchannel_logout_uri":"https://a.example:8443/out"}"#,
            "frontchannel_logout_uri",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"frontchannel_logout_session_required":true}"#,
            "frontchannel_logout_session_required",
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"backchannel_logout_session_required":true}"#,
            "backchannel_logout_session_required",
        ),
    ];
    for (text, about) in cases {
        let (code, detail) = fault(text);
        assert_eq!(code, "client_metadata.inconsistent", "{text}");
        assert!(detail.starts_with(about), "{text}: {detail}");
    }
    for sound in [
        r#"{"grant_types":["client_credentials"]}"#,
        r#"{"redirect_uris":["https://a.example/"],"grant_types":["authorization_code","implicit"],"response_types":["code id_token"]}"#,
        r#"{"software_statement":"eyJ.e30.x"}"#,
        r#"{"redirect_uris":["https://b.example/cb","https://a.example/cb"],"frontchannel_logout_uri":"https://a.example/out?n=1","frontchannel_logout_session_required":true,"backchannel_logout_uri":"https://x.example/out","backchannel_logout_session_required":true,"post_logout_redirect_uris":["https://a.example/bye"]}"#,
        r#"{"redirect_uris":["http://127.0.0.1/cb"],"backchannel_logout_uri":"http://127.0.0.1:8080/out"}"#,
        r#"{"grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"]}"#,
    ] {
        assert!(ClientMetadata::from_json(sound).is_ok(), "{sound}");
    }
}

#[test]
fn client_metadata_member_with_a_wrong_type_or_value_is_refused() {
    for (member, value) in [
        ("redirect_uris", r#""https://a.example/""#),
        ("redirect_uris", r#"["http://a.example/"]"#),
        ("client_name", "7"),
        ("scope", r#"["a"]"#),
        ("application_type", r#""desktop""#),
        ("jwks", r#"[]"#),
        ("jwks", r#"{"keys":7}"#),
        ("jwks_uri", r#""http://a.example/""#),
        ("logo_uri", r#""javascript:alert(1)""#),
        ("backchannel_logout_uri", r#""http://a.example/out""#),
        ("backchannel_logout_uri", r#""https://a.example/out#now""#),
        ("backchannel_logout_session_required", r#""true""#),
        ("frontchannel_logout_uri", r#""/out""#),
        ("post_logout_redirect_uris", r#"["https://a.example/#bye"]"#),
        ("id_token_signed_response_alg", r#""none""#),
        ("client_id", r#""c""#),
        ("client_secret", r#""s""#),
        ("registration_access_token", r#""t""#),
    ] {
        let others = r#""redirect_uris":["https://a.example/"],"#;
        let others = if member == "redirect_uris" {
            ""
        } else {
            others
        };
        let (code, detail) = fault(&format!("{{{others}\"{member}\":{value}}}"));
        assert_eq!(
            (code, detail.as_str()),
            ("client_metadata.malformed", member),
            "{value}"
        );
    }
    assert_eq!(fault("[]").0, "client_metadata.malformed");
    assert_eq!(
        fault(r#"{"scope":"a","scope":"b"}"#).0,
        "client_metadata.malformed"
    );
}

#[test]
fn jwks_must_be_public_and_present_where_the_method_needs_keys() {
    let read_with_keys = |method: &str, keys: &str| {
        let text = format!(
            r#"{{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"{method}"{keys}}}"#
        );
        error_code(ClientMetadata::from_json(&text).map(|_| ()))
    };
    let public = r#","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;
    let private =
        r#","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"OKP","d":"AA"}]}"#;
    let symmetric = r#","jwks":{"keys":[{"kty":"oct","k":"AA"}]}"#;
    assert_eq!(read_with_keys("private_key_jwt", public), Ok(()));
    assert_eq!(
        read_with_keys("private_key_jwt", r#","jwks_uri":"https://a.example/k""#),
        Ok(())
    );
    for method in ["private_key_jwt", "self_signed_tls_client_auth"] {
        for none in ["", r#","jwks":{"keys":[]}"#] {
            assert_eq!(
                read_with_keys(method, none),
                Err("client_metadata.keys_missing")
            );
        }
    }
    for keys in [private, symmetric] {
        assert_eq!(
            read_with_keys("none", keys),
            Err("client_metadata.private_key")
        );
    }
    assert_eq!(read_with_keys("none", ""), Ok(()));
}

#[test]
fn grants_without_redirect_send_empty_response_types() {
    let metadata = ClientMetadata::from_json(r#"{"grant_types":["client_credentials"]}"#).unwrap();
    let text = metadata.to_json();
    assert!(text.expose().contains(r#""response_types":[]"#));
    let default = uris(&["https://a.example/"]).to_json();
    assert!(!default.expose().contains("response_types"));
}

#[test]
fn identity_assertions_adds_the_id_jag_profile_and_both_grants() {
    let metadata = uris(&["https://a.example/"]).identity_assertions();
    let grants = [AUTHORIZATION_CODE, TOKEN_EXCHANGE, JWT_BEARER];
    assert_eq!(metadata.grant_types, grants);
    assert_eq!(metadata.authorization_grant_profiles_supported, [ID_JAG]);
    assert_eq!(error_code(metadata.check()), Ok(()));
    let twice = metadata.identity_assertions();
    assert_eq!(twice.grant_types, grants);
    let only = ClientMetadata::new().identity_assertions();
    assert_eq!(only.grant_types, [TOKEN_EXCHANGE, JWT_BEARER]);
}

#[test]
fn debug_does_not_show_the_software_statement() {
    let text = r#"{"software_statement":"eyJ.S3CR3T.x"}"#;
    let metadata = ClientMetadata::from_json(text).unwrap();
    assert!(metadata.to_json().expose().contains("S3CR3T"));
    assert!(!format!("{metadata:?}").contains("S3CR3T"));
}
