//! Sealing keys: from bytes, from the keyring, or held by another party.

use std::path::PathBuf;
use std::sync::Arc;

use oauth_session::store::seal::{self, DataKey, KeySource, Keys};
use oauth_session::store::{Answer, KeyringStore};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

use crate::pending_call::{Answer as Answered, PendingCall};
use crate::store::ask;
use crate::text::text;
use crate::{errors, secret};

/// A key to seal with. It shows only its id.
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
    fn new(py: Python<'_>, key: GivenKey) -> PyResult<Self> {
        key.0.map(Self).map_err(|error| errors::raise(py, &error))
    }

    /// The key that the operating system's keyring has, created on first use.
    ///
    /// It has it for this service under this name. folder is for locks between concurrent
    /// processes, and contains no secret: it is created (0700) if it does not exist, and all must
    /// name the same. store.setup if no keyring can be reached; one that is locked may prompt the
    /// user, and is waited for.
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

    /// Its name, which reveals nothing about it.
    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.stores.SealingKey {}>", self.0.id())
    }
}

/// An argument as a key, or the error if it is not one.
pub(crate) struct GivenKey(pub(crate) Result<seal::Key, oauth_core::Error>);

impl<'a, 'py> FromPyObject<'a, 'py> for GivenKey {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(seal::Key::from_slice(bytes.as_bytes())));
        }
        if let Ok(key) = object.cast::<SealingKey>() {
            return Ok(Self(Ok(key.get().0.clone())));
        }
        // A message about another value could contain a part of a key.
        let wrong = |_| PyTypeError::new_err("a key is bytes, a str or a SealingKey");
        let given = object.cast::<PyString>().map_err(wrong)?;
        Ok(Self(seal::Key::parse(&secret(text(given.as_any())?))))
    }
}

/// A key, or a key service.
pub(crate) enum Given {
    Key(GivenKey),
    Source(Arc<Py<PyAny>>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Given {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        for method in ["data_key", "unwrap_key"] {
            let method = object.getattr_opt(method)?;
            if !method.is_some_and(|method| method.is_callable()) {
                return object.extract().map(Self::Key).map_err(|error: PyErr| {
                    let why =
                        "a key is bytes, a str, a SealingKey, or an object with data_key and unwrap_key";
                    match error.is_instance_of::<PyTypeError>(object.py()) {
                        true => PyTypeError::new_err(why),
                        false => error,
                    }
                });
            }
        }
        Ok(Self::Source(Arc::new(object.to_owned().unbind())))
    }
}

/// The keys of a store. Each process caches data keys for itself.
pub(crate) struct GivenKeys {
    current: Holder,
    old: Vec<Holder>,
}

enum Holder {
    Here(seal::Key),
    Elsewhere(Arc<Py<PyAny>>),
}

impl GivenKeys {
    pub(crate) fn new(py: Python<'_>, current: Given, old: Vec<Given>) -> PyResult<Self> {
        let holder = |given| match given {
            Given::Key(key) => {
                let key = key.0.map_err(|error| errors::raise(py, &error));
                key.map(Holder::Here)
            }
            Given::Source(object) => Ok(Holder::Elsewhere(object)),
        };
        Ok(Self {
            current: holder(current)?,
            old: old.into_iter().map(holder).collect::<PyResult<_>>()?,
        })
    }

    pub(crate) fn open(&self) -> Keys {
        let keys = match &self.current {
            Holder::Here(key) => Keys::new(key.clone()),
            Holder::Elsewhere(object) => Keys::from_source(Foreign(Arc::clone(object))),
        };
        self.old.iter().fold(keys, |keys, old| match old {
            Holder::Here(key) => keys.also(key.clone()),
            Holder::Elsewhere(object) => keys.also_from(Foreign(Arc::clone(object))),
        })
    }
}

/// A key service written in Python: called on a thread that may block, where a coroutine is run too.
struct Foreign(Arc<Py<PyAny>>);

const WHO: &str = "key service";

impl KeySource for Foreign {
    fn data_key(&self) -> Answer<'_, DataKey> {
        let asked = ask(WHO, &self.0, |source| {
            let given = result_of_callback(&source.call_method0("data_key")?)?;
            let given: Option<(String, GivenKey)> = given.extract().ok();
            given.ok_or_else(|| PyValueError::new_err("data_key gives an id and a key"))
        });
        Box::pin(async {
            let (id, key) = asked.await?;
            Ok(DataKey::new(id, key.0?))
        })
    }

    fn unwrap_key<'a>(&'a self, id: &'a str) -> Answer<'a, Option<seal::Key>> {
        let id = id.to_owned();
        let asked = ask(WHO, &self.0, move |source| {
            let given = result_of_callback(&source.call_method1("unwrap_key", (id,))?)?;
            given.extract::<Option<GivenKey>>()
        });
        Box::pin(async { asked.await?.map(|key| key.0).transpose() })
    }
}

/// The result of a call; of a coroutine, the result of running it.
pub(crate) fn result_of_callback<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static SETTLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    SETTLED
        .import(given.py(), "oauth_core._bridge", "result_of_callback")?
        .call1((given,))
}
