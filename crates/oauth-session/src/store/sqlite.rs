//! The store in a SQLite database, for the processes of one machine.

mod database;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::file::run_blocking;
use super::folder::lease::{Change, LeaseRecord, clock, decide};
use super::{
    Access, Answer, Entry, Lease, PAGE_KEYS, Page, RecordTimes, SaveOutcome, Store,
    TOMBSTONE_LIFETIME, malformed, millis, next_version,
};
use database::{ConnectionReuse, Database};

/// Records in one file, a SQLite database, for all processes of one user on one machine.
///
/// Like [`FileStore`](super::FileStore), and better for many grants: not every record is read to find what is due, or
/// to list a page.
///
/// Each call is one transaction. The database is in WAL mode, so there are two more files, `-wal` and `-shm`, and each
/// commit is synced to the disk: a process that is killed anywhere, or a machine that loses power, leaves either the
/// old record or the new one. Replaced or removed data is overwritten. A write that waits 10 s for other
/// writers fails. A lease runs by the machine's clock, and begins again if that has been set back in the
/// meantime. Tombstones are deleted after 30 days, at another removal.
///
/// The file is created private (0600), and so is the folder (0700) if it does not exist. A file that others could
/// read, a folder that they could write to, and a symbolic link are refused as `store.setup`; a file that is not such
/// a database is `stored.malformed`; [`open`](Self::open) shares it with a group. If the file is deleted or replaced,
/// the next call opens the one that is there then.
///
/// Use a local file system: WAL needs shared memory. If a process forks, see [`across_forks`](Self::across_forks).
/// Within a tokio runtime the work is done on its threads for blocking work, elsewhere in the thread
/// that polls.
#[derive(Clone)]
pub struct SqliteStore(Arc<Database>);

const LOAD: &str =
    "select version, record, ends from oauth_core_grant where key = ?1 and version > 0";

const SAVE: &str = "insert into oauth_core_grant (key, version, record, due, ends) \
    values (?1, ?2, ?3, ?4, ?5) on conflict (key) do update \
    set version = excluded.version, record = excluded.record, due = excluded.due, ends = excluded.ends";

/// Deletes at most this many expired records when another is added, except those with an active lease.
const DELETE_EXPIRED: &str = "delete from oauth_core_grant where key in ( \
    select key from oauth_core_grant where ends <= ?1 and (until is null or until <= ?2) \
    order by ends limit 16)";

const LEASE: &str = "insert into oauth_core_grant (key, holder, taken_at, until) \
    values (?1, ?2, ?3, ?4) on conflict (key) do update \
    set holder = excluded.holder, taken_at = excluded.taken_at, until = excluded.until";

const RELEASE_LEASE: &str =
    "update oauth_core_grant set holder = null, taken_at = null, until = null where key = ?1";

const DELETE_TOMBSTONES: &str = "delete from oauth_core_grant where record = '' and version < ?1";

const SCAN: &str = "select key from oauth_core_grant \
    where key > ?1 and version > 0 and record <> '' order by key limit ?2";

const DUE: &str = "select key from oauth_core_grant where due < ?1 order by due, key limit ?2";

impl SqliteStore {
    /// Opens the records in this file, which is created if it does not exist.
    ///
    /// # Errors
    /// `store.setup` if others have access to the file or its folder, or it cannot be opened;
    /// `stored.malformed` if it is something else.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open(path, Access::Owner)
    }

    /// Opens the records in this file like [`new`](Self::new), shared as `access` says, like
    /// [`FileStore::open`](super::FileStore::open): with [`Access::Group`] the files are created with mode 0660 and the
    /// folder with 2770.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new) and of [`FileStore::open`](super::FileStore::open).
    pub fn open(path: impl Into<PathBuf>, access: Access) -> Result<Self, Error> {
        Self::open_with(ConnectionReuse::KeepOpen, path.into(), access)
    }

    /// Opens the records in this file like [`new`](Self::new), but keeps no connection open between two calls, because
    /// none may be open when a process forks: SQLite's lock state is wrong in the child. Each call takes some
    /// milliseconds more.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn across_forks(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_across_forks(path, Access::Owner)
    }

    /// Opens the records in this file for processes that fork ([`across_forks`](Self::across_forks)), shared as
    /// `access` says.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_across_forks(path: impl Into<PathBuf>, access: Access) -> Result<Self, Error> {
        Self::open_with(ConnectionReuse::ReopenEachCall, path.into(), access)
    }

    fn open_with(reuse: ConnectionReuse, path: PathBuf, access: Access) -> Result<Self, Error> {
        Ok(Self(Arc::new(Database::open(path, access, reuse)?)))
    }

    /// Reads, in its own transaction.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.0);
        run_blocking(move || database.read(work)).await
    }

    /// Writes exclusively: no other connection writes at the same time.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.0);
        run_blocking(move || database.write(work)).await
    }
}

