//! Connections to APIs that accept only DPoP-bound tokens (RFC 9449).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_core::error::Error;
use oauth_core::flow::resource_connection::ConnectRequest;
use oauth_core::jose::Alg;
use oauth_core::token::TokenType;
use oauth_core::{ClientMetadata, Secret, danger};
use oauth_crypto::DpopKey;
use oauth_reqwest::ResourceConnection;
use oauth_reqwest::oauth_session::Store;
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_testkit::Served;
use oauth_testkit::twin::DpopNonces;

use crate::support::{TEST_TIMEOUT, browse, counters, driver, start_twin};

/// A twin that binds all of its tokens, and requires a new nonce in each proof.
fn twin_requiring_dpop() -> Served {
    let served = start_twin();
    served.with(|twin| {
        twin.require_dpop();
        twin.set_dpop_nonces(DpopNonces::Once);
    });
    served
}

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

fn request(served: &Served) -> ConnectRequest {
    let request = danger::loopback_connect_request(&api(served)).unwrap();
    request.register(ClientMetadata::of_native_app("Notes"))
}

fn connection(
    served: &Served,
    logins: &Arc<AtomicUsize>,
    store: &Arc<MemoryStore>,
) -> ResourceConnection {
    let logins = Arc::clone(logins);
    ResourceConnection::new(driver(), request(served))
        .store(Arc::<MemoryStore>::clone(store))
        .sign_in_timeout(TEST_TIMEOUT)
        .open(move |url| {
            logins.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(browse(url.as_str().to_owned()));
            Ok(())
        })
}

async fn call_api(connection: &ResourceConnection, served: &Served) -> Result<u16, Error> {
    let reply = connection.authorized().get(&api(served)).send().await?;
    Ok(reply.status().as_u16())
}

async fn stored_record(store: &MemoryStore, kind: &str) -> Option<Secret<String>> {
    let page = store.scan(None).await.unwrap();
    let key = page.keys.iter().find(|key| key.starts_with(kind))?;
    Some(store.load(key).await.unwrap()?.record)
}

#[tokio::test]
async fn tokens_are_bound_by_dpop_if_the_api_requires_it() {
    let (served, logins, store) = (twin_requiring_dpop(), Arc::default(), Arc::default());
    let connection = connection(&served, &logins, &store);
    assert_eq!(call_api(&connection, &served).await.unwrap(), 200);
    let token = connection.token().await.unwrap();
    assert_eq!(token.token_type, TokenType::Dpop);
    let is_told = served.with(|twin| {
        let mut log = twin.log().iter();
        let logged = log.find(|entry| entry.path == "/register").unwrap();
        let logged: serde_json::Value = serde_json::from_slice(&logged.body).unwrap();
        logged["dpop_bound_access_tokens"] == true
    });
    assert!(is_told);

    // The earlier nonces are invalid now, at both servers.
    served.with(|twin| {
        twin.expire_access_tokens();
        twin.rotate_dpop_nonces();
    });
    let calls = (0..50).map(|_| {
        let (connection, url) = (connection.clone(), api(&served));
        tokio::spawn(async move { connection.authorized().get(&url).send().await })
    });
    let mut refused = 0;
    for call in calls.collect::<Vec<_>>() {
        // Only one of several concurrent callers can have the newest nonce of an API that accepts each once.
        refused += usize::from(call.await.unwrap().unwrap().status() != 200);
    }
    assert!(refused < 50);
    assert_eq!(call_api(&connection, &served).await.unwrap(), 200);
    assert_eq!(
        (counters(&served).refreshes, logins.load(Ordering::SeqCst)),
        (1, 1)
    );
}

#[tokio::test]
async fn the_dpop_key_is_stored_with_the_connection() {
    let (served, logins, store) = (twin_requiring_dpop(), Arc::default(), Arc::default());
    let first = connection(&served, &logins, &store);
    assert_eq!(call_api(&first, &served).await.unwrap(), 200);
    let stored = stored_record(&store, "dpop").await.expect("a key");
    assert!(stored.expose().contains("PRIVATE KEY"));
    // A second process has the grant, and its key.
    let second = connection(&served, &logins, &store);
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(call_api(&second, &served).await.unwrap(), 200);
    let token = |connection: &ResourceConnection| connection.clone();
    let token = token(&second).token().await.unwrap();
    assert_eq!(token.token_type, TokenType::Dpop);
    assert_eq!(
        (counters(&served).refreshes, logins.load(Ordering::SeqCst)),
        (1, 1)
    );
    second.forget().await.unwrap();
    assert!(stored_record(&store, "dpop").await.is_none());
    assert_eq!(call_api(&second, &served).await.unwrap(), 200);
    assert_eq!(logins.load(Ordering::SeqCst), 2);
    assert_ne!(
        stored_record(&store, "dpop").await.unwrap().expose(),
        stored.expose()
    );
}

#[tokio::test]
async fn a_key_from_the_caller_is_used_and_not_stored() {
    let (served, logins, store) = (twin_requiring_dpop(), Arc::default(), Arc::default());
    let bound = |alg| {
        let key = DpopKey::generate(alg).unwrap().to_core().unwrap();
        connection(&served, &logins, &store).dpop(key)
    };
    let one = bound(Alg::Es256);
    assert_eq!(call_api(&one, &served).await.unwrap(), 200);
    assert!(stored_record(&store, "dpop").await.is_none());
    // A different key has its own grant, of the same client.
    assert_eq!(call_api(&bound(Alg::Es256), &served).await.unwrap(), 200);
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!((clients, logins.load(Ordering::SeqCst)), (1, 2));
    // The API does not accept proofs by such a key, so nothing is requested from the server.
    let refused = call_api(&bound(Alg::Es384), &served).await;
    assert_eq!(refused.map_err(|error| error.code()), Err("key.algorithm"));
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

/// At a server that uses up a refresh token before it asks for a nonce, a request without one loses the grant (B89).
#[tokio::test]
async fn the_latest_nonce_is_used_for_the_first_refresh_after_a_restart() {
    let (served, logins, store) = (twin_requiring_dpop(), Arc::default(), Arc::default());
    served.with(|twin| {
        twin.set_dpop_nonces(DpopNonces::Kept);
        twin.spend_before_nonces();
    });
    let first = connection(&served, &logins, &store);
    assert_eq!(call_api(&first, &served).await.unwrap(), 200);
    drop(first);
    served.with(|twin| twin.expire_access_tokens());
    let second = connection(&served, &logins, &store);
    assert_eq!(call_api(&second, &served).await.unwrap(), 200);
    assert_eq!(
        (counters(&served).refreshes, counters(&served).reuse_events),
        (1, 0)
    );
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    // Without the nonce, this server would use up the token.
    served.with(|twin| {
        twin.expire_access_tokens();
        twin.rotate_dpop_nonces();
    });
    assert_eq!(call_api(&second, &served).await.unwrap(), 200);
    assert_eq!(counters(&served).reuse_events, 1);
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}
