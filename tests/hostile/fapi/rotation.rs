//! A fleet whose certificate is replaced, worker after worker, while it calls an API that binds tokens to it.

use std::sync::Arc;

use oauth_core::flow::keeper::GrantId;
use oauth_reqwest::Transport;
use oauth_reqwest::blocking::{Authorized, Driver};
use oauth_session::Store;
use oauth_session::blocking::Session;
use oauth_session::store::Memory;

use super::{Bank, By, USUAL, Variant, api};

const WORKERS: usize = 8;

fn driver(bank: &Bank, certificate: &str) -> Driver {
    let transport = Transport::default()
        .trust_only(bank.tls.ca.clone())
        .without_proxy()
        .client_certificate(certificate.to_owned());
    transport.blocking_driver().expect("a driver")
}

fn worker(bank: &Bank, certificate: &str, store: &Arc<dyn Store>) -> Authorized {
    let driver = driver(bank, certificate);
    let id = GrantId::person("alice");
    let session = Session::of_grant(driver.clone(), &bank.client, id, Arc::clone(store));
    api(&bank.tls, &driver, &bank.client, session).expect("an API")
}

/// The person signs in at a worker that has this certificate.
fn log_in(bank: &Bank, certificate: &str, store: &Arc<dyn Store>) {
    let driver = driver(bank, certificate);
    let begun = driver.run(bank.client.begin_authorization(bank.ask()));
    let begun = begun.expect("a flow");
    let callback = super::browse(&bank.tls, begun.url.as_str());
    let redeem = bank.client.redeem(begun.pending, &callback);
    let login = driver.run(redeem.expect("a callback"));
    let id = GrantId::person("alice");
    let session = Session::of_grant(driver, &bank.client, id, Arc::clone(store));
    let stored = session.log_in(login.expect("a login").tokens);
    stored.expect("it is stored");
}

#[test]
fn a_certificate_is_replaced_under_a_fleet_at_work() {
    for auth in [By::Key, By::Certificate] {
        let sender = By::Certificate;
        let bank = Bank::of(Variant {
            auth,
            sender,
            ..USUAL
        });
        let [old, new] = [(); 2].map(|()| bank.tls.issue().expect("a certificate"));
        let store: Arc<dyn Store> = Arc::new(Memory::default());
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
            // The first that has the new one gets a token for it; the others still use theirs.
            assert_eq!(refreshes(), 1, "{auth:?} {replaced}");
        }
        for _ in 0..10 {
            work(&fleet);
        }
        bank.tls.with(oauth_testkit::Twin::expire_access_tokens);
        work(&fleet);
        assert_eq!(refreshes(), 2, "all share the token of the new one");
    }
}

/// If tokens end while both certificates are in use, a worker may find in the store a token of the other one: the
/// call that meets it is answered 401, and the next one has a token of its own.
#[test]
fn tokens_that_end_in_the_midst_of_it_cost_a_call_at_most() {
    let sender = By::Certificate;
    let bank = Bank::of(Variant { sender, ..USUAL });
    let [old, new] = [(); 2].map(|()| bank.tls.issue().expect("a certificate"));
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    log_in(&bank, &old, &store);
    let fleet = [&old, &new].map(|certificate| worker(&bank, certificate, &store));
    bank.tls.with(oauth_testkit::Twin::expire_access_tokens);
    let before = bank.tls.with(|twin| twin.counters().refreshes);
    for api in &fleet {
        if bank.call(api) != Ok(200) {
            assert_eq!(bank.call(api), Ok(200));
        }
    }
    let after = bank.tls.with(|twin| twin.counters().refreshes);
    assert!(after - before <= 2, "one for each certificate");
}