/// The reason why a transaction failed.
enum Failure {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// A row, even if it has expired.
struct Row {
    version: u64,
    record: Secret<String>,
    times: RecordTimes,
}

fn find_row(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<Row>> {
    let mut statement = transaction.prepare(LOAD)?;
    let row = statement.query_row([key], |row| {
        let expires_at: Option<i64> = row.get(2)?;
        let expires_at_time =
            expires_at.map(|seconds| UnixTime::from_secs(seconds.cast_unsigned()));
        Ok(Row {
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            record: Secret::new(row.get(1)?),
            times: RecordTimes {
                due: None,
                until: expires_at_time,
            },
        })
    });
    row.optional()
}

fn load(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<Entry>> {
    let live = find_row(transaction, key)?.filter(|row| !row.times.is_over());
    Ok(live.map(
        |Row {
             version, record, ..
         }| Entry { version, record },
    ))
}

fn save(
    transaction: &Transaction<'_>,
    key: &str,
    record: &Secret<String>,
    version: u64,
    times: RecordTimes,
) -> Result<SaveOutcome, Failure> {
    let row = find_row(transaction, key)?;
    // The version of an expired record is not used again.
    let last_version = row.as_ref().map_or(0, |row| row.version);
    let live = row.filter(|row| !row.times.is_over());
    let current_version = live.map_or(0, |row| row.version);
    let Some(next) = next_version(last_version).filter(|_| current_version == version) else {
        return Ok(SaveOutcome::Conflict);
    };
    if let (0, Some(_)) = (version, times.until) {
        let now = clock()?;
        let seconds = (now / 1000).cast_signed();
        transaction
            .prepare(DELETE_EXPIRED)?
            .execute([seconds, now.cast_signed()])?;
    }
    // A removed record is not due.
    let unless_removed =
        |time: Option<UnixTime>| time.filter(|_| !record.expose().is_empty()).map(seconds);
    let (due, expires_at) = (unless_removed(times.due), unless_removed(times.until));
    let mut statement = transaction.prepare(SAVE)?;
    statement.execute(params![
        key,
        next.cast_signed(),
        record.expose(),
        due,
        expires_at
    ])?;
    Ok(SaveOutcome::At(next))
}

fn lease(
    transaction: &Transaction<'_>,
    key: &str,
    holder: &str,
    ttl: u64,
) -> Result<Lease, Failure> {
    const HELD: &str = "select holder, taken_at, until from oauth_core_grant \
        where key = ?1 and holder is not null";
    let mut statement = transaction.prepare(HELD)?;
    let lease_row = statement.query_row([key], |row| {
        let time = |index| row.get(index).map(i64::cast_unsigned);
        Ok(LeaseRecord::new(row.get(0)?, time(1)?, time(2)?))
    });
    let (lease, change) = decide(lease_row.optional()?, holder, ttl, clock()?);
    match change {
        Change::Keep => {}
        Change::Write(lease_row) => {
            let (taken_at, lease_expires_at) = (
                lease_row.taken_at.cast_signed(),
                lease_row.until.cast_signed(),
            );
            let mut statement = transaction.prepare(LEASE)?;
            statement.execute(params![key, lease_row.holder, taken_at, lease_expires_at])?;
        }
        Change::Remove => {
            transaction.prepare(RELEASE_LEASE)?.execute([key])?;
        }
    }
    Ok(lease)
}

fn remove(transaction: &Transaction<'_>, key: &str) -> Result<bool, Failure> {
    let version = next_version(0).ok_or_else(|| malformed("version"))?;
    let oldest = u64::try_from(TOMBSTONE_LIFETIME.as_micros()).unwrap_or(u64::MAX);
    let oldest = version.saturating_sub(oldest).cast_signed();
    transaction.prepare(DELETE_TOMBSTONES)?.execute([oldest])?;
    let stored = load(transaction, key)?;
    let existed = stored.as_ref().is_some_and(|entry| !entry.is_removed());
    let version = stored.map_or(0, |entry| entry.version);
    save(
        transaction,
        key,
        &Secret::new(String::new()),
        version,
        RecordTimes::NONE,
    )?;
    transaction.prepare(RELEASE_LEASE)?.execute([key])?;
    Ok(existed)
}

fn query_keys(
    transaction: &Transaction<'_>,
    query: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = transaction.prepare(query)?;
    let rows = statement.query_map(parameters, |row| row.get(0))?;
    rows.collect()
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Store for SqliteStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        let key = key.to_owned();
        Box::pin(async move { self.read(move |transaction| load(transaction, &key)).await })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let (key, record) = (key.to_owned(), record.clone());
        Box::pin(self.write(move |transaction| save(transaction, &key, &record, version, times)))
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let (key, holder, ttl) = (key.to_owned(), holder.to_owned(), millis(ttl));
        Box::pin(self.write(move |transaction| lease(transaction, &key, &holder, ttl)))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        let key = key.to_owned();
        Box::pin(self.write(move |transaction| remove(transaction, &key)))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        let last_key = cursor.unwrap_or_default().to_owned();
        Box::pin(async move {
            let names = self.read(move |transaction| {
                query_keys(transaction, SCAN, params![last_key, row_limit(PAGE_KEYS)])
            });
            let keys = names.await?;
            let next = keys.last().filter(|_| keys.len() == PAGE_KEYS).cloned();
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        let (before, limit) = (seconds(before), row_limit(limit));
        Box::pin(self.read(move |transaction| query_keys(transaction, DUE, [before, limit])))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.0.path()).finish()
    }
}
