#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod bound;
mod kept;
mod registration_check;
mod server_choice;

use super::*;
use crate::address::RequestAddressPolicy;
use crate::client_id::ClientId;
use crate::exchange::{Input, Step};
use crate::testing::{at, error_code, json};

const RESOURCE: &str = r#"{"resource":"https://mcp.example/mcp","scopes_supported":["a","b"],
    "authorization_servers":["https://one.example","https://two.example"]}"#;
const CIMD: &str = r#""client_id_metadata_document_supported":true,"#;
const DCR: &str = r#""registration_endpoint":"https://one.example/register","#;

fn issuer(text: &str) -> Issuer {
    Issuer::parse(text).unwrap()
}

fn connect_request() -> ConnectRequest {
    ConnectRequest::new("https://mcp.example/mcp").unwrap()
}

fn document() -> Option<ClientId> {
    Some(ClientId::new("https://app.example/client.json"))
}

/// Server metadata with these members.
fn server(issuer: &str, members: &str) -> String {
    format!(
        r#"{{"issuer":"{issuer}",{members}"authorization_endpoint":"{issuer}/authorize",
        "token_endpoint":"{issuer}/token","code_challenge_methods_supported":["S256"]}}"#
    )
}

struct ConnectResult {
    /// The requested hosts and their address policies.
    requests: Vec<(String, RequestAddressPolicy)>,
    outcome: Result<Connection, Error>,
}

/// Connects where the resource returns `resource` and each server returns `members`.
fn connect_with(request: ConnectRequest, resource: &str, members: &str) -> ConnectResult {
    let mut exchange = connect(request);
    let (mut requests, mut input) = (Vec::new(), Input::Begin);
    let outcome = loop {
        input = match exchange.resume(&at(), input) {
            Ok(Step::Send(request)) => {
                let host = request.uri().host().unwrap().to_owned();
                let reach = request.extensions().get().copied().unwrap_or_default();
                let reply = match host.as_str() {
                    "mcp.example" => json(200, resource),
                    host => json(200, &server(&format!("https://{host}"), members)),
                };
                requests.push((host, reach));
                Input::Reply(reply)
            }
            Ok(Step::Done(connection)) => break Ok(connection),
            Ok(step) => panic!("{step:?}"),
            Err(error) => break Err(error),
        }
    };
    ConnectResult { requests, outcome }
}

fn connect_to(request: ConnectRequest, members: &str) -> ConnectResult {
    connect_with(request, RESOURCE, members)
}

#[test]
fn connection_discovers_the_server_scope_and_resource() {
    let met = connect_to(connect_request(), DCR);
    let hosts = [
        ("mcp.example".to_owned(), RequestAddressPolicy::Any),
        ("one.example".to_owned(), RequestAddressPolicy::PublicOnly),
    ];
    assert_eq!(met.requests, hosts);
    let connection = met.outcome.unwrap();
    assert_eq!(connection.server.issuer().as_str(), "https://one.example");
    // The address policy of the server also applies to its endpoints.
    assert_eq!(
        connection.server.address_policy(),
        RequestAddressPolicy::PublicOnly
    );
    assert_eq!(connection.scope.as_ref().map(Scope::as_str), Some("a b"));
    let register = "https://one.example/register".parse().unwrap();
    assert_eq!(connection.client, ClientChoice::Register(register));
    let request = connection.token_request().unwrap();
    let resources: Vec<_> = request
        .values_of("resource")
        .map(|uri| uri.expose().as_str())
        .collect();
    assert_eq!(resources, ["https://mcp.example/mcp"]);
}

#[test]
fn extension_capability_depends_on_the_grant() {
    let declared = |grant: GrantChoice| grant.extension().map(Extension::capability);
    assert_eq!(declared(GrantChoice::AuthorizationCode), None);
    assert_eq!(
        declared(GrantChoice::ClientCredentials),
        Some("io.modelcontextprotocol/oauth-client-credentials")
    );
    assert_eq!(
        declared(GrantChoice::IdentityAssertion),
        Some("io.modelcontextprotocol/enterprise-managed-authorization")
    );
}

