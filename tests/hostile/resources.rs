//! Attacks by an API, or by an attacker in its place, on a client that discovers its authorization server. The prefixes
//! of the test names are the ids in the project's list of attacks on OAuth clients.

use axum::routing::get;
use axum::{Json, Router};
use oauth_core::flow::resource::Resource;
use oauth_core::flow::resource_connection::{ClientCandidates, ConnectRequest};
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::protected_resource_metadata::ProtectedResourceMetadata;
use oauth_core::url::Url;
use oauth_core::{ClientId, Error, Scope, connect_resource, danger, discover_resource};
use oauth_reqwest::{AddressPolicy, Authorized, GrantSource, Options, Transport};
use oauth_testkit::Fault;
use serde_json::json;
use tokio::net::TcpListener;

use crate::Party;

const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/api/echo";

impl Party {
    fn api(&self) -> String {
        format!("{}/api/echo", self.served.base())
    }

    /// The challenges of the API.
    async fn challenges(&self) -> Vec<Vec<u8>> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let reply = http.get(self.api()).send().await.expect("a reply");
        let fields = reply.headers().get_all("www-authenticate").iter();
        fields.map(|field| field.as_bytes().to_vec()).collect()
    }

    fn discovery_request(&self) -> ResourceDiscoveryRequest {
        let resource = danger::loopback_resource_identifier(&self.api()).expect("a resource");
        danger::loopback_resource_discovery(ResourceDiscoveryRequest::new(resource))
    }

    async fn discover(&self) -> Result<ProtectedResourceMetadata, Error> {
        self.driver
            .run(discover_resource(self.discovery_request()))
            .await
    }

    fn connect_request(&self) -> ConnectRequest {
        danger::loopback_connect_request(&self.api()).expect("a request")
    }
}

