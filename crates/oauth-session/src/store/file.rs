//! The store in files, for the processes of one machine.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::moment::UnixTime;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, LockedKey};
use super::{
    Access, Answer, ENDPOINT, Entry, Lease, PAGE_KEYS, Page, RecordTimes, SaveOutcome, Store,
    malformed, millis, next_version,
};

/// The format name in a record's file.
const FORMAT: &str = "oauth-core grant 1";

/// The extension of a record's file.
pub(super) const RECORD_EXTENSION: &str = "json";

/// Records in a folder, one file each, for all processes of one user on one machine.
///
/// A record is JSON, `{"format": "oauth-core grant 1", "version": 3, "record": "..."}`, in a file
/// that only its owner may read (0600). If it is known when the grant should be renewed, the file also contains that,
/// as `"due"` in seconds since 1970: to find what is due, every file is read. It also contains `"until"`, when the
/// record expires: some expired records are deleted when others are added. A record is replaced as a whole: written to
/// another file, synced to the disk, renamed. So a process that is killed anywhere, or a machine that loses power,
/// leaves either the old record or the new one. Between two calls a store holds nothing open.
///
/// Each call holds a lock of the operating system on one of the folder's sixteen lock files, and only during the call:
/// the lock ends with the process, however that ends. A lease is a small file with the name of the holder, when it was
/// acquired, and when it expires by the machine's clock. If the clock has been set back in the meantime, the lease
/// begins again when that is first noticed, so that it neither expires early nor lasts forever.
///
/// A file that does not belong to this store is refused, as is a file or folder that others could have written:
/// - `stored.malformed`: a record that is truncated, empty, or not a record. Only a new login
///   ([`GrantSource::log_in`](crate::GrantSource::log_in)) replaces it;
/// - `store.setup`: a symbolic link, another user's file, one that others may read or write (its
///   tokens may be known to them), a folder that others may write to, or that is in one where others could replace it.
///   [`open`](Self::open) shares it with a group.
///
/// Use a local file system: network file systems keep neither locks nor the order of writes well
/// enough. On Windows, files are as private as the folder they are in, and a power cut may undo the
/// last save.
///
/// Within a tokio runtime the work is done on its threads for blocking work, elsewhere in the thread
/// that polls.
#[derive(Debug, Clone)]
pub struct FileStore(Arc<Folder>);

#[derive(Serialize)]
struct WrittenRecord<'a> {
    format: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<UnixTime>,
    record: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRecord {
    format: String,
    version: u64,
    #[serde(default)]
    due: Option<UnixTime>,
    #[serde(default)]
    until: Option<UnixTime>,
    record: String,
}

/// The content of a record's file.
pub(super) struct RecordFile {
    pub(super) entry: Entry,
    pub(super) times: RecordTimes,
}

impl RecordFile {
    /// The entry, unless it has expired.
    pub(super) fn unless_expired(self) -> Option<Entry> {
        (!self.times.is_over()).then_some(self.entry)
    }
}

impl FileStore {
    /// Opens the records of this folder, which is created (0700) if it does not exist. Files left behind by killed
    /// writers are deleted.
    ///
    /// # Errors
    /// `store.setup` if others may write to the folder, or it cannot be opened.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open(folder, Access::Owner)
    }

    /// Opens the records of this folder like [`new`](Self::new), shared as `access` says. With [`Access::Group`] the
    /// files are created with mode 0660 and the folder with 2770, and another user's file is accepted if it belongs to
    /// the folder's group. All others are refused as usual.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new); also `store.setup` if this process is not in the folder's group, if the
    /// group may not write to the folder, or if what is made in the folder would be another group's
    /// (the setgid bit is not set).
    pub fn open(folder: impl Into<PathBuf>, access: Access) -> Result<Self, Error> {
        let folder = Folder::open(folder.into(), access)?;
        folder.sweep()?;
        Ok(Self(Arc::new(folder)))
    }

    /// The keys of all records, sorted. Only names are listed: no record is read.
    ///
    /// # Errors
    /// `store.setup` or `lost` if the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        let folder = Arc::clone(&self.0);
        run_blocking(move || folder.keys(RECORD_EXTENSION)).await
    }

    /// Runs `work` under the lock of this key.
    fn run_locked<T, F>(
        &self,
        key: &str,
        work: F,
    ) -> impl Future<Output = Result<T, Error>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&LockedKey<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (folder, key) = (Arc::clone(&self.0), key.to_owned());
        run_blocking(move || work(&folder.lock(&key)?))
    }
}

fn read(locked: &LockedKey<'_>) -> Result<Option<Entry>, Error> {
    Ok(stored_record(locked)?.and_then(RecordFile::unless_expired))
}

/// The stored record, even if it has expired.
fn stored_record(locked: &LockedKey<'_>) -> Result<Option<RecordFile>, Error> {
    let bytes = locked.read(RECORD_EXTENSION)?;
    let record = bytes.map(|bytes| decode_file(&bytes, &locked.name(RECORD_EXTENSION)));
    Ok(locked.read_tombstone()?.newer_than(record.transpose()?))
}

/// The times of a record: `None` if it cannot be read, which is reported when it is loaded.
fn read_times(bytes: &Secret<Vec<u8>>) -> Option<RecordTimes> {
    let record = decode_file(bytes, RECORD_EXTENSION).ok()?;
    (!record.entry.is_removed()).then_some(record.times)
}

