//! Reads `str` arguments from Python: an argument that is not valid Unicode is reported without being shown.

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::client_auth::ClientAuth;
use crate::server::Server;

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
        let Ok(text) = given.cast::<PyString>() else {
            return withheld(py, error);
        };
        match text.to_cow() {
            Err(unreadable) => withheld(py, unreadable),
            // A str is a sequence of characters, but never accepted as a list.
            Ok(_) if error.is_instance_of::<PyTypeError>(py) => {
                PyTypeError::new_err("expected a list or bytes, not a string")
            }
            Ok(_) => error,
        }
    })
}

/// Where a token may be sent, or None for what is known of the server.
///
/// # Errors
/// Those of [`text`]; `TypeError` for a single text, which names the argument.
pub(crate) fn origins(given: &Bound<'_, PyAny>) -> PyResult<Option<Vec<String>>> {
    text(given).map_err(
        |error| match error.is_instance_of::<PyTypeError>(given.py()) {
            true => PyTypeError::new_err("origins: expected a list of URLs"),
            false => error,
        },
    )
}

/// A string that is not empty, or None: an empty one usually comes from an unset variable.
///
/// # Errors
/// Those of [`text`]; `ValueError` for an empty one.
pub(crate) fn filled(given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    match text::<Option<String>>(given)? {
        Some(empty) if empty.is_empty() => Err(PyValueError::new_err("it is empty")),
        filled => Ok(filled),
    }
}

/// A value as JSON, or the text of it, such as what `step_up()` returns.
///
/// # Errors
/// Those of `json.dumps`.
pub(crate) fn json_text(given: &Bound<'_, PyAny>) -> PyResult<String> {
    if given.is_instance_of::<PyString>() {
        return text(given);
    }
    given
        .py()
        .import("json")?
        .call_method1("dumps", (given,))?
        .extract()
}

/// A server.
///
/// # Errors
/// `TypeError` for anything else, such as the URL of an issuer; it says where servers come from.
pub(crate) fn server_argument(given: &Bound<'_, PyAny>) -> PyResult<Py<Server>> {
    given.extract().map_err(|_| {
        PyTypeError::new_err(
            "expected a Server: discover(issuer), provider(name) or Server.from_metadata(...) returns one",
        )
    })
}

/// How a client authenticates, or None.
///
/// # Errors
/// `TypeError` for anything else, such as the name of a method.
pub(crate) fn client_auth_argument<'py>(
    given: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, ClientAuth>>> {
    given.extract().map_err(|_| {
        PyTypeError::new_err(
            "expected a ClientAuth, such as PrivateKeyJwt(key) or ClientSecretBasic(secret)",
        )
    })
}

/// The same error, unless it holds the text that it is about.
pub(crate) fn withheld(py: Python<'_>, error: PyErr) -> PyErr {
    match holds_text(py, &error) {
        true => PyValueError::new_err(
            "text with a lone surrogate, which is not valid Unicode: it was made of bytes that are not UTF-8, such as an environment variable",
        ),
        false => error,
    }
}

/// Whether it is Python's own error for text that has no UTF-8, or was raised from one.
fn holds_text(py: Python<'_>, error: &PyErr) -> bool {
    let is_it = error.is_instance_of::<PyUnicodeEncodeError>(py);
    is_it || error.cause(py).is_some_and(|cause| holds_text(py, &cause))
}
