//! Where the record of a grant lives, for everyone who shares it: three verbs, and three more for
//! those who look after many grants.
//!
//! | store | shared by | a lease runs by the clock of |
//! | --- | --- | --- |
//! | [`Memory`] | the threads and tasks of a process | the process |
//! | `FileStore` (feature `file`) | the processes of a machine | the machine |
//! | `SqliteStore` (feature `sqlite`) | the processes of a machine | the machine |
//! | `KeyringStore` (feature `keyring`) | the processes of a person's session | the machine |
//! | `RedisStore` (feature `redis`) | machines | the server |
//! | `PostgresStore` (feature `postgres`) | machines | the server |
//!
//! `Sealed` (feature `seal`) encrypts what any of them keeps. `contract` (feature of that name) has
//! the tests they pass, for your own store too.

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
pub use folder::faults::POINTS as FAULT_POINTS;
#[cfg(feature = "file")]
pub use folder::ownership::Access;
pub use memory::Memory;
pub use oauth_core::flow::keeper::{Entry, Lease, Saved};

#[cfg(feature = "keyring")]
pub use self::keyring::KeyringStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
#[cfg(feature = "seal")]
pub use seal::Sealed;

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A store of records, each under a key.
///
/// Everything that keeps a grant safe is decided by the
/// [`Keeper`](oauth_core::flow::keeper::Keeper); a store has to do three things, each as one step
/// that no other worker can come between. `contract` has the tests every store must pass.
///
/// Keys and names of holders are texts of up to 60 bytes, records of up to 1 MiB; none holds a
/// U+0000. Two keys that differ at all, be it in a letter's case, are two keys.
///
/// An error means that nobody knows whether it was done: the keeper looks again. Errors name the
/// endpoint `store`, and hold neither a record nor the credentials of the store.
pub trait Store: Send + Sync {
    /// Reads the record, as it was saved last.
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>>;

    /// Saves the record if it is still at `version`; 0 is the version of a record that is not
    /// there. Its new version is higher, below 2^53, and one that this key has never had: not before
    /// it was removed, nor before the store lost its memory or fell back to an older copy. So it is
    /// taken from the store's clock, in microseconds since 1970, and is one more than the last if
    /// that is not higher.
    ///
    /// This is what fences off a worker who slept through his lease: he saves on a version that is
    /// over. So it must hold whether or not there is a lease.
    ///
    /// An empty record says that the grant was removed, to all who still have its tokens;
    /// [`remove`](Self::remove) saves one. The store keeps it as it does any other, and may forget it
    /// after 30 days. A record that is just not there is lost, not removed: whoever has it puts it
    /// back.
    ///
    /// `due` is when somebody should renew the grant though nobody asks for it, and takes the place
    /// of what was said before. It is for [`due`](Self::due), and in the clear, so that a store need
    /// not read records; a store without that verb has no use for it.
    ///
    /// Once this is answered, the record survives a crash of the process, and of the machine as far
    /// as the store promises that.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        due: Option<UnixTime>,
    ) -> Answer<'a, Saved>;

    /// Takes the lease of the key in the name of `holder` for `ttl`, unless another holds it; for no
    /// time at all, gives it back. Who holds it already gets it anew; giving back a lease that is
    /// another's, or nobody's, changes nothing and is [`Lease::Won`] all the same.
    ///
    /// It is over after `ttl` by the store's clock, whatever became of the holder. There may be a
    /// lease where there is no record yet.
    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease>;

    /// Removes the record, as the save of an empty one: whoever still has it learns of that within
    /// the next 30 days. Whether there was a record.
    ///
    /// The stores of this crate remove what cannot be read too, and end a lease there may be. Unless
    /// a store of your own does better, this loads and saves until no other worker comes between.
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            for _ in 0..REMOVALS {
                let entry = self.load(key).await?;
                let was_there = entry.as_ref().is_some_and(|entry| !entry.is_removed());
                let version = entry.map_or(0, |entry| entry.version);
                let empty = Secret::new(String::new());
                if let Saved::At(_) = self.save(key, &empty, version, None).await? {
                    return Ok(was_there);
                }
            }
            let busy = "others keep saving the record";
            Err(Error::lost(Cause::unsent(busy)).at_endpoint(ENDPOINT))
        })
    }

    /// The names of records, page by page: the first with nothing, each later one with
    /// [`Page::next`] of the one before. What was removed is not among them.
    ///
    /// A record that is there from the first page to the last is told of at least once. One that
    /// comes or goes meanwhile may be told of or not, and one may be told of twice. The names come in
    /// no order.
    ///
    /// # Errors
    /// `misuse.not_supported` of a store that cannot list, as it is unless a store says otherwise.
    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        let _ = cursor;
        not_supported("scan")
    }

    /// The names of up to `limit` records that were due before this time, the longest due first, see
    /// [`save`](Self::save). They are due until they are saved with another time.
    ///
    /// # Errors
    /// `misuse.not_supported`, as [`scan`](Self::scan).
    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        let _ = (before, limit);
        not_supported("due")
    }
}

/// Some of the names of a store's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The names. There may be none, and more to come all the same.
    pub keys: Vec<String>,
    /// What to ask for the next page with; nothing if this was the last. It means something to the
    /// store that made it only, to any of its handles.
    pub next: Option<String>,
}

/// How often a removal is tried against those who save at the same time.
const REMOVALS: usize = 16;

/// The names of one page, as far as a store can choose.
const PAGE: usize = 100;

fn not_supported<'a, T: Send + 'a>(verb: &'static str) -> Answer<'a, T> {
    let error = Error::from(Misuse::NotSupported);
    Box::pin(std::future::ready(Err(error
        .at_endpoint(ENDPOINT)
        .about(verb))))
}

/// What errors of a store name as their endpoint.
const ENDPOINT: &str = "store";

impl<S: Store + ?Sized> Store for Arc<S> {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        (**self).load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        due: Option<UnixTime>,
    ) -> Answer<'a, Saved> {
        (**self).save(key, record, version, due)
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

/// For how long a store keeps in mind that a record was removed: by then each worker has looked.
const REMOVAL_SHOWS: Duration = Duration::from_secs(30 * 24 * 3600);

/// The version after this one, by the clock of this machine. Nothing at the end of all versions,
/// where no record ever gets.
fn next(version: u64) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
    let next = version.checked_add(1)?.max(now);
    (next < 1 << 53).then_some(next)
}

/// Whether what was removed at this version may be forgotten by now.
fn is_forgotten(version: u64) -> bool {
    let age = next(0).map_or(0, |now| now.saturating_sub(version));
    u128::from(age) > REMOVAL_SHOWS.as_micros()
}

/// The longest lease, a year: no clock's arithmetic ends before it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A lease's time in whole milliseconds, rounded up: no lease is over before its time.
#[cfg(feature = "file")]
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The same in microseconds, for clocks that know them.
#[cfg(any(feature = "redis", feature = "postgres"))]
fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST).as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// What a store keeps cannot be read, or cannot be kept.
#[cfg(any(
    feature = "file",
    feature = "postgres",
    feature = "redis",
    feature = "seal"
))]
fn malformed(what: &str) -> Error {
    Error::from(Misuse::StoredForm)
        .at_endpoint(ENDPOINT)
        .about(what)
}
