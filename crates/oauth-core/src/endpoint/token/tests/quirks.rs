//! Replies of real servers: each is accepted only with its quirk.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use crate::http::Response;
use serde_json::json;

use super::*;
use crate::client::Client;
use crate::exchange::{Exchange, Input, Step};
use crate::grant::Refresh;
use crate::testing::{at, client, client_with_quirks, json as reply, run_with_reply};
use bytes::Bytes;

fn refresh(client: &Client, reply: Response<Bytes>) -> Result<Tokens, Error> {
    let token = client.refresh_token("r1", Scope::parse("read").unwrap());
    run_with_reply(client.refresh(&token), reply)
}

fn pair(first: &str, second: &str) -> (String, String) {
    (first.to_owned(), second.to_owned())
}

const SLACK: &str = r#"{"ok":true,"authed_user":{"id":"U1","access_token":"xoxp-1","token_type":"user","scope":"chat:write"}}"#;

#[test]
fn nested_token_is_read_under_its_quirk_and_otherwise_named_in_the_error() {
    let user = Quirk::BearerAlias("user".to_owned());
    let inside = Quirk::TokenMember("authed_user".to_owned());
    let slack = client_with_quirks([inside, user]);
    let tokens = refresh(&slack, reply(200, SLACK)).unwrap();
    assert_eq!(tokens.access_token.expose(), "xoxp-1");
    assert_eq!(tokens.scope.as_str(), "chat:write");
    assert_eq!(
        tokens.extra.get("authed_user"),
        Some(&json!({"id": "U1"})),
        "what else stands there is kept, the token is not"
    );
    let error = refresh(&client(), reply(200, SLACK)).unwrap_err();
    assert_eq!(error.code(), "token.missing_access_token");
    assert_eq!(error.detail(), Some("one stands inside `authed_user`"));
    let nowhere = r#"{"authed_user":{"access_token":""}}"#;
    let error = refresh(&slack, reply(200, nowhere)).unwrap_err();
    assert_eq!(
        (error.code(), error.detail()),
        ("token.missing_access_token", None)
    );
}

#[test]
fn top_level_token_takes_precedence_over_a_nested_one() {
    let slack = client_with_quirks([Quirk::TokenMember("authed_user".to_owned())]);
    let both = r#"{"access_token":"xoxb-1","token_type":"Bearer","refresh_token":"r2","authed_user":{"access_token":"xoxp-1","refresh_token":"r3"}}"#;
    let tokens = refresh(&slack, reply(200, both)).unwrap();
    assert_eq!(tokens.access_token.expose(), "xoxb-1");
    assert_eq!(tokens.refresh_token.unwrap().secret().expose(), "r2");
    // Members that describe one token are not applied to another.
    let separate = r#"{"refresh_token":"r2","scope":"a","authed_user":{"access_token":"xoxp-1","token_type":"Bearer","scope":"b"}}"#;
    let tokens = refresh(&slack, reply(200, separate)).unwrap();
    assert_eq!(tokens.scope.as_str(), "b");
}

fn withings() -> Client {
    let (words, expected) = pair("invalid refresh_token", "invalid_grant");
    let (status, valid) = pair("status", "0");
    let (action, request) = pair("action", "requesttoken");
    let (busy, later) = pair("601", "temporarily_unavailable");
    client_with_quirks([
        Quirk::TokenMember("body".to_owned()),
        Quirk::StatusMember(status, valid),
        Quirk::TokenParameter(action, request),
        Quirk::DescriptionMeans(words, expected),
        Quirk::ErrorMeans(busy, later),
    ])
}

