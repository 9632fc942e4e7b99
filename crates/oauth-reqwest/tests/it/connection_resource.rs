//! What a connection sends as `resource` (RFC 8707).

use std::sync::Arc;

use oauth_reqwest::ResourceConnection;
use oauth_reqwest::oauth_session::store::MemoryStore;

use crate::connection::{Person, connection, echoed, request};
use crate::support::{PATIENCE, browse, counters, driver, served};

/// A server that knows the API by another name (B80).
#[tokio::test]
async fn a_server_that_knows_the_api_by_another_name_is_sent_that() {
    let (served, person) = (served(), Person::default());
    served.with(|twin| twin.rename_resource());
    let store = Arc::new(MemoryStore::new());
    let refused = connection(&served, &person, store.clone()).token().await;
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.code(), "denied.invalid_target");
    let connected = || {
        let request = request(&served).resource_value("api://echo").unwrap();
        ResourceConnection::new(driver(), request)
            .store(store.clone())
            .patience(PATIENCE)
            .open(|url| {
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            })
    };
    let first = connected();
    assert_eq!(echoed(&first, &served).await.0, 200);
    // The next run, too, is of that name, and so is a refresh.
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(echoed(&connected(), &served).await.0, 200);
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
