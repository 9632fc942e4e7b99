#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::testing::{client, error_code, json, run_with_reply, strict_client};

fn state(body: &str) -> Result<IntrospectionResponse, Error> {
    let exchange = client().introspect(Introspection::new("t"));
    run_with_reply(exchange, json(200, body))
}

fn active_token(body: &str) -> ActiveToken {
    match state(body) {
        Ok(IntrospectionResponse::Active(token)) => *token,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn standard_members_are_parsed_into_fields() {
    let token = active_token(
        r#"{"active":true,"scope":"a b","client_id":"c","username":"u","token_type":"Bearer",
            "exp":30,"iat":10,"nbf":20,"sub":"s","aud":["x","y"],"iss":"https://as.example",
            "jti":"j"}"#,
    );
    assert_eq!(token.scope, Scope::parse("a b").ok());
    assert_eq!(token.client_id.as_deref(), Some("c"));
    assert_eq!(token.username.as_deref(), Some("u"));
    assert_eq!(token.token_type.as_deref(), Some("Bearer"));
    assert_eq!(token.expires_at, Some(UnixTime::from_secs(30)));
    assert_eq!(token.issued_at, Some(UnixTime::from_secs(10)));
    assert_eq!(token.not_before, Some(UnixTime::from_secs(20)));
    assert_eq!(token.subject.as_deref(), Some("s"));
    assert_eq!(token.audience, ["x", "y"]);
    assert_eq!(token.issuer.as_deref(), Some("https://as.example"));
    assert_eq!(token.extra.as_map().keys().collect::<Vec<_>>(), ["jti"]);
    assert_eq!(active_token(r#"{"active":true,"aud":"x"}"#).audience, ["x"]);
}

#[test]
fn member_of_the_wrong_type_is_an_error() {
    for member in [
        "scope",
        "client_id",
        "username",
        "token_type",
        "exp",
        "iat",
        "nbf",
        "sub",
        "aud",
        "iss",
    ] {
        let error = state(&format!(r#"{{"active":true,"{member}":{{}}}}"#)).unwrap_err();
        assert_eq!(error.code(), "introspection.malformed", "{member}");
        assert_eq!(error.detail(), Some(member));
    }
    assert_eq!(
        error_code(state(r#"{"active":true,"scope":"a\"b"}"#)).map(drop),
        Err("introspection.malformed")
    );
    for active in [r#""true""#, "1", "null"] {
        let body = format!(r#"{{"active":{active}}}"#);
        assert_eq!(
            error_code(state(&body)).map(drop),
            Err("introspection.malformed")
        );
    }
    assert!(matches!(
        state(r#"{"active":false,"exp":"x"}"#),
        Ok(IntrospectionResponse::Inactive)
    ));
}

#[test]
fn scope_lists_and_times_as_text_are_read_unless_rules_are_strict() {
    let body = r#"{"active":true,"scope":["a","b c"],"exp":"1800000300","iat":"10","nbf":"20.5"}"#;
    let token = active_token(body);
    assert_eq!(token.scope, Scope::parse("a b c").ok());
    assert_eq!(token.expires_at, Some(UnixTime::from_secs(1_800_000_300)));
    assert_eq!(token.issued_at, Some(UnixTime::from_secs(10)));
    assert_eq!(token.not_before, Some(UnixTime::from_secs(20)));
    for member in [
        r#""exp":"-1""#,
        r#""exp":"soon""#,
        r#""scope":[1]"#,
        r#""scope":["a\"b"]"#,
    ] {
        let body = format!(r#"{{"active":true,{member}}}"#);
        assert_eq!(
            error_code(state(&body)).map(drop),
            Err("introspection.malformed"),
            "{member}"
        );
    }
    let token = active_token(r#"{"active":true,"exp":"","iat":"","nbf":""}"#);
    let times = [token.expires_at, token.issued_at, token.not_before];
    assert_eq!(times, [None; 3]);
    for member in [
        r#""exp":"30""#,
        r#""exp":"""#,
        r#""iat":"""#,
        r#""nbf":"""#,
        r#""scope":["a"]"#,
    ] {
        let body = format!(r#"{{"active":true,{member}}}"#);
        let exchange = strict_client().introspect(Introspection::new("t"));
        let state = run_with_reply(exchange, json(200, &body));
        assert_eq!(
            error_code(state).map(drop),
            Err("introspection.malformed"),
            "{member}"
        );
    }
}

#[test]
fn debug_hides_extra_member_values() {
    let token = active_token(r#"{"active":true,"refresh":"SECRET"}"#);
    let text = format!("{token:?}");
    assert!(
        text.contains("refresh") && !text.contains("SECRET"),
        "{text}"
    );
}

#[test]
fn grant_expiry_members_are_read_and_invalid_ones_ignored() {
    let now = crate::testing::at().now();
    let after = |seconds| Some(now.after(std::time::Duration::from_secs(seconds)));
    let token = active_token(
        r#"{"active":true,"refresh_token_timeout":100,"authorization_expires_in":"200"}"#,
    );
    assert_eq!(token.refresh_token_expires_at, after(100));
    assert_eq!(token.authorization_expires_at, after(200));
    assert!(token.extra.0.is_empty());
    // The timeout must not exceed the authorization, so the earlier expiry applies.
    let token = active_token(
        r#"{"active":true,"refresh_token_timeout":300,"authorization_expires_in":200}"#,
    );
    assert_eq!(token.refresh_token_expires_at, after(200));
    let token = active_token(r#"{"active":true,"refresh_token_timeout":-1}"#);
    assert_eq!(token.refresh_token_expires_at, None);
    assert!(token.extra.get("refresh_token_timeout").is_some());
}
