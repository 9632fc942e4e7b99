//! The choice among the several authorization servers of an API.

use super::*;

fn request(request: ConnectRequest) -> Result<String, &'static str> {
    let met = connect_to(request, DCR);
    let server = error_code(met.outcome.map(|connection| connection.server));
    server.map(|server| server.issuer().as_str().to_owned())
}

const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

#[test]
fn callers_server_order_takes_precedence_over_the_apis() {
    assert_eq!(request(connect_request()).unwrap(), ONE);
    let allowed =
        |issuers: &[&str]| connect_request().allow(issuers.iter().map(|text| issuer(text)));
    assert_eq!(request(allowed(&[TWO, ONE])).unwrap(), TWO);
    assert_eq!(
        request(allowed(&["https://elsewhere.example", TWO])).unwrap(),
        TWO
    );
    // A client registered at one of them is used.
    let mut clients = ClientCandidates::default();
    clients.registered.push(BoundClient {
        issuer: issuer(ONE),
        client_id: ClientId::new("known"),
    });
    assert_eq!(request(allowed(&[TWO, ONE]).clients(clients)).unwrap(), ONE);
}

#[test]
fn several_servers_are_reported_if_the_caller_wants_to_choose() {
    let choosing = || connect_request().on_several_servers(MultipleServersPolicy::Error);
    let run = connect_to(choosing(), DCR);
    // No server has been contacted.
    assert_eq!(run.requests.len(), 1);
    let error = run.outcome.unwrap_err();
    assert_eq!(error.code(), "connect.several_servers");
    assert_eq!(
        error.detail(),
        Some("https://one.example https://two.example")
    );

    // A caller that has chosen gets no error.
    assert_eq!(request(choosing().allow([issuer(TWO)])).unwrap(), TWO);
    assert_eq!(
        request(choosing().allow([issuer(TWO), issuer(ONE)])).unwrap(),
        TWO
    );
    let by_hand = ClientCandidates::preregistered(issuer(TWO), ClientId::new("id"));
    assert_eq!(request(choosing().clients(by_hand)).unwrap(), TWO);
    let mut clients = ClientCandidates::default();
    clients.registered.push(BoundClient {
        issuer: issuer(TWO),
        client_id: ClientId::new("known"),
    });
    assert_eq!(request(choosing().clients(clients)).unwrap(), TWO);
    // A single server needs no choice.
    let single = r#"{"resource":"https://mcp.example/mcp",
        "authorization_servers":["https://two.example","https://two.example"]}"#;
    let single = connect_with(choosing(), single, DCR).outcome.unwrap();
    assert_eq!(single.server.issuer().as_str(), TWO);
}
