//! A client that registers itself, and the stored connection.

use super::*;
use crate::client_auth::ClientAuth;
use crate::client_metadata::ClientMetadata;
use crate::http::Response;
use crate::redirect_uri::RedirectUri;
use crate::testing::NOW;
use bytes::Bytes;

const CREATED: &str = r#"{"client_id":"new","redirect_uris":["http://127.0.0.1:7/callback"],
    "token_endpoint_auth_method":"none"}"#;

fn metadata() -> ClientMetadata {
    let callback = RedirectUri::parse("http://127.0.0.1:7/callback").unwrap();
    let mut metadata = ClientMetadata::with_redirect_uris([callback]);
    metadata.token_endpoint_auth_method = Some("none".to_owned());
    metadata
}

/// The requests of a client that registers itself, at an API with this metadata.
pub(super) fn connect_registering(
    request: ConnectRequest,
    resource: &str,
) -> (Vec<(String, String)>, Result<Connection, Error>) {
    let request = request.register(Registration::new(metadata()));
    run_connect(request, json(200, ""), DCR, resource)
}

/// The requests, as method, path and body; the API answers requests without a token with `challenge`.
fn connect_with_challenge(
    request: ConnectRequest,
    challenge: Response<Bytes>,
) -> (Vec<(String, String)>, Result<Connection, Error>) {
    connected_at(request, challenge, DCR)
}

/// [`connect_with_challenge`] at a server with these metadata members.
fn connected_at(
    request: ConnectRequest,
    challenge: Response<Bytes>,
    members: &str,
) -> (Vec<(String, String)>, Result<Connection, Error>) {
    run_connect(request, challenge, members, RESOURCE)
}

fn run_connect(
    request: ConnectRequest,
    challenge: Response<Bytes>,
    members: &str,
    resource: &str,
) -> (Vec<(String, String)>, Result<Connection, Error>) {
    let mut exchange = connect(request);
    let (mut requests, mut input) = (Vec::new(), Input::Begin);
    let outcome = loop {
        input = match exchange.resume(&at(), input) {
            Ok(Step::Send(request)) => {
                let line = format!("{} {}", request.method(), request.uri());
                let reply = match line.as_str() {
                    "GET https://mcp.example/mcp" => challenge.clone(),
                    "POST https://one.example/register" => json(201, CREATED),
                    _ if line.contains("mcp.example") => json(200, resource),
                    _ => json(200, &server("https://one.example", members)),
                };
                let body = String::from_utf8(request.body().to_vec()).unwrap();
                requests.push((line, body));
                Input::Reply(reply)
            }
            Ok(Step::Done(connection)) => break Ok(connection),
            Ok(step) => panic!("{step:?}"),
            Err(error) => break Err(error),
        }
    };
    (requests, outcome)
}

fn unauthorized(challenge: &str) -> Response<Bytes> {
    let reply = Response::builder().status(401);
    let reply = reply.header("www-authenticate", challenge);
    reply.body(Bytes::new()).unwrap()
}

fn lines(requests: &[(String, String)]) -> Vec<&str> {
    requests.iter().map(|(line, _)| line.as_str()).collect()
}