#[test]
fn client_is_chosen_by_registration_then_document_then_dynamic_registration() {
    let everything = || ClientCandidates {
        registered: vec![BoundClient {
            issuer: issuer("https://one.example"),
            client_id: ClientId::new("before"),
        }],
        metadata_document: document(),
        ..ClientCandidates::preregistered(issuer("https://one.example"), ClientId::new("by-hand"))
    };
    let both = format!("{CIMD}{DCR}");
    let chosen = |identities: ClientCandidates, members: &str| {
        connect_to(connect_request().clients(identities), members)
            .outcome
            .unwrap()
            .client
    };
    let id = |choice: ClientChoice| match choice {
        ClientChoice::Registered(client) => client.client_id.as_str().to_owned(),
        ClientChoice::MetadataDocument(id) => id.as_str().to_owned(),
        ClientChoice::Register(_) => "register".to_owned(),
        ClientChoice::Ask => "ask".to_owned(),
    };
    let mut remaining = everything();
    assert_eq!(id(chosen(remaining.clone(), &both)), "by-hand");
    remaining.preregistered = None;
    assert_eq!(id(chosen(remaining.clone(), &both)), "before");
    remaining.registered.clear();
    assert_eq!(
        id(chosen(remaining.clone(), &both)),
        "https://app.example/client.json"
    );
    assert_eq!(id(chosen(remaining.clone(), DCR)), "register");
    remaining.metadata_document = None;
    assert_eq!(id(chosen(remaining.clone(), &both)), "register");
    remaining.dynamic_registration = DynamicRegistration::Never;
    assert_eq!(id(chosen(remaining.clone(), &both)), "ask");
    assert_eq!(id(chosen(ClientCandidates::default(), "")), "ask");
}

#[test]
fn preregistered_client_is_used_only_at_its_own_server() {
    // The second of the API's servers is the known one, so it is used with its own credentials.
    let second =
        ClientCandidates::preregistered(issuer("https://two.example"), ClientId::new("id"));
    let known = connect_to(connect_request().clients(second), DCR);
    assert_eq!(
        known.requests.last(),
        Some(&("two.example".to_owned(), RequestAddressPolicy::Any))
    );
    let two = known.outcome.unwrap();
    assert_eq!(two.server.issuer().as_str(), "https://two.example");

    // No other server's metadata is requested.
    let moved = ClientCandidates::preregistered(issuer("https://old.example"), ClientId::new("id"));
    let moved = connect_to(connect_request().clients(moved), DCR);
    assert_eq!(moved.requests.len(), 1);
    assert_eq!(error_code(moved.outcome).map(drop), Err("connect.issuer"));

    // A direct call of `select_server` returns the same error.
    let known = ClientCandidates::preregistered(issuer("https://old.example"), ClientId::new("id"));
    let new = Server::new(issuer("https://new.example"));
    let refused = known.choose(GrantChoice::AuthorizationCode, &new);
    assert_eq!(error_code(refused).map(drop), Err("connect.issuer"));

    let registered = ClientCandidates {
        registered: vec![
            BoundClient {
                issuer: issuer("https://old.example"),
                client_id: ClientId::new("old"),
            },
            BoundClient {
                issuer: issuer("https://two.example"),
                client_id: ClientId::new("two"),
            },
        ],
        ..ClientCandidates::default()
    };
    let two = connect_to(connect_request().clients(registered), DCR)
        .outcome
        .unwrap();
    let ClientChoice::Registered(client) = two.client else {
        panic!("{:?}", two.client)
    };
    assert_eq!(client.client_id.as_str(), "two");
    assert_eq!(&client.issuer, two.server.issuer());
}

#[test]
fn disallowed_servers_are_not_contacted() {
    let second = connect_to(connect_request().allow([issuer("https://two.example")]), "");
    assert_eq!(
        second.requests.last(),
        Some(&("two.example".to_owned(), RequestAddressPolicy::Any))
    );
    assert!(second.outcome.is_ok());
    let none = connect_to(
        connect_request().allow([issuer("https://mine.example")]),
        "",
    );
    assert_eq!(none.requests.len(), 1);
    assert_eq!(
        error_code(none.outcome).map(drop),
        Err("connect.server_not_allowed")
    );
    // A client registered at a disallowed server is not used.
    let known = ClientCandidates::preregistered(issuer("https://one.example"), ClientId::new("id"));
    let request = connect_request()
        .clients(known)
        .allow([issuer("https://two.example")]);
    assert_eq!(
        error_code(connect_to(request, "").outcome).map(drop),
        Err("connect.issuer")
    );
    let silent = r#"{"resource":"https://mcp.example/mcp"}"#;
    let silent = connect_with(connect_request(), silent, "");
    assert_eq!(
        error_code(silent.outcome).map(drop),
        Err("resource_metadata.no_authorization_server")
    );
}

