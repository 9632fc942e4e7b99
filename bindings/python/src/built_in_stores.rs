//! Built-in stores as Python classes. A source uses them without calling Python.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Misuse;
use oauth_session::store::{self, Access, Entry, Lease, Saved, StoreUrl, Times};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyClass, PyClassInitializer};

use crate::fork_safety::PerProcess;
use crate::network::seconds;
use crate::pending_call::{Answer, PendingCall};
use crate::sync_async::twins;
use crate::text::text;
use crate::{errors, secret, value};

type Open = Box<dyn Fn(Python<'_>) -> PyResult<Arc<dyn store::Store>> + Send + Sync>;

/// How a store is opened, and the one that is open in this process: connections do not survive a
/// fork.
pub(crate) struct Opened {
    open: Open,
    store: PerProcess<Arc<dyn store::Store>>,
}

impl Opened {
    /// The store of this process.
    pub(crate) fn here(&self, py: Python<'_>) -> PyResult<Arc<dyn store::Store>> {
        self.store.with(|| (self.open)(py), Arc::clone)
    }
}

/// Which store a URL names (redis, postgres, sqlite, file, memory), and what that store is opened with.
///
/// store.setup for the URL of none.
#[pyfunction]
#[pyo3(signature = (url, /))]
pub(crate) fn store_url(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] url: String,
) -> PyResult<(&'static str, String)> {
    match StoreUrl::parse(&url) {
        Ok(StoreUrl::Redis(url)) => Ok(("redis", url.expose().clone())),
        Ok(StoreUrl::Postgres(url)) => Ok(("postgres", url.expose().clone())),
        Ok(StoreUrl::Sqlite(path)) => Ok(("sqlite", path)),
        Ok(StoreUrl::Files(path)) => Ok(("file", path)),
        Ok(StoreUrl::Memory) => Ok(("memory", String::new())),
        Ok(_) => Err(errors::raise(py, &Misuse::NotSupported.into())),
        Err(error) => Err(errors::raise(py, &error)),
    }
}

/// A built-in store: its methods, which block with Python's lock released.
///
/// Each is atomic with respect to other workers. LostError if the store cannot be
/// reached: then it is unknown whether it took effect.
#[pyclass(frozen, subclass, module = "oauth_core.stores")]
pub(crate) struct NativeStore(Arc<Opened>);

/// The store, if it is one of ours.
pub(crate) fn opened(object: &Bound<'_, PyAny>) -> Option<Arc<Opened>> {
    let store = object.cast::<NativeStore>().ok()?;
    Some(Arc::clone(&store.get().0))
}

impl NativeStore {
    /// What is wrong with how it is opened is told now.
    pub(crate) fn with<T: PyClass<BaseType = Self>>(
        py: Python<'_>,
        open: impl Fn(Python<'_>) -> PyResult<Arc<dyn store::Store>> + Send + Sync + 'static,
        kind: T,
    ) -> PyResult<PyClassInitializer<T>> {
        let opened = Opened {
            open: Box::new(open),
            store: PerProcess::new(),
        };
        opened.here(py)?;
        Ok(PyClassInitializer::from(Self(Arc::new(opened))).add_subclass(kind))
    }
}

#[pymethods]
impl NativeStore {
    /// The version of the record and the record, a secret; None if there is none.
    #[pyo3(signature = (key, /))]
    fn load(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
    ) -> PyResult<Py<PyAny>> {
        let store = self.0.here(py)?;
        let work = async move {
            let entry = store.load(&key).await?;
            let entry = entry.map(|Entry { version, record }| (version, record.expose().clone()));
            Ok(Answer::value(entry))
        };
        PendingCall::new("store.load", work).wait(py)
    }

    /// Saves the record if it is still at this version: the new version, or None.
    ///
    /// Version 0 is for a key that has none. due is when it should be renewed, as a Unix
    /// time in seconds or an aware datetime, for due(). until is when the record expires: from then
    /// on it does not exist.
    #[pyo3(signature = (key, record, version, /, due = None, until = None))]
    fn save(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
        #[pyo3(from_py_with = text)] record: String,
        version: u64,
        due: Option<Bound<'_, PyAny>>,
        until: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let due = due.map(|due| value::to_time(&due)).transpose()?;
        let until = until.map(|until| value::to_time(&until)).transpose()?;
        let times = Times { due, until };
        let (store, record) = (self.0.here(py)?, secret(record));
        let work = async move {
            let saved = store.save(&key, &record, version, times).await?;
            Ok(Answer::value(match saved {
                Saved::At(version) => Some(version),
                Saved::Conflict => None,
            }))
        };
        PendingCall::new("store.save", work).wait(py)
    }

