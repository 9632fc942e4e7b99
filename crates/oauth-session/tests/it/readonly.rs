//! A store that was mounted read-only after the login: it can be read, but not written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
use oauth_session::store::{Answer, MemoryStore, RecordTimes};
use oauth_session::{GrantSource, Store, TokenDriver, observe::Counters};

use crate::session::{Rotating, of_ann, person};

#[derive(Clone, Default)]
struct Mounted {
    memory: MemoryStore,
    is_read_only: Arc<AtomicBool>,
}

impl Mounted {
    fn refuses<T: Send + 'static>(&self) -> Option<Answer<'static, T>> {
        let error = Error::lost(Cause::unsent("read-only file system"));
        let is_read_only = self.is_read_only.load(Ordering::SeqCst);
        is_read_only.then(|| -> Answer<'static, T> { Box::pin(std::future::ready(Err(error))) })
    }
}

impl Store for Mounted {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.memory.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        match self.refuses() {
            Some(refusal) => refusal,
            None => self.memory.save(key, record, version, times),
        }
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        match self.refuses() {
            Some(refusal) => refusal,
            None => self.memory.lease(key, holder, ttl),
        }
    }
}

/// [`Rotating`], during whose first answer the store is remounted read-only.
struct Mounting(Rotating, Mounted);

impl TokenDriver for Mounting {
    fn run(
        &self,
        exchange: oauth_core::exchange::Boxed<oauth_core::Tokens>,
    ) -> Answer<'_, oauth_core::Tokens> {
        self.1.is_read_only.store(true, Ordering::SeqCst);
        self.0.run(exchange)
    }
}

async fn renew_read_only(session: &GrantSource, before: &oauth_core::Tokens) -> oauth_core::Tokens {
    let token = session.renew(before).await.expect("a token");
    (*token).clone()
}

#[tokio::test(start_paused = true)]
async fn a_read_only_store_is_reported_and_ends_no_grant() {
    let store = Mounted::default();
    let driver = Mounting(Rotating::default(), store.clone());
    let counters = Arc::new(Counters::default());
    let session = of_ann(driver, Arc::new(store.clone())).observe(Arc::clone(&counters));
    let first = person("first").expect("tokens");
    session.log_in(first.clone()).await.expect("stored");
    let second = renew_read_only(&session, &first).await;
    assert_eq!(second.access_token.expose(), "renewed-0");
    let unsaved = || counters.counts().contains(&("unsaved", 1));
    assert!(unsaved(), "{:?}", counters.counts());
    assert!(session.last_error().is_some());
    // Days later an API refuses it: the next token descends from one that the store does not have.
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    let third = renew_read_only(&session, &second).await;
    assert_eq!(third.access_token.expose(), "renewed-1");
    // A second program with this store, which has waited as long, has only the first token.
    let key = session.key().expect("a key").to_owned();
    let entry = store.load(&key).await.expect("read").expect("a record");
    assert!(entry.record.expose().contains("first"));
    store.is_read_only.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let entry = store.load(&key).await.expect("read").expect("a record");
    assert!(entry.record.expose().contains("renewed-1"));
}
