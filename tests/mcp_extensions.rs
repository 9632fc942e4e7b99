//! Rules of MCP's authorization extensions, each with a test named after it: client credentials (`mcp-cc-b`), workload
//! identity (`mcp-wif-a`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use oauth_core::client_auth::{AssertionAudience, ClientAssertion};
use oauth_core::flow::resource_connection::{
    ClientCandidates, ConnectRequest, Connection, GrantChoice,
};
use oauth_core::grant::{JwtBearer, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::{
    Client, ClientAuth, ClientId, Exchange, Input, Moment, Scope, Step, connect_resource,
};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

const API: &str = "https://mcp.example/mcp";
const ISSUER: &str = "https://auth.example";
const TOKEN_ENDPOINT: &str = "https://auth.example/oauth/token";

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [3; 32])
}

/// Runs a connection; returns the requested URLs, and the result.
fn connected() -> (Vec<String>, Connection) {
    let issuer = Issuer::parse(ISSUER).expect("an issuer");
    let candidates = ClientCandidates::preregistered(issuer, ClientId::new("service"));
    let request = ConnectRequest::new(API).expect("an API");
    let request = request
        .grant(GrantChoice::ClientCredentials)
        .clients(candidates);
    let (mut exchange, mut requests, mut input) =
        (connect_resource(request), Vec::new(), Input::Begin);
    loop {
        let request = match exchange.resume(&moment(), input).expect("a step") {
            Step::Send(request) => request,
            Step::Done(connection) => return (requests, connection),
            step => panic!("an odd step: {step:?}"),
        };
        let document = match request.uri().host() {
            Some("mcp.example") => json!({ "resource": API, "authorization_servers": [ISSUER] }),
            _ => json!({
                "issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT, "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            }),
        };
        requests.push(request.uri().to_string());
        let reply = Response::builder().header("content-type", "application/json");
        let reply = reply.body(Bytes::from(document.to_string()));
        input = Input::Reply(reply.expect("a reply"));
    }
}

fn form<E: Exchange>(mut exchange: E) -> (String, Vec<(String, String)>) {
    let Step::Send(request) = exchange.resume(&moment(), Input::Begin).expect("a step") else {
        panic!("a request")
    };
    let form = serde_urlencoded::from_bytes(request.body()).expect("a form");
    (request.uri().to_string(), form)
}

fn key() -> PrivateKey {
    let keys = include_str!("vectors/vectors.json");
    let all: Value = serde_json::from_str(keys).expect("vectors");
    let keys = all.pointer("/keys/client_ec").expect("the client's key");
    PrivateKey::from_jwk(&keys.to_string(), Alg::Es256).expect("a key")
}

/// The audience of the assertion that this client sends for client tokens.
fn audience(connection: &Connection, assertion: ClientAssertion) -> Value {
    let auth = ClientAuth::assertion(assertion);
    let client = Client::new(connection.server.clone(), ClientId::new("service"), auth);
    let request = TokenRequest::from(Scope::none()).resource(API);
    let request = request.expect("a resource");
    let (url, form) = form(client.expect("a client").client_credentials(request));
    assert_eq!(url, TOKEN_ENDPOINT);
    assert!(
        form.contains(&("resource".to_owned(), API.to_owned())),
        "{form:?}"
    );
    let jwt = form.iter().find(|(name, _)| name == "client_assertion");
    let payload = jwt
        .and_then(|(_, jwt)| jwt.split('.').nth(1))
        .expect("an assertion");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: Value = serde_json::from_slice(&payload).expect("claims");
    claims.get("aud").cloned().unwrap_or_default()
}

/// Discovery as usual, and the issuer as the audience, although the extension's guide names the token endpoint, which is
/// an option for servers that require it.
#[test]
fn mcp_cc_b_the_server_is_discovered_and_its_issuer_is_the_audience_by_default() {
    let (requests, connection) = connected();
    let expected = [
        "https://mcp.example/.well-known/oauth-protected-resource/mcp",
        "https://auth.example/.well-known/oauth-authorization-server",
    ];
    assert_eq!(requests, expected);
    assert_eq!(connection.grant, GrantChoice::ClientCredentials);
    let plain = key().client_assertion("k");
    assert_eq!(audience(&connection, plain), ISSUER);
    let insisting = key()
        .client_assertion("k")
        .audience(AssertionAudience::TokenEndpoint);
    assert_eq!(audience(&connection, insisting), TOKEN_ENDPOINT);
}

/// The JWT of a workload is sent unchanged, with the resource; its audience was configured at its platform.
#[test]
fn mcp_wif_a_a_workload_jwt_is_sent_unchanged_with_the_resource() {
    let (_, connection) = connected();
    let client = Client::new(
        connection.server,
        ClientId::new("service"),
        ClientAuth::none(),
    );
    let claims =
        json!({ "iss": "https://platform.example", "sub": "workload", "aud": TOKEN_ENDPOINT });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwt = format!(
        "{}.{}.c2ln",
        part(&json!({ "alg": "ES256" })),
        part(&claims)
    );
    let request = TokenRequest::from(Scope::none())
        .resource(API)
        .expect("a resource");
    let grant = JwtBearer::new(jwt.clone()).expect("a JWT");
    let (url, form) = form(client.expect("a client").token(grant, request));
    assert_eq!(url, TOKEN_ENDPOINT);
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &jwt),
        ("resource", API),
        ("client_id", "service"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form, expected);
}
