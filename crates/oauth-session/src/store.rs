//! Where the record of a grant lives, for everyone who shares it: three verbs.
//!
//! | store | shared by | a lease runs by the clock of |
//! | --- | --- | --- |
//! | [`Memory`] | the threads and tasks of a process | the process |
//! | `FileStore` (feature `file`) | the processes of a machine | the machine |
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

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_core::error::Error;
#[cfg(any(
    feature = "file",
    feature = "postgres",
    feature = "redis",
    feature = "seal"
))]
use oauth_core::error::Misuse;

#[cfg(feature = "file")]
pub use file::FileStore;
#[cfg(feature = "faults")]
pub use folder::faults::POINTS as FAULT_POINTS;
pub use memory::Memory;
pub use oauth_core::flow::keeper::{Entry, Lease, Saved};

#[cfg(feature = "keyring")]
pub use self::keyring::KeyringStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
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
    /// An empty record says that the grant was removed, to all who still have its tokens. To remove
    /// a grant from a store of your own, save one. The store keeps it as it does any other, and may
    /// forget it after 30 days. A record that is just not there is lost, not removed: whoever has it
    /// puts it back.
    ///
    /// Once this is answered, the record survives a crash of the process, and of the machine as far
    /// as the store promises that.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
    ) -> Answer<'a, Saved>;

    /// Takes the lease of the key in the name of `holder` for `ttl`, unless another holds it; for no
    /// time at all, gives it back. Who holds it already gets it anew; giving back a lease that is
    /// another's, or nobody's, changes nothing and is [`Lease::Won`] all the same.
    ///
    /// It is over after `ttl` by the store's clock, whatever became of the holder. There may be a
    /// lease where there is no record yet.
    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease>;
}

/// What errors of a store name as their endpoint.
#[cfg(any(
    feature = "file",
    feature = "postgres",
    feature = "redis",
    feature = "seal"
))]
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
    ) -> Answer<'a, Saved> {
        (**self).save(key, record, version)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        (**self).lease(key, holder, ttl)
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
