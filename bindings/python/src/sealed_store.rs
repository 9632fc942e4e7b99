//! `SealedStore`: a store that encrypts its records.

use std::sync::Arc;

use oauth_session::store;
use oauth_session::store::seal::Keys;
use pyo3::PyClassInitializer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::built_in_stores::NativeStore;
use crate::errors;
use crate::fork_safety::PerProcess;
use crate::keys::{KeyArgument, KeyOrService, StoreKeys};
use crate::pending_call::{CallResult, PendingCall};
use crate::store::Store;
use crate::text::text;

/// A store with encrypted, authenticated records: only a key's holder can read them, or change them undetected.
///
/// Versions, leases and due times are not hidden, and names only with names=.
/// Anyone who can write to the store can restore an older record. A record that cannot be
/// opened is stored.sealed: its key was not given, it was changed or moved, or it was never
/// sealed; a new login replaces it.
///
/// It seals and opens with key, and also opens with the old keys. A key is a SealingKey, 32 random bytes,
/// their text in base64url without padding, of 43 characters, or a KeySource that supplies
/// keys. A record that an old key opened is resealed when it is next saved, or by reseal().
/// names is a key that hides names, in a store that has no records yet; plain="accept"
/// reads records that were never sealed.
#[pyclass(frozen, extends = NativeStore, module = "oauth_core.stores")]
pub(crate) struct SealedStore(OpenSealed);

type OfStores = store::SealedStore<Arc<dyn store::Store>>;
type OpenSealed = Arc<dyn Fn(Python<'_>) -> PyResult<OfStores> + Send + Sync>;

#[pymethods]
impl SealedStore {
    #[new]
    #[pyo3(signature = (store, key, /, *, old = Vec::new(), names = None, plain = "refuse"))]
    fn new(
        py: Python<'_>,
        store: Store,
        key: KeyOrService,
        #[pyo3(from_py_with = text)] old: Vec<KeyOrService>,
        names: Option<KeyArgument>,
        plain: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let raise = |error| errors::raise(py, &error);
        let keys = StoreKeys::new(py, key, old)?;
        let of_process: PerProcess<Keys> = PerProcess::new();
        let names = names.map(|names| names.0).transpose().map_err(raise)?;
        let accepts_plain = match plain {
            "refuse" => false,
            "accept" => true,
            _ => {
                return Err(PyValueError::new_err(
                    "plain must be \"refuse\" or \"accept\"",
                ));
            }
        };
        let sealed: OpenSealed = Arc::new(move |py| {
            let keys = of_process.with(|| Ok::<_, PyErr>(keys.open()), Clone::clone)?;
            let mut sealed = store::SealedStore::new(store.for_this_process(py)?, keys);
            if let Some(names) = &names {
                sealed = sealed.hiding_names(names.clone());
            }
            Ok(if accepts_plain {
                sealed.accepting_plain()
            } else {
                sealed
            })
        });
        let opened = Arc::clone(&sealed);
        let open = move |py: Python<'_>| Ok(Arc::new(opened(py)?) as Arc<dyn store::Store>);
        NativeStore::with(py, open, Self(sealed))
    }

    /// Reseals every record that is not sealed with the current key.
    ///
    /// Other workers continue meanwhile.
    ///
    /// Returns their number, and the store names of the records that no key opens. Without such records, the
    /// old keys can be removed.
    fn reseal(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let sealed = (self.0)(py)?;
        let work = async move {
            let done = sealed.reseal().await?;
            Ok(CallResult::value((done.count, done.unopened)))
        };
        PendingCall::new("store.reseal", work).wait(py)
    }

    #[allow(clippy::unused_self, reason = "Python requires a method")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.stores.SealedStore>"
    }
}
