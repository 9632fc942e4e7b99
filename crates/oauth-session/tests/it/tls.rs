//! Servers behind TLS: reached only by clients that trust their certificate.

use std::path::Path;
use std::process::Output;

use oauth_session::store::PostgresStore;

use crate::servers::{PASSWORD, Server};
use crate::workers::worker;

/// Runs a worker that trusts only this certificate, as a separate process because the trust is configured
/// by its environment.
fn found(place: &str, trusted: &Path) -> Output {
    let mut worker = worker(place, &["load", "a-key"]);
    worker
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR");
    worker.output().expect("a worker")
}

fn is_reached(place: &str, server: &Server, other: &Server) {
    let output = found(place, &server.certificate());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(output.stdout, b"None\n");

    let output = found(place, &other.certificate());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a certificate that nobody trusts");
    assert!(
        error.contains("[lost") && !error.contains(PASSWORD),
        "{error}"
    );

    // The certificate is for a name.
    let address = place.replace("localhost", "127.0.0.1");
    let output = found(&address, &server.certificate());
    assert!(!output.status.success(), "a certificate for another name");
}

#[test]
fn redis_is_reached_over_tls_with_a_verified_certificate() {
    let (server, other) = (Server::redis_tls(), Server::redis_tls());
    let place = format!("rediss://:{PASSWORD}@localhost:{}", server.port);
    is_reached(&place, &server, &other);
}

#[tokio::test]
async fn postgres_is_reached_over_tls_with_a_verified_certificate() {
    let (server, other) = (Server::postgres(), Server::redis_tls());
    let plain = PostgresStore::new(&server.postgres_url()).expect("a store");
    crate::postgres::migrate(&plain).await;
    let place = server.postgres_url().replace("127.0.0.1", "localhost");
    is_reached(&place.replace("disable", "require"), &server, &other);
}
