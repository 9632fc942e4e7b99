#![allow(clippy::unwrap_used)] // tests may panic

use std::time::Duration;

use super::*;
use crate::http::header::WWW_AUTHENTICATE;
use crate::http::{Method, StatusCode};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::testing::error_code;
use crate::token::Tokens;
use crate::token::step_up_requirement::StepUp;

fn verdict(status: u16, fields: &[&[u8]]) -> Verdict {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(field).unwrap());
    }
    super::verdict(StatusCode::from_u16(status).unwrap(), &headers)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn unreadable_bytes_do_not_void_the_challenges() {
    let write = Verdict::WidenScope(Scope::parse("write").ok());
    let challenge_with_utf8 =
        b"Bearer error=\"insufficient_scope\", scope=\"write\", error_description=\"acc\xc3\xa8s\"";
    assert_eq!(verdict(403, &[challenge_with_utf8]), write);
    let stepped = Verdict::StepUp(StepUp {
        acr_values: vec!["urn:mfa".to_owned()],
        max_age: Some(5),
        ..StepUp::default()
    });
    let latin = b"Bearer error=\"insufficient_user_authentication\", acr_values=\"urn:mfa\", max_age=5, error_description=\"re\xe9\"";
    assert_eq!(verdict(401, &[latin]), stepped);
    let bearer = b"Bearer error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(verdict(403, &[b"Custom realm=https://x/", bearer]), write);
}

