//! Replies that are no tokens: what is read of them, and whose fault they are.
#![allow(clippy::unwrap_used)] // a test that fails says so

use serde_json::json;

use super::*;
use crate::http::Response;
use crate::scope::Scope;
use crate::testing::{answered, client, code, json as json_reply, quirky, reply, strict};
use crate::token::{Tokens, Warning};
use bytes::Bytes;

use crate::error::ServerError;
use crate::quirk::Quirk;

fn got(reply: Response<Bytes>) -> Result<Tokens, Error> {
    answered(client().client_credentials(Scope::none()), reply)
}

fn refused(reply: Response<Bytes>) -> ServerError {
    got(reply).unwrap_err().server_error().cloned().unwrap()
}

const GOOD: &str = r#"{"access_token":"a","token_type":"Bearer"}"#;

#[test]
fn the_words_of_an_error_that_is_none_of_oauth_are_kept() {
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
        let said = refused(json_reply(400, body));
        assert_eq!(said.description(), Some(description), "{body}");
        assert_eq!(said.extra().get(member), Some(&value), "{body}");
        assert_eq!(said.error(), None, "{body}");
        assert!(!said.extra().contains_key("x"), "{body}");
    }
    let said = refused(json_reply(
        400,
        r#"{"error":"invalid_grant","message":"gone"}"#,
    ));
    assert_eq!(said.description(), Some("gone"));
    let said = refused(json_reply(
        400,
        r#"{"error":"x","error_description":"d","message":"m"}"#,
    ));
    assert_eq!(said.description(), Some("d"));
}

#[test]
fn the_words_of_a_page_are_kept() {
    let page = "<!DOCTYPE html><html><head><STYLE>a { b: c }</style><script>if (a < b) { x() }</script>\n<title>Bad\tGateway</title></head><body><p>Error 502</p></body></html>";
    let html = [("content-type", "text/html; charset=utf-8")];
    let said = refused(reply(502, &html, page));
    assert_eq!(said.description(), Some("Bad Gateway Error 502"));
    let text = [("content-type", "text/plain")];
    let said = refused(reply(429, &text, "error code:\r\n 1015\u{1b}[31m"));
    assert_eq!(said.description(), Some("error code: 1015[31m"));
    assert_eq!(said.denial().code(), "denied.busy");
    let said = refused(reply(403, &text, "x".repeat(500)));
    assert_eq!(said.description().map(str::len), Some(200));
    let said = refused(reply(403, &[("content-type", "image/png")], "PNG"));
    assert_eq!(said.description(), None);
    let said = refused(reply(403, &html, "<script>never ends"));
    assert_eq!(said.description(), None);
}

#[test]
fn a_secret_is_cut_out_of_a_page_before_it_is_cut_short() {
    let html = [("content-type", "text/html")];
    for before in [0, 195, 4090] {
        let page = format!(
            "<p>{}hun<b></b>ter22 hunter22 hunter22</p>",
            "x".repeat(before)
        );
        let text = format!("{:?}", got(reply(400, &html, page)).unwrap_err());
        assert!(!text.contains("hunt"), "{text}");
    }
    for body in [
        r#"{"message":"you sent hunter22"}"#,
        r#"{"error":{"detail":["hunter22"]}}"#,
        r#"{"title":"hunter22","code":"hunter22"}"#,
    ] {
        let said = refused(json_reply(400, body));
        let text = format!("{said:?} {said} {:?}", said.extra());
        assert!(!text.contains("hunter22"), "{text}");
    }
}

#[test]
fn what_this_client_sent_is_kept_nowhere_among_the_members() {
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
        let said = refused(json_reply(400, &body.to_string()));
        assert!(said.extra().is_empty(), "{body}: {:?}", said.extra());
    }
    let said = refused(json_reply(
        400,
        r#"{"error":"x","error_description":"got Basic aWQ6aHVudGVyMjI="}"#,
    ));
    assert_eq!(said.description(), Some("got Basic [redacted]"));
    let said = refused(json_reply(
        400,
        r#"{"error":"x","suberror":"y","n":[1,{"a":"b"}],"session":7}"#,
    ));
    assert_eq!(said.extra().len(), 3);
}

