#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::json;

use super::*;
use crate::client::Client;
use crate::flow::authorization::{AuthorizationRequest, PendingAuthorization};
use crate::json::{Json, parse};
use crate::quirk::Rules;
use crate::testing::{at, client, client_of, error_code, server};

const CB: &str = "https://app.example/cb";

fn request() -> AuthorizationRequest {
    AuthorizationRequest::new(RedirectUri::parse(CB).unwrap())
}

/// The result of a callback with the right state that arrived in this context.
fn redeem_in(
    request: AuthorizationRequest,
    callback_context: CallbackContext,
) -> Result<(), &'static str> {
    let client = client();
    let (url, pending) = client.authorize(&at(), request).unwrap();
    assert!(!url.as_str().contains("tool") && !url.as_str().contains("user-1"));
    // The flow after a round trip through storage.
    let pending = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
    assert!(!format!("{pending:?}").contains("user-1"));
    let callback = format!("{CB}?code=c&state={}", pending.state().expose());
    error_code(
        client
            .redeem(pending.with_callback_context(callback_context), &callback)
            .map(drop),
    )
}

fn callback_context() -> CallbackContext {
    CallbackContext::default()
}

#[test]
fn callback_in_another_context_is_refused() {
    let begun = || request().in_context("tenant1/tool");
    assert_eq!(
        redeem_in(begun(), callback_context().in_context("tenant1/tool")),
        Ok(())
    );
    for callback_context in [
        callback_context(),
        callback_context().in_context("tenant2/tool"),
        callback_context().in_context(""),
    ] {
        assert_eq!(
            redeem_in(begun(), callback_context),
            Err("callback.context")
        );
    }
    let of_none = redeem_in(request(), callback_context().in_context("tenant1/tool"));
    assert_eq!(of_none, Err("callback.context"), "it was begun in none");
    assert_eq!(redeem_in(request(), callback_context()), Ok(()));
}

#[test]
fn callback_of_another_user_is_refused() {
    let begun = || request().for_user("user-1");
    assert_eq!(
        redeem_in(begun(), callback_context().for_user("user-1")),
        Ok(())
    );
    for callback_context in [
        callback_context(),
        callback_context().for_user("user-2"),
        callback_context().in_context("x"),
    ] {
        assert!(redeem_in(begun(), callback_context).is_err());
    }
    assert_eq!(redeem_in(begun(), callback_context()), Err("callback.user"));
    assert_eq!(
        redeem_in(request(), callback_context().for_user("user-1")),
        Err("callback.user")
    );
    assert!(!format!("{:?}", callback_context().for_user("user-1")).contains("user-1"));
}

#[test]
fn state_is_checked_before_context_and_user() {
    let client = client();
    let begun = request().in_context("a").for_user("u");
    let (_, pending) = client.authorize(&at(), begun).unwrap();
    let judged = client.redeem(pending, &format!("{CB}?code=c&state=another"));
    assert_eq!(error_code(judged.map(drop)), Err("callback.state"));
}

#[test]
fn context_id_is_appended_to_the_redirect_uri_as_one_segment() {
    let base = |text| RedirectUri::parse(text).unwrap();
    for (from, id, uri) in [
        (CB, "tool-a", "https://app.example/cb/tool-a"),
        (CB, "tenant1/tool", "https://app.example/cb/tenant1%2Ftool"),
        (
            "https://app.example/cb/",
            "ä?#",
            "https://app.example/cb/%C3%A4%3F%23",
        ),
        (
            "https://app.example/cb?x=1",
            "a",
            "https://app.example/cb/a?x=1",
        ),
        ("https://app.example", "a", "https://app.example/a"),
        ("com.example.app:/cb", "a", "com.example.app:/cb/a"),
    ] {
        let made = base(from).of_context(id).map(String::from);
        assert_eq!(error_code(made), Ok(uri.to_owned()));
    }
    let long = "x".repeat(257);
    for id in ["", ".", "..", &long] {
        assert_eq!(
            error_code(base(CB).of_context(id)),
            Err("context.identifier")
        );
    }
}

fn context(id: &str, owner: &str, client: &Client) -> ConnectionContext {
    let uri = RedirectUri::parse(CB).unwrap();
    ConnectionContext::new(id, owner, client.server(), client.client_id(), uri).unwrap()
}

/// A server that always returns `iss`.
fn server_with_issuer_parameter() -> Client {
    let text = json!({
        "issuer": "https://as.example", "token_endpoint": "https://as.example/token",
        "authorization_response_iss_parameter_supported": true,
    });
    let text = text.to_string();
    let Ok(Json::Object(document)) = parse(&text) else {
        unreachable!()
    };
    let server = Server::read(server().issuer(), &document, Rules::default());
    client_of(server.unwrap())
}

#[test]
fn contexts_of_different_owners_must_not_share_a_registration() {
    let client = server_with_issuer_parameter();
    let owned = |first, second| {
        let contexts = [context("a", first, &client), context("b", second, &client)];
        error_code(check_contexts(&contexts))
    };
    assert_eq!(owned("o1", "o1"), Ok(()));
    assert_eq!(owned("o1", "o2"), Err("registration.shared"));
}

#[test]
fn shared_redirect_uri_is_refused_unless_all_servers_send_iss() {
    let metadata = json!({"authorization_response_iss_parameter_supported": true});
    let by_hand = client_of(server().with_metadata(metadata.as_object().cloned().unwrap()));
    assert!(by_hand.server().needs_distinct_redirect_uri());
    assert!(client().server().needs_distinct_redirect_uri());
    assert!(
        !server_with_issuer_parameter()
            .server()
            .needs_distinct_redirect_uri()
    );
    let pair = |first: &Client, second: &Client| {
        let mut other = context("b", "o", second);
        let shared = error_code(check_contexts(&[context("a", "o", first), other.clone()]));
        other.redirect_uri = other.redirect_uri.of_context("b").unwrap();
        let apart = error_code(check_contexts(&[context("a", "o", first), other]));
        (shared, apart)
    };
    let (valid, bad) = (server_with_issuer_parameter(), by_hand);
    assert_eq!(pair(&valid, &valid), (Ok(()), Ok(())));
    let refused = (Err("redirect_uri.shared"), Ok(()));
    assert_eq!(pair(&bad, &bad), refused);
    // One server without `iss` endangers the other, in either order.
    assert_eq!(pair(&valid, &bad), refused);
    assert_eq!(pair(&bad, &valid), refused);
}

#[test]
fn duplicate_or_empty_context_ids_are_refused() {
    let client = server_with_issuer_parameter();
    let twice = [context("a", "o", &client), context("a", "o", &client)];
    let error = check_contexts(&twice).unwrap_err();
    assert_eq!(
        (error.code(), error.detail()),
        ("context.identifier", Some("a and a"))
    );
    let uri = RedirectUri::parse(CB).unwrap();
    let unnamed = ConnectionContext::new("", "o", client.server(), client.client_id(), uri);
    assert_eq!(error_code(unnamed.map(drop)), Err("context.identifier"));
}
