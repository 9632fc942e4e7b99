//! Private keys that the application holds, for example in a key service or an HSM.

use bytes::Bytes;
use oauth_core::error::{Cause, Misuse};
use oauth_facade::{Holder, SigningJob};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::custom_source::raised_cause;
use crate::exchange::Sign;
use crate::{errors, runtime};

/// The application's signing function.
struct HeldKey(Py<PyAny>);

pub(crate) fn holder(sign: Py<PyAny>) -> Holder {
    Holder::new(HeldKey(sign))
}

/// Calls the signing function of the job's key.
pub(crate) fn sign(py: Python<'_>, job: &SigningJob) -> PyResult<Vec<u8>> {
    let held = job.holder.as_ref().and_then(Holder::downcast::<HeldKey>);
    let held = held.ok_or_else(|| errors::raise(py, &Misuse::KeyMissing.into()))?;
    let signature = held.0.bind(py).call1((Sign(job.clone()),))?;
    match signature.cast::<PyBytes>() {
        Ok(signature) => Ok(signature.as_bytes().to_vec()),
        Err(_) => Err(PyTypeError::new_err("the signature must be bytes")),
    }
}

/// Signs for a driver, on a thread where the function may block.
pub(crate) async fn signature(job: SigningJob) -> Result<Bytes, Cause> {
    let work = tokio::task::spawn_blocking(move || {
        let mut outcome = None;
        runtime::call_python(|py| outcome = Some(sign(py, &job).map_err(raised_cause)));
        outcome
    });
    match work.await {
        Ok(Some(outcome)) => outcome.map(Bytes::from),
        _ => Err(Cause::unsent("the interpreter is shutting down")),
    }
}
