//! Text out of Python, in one place: what cannot cross is told without being shown.

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An argument that is text or has text inside, for `from_py_with`.
///
/// # Errors
/// `ValueError` for a lone surrogate, which Python itself writes for bytes of the environment that are no UTF-8. Its own
/// error holds the text, and error trackers send what errors hold.
pub(crate) fn text<'a, 'py, T>(given: &'a Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    let py = given.py();
    given.extract().map_err(|error: T::Error| {
        let error = error.into();
        // A text is a list of its letters: it is never taken for one.
        match given.is_instance_of::<PyString>() && error.is_instance_of::<PyTypeError>(py) {
            true => PyTypeError::new_err("a list or bytes are wanted, not a text"),
            false => withheld(py, error),
        }
    })
}

/// The same error, unless it holds the text that it is about.
pub(crate) fn withheld(py: Python<'_>, error: PyErr) -> PyErr {
    match holds_text(py, &error) {
        true => PyValueError::new_err(
            "text with a lone surrogate, which is no Unicode: bytes that were not UTF-8, as of a variable of the environment",
        ),
        false => error,
    }
}

/// Whether it is Python's own error for text that has no UTF-8, or was raised from one.
fn holds_text(py: Python<'_>, error: &PyErr) -> bool {
    let is_it = error.is_instance_of::<PyUnicodeEncodeError>(py);
    is_it || error.cause(py).is_some_and(|cause| holds_text(py, &cause))
}
