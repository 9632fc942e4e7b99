//! Checks that every one of these servers passes.

use std::net::TcpStream;

use serde_json::{Value, json};
use url::Url;

use crate::plain_client::{Client, VERIFIER, text};
use crate::servers::Server;
use crate::session::Session;

const BOTH: &str = "mcp:tools mcp:secret";

fn begin(server: &Server, tokens: &Value) -> Session {
    let session = Session::begin(server, Some(text(tokens, "access_token")));
    session.expect("a session")
}

/// Checks the counts of these events; all others must be zero.
fn assert_counts(server: &Server, expected: &[(&str, u64)]) {
    let expected = expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    assert_eq!(server.counts(), expected.collect());
}

pub(crate) fn the_challenge_of_a_call_without_a_token_names_the_metadata(server: Server) {
    let refused = Session::begin(&server, None).expect_err("a refusal");
    assert_eq!(refused.status, 401);
    let url = Url::parse(server.url()).expect("a URL");
    let place = url.join("/.well-known/oauth-protected-resource/mcp");
    assert_eq!(
        refused.param("resource_metadata"),
        place.ok().as_ref().map(Url::as_str)
    );

    let client = Client::register(&server);
    assert_eq!(client.resource["resource"], server.url());
    assert_eq!(
        client.resource["authorization_servers"],
        json!([client.metadata["issuer"]])
    );
    assert_eq!(
        client.metadata["code_challenge_methods_supported"],
        json!(["S256"])
    );
    assert_counts(&server, &[("registrations", 1)]);

    let unknown = Session::begin(&server, Some("unknown")).expect_err("a refusal");
    assert_eq!(
        (unknown.status, unknown.param("error")),
        (401, Some("invalid_token"))
    );
}

pub(crate) fn a_registered_client_logs_in_and_calls_a_tool(server: Server) {
    let client = Client::register(&server);
    let tokens = client.login(None);
    assert_eq!(
        (&tokens["scope"], &tokens["expires_in"]),
        (&json!("mcp:tools"), &json!(3600))
    );
    let session = begin(&server, &tokens);
    for message in ["hello", "and once more: +%/&"] {
        assert_eq!(session.echo(message).expect("an answer"), message);
    }
    assert_counts(
        &server,
        &[
            ("registrations", 1),
            ("authorizations", 1),
            ("code_redemptions", 1),
            ("tool_calls", 2),
        ],
    );
}

pub(crate) fn a_code_is_redeemed_once_with_its_verifier(server: Server) {
    let client = Client::register(&server);
    let code = client.code(None, server.url());
    let wrong = VERIFIER.replace('a', "b");
    for (verifier, expected) in [
        (wrong.as_str(), "invalid_grant"),
        (VERIFIER, ""),
        (VERIFIER, "invalid_grant"),
    ] {
        let (status, reply) = client.redeem(&code, verifier);
        let error = reply["error"].as_str().unwrap_or_default();
        assert_eq!(
            (status == 200, error),
            (expected.is_empty(), expected),
            "{reply}"
        );
    }
    assert_eq!(server.counts()["code_redemptions"], 1);
}

pub(crate) fn expired_tokens_are_refused_and_renewed(server: Server) {
    let client = Client::register(&server);
    let tokens = client.login(None);
    let session = begin(&server, &tokens);
    server.steer("expire_tokens");
    let refused = session.echo("hello").expect_err("a refusal");
    assert_eq!(
        (refused.status, refused.param("error")),
        (401, Some("invalid_token"))
    );

    let (status, renewed) = client.refresh(&tokens);
    assert_eq!(status, 200, "{renewed}");
    assert_ne!(renewed["access_token"], tokens["access_token"]);
    assert_ne!(renewed["refresh_token"], tokens["refresh_token"]);
    // The session belongs to the client, whichever token it sends.
    let session = session.with_token(&renewed);
    assert_eq!(session.echo("hello").expect("an answer"), "hello");
    let counts = server.counts();
    assert_eq!((counts["refreshes"], counts["tool_calls"]), (1, 1));
}