#[test]
fn server_without_s256_or_the_grant_is_refused() {
    let without = |old: &str, new: &str| {
        let mut exchange = connect(connect_request());
        let mut input = Input::Begin;
        loop {
            input = match exchange.resume(&at(), input) {
                Ok(Step::Send(request)) if request.uri().host() == Some("mcp.example") => {
                    Input::Reply(json(200, RESOURCE))
                }
                Ok(Step::Send(_)) => {
                    let text = server("https://one.example", "").replace(old, new);
                    Input::Reply(json(200, &text))
                }
                Ok(step) => panic!("{step:?}"),
                Err(error) => return error.code(),
            }
        }
    };
    assert_eq!(
        without("code_challenge_methods_supported", "x"),
        "pkce.unsupported"
    );
    assert_eq!(without("S256", "plain"), "pkce.s256_unsupported");
    // Nobody registers a client, or signs in, to learn that there are no tokens.
    assert_eq!(without("token_endpoint\"", "x\""), "endpoint.missing");

    let refused = connect_to(connect_request().grant(GrantChoice::IdentityAssertion), "").outcome;
    assert_eq!(
        error_code(refused).map(drop),
        Err("connect.grant_not_supported")
    );
    let profiles = format!(r#""authorization_grant_profiles_supported":["{ID_JAG}"],"#);
    let vouched = connect_to(
        connect_request().grant(GrantChoice::IdentityAssertion),
        &profiles,
    )
    .outcome;
    assert_eq!(vouched.unwrap().grant, GrantChoice::IdentityAssertion);

    let itself = connect_to(connect_request().grant(GrantChoice::ClientCredentials), DCR).outcome;
    assert_eq!(
        error_code(itself).map(drop),
        Err("client_auth.no_usable_method")
    );
    let by_hand =
        ClientCandidates::preregistered(issuer("https://one.example"), ClientId::new("id"));
    let itself = connect_request()
        .grant(GrantChoice::ClientCredentials)
        .clients(by_hand);
    assert!(connect_to(itself, DCR).outcome.is_ok());
}

#[test]
fn challenge_sets_the_metadata_url_and_scope() {
    let metadata_url = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
    let field = format!("Bearer scope=\"x\", resource_metadata=\"{metadata_url}\"");
    let challenged = connect_request().challenge([field.as_bytes()]).unwrap();
    let challenged = challenged.with_granted_scope(Scope::parse("a").unwrap());
    let run = connect_to(challenged, "");
    assert_eq!(
        run.requests.first(),
        Some(&("mcp.example".to_owned(), RequestAddressPolicy::Any))
    );
    let scope = run.outcome.unwrap().scope;
    assert_eq!(scope.as_ref().map(Scope::as_str), Some("a x"));

    let elsewhere =
        connect_request().challenge([&b"Bearer resource_metadata=\"https://evil.example/\""[..]]);
    assert_eq!(
        error_code(elsewhere).map(drop),
        Err("resource_metadata.url")
    );

    // Without such a statement, the default applies.
    let offline = connect_request();
    let listed = r#""scopes_supported":["offline_access"],"#;
    for (members, scope) in [(listed, "a b offline_access"), ("", "a b")] {
        let scopes = connect_to(offline.clone(), members).outcome.unwrap().scope;
        assert_eq!(scopes.as_ref().map(Scope::as_str), Some(scope));
    }
    let as_given = offline.clone().offline(OfflineAccess::AsGiven);
    let scopes = connect_to(as_given, listed).outcome.unwrap().scope;
    assert_eq!(scopes.as_ref().map(Scope::as_str), Some("a b"));
    // A client that acts for itself needs no offline access: there is no user who could be absent.
    let by_hand =
        ClientCandidates::preregistered(issuer("https://one.example"), ClientId::new("id"));
    let itself = offline
        .grant(GrantChoice::ClientCredentials)
        .clients(by_hand);
    let scopes = connect_to(itself, listed).outcome.unwrap().scope;
    assert_eq!(scopes.as_ref().map(Scope::as_str), Some("a b"));
}

#[test]
fn step_up_budget_refuses_empty_repeated_and_excessive_requests() {
    let scope = |names: &str| Scope::parse(names).unwrap();
    let mut budget = StepUpBudget::new(scope("a"));
    assert_eq!(error_code(budget.next(None)), Err("step_up.empty"));
    assert_eq!(
        error_code(budget.next(Some(&Scope::none()))),
        Err("step_up.empty")
    );
    assert_eq!(
        error_code(budget.next(Some(&scope("a")))),
        Err("step_up.repeated")
    );
    assert_eq!(budget.next(Some(&scope("b"))).unwrap().as_str(), "a b");
    assert_eq!(
        error_code(budget.next(Some(&scope("b")))),
        Err("step_up.repeated")
    );
    assert_eq!(budget.next(Some(&scope("c"))).unwrap().as_str(), "a b c");
    assert_eq!(
        error_code(budget.next(Some(&scope("d")))),
        Err("step_up.limit")
    );
}

/// A development setup: one program on one local port is both the API and its server.
#[test]
fn endpoints_on_the_apis_own_loopback_origin_are_allowed() {
    let api = "http://127.0.0.1:8080";
    let request = crate::danger::loopback_connect_request(&format!("{api}/mcp")).unwrap();
    let metadata_url = format!("{api}/.well-known/oauth-protected-resource/mcp");
    let field = format!("Bearer resource_metadata=\"{metadata_url}\"");
    let mut exchange = connect(request.challenge([field.as_bytes()]).unwrap());
    let mut reaches = Vec::<RequestAddressPolicy>::new();
    let mut input = Input::Begin;
    let connection = loop {
        input = match exchange.resume(&at(), input).unwrap() {
            Step::Send(request) => {
                let reach = request.extensions().get().copied();
                reaches.push(reach.unwrap_or_default());
                let path = request.uri().path();
                Input::Reply(if path.starts_with("/.well-known/oauth-protected") {
                    json(
                        200,
                        &format!(r#"{{"resource":"{api}/mcp","authorization_servers":["{api}"]}}"#),
                    )
                } else {
                    json(
                        200,
                        &server(api, r#""jwks_uri":"http://127.0.0.1:22/keys","#),
                    )
                })
            }
            Step::Done(connection) => break connection,
            step => panic!("{step:?}"),
        };
    };
    assert_eq!(
        reaches,
        [RequestAddressPolicy::Any, RequestAddressPolicy::Any]
    );
    let identities =
        ClientCandidates::preregistered(connection.server.issuer().clone(), "id".into());
    let client = identities.choose(GrantChoice::AuthorizationCode, &connection.server);
    let known = Connection {
        client: client.unwrap(),
        ..connection
    };
    let stored = Connection::from_json(known.to_json().unwrap().expose()).unwrap();
    for server in [&known.server, &stored.server] {
        let policy_for = |url: &str| server.address_policy_for(&url.parse().unwrap());
        assert_eq!(
            policy_for(&format!("{api}/token")),
            RequestAddressPolicy::Any
        );
        // Anything else is untrusted: another port, scheme or host.
        for elsewhere in [
            "http://127.0.0.1:22/keys",
            "https://127.0.0.1:8080/token",
            "http://127.0.0.2:8080/token",
        ] {
            assert_eq!(
                policy_for(elsewhere),
                RequestAddressPolicy::PublicOnly,
                "{elsewhere}"
            );
        }
    }
}

/// The result for an API without metadata that answers an unauthorized request with this status.
fn connect_without_metadata(status: u16) -> Result<Connection, Error> {
    let mut exchange = connect(connect_request().asking_for_challenge());
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&at(), input) {
            Ok(Step::Send(request)) if request.uri().path() == "/mcp" => {
                Input::Reply(json(status, "{}"))
            }
            Ok(Step::Send(_)) => Input::Reply(json(404, "{}")),
            Ok(Step::Done(connection)) => break Ok(connection),
            Ok(step) => panic!("{step:?}"),
            Err(error) => break Err(error),
        }
    }
}

#[test]
fn accessible_api_without_metadata_is_reported_as_unprotected() {
    for status in [200, 204, 405, 406] {
        assert_eq!(
            error_code(connect_without_metadata(status).map(drop)),
            Err("connect.not_protected"),
            "{status}"
        );
    }
    // It requires a token, does not exist, or did not respond.
    for status in [401, 403, 404, 500] {
        assert_eq!(
            error_code(connect_without_metadata(status).map(drop)),
            Err("denied.http_status"),
            "{status}"
        );
    }
}
