//! Extracts `str` arguments from Python. Errors never show an argument that is not valid Unicode.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::client_auth::ClientAuth;
use crate::server::Server;

/// Extracts an argument that is or contains text, for `from_py_with`.
///
/// # Errors
/// `ValueError` for a lone surrogate, which Python creates for bytes of the environment that are not UTF-8. Python's own
/// error contains the text, which an error tracker would send.
pub(crate) fn text<'a, 'py, T>(argument: &'a Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    let py = argument.py();
    argument.extract().map_err(|error: T::Error| {
        let error = error.into();
        let Ok(text) = argument.cast::<PyString>() else {
            let error = without_text(py, error);
            return match error.is_instance_of::<PyTypeError>(py) {
                true => wrong_type(py, &error.value(py).to_string()),
                false => error,
            };
        };
        match text.to_cow() {
            Err(unreadable) => without_text(py, unreadable),
            // A str is a sequence of characters, but never accepted as a list.
            Ok(_) if error.is_instance_of::<PyTypeError>(py) => {
                wrong_type(py, "expected a list or bytes, not a string")
            }
            Ok(_) => error,
        }
    })
}

/// Extracts the `origins` argument: the URLs to which a token may be sent, or None for those of the server.
///
/// # Errors
/// The errors of [`text`]; `TypeError` that names the argument, for a single str.
pub(crate) fn origins(argument: &Bound<'_, PyAny>) -> PyResult<Option<Vec<String>>> {
    text(argument).map_err(|error| {
        if error.is_instance_of::<PyTypeError>(argument.py()) {
            wrong_type(argument.py(), "it must be a list of URLs, or a Server")
        } else {
            error
        }
    })
}

/// Extracts a str that is not empty, or None. An empty one usually comes from an unset variable.
///
/// # Errors
/// The errors of [`text`]; `ValueError` for an empty one.
pub(crate) fn filled(argument: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    match text::<Option<String>>(argument)? {
        Some(empty) if empty.is_empty() => Err(PyValueError::new_err("it must not be empty")),
        filled => Ok(filled),
    }
}

/// Extracts a value as JSON, or the text of it, such as what `step_up()` returns.
///
/// # Errors
/// The errors of `json.dumps`.
pub(crate) fn json_text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_instance_of::<PyString>() {
        return text(value);
    }
    value
        .py()
        .import("json")?
        .call_method1("dumps", (value,))?
        .extract()
}

/// Extracts a server.
///
/// # Errors
/// `TypeError` for anything else, such as the URL of an issuer; it says how to get a server.
pub(crate) fn server_argument(argument: &Bound<'_, PyAny>) -> PyResult<Py<Server>> {
    argument.extract().map_err(|_| {
        wrong_type(
            argument.py(),
            "expected a Server: discover(issuer), provider(name) or Server.from_metadata(...) returns one",
        )
    })
}

/// Extracts a client authentication method, or None.
///
/// # Errors
/// `TypeError` for anything else, such as the name of a method.
pub(crate) fn client_auth_argument<'py>(
    argument: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, ClientAuth>>> {
    argument.extract().map_err(|_| {
        wrong_type(
            argument.py(),
            "expected a ClientAuth, such as PrivateKeyJwt(key) or ClientSecretBasic(secret)",
        )
    })
}

/// Extracts the number of a port.
///
/// # Errors
/// `ValueError` that names the argument, for a number that is not a port; `TypeError` for anything else.
pub(crate) fn port(argument: &Bound<'_, PyAny>) -> PyResult<u16> {
    let py = argument.py();
    argument.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(py) {
            PyValueError::new_err("port must be a number from 0 to 65535")
        } else {
            wrong_type(py, &error.value(py).to_string())
        }
    })
}

/// A `TypeError` whose text names the argument, which PyO3 adds in a note only.
pub(crate) fn wrong_type(py: Python<'_>, text: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.import(py, "oauth_core._arguments", "ArgumentTypeError");
    class
        .and_then(|class| class.call1((text,)))
        .map_or_else(|failed| failed, PyErr::from_value)
}

/// Replaces an error that contains the text it is about.
pub(crate) fn without_text(py: Python<'_>, error: PyErr) -> PyErr {
    if contains_text(py, &error) {
        PyValueError::new_err(
            "text contains a lone surrogate, which is not valid Unicode: it was decoded from bytes that are not UTF-8, such as an environment variable",
        )
    } else {
        error
    }
}

/// Whether this is Python's own error for text that cannot be encoded as UTF-8, or was raised from one.
fn contains_text(py: Python<'_>, error: &PyErr) -> bool {
    let is_encode_error = error.is_instance_of::<PyUnicodeEncodeError>(py);
    is_encode_error
        || error
            .cause(py)
            .is_some_and(|cause| contains_text(py, &cause))
}
