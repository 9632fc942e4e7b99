//! Functions of the application that are called when something happens.

use std::sync::Arc;

use oauth_core::error::Error;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTraceback;

use crate::custom_source::raised;
use crate::hook_owner::HookOwner;
use crate::{errors, runtime};

/// A plain function of the application. The name of its argument is for errors and the log.
#[derive(Clone)]
pub(crate) struct Hook(Arc<Py<PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Hook {
    type Error = PyErr;

    /// `TypeError` for anything but a plain function: nothing would run the coroutine of another one.
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = object.py();
        let check = CHECK.import(py, "oauth_core._arguments", "plain_function")?;
        check.call1((object,))?;
        Ok(Self(Arc::new(object.to_owned().unbind())))
    }
}

impl Hook {
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.0.bind(py).clone()
    }

    /// Calls the hook.
    ///
    /// # Errors
    /// The hook's exception; `TypeError` if it returns something that would have to be awaited.
    pub(crate) fn call<'py, A>(&self, py: Python<'py>, name: &str, arguments: A) -> PyResult<()>
    where
        A: PyCallArgs<'py>,
    {
        static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let result = self.0.bind(py).call1(arguments)?;
        if result.is_none() {
            return Ok(());
        }
        let check = CHECK.import(py, "oauth_core._arguments", "finished")?;
        check.call1((name, result)).map(drop)
    }

    /// Calls the hook on a thread of the runtime; waiting in it for the owner's tokens is refused. What it raises is
    /// logged, and returned for the callers who wait for it.
    pub(crate) fn run<'py, A>(
        &self,
        owner: HookOwner,
        name: &str,
        make: impl FnOnce(Python<'_>) -> PyResult<A>,
    ) -> Result<(), Error>
    where
        A: for<'any> PyCallArgs<'any>,
    {
        let mut outcome = Ok(());
        // Other tasks may need this thread meanwhile, possibly those that the hook waits for.
        tokio::task::block_in_place(|| {
            runtime::call_python(|py| {
                let result = owner.in_hook(py, || self.call(py, name, make(py)?));
                if let Err(error) = result {
                    report(py, name, &error);
                    outcome = Err(raised(py, error));
                }
            });
        });
        outcome
    }
}

/// Logs that a hook failed, and where; not the exception's text, which may contain a secret.
pub(crate) fn report(py: Python<'_>, name: &str, error: &PyErr) {
    let location = error
        .traceback(py)
        .and_then(|trace| raise_location(&trace).ok());
    let location = location.map(|location| format!(" at {location}"));
    let kind = error.get_type(py).to_string();
    let text = format!("{name} failed: {kind}{}", location.unwrap_or_default());
    errors::log(py, "error", &text);
}

/// The file and line of a hook at which it raised.
fn raise_location(trace: &Bound<'_, PyTraceback>) -> PyResult<String> {
    let code = trace.getattr("tb_frame")?.getattr("f_code")?;
    let file: String = code.getattr("co_filename")?.extract()?;
    Ok(format!("{file}:{}", trace.getattr("tb_lineno")?))
}
