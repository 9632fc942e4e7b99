//! `localhost` always means this machine, regardless of what the resolver returns.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use oauth_core::error::Error;
use oauth_core::{Client, ClientAuth, ClientId, Scope};
use oauth_reqwest::{Driver, reqwest};
use reqwest::dns::{Name, Resolve, Resolving};

use crate::support::{confidential, driver, server, start_twin};

/// A resolver that knows no names, and records the lookups.
#[derive(Default)]
struct NoNames(Mutex<Vec<String>>);

impl NoNames {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Resolve for NoNames {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.lock().unwrap().push(name.as_str().to_owned());
        Box::pin(std::future::ready(Err("nobody has this name".into())))
    }
}

/// The served twin's base URL, with the name `localhost`.
fn resolve_name(base: &str) -> String {
    base.replace("127.0.0.1", "localhost")
}

fn client(base: &str) -> Client {
    let auth = ClientAuth::post("secret");
    Client::new(server(base), ClientId::new("id"), auth).unwrap()
}

#[tokio::test]
async fn localhost_is_reached_without_a_resolver() {
    let served = start_twin();
    let requested = Arc::new(NoNames::default());
    let builder = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::clone(&requested));
    let driver = Driver::new(builder).unwrap();
    let client = confidential(&served);
    let by_name = Client::new(
        server(&resolve_name(served.base())),
        client.client_id().clone(),
        client.auth().clone(),
    );
    let exchange = by_name.unwrap().client_credentials(Scope::none());
    assert!(driver.run(exchange).await.is_ok());
    assert_eq!(requested.names(), [""; 0]);
}

#[tokio::test]
async fn both_loopback_addresses_are_tried() {
    // A server that listens only on the second address is found as well.
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let met = std::thread::spawn(move || listener.accept().unwrap().1);
    let exchange = client(&format!("http://localhost:{port}")).client_credentials(Scope::none());
    let error: Error = driver().run(exchange).await.unwrap_err();
    assert_eq!(error.code(), "lost.closed", "{error}");
    assert!(met.join().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn localhost_needs_no_resolver_over_tls_either() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let met = std::thread::spawn(move || listener.accept().unwrap().1);
    let requested = Arc::new(NoNames::default());
    let builder = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::clone(&requested));
    let driver = Driver::new(builder).unwrap();
    let exchange = client(&format!("https://localhost:{port}")).client_credentials(Scope::none());
    assert!(driver.run(exchange).await.is_err());
    assert!(met.join().unwrap().ip().is_loopback());
    assert_eq!(requested.names(), [""; 0]);
    // The resolver is still used for all other names.
    let exchange = client("https://as.example").client_credentials(Scope::none());
    assert_eq!(driver.run(exchange).await.unwrap_err().code(), "lost.dns");
    assert_eq!(requested.names(), ["as.example"]);
}

/// The core refuses such requests. Even if it did not, the name would not be resolved, and nothing would
/// leave this machine unencrypted.
#[tokio::test]
async fn plain_http_reaches_no_other_name() {
    for url in [
        "http://as.example/",
        "http://localhost.as.example/",
        "http://x.localhost/",
    ] {
        let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
        let error = Error::lost(driver().call(request, None).await.unwrap_err());
        assert_eq!(error.code(), "lost.dns");
        assert!(error.to_string().contains("this machine alone"), "{error}");
    }
}

#[cfg(feature = "blocking")]
#[test]
fn the_blocking_driver_reaches_localhost_without_a_resolver() {
    let served = start_twin();
    let client = confidential(&served);
    let by_name = Client::new(
        server(&resolve_name(served.base())),
        client.client_id().clone(),
        client.auth().clone(),
    );
    let requested = Arc::new(NoNames::default());
    let builder = reqwest::blocking::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::clone(&requested));
    let driver = oauth_reqwest::blocking::Driver::new(builder).unwrap();
    let exchange = by_name.unwrap().client_credentials(Scope::none());
    assert!(driver.run(exchange).is_ok());
    assert_eq!(requested.names(), [""; 0]);
}
