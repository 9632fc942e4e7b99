//! Encodes form fields and query parameters from Python mappings.

use oauth_core::form;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyMapping, PyString, PyTuple};

/// Encoded fields of a query or form. In Python, a mapping of names to a str or an int, or a list of them.
pub(crate) struct FormFields(pub(crate) String);

impl<'a, 'py> FromPyObject<'a, 'py> for FormFields {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let mut encoded = String::new();
        for item in object.cast::<PyMapping>()?.items()? {
            let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
            let values = match value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()
            {
                true => value.try_iter()?.collect::<PyResult<Vec<_>>>()?,
                false => vec![value],
            };
            for value in values {
                if !encoded.is_empty() {
                    encoded.push('&');
                }
                form::encode(&name, &mut encoded);
                encoded.push('=');
                form::encode(&text(&name, &value)?, &mut encoded);
            }
        }
        Ok(Self(encoded))
    }
}

/// The text of a value. Types without a single canonical text are refused: the caller converts them.
fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let is_integer = value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>();
    if value.is_instance_of::<PyString>() || is_integer {
        return value.str()?.extract();
    }
    let message = format!("{name} must be a str or an int, or a list of them");
    Err(PyTypeError::new_err(message))
}

impl FormFields {
    /// The URL with these fields appended to its query.
    pub(crate) fn appended_to(&self, url: &str) -> String {
        let between = match url.split_once('?') {
            _ if self.0.is_empty() => "",
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{url}{between}{}", self.0)
    }
}