#[test]
fn claims_challenge_becomes_a_step_up() {
    let wants = |claims: &str| {
        let field =
            format!("Bearer realm=\"\", error=\"insufficient_claims\", claims=\"{claims}\"");
        match verdict(401, &[field.as_bytes()]) {
            Verdict::StepUp(StepUp { claims, .. }) => claims,
            Verdict::Refused => None,
            other => unreachable!("{other:?}"),
        }
    };
    let text = Some(r#"{"access_token":{}}"#.to_owned());
    assert_eq!(wants("eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="), text);
    assert_eq!(wants("eyJhY2Nlc3NfdG9rZW4iOnt9fQ"), text);
    assert_eq!(wants("bm8ganNvbg=="), None);
    assert_eq!(wants("!"), None);
}

#[test]
fn control_character_invalidates_only_its_own_challenge() {
    let status = StatusCode::FORBIDDEN;
    let fields: [&[u8]; 2] = [
        b"Custom realm=\"a\x07\"",
        b"Bearer error=\"insufficient_scope\", scope=\"write\"",
    ];
    let write = Verdict::WidenScope(Scope::parse("write").ok());
    assert_eq!(verdict_of_fields(status, fields), write);
    let odd: [&[u8]; 1] = [b"Bearer error=\"insufficient_scope\", realm=\"a\x07\""];
    assert_eq!(verdict_of_fields(status, odd), Verdict::Pass);
}

#[test]
fn unreadable_www_authenticate_is_judged_by_the_status() {
    for odd in [&b"Bearer error="[..], b"Bearer error=\"x", b"@"] {
        assert_eq!(verdict(401, &[odd]), Verdict::Renew);
        assert_eq!(verdict(401, &[odd, b"Basic realm=\"x\""]), Verdict::Renew);
        assert_eq!(verdict(403, &[odd]), Verdict::Pass);
        assert_eq!(verdict(400, &[odd]), Verdict::Pass);
    }
    assert_eq!(verdict(401, &[b"Basic realm=\"x\""]), Verdict::Refused);
}

#[test]
fn challenge_is_considered_only_for_400_401_and_403() {
    let refused = b"Bearer error=\"invalid_token\"";
    for status in [200, 204, 302, 402, 404, 407, 500, 503] {
        assert_eq!(verdict(status, &[refused]), Verdict::Pass, "{status}");
    }
    for status in [400, 401, 403] {
        assert_eq!(verdict(status, &[refused]), Verdict::Renew, "{status}");
    }
}

#[test]
fn challenge_without_an_error_renews_only_with_401() {
    for fields in [&[][..], &[&b"Bearer"[..]], &[&b"Bearer realm=\"x\""[..]]] {
        assert_eq!(verdict(401, fields), Verdict::Renew);
        assert_eq!(verdict(403, fields), Verdict::Pass);
        assert_eq!(verdict(400, fields), Verdict::Pass);
    }
}

#[test]
fn challenge_with_a_duplicate_error_is_ignored() {
    let twice = b"Bearer error=\"invalid_token\", error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(verdict(403, &[twice]), Verdict::Pass);
}

#[test]
fn bearer_challenge_with_an_error_takes_precedence() {
    let fields: &[&[u8]] = &[
        b"Bearer realm=\"a\"",
        b"Bearer error=\"insufficient_scope\", scope=\"write\"",
    ];
    let write = Verdict::WidenScope(Scope::parse("write").ok());
    assert_eq!(verdict(403, fields), write);
    assert_eq!(verdict(401, fields), write);
}

#[test]
fn origin_with_a_path_query_or_fragment_is_refused() {
    for origin in [
        "https://api.example",
        "https://api.example/",
        "https://api.example:8443",
    ] {
        assert!(Resource::new([origin]).is_ok(), "{origin}");
    }
    for (origin, code, detail) in [
        (
            "https://api.example/v1",
            "resource.origin_syntax",
            Some("https://api.example"),
        ),
        (
            "https://api.example/?a=b",
            "resource.origin_syntax",
            Some("https://api.example"),
        ),
        (
            "https://api.example?a=b",
            "resource.origin_syntax",
            Some("https://api.example"),
        ),
        (
            "https://api.example/#a",
            "url.syntax",
            Some("https://api.example/#a"),
        ),
        ("127.0.0.1:8080", "url.syntax", Some("127.0.0.1:8080")),
        (
            "http://api.example",
            "url.insecure",
            Some("http://api.example"),
        ),
        // It may contain a password.
        ("https://a:S3CRET@api.example", "url.syntax", None),
    ] {
        let error = Resource::new([origin]).map(drop).unwrap_err();
        assert_eq!((error.code(), error.detail()), (code, detail), "{origin}");
    }
}

#[test]
fn redirect_to_another_allowed_origin_is_refused() {
    let resource = Resource::new(["https://a.example", "https://b.example"]).unwrap();
    let from = url("https://a.example/x");
    assert_eq!(
        resource.redirect(&from, "https://b.example/x"),
        Redirect::Refuse
    );
    assert_eq!(resource.redirect(&from, "//b.example/x"), Redirect::Refuse);
    assert_eq!(
        resource.redirect(&from, "https://a.example/y"),
        Redirect::Follow(url("https://a.example/y"))
    );
    // A reference is relative to the URL that was asked, and its fragment is only for the caller.
    let from = url("https://a.example/b/x?q=/r");
    for (location, target) in [
        ("/y", "/y"),
        ("/y#z", "/y"),
        ("y", "/b/y"),
        ("y/?u=https://b.example/", "/b/y/?u=https://b.example/"),
        ("?y", "/b/x?y"),
        ("../y", "/y"),
        ("../../../y", "/y"),
        ("./y/.?../z", "/b/y/?../z"),
        ("y/..", "/b/"),
        ("/y/./z/..", "/y/"),
        ("/..", "/"),
        ("//a.example/y", "/y"),
    ] {
        let target = url(&format!("https://a.example{target}"));
        assert_eq!(resource.redirect(&from, location), Redirect::Follow(target));
    }
}

#[test]
fn fragment_of_the_request_url_is_not_sent() {
    let api = Api::new(Resource::new(["https://a.example"]).unwrap());
    let mut request = ResourceRequest::new(&api, Method::GET, "https://a.example/x?y#//b.example");
    let at = Clock {
        moment: Moment::without_randomness(UnixTime::from_secs(1)),
        elapsed: Duration::ZERO,
    };
    request.resume(&at, Event::Begin).unwrap();
    let step = request.resume(&at, Event::Token(&Tokens::bearer("a")));
    assert!(
        matches!(&step, Ok(Step::Send { url, .. }) if url.as_str() == "https://a.example/x?y"),
        "{step:?}"
    );
}

#[test]
fn visible_ascii_token_is_sent_unchanged_and_others_are_refused() {
    for token in [
        "mF_9.B5f-4.1JqM",
        "abc==",
        "00D000000000001!AQ0AQexample",
        "v^1.1#i^1#p^3",
        "Atza|IwEBexample",
        "a\"b\\c",
    ] {
        let header = bearer(&token.into()).unwrap();
        assert_eq!(
            header.to_str().ok(),
            Some(format!("Bearer {token}").as_str())
        );
        assert!(header.is_sensitive());
    }
    for (token, error) in [
        ("", "token.not_token68"),
        ("=", "token.not_token68"),
        ("==", "token.not_token68"),
        ("a b", "token.not_token68"),
        ("a\tb", "token.not_token68"),
        ("a\r\nX: y", "token.not_token68"),
        ("a\u{7f}", "token.not_token68"),
        ("t\u{f6}k", "token.not_ascii"),
    ] {
        assert_eq!(
            error_code(bearer(&token.into()).map(drop)),
            Err(error),
            "{token:?}"
        );
    }
}

#[test]
fn access_token_in_a_form_body_is_detected_in_any_encoding() {
    let resource = Resource::new(["https://a.example"]).unwrap();
    let put = |media: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
        let token = "t".into();
        let at = url("https://a.example/x");
        error_code(resource.authorization(&at, &headers, Some(body.as_bytes()), &token)).map(drop)
    };
    let twice = Err("token.more_than_one_method");
    let form = "application/x-www-form-urlencoded";
    assert_eq!(put(form, "a=b&access_token=x"), twice);
    assert_eq!(
        put(&format!("{form} ; charset=utf-8"), "access_token=x"),
        twice
    );
    assert_eq!(put(&form.to_uppercase(), "access%5Ftoken=x"), twice);
    assert_eq!(put(form, "a=access_token"), Ok(()));
    assert_eq!(put("text/plain", "access_token=x"), Ok(()));
    assert_eq!(put("application/json", "access_token=x"), Ok(()));
}

