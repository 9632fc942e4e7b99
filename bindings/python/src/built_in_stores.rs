//! The built-in stores as Python classes. Token sources use them without calling Python.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Misuse;
use oauth_session::store::{self, Access, Entry, Lease, RecordTimes, SaveOutcome, StoreUrl};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyClass, PyClassInitializer};

use crate::fork_safety::PerProcess;
use crate::network::seconds;
use crate::pending_call::{CallResult, PendingCall};
use crate::sync_async::twins;
use crate::text::text;
use crate::{errors, secret, value};

type OpenStore = Box<dyn Fn(Python<'_>) -> PyResult<Arc<dyn store::Store>> + Send + Sync>;

/// A store that each process opens for itself, because connections do not survive a fork.
pub(crate) struct PerProcessStore {
    open: OpenStore,
    store: PerProcess<Arc<dyn store::Store>>,
}

impl PerProcessStore {
    /// The store of this process.
    pub(crate) fn for_this_process(&self, py: Python<'_>) -> PyResult<Arc<dyn store::Store>> {
        self.store.with(|| (self.open)(py), Arc::clone)
    }
}

/// The kind of store that a URL names (redis, postgres, sqlite, file, memory), and the argument to open it with.
///
/// store.setup for any other URL.
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

/// The methods of a built-in store, which release the GIL while they block.
///
/// Each is atomic with respect to other workers. LostError if the store cannot be
/// reached: it is then unknown whether the call took effect.
#[pyclass(frozen, subclass, module = "oauth_core.stores")]
pub(crate) struct NativeStore(Arc<PerProcessStore>);

/// The native half of a store, if it is a built-in one.
pub(crate) fn opened(object: &Bound<'_, PyAny>) -> Option<Arc<PerProcessStore>> {
    let store = object.cast::<NativeStore>().ok()?;
    Some(Arc::clone(&store.get().0))
}

impl NativeStore {
    /// Opens the store once, so that mistakes in its settings are reported now.
    pub(crate) fn with<T: PyClass<BaseType = Self>>(
        py: Python<'_>,
        open: impl Fn(Python<'_>) -> PyResult<Arc<dyn store::Store>> + Send + Sync + 'static,
        kind: T,
    ) -> PyResult<PyClassInitializer<T>> {
        let opened = PerProcessStore {
            open: Box::new(open),
            store: PerProcess::new(),
        };
        opened.for_this_process(py)?;
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
        let store = self.0.for_this_process(py)?;
        let work = async move {
            let entry = store.load(&key).await?;
            let entry = entry.map(|Entry { version, record }| (version, record.expose().clone()));
            Ok(CallResult::value(entry))
        };
        PendingCall::new("store.load", work).wait(py)
    }

    /// Saves the record if its stored version is still this one: the new version, or None.
    ///
    /// Version 0 means that there is no record yet. due is the time when it should be renewed, for due(), as
    /// a Unix time in seconds or an aware datetime. until is the time when the record expires and ceases
    /// to exist.
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
        let times = RecordTimes { due, until };
        let (store, record) = (self.0.for_this_process(py)?, secret(record));
        let work = async move {
            let saved = store.save(&key, &record, version, times).await?;
            Ok(CallResult::value(match saved {
                SaveOutcome::At(version) => Some(version),
                SaveOutcome::Conflict => None,
            }))
        };
        PendingCall::new("store.save", work).wait(py)
    }

    /// Acquires the lease for this holder for this many seconds; 0 releases it.
    ///
    /// Returns the seconds until another holder's lease ends, or None if the lease was acquired.
    #[pyo3(signature = (key, holder, seconds, /))]
    fn lease(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
        #[pyo3(from_py_with = text)] holder: String,
        seconds: f64,
    ) -> PyResult<Py<PyAny>> {
        let ttl = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("seconds must be a number of seconds"))?;
        let store = self.0.for_this_process(py)?;
        let work = async move {
            let lease = store.lease(&key, &holder, ttl).await?;
            Ok(CallResult::value(match lease {
                Lease::Won => None,
                Lease::Held(remaining) => Some(remaining.as_secs_f64()),
            }))
        };
        PendingCall::new("store.lease", work).wait(py)
    }

    /// Removes a record and its lease, unread; returns whether there was a record.
    #[pyo3(signature = (key, /))]
    fn remove(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
    ) -> PyResult<Py<PyAny>> {
        let store = self.0.for_this_process(py)?;
        let work = async move { Ok(CallResult::value(store.remove(&key).await?)) };
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
        let store = self.0.for_this_process(py)?;
        let work = async move {
            let page = store.scan(cursor.as_deref()).await?;
            Ok(CallResult::value((page.keys, page.next)))
        };
        PendingCall::new("store.scan", work).wait(py)
    }

    /// The keys of at most limit records that were due before this time, longest due first.
    ///
    /// before is a Unix time in seconds or an aware datetime.
    #[pyo3(signature = (before, limit, /))]
    fn due(&self, py: Python<'_>, before: &Bound<'_, PyAny>, limit: usize) -> PyResult<Py<PyAny>> {
        let (before, store) = (value::to_time(before)?, self.0.for_this_process(py)?);
        let work = async move { Ok(CallResult::value(store.due(before, limit).await?)) };
        PendingCall::new("store.due", work).wait(py)
    }
}

