//! `DpopKey`: the private key to which tokens are bound (RFC 9449).

use oauth_core::error::Error;
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::pending_call::{CallResult, PendingCall};
use crate::store::Store;
use crate::text::text;
use crate::{errors, held_key, no_pickle, secret};

/// A private key to which tokens are bound (RFC 9449): a stolen token is useless without it.
///
/// key is PEM (PKCS#8, PKCS#1, SEC1) or a JWK; alg is by default the first that it supports.
/// passphrase decrypts a key that is encrypted (PKCS#8 with PBES2). key.malformed for text that is not a key,
/// key.algorithm for a key that does not support the algorithm, key.encrypted, key.passphrase.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct DpopKey(pub(crate) oauth_facade::DpopKey);

#[pymethods]
impl DpopKey {
    #[new]
    #[pyo3(signature = (key, /, *, alg = None, passphrase = None))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] key: String,
        alg: Option<&str>,
        #[pyo3(from_py_with = text)] passphrase: Option<String>,
    ) -> PyResult<Self> {
        let passphrase = passphrase.map(secret);
        let read = oauth_facade::DpopKey::read(&secret(key), alg, passphrase.as_ref());
        to_dpop_key(py, read)
    }

    /// Generates a key in memory: tokens bound to it are useless after a restart.
    ///
    /// key.algorithm for an algorithm with a shared secret.
    #[staticmethod]
    #[pyo3(signature = (alg = "ES256"))]
    fn generate(py: Python<'_>, alg: &str) -> PyResult<Self> {
        to_dpop_key(py, oauth_facade::DpopKey::generate(alg))
    }

    /// A key held outside this process, in a key service (KMS) or a hardware module (HSM).
    ///
    /// public_jwk is the public key, as a dict or JSON. sign is called with a Sign and returns the
    /// signature as bytes, in JWS format (RFC 7518 section 3): for ES256 r and s, 32 bytes each,
    /// whereas key services often return DER. It is called for each proof, on a thread where it may
    /// block; its exceptions are raised by the call that needed the signature, and nothing was sent.
    /// key.malformed for an invalid public JWK, key.algorithm for one that does not support alg.
    #[staticmethod]
    #[pyo3(signature = (public_jwk, sign, /, *, alg = "ES256"))]
    fn held(
        py: Python<'_>,
        public_jwk: &Bound<'_, PyAny>,
        sign: Py<PyAny>,
        alg: &str,
    ) -> PyResult<Self> {
        if !sign.bind(py).is_callable() {
            return Err(PyTypeError::new_err("sign must be a function"));
        }
        let public = if public_jwk.is_instance_of::<PyString>() {
            text(public_jwk)?
        } else {
            py.import("json")?
                .call_method1("dumps", (public_jwk,))?
                .extract::<String>()?
        };
        let holder = held_key::holder(sign);
        to_dpop_key(
            py,
            oauth_facade::DpopKey::with_external_signer(alg, &public, holder),
        )
    }

    /// The key with this name in a store, shared by all workers; created on first use.
    ///
    /// store is one of oauth_core.stores, or an object with the methods of a store; without SealedStore, the key is stored
    /// in the clear, as refresh tokens are. name has at most 48 bytes. key.algorithm if the stored key is for a different
    /// algorithm: use a new name for a new key. argument.invalid, stored.malformed, and errors of the store.
    #[staticmethod]
    #[pyo3(signature = (store, name, /, *, alg = "ES256"))]
    fn open(
        py: Python<'_>,
        store: Store,
        #[pyo3(from_py_with = text)] name: String,
        alg: &str,
    ) -> PyResult<Py<PyAny>> {
        opening(py, &store, name, alg)?.wait(py)
    }

    /// open() for asyncio.
    #[staticmethod]
    #[pyo3(signature = (store, name, /, *, alg = "ES256"))]
    fn aopen<'py>(
        py: Python<'py>,
        store: Store,
        #[pyo3(from_py_with = text)] name: String,
        alg: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        opening(py, &store, name, alg)?.into_coroutine(py, intern!(py, "DpopKey.aopen"))
    }

    /// The thumbprint (jkt) in tokens that are bound to the key (RFC 9449 section 6.1).
    #[getter]
    fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// The public key, as a JWK (RFC 7517).
    fn public_jwk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?
            .call_method1("loads", (self.0.public_jwk(),))
    }

    /// The private key as PKCS#8 in PEM, a secret: processes that share it can share tokens.
    ///
    /// misuse.setup for a key held outside this process.
    fn private_pem(&self, py: Python<'_>) -> PyResult<String> {
        let pem = self.0.private_pem();
        let pem = pem.map_err(|error| errors::raise(py, &error))?;
        Ok(pem.expose().clone())
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.DpopKey {}>", self.0.thumbprint())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        no_pickle("a DpopKey")
    }
}

fn opening(py: Python<'_>, store: &Store, name: String, alg: &str) -> PyResult<PendingCall> {
    let alg = oauth_facade::dpop_alg(alg).map_err(|error| errors::raise(py, &error))?;
    let store = store.for_this_process(py)?;
    Ok(PendingCall::new("dpop_key.open", async move {
        let key = oauth_session::dpop_key::private(&*store, &name, alg).await?;
        let key = oauth_facade::DpopKey::new(key)?;
        let make = move |py: Python<'_>| DpopKey(key).into_py_any(py);
        Ok(CallResult::Value(Box::new(make)))
    }))
}

fn to_dpop_key(py: Python<'_>, key: Result<oauth_facade::DpopKey, Error>) -> PyResult<DpopKey> {
    key.map(DpopKey).map_err(|error| errors::raise(py, &error))
}
