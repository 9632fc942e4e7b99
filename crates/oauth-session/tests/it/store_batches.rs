//! The store operations for many grants: what a session passes to them, and stores without them.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::{
    Answer, Entry, FileStore, Lease, MemoryStore, RecordTimes, SaveOutcome, contract,
};

use crate::session::{Rotating, of_ann, person};

/// A custom store with only the three required operations.
#[derive(Clone, Default)]
struct MinimalStore(MemoryStore);

impl Store for MinimalStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.0.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.0.save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.0.lease(key, holder, ttl)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimal_store_meets_the_contract_without_listing() {
    let store = MinimalStore::default();
    contract::assert(&[Arc::new(store.clone()), Arc::new(store.clone())]).await;
    let scanned = store.scan(None).await.expect_err("it cannot list");
    let due = store.due(UnixTime::from_secs(1), 1).await;
    for error in [scanned, due.expect_err("it cannot list")] {
        assert_eq!(
            (error.code(), error.endpoint()),
            ("misuse.not_supported", Some("store"))
        );
    }
}

/// A session stores when its token expires; a removed grant is not due for renewal.
#[tokio::test]
async fn the_due_time_of_a_grant_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = FileStore::new(folder.path().join("grants")).expect("a store");
    let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(files)];
    for store in stores {
        let session = of_ann(Rotating::default(), Arc::clone(&store));
        let tokens = person("first").expect("tokens");
        let end = tokens.expires_at().expect("a lifetime");
        session.log_in(tokens).await.expect("stored");
        let key = session.key().expect("a name").to_owned();
        let due = async |before| store.due(before, 10).await.expect("told");
        assert!(due(end).await.is_empty());
        let next = end.after(Duration::from_secs(1));
        assert_eq!(due(next).await, std::slice::from_ref(&key));
        assert_eq!(
            store.scan(None).await.expect("told").keys,
            std::slice::from_ref(&key)
        );
        assert!(store.remove(&key).await.expect("removed"));
        assert!(due(next).await.is_empty());
        assert!(store.scan(None).await.expect("told").keys.is_empty());
    }
}
