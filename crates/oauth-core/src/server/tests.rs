#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::json;
use crate::quirk::Strictness;
use crate::testing::error_code;

fn read(members: &str, rules: Rules) -> Result<Server, &'static str> {
    let text = format!(
        r#"{{"issuer":"https://as.example","token_endpoint":"https://as.example/t",{members}}}"#
    );
    let Ok(Json::Object(document)) = json::parse(&text) else {
        unreachable!("{text}")
    };
    let issuer = Issuer::parse("https://as.example").unwrap();
    error_code(Server::read(&issuer, &document, rules))
}

#[test]
fn invalid_endpoint_is_reported_only_when_it_is_used() {
    let strict = || Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    };
    for (members, kind, error) in [
        (
            r#""registration_endpoint":"/r""#,
            EndpointKind::Registration,
            "metadata.endpoint_not_absolute",
        ),
        (
            r#""userinfo_endpoint":"http://as.example/u""#,
            EndpointKind::Userinfo,
            "metadata.endpoint_not_https",
        ),
        (
            r#""revocation_endpoint":7"#,
            EndpointKind::Revocation,
            "metadata.malformed",
        ),
    ] {
        let server = read(members, Rules::default()).unwrap();
        assert!(server.endpoint(EndpointKind::Token).is_ok(), "{members}");
        assert_eq!(
            error_code(server.endpoint(kind).map(drop)),
            Err(error),
            "{members}"
        );
        assert_eq!(read(members, strict()).map(drop), Err(error), "{members}");
    }
    let alias = r#""mtls_endpoint_aliases":{"token_endpoint":"x"}"#;
    assert_eq!(
        read(alias, Rules::default()).map(drop),
        Err("metadata.endpoint_not_absolute")
    );
    let alias = r#""mtls_endpoint_aliases":{"userinfo_endpoint":"x"}"#;
    let server = read(alias, Rules::default()).unwrap();
    assert!(server.mtls_endpoint(EndpointKind::Token).is_ok());
    assert!(server.mtls_endpoint(EndpointKind::Userinfo).is_err());
}

#[test]
fn empty_endpoint_counts_as_absent_unless_rules_are_strict() {
    for &kind in EndpointKind::ALL {
        let member = kind.member();
        let members = match kind {
            EndpointKind::Token => r#""mtls_endpoint_aliases":{"token_endpoint":""}"#.to_owned(),
            _ => format!(r#""{member}":"""#),
        };
        let server = read(&members, Rules::default()).unwrap();
        match kind {
            EndpointKind::Token => {
                let top_level = server.endpoint(kind).unwrap();
                assert_eq!(server.mtls_endpoint(kind).unwrap(), top_level);
            }
            _ => assert_eq!(
                error_code(server.endpoint(kind).map(drop)),
                Err("endpoint.missing")
            ),
        }
        let strict = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let refused = read(&members, strict).map(drop);
        assert_eq!(refused, Err("metadata.endpoint_not_absolute"), "{member}");
    }
}

#[test]
fn insecure_authorization_or_jwks_endpoint_invalidates_the_document() {
    for members in [
        r#""authorization_endpoint":"http://as.example/a""#,
        r#""jwks_uri":"http://as.example/jwks""#,
    ] {
        assert_eq!(
            read(members, Rules::default()).map(drop),
            Err("metadata.endpoint_not_https"),
            "{members}"
        );
    }
}

#[test]
fn member_of_the_wrong_type_is_ignored_and_listed_or_refused_by_strict_rules() {
    let server = read(
        r#""code_challenge_methods_supported":"S256","scopes_supported":["a"],"claims_parameter_supported":true,"grant_types_supported":[1],"acr_values_supported":null,"x_supported":false"#,
        Rules::default(),
    );
    let server = server.unwrap();
    assert_eq!(
        server.ignored(),
        ["code_challenge_methods_supported", "grant_types_supported"]
    );
    assert_eq!(server.code_challenge_methods(), None);
    assert_eq!(server.list("scopes_supported", &[]), ["a"]);
    assert!(server.flag("claims_parameter_supported", FlagDefault::False));
    assert!(server.metadata().contains_key("x_supported"));
    let strict = Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    };
    let refused = read(r#""scopes_supported":"a""#, strict);
    assert_eq!(refused.map(drop), Err("metadata.malformed"));
}

#[test]
fn security_flag_of_the_wrong_type_invalidates_the_document() {
    for name in SECURITY_FLAGS {
        let members = format!(r#""{name}":"true""#);
        assert_eq!(
            read(&members, Rules::default()).map(drop),
            Err("metadata.malformed"),
            "{name}"
        );
        let members = format!(r#""{name}":null"#);
        assert!(read(&members, Rules::default()).is_ok(), "{name}");
    }
}

#[test]
fn tenant_issuer_quirk_accepts_the_template_as_issuer() {
    let template = "https://login.example/{tenantid}/v2.0";
    let document = |named: &str| format!(r#"{{"issuer":"{named}"}}"#);
    let read = |named: &str, rules: Rules| {
        let text = document(named);
        let Ok(Json::Object(document)) = json::parse(&text) else {
            unreachable!()
        };
        let issuer = Issuer::parse("https://login.example/common/v2.0").unwrap();
        error_code(Server::read(&issuer, &document, rules).map(drop))
    };
    let rules = || Rules {
        quirks: vec![Quirk::TenantIssuer(template.to_owned())],
        ..Rules::default()
    };
    assert_eq!(read(template, rules()), Ok(()));
    assert_eq!(read(template, Rules::default()), Err("metadata.issuer"));
    assert_eq!(
        read("https://login.example/{other}/v2.0", rules()),
        Err("metadata.issuer")
    );
}

#[test]
fn oversized_metadata_member_is_dropped_and_listed() {
    let large = format!(r#""x":"{}","y":1"#, "x".repeat(600 << 10));
    let server = read(&large, Rules::default()).unwrap();
    assert_eq!(server.ignored(), ["x"]);
    assert!(server.metadata().contains_key("y"));
}

#[test]
fn known_refresh_token_expiration_types_are_listed() {
    let expiration_types = |members: &str| {
        let server = read(members, Rules::default()).unwrap();
        let types = server.refresh_token_expiration_types();
        types
            .iter()
            .map(|expiration_type| expiration_type.as_str())
            .collect::<Vec<_>>()
    };
    let member = |names: &str| format!(r#""refresh_token_expiration_types_supported":{names}"#);
    let both = member(r#"["token_timeout","x","authorization"]"#);
    assert_eq!(expiration_types(&both), ["token_timeout", "authorization"]);
    assert!(expiration_types(&member(r#"["credential"]"#)).is_empty());
    assert!(expiration_types(r#""y":1"#).is_empty());
}
