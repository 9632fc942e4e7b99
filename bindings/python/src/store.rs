//! The `store` argument: a built-in store (`built_in_stores.rs`), or any Python object with the three methods of a store.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_session::store::{
    self, Answer, Entry, Lease, Page, RecordTimes, SaveOutcome, remove_by_saving,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::built_in_stores::{self, PerProcessStore};
use crate::{errors, greenlet, runtime, value};

/// The longest time that a store or a key service written in Python may take.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A store argument.
#[derive(Clone)]
pub(crate) enum Store {
    Native(Arc<PerProcessStore>),
    Python(PythonStore),
}

impl Store {
    /// The store, for use in this process.
    pub(crate) fn for_this_process(&self, py: Python<'_>) -> PyResult<Arc<dyn store::Store>> {
        Ok(match self {
            Self::Native(opened) => opened.for_this_process(py)?,
            Self::Python(store) => Arc::new(store.clone()),
        })
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Store {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Some(opened) = built_in_stores::opened(&object) {
            return Ok(Self::Native(opened));
        }
        for method_name in ["load", "save", "lease"] {
            let is_callable = object
                .getattr_opt(method_name)?
                .is_some_and(|method| method.is_callable());
            if !is_callable {
                let text = format!(
                    "a store must have a callable {method_name} method, like FileStore, SqliteStore and the other stores"
                );
                return Err(PyTypeError::new_err(text));
            }
        }
        Ok(Self::Python(PythonStore {
            saving: SaveParameters::inspect(&object)?,
            object: Arc::new(object.to_owned().unbind()),
        }))
    }
}

/// A store written in Python. Its methods are called on a thread that may block.
#[derive(Clone)]
pub(crate) struct PythonStore {
    object: Arc<Py<PyAny>>,
    saving: SaveParameters,
}

/// The parameters of a store's `save`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SaveParameters {
    Record,
    /// Also `until`, the expiry of the record.
    RecordUntil,
}

impl SaveParameters {
    fn inspect(store: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = store.py();
        let signature = py
            .import("inspect")?
            .call_method1("signature", (store.getattr("save")?,));
        // Functions that are not written in Python may have no signature.
        let Ok(signature) = signature else {
            return Ok(Self::Record);
        };
        if signature.getattr("parameters")?.contains("until")? {
            Ok(Self::RecordUntil)
        } else {
            Ok(Self::Record)
        }
    }
}

impl PythonStore {
    /// Calls a method, and converts its result.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Answer<'_, T> {
        call_object("store", &self.object, call)
    }
}

/// Calls a Python object on a thread that may block; `name` names it in errors.
pub(crate) fn call_object<T: Send + 'static>(
    name: &'static str,
    object: &Arc<Py<PyAny>>,
    call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
) -> Answer<'static, T> {
    let object = Arc::clone(object);
    Box::pin(async move {
        let work = tokio::task::spawn_blocking(move || {
            let mut outcome = None;
            runtime::call_python(|py| {
                let called = greenlet::call(py, move |py| call(object.bind(py)));
                outcome = Some(called.map_err(|error| to_error(py, name, &error)));
            });
            outcome
        });
        let lost = |reason: &str| Error::lost(Cause::unknown(reason.to_owned()));
        match tokio::time::timeout(MAX_WAIT, work).await {
            Ok(Ok(Some(outcome))) => outcome,
            Ok(Ok(None)) => Err(lost("the interpreter is shutting down")),
            Ok(Err(_)) => Err(lost(&format!("the thread of the {name} was stopped"))),
            Err(_) => Err(lost(&format!("the {name} did not answer in time"))),
        }
    })
}

/// The exception's message may contain a URL with a password, so only its type is reported. Errors of built-in stores
/// contain none, and pass through.
fn to_error(py: Python<'_>, name: &str, error: &PyErr) -> Error {
    if let Some(error) = errors::from_exception(error.value(py)) {
        return oauth_facade::store_error(error);
    }
    let kind = error.get_type(py).to_string();
    errors::log(py, "error", &format!("the {name} failed: {kind}"));
    Error::lost(Cause::unknown(format!("the {name} raised {kind}")))
}

impl store::Store for PythonStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        let key = key.to_owned();
        self.call(move |store| {
            let entry: Option<(u64, String)> = store.call_method1("load", (key,))?.extract()?;
            Ok(entry.map(|(version, record)| Entry {
                version,
                record: Secret::new(record),
            }))
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let (key, record) = (key.to_owned(), record.clone());
        // `times.due` is dropped: `due` is never called on stores written in Python.
        let until = times
            .until
            .filter(|_| self.saving == SaveParameters::RecordUntil);
        self.call(move |store| {
            let py = store.py();
            let arguments = (key, record.expose().as_str(), version);
            let keywords = PyDict::new(py);
            if let Some(until) = until {
                keywords.set_item("until", value::time_to_py(py, until)?)?;
            }
            let saved = store.call_method("save", arguments, Some(&keywords))?;
            let saved: Option<u64> = saved.extract()?;
            Ok(saved.map_or(SaveOutcome::Conflict, SaveOutcome::At))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        self.call(move |store| {
            let arguments = (key, holder, ttl.as_secs_f64());
            let held: Option<f64> = store.call_method1("lease", arguments)?.extract()?;
            let held = Duration::try_from_secs_f64(held.unwrap_or_default()).map_err(|_| {
                PyValueError::new_err("lease must return a number of seconds, or None")
            })?;
            Ok(if held.is_zero() {
                Lease::Won
            } else {
                Lease::Held(held)
            })
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        let (key, key_argument) = (key.to_owned(), key.to_owned());
        let removed = self.call(move |store| match store.getattr_opt("remove")? {
            Some(remove) => remove.call1((key_argument,))?.extract().map(Some),
            None => Ok(None),
        });
        Box::pin(async move {
            match removed.await? {
                Some(was_there) => Ok(was_there),
                None => remove_by_saving(self, &key).await,
            }
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        let cursor = cursor.map(str::to_owned);
        let page = self.call(move |store| match store.getattr_opt("scan")? {
            Some(scan) => scan.call1((cursor,))?.extract().map(Some),
            None => Ok(None),
        });
        Box::pin(async move {
            let not_supported = || {
                Error::from(Misuse::NotSupported)
                    .at_endpoint("store")
                    .about("scan")
            };
            let (keys, next) = page.await?.ok_or_else(not_supported)?;
            Ok(Page { keys, next })
        })
    }
}
