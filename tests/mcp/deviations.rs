//! Deviations of the SDKs' server sides from the specifications, and from one another, as listed in README.md: a
//! failing test means that a version has improved, and its line there can be removed.

use serde_json::json;

use crate::plain_client::{Client, VERIFIER, text};
use crate::servers::{Sdk, Server, shared};
use crate::session::Session;

const ALL: [Sdk; 3] = [Sdk::Python, Sdk::TypeScript, Sdk::Rust];

/// The SDKs whose servers satisfy this.
fn sdks_where(holds: impl Fn(&Server) -> bool) -> Vec<Sdk> {
    ALL.into_iter().filter(|sdk| holds(shared(*sdk))).collect()
}

#[test]
fn some_servers_send_iss_without_advertising_it() {
    let name = "authorization_response_iss_parameter_supported";
    // A login asserts that `iss` is sent.
    let without_announcement = sdks_where(|server| {
        let client = Client::register(server);
        client.login(None);
        client.metadata[name].is_null()
    });
    assert_eq!(without_announcement, [Sdk::Python, Sdk::TypeScript]);
}

#[test]
fn some_servers_append_a_slash_to_the_issuer() {
    let with_slash = sdks_where(|server| {
        let client = Client::register(server);
        text(&client.metadata, "issuer").ends_with('/')
    });
    assert_eq!(with_slash, [Sdk::TypeScript]);
}

#[test]
fn no_server_advertises_client_id_metadata_documents() {
    let silent = sdks_where(|server| {
        let client = Client::register(server);
        client.metadata["client_id_metadata_document_supported"].is_null()
    });
    assert_eq!(silent, ALL);
}

#[test]
fn some_servers_report_a_missing_token_as_invalid_token() {
    let called = sdks_where(|server| {
        let refused = Session::begin(server, None).expect_err("a refusal");
        refused.param("error") == Some("invalid_token")
    });
    assert_eq!(called, [Sdk::Python, Sdk::TypeScript]);
}

#[test]
fn some_servers_omit_the_scope_in_the_first_challenge() {
    let silent = sdks_where(|server| {
        let refused = Session::begin(server, None).expect_err("a refusal");
        refused.scope().is_empty()
    });
    assert_eq!(silent, [Sdk::Python]);
}

#[test]
fn some_servers_refuse_insufficient_scope_without_naming_it() {
    let silent = sdks_where(|server| {
        let client = Client::register(server);
        let tokens = client.login(Some("mcp:secret"));
        let token = text(&tokens, "access_token");
        let refused = Session::begin(server, Some(token)).expect_err("a refusal");
        assert_eq!(
            (refused.status, refused.param("error")),
            (403, Some("insufficient_scope"))
        );
        refused.scope().is_empty()
    });
    assert_eq!(silent, [Sdk::Python]);
}

#[test]
fn some_servers_accept_public_clients_without_advertising_it() {
    let silent = sdks_where(|server| {
        let client = Client::register(server);
        client.login(None);
        let methods = client.metadata["token_endpoint_auth_methods_supported"].as_array();
        !methods.is_some_and(|methods| methods.contains(&json!("none")))
    });
    assert_eq!(silent, [Sdk::Python]);
}

#[test]
fn some_servers_let_no_public_client_revoke() {
    let refusing = sdks_where(|server| {
        let client = Client::register(server);
        let tokens = client.login(None);
        let form = [
            ("client_id", client.id.as_str()),
            ("token", text(&tokens, "refresh_token")),
        ];
        let (status, body) = client.post("revocation_endpoint", &form);
        if status != 200 {
            assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
            // The server expects an empty secret.
            let form = [&form[..], &[("client_secret", "")]].concat();
            assert_eq!(client.post("revocation_endpoint", &form).0, 200);
        }
        assert_eq!(client.refresh(&tokens).0, 400);
        status != 200
    });
    assert_eq!(refusing, [Sdk::Python]);
}

#[test]
fn some_servers_compare_the_port_of_loopback_redirect_uris() {
    let exact = sdks_where(|server| {
        let mut client = Client::register(server);
        client.callback = "http://127.0.0.1:1234/callback".to_owned();
        client.authorize(None, server.url()).status() != 302
    });
    assert_eq!(exact, [Sdk::Python]);
}

/// By RFC 7591 section 2 a client that names no method has `client_secret_basic`.
#[test]
fn some_servers_register_another_default_authentication_method() {
    let outcomes = ALL.map(|sdk| {
        let (_, registered) = Client::register_as(shared(sdk), json!({}));
        assert!(registered["client_secret"].is_string());
        registered["token_endpoint_auth_method"].clone()
    });
    let basic = json!("client_secret_basic");
    assert_eq!(outcomes, [json!("client_secret_post"), json!(null), basic]);
}

/// A refusal with such a header requires 401 and a challenge (RFC 6749 section 5.2).
#[test]
fn some_servers_refuse_a_secret_in_the_authorization_header() {
    let basic = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    let results = ALL.map(|sdk| {
        let (client, registered) = Client::register_as(shared(sdk), basic.clone());
        let code = client.code(None, shared(sdk).url());
        let secret = text(&registered, "client_secret");
        client.redeem_by_basic(&code, VERIFIER, secret)
    });
    assert_eq!(results, [(401, false), (400, false), (200, false)]);
}

#[test]
fn some_servers_bind_sessions_to_the_client() {
    let bound = sdks_where(|server| {
        let [one, other] = [Client::register(server), Client::register(server)];
        let tokens = one.login(None);
        let session = Session::begin(server, Some(text(&tokens, "access_token")));
        let session = session.expect("a session").with_token(&other.login(None));
        match session.echo("hello") {
            Ok(_) => false,
            Err(refused) => {
                assert_eq!(refused.status, 404);
                true
            }
        }
    });
    assert_eq!(bound, [Sdk::Python]);
}

#[test]
fn some_servers_support_a_version_without_sessions() {
    let speaking = sdks_where(|server| {
        let client = Client::register(server);
        let session = Session::none(server, &client.login(None));
        match session.echo("hello") {
            Ok(echoed) => {
                assert_eq!(echoed, "hello");
                let refused = session.call("secret_tool", json!({}));
                let refused = refused.expect_err("a refusal");
                assert_eq!(
                    (refused.status, refused.param("error")),
                    (403, Some("insufficient_scope"))
                );
                true
            }
            Err(refused) => {
                assert_eq!(refused.status, 400);
                false
            }
        }
    });
    assert_eq!(speaking, [Sdk::Python, Sdk::Rust]);
}