fn code<T>(result: Result<T, Error>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

/// Redirects of resource metadata are not followed.
#[tokio::test]
async fn c1_redirects_of_resource_metadata_are_not_followed() {
    let (party, evil) = (Party::new().await, Party::new().await);
    let location = format!("{}{METADATA_PATH}", evil.served.base());
    party.served.with(|twin| {
        twin.inject(Fault::RedirectTo {
            location,
            status: 302,
        })
    });
    assert_eq!(code(party.discover().await), Some("reply.redirect"));
    assert_eq!(
        (party.requests(METADATA_PATH), evil.requests(METADATA_PATH)),
        (1, 0)
    );
}

/// SSRF: a challenge that names a URL of a cloud's instance metadata service is refused before anything is sent.
#[tokio::test]
async fn c3_a_challenge_cannot_point_to_another_origin() {
    let party = Party::new().await;
    let evil = Party::new().await;
    for url in [
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://evil.example/".to_owned(),
        format!("{}{METADATA_PATH}", evil.served.base()),
    ] {
        party
            .served
            .with(|twin| twin.inject(Fault::OtherResourceMetadata { url: url.clone() }));
        let fields = party.challenges().await;
        let refused = party
            .discovery_request()
            .challenge(fields.iter().map(Vec::as_slice));
        assert_eq!(code(refused), Some("resource_metadata.url"), "{url}");
    }
    assert_eq!(
        (party.requests(METADATA_PATH), evil.requests(METADATA_PATH)),
        (0, 0)
    );
}

/// An API on its own port, which names `issuer` as its authorization server.
async fn api_naming(issuer: &str) -> ConnectRequest {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api = format!("http://{}/mcp", listener.local_addr().expect("its own"));
    let document = json!({ "resource": api, "authorization_servers": [issuer] });
    let document_path = "/.well-known/oauth-protected-resource/mcp";
    let router = Router::new().route(document_path, get(async move || Json(document)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    danger::loopback_connect_request(&api).expect("a request")
}

/// No request is sent to an authorization server on this machine that only an API names, unless the caller has named it
/// too, or allows any address.
#[tokio::test]
async fn c3_a_private_authorization_server_named_only_by_the_api_is_not_contacted() {
    let party = Party::new().await;
    let metadata_path = "/.well-known/oauth-authorization-server";
    let before = party.requests(metadata_path);
    let request = api_naming(party.served.base()).await;
    let refused = party.driver.run(connect_resource(request.clone())).await;
    assert_eq!(code(refused), Some("lost.not_public"));
    assert_eq!(party.requests(metadata_path), before);

    let issuer = danger::loopback_issuer(party.served.base()).expect("an issuer");
    let allowed = request.clone().allow([issuer]);
    let connection = party
        .driver
        .run(connect_resource(allowed))
        .await
        .expect("a connection");
    assert_eq!(connection.server.issuer().as_str(), party.served.base());
    let any = Options::default().addresses(AddressPolicy::Any);
    let any = Transport::default().without_proxy().options(any);
    let any = any.driver().expect("a driver");
    let connection = any
        .run(connect_resource(request))
        .await
        .expect("a connection");

    // The same rule applies to the token endpoint in its metadata.
    let client = party.client.clone();
    let named = oauth_core::Client::new(
        connection.server,
        client.client_id().clone(),
        client.auth().clone(),
    );
    let exchange = named.expect("a client").client_credentials(Scope::none());
    assert_eq!(
        code(party.driver.run(exchange).await),
        Some("lost.not_public")
    );
    assert_eq!(party.requests("/token"), 0);
}

/// URLs on the API's own origin are allowed, since the caller has named it: a program under development may have its
/// server beside its API on one port of this machine.
#[tokio::test]
async fn c3_private_urls_on_the_callers_own_origin_are_permitted() {
    let party = Party::new().await;
    let fields = party.challenges().await;
    let request = party
        .connect_request()
        .challenge(fields.iter().map(Vec::as_slice))
        .expect("its own");
    let connection = party.driver.run(connect_resource(request)).await;
    let connection = connection.expect("a connection");
    let client = party.client.clone();
    let named = oauth_core::Client::new(
        connection.server,
        client.client_id().clone(),
        client.auth().clone(),
    );
    let exchange = named.expect("a client").client_credentials(Scope::none());
    let _outcome = party.driver.run(exchange).await;
    assert_eq!(party.requests("/token"), 1);
}

/// A fake API: metadata of a different resource is not used, and no token is requested.
#[tokio::test]
async fn c5_metadata_of_another_resource_is_not_used() {
    let party = Party::new().await;
    for (fault, refused) in [
        (Fault::OtherResource, "resource_metadata.resource"),
        (
            Fault::NoAuthorizationServer,
            "resource_metadata.no_authorization_server",
        ),
        (Fault::DuplicateMember, "reply.duplicate_member"),
    ] {
        party.served.with(|twin| twin.inject(fault));
        assert_eq!(code(party.discover().await), Some(refused));
    }
    assert!(party.discover().await.is_ok());
}

/// A server other than the one where the client is registered gets neither its id nor its secret.
#[tokio::test]
async fn c5_credentials_are_not_tried_at_another_server() {
    let party = Party::new().await;
    let elsewhere = danger::loopback_issuer("http://127.0.0.1:9").expect("an issuer");
    let candidates = ClientCandidates::preregistered(elsewhere, ClientId::new("id"));
    let before = party.requests("/.well-known/oauth-authorization-server");
    let request = party.connect_request().clients(candidates);
    let refused = party.driver.run(connect_resource(request)).await;
    assert_eq!(code(refused), Some("connect.issuer"));
    assert_eq!(
        party.requests("/.well-known/oauth-authorization-server"),
        before
    );
}

/// A token for one API is not sent to a different API on the same origin.
#[tokio::test]
async fn c5_a_token_is_sent_only_to_its_own_api() {
    let party = Party::new().await;
    let resource = party.discover().await.expect("metadata").resource;
    let session =
        GrantSource::client_credentials(party.driver.clone(), &party.client, Scope::none());
    let api = Authorized::new(party.driver.clone(), session, Resource::beneath(&resource));
    assert!(api.get(&party.api()).send().await.is_ok());
    let calls = party.served.with(|twin| twin.counters().api_calls);
    for path in ["/api/other", "/api/echoes", "/api", "/api/echo/..%2fother"] {
        let url = format!("{}{path}", party.served.base());
        assert_eq!(
            code(api.get(&url).send().await),
            Some("resource.not_covered"),
            "{path}"
        );
        assert!(!resource.covers(&Url::parse(&url).expect("a URL")));
    }
    assert_eq!(party.served.with(|twin| twin.counters().api_calls), calls);
}
