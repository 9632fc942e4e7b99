//! Counts the calls of the store, and the memory of the process.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::{Answer, Entry, Lease, Page, PostgresStore, RecordTimes, SaveOutcome};

/// A store that counts its calls.
pub(crate) struct Counting {
    store: PostgresStore,
    loads: AtomicU64,
    saves: AtomicU64,
    leases: AtomicU64,
}

/// The number of calls of each operation; releases of leases count too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) loads: u64,
    pub(crate) saves: u64,
    pub(crate) leases: u64,
}

impl Counting {
    pub(crate) const fn new(store: PostgresStore) -> Self {
        Self {
            store,
            loads: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            leases: AtomicU64::new(0),
        }
    }

    /// The counts since the previous call.
    pub(crate) fn calls(&self) -> Calls {
        let taken = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Calls {
            loads: taken(&self.loads),
            saves: taken(&self.saves),
            leases: taken(&self.leases),
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loads,
            saves,
            leases,
        } = self;
        write!(f, "{loads} load, {saves} save, {leases} lease")
    }
}

impl Store for Counting {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.store.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        self.store.save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.leases.fetch_add(1, Ordering::Relaxed);
        self.store.lease(key, holder, ttl)
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        self.store.remove(key)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        self.store.scan(cursor)
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        self.store.due(before, limit)
    }
}

/// The resident memory of the process, and its peak, in bytes.
pub(crate) fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("a figure")
            * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}