#[test]
fn reply_whose_status_member_is_not_the_success_value_is_a_refusal() {
    let valid_token = r#"{"status":0,"body":{"userid":"7","access_token":"n1","refresh_token":"r2","expires_in":10800,"token_type":"Bearer"}}"#;
    let tokens = refresh(&withings(), reply(200, valid_token)).unwrap();
    assert_eq!(tokens.expires_in, Some(10800));
    assert_eq!(tokens.refresh_token.unwrap().secret().expose(), "r2");
    assert_eq!(tokens.extra.get("body"), Some(&json!({"userid": "7"})));

    let refused = |body: &str| refresh(&withings(), reply(200, body)).unwrap_err();
    let dead =
        refused(r#"{"status":503,"body":{},"error":"Invalid Params: Invalid Refresh_Token"}"#);
    let server_error = dead.server_error().unwrap();
    assert_eq!(server_error.error(), Some("503"));
    assert_eq!(
        server_error.description(),
        Some("Invalid Params: Invalid Refresh_Token")
    );
    assert_eq!(
        (dead.code(), dead.advice().as_str()),
        ("denied.invalid_grant", "reauthorize")
    );
    // A token in a refusal is ignored.
    let both = valid_token.replace(r#""status":0"#, r#""status":"100""#);
    let error = refused(&both);
    assert_eq!(error.code(), "denied.other");
    assert_eq!(error.server_error().unwrap().error(), Some("100"));
    assert_eq!(
        refused(r#"{"status":601}"#).code(),
        "denied.temporarily_unavailable"
    );
    assert_eq!(
        refused(r#"{"status":-1}"#).server_error().unwrap().error(),
        Some("-1")
    );
    assert_eq!(
        refused(r#"{"status":false}"#)
            .server_error()
            .unwrap()
            .error(),
        Some("false")
    );
}

/// The value that a request beginning `exchange` sends under this name.
fn parameter_of<E: Exchange>(mut exchange: E, name: &str) -> Result<Option<String>, &'static str> {
    let step = exchange.resume(&at(), Input::Begin);
    match step.map_err(|error| error.code())? {
        Step::Send(request) => {
            let form: Vec<(String, String)> = serde_urlencoded::from_bytes(request.body()).unwrap();
            let named = form.into_iter().find(|(known, _)| known == name);
            Ok(named.map(|(_, value)| value))
        }
        _ => panic!("a request"),
    }
}

#[test]
fn extra_parameter_is_sent_with_every_token_request() {
    let client = withings();
    let token = client.refresh_token("r1", Scope::none());
    let sent = Ok(Some("requesttoken".to_owned()));
    assert_eq!(parameter_of(client.refresh(&token), "action"), sent);
    assert_eq!(
        parameter_of(client.client_credentials(Scope::none()), "action"),
        sent
    );
    let elsewhere = crate::endpoint::introspection::Introspection::new("t");
    assert_eq!(
        parameter_of(client.introspect(elsewhere), "action"),
        Ok(None)
    );
}

#[test]
fn expires_at_member_sets_the_lifetime_only_under_its_quirk() {
    let strava = client_with_quirks([Quirk::ExpiresAtMember("expires_at".to_owned())]);
    let life = |client: &Client, members: &str| {
        let body = format!(r#"{{"access_token":"n1","token_type":"Bearer",{members}}}"#);
        let tokens = refresh(client, reply(200, &body)).unwrap();
        let is_noted = tokens.warnings.contains(&Warning::MalformedExpiresIn);
        (tokens.expires_in, is_noted)
    };
    assert_eq!(
        life(&strava, r#""expires_at":1750003600"#),
        (Some(3600), false)
    );
    assert_eq!(
        life(&strava, r#""expires_at":"1750003600""#),
        (Some(3600), false)
    );
    assert_eq!(life(&client(), r#""expires_at":1750003600"#), (None, false));
    let both = r#""expires_in":1200,"expires_at":1750009999"#;
    assert_eq!(life(&strava, both), (Some(1200), false));
    // A past expiry means that the token has expired, not that its lifetime is unknown.
    assert_eq!(
        life(&strava, r#""expires_at":1749999999"#),
        (Some(0), false)
    );
    for odd in ["3600", "1750003600000", "\"soon\"", "-1", "true"] {
        assert_eq!(
            life(&strava, &format!(r#""expires_at":{odd}"#)),
            (None, true),
            "{odd}"
        );
    }
}

#[test]
fn empty_scope_means_none_granted_or_is_ignored_under_its_quirk() {
    let body = r#"{"access_token":"n1","token_type":"BearerToken","expires_in":"1799","scope":"","refresh_token_expires_in":"0"}"#;
    let alias = || Quirk::BearerAlias("BearerToken".to_owned());
    let apigee = client_with_quirks([alias(), Quirk::EmptyScopeIsAbsent]);
    let tokens = refresh(&apigee, reply(200, body)).unwrap();
    assert_eq!(
        (tokens.scope.as_str(), tokens.expires_in),
        ("read", Some(1799))
    );
    assert_eq!(tokens.refresh_token.unwrap().secret().expose(), "r1");
    let tokens = refresh(&client_with_quirks([alias()]), reply(200, body)).unwrap();
    assert_eq!(tokens.scope.as_str(), "");
}

#[test]
fn error_description_is_mapped_to_a_code_by_its_quirk() {
    let (words, expected) = pair(
        "token request is already being processed",
        "temporarily_unavailable",
    );
    let salesforce = client_with_quirks([Quirk::DescriptionMeans(words, expected)]);
    let error_for = |client: &Client, description: &str| {
        let body = json!({"error": "invalid_grant", "error_description": description});
        let error = refresh(client, reply(400, &body.to_string())).unwrap_err();
        assert_eq!(error.server_error().unwrap().error(), Some("invalid_grant"));
        (error.code(), error.advice().as_str())
    };
    let busy = "Token request is already being processed";
    let dead = ("denied.invalid_grant", "reauthorize");
    assert_eq!(
        error_for(&salesforce, busy),
        ("denied.temporarily_unavailable", "retry")
    );
    assert_eq!(error_for(&salesforce, "expired access/refresh token"), dead);
    assert_eq!(error_for(&client(), busy), dead);
}

/// The scope that a refresh of a token granted for `granted` sends.
fn sent(
    client: &Client,
    granted: &str,
    requested_scope: &str,
) -> Result<Option<String>, &'static str> {
    let token = client.refresh_token("r1", Scope::parse(granted).unwrap());
    let scope = Scope::parse(requested_scope).unwrap();
    parameter_of(client.token(Refresh::new(token), scope), "scope")
}

#[test]
fn scope_aliases_and_prefixes_are_treated_as_equal_under_their_quirk() {
    let (short, long) = pair("email", "https://www.googleapis.com/auth/userinfo.email");
    let prefix = "https://graph.microsoft.com/";
    let quirks = [
        Quirk::ScopeAlias(short, long.clone()),
        Quirk::ScopePrefix(prefix.to_owned()),
    ];
    let known = client_with_quirks(quirks);
    for (granted, token_request) in [
        (long.as_str(), "email"),
        ("email", long.as_str()),
        ("User.Read", "https://graph.microsoft.com/User.Read"),
        ("https://graph.microsoft.com/User.Read", "User.Read"),
    ] {
        assert_eq!(
            sent(&known, granted, token_request),
            Ok(Some(token_request.to_owned())),
            "{token_request}"
        );
        assert_eq!(
            sent(&client(), granted, token_request),
            Err("scope.exceeds_grant"),
            "{token_request}"
        );
        let login = |client: &Client| {
            let exchange = client.client_credentials(Scope::parse(token_request).unwrap());
            let body = json!({"access_token": "n1", "token_type": "Bearer", "scope": granted});
            run_with_reply(exchange, reply(200, &body.to_string()))
                .unwrap()
                .warnings
        };
        assert_eq!(login(&known), [], "{token_request}");
        assert_eq!(login(&client()), [Warning::ScopeWidened], "{token_request}");
    }
    assert_eq!(
        sent(&known, "email", "User.Read"),
        Err("scope.exceeds_grant")
    );
    assert_eq!(
        sent(&known, "User.Read", prefix),
        Err("scope.exceeds_grant")
    );
}

#[test]
fn scope_on_refresh_quirk_sends_the_granted_and_additional_scope() {
    let also = Scope::parse("offline_access").unwrap();
    let entra = client_with_quirks([Quirk::ScopeOnRefresh(also)]);
    let all = "api://app/read offline_access";
    assert_eq!(sent(&entra, "api://app/read", ""), Ok(Some(all.to_owned())));
    assert_eq!(sent(&entra, "a b", "a"), Ok(Some("a".to_owned())));
    assert_eq!(
        sent(&entra, "", ""),
        Ok(None),
        "nothing is known, so nothing is made up"
    );
    assert_eq!(sent(&client(), "api://app/read", ""), Ok(None));
}

#[test]
fn refreshes_any_scope_quirk_allows_scopes_beyond_the_grant() {
    let graph = "https://graph.microsoft.com/.default";
    let entra = client_with_quirks([Quirk::RefreshesAnyScope]);
    assert_eq!(
        sent(&entra, "api://a/read", graph),
        Ok(Some(graph.to_owned()))
    );
    assert_eq!(
        sent(&client(), "api://a/read", graph),
        Err("scope.exceeds_grant")
    );
    // The grant itself is unchanged.
    let token = entra.refresh_token("r1", Scope::parse("api://a/read").unwrap());
    let scope = Scope::parse(graph).unwrap();
    let body = json!({"access_token": "n1", "token_type": "Bearer", "scope": graph, "refresh_token": "r2"});
    let exchange = entra.token(Refresh::new(token), scope);
    let tokens = run_with_reply(exchange, reply(200, &body.to_string())).unwrap();
    assert_eq!(tokens.scope.as_str(), graph);
    assert_eq!(
        tokens.refresh_token.unwrap().scope().as_str(),
        "api://a/read"
    );
}

#[test]
fn without_resource_quirk_omits_the_resource_parameter() {
    let refresh = || {
        let request = TokenRequest::from(Scope::parse("a").unwrap());
        request.resource("https://api.example/").unwrap()
    };
    let usual = client_with_quirks([]).client_credentials(refresh());
    assert_eq!(
        parameter_of(usual, "resource"),
        Ok(Some("https://api.example/".to_owned()))
    );
    let entra = client_with_quirks([Quirk::WithoutResource]);
    assert_eq!(
        parameter_of(entra.client_credentials(refresh()), "resource"),
        Ok(None)
    );
    assert_eq!(
        parameter_of(entra.client_credentials(refresh()), "scope"),
        Ok(Some("a".to_owned()))
    );
}
