//! An API of `django-oauth-toolkit`, which names its authorization server (RFC 9728).

use http::header::WWW_AUTHENTICATE;
use oauth_core::flow::resource::Resource;
use oauth_core::flow::resource_connection::{ClientCandidates, ClientChoice, GrantChoice};
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::protected_resource_metadata::ResourceMatch;
use oauth_core::{
    Client, ClientAuth, ClientId, Error, Scope, connect_resource, danger, discover_resource,
};
use oauth_reqwest::blocking::{Authorized, Driver, GrantSource};
use oauth_reqwest::{AddressPolicy, Options};
use reqwest::blocking::ClientBuilder;

use crate::django::{Django, shared};

fn driver() -> Driver {
    let options = Options::default().addresses(AddressPolicy::Any);
    Driver::with_options(ClientBuilder::new().no_proxy(), options).expect("a driver")
}

fn api(server: &Django) -> String {
    format!("{}/api", server.issuer().trim_end_matches("/o"))
}

fn request(url: &str) -> ResourceDiscoveryRequest {
    let resource = danger::loopback_resource_identifier(url).expect("a resource");
    danger::loopback_resource_discovery(ResourceDiscoveryRequest::new(resource))
}

/// The challenges of a request without a token.
fn challenges(url: &str) -> Vec<Vec<u8>> {
    let client = ClientBuilder::new().no_proxy().build().expect("a client");
    let reply = client.get(url).send().expect("a reply");
    assert_eq!(reply.status(), 401);
    let fields = reply.headers().get_all(WWW_AUTHENTICATE).iter();
    fields.map(|field| field.as_bytes().to_vec()).collect()
}

fn code<T>(result: Result<T, Error>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

#[test]
fn an_api_lists_its_authorization_server() {
    let (server, driver) = (shared(), driver());
    let url = api(server);
    let found = driver
        .run(discover_resource(request(&url)))
        .expect("metadata");
    assert_eq!(found.resource.as_str(), url);
    let issuers: Vec<_> = found
        .authorization_servers
        .iter()
        .map(|issuer| issuer.as_str())
        .collect();
    assert_eq!(issuers, [server.issuer()]);
    let scopes = found.scopes_supported.expect("scopes");
    assert!(scopes.contains("read"), "{scopes:?}");

    let fields = challenges(&url);
    let challenged = || {
        let request = request(&url).challenge(fields.iter().map(Vec::as_slice));
        discover_resource(request.expect("its own origin"))
    };
    let same = driver.run(challenged()).expect("metadata");
    assert_eq!(same.resource, found.resource);
    // The server chose its URL, but on the origin that the caller named, so it may be on this machine.
    let usual = Driver::new(ClientBuilder::new().no_proxy()).expect("a driver");
    let usual = usual.run(challenged()).expect("metadata");
    assert_eq!(usual.resource, found.resource);

    // Its metadata is for the requested path, whatever that is.
    let below = format!("{url}/below");
    let below = driver
        .run(discover_resource(request(&below)))
        .expect("metadata");
    assert_eq!(below.resource.as_str(), format!("{url}/below"));
    let slash = discover_resource(request(&format!("{url}/")));
    assert_eq!(code(driver.run(slash)), Some("resource_metadata.resource"));
    let parent = request(&format!("{url}/")).matching(ResourceMatch::Parent);
    let parent = driver.run(discover_resource(parent)).expect("metadata");
    assert_eq!(parent.resource.as_str(), url);
}

#[test]
fn a_client_connects_and_calls_an_api_known_only_by_its_url() {
    let (server, driver) = (shared(), driver());
    let url = api(server);
    let fields = challenges(&url);
    let id = ClientId::new(server.client_id("machine"));
    let issuer = danger::loopback_issuer(server.issuer()).expect("an issuer");
    let request = danger::loopback_connect_request(&url)
        .and_then(|request| request.challenge(fields.iter().map(Vec::as_slice)))
        .expect("a request")
        .grant(GrantChoice::ClientCredentials)
        .clients(ClientCandidates::preregistered(issuer, id));
    let connection = driver.run(connect_resource(request)).expect("a way");
    let ClientChoice::Registered(registered_client) = &connection.client else {
        panic!("{:?}", connection.client)
    };
    let auth = ClientAuth::basic(server.secret("machine"));
    let client = Client::new(
        connection.server.clone(),
        registered_client.client_id.clone(),
        auth,
    );
    let client = client.expect("a client");
    // It supports more scopes than the client needs.
    let token_request = connection.token_request().expect("a resource");
    let token_request = token_request.scope(Scope::parse("read").expect("a scope"));
    let session = GrantSource::client_credentials(driver.clone(), &client, token_request);
    let resource = Resource::beneath(&connection.resource.resource);
    let authorized = Authorized::new(driver, session, resource);
    let reply = authorized.get(&url).send().expect("a reply");
    let text = reply.text().expect("a string");
    let body_json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(body_json["scope"], "read");
    // Another API on this origin gets nothing.
    let other = authorized
        .get(&format!("{}/userinfo/", server.issuer()))
        .send();
    assert_eq!(code(other), Some("resource.not_covered"));
}