/// Equivalent spellings of a URL are one connection (RFC 3986 section 6.2); different URLs remain distinct.
#[test]
fn equivalent_urls_have_the_same_connection_key() {
    let key = |url: &str| ConnectRequest::new(url).unwrap().key("ann");
    for (one, spellings) in [
        (
            "https://mcp.example/mcp",
            vec![
                "HTTPS://mcp.example/mcp",
                "https://MCP.Example/mcp",
                "https://mcp.example:443/mcp",
            ],
        ),
        (
            "https://mcp.example",
            vec![
                "https://mcp.example/",
                "https://mcp.example:443/",
                "https://Mcp.example",
            ],
        ),
        (
            "https://mcp.example:8443/mcp",
            vec![
                "https://MCP.example:8443/mcp",
                "https://Mcp.Example:8443/mcp",
            ],
        ),
        (
            "https://mcp.example/%7Eann/a%2Fb",
            vec![
                "https://mcp.example/%7eann/a%2fb",
                "https://mcp.example/~ann/a%2fb",
            ],
        ),
    ] {
        for other in spellings {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
    }
    // Records of earlier releases have the key of the exact spelling.
    let former = |url: &str| ConnectRequest::new(url).unwrap().former_key("ann");
    assert_eq!(former("https://mcp.example/mcp"), None);
    assert_eq!(
        former("https://mcp.example/%7Eann").as_deref(),
        Some("_Spx1nnT1e0iGXal4X8-ohOHcMgDW9MLbiID2mBql64")
    );
    let apart = [
        "https://mcp.example",
        "https://mcp.example/mcp",
        "https://mcp.example/mcp/",
        "https://mcp.example/MCP",
        "https://mcp.example:8443/mcp",
        "https://mcp.example/mcp?",
        "https://mcp.example/mcp?a=1",
        "https://mcp.example/mcp?a=%31%26",
        "https://mcp.example/mcp?a=1&",
        "https://mcp.example//mcp",
        "https://mcp.example/a%2Fb",
        "https://mcp.example/a/b",
    ];
    let keys: std::collections::BTreeSet<_> = apart.iter().map(|url| key(url)).collect();
    assert_eq!(keys.len(), apart.len());
}

#[test]
fn challenge_is_requested_and_followed() {
    let metadata_url = "https://mcp.example/about";
    let challenge = unauthorized(&format!(
        r#"Bearer resource_metadata="{metadata_url}", scope="write""#
    ));
    let (requests, outcome) =
        connect_with_challenge(connect_request().asking_for_challenge(), challenge);
    let about = format!("GET {metadata_url}");
    assert_eq!(
        lines(&requests),
        [
            "GET https://mcp.example/mcp",
            about.as_str(),
            "GET https://one.example/.well-known/oauth-authorization-server"
        ]
    );
    assert_eq!(outcome.unwrap().scope.unwrap().as_str(), "write");

    // With a given challenge, no request is sent for it.
    let met = connect_request().asking_for_challenge();
    let met = met.challenge([br#"Bearer scope="b""#.as_slice()]).unwrap();
    let (requests, outcome) = connect_with_challenge(met, unauthorized(r#"Bearer scope="other""#));
    assert_eq!(requests.len(), 2);
    assert_eq!(outcome.unwrap().scope.unwrap().as_str(), "b");

    // An API that needs no authorization, or whose challenge names another origin.
    let (_, outcome) =
        connect_with_challenge(connect_request().asking_for_challenge(), json(200, "{}"));
    assert_eq!(outcome.unwrap().scope.unwrap().as_str(), "a b");
    let elsewhere = unauthorized(r#"Bearer resource_metadata="https://evil.example/""#);
    let (requests, outcome) =
        connect_with_challenge(connect_request().asking_for_challenge(), elsewhere);
    assert_eq!(requests.len(), 1);
    assert_eq!(error_code(outcome).map(drop), Err("resource_metadata.url"));
}

#[test]
fn unknown_client_registers_itself_once() {
    let registration = Registration::new(metadata());
    let narrow = connect_request()
        .challenge([br#"Bearer scope="c""#.as_slice()])
        .unwrap();
    let (requests, outcome) =
        connect_with_challenge(narrow.register(registration.clone()), json(200, ""));
    assert_eq!(
        lines(&requests).last(),
        Some(&"POST https://one.example/register")
    );
    // Registers for every scope that may be requested later.
    let body = &requests.last().unwrap().1;
    assert!(body.contains(r#""scope":"c a b""#), "{body}");
    let connection = outcome.unwrap();
    assert_eq!(connection.scope.as_ref().unwrap().as_str(), "c");
    let client = connection.client(ClientAuth::none()).unwrap();
    assert_eq!(client.client_id().as_str(), "new");
    assert_eq!(client.auth().name(), "none");

    let known = connection.registration.clone().unwrap();
    let again = connect_request()
        .register(registration)
        .registered(known)
        .unwrap();
    let (requests, outcome) = connect_with_challenge(again, json(200, ""));
    assert_eq!(requests.len(), 2);
    assert_eq!(
        outcome.unwrap().registration.unwrap().client_id.as_str(),
        "new"
    );

    // Without metadata, registration is left to the caller.
    let (_, outcome) = connect_with_challenge(connect_request(), json(200, ""));
    let connection = outcome.unwrap();
    let nobody = connection.client(ClientAuth::none());
    assert_eq!(error_code(nobody).map(drop), Err("connect.no_client"));
    assert_eq!(
        error_code(connection.to_json()).map(drop),
        Err("connect.no_client")
    );
}

#[test]
fn registration_requests_the_api_scope_and_the_configured_scope() {
    let mut metadata = metadata();
    metadata.scope = Some(Scope::parse("mine").unwrap());
    let request = connect_request().register(Registration::new(metadata));
    let (requests, _) = connect_with_challenge(request, json(200, ""));
    let body = &requests.last().unwrap().1;
    assert!(body.contains(r#""scope":"a b mine""#), "{body}");
}

/// A server refuses scopes for which the client is not registered, so no user could sign in.
#[test]
fn a_client_that_registered_before_the_server_listed_offline_access_does_not_request_it() {
    let request = || connect_request().register(Registration::new(metadata()));
    let listed = format!(r#"{DCR}"scopes_supported":["a","b","offline_access"],"#);
    let scope = |registered: Option<&str>| {
        let (_, outcome) = connect_with_challenge(request(), json(200, ""));
        let mut known = outcome.unwrap().registration.unwrap();
        known.metadata.scope = registered.map(|scope| Scope::parse(scope).unwrap());
        let again = request().registered(known).unwrap();
        let (_, outcome) = connected_at(again, json(200, ""), &listed);
        outcome.unwrap().scope.unwrap().as_str().to_owned()
    };
    assert_eq!(scope(Some("a b")), "a b");
    assert_eq!(scope(Some("a b offline_access")), "a b offline_access");
    // The server did not state the registered scope.
    assert_eq!(scope(None), "a b offline_access");
}

#[test]
fn device_grant_is_registered_only_where_the_server_supports_it() {
    let device = r#""device_authorization_endpoint":"https://one.example/device","#;
    let others = r#""grant_types_supported":["authorization_code"],"#;
    let grants = |login, members: &str| {
        let request = connect_request().register(Registration::new(metadata()));
        let members = format!("{DCR}{members}");
        let (requests, _) = connected_at(request.login_method(login), json(200, ""), &members);
        requests.last().unwrap().1.contains("device_code")
    };
    assert!(grants(LoginMethod::Device, device));
    assert!(!grants(LoginMethod::Browser, device));
    assert!(!grants(LoginMethod::Device, ""));
    assert!(!grants(LoginMethod::Device, &format!("{device}{others}")));
}

#[test]
fn connection_round_trips_through_storage_with_its_client() {
    let request = connect_request().register(Registration::new(metadata()));
    let (_, outcome) = connect_with_challenge(request, json(200, ""));
    let connection = outcome.unwrap();
    let text = connection.to_json().unwrap();
    let read = Connection::from_json(text.expose()).unwrap();
    assert_eq!(read.client, connection.client);
    assert_eq!(read.resource.metadata, connection.resource.metadata);
    assert_eq!(read.scope, connection.scope);
    assert_eq!(
        read.server.address_policy(),
        RequestAddressPolicy::PublicOnly
    );
    assert_eq!(read.server.metadata(), connection.server.metadata());
    let client = read.client(ClientAuth::none()).unwrap();
    assert_eq!(client.client_id().as_str(), "new");
    assert_eq!(read.to_json().unwrap().expose(), text.expose());

    assert!(read.is_fresh(UnixTime::from_secs(NOW + 86_399)));
    assert!(!read.is_fresh(UnixTime::from_secs(NOW + 86_400)));

    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"grant\":\"authorization_code\"", "\"grant\":\"other\""),
        ("\"client_id\":\"new\",\"registration\"", "\"registration\""),
    ] {
        let other = text.expose().replacen(from, to, 1);
        assert_ne!(&other, text.expose());
        let refused = Connection::from_json(&other);
        assert_eq!(
            error_code(refused).map(drop),
            Err("stored.malformed"),
            "{from}"
        );
    }
}

#[test]
fn server_rules_are_stored_with_the_connection() {
    use crate::quirk::{Quirk, Rules};
    let rules = Rules {
        quirks: vec![Quirk::WithoutResource],
        ..Rules::default()
    };
    let request = connect_request()
        .rules(rules)
        .register(Registration::new(metadata()));
    let (_, outcome) = connect_with_challenge(request, json(200, ""));
    let text = outcome.unwrap().to_json().unwrap();
    let read = Connection::from_json(text.expose()).unwrap();
    assert!(read.server.rules().has(&Quirk::WithoutResource));
}

#[test]
fn connection_with_an_expired_client_secret_is_not_fresh() {
    let request = connect_request().register(Registration::new(metadata()));
    let (_, outcome) = connect_with_challenge(request, json(200, ""));
    let mut connection = outcome.unwrap();
    if let Some(known) = &mut connection.registration {
        known.client_secret_expires_at = Some(UnixTime::from_secs(NOW + 60));
    }
    assert!(connection.is_fresh(UnixTime::from_secs(NOW + 59)));
    assert!(!connection.is_fresh(UnixTime::from_secs(NOW + 60)));
}

#[test]
fn recovery_advice_depends_on_how_the_client_was_obtained() {
    use crate::error::{Cause, ServerError};
    let denied = |code: &str| Error::from(ServerError::from_code(code));
    let request = connect_request().register(Registration::new(metadata()));
    let (_, outcome) = connect_with_challenge(request, json(200, ""));
    let ours = outcome.unwrap();
    let by_hand =
        ClientCandidates::preregistered(issuer("https://one.example"), ClientId::new("id"));
    let (_, outcome) = connect_with_challenge(connect_request().clients(by_hand), json(200, ""));
    let theirs = outcome.unwrap();
    let cases = [
        (denied("invalid_client"), Some(Recovery::Register), None),
        (
            denied("unauthorized_client"),
            Some(Recovery::Register),
            None,
        ),
        (
            denied("invalid_grant"),
            Some(Recovery::Authorize),
            Some(Recovery::Authorize),
        ),
        (denied("invalid_scope"), None, None),
        (Error::lost(Cause::unsent("refused")), None, None),
    ];
    for (error, registered, preregistered) in cases {
        assert_eq!(ours.recovery(&error), registered, "{error}");
        assert_eq!(theirs.recovery(&error), preregistered, "{error}");
    }
    let alone = Connection {
        grant: GrantChoice::ClientCredentials,
        ..theirs
    };
    assert_eq!(alone.recovery(&denied("invalid_grant")), None);
}

#[test]
fn grant_of_another_client_is_replaced_and_kept_when_only_settings_differ() {
    let request = connect_request().register(Registration::new(metadata()));
    let (_, outcome) = connect_with_challenge(request.clone(), json(200, ""));
    let connection = outcome.unwrap();
    let text = connection.to_json().unwrap();
    let other = |from: &str, to: &str| {
        assert!(text.expose().contains(from), "{from}");
        Connection::from_json(&text.expose().replace(from, to)).unwrap()
    };
    let client = other("\"client_id\":\"new\"", "\"client_id\":\"newer\"");
    assert!(connection.is_replaced_by(&client, &request));
    // A different configuration, as in another process during a deployment: each keeps its own tokens.
    let mut otherwise = Connection::from_json(text.expose()).unwrap();
    otherwise.resource_value = Some("api://other".to_owned());
    assert!(!connection.is_replaced_by(&otherwise, &request));
    assert!(!otherwise.is_replaced_by(&connection, &request));

    // The oldest entries are dropped, and the connection's own grant is not among them.
    let names = (0..12).map(|number| format!("g{number}"));
    let next = client.replacing(names.chain(["g3".to_owned()]), "g11");
    let expected: Vec<_> = (3..11).map(|number| format!("g{number}")).collect();
    assert_eq!(next.replaced_grants, expected);
}
