//! [`Store`]: stores for the records of grants, with three required methods and three optional ones for listing and
//! removing.
//!
//! | store | shared by | a lease runs by the clock of |
//! | --- | --- | --- |
//! | [`MemoryStore`] | the threads and tasks of a process | the process |
//! | `FileStore` (feature `file`) | the processes of a machine | the machine |
//! | `SqliteStore` (feature `sqlite`) | the processes of a machine | the machine |
//! | `KeyringStore` (feature `keyring`) | the processes of a user's desktop session | the machine |
//! | `RedisStore` (feature `redis`) | machines | the server |
//! | `PostgresStore` (feature `postgres`) | machines | the server |
//!
//! [`StoreUrl`] opens one by its URL. `SealedStore` (feature `seal`) encrypts what any of them keeps. `contract`
//! (feature of that name) has the tests they pass, for your own store too.

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "file")]
mod folder;
#[cfg(feature = "keyring")]
mod keyring;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "seal")]
pub mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;

#[cfg(feature = "file")]
pub use file::FileStore;
#[cfg(feature = "faults")]
pub use folder::fault_points::POINTS as FAULT_POINTS;
#[cfg(feature = "file")]
pub use folder::ownership::Access;
pub use memory::MemoryStore;
pub use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
pub use url::StoreUrl;

#[cfg(feature = "keyring")]
pub use self::keyring::KeyringStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
#[cfg(feature = "seal")]
pub use seal::SealedStore;

/// The boxed future that the methods of stores and drivers return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A store of records, each under a key.
///
/// The [`Keeper`](oauth_core::flow::keeper::Keeper) makes all decisions about a grant; a store only has to perform
/// three operations, each atomically. `contract` has the tests every store must pass.
///
/// Keys and names of holders are strings of up to 60 bytes, records of up to 1 MiB; none contains U+0000. Keys are
/// case-sensitive and compared byte for byte.
///
/// After an error the operation may or may not have taken effect: the keeper reads the record again. Errors
/// name the endpoint `store`, and contain neither a record nor the credentials of the store.
pub trait Store: Send + Sync {
    /// Reads the record, as it was saved last.
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>>;

    /// Saves the record if it is still at `version`; 0 is the version of an absent record. Its new version is higher,
    /// and below 2^53. A version is never used twice for a key, not even after the record was removed, or the store lost
    /// its data or was restored from an older copy. So derive it from the store's clock, in microseconds since 1970; if
    /// that is not higher than the last version, use the last plus one.
    ///
    /// The version check also stops a worker whose lease has expired, because it saves over an old version. So it must
    /// not depend on a lease.
    ///
    /// An empty record is a tombstone: from it, workers that still have the tokens learn that the grant was removed;
    /// [`remove`](Self::remove) saves one. The store keeps it like any other, and may delete it after 30 days. An
    /// absent record is lost, not removed: a worker that has it restores it.
    ///
    /// The times replace those given before, and are passed unencrypted, so that a store does not have to parse
    /// records. [`RecordTimes::due`] is for [`due`](Self::due), and a store without that method ignores it. At
    /// [`RecordTimes::until`], by the store's clock, the record expires: it is absent from then on, and the store deletes it
    /// later, but not a lease that has not expired. A store that cannot do that keeps the record, which only costs
    /// space.
    ///
    /// Once this has returned, the record survives a crash of the process, and of the machine to the extent that the
    /// store promises that.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome>;

    /// Acquires the lease of the key for `holder` and `ttl`, unless another holds it; a `ttl` of zero releases
    /// it. A holder that acquires it again extends it; releasing a lease that another holder has, or none, changes
    /// nothing and also returns [`Lease::Won`].
    ///
    /// It expires after `ttl` by the store's clock, regardless of what happens to the holder. A key may have a lease
    /// without a record.
    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease>;

    /// Removes the record by saving an empty one: workers that still have it learn of that within the next
    /// 30 days. Returns whether there was a record.
    ///
    /// The stores of this crate also remove records that cannot be read, and release the lease. The
    /// default loads and saves until no other worker interferes.
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(remove_by_saving(self, key))
    }

    /// Lists the keys of records, page by page: the first page without a cursor, each later one with the
    /// [`Page::next`] of the one before. Removed records are not listed.
    ///
    /// A record that exists from the first page to the last is listed at least once, and maybe twice. One that is added
    /// or removed in the meantime may be listed or not, and so may an expired one. The keys are in no particular order.
    ///
    /// # Errors
    /// `misuse.not_supported` for a store that cannot list, which is the default.
    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        let _ = cursor;
        not_supported("scan")
    }

    /// Lists the keys of up to `limit` records that were due before this time, the longest due first, see
    /// [`save`](Self::save). They stay due until they are saved with another time.
    ///
    /// # Errors
    /// `misuse.not_supported` for a store that cannot do this, which is the default.
    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        let _ = (before, limit);
        not_supported("due")
    }
}

