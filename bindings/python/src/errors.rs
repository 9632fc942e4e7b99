//! Converts errors to Python exceptions, and writes log records.

use oauth_core::error::Error;
use oauth_facade::ErrorRecord;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::custom_source::Raised;
use crate::value;

/// The attribute in which an exception of this package keeps its Rust error.
const NATIVE: &str = "_native";

/// A Rust error inside a Python exception.
#[pyclass(frozen)]
struct Native(Error);

/// The Rust error of an exception, if it is one of this package.
pub(crate) fn from_exception(exception: &Bound<'_, PyAny>) -> Option<Error> {
    let native = exception.getattr_opt(NATIVE).ok()??;
    let native = native.cast::<Native>().ok()?;
    Some(native.get().0.clone())
}

/// The Python exception for an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error, None).unwrap_or_else(|failed| failed)
}

/// The Python exception for an error, with the exception that caused it.
pub(crate) fn raise_from(py: Python<'_>, error: &Error, cause: &Bound<'_, PyAny>) -> PyErr {
    build(py, error, Some(cause)).unwrap_or_else(|failed| failed)
}

fn build(py: Python<'_>, error: &Error, cause: Option<&Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let cause_is = error.cause().and_then(std::error::Error::source);
    if let Some(raised) = cause_is.and_then(|cause| cause.downcast_ref::<Raised>()) {
        return Ok(raised.0.clone_ref(py));
    }
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE
        .get_or_try_init(py, || py.import("oauth_core.errors").map(Bound::unbind))?
        .bind(py);
    let record = ErrorRecord::from(error);
    let class = module.getattr("CLASSES")?.get_item(record.kind.as_str())?;
    let attributes = PyDict::new(py);
    attributes.set_item("code", record.code)?;
    attributes.set_item("advice", record.advice)?;
    attributes.set_item("retry_after", record.retry_after)?;
    attributes.set_item("repeated", record.repeated)?;
    attributes.set_item("endpoint", record.endpoint)?;
    attributes.set_item("url", record.url)?;
    attributes.set_item("status", record.status)?;
    attributes.set_item("error", record.error)?;
    attributes.set_item("error_description", record.error_description)?;
    attributes.set_item("response_status", record.response_status)?;
    attributes.set_item("challenge", record.challenge)?;
    let headers = value::map_to_py(py, &record.response_headers)?;
    attributes.set_item("response_headers", headers)?;
    attributes.set_item("extra", value::map_to_py(py, &record.extra)?)?;
    let raised = class.call((record.message,), Some(&attributes))?;
    raised.setattr(NATIVE, Bound::new(py, Native(error.clone()))?)?;
    let raised = PyErr::from_value(raised);
    let cause = match (cause, error.cause()) {
        (Some(cause), _) => Some(PyErr::from_value(cause.clone())),
        (None, Some(cause)) => {
            let class = module.getattr("TransportError")?;
            Some(PyErr::from_value(class.call1((chain(cause),))?))
        }
        (None, None) => None,
    };
    raised.set_cause(py, cause);
    Ok(raised)
}

/// The messages of all layers: the outermost often says only "error sending request".
fn chain(cause: &dyn std::error::Error) -> String {
    let mut text = cause.to_string();
    let mut inner = cause.source();
    while let Some(error) = inner {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        inner = error.source();
    }
    text
}

/// Writes to `logging.getLogger("oauth_core")`. Failures of logging are ignored.
pub(crate) fn log(py: Python<'_>, level: &str, text: &str) {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let written = || -> PyResult<()> {
        let logger = LOGGER.get_or_try_init(py, || {
            let logging = py.import("logging")?;
            let logger = logging.call_method1("getLogger", ("oauth_core",))?;
            // Without configured logging, nothing is printed on stderr: important errors are raised as well.
            let nowhere = logging.call_method0("NullHandler")?;
            logger.call_method1("addHandler", (nowhere,))?;
            Ok::<_, PyErr>(logger.unbind())
        })?;
        logger.call_method1(py, level, (text,)).map(drop)
    };
    let _ = written();
}