#[test]
fn error_status_is_converted_to_an_error_without_token_text() {
    let pause = Some(Duration::from_secs(7));
    let verdict_of = |status: u16, field: &str| {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(field).unwrap());
        refusal(StatusCode::from_u16(status).unwrap(), &headers, pause)
    };
    let scope = r#"Bearer error="insufficient_scope", error_description="the-token""#;
    let challenge = r#"Bearer error="the-token""#;
    let rows = [
        (404, "Basic", "denied.http_status"),
        (500, "Basic", "denied.busy"),
        (501, "Basic", "denied.http_status"),
        (429, "Basic", "denied.busy"),
        (403, scope, "denied.insufficient_scope"),
        (403, challenge, "denied.http_status"),
    ];
    for (status, field, expected) in rows {
        let error = verdict_of(status, field).unwrap();
        let server = error.server_error().unwrap();
        assert_eq!((error.code(), server.status()), (expected, Some(status)));
        assert!(!format!("{error} {error:?}").contains("the-token"));
    }
    assert_eq!(verdict_of(429, "Basic").unwrap().retry_after(), pause);
    for status in [200, 204, 302, 304] {
        assert!(verdict_of(status, scope).is_none());
    }
}

#[test]
fn token_of_a_resource_is_not_sent_to_a_sibling_path() {
    let resource = ResourceIdentifier::parse("https://api.example/mcp/a").unwrap();
    let beneath = Resource::beneath(&resource);
    for (text, outcome) in [
        ("https://api.example/mcp/a", Ok(())),
        ("https://api.example/mcp/a/tools?x=1", Ok(())),
        ("https://api.example/mcp/b", Err("resource.not_covered")),
        ("https://api.example/mcp/ab", Err("resource.not_covered")),
        (
            "https://api.example/mcp/a/..%2fb",
            Err("resource.not_covered"),
        ),
        ("https://api.example/", Err("resource.not_covered")),
        (
            "https://other.example/mcp/a",
            Err("resource.origin_not_allowed"),
        ),
        ("http://api.example/mcp/a", Err("url.insecure")),
    ] {
        let checked = beneath.check(&url(text)).map_err(|error| error.code());
        assert_eq!(checked, outcome, "{text}");
    }
    let from = url("https://api.example/mcp/a");
    assert_eq!(beneath.redirect(&from, "/mcp/b"), Redirect::Refuse);
    assert_eq!(
        beneath.redirect(&from, "/mcp/a/b"),
        Redirect::Follow(url("https://api.example/mcp/a/b"))
    );
}