/// The times of a record, which are passed to the store with each save.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordTimes {
    /// The time at which the grant should be renewed even if no caller asks for it.
    pub due: Option<UnixTime>,
    /// The expiration time of the record.
    pub until: Option<UnixTime>,
}

impl RecordTimes {
    /// Neither time: the record is never due, and does not expire.
    pub const NONE: Self = Self {
        due: None,
        until: None,
    };

    /// Only a time at which the grant should be renewed.
    pub const fn due(due: UnixTime) -> Self {
        Self {
            due: Some(due),
            ..Self::NONE
        }
    }

    /// Only a time at which the record expires.
    pub const fn until(until: UnixTime) -> Self {
        Self {
            until: Some(until),
            ..Self::NONE
        }
    }

    /// Whether the record has expired by the clock of this machine.
    fn is_over(&self) -> bool {
        self.until.is_some_and(is_past)
    }
}

/// Whether this time has passed, by the clock of this machine.
fn is_past(expires_at: UnixTime) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    expires_at.as_secs() <= now.map_or(0, |now| now.as_secs())
}

/// [`Store::remove`] by the other methods, for a store without its own removal: loads and saves until no other
/// worker interferes.
///
/// # Errors
/// The errors of the methods; `lost` if others never stop saving.
pub async fn remove_by_saving<S: Store + ?Sized>(store: &S, key: &str) -> Result<bool, Error> {
    for _ in 0..MAX_REMOVE_ATTEMPTS {
        let entry = store.load(key).await?;
        let existed = entry.as_ref().is_some_and(|entry| !entry.is_removed());
        let version = entry.map_or(0, |entry| entry.version);
        let empty = Secret::new(String::new());
        if let SaveOutcome::At(_) = store.save(key, &empty, version, RecordTimes::NONE).await? {
            return Ok(existed);
        }
    }
    let reason = "other workers keep saving the record";
    Err(Error::lost(Cause::unsent(reason)).at_endpoint(ENDPOINT))
}

/// One page of the keys of a store's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys. There may be none even if more pages follow.
    pub keys: Vec<String>,
    /// The cursor of the next page; `None` if this was the last. Any handle on the same store accepts it.
    pub next: Option<String>,
}

/// The prefix of the names of DPoP keys (`dpop_key`): no grant's name contains a colon.
pub(crate) const DPOP_KEYS: &str = "dpop-key:";

/// The prefix of the names of connections to APIs (`connections`).
pub(crate) const CONNECTIONS: &str = "connection:";

/// The prefix of the lists of a user's step-ups (`grants/step_ups.rs`).
pub(crate) const STEP_UPS: &str = "step-ups:";

/// Whether a record of this name is a grant, and not a DPoP key, a connection or a list of step-ups, which a list of
/// grants must leave out.
pub fn is_grant(key: &str) -> bool {
    ![DPOP_KEYS, CONNECTIONS, STEP_UPS]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

/// The number of attempts of a removal against concurrent saves.
const MAX_REMOVE_ATTEMPTS: usize = 16;

/// The number of keys on a page, if a store can choose.
const PAGE_KEYS: usize = 100;

fn not_supported<'a, T: Send + 'a>(verb: &'static str) -> Answer<'a, T> {
    let error = Error::from(Misuse::NotSupported);
    Box::pin(std::future::ready(Err(error
        .at_endpoint(ENDPOINT)
        .about(verb))))
}

/// The endpoint that errors of a store name.
pub(crate) const ENDPOINT: &str = "store";

impl<S: Store + ?Sized> Store for Arc<S> {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        (**self).load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        (**self).save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        (**self).lease(key, holder, ttl)
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        (**self).remove(key)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        (**self).scan(cursor)
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        (**self).due(before, limit)
    }
}

/// The time for which a store keeps the tombstone of a removed record: long enough for every worker to read it.
const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The version after this one, by the clock of this machine. `None` once versions are exhausted, which does not happen
/// in practice.
fn next_version(version: u64) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
    let next = version.checked_add(1)?.max(now);
    (next < 1 << 53).then_some(next)
}

/// Whether the tombstone of this version is old enough to delete.
fn is_forgotten(version: u64) -> bool {
    let age = next_version(0).map_or(0, |now| now.saturating_sub(version));
    u128::from(age) > TOMBSTONE_LIFETIME.as_micros()
}

/// The longest lease: one year, so that no time overflows.
const MAX_LEASE: Duration = Duration::from_secs(365 * 24 * 3600);

/// A lease's `ttl` in whole milliseconds, rounded up: no lease expires early.
#[cfg(feature = "file")]
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(MAX_LEASE).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The time in microseconds, for clocks with that precision.
#[cfg(any(feature = "redis", feature = "postgres"))]
fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(MAX_LEASE).as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The error for a record that cannot be read, or cannot be stored.
#[cfg(any(feature = "file", feature = "postgres", feature = "redis"))]
fn malformed(detail: &str) -> Error {
    Error::from(Misuse::StoredForm)
        .at_endpoint(ENDPOINT)
        .about(detail)
}
