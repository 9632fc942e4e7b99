//! Sealing keys: from bytes, from the system's keyring, or held by a key service.

use std::path::PathBuf;
use std::sync::Arc;

use oauth_session::store::seal::{self, DataKey, KeySource, Keys};
use oauth_session::store::{Answer, KeyringStore};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

use crate::pending_call::{CallResult as Answered, PendingCall};
use crate::store::call_object;
use crate::text::text;
use crate::{errors, secret};

/// A key to seal records with. Its repr shows only its id.
///
/// 32 random bytes, or their text in base64url without padding, of 43 characters;
/// key.sealing otherwise.
#[pyclass(frozen, module = "oauth_core.stores")]
pub(crate) struct SealingKey(seal::Key);

impl SealingKey {
    pub(crate) const fn of(key: seal::Key) -> Self {
        Self(key)
    }
}

#[pymethods]
impl SealingKey {
    #[new]
    #[pyo3(signature = (key, /))]
    fn new(py: Python<'_>, key: KeyArgument) -> PyResult<Self> {
        key.0.map(Self).map_err(|error| errors::raise(py, &error))
    }

    /// The key in the operating system's keyring for this service and name, created on first use.
    ///
    /// folder is for locks between concurrent processes, and contains no secret: it is created (0700) if it
    /// does not exist, and all processes must use the same. store.setup if no keyring can be reached; a locked
    /// one may prompt the user, and is waited for.
    #[staticmethod]
    #[pyo3(signature = (folder, /, *, service = "oauth-core", name = "seal"))]
    fn from_keyring(
        py: Python<'_>,
        folder: PathBuf,
        service: &str,
        name: &str,
    ) -> PyResult<Py<PyAny>> {
        let (service, name) = (service.to_owned(), name.to_owned());
        let work = async move {
            let keyring = KeyringStore::new(folder)?.with_service(service);
            let key = keyring.seal_key(&name).await?;
            Ok(Answered::value(Self(key)))
        };
        PendingCall::new("key.from_keyring", work).wait(py)
    }

    /// The id of the key, which reveals nothing about it.
    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.SealingKey {}>", self.0.id())
    }
}

/// An argument as a key, or the error if it is not one.
pub(crate) struct KeyArgument(pub(crate) Result<seal::Key, oauth_core::Error>);

impl<'a, 'py> FromPyObject<'a, 'py> for KeyArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(seal::Key::from_slice(bytes.as_bytes())));
        }
        if let Ok(key) = object.cast::<SealingKey>() {
            return Ok(Self(Ok(key.get().0.clone())));
        }
        // The message does not show the value, which may contain a part of a key.
        let wrong_type = |_| PyTypeError::new_err("a key must be bytes, a str or a SealingKey");
        let string = object.cast::<PyString>().map_err(wrong_type)?;
        Ok(Self(seal::Key::parse(&secret(text(string.as_any())?))))
    }
}

/// A key, or a key service.
pub(crate) enum KeyOrService {
    Key(KeyArgument),
    Source(Arc<Py<PyAny>>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for KeyOrService {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        for method in ["data_key", "unwrap_key"] {
            let method = object.getattr_opt(method)?;
            if !method.is_some_and(|method| method.is_callable()) {
                return object.extract().map(Self::Key).map_err(|error: PyErr| {
                    let message = "a key must be bytes, a str, a SealingKey, or an object with \
                                   data_key and unwrap_key";
                    if error.is_instance_of::<PyTypeError>(object.py()) {
                        PyTypeError::new_err(message)
                    } else {
                        error
                    }
                });
            }
        }
        Ok(Self::Source(Arc::new(object.to_owned().unbind())))
    }
}

/// The keys of a store. Each process caches data keys for itself.
pub(crate) struct StoreKeys {
    current: Holder,
    old: Vec<Holder>,
}

enum Holder {
    Value(seal::Key),
    Service(Arc<Py<PyAny>>),
}

impl StoreKeys {
    pub(crate) fn new(
        py: Python<'_>,
        current: KeyOrService,
        old: Vec<KeyOrService>,
    ) -> PyResult<Self> {
        let holder = |key_or_service| match key_or_service {
            KeyOrService::Key(key) => {
                let key = key.0.map_err(|error| errors::raise(py, &error));
                key.map(Holder::Value)
            }
            KeyOrService::Source(object) => Ok(Holder::Service(object)),
        };
        Ok(Self {
            current: holder(current)?,
            old: old.into_iter().map(holder).collect::<PyResult<_>>()?,
        })
    }

    pub(crate) fn open(&self) -> Keys {
        let keys = match &self.current {
            Holder::Value(key) => Keys::new(key.clone()),
            Holder::Service(object) => Keys::from_source(PythonKeySource(Arc::clone(object))),
        };
        self.old.iter().fold(keys, |keys, old| match old {
            Holder::Value(key) => keys.with_previous(key.clone()),
            Holder::Service(object) => {
                keys.with_previous_source(PythonKeySource(Arc::clone(object)))
            }
        })
    }
}

/// A key service written in Python. It is called on a thread that may block, and its coroutines run there as well.
struct PythonKeySource(Arc<Py<PyAny>>);

const CALLBACK: &str = "key service";

impl KeySource for PythonKeySource {
    fn data_key(&self) -> Answer<'_, DataKey> {
        let call = call_object(CALLBACK, &self.0, |source| {
            let result = result_of_callback(&source.call_method0("data_key")?)?;
            let result: Option<(String, KeyArgument)> = result.extract().ok();
            result.ok_or_else(|| PyValueError::new_err("data_key must return an id and a key"))
        });
        Box::pin(async {
            let (id, key) = call.await?;
            Ok(DataKey::new(id, key.0?))
        })
    }

    fn unwrap_key<'a>(&'a self, id: &'a str) -> Answer<'a, Option<seal::Key>> {
        let id = id.to_owned();
        let call = call_object(CALLBACK, &self.0, move |source| {
            let result = result_of_callback(&source.call_method1("unwrap_key", (id,))?)?;
            result.extract::<Option<KeyArgument>>()
        });
        Box::pin(async { call.await?.map(|key| key.0).transpose() })
    }
}

/// The result of a callback. A coroutine is run, and its result returned.
pub(crate) fn result_of_callback<'py>(returned: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static SETTLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    SETTLED
        .import(returned.py(), "oauth_core._bridge", "result_of_callback")?
        .call1((returned,))
}