/// Stores records in a folder, for the processes of one user on one machine.
///
/// Each is a file that only its owner may read, replaced as a whole: a process killed at any point leaves the old
/// record or the new one. A truncated or unreadable record is stored.malformed; a folder that others may write to is
/// store.setup. Use a local file system.
///
/// The folder is created (0700) if it does not exist. access="group" shares it with its group, whose
/// members may read and remove every record: files are 0660, the folder 2770, as
/// on a volume that containers share with fsGroup. A process outside the group, and
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
        // It keeps nothing open, so a forked process can use it.
        let stored_argument = store.clone();
        let open =
            move |_: Python<'_>| Ok(Arc::new(stored_argument.clone()) as Arc<dyn store::Store>);
        NativeStore::with(py, open, Self { store, path })
    }

    /// The keys of all records, sorted; no record is read.
    fn keys(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let store = self.store.clone();
        let work = async move { Ok(CallResult::value(store.list().await?)) };
        PendingCall::new("store.keys", work).wait(py)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.FileStore {:?}>", self.path)
    }
}

/// Stores records in a SQLite database, for the processes of one user on one machine.
///
/// Like FileStore, but better for many grants. The file is private (0600);
/// a file of a different user, a folder that others may write to, and a link are store.setup. Use a
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
        // A relative path would mean a different file after a change of directory.
        let path = std::path::absolute(path)?;
        let stored_argument = path.clone();
        let open = move |py: Python<'_>| {
            // Python processes may fork.
            let opened =
                py.detach(|| store::SqliteStore::open_across_forks(&stored_argument, access));
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
    if path.as_os_str().is_empty() {
        Err(PyValueError::new_err("path must not be empty"))
    } else {
        Ok(())
    }
}

fn to_access(text: &str) -> PyResult<Access> {
    match text {
        "owner" => Ok(Access::Owner),
        "group" => Ok(Access::Group),
        _ => Err(PyValueError::new_err(
            "access must be \"owner\" or \"group\"",
        )),
    }
}

/// Stores records in the memory of this process, for all its threads and tasks.
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

    #[allow(clippy::unused_self, reason = "Python requires a method")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.stores.MemoryStore>"
    }
}

/// Stores records in Redis 5 or newer, for processes on several machines.
///
/// redis://user:password@host:6379/0,
/// redis+sentinel://user:password@host:26379,host/primary/0 or
/// redis+cluster://user:password@host:6379,host; rediss for TLS. Nothing is connected
/// before it is needed. timeout, in seconds, applies to connecting, and again to a response.
/// prefix is prepended to every key. With replicas, a record counts as saved once that many replicas
/// have it as well.
///
/// A record is as durable as the server: turn appendonly on, and make sure that maxmemory evicts no
/// records.
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

/// Stores records in a table of PostgreSQL 9.6 or newer, for processes on several machines.
///
/// postgres://user:password@host/database; with sslmode=require nothing is sent without
/// TLS, which is otherwise used if the server offers it. Nothing is connected before it is
/// needed. timeout, in seconds, applies to connecting, and again to a response. Each method is one
/// statement, so a connection pooler works. A record is as durable as the server.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct PostgresStore(Pool);

type Pool = Arc<dyn Fn(Python<'_>) -> PyResult<store::PostgresStore> + Send + Sync>;

#[pymethods]
impl PostgresStore {
    /// The SQL that migrate() executes, for applications with their own migrations.
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

    #[allow(clippy::unused_self, reason = "Python requires a method")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.stores.PostgresStore>"
    }
}

twins! {
    impl PostgresStore {
        /// Creates the table of the records, if it does not exist.
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
            Ok(CallResult::value(None::<u64>))
        };
        Ok(PendingCall::new("store.migrate", work))
    }
}
