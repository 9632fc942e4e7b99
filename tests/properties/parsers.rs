//! Parsers: they read back what was written, and never panic.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use oauth_core::flow::authorization::{Callback, ResponseMode};
use oauth_core::flow::resource;
use oauth_core::form::{self, Form};
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules, Strictness};
use oauth_core::redirect_uri::{RedirectUri, check_return_target};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::Url;
use oauth_core::{
    Client, ClientAuth, ClientId, Exchange, Input, Moment, PendingAuthorization, Scope, Step,
    Tokens, challenge, json, retry_after,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [3; 32])
}

fn rules() -> impl Strategy<Value = Rules> {
    let quirk = prop_oneof![
        Just(Quirk::AssumeBearer),
        Just(Quirk::RawBasic),
        Just(Quirk::ScopeDelimiter(',')),
        Just(Quirk::PlainFormResponse),
        Just(Quirk::CamelCaseResponse),
        Just(Quirk::ErrorsArray),
        Just(Quirk::JsonRequest),
        Just(Quirk::OmitRedirectUri),
    ];
    let strictness = prop_oneof![Just(Strictness::Lenient), Just(Strictness::Strict)];
    (strictness, vec(quirk, 0..3)).prop_map(|(strictness, quirks)| Rules { strictness, quirks })
}

fn client(rules: Rules) -> Client {
    Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .and_then(|server| {
            Client::new(
                server.with_rules(rules),
                ClientId::new("id"),
                ClientAuth::basic("secret"),
            )
        })
        .expect("a client")
}

fn json_like() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        "[0-9]{1,25}",
        "\"[ -~]{0,8}\"",
        "\"\\PC{0,4}\"",
        Just("\"\\ud800\"".to_owned()),
        Just("NaN".to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((member(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    prop_oneof![4 => value, 1 => "\\PC{0,40}".boxed()]
}

fn member() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
        "id_token",
        "error",
        "error_description",
        "error_uri",
        "errors",
        "errorType",
        "active",
        "x",
        "issuer",
    ])
}

proptest! {
    #![proptest_config(oauth_tests::cases(4_000))]

    #[test]
    fn forms_round_trip(pairs in vec((".{1,8}", ".{0,16}"), 0..6)) {
        let mut form = Form::new();
        for (name, value) in &pairs {
            form.push_repeated(name, value);
        }
        let read: Vec<(String, String)> = form::parse(form.as_str()).expect("UTF-8").into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(&read, &pairs);
        // A decoder we did not write reads the same.
        let other: Vec<(String, String)> = serde_urlencoded::from_str(form.as_str()).expect("a form");
        prop_assert_eq!(&other, &pairs);
        let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        let mut guarded = Form::new();
        pairs.iter().for_each(|(name, value)| guarded.push(name, value));
        // Names are compared as sent; those without escapes are sent unchanged.
        let plain = pairs.iter().all(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric()));
        if plain {
            prop_assert_eq!(guarded.check().is_err(), names.len() < pairs.len());
        }
    }

    #[test]
    fn callbacks_round_trip(code in "[ -~\u{e4}]{1,32}", state in "[!-~]{1,32}", noise in "[ -~]{0,8}") {
        let uri = "https://app.example/cb?keep=1";
        let query = serde_urlencoded::to_string([("code", &code), ("zz", &noise), ("state", &state)]).expect("a query");
        let callback = format!("{uri}&{query}");
        let read = Callback::read(&callback, &RedirectUri::parse(uri).expect("a URI"), ResponseMode::Query);
        prop_assert!(read.is_ok());
        let stored = serde_json::json!({
            "version": 1, "issuer": "https://as.example", "client_id": "id", "issuer_required": false,
            "redirect_uri": uri, "state": state, "nonce": null, "code_verifier": null, "scope": "",
            "response_mode": "query", "started_at": 0,
        });
        let pending = PendingAuthorization::from_json(&stored.to_string()).expect("a flow");
        prop_assert!(pending.recognizes(&callback));
        let mut exchange = client(Rules::default()).redeem(pending, &callback).expect("accepted");
        match exchange.resume(&moment(), Input::Begin) {
            Ok(Step::Send(request)) => {
                let sent: Vec<(String, String)> = serde_urlencoded::from_bytes(request.body()).expect("a form");
                prop_assert!(sent.contains(&("code".to_owned(), code)));
                prop_assert!(sent.contains(&("redirect_uri".to_owned(), uri.to_owned())));
            }
            other => prop_assert!(false, "{:?}", other.map(drop)),
        }
    }

    #[test]
    fn parsers_never_panic(text in "\\PC{0,80}", bytes in vec(any::<u8>(), 0..64)) {
        let _ = (Issuer::parse(&text), Url::parse(&text), Scope::parse(&text), json::parse(&text));
        let _ = (PendingAuthorization::from_json(&text), Tokens::from_json(&text), form::decode(&text));
        let _ = challenge::parse([text.as_str(), "Bearer "]);
        let _ = retry_after::parse(&text, UnixTime::from_secs(0));
        let origin = Url::parse("https://app.example").expect("a URL");
        if let Ok(target) = check_return_target(&text, &origin) {
            let joined = url::Url::parse("https://app.example").and_then(|base| base.join(target));
            prop_assert_eq!(joined.map(|url| url.origin().ascii_serialization()), Ok("https://app.example".to_owned()));
        }
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.append("www-authenticate", value.clone());
            headers.append("retry-after", value);
        }
        let _ = resource::verdict(StatusCode::UNAUTHORIZED, &headers);
        let _ = retry_after::read(&headers, UnixTime::from_secs(0), retry_after::CAP);
    }

    #[test]
    fn accepted_return_targets_stay_on_the_origin(target in "[/\\\\.a-z:%2F@? \t]{0,12}") {
        let origin = Url::parse("https://app.example").expect("a URL");
        if let Ok(target) = check_return_target(&target, &origin) {
            let joined = url::Url::parse("https://app.example").and_then(|base| base.join(target));
            prop_assert_eq!(joined.map(|url| url.origin().ascii_serialization()), Ok("https://app.example".to_owned()));
        }
    }

    #[test]
    fn strict_parsing_accepts_no_more_than_lenient(
        status in prop::sample::select(vec![200u16, 201, 204, 302, 400, 401, 429, 500, 503]),
        media in prop::sample::select(vec!["application/json", "text/html", "text/plain", "application/x-www-form-urlencoded", "a/b+json", ""]),
        body in json_like(),
        rules in rules(),
    ) {
        let read = |strictness: Strictness| {
            let mut exchange = client(Rules { strictness, quirks: rules.quirks.clone() }).client_credentials(Scope::none());
            let _ = exchange.resume(&moment(), Input::Begin);
            let mut reply = Response::new(Bytes::from(body.clone()));
            *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
            if !media.is_empty() {
                reply.headers_mut().insert("content-type", HeaderValue::from_static(media));
            }
            exchange.resume(&moment(), Input::Reply(reply))
        };
        let (strict, lenient) = (read(Strictness::Strict), read(Strictness::Lenient));
        if matches!(strict, Ok(Step::Done(_))) {
            prop_assert!(matches!(lenient, Ok(Step::Done(_))));
        }
        if let Err(error) = lenient {
            prop_assert!(!error.code().is_empty() && !error.to_string().chars().any(char::is_control));
        }
    }
}

