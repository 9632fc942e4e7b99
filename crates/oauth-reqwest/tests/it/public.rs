//! Requests to URLs that a third party named connect only to public addresses: tested with real sockets on this
//! machine, to which only the policies that allow it connect.

use std::net::TcpListener;

use oauth_core::address::RequestAddressPolicy;
use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Scope};
use oauth_reqwest::{AddressPolicy, Driver, Options, Transport};

use crate::support::{confidential, counters, start_twin};

/// A client of a server on this machine that was named by a third party.
fn marked_client(base: &str) -> Client {
    let server = Server::new(Issuer::parse(base).unwrap())
        .with_address_policy(RequestAddressPolicy::PublicOnly);
    client(server)
}

fn client(server: Server) -> Client {
    let token = format!("{}/token", server.issuer());
    let server = server.with_endpoint(EndpointKind::Token, &token).unwrap();
    Client::new(server, ClientId::new("id"), ClientAuth::post("S3CR3T")).unwrap()
}

fn driver(policy: AddressPolicy) -> Driver {
    let options = Options::default().addresses(policy);
    let transport = Transport::default().without_proxy().options(options);
    transport.driver().unwrap()
}

async fn request_error(driver: &Driver, client: &Client) -> Error {
    let exchange = client.client_credentials(Scope::none());
    driver.run(exchange).await.unwrap_err()
}

/// The spellings of this machine that a URL of the core can have.
fn bases(port: u16) -> [String; 3] {
    ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("https://{host}:{port}"))
}

/// Whether anything has connected to the listener.
fn was_connected_to(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_ok()
}

#[tokio::test]
async fn a_url_named_by_another_party_does_not_reach_this_machine() {
    let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = v4.local_addr().unwrap().port();
    let v6 = TcpListener::bind(("::1", port)).unwrap();
    for policy in [AddressPolicy::PublicWhereMarked, AddressPolicy::PublicOnly] {
        for base in bases(port) {
            let error = request_error(&driver(policy), &marked_client(&base)).await;
            assert_eq!(error.code(), "lost.not_public", "{policy:?} {base}");
            let text = error.to_string();
            assert!(!text.contains("tried"), "{text}");
            assert!(
                error
                    .hint()
                    .is_some_and(|hint| hint.contains("your own network"))
            );
        }
    }
    assert!(!was_connected_to(&v4) && !was_connected_to(&v6));
}

#[tokio::test]
async fn the_address_policy_determines_which_servers_may_be_private() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (policy, is_marked, is_allowed) in [
        (AddressPolicy::PublicWhereMarked, false, true),
        (AddressPolicy::PublicOnly, false, false),
        (AddressPolicy::Any, true, true),
    ] {
        let base = format!("https://127.0.0.1:{port}");
        let known = if is_marked {
            marked_client(&base)
        } else {
            client(Server::new(Issuer::parse(&base).unwrap()))
        };
        let (driver, listener_clone) = (driver(policy), listener.try_clone().unwrap());
        // The listener accepts, and closes the connection without TLS.
        let accepting =
            std::thread::spawn(move || is_allowed.then(|| drop(listener_clone.accept().unwrap())));
        let error = request_error(&driver, &known).await;
        assert_eq!(
            error.code() != "lost.not_public",
            is_allowed,
            "{policy:?}: {error}"
        );
        accepting.join().unwrap();
    }
}

#[tokio::test]
async fn requests_to_a_marked_server_must_go_to_public_addresses() {
    let served = start_twin();
    let client = confidential(&served);
    let marked = client
        .server()
        .clone()
        .with_address_policy(RequestAddressPolicy::PublicOnly);
    let marked = Client::new(marked, client.client_id().clone(), client.auth().clone()).unwrap();
    let error = request_error(&driver(AddressPolicy::default()), &marked).await;
    assert_eq!(error.code(), "lost.not_public", "{error}");
    assert_eq!(counters(&served).token_requests, 0);
    let exchange = marked.client_credentials(Scope::none());
    assert!(driver(AddressPolicy::Any).run(exchange).await.is_ok());
}

/// A proxy resolves names by itself, so a request through a proxy is not sent.
#[tokio::test]
async fn nothing_is_sent_if_a_proxy_would_resolve_the_name() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let driver = Transport::default().proxy(url).driver().unwrap();
    let error = request_error(&driver, &marked_client("https://as.example")).await;
    assert_eq!(error.code(), "lost.not_public", "{error}");
    assert!(error.to_string().contains("a proxy"), "{error}");
    assert!(!was_connected_to(&proxy));
}

/// The system resolves a public server's name, and the addresses are checked; this name has none.
#[tokio::test]
async fn an_unresolvable_name_is_reported_as_a_dns_error() {
    let error = request_error(
        &driver(AddressPolicy::default()),
        &marked_client("https://nobody.invalid"),
    )
    .await;
    assert_eq!(error.code(), "lost.dns", "{error}");
}

#[cfg(feature = "blocking")]
#[test]
fn the_blocking_driver_applies_the_address_policy() {
    let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = v4.local_addr().unwrap().port();
    let transport = Transport::default().without_proxy();
    let driver = transport.blocking_driver().unwrap();
    for base in bases(port) {
        let exchange = marked_client(&base).client_credentials(Scope::none());
        let error = driver.run(exchange).unwrap_err();
        assert_eq!(error.code(), "lost.not_public", "{base}");
    }
    assert!(!was_connected_to(&v4));
    let served = start_twin();
    let client = confidential(&served);
    let options = Options::default().addresses(AddressPolicy::PublicOnly);
    let strict = transport.options(options).blocking_driver().unwrap();
    let error = strict.run(client.client_credentials(Scope::none()));
    assert_eq!(error.unwrap_err().code(), "lost.not_public");
    assert_eq!(counters(&served).token_requests, 0);
}
