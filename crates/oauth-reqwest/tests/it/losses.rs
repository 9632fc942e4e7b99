//! Connection failures are distinguished by the types of the underlying errors.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use oauth_core::error::{Advice, Error};
use oauth_core::{Client, ClientAuth, ClientId, Scope};
use oauth_reqwest::{Driver, reqwest};
use oauth_testkit::Fault;

use crate::support::{confidential, driver, server, start_twin};

async fn lost(driver: &Driver, base: &str) -> Error {
    let client = Client::new(
        server(base),
        ClientId::new("id"),
        ClientAuth::post("S3CR3T"),
    );
    let exchange = client.unwrap().client_credentials(Scope::none());
    driver.run(exchange).await.unwrap_err()
}

#[track_caller]
fn is(error: &Error, code: &str, advice: &str, says: &str) {
    assert_eq!(
        (error.code(), error.advice().as_str()),
        (code, advice),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains(says) && !text.contains("S3CR3T"), "{text}");
}

#[tokio::test]
async fn an_unresolvable_name_is_a_dns_error() {
    let error = lost(&driver(), "https://nobody.invalid").await;
    is(
        &error,
        "lost.dns",
        "retry",
        "token: the host name could not be resolved",
    );
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = lost(&driver(), &format!("http://{free}")).await;
    is(&error, "lost.connect", "retry", "refused");
}

/// A TLS failure is permanent, unlike a lost connection.
#[tokio::test]
async fn a_server_without_tls_is_a_permanent_failure() {
    let served = start_twin();
    let error = lost(&driver(), &served.base().replace("http:", "https:")).await;
    is(&error, "lost.tls", "give_up", "corrupt message");
}

#[tokio::test]
async fn a_refusing_proxy_is_a_permanent_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    });
    let builder = reqwest::Client::builder().proxy(reqwest::Proxy::all(proxy).unwrap());
    let error = lost(&Driver::new(builder).unwrap(), "https://as.example").await;
    is(&error, "lost.proxy", "give_up", "proxy");
}

#[tokio::test]
async fn a_closed_connection_can_be_retried() {
    let served = start_twin();
    served.with(|twin| twin.inject(Fault::LostReply));
    let exchange = confidential(&served).client_credentials(Scope::none());
    let error = driver().run(exchange).await.unwrap_err();
    is(
        &error,
        "lost.closed",
        "retry",
        "token: the connection was closed",
    );
    assert_eq!(error.advice(), Advice::Retry { after: None });
}
