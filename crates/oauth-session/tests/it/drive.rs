//! What a session makes of what its driver says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oauth_core::exchange::Boxed;
use oauth_core::moment::UnixTime;
use oauth_core::{Secret, Tokens};
use oauth_session::store::{Answer, Entry, Lease, Memory, Saved};
use oauth_session::{Drive, Store};

use crate::session::{of_ann, person};

/// It may take so long for a request, and says so or not.
struct Taking(Option<Duration>);

impl Drive for Taking {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(std::future::ready(person("renewed")))
    }

    fn longest(&self) -> Option<Duration> {
        self.0
    }
}

/// It remembers the longest lease, in seconds.
#[derive(Clone, Default)]
struct Leases(Memory, Arc<AtomicU64>);

impl Store for Leases {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.0.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        due: Option<UnixTime>,
    ) -> Answer<'a, Saved> {
        self.0.save(key, record, version, due)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.1.fetch_max(ttl.as_secs(), Ordering::SeqCst);
        self.0.lease(key, holder, ttl)
    }
}

#[tokio::test]
async fn leases_are_long_enough_for_the_longest_request() {
    for (longest, lease) in [
        (None, 75),
        (Some(30), 75),
        (Some(60), 135),
        (Some(300), 615),
    ] {
        let store = Leases::default();
        let driver = Taking(longest.map(Duration::from_secs));
        let session = of_ann(driver, Arc::new(store.clone()));
        let first = person("first").expect("tokens");
        session.log_in(first.clone()).await.expect("stored");
        session.renew(&first).await.expect("a token");
        assert_eq!(store.1.load(Ordering::SeqCst), lease, "{longest:?}");
    }
}