/// The time must be linear in the input: quadratic time would take minutes at these sizes.
#[test]
fn megabytes_are_parsed_in_linear_time() {
    let members: String = (0..60_000).map(|n| format!(",\"m{n}\":1")).collect();
    let names: String = (0..120_000).map(|n| format!("s{n} ")).collect();
    let bodies = [
        format!("{{\"access_token\":\"a\",\"token_type\":\"Bearer\"{members}}}"),
        format!("{{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"scope\":\"{names}\"}}"),
        format!(
            "{{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"scope\":\"\u{e4} {names}\"}}"
        ),
        format!("{{\"error\":\"x\"{members}}}"),
        "[".repeat(1 << 20),
        format!("\"{}\"", "\\u0041".repeat(1 << 17)),
    ];
    for body in bodies {
        assert!(body.len() <= 1 << 20, "{}", body.len());
        let requested_scope = Scope::parse("s1 s2").expect("a scope");
        let mut exchange = client(Rules::default()).client_credentials(requested_scope);
        let _ = exchange.resume(&moment(), Input::Begin);
        let mut reply = Response::new(Bytes::from(body));
        let json = HeaderValue::from_static("application/json");
        reply.headers_mut().insert("content-type", json);
        let _ = exchange.resume(&moment(), Input::Reply(reply));
    }
    let parameters: String = (0..20_000).map(|n| format!("a{n}=b, ")).collect();
    let header = format!("Bearer {parameters}");
    assert!(challenge::parse([header.as_str()]).is_err());
    let many = "a b=c, ".repeat(20_000);
    let _ = challenge::parse([many.as_str()]);
    let query = "&a=b".repeat(1 << 14);
    let uri = RedirectUri::parse("https://app.example/cb").expect("a URI");
    let callback = format!("https://app.example/cb?{query}");
    assert!(
        Callback::read(&callback, &uri, ResponseMode::Query).is_err(),
        "over 64 KiB"
    );
    let _ = Callback::read(&callback[..64 << 10], &uri, ResponseMode::Query);
}
