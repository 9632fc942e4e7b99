//! The replacement of a fleet's certificate, worker by worker, during calls of an API whose tokens are bound to it.

use std::sync::Arc;

use oauth_core::client::Client;
use oauth_core::flow::keeper::GrantId;
use oauth_reqwest::Transport;
use oauth_reqwest::blocking::Authorized;
use oauth_session::Store;
use oauth_session::blocking::GrantSource;
use oauth_session::store::MemoryStore;

use super::{Bank, CredentialKind, USUAL, Variant, api};

const WORKERS: usize = 8;

fn transport(bank: &Bank, certificate: &str) -> Transport {
    Transport::default()
        .trust_only(bank.tls.ca.clone())
        .without_proxy()
        .client_certificate(certificate.to_owned())
}

/// The bank's client, configured with the certificate that its connections present.
fn client(bank: &Bank, transport: &Transport) -> Client {
    let thumbprint = transport.certificate_thumbprint();
    let client = bank.client.clone();
    client.with_certificate(&thumbprint.expect("a certificate"))
}

fn worker(bank: &Bank, certificate: &str, store: &Arc<dyn Store>) -> Authorized {
    let transport = transport(bank, certificate);
    let driver = transport.blocking_driver().expect("a driver");
    let client = client(bank, &transport);
    let id = GrantId::user("alice");
    let session = GrantSource::for_grant(driver.clone(), &client, id, Arc::clone(store));
    api(&bank.tls, &driver, &client, session).expect("an API")
}

/// The user signs in at a worker with this certificate.
fn log_in(bank: &Bank, certificate: &str, store: &Arc<dyn Store>) {
    let transport = transport(bank, certificate);
    let driver = transport.blocking_driver().expect("a driver");
    let client = client(bank, &transport);
    let authorization = driver.run(client.begin_authorization(bank.authorization_request()));
    let authorization = authorization.expect("a flow");
    let callback = super::browse(&bank.tls, authorization.url.as_str());
    let redeem = client.redeem(authorization.pending, &callback);
    let login = driver.run(redeem.expect("a callback"));
    let id = GrantId::user("alice");
    let session = GrantSource::for_grant(driver, &client, id, Arc::clone(store));
    let stored = session.log_in(login.expect("a login").tokens);
    stored.expect("it is stored");
}

/// The number of requests to the API over a connection with a certificate different from the token's.
fn mismatched_certificate_requests(bank: &Bank) -> u64 {
    bank.tls.with(|twin| twin.counters().api_misbound)
}

#[test]
fn a_certificate_is_rotated_in_a_running_fleet() {
    for auth in [CredentialKind::Key, CredentialKind::Certificate] {
        let sender = CredentialKind::Certificate;
        let bank = Bank::of(Variant {
            auth,
            sender,
            ..USUAL
        });
        let [old, new] = [(); 2].map(|()| bank.tls.issue().expect("a certificate"));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        log_in(&bank, &old, &store);
        let mut fleet: Vec<_> = (0..WORKERS).map(|_| worker(&bank, &old, &store)).collect();
        let refreshes = || bank.tls.with(|twin| twin.counters().refreshes);
        let work = |fleet: &[Authorized]| {
            for api in fleet {
                assert_eq!(bank.call(api), Ok(200), "{auth:?}");
            }
        };
        work(&fleet);
        assert_eq!(refreshes(), 0, "all share the token and its certificate");
        for replaced in 0..WORKERS {
            fleet[replaced] = worker(&bank, &new, &store);
            work(&fleet);
            // The first worker with the new certificate gets a token for it; the others still use the old token.
            assert_eq!(refreshes(), 1, "{auth:?} {replaced}");
        }
        for _ in 0..10 {
            work(&fleet);
        }
        bank.tls.with(oauth_testkit::Twin::expire_access_tokens);
        work(&fleet);
        assert_eq!(refreshes(), 2, "all share the token of the new one");
        assert_eq!(
            mismatched_certificate_requests(&bank),
            0,
            "no token met another certificate"
        );
    }
}

/// If tokens expire while both certificates are in use, each worker finds a token for the other certificate in the
/// store, and renews it without sending it; from then on each keeps its own token.
#[test]
fn tokens_expiring_during_a_certificate_rotation_fail_no_call() {
    let sender = CredentialKind::Certificate;
    let bank = Bank::of(Variant { sender, ..USUAL });
    let [old, new] = [(); 2].map(|()| bank.tls.issue().expect("a certificate"));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    log_in(&bank, &old, &store);
    let fleet = [&old, &new].map(|certificate| worker(&bank, certificate, &store));
    let refreshes = || bank.tls.with(|twin| twin.counters().refreshes);
    for end in 1..=3 {
        let before = refreshes();
        for api in [&fleet[0], &fleet[1], &fleet[0], &fleet[1]] {
            assert_eq!(bank.call(api), Ok(200), "{end}");
        }
        assert!(refreshes() - before <= 2, "one for each certificate");
        bank.tls.with(oauth_testkit::Twin::expire_access_tokens);
    }
    assert_eq!(
        mismatched_certificate_requests(&bank),
        0,
        "no token met another certificate"
    );
}