#[test]
fn an_unknown_failure_of_the_server_may_be_tried_again() {
    let advice = |status, body| got(json_reply(status, body)).unwrap_err().advice().as_str();
    assert_eq!(advice(500, r#"{"error":"internal_failure"}"#), "retry");
    assert_eq!(advice(400, r#"{"error":"internal_failure"}"#), "give_up");
    assert_eq!(advice(500, r#"{"error":"invalid_client"}"#), "give_up");
    assert_eq!(advice(500, r#"{"error":"invalid_grant"}"#), "reauthorize");
}

#[test]
fn a_list_of_errors_is_read_where_the_provider_has_one() {
    let fitbit = || quirky([Quirk::ErrorsArray]).client_credentials(Scope::none());
    let said = |body| {
        let error = answered(fitbit(), json_reply(400, body)).unwrap_err();
        error.server_error().cloned().unwrap()
    };
    let listed =
        said(r#"{"errors":[{"errorType":"invalid_grant","message":"gone"}],"success":false}"#);
    assert_eq!(
        (listed.error(), listed.description()),
        (Some("invalid_grant"), Some("gone"))
    );
    assert!(listed.extra().contains_key("success"));
    let nameless = said(r#"{"errors":[{"errorType":"","message":"gone"}],"success":false}"#);
    assert_eq!(nameless.error(), None);
    assert_eq!(nameless.extra().keys().collect::<Vec<_>>(), ["errors"]);
}

#[test]
fn a_content_type_is_read_as_it_is_meant() {
    for media in [
        "application/json",
        " application/json\t",
        "Application/JSON ;charset=utf-8",
        "application/json, application/json",
        "application/json; charset=utf-8, application/json",
        "",
    ] {
        let tokens = got(reply(200, &[("content-type", media)], GOOD));
        assert!(tokens.is_ok(), "{media}");
    }
    let twice = [
        ("content-type", "application/json"),
        ("content-type", "application/json"),
    ];
    assert!(got(reply(200, &twice, GOOD)).is_ok());
    for media in [
        "application/json, text/html",
        "text/html",
        "application/jsonx",
    ] {
        let error = got(reply(200, &[("content-type", media)], GOOD)).map(drop);
        assert_eq!(code(error), Err("reply.content_type"), "{media}");
    }
    let differ = [
        ("content-type", "application/json"),
        ("content-type", "text/html"),
    ];
    assert!(got(reply(200, &differ, GOOD)).is_err());
}

#[test]
fn a_form_where_json_is_due_is_named() {
    let form = [(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )];
    let ask = client().introspect(introspection::Introspection::new("t"));
    let error = answered(ask, reply(200, &form, "active=true")).unwrap_err();
    assert_eq!(error.code(), "reply.content_type");
    assert_eq!(error.detail(), Some("application/x-www-form-urlencoded"));
}

#[test]
fn bad_utf_8_is_malformed_json_or_a_malformed_form() {
    let json = [("content-type", "application/json")];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let bad = b"{\"access_token\":\"a\xff\",\"token_type\":\"Bearer\"}";
    assert_eq!(
        code(got(reply(200, &json, bad)).map(drop)),
        Err("reply.json")
    );
    let bad = b"access_token=a\xff&token_type=bearer";
    assert_eq!(
        code(got(reply(200, &form, bad)).map(drop)),
        Err("reply.encoding")
    );
}

#[test]
fn a_lifetime_is_read_from_whatever_can_be_one() {
    let lifetime = |value: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{value}}}"#);
        let tokens = got(json_reply(200, &body)).unwrap();
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
fn a_token_that_rfc_6750_does_not_allow_is_noted_or_by_strict_rules_refused() {
    let body = r#"{"access_token":"v^1.1#i","token_type":"Bearer"}"#;
    let tokens = got(json_reply(200, body)).unwrap();
    assert_eq!(tokens.warnings, [Warning::TokenNotToken68]);
    assert_eq!(Warning::TokenNotToken68.code(), "token_not_token68");
    let ask = strict().client_credentials(Scope::none());
    assert_eq!(
        code(answered(ask, json_reply(200, body)).map(drop)),
        Err("token_response.malformed")
    );
    assert!(got(json_reply(200, GOOD)).unwrap().warnings.is_empty());
}

#[test]
fn members_of_a_token_reply_are_kept_as_far_as_they_are_small() {
    let body = format!(
        r#"{{"access_token":"a","token_type":"Bearer","x":"{}","y":1}}"#,
        "x".repeat(300 << 10)
    );
    let tokens = got(json_reply(200, &body)).unwrap();
    assert_eq!(tokens.warnings, [Warning::ExtraTooLarge]);
    assert_eq!(tokens.extra.as_map().keys().collect::<Vec<_>>(), ["y"]);
}