fn save(
    locked: &LockedKey<'_>,
    record: &Secret<String>,
    version: u64,
    times: RecordTimes,
) -> Result<SaveOutcome, Error> {
    let stored_record = stored_record(locked)?;
    // The version of an expired record is not used again.
    let last_version = stored_record
        .as_ref()
        .map_or(0, |stored_record| stored_record.entry.version);
    let current_version = stored_record
        .and_then(RecordFile::unless_expired)
        .map_or(0, |entry| entry.version);
    let Some(next) = next_version(last_version).filter(|_| current_version == version) else {
        return Ok(SaveOutcome::Conflict);
    };
    // A removed record is a tombstone file, which scans do not list.
    if record.expose().is_empty() {
        let next = locked.mark_removed(last_version)?;
        locked.remove(RECORD_EXTENSION)?;
        return Ok(SaveOutcome::At(next));
    }
    locked.write(RECORD_EXTENSION, &encode_file(record, next, times)?)?;
    locked.unmark_removed()?;
    Ok(SaveOutcome::At(next))
}

/// Decodes the file of this name.
pub(super) fn decode_file(bytes: &Secret<Vec<u8>>, name: &str) -> Result<RecordFile, Error> {
    let malformed_file = |detail: &str| malformed(&format!("{name}: {detail}"));
    let stored: ReadRecord =
        serde_json::from_slice(bytes.expose()).map_err(|_| malformed_file("not a record"))?;
    let record = Secret::new(stored.record);
    if stored.format != FORMAT || stored.version == 0 {
        return Err(malformed_file("another format"));
    }
    Ok(RecordFile {
        entry: Entry {
            version: stored.version,
            record,
        },
        times: RecordTimes {
            due: stored.due,
            until: stored.until,
        },
    })
}

pub(super) fn encode_file(
    record: &Secret<String>,
    version: u64,
    times: RecordTimes,
) -> Result<Secret<Vec<u8>>, Error> {
    let written = WrittenRecord {
        format: FORMAT,
        version,
        due: times.due,
        until: times.until,
        record: record.expose(),
    };
    // Reserve enough memory, so that growing leaves no copies behind: a record is JSON in JSON, with a backslash before
    // every quote.
    let mut bytes = Vec::with_capacity(2 * record.expose().len() + 160);
    serde_json::to_writer(&mut bytes, &written).map_err(|_| malformed("record"))?;
    Ok(Secret::new(bytes))
}

impl Store for FileStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(self.run_locked(key, read))
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let record = record.clone();
        let saved = self.run_locked(key, move |locked| save(locked, &record, version, times));
        Box::pin(async move {
            let saved = saved.await?;
            // Records that expire are those of sessions: each new one deletes some expired ones.
            if version == 0 && times.until.is_some() {
                let folder = Arc::clone(&self.0);
                run_blocking(move || folder.sweep_ended()).await?;
            }
            Ok(saved)
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let (holder, ttl) = (holder.to_owned(), millis(ttl));
        Box::pin(self.run_locked(key, move |locked| locked.lease(&holder, ttl)))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let removal = self.run_locked(key, |locked| {
                locked.remove_lease()?;
                // A record that cannot be read is removed too.
                let record = stored_record(locked).ok().flatten();
                let version = record.as_ref().map_or(0, |record| record.entry.version);
                let is_expired = record.is_some_and(|record| record.times.is_over());
                locked.mark_removed(version)?;
                Ok(locked.remove(RECORD_EXTENSION)? && !is_expired)
            });
            let existed = removal.await?;
            let folder = Arc::clone(&self.0);
            run_blocking(move || folder.forget_removed()).await?;
            Ok(existed)
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        let (folder, last_key) = (Arc::clone(&self.0), cursor.map(str::to_owned));
        Box::pin(run_blocking(move || {
            let keys = folder.keys(RECORD_EXTENSION)?.into_iter();
            let keys: Vec<String> = keys
                .skip_while(|key| last_key.as_ref().is_some_and(|last_key| key <= last_key))
                .take(PAGE_KEYS)
                .collect();
            let next = keys.last().filter(|_| keys.len() == PAGE_KEYS).cloned();
            Ok(Page { keys, next })
        }))
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        let folder = Arc::clone(&self.0);
        Box::pin(run_blocking(move || {
            let mut due_keys = Vec::new();
            for key in folder.keys(RECORD_EXTENSION)? {
                // Files are replaced as a whole, so no lock is needed to read one.
                let bytes = folder.read(&key, RECORD_EXTENSION)?;
                let times = bytes.as_ref().and_then(read_times);
                let due = times.filter(|times| !times.is_over());
                let due = due.and_then(|times| times.due);
                due_keys.extend(due.filter(|due| *due < before).map(|due| (due, key)));
            }
            due_keys.sort();
            Ok(due_keys
                .into_iter()
                .map(|(_, key)| key)
                .take(limit)
                .collect())
        }))
    }
}

/// Runs blocking work. Within a runtime it runs to its end even if the caller is cancelled.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return work();
    };
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(ended) => Err(Error::lost(Cause::unsent(ended)).at_endpoint(ENDPOINT)),
        },
    }
}