pub(crate) fn a_refresh_token_is_accepted_once(server: Server) {
    let client = Client::register(&server);
    let first = client.login(None);
    let (_, second) = client.refresh(&first);
    let session = begin(&server, &second);
    for spent in [&first, &second] {
        let (status, reply) = client.refresh(spent);
        assert_eq!((status, &reply["error"]), (400, &json!("invalid_grant")));
    }
    assert_eq!(session.echo("hello").expect_err("a refusal").status, 401);
    let counts = server.counts();
    assert_eq!(
        (counts["refreshes"], counts["refresh_token_reuses"]),
        (1, 1)
    );
}

pub(crate) fn the_lifetime_of_tokens_can_be_set(server: Server) {
    let client = Client::register(&server);
    server.steer("access_token_seconds/7");
    let tokens = client.login(None);
    assert_eq!(tokens["expires_in"], 7);
    server.steer("access_token_seconds/900");
    let (_, renewed) = client.refresh(&tokens);
    assert_eq!(renewed["expires_in"], 900);
}

pub(crate) fn a_forgotten_client_is_refused_and_can_register_again(server: Server) {
    let client = Client::register(&server);
    let tokens = client.login(None);
    let session = begin(&server, &tokens);
    server.steer("forget_clients");
    assert_eq!(session.echo("hello").expect_err("a refusal").status, 401);
    let (status, refused) = client.refresh(&tokens);
    assert!(matches!(status, 400 | 401), "{status}");
    assert_eq!(refused["error"], "invalid_client");
    // There is no redirect to an unknown client.
    assert_eq!(client.authorize(None, server.url()).status(), 400);

    let again = Client::register(&server);
    assert_ne!(again.id, client.id);
    let session = begin(&server, &again.login(None));
    assert_eq!(session.echo("hello").expect("an answer"), "hello");
    assert_counts(
        &server,
        &[
            ("registrations", 2),
            ("authorizations", 2),
            ("code_redemptions", 2),
            ("tool_calls", 1),
        ],
    );
}

pub(crate) fn the_secret_tool_requires_more_scope(server: Server) {
    let client = Client::register(&server);
    let session = begin(&server, &client.login(None));
    let refused = session
        .call("secret_tool", json!({}))
        .expect_err("a refusal");
    assert_eq!(
        (refused.status, refused.param("error")),
        (403, Some("insufficient_scope"))
    );
    assert_eq!(refused.scope(), ["mcp:secret", "mcp:tools"]);
    let without = Session::begin(&server, None).expect_err("a refusal");
    assert_eq!(
        refused.param("resource_metadata"),
        without.param("resource_metadata")
    );
    assert_eq!(session.echo("hello").expect("an answer"), "hello");

    let more = client.login(Some(BOTH));
    assert_eq!(more["scope"], BOTH);
    let session = session.with_token(&more);
    let secret = session.call("secret_tool", json!({}));
    assert_eq!(secret.expect("an answer"), "a secret");
    assert_eq!(server.counts()["tool_calls"], 2);
}

pub(crate) fn a_required_scope_that_no_token_has_is_refused(server: Server) {
    let client = Client::register(&server);
    let session = begin(&server, &client.login(Some(BOTH)));
    server.steer("require_scope/mcp:never");
    let refused = session
        .call("secret_tool", json!({}))
        .expect_err("a refusal");
    assert_eq!(
        (refused.status, refused.scope()),
        (403, vec!["mcp:never", "mcp:tools"])
    );
    server.steer("require_scope/mcp:secret");
    assert!(session.call("secret_tool", json!({})).is_ok());
}

pub(crate) fn a_token_for_another_resource_is_refused(server: Server) {
    let client = Client::register(&server);
    let code = client.code(None, "https://other.example/mcp");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client.id.as_str()),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
        ("redirect_uri", "http://127.0.0.1/callback"),
    ];
    let (status, tokens) = client.post("token_endpoint", &form);
    assert_eq!(status, 200, "{tokens}");
    let refused = Session::begin(&server, Some(text(&tokens, "access_token")));
    let refused = refused.expect_err("a refusal");
    assert_eq!(
        (refused.status, refused.param("error")),
        (401, Some("invalid_token"))
    );
}

pub(crate) fn the_server_stops_when_its_standard_input_closes(server: Server) {
    let url = Url::parse(server.url()).expect("a URL");
    let place = ("127.0.0.1", url.port().expect("a port"));
    assert!(TcpStream::connect(place).is_ok());
    // Even with an open session.
    let session = begin(&server, &Client::register(&server).login(None));
    drop(server);
    assert!(TcpStream::connect(place).is_err());
    drop(session);
}
