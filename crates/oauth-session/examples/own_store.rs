//! A store of one's own, and the contract that it must keep: `cargo run -p oauth-session --example own_store`.
//!
//! Three verbs are all there is to write, each as one step that no other worker can come between. Here
//! a lock makes it one; in a database it is a condition in the statement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_session::Store;
use oauth_session::store::{Answer, Entry, Lease, RecordTimes, SaveOutcome, contract};

/// Records and leases, each by its key.
#[derive(Default)]
struct Table {
    records: BTreeMap<String, Entry>,
    leases: BTreeMap<String, (String, Instant)>,
}

#[derive(Clone, Default)]
struct OwnStore(Arc<Mutex<Table>>);

impl OwnStore {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version that this key has never had, not even before the store lost its memory: the time, in
/// microseconds, and one more than the last if that is not higher.
fn version_after(last: u64) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_micros() as u64);
    now.max(last + 1)
}

impl Store for OwnStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.table().records.get(key).cloned()) })
    }

    // This store cannot find what is due, so it has no use for the time.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        // This store implements neither due times nor expiry.
        _: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move {
            let mut table = self.table();
            let stored = table.records.get(key).map_or(0, |entry| entry.version);
            if stored != version {
                return Ok(SaveOutcome::Conflict);
            }
            let (version, record) = (version_after(version), record.clone());
            table
                .records
                .insert(key.to_owned(), Entry { version, record });
            Ok(SaveOutcome::At(version))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let mut table = self.table();
            let now = Instant::now();
            let held = table.leases.get(key).filter(|(_, until)| *until > now);
            match held {
                // Only the holder can release it; another holder's lease is not affected.
                Some((other, _)) if other != holder && ttl.is_zero() => {}
                Some((other, until)) if other != holder => return Ok(Lease::Held(*until - now)),
                _ => {
                    table
                        .leases
                        .insert(key.to_owned(), (holder.to_owned(), now + ttl));
                }
            }
            Ok(Lease::Won)
        })
    }
}

#[tokio::main]
async fn main() {
    let store = OwnStore::default();
    for report in contract::check(&[Arc::new(store.clone()), Arc::new(store)]).await {
        match report.outcome {
            Ok(()) => println!("kept    {}", report.case),
            Err(reason) => println!("broken  {}: {reason}", report.case),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_store_meets_the_store_contract() {
    let store = OwnStore::default();
    contract::assert(&[Arc::new(store.clone()), Arc::new(store)]).await;
}
