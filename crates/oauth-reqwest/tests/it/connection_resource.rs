//! The `resource` that a connection sends (RFC 8707), and the trusted signers of resource metadata (RFC 9728).

use std::sync::Arc;

use oauth_core::jose::KeySet;
use oauth_reqwest::oauth_session::connections;
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_reqwest::{ResourceConnection, reqwest};

use crate::connection::{Person, connection, echo, request};
use crate::support::{TEST_TIMEOUT, browse, counters, driver, start_twin};

/// A server that identifies the API by a different name (B80).
#[tokio::test]
async fn a_resource_value_is_sent_to_a_server_that_knows_the_api_by_another_name() {
    let (served, person) = (start_twin(), Person::default());
    served.with(|twin| twin.rename_resource());
    let store = Arc::new(MemoryStore::new());
    let refused = connection(&served, &person, store.clone()).token().await;
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.code(), "denied.invalid_target");
    let connected = || {
        let request = request(&served).resource_value("api://echo").unwrap();
        ResourceConnection::new(driver(), request)
            .store(store.clone())
            .sign_in_timeout(TEST_TIMEOUT)
            .open(|url| {
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            })
    };
    let first = connected();
    assert_eq!(echo(&first, &served).await.0, 200);
    // The next run also sends that name, and so does a refresh.
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(echo(&connected(), &served).await.0, 200);
    assert_eq!(counters(&served).refreshes, 1);
    let sent: Vec<_> = served.with(|twin| {
        let tokens = twin.log().iter().filter(|entry| entry.path == "/token");
        tokens
            .map(|entry| entry.form("resource").map(str::to_owned))
            .collect()
    });
    assert_eq!(
        sent,
        [Some("api://echo".to_owned()), Some("api://echo".to_owned())]
    );
}

/// Metadata signed by a trusted signer takes precedence over the unsigned members, including the authorization server.
#[tokio::test]
async fn metadata_of_a_trusted_signer_selects_the_server() {
    let served = start_twin();
    served.with(|twin| {
        twin.sign_resource_metadata(serde_json::json!({
            "resource": format!("{}/api/echo", served.base()),
            "authorization_servers": ["https://signed.example"],
        }));
    });
    let jwks = reqwest::get(format!("{}/jwks", served.base())).await;
    let keys = jwks.unwrap().text().await.unwrap();
    let keys = || KeySet::parse(&keys).unwrap();
    let issuer = oauth_core::danger::loopback_issuer(served.base()).unwrap();
    let connected = |signer: &str| {
        let request = request(&served).trust(signer, keys());
        ResourceConnection::new(driver(), request.allow([issuer.clone()]))
    };
    let open = |url: &oauth_core::url::Url| {
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    // The unsigned list contains the allowed server, and the signed one does not.
    let refused = connected(served.base()).open(open).token().await;
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.code(), "connect.server_not_allowed");
    assert_eq!(refused.detail(), Some("https://signed.example"));

    // Metadata of an untrusted signer is ignored.
    let store = Arc::new(MemoryStore::new());
    let other = connected("https://other.example").store(store.clone());
    other.open(open).token().await.unwrap();

    // The next run still knows the signer.
    served.with(|twin| {
        twin.sign_resource_metadata(serde_json::json!({ "scopes_supported": ["read"] }));
    });
    let again = ResourceConnection::new(driver(), request(&served).trust(served.base(), keys()));
    let again = again.store(store.clone()).subject("ann").open(open);
    let (_, echo) = echo(&again, &served).await;
    assert_eq!(echo["scope"], "read offline_access");
    let key = request(&served).key("ann");
    let stored = connections::load(&*store, &key).await.unwrap();
    let resource = stored.connection.unwrap().resource;
    assert_eq!(resource.signed_by.as_deref(), Some(served.base()));
}
