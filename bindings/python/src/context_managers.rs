//! `with` and `async with` for classes that have to be closed.

use std::future::pending;
use std::sync::Arc;

use oauth_core::Error;
use oauth_facade::Record;
use pyo3::intern;
use pyo3::prelude::*;

use crate::pending_call::{CallResult, PendingCall};

/// The longest time that leaving a `with` block waits, in seconds: the default of drain().
pub(crate) const CLOSE_TIMEOUT: f64 = 10.0;

/// A call without a result.
pub(crate) fn call_without_result(
    name: &'static str,
    work: impl Future<Output = Result<(), Error>> + Send + 'static,
) -> PendingCall {
    PendingCall::new(name, async move {
        work.await?;
        Ok(CallResult::Record(Record::Nothing))
    })
}

/// A coroutine that returns this object.
pub(crate) fn coroutine_returning(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = object.py();
    let held = Arc::new(object.unbind());
    let ready = move || {
        let held = Arc::clone(&held);
        Some(Ok(CallResult::Value(Box::new(move |py| {
            Ok(held.clone_ref(py))
        }))))
    };
    let call = PendingCall::new("enter", pending()).unless(ready);
    call.into_coroutine(py, intern!(py, "__aenter__"))
}

/// Makes a class a context manager; its `closing` method is called at the end of the block.
macro_rules! closes {
    ($class:ident, $what:literal) => {
        $crate::sync_async::twins! {
            impl $class {
                #[doc = $what]
                #[pyo3(signature = ())]
                fn close / aclose(self, py) {
                    self.closing(py)
                }
            }
        }

        #[pymethods]
        impl $class {
            const fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
                this
            }

            #[pyo3(signature = (kind, error, trace, /))]
            fn __exit__(
                &self,
                py: Python<'_>,
                kind: &Bound<'_, PyAny>,
                error: &Bound<'_, PyAny>,
                trace: &Bound<'_, PyAny>,
            ) -> PyResult<Py<PyAny>> {
                let _ = (kind, error, trace);
                self.close(py)
            }

            fn __aenter__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                $crate::context_managers::coroutine_returning(this.clone().into_any())
            }

            #[pyo3(signature = (kind, error, trace, /))]
            fn __aexit__<'py>(
                &self,
                py: Python<'py>,
                kind: &Bound<'_, PyAny>,
                error: &Bound<'_, PyAny>,
                trace: &Bound<'_, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                let _ = (kind, error, trace);
                self.aclose(py)
            }
        }
    };
}

pub(crate) use closes;