    /// Takes the lease for this holder for this many seconds, or for 0 releases it.
    ///
    /// Returns for how many seconds another holds it, or None if it is ours.
    #[pyo3(signature = (key, holder, seconds, /))]
    fn lease(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
        #[pyo3(from_py_with = text)] holder: String,
        seconds: f64,
    ) -> PyResult<Py<PyAny>> {
        let ttl = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("a lease is for a number of seconds"))?;
        let store = self.0.here(py)?;
        let work = async move {
            let lease = store.lease(&key, &holder, ttl).await?;
            Ok(Answer::value(match lease {
                Lease::Won => None,
                Lease::Held(rest) => Some(rest.as_secs_f64()),
            }))
        };
        PendingCall::new("store.lease", work).wait(py)
    }

    /// Removes a record and its lease, whatever is in them; returns whether there was one.
    #[pyo3(signature = (key, /))]
    fn remove(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
    ) -> PyResult<Py<PyAny>> {
        let store = self.0.here(py)?;
        let work = async move { Ok(Answer::value(store.remove(&key).await?)) };
        PendingCall::new("store.remove", work).wait(py)
    }

    /// The keys of some records, and the argument for the next call: None after the last.
    ///
    /// A key may appear twice.
    #[pyo3(signature = (cursor = None, /))]
    fn scan(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] cursor: Option<String>,
    ) -> PyResult<Py<PyAny>> {
        let store = self.0.here(py)?;
        let work = async move {
            let page = store.scan(cursor.as_deref()).await?;
            Ok(Answer::value((page.keys, page.next)))
        };
        PendingCall::new("store.scan", work).wait(py)
    }

    /// The keys of up to limit records that were due before this time, the longest due first.
    ///
    /// before is a Unix time in seconds or an aware datetime.
    #[pyo3(signature = (before, limit, /))]
    fn due(&self, py: Python<'_>, before: &Bound<'_, PyAny>, limit: usize) -> PyResult<Py<PyAny>> {
        let (before, store) = (value::to_time(before)?, self.0.here(py)?);
        let work = async move { Ok(Answer::value(store.due(before, limit).await?)) };
        PendingCall::new("store.due", work).wait(py)
    }
}

/// Records in a folder, for the processes of one person on one machine.
///
/// Each is a file that only its owner may read, replaced as a whole: a process killed at any point leaves the old
/// record or the new one. A truncated or unreadable record is stored.malformed; a folder that others may write to is
/// store.setup. Use a local file system.
///
/// The folder is created (0700) if it does not exist. access="group" shares it with its group, whose
/// members may read and remove every record: files are 0660, the folder 2770, as
/// of a volume that containers share with fsGroup. A process that is not in the group, and
/// anything that all users may read or write, is store.setup.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct FileStore {
    store: store::FileStore,
    path: PathBuf,
}

#[pymethods]
impl FileStore {
    #[new]
    #[pyo3(signature = (path, /, *, access = "owner"))]
    fn new(py: Python<'_>, path: PathBuf, access: &str) -> PyResult<PyClassInitializer<Self>> {
        let access = to_access(access)?;
        filled(&path)?;
        let opened = py.detach(|| store::FileStore::open(&path, access));
        let store = opened.map_err(|error| errors::raise(py, &error))?;
        // It holds nothing open, so it goes with its process into a fork.
        let kept = store.clone();
        let open = move |_: Python<'_>| Ok(Arc::new(kept.clone()) as Arc<dyn store::Store>);
        NativeStore::with(py, open, Self { store, path })
    }

    /// The keys of all records, sorted; no record is read.
    fn keys(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let store = self.store.clone();
        let work = async move { Ok(Answer::value(store.list().await?)) };
        PendingCall::new("store.keys", work).wait(py)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.FileStore {:?}>", self.path)
    }
}

/// Records in a SQLite database, for the processes of one person on one machine.
///
/// Like FileStore, and better for many grants. The file is private (0600);
/// another's file, a folder that others may write to, and a link are store.setup. Use a
/// local file system. The file is created if it does not exist, and its folder (0700) too.
/// access="group" is as for FileStore.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct SqliteStore(PathBuf);

#[pymethods]
impl SqliteStore {
    #[new]
    #[pyo3(signature = (path, /, *, access = "owner"))]
    fn new(py: Python<'_>, path: PathBuf, access: &str) -> PyResult<PyClassInitializer<Self>> {
        let access = to_access(access)?;
        filled(&path)?;
        // As long as it is relative, it means another file after a change of directory.
        let path = std::path::absolute(path)?;
        let kept = path.clone();
        let open = move |py: Python<'_>| {
            // Python forks.
            let opened = py.detach(|| store::SqliteStore::open_across_forks(&kept, access));
            let store = opened.map_err(|error| errors::raise(py, &error))?;
            Ok(Arc::new(store) as Arc<dyn store::Store>)
        };
        NativeStore::with(py, open, Self(path))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.SqliteStore {:?}>", self.0)
    }
}

