//! Error replies: which text is extracted, and how the error is classified.
#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::json;

use super::*;
use crate::http::Response;
use crate::scope::Scope;
use crate::testing::{
    client, client_with_quirks, error_code, json as json_reply, reply, run_with_reply,
    strict_client,
};
use crate::token::{Tokens, Warning};
use bytes::Bytes;

use crate::error::ServerError;
use crate::quirk::Quirk;

fn tokens_from(reply: Response<Bytes>) -> Result<Tokens, Error> {
    run_with_reply(client().client_credentials(Scope::none()), reply)
}

fn refusal_from(reply: Response<Bytes>) -> ServerError {
    tokens_from(reply)
        .unwrap_err()
        .server_error()
        .cloned()
        .unwrap()
}

const GOOD: &str = r#"{"access_token":"a","token_type":"Bearer"}"#;

#[test]
fn details_of_a_non_oauth_json_error_are_kept() {
    for (body, description, member, value) in [
        (
            r#"{"message":"Invalid token","x":1}"#,
            "Invalid token",
            "message",
            json!("Invalid token"),
        ),
        (
            r#"{"statusCode":401,"code":"FST_JWT_AUTHORIZATION_TOKEN_INVALID","message":"m"}"#,
            "m",
            "code",
            json!("FST_JWT_AUTHORIZATION_TOKEN_INVALID"),
        ),
        (
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"no"}"#,
            "no",
            "status",
            json!(403),
        ),
        (
            r#"{"title":"Forbidden"}"#,
            "Forbidden",
            "title",
            json!("Forbidden"),
        ),
        (
            r#"{"error":{"message":"inside","code":100}}"#,
            "inside",
            "error",
            json!({"message":"inside","code":100}),
        ),
        (r#"{"error":7,"message":"m"}"#, "m", "error", json!(7)),
        (r#"{"error":true,"message":"m"}"#, "m", "error", json!(true)),
        (
            r#"{"error":["a"],"error_description":"d"}"#,
            "d",
            "error",
            json!(["a"]),
        ),
    ] {
        let outcome = refusal_from(json_reply(400, body));
        assert_eq!(outcome.description(), Some(description), "{body}");
        assert_eq!(outcome.extra().get(member), Some(&value), "{body}");
        assert_eq!(outcome.error(), None, "{body}");
        assert!(!outcome.extra().contains_key("x"), "{body}");
    }
    let outcome = refusal_from(json_reply(
        400,
        r#"{"error":"invalid_grant","message":"gone"}"#,
    ));
    assert_eq!(outcome.description(), Some("gone"));
    let outcome = refusal_from(json_reply(
        400,
        r#"{"error":"x","error_description":"d","message":"m"}"#,
    ));
    assert_eq!(outcome.description(), Some("d"));
}

#[test]
fn error_page_text_is_kept_without_markup() {
    let page = "<!DOCTYPE html><html><head><STYLE>a { b: c }</style><script>if (a < b) { x() }</script>\n<title>Bad\tGateway</title></head><body><p>Error 502</p></body></html>";
    let html = [("content-type", "text/html; charset=utf-8")];
    let outcome = refusal_from(reply(502, &html, page));
    assert_eq!(outcome.description(), Some("Bad Gateway Error 502"));
    let text = [("content-type", "text/plain")];
    let outcome = refusal_from(reply(429, &text, "error code:\r\n 1015\u{1b}[31m"));
    assert_eq!(outcome.description(), Some("error code: 1015[31m"));
    assert_eq!(outcome.denial().code(), "denied.busy");
    let outcome = refusal_from(reply(403, &text, "x".repeat(500)));
    assert_eq!(outcome.description().map(str::len), Some(200));
    let outcome = refusal_from(reply(403, &[("content-type", "image/png")], "PNG"));
    assert_eq!(outcome.description(), None);
    let outcome = refusal_from(reply(403, &html, "<script>never ends"));
    assert_eq!(outcome.description(), None);
}

#[test]
fn secret_is_redacted_from_a_page_before_truncation() {
    let html = [("content-type", "text/html")];
    for before in [0, 195, 4090] {
        let page = format!(
            "<p>{}hun<b></b>ter22 hunter22 hunter22</p>",
            "x".repeat(before)
        );
        let text = format!("{:?}", tokens_from(reply(400, &html, page)).unwrap_err());
        assert!(!text.contains("hunt"), "{text}");
    }
    for body in [
        r#"{"message":"you sent hunter22"}"#,
        r#"{"error":{"detail":["hunter22"]}}"#,
        r#"{"title":"hunter22","code":"hunter22"}"#,
    ] {
        let outcome = refusal_from(json_reply(400, body));
        let text = format!("{outcome:?} {outcome} {:?}", outcome.extra());
        assert!(!text.contains("hunter22"), "{text}");
    }
}

#[test]
fn error_members_that_echo_credentials_are_dropped() {
    let exact = format!("Basic {}", "aWQ6aHVudGVyMjI=");
    for body in [
        json!({"error":"x","hint":"hunter22"}),
        json!({"error":"x","hint":["a","is hunter22"]}),
        json!({"error":"x","hint":{"a":{"hunter22":1}}}),
        json!({"error":"x","hunter22":1}),
        json!({"error":"x","hint":[{"deep":{"accessToken":"t"}}]}),
        json!({"error":"x","client_secret":"other"}),
        json!({"error":"x","session":"abc"}),
        json!({"error":"x","code":"SplxlOBeZQQYbYS6WxSbIA"}),
        json!({"error":"x","hint":exact}),
        json!({"error":"x","hint":"aWQ6aHVudGVyMjI="}),
    ] {
        let outcome = refusal_from(json_reply(400, &body.to_string()));
        assert!(outcome.extra().is_empty(), "{body}: {:?}", outcome.extra());
    }
    let outcome = refusal_from(json_reply(
        400,
        r#"{"error":"x","error_description":"got Basic aWQ6aHVudGVyMjI="}"#,
    ));
    assert_eq!(outcome.description(), Some("got Basic [redacted]"));
    let outcome = refusal_from(json_reply(
        400,
        r#"{"error":"x","suberror":"y","n":[1,{"a":"b"}],"session":7}"#,
    ));
    assert_eq!(outcome.extra().len(), 3);
}

#[test]
fn unknown_error_is_retryable_only_with_a_5xx_status() {
    let advice = |status, body| {
        tokens_from(json_reply(status, body))
            .unwrap_err()
            .advice()
            .as_str()
    };
    assert_eq!(advice(500, r#"{"error":"internal_failure"}"#), "retry");
    assert_eq!(advice(400, r#"{"error":"internal_failure"}"#), "give_up");
    assert_eq!(advice(500, r#"{"error":"invalid_client"}"#), "give_up");
    assert_eq!(advice(500, r#"{"error":"invalid_grant"}"#), "reauthorize");
}

#[test]
fn errors_array_is_read_only_under_its_quirk() {
    let fitbit = || client_with_quirks([Quirk::ErrorsArray]).client_credentials(Scope::none());
    let description_of = |body| {
        let error = run_with_reply(fitbit(), json_reply(400, body)).unwrap_err();
        error.server_error().cloned().unwrap()
    };
    let listed = description_of(
        r#"{"errors":[{"errorType":"invalid_grant","message":"gone"}],"success":false}"#,
    );
    assert_eq!(
        (listed.error(), listed.description()),
        (Some("invalid_grant"), Some("gone"))
    );
    assert!(listed.extra().contains_key("success"));
    let nameless =
        description_of(r#"{"errors":[{"errorType":"","message":"gone"}],"success":false}"#);
    assert_eq!(nameless.error(), None);
    assert_eq!(nameless.extra().keys().collect::<Vec<_>>(), ["errors"]);
}

#[test]
fn content_type_variants_and_repetitions_of_json_are_accepted() {
    for media in [
        "application/json",
        " application/json\t",
        "Application/JSON ;charset=utf-8",
        "application/json, application/json",
        "application/json; charset=utf-8, application/json",
        "",
    ] {
        let tokens = tokens_from(reply(200, &[("content-type", media)], GOOD));
        assert!(tokens.is_ok(), "{media}");
    }
    let twice = [
        ("content-type", "application/json"),
        ("content-type", "application/json"),
    ];
    assert!(tokens_from(reply(200, &twice, GOOD)).is_ok());
    for media in [
        "application/json, text/html",
        "text/html",
        "application/jsonx",
    ] {
        let error = tokens_from(reply(200, &[("content-type", media)], GOOD)).map(drop);
        assert_eq!(error_code(error), Err("reply.content_type"), "{media}");
    }
    let differ = [
        ("content-type", "application/json"),
        ("content-type", "text/html"),
    ];
    assert!(tokens_from(reply(200, &differ, GOOD)).is_err());
}

#[test]
fn form_reply_where_json_is_required_is_refused_naming_its_type() {
    let form = [(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )];
    let exchange = client().introspect(introspection::Introspection::new("t"));
    let error = run_with_reply(exchange, reply(200, &form, "active=true")).unwrap_err();
    assert_eq!(error.code(), "reply.content_type");
    assert_eq!(error.detail(), Some("application/x-www-form-urlencoded"));
}

#[test]
fn invalid_utf_8_is_refused_in_json_and_form_replies() {
    let json = [("content-type", "application/json")];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let bad = b"{\"access_token\":\"a\xff\",\"token_type\":\"Bearer\"}";
    assert_eq!(
        error_code(tokens_from(reply(200, &json, bad)).map(drop)),
        Err("reply.json")
    );
    let bad = b"access_token=a\xff&token_type=bearer";
    assert_eq!(
        error_code(tokens_from(reply(200, &form, bad)).map(drop)),
        Err("reply.encoding")
    );
}

#[test]
fn expires_in_accepts_numbers_and_digit_strings_and_warns_otherwise() {
    let lifetime = |value: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{value}}}"#);
        let tokens = tokens_from(json_reply(200, &body)).unwrap();
        let is_noted = tokens.warnings.contains(&Warning::MalformedExpiresIn);
        (tokens.expires_in, is_noted)
    };
    let long = (Some(crate::token::MAX_LIFETIME), false);
    assert_eq!(lifetime("1e999"), long);
    assert_eq!(lifetime("99999999999999999999"), long);
    assert_eq!(lifetime("3600.0"), (Some(3600), false));
    assert_eq!(lifetime("\"3600\""), (Some(3600), false));
    assert_eq!(lifetime("31536000"), (Some(31_536_000), false));
    // The end of the token as seconds since the epoch, and as milliseconds.
    assert_eq!(lifetime("1750003600"), (None, true));
    assert_eq!(lifetime("\"1750003600\""), (None, true));
    assert_eq!(lifetime("1750003600000"), (None, true));
    assert_eq!(lifetime("-1"), (None, true));
    assert_eq!(lifetime("\"soon\""), (None, true));
}

#[test]
fn non_token68_access_token_is_warned_about_and_refused_by_strict_rules() {
    let body = r#"{"access_token":"v^1.1#i","token_type":"Bearer"}"#;
    let tokens = tokens_from(json_reply(200, body)).unwrap();
    assert_eq!(tokens.warnings, [Warning::TokenNotToken68]);
    assert_eq!(Warning::TokenNotToken68.code(), "token_not_token68");
    let exchange = strict_client().client_credentials(Scope::none());
    assert_eq!(
        error_code(run_with_reply(exchange, json_reply(200, body)).map(drop)),
        Err("token_response.malformed")
    );
    assert!(
        tokens_from(json_reply(200, GOOD))
            .unwrap()
            .warnings
            .is_empty()
    );
}

#[test]
fn oversized_extra_members_are_dropped_with_a_warning() {
    let body = format!(
        r#"{{"access_token":"a","token_type":"Bearer","x":"{}","y":1}}"#,
        "x".repeat(300 << 10)
    );
    let tokens = tokens_from(json_reply(200, &body)).unwrap();
    assert_eq!(tokens.warnings, [Warning::ExtraTooLarge]);
    assert_eq!(tokens.extra.as_map().keys().collect::<Vec<_>>(), ["y"]);
}
