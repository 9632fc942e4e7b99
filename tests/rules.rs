//! Regression tests: rules that were once broken, one test each.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use oauth_core::client_auth::SignedSecret;
use oauth_core::endpoint::introspection::Introspection;
use oauth_core::error::{Advice, Cause, Error};
use oauth_core::flow::resource::{self, Resource};
use oauth_core::grant::Extension;
use oauth_core::issuer::Issuer;
use oauth_core::json::{self, Json};
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Moment,
    PendingAuthorization, Scope, Secret, Step, Tokens, discover,
};

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [9; 32])
}

fn server() -> Server {
    let base = Server::new(Issuer::parse("https://as.example").expect("an issuer"));
    [
        (EndpointKind::Token, "https://as.example/token"),
        (EndpointKind::Authorization, "https://as.example/authorize"),
        (EndpointKind::Introspection, "https://as.example/introspect"),
    ]
    .into_iter()
    .try_fold(base, |server, (kind, url)| server.with_endpoint(kind, url))
    .expect("endpoints")
}

fn client(auth: ClientAuth) -> Client {
    Client::new(server(), ClientId::new("id"), auth).expect("a client")
}

fn reply(status: u16, fields: &[(&'static str, &str)], body: &str) -> Input {
    let mut reply = Response::new(Bytes::from(body.to_owned()));
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in fields {
        reply
            .headers_mut()
            .insert(*name, HeaderValue::from_str(value).expect("a value"));
    }
    Input::Reply(reply)
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// The error of a `client_credentials` request that gets this response.
fn refused(status: u16, fields: &[(&'static str, &str)], body: &str) -> Error {
    let mut exchange = client(ClientAuth::basic("secret")).client_credentials(Scope::none());
    let _ = exchange.resume(&moment(), Input::Begin).expect("a request");
    exchange
        .resume(&moment(), reply(status, fields, body))
        .expect_err("a refusal")
}

fn code(error: Option<Error>) -> Option<&'static str> {
    error.map(|error| error.code())
}

fn pending(uri: &str) -> PendingAuthorization {
    let stored = serde_json::json!({
        "version": 1, "issuer": "https://as.example", "client_id": "id", "issuer_required": false,
        "redirect_uri": uri, "state": "xyz", "nonce": null, "code_verifier": null, "scope": "",
        "response_mode": "query", "started_at": 0,
    });
    PendingAuthorization::from_json(&stored.to_string()).expect("a flow")
}

#[test]
fn an_echoed_signed_secret_is_not_shown() {
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "key"));
    let mut exchange = client(auth).client_credentials(Scope::none());
    let _ = exchange
        .resume(&moment(), Input::Begin)
        .expect("a signature");
    let signed = exchange.resume(&moment(), Input::Signed(vec![1; 64].into()));
    let Ok(Step::Send(request)) = signed else {
        panic!("a request")
    };
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(request.body()).expect("a form");
    let jwt = form
        .into_iter()
        .find(|(name, _)| name == "client_secret")
        .expect("a secret")
        .1;
    let body = serde_json::json!({ "error": "x", "error_description": format!("bad {jwt}") });
    let error = exchange
        .resume(&moment(), reply(400, &[JSON], &body.to_string()))
        .err();
    assert!(!format!("{:?}", error.expect("a refusal")).contains(&jwt));
}

#[test]
fn an_error_contains_no_token_from_the_reply() {
    for body in [
        r#"{"error":"partial","authed_user":{"access_token":"NESTED"}}"#,
        r#"{"error":"partial","accessToken":"NESTED"}"#,
        r#"{"session":"NESTED","message":"x"}"#,
    ] {
        let error = refused(500, &[JSON], body);
        let error_text = format!(
            "{error:?} {:?}",
            error.server_error().map(|said| said.extra().clone())
        );
        assert!(!error_text.contains("NESTED"), "{error_text}");
    }
    let long = format!(r#"{{"error":"x","note":"{}"}}"#, "n".repeat(500_000));
    assert!(
        refused(400, &[JSON], &long)
            .server_error()
            .is_some_and(|said| said.extra().is_empty())
    );
}

#[test]
fn an_extension_grant_cannot_be_a_standard_grant_or_set_reserved_parameters() {
    assert_eq!(
        code(Extension::new("password").err()),
        Some("grant.not_an_extension")
    );
    let grant = Extension::new("urn:x").expect("a grant");
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
    ] {
        let error = grant.clone().parameter(name, "x").err();
        assert_eq!(code(error), Some("form.reserved_parameter"), "{name}");
    }
}

#[test]
fn a_json_request_refuses_duplicate_parameters() {
    let rules = Rules {
        quirks: vec![Quirk::JsonRequest],
        ..Rules::default()
    };
    let auth = ClientAuth::basic("secret");
    let client =
        Client::new(server().with_rules(rules), ClientId::new("id"), auth).expect("a client");
    let grant = Extension::new("urn:x")
        .and_then(|grant| grant.parameter("resource", "a"))
        .and_then(|grant| grant.parameter("resource", "b"))
        .expect("a grant");
    let error = client
        .token(grant, Scope::none())
        .resume(&moment(), Input::Begin)
        .err();
    assert_eq!(code(error), Some("form.duplicate_parameter"));
}

#[test]
fn rate_limit_fields_are_ignored_outside_of_429() {
    let reset = ("x-ratelimit-reset", "1750000060");
    let pause = |status, field| refused(status, &[field], "").advice();
    let seconds = |seconds| Advice::Retry {
        after: Some(std::time::Duration::from_secs(seconds)),
    };
    assert_eq!(pause(404, reset), Advice::GiveUp);
    assert_eq!(pause(429, reset), seconds(60));
    assert_eq!(pause(429, ("x-ratelimit-reset", "30")), seconds(30));
    assert_eq!(
        pause(429, ("retry-after", "0")),
        seconds(1),
        "a pause of 0 is not advised"
    );
}

#[test]
fn discovery_continues_after_404_and_401() {
    let mut exchange = discover(Issuer::parse("https://as.example/t").expect("an issuer"));
    let _ = exchange.resume(&moment(), Input::Begin).expect("a request");
    let not_found = reply(404, &[("x-ratelimit-reset", "1750000060")], "");
    assert!(matches!(
        exchange.resume(&moment(), not_found),
        Ok(Step::Send(_))
    ));
    let odd = reply(401, &[JSON], r#"{"error":"login_required"}"#);
    assert!(matches!(exchange.resume(&moment(), odd), Ok(Step::Send(_))));
}

#[test]
fn a_busy_status_is_retryable_whatever_the_error_code() {
    for (status, error) in [
        (429, "too_many_requests"),
        (429, "access_denied"),
        (503, "service_unavailable"),
    ] {
        let body = format!(r#"{{"error":"{error}"}}"#);
        let error = refused(status, &[JSON, ("retry-after", "20")], &body);
        assert_eq!(error.advice().as_str(), "retry", "{status} {error}");
    }
    assert_eq!(refused(501, &[], "").advice(), Advice::GiveUp);
    assert_eq!(refused(408, &[], "").advice().as_str(), "retry");
}

#[test]
fn a_possibly_redeemed_code_is_not_retried() {
    let redeem = || {
        let callback = "https://app.example/cb?code=c&state=xyz";
        let client = client(ClientAuth::none());
        let mut exchange = client
            .redeem(pending("https://app.example/cb"), callback)
            .expect("judged");
        let _ = exchange.resume(&moment(), Input::Begin).expect("a request");
        exchange
    };
    let lost = redeem()
        .resume(&moment(), Input::Lost(Cause::unknown("cut off")))
        .err();
    assert_eq!(lost.expect("lost").advice(), Advice::Reauthorize);
    let busy = redeem().resume(&moment(), reply(503, &[], "")).err();
    assert_eq!(busy.expect("busy").advice(), Advice::Reauthorize);
    let mut client_exchange = client(ClientAuth::basic("secret")).client_credentials(Scope::none());
    let _ = client_exchange
        .resume(&moment(), Input::Begin)
        .expect("a request");
    let lost = client_exchange
        .resume(&moment(), Input::Lost(Cause::unknown("cut off")))
        .err();
    assert_eq!(lost.expect("lost").advice().as_str(), "retry");
}

#[test]
fn an_error_member_of_any_type_overrides_a_token() {
    for error in [r#"{"code":1}"#, "true", "[1]", "7"] {
        let body = format!(r#"{{"error":{error},"access_token":"a","token_type":"Bearer"}}"#);
        assert_eq!(
            refused(200, &[JSON], &body).code(),
            "denied.http_status",
            "{error}"
        );
    }
}

#[test]
fn client_headers_are_not_shown_and_cannot_override_protocol_headers() {
    for name in [
        "Host",
        "Authorization",
        "Content-Length",
        "Proxy-Authorization",
        "Transfer-Encoding",
    ] {
        let error = client(ClientAuth::none()).with_header(name, "x").err();
        assert_eq!(code(error), Some("http.header_value"), "{name}");
    }
    let keyed = client(ClientAuth::none())
        .with_header("x-api-key", "KEY")
        .expect("a client");
    assert!(!format!("{keyed:?}").contains("KEY"));
}

#[test]
fn loopback_http_metadata_requires_the_danger_function() {
    let document =
        json::parse(r#"{"issuer":"http://127.0.0.1:9","token_endpoint":"http://127.0.0.1:9/t"}"#);
    let Ok(Json::Object(document)) = document else {
        panic!("an object")
    };
    let issuer = oauth_core::danger::loopback_issuer("http://127.0.0.1:9").expect("an issuer");
    let plain = Server::read(&issuer, &document, Rules::default());
    assert_eq!(code(plain.err()), Some("url.insecure"));
    let loopback_server =
        oauth_core::danger::read_loopback_metadata(&issuer, &document, Rules::default());
    assert!(loopback_server.is_ok());
}

#[test]
fn a_malformed_iss_support_member_is_an_error() {
    let text = r#"{"issuer":"https://as.example","authorization_response_iss_parameter_supported":"true"}"#;
    let Ok(Json::Object(document)) = json::parse(text) else {
        panic!("an object")
    };
    let issuer = Issuer::parse("https://as.example").expect("an issuer");
    let read = Server::read(&issuer, &document, Rules::default());
    assert_eq!(code(read.err()), Some("metadata.malformed"));
}

#[test]
fn a_second_token_beside_invalid_bytes_is_detected() {
    let resource = Resource::new(["https://api.example"]).expect("origins");
    let attach = |uri: &str, media: &'static str, body: &[u8]| {
        let (mut parts, ()) = Request::builder()
            .uri(uri)
            .body(())
            .expect("a request")
            .into_parts();
        parts
            .headers
            .insert("content-type", HeaderValue::from_static(media));
        code(
            resource
                .authorize(&mut parts, Some(body), &Secret::from("token"))
                .err(),
        )
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        attach(
            "https://api.example/?access_token=a&x=%ff",
            "text/plain",
            b""
        ),
        Some("token.in_query")
    );
    assert_eq!(
        attach("https://api.example/", form, b"access_token=a&x=\xff"),
        Some("token.more_than_one_method")
    );
    let odd = attach(
        "https://api.example/",
        "Application/X-WWW-Form-Urlencoded; a=b",
        b"access_token=a",
    );
    assert_eq!(odd, Some("token.more_than_one_method"));
    assert_eq!(attach("https://api.example/?x=1", form, b"y=2"), None);
    assert_eq!(
        resource::verdict(StatusCode::OK, &HeaderMap::new()),
        resource::Verdict::Pass
    );
}

#[test]
fn authorization_parameters_must_be_unique_and_contain_no_token() {
    let request =
        || AuthorizationRequest::new(RedirectUri::parse("https://app.example/cb").expect("a URI"));
    let refused = |request| {
        code(
            client(ClientAuth::none())
                .authorize(&moment(), request)
                .err(),
        )
    };
    assert_eq!(
        refused(request().extra("ui[x]", "1").extra("ui[x]", "2")),
        Some("form.duplicate_parameter")
    );
    assert_eq!(
        refused(request().extra("access_token", "AT")),
        Some("form.secret_in_url")
    );
    assert!(!format!("{:?}", request().extra("id_token_hint", "JWT")).contains("JWT"));
    let fixed_state_server = server().with_endpoint(
        EndpointKind::Authorization,
        "https://as.example/a?state=fixed",
    );
    let fixed_state_client = fixed_state_server
        .and_then(|server| Client::new(server, ClientId::new("id"), ClientAuth::none()));
    let error = fixed_state_client
        .expect("a client")
        .authorize(&moment(), request())
        .err();
    assert_eq!(code(error), Some("form.duplicate_parameter"));
}

/// Browsers normalize URLs; a registered redirect URI may be written differently.
#[test]
fn callbacks_match_the_redirect_uri_as_browsers_normalize_it() {
    for (registered, arrives) in [
        ("https://app.example", "https://app.example/?"),
        ("http://localhost:3000", "http://localhost:3000/?"),
        ("https://App.example/cb", "https://app.example/cb?"),
        ("https://app.example:443/cb", "https://app.example/cb?"),
        ("https://app.example/cb?", "https://app.example/cb?"),
        ("https://app.example/cb?x=1", "https://app.example/cb?x=1&"),
        ("com.example.app:/cb", "com.example.app:/cb?"),
    ] {
        let callback = format!("{arrives}code=c&state=xyz");
        assert!(pending(registered).recognizes(&callback), "{registered}");
    }
    for (registered, arrives) in [
        ("https://app.example/cb", "https://app.example/cb2?"),
        ("https://app.example/cb", "https://evil.example/cb?"),
        ("https://app.example/cb?x=1", "https://app.example/cb?x=12&"),
        ("https://app.example/cb?x=1", "https://app.example/cb?"),
        ("com.example.app:/cb", "com.example.app:/other?"),
    ] {
        let callback = format!("{arrives}code=c&state=xyz");
        assert!(
            !pending(registered).recognizes(&callback),
            "{registered} {arrives}"
        );
    }
    for odd in ["a.:/x", "com.x:/\"><script>", "com.example.app:/a\\b"] {
        assert!(RedirectUri::parse(odd).is_err(), "{odd}");
    }
}

#[test]
fn introspection_requires_client_authentication() {
    let introspection = Introspection::new("t");
    let error = client(ClientAuth::none())
        .introspect(introspection)
        .resume(&moment(), Input::Begin)
        .err();
    assert_eq!(code(error), Some("client_auth.required"));
}

#[test]
fn metadata_must_be_json() {
    let mut exchange = discover(Issuer::parse("https://as.example").expect("an issuer"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let _ = exchange.resume(&moment(), Input::Begin).expect("a request");
    let _ = exchange
        .resume(&moment(), reply(200, &form, "issuer=https://as.example"))
        .expect("another place");
    let error = exchange
        .resume(&moment(), reply(200, &form, "issuer=https://as.example"))
        .err();
    assert_eq!(code(error), Some("reply.content_type"));
}

#[test]
fn tokens_of_another_issuer_are_refused() {
    let stored = serde_json::json!({
        "version": 1, "issuer": "https://other.example", "client_id": "id", "access_token": "a",
        "received_at": 0, "expires_in": null, "scope": "", "refresh_token": "r", "refresh_scope": null,
        "id_token": null,
    });
    let tokens = Tokens::from_json(&stored.to_string()).expect("tokens");
    let client = client(ClientAuth::none());
    assert_eq!(
        code(client.check_owner(&tokens).err()),
        Some("stored.issuer")
    );
    let refresh = tokens.refresh_token.expect("a refresh token");
    let error = client
        .refresh(&refresh)
        .resume(&moment(), Input::Begin)
        .err();
    assert_eq!(code(error), Some("stored.issuer"));
}