/// An empty path usually comes from an unset variable, and would mean the working directory.
fn filled(path: &Path) -> PyResult<()> {
    match path.as_os_str().is_empty() {
        true => Err(PyValueError::new_err("path is empty")),
        false => Ok(()),
    }
}

fn to_access(text: &str) -> PyResult<Access> {
    match text {
        "owner" => Ok(Access::Owner),
        "group" => Ok(Access::Group),
        _ => Err(PyValueError::new_err("access is \"owner\" or \"group\"")),
    }
}

/// Records in the memory of this process, for all its threads and tasks.
///
/// For tests, and if tokens need not outlive the process. A forked child begins with its own
/// copy.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct MemoryStore;

#[pymethods]
impl MemoryStore {
    #[new]
    fn new(py: Python<'_>) -> PyResult<PyClassInitializer<Self>> {
        let memory = store::MemoryStore::new();
        let open = move |_: Python<'_>| Ok(Arc::new(memory.clone()) as Arc<dyn store::Store>);
        NativeStore::with(py, open, Self)
    }

    #[allow(clippy::unused_self, reason = "it is what Python asks for")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.stores.MemoryStore>"
    }
}

/// Records in Redis 5 or newer, for machines that share a server.
///
/// redis://user:password@host:6379/0,
/// redis+sentinel://user:password@host:26379,host/primary/0 or
/// redis+cluster://user:password@host:6379,host; rediss for TLS. Nothing is connected
/// before it is needed. timeout, in seconds, is for a connection, and again for an answer.
/// prefix is put before every key. With replicas, a record counts as saved once that many
/// have it too.
///
/// A record is as durable as the server: turn appendonly on, and make sure that maxmemory does not cause
/// to evict.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct RedisStore {
    prefix: String,
}

#[pymethods]
impl RedisStore {
    #[new]
    #[pyo3(signature = (url, /, *, prefix = "oauth-core:grant:", timeout = 5.0, replicas = 0))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] url: String,
        prefix: &str,
        timeout: f64,
        replicas: usize,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (url, timeout): (Secret<String>, _) = (secret(url), seconds(timeout)?);
        let prefix = prefix.to_owned();
        let before = prefix.clone();
        let open = move |py: Python<'_>| {
            let store = store::RedisStore::new(url.expose());
            let store = store.map_err(|error| errors::raise(py, &error))?;
            let store = store.with_prefix(before.as_str()).with_timeout(timeout);
            let store = store.with_replicas(replicas);
            Ok(Arc::new(store) as Arc<dyn store::Store>)
        };
        NativeStore::with(py, open, Self { prefix })
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.RedisStore prefix={:?}>", self.prefix)
    }
}

/// Records in a table of PostgreSQL 9.6 or newer, for machines that share a server.
///
/// postgres://user:password@host/database; with sslmode=require nothing is sent without
/// TLS, which is otherwise used if the server offers it. Nothing is connected before it is
/// needed. timeout, in seconds, is for a connection, and also for an answer. Each method is one
/// statement, so a connection pooler works. A record is as durable as the server.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct PostgresStore(Pool);

type Pool = Arc<dyn Fn(Python<'_>) -> PyResult<store::PostgresStore> + Send + Sync>;

#[pymethods]
impl PostgresStore {
    /// What migrate() runs, for those who migrate in their own way.
    #[classattr]
    const SCHEMA: &'static str = store::PostgresStore::SCHEMA;

    #[new]
    #[pyo3(signature = (url, /, *, timeout = 5.0))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] url: String,
        timeout: f64,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (url, timeout): (Secret<String>, _) = (secret(url), seconds(timeout)?);
        let of_process = PerProcess::new();
        let pool: Pool = Arc::new(move |py| {
            let open = || {
                let store = store::PostgresStore::with_timeout(url.expose(), timeout);
                store.map_err(|error| errors::raise(py, &error))
            };
            of_process.with(open, Clone::clone)
        });
        let shared = Arc::clone(&pool);
        let open = move |py: Python<'_>| Ok(Arc::new(shared(py)?) as Arc<dyn store::Store>);
        NativeStore::with(py, open, Self(pool))
    }

    #[allow(clippy::unused_self, reason = "it is what Python asks for")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.stores.PostgresStore>"
    }
}

twins! {
    impl PostgresStore {
        /// Makes the table of the records, unless it is there.
        #[pyo3(signature = ())]
        fn migrate / amigrate(self, py) {
            self.migration(py)
        }
    }
}

impl PostgresStore {
    fn migration(&self, py: Python<'_>) -> PyResult<PendingCall> {
        let store = (self.0)(py)?;
        let work = async move {
            store.migrate().await?;
            Ok(Answer::value(None::<u64>))
        };
        Ok(PendingCall::new("store.migrate", work))
    }
}
