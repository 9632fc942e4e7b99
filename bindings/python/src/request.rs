//! What tokens are for, as keywords say it.

use oauth_core::error::{Error, Misuse};
use oauth_core::{Scope, Secret};
use oauth_facade::TokenRequest;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyMapping, PySet, PyString};

use crate::{errors, secret};

/// Names of scopes: one text with spaces between them, or an iterable of names.
#[derive(Default)]
pub(crate) struct ScopeNames(String);

impl<'a, 'py> FromPyObject<'a, 'py> for ScopeNames {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return text.extract().map(Self);
        }
        let wrong = || PyTypeError::new_err("scope is a str, or an iterable of str");
        let is_mapping = object.cast::<PyMapping>().is_ok();
        let names = object.try_iter().ok().filter(|_| !is_mapping);
        let mut scope = Vec::new();
        for (place, name) in names.ok_or_else(wrong)?.enumerate() {
            let name: String = name?.extract().map_err(|_| wrong())?;
            // "read write" as one item would be two names on the wire.
            Scope::of([name.as_str()]).map_err(|_| no_name(object.py(), place))?;
            scope.push(name);
        }
        // Python's sets are in another order in each process, and the server gets the same text.
        if object.cast::<PySet>().is_ok() || object.cast::<PyFrozenSet>().is_ok() {
            scope.sort_unstable();
        }
        Ok(Self(scope.join(" ")))
    }
}

fn no_name(py: Python<'_>, place: usize) -> PyErr {
    let text = format!("item {place} is not one scope-token");
    errors::raise(py, &Error::from(Misuse::ScopeSyntax).about(&text))
}

/// Names, each with a text or several.
pub(crate) struct Extra(Vec<(String, Secret<String>)>);

impl<'a, 'py> FromPyObject<'a, 'py> for Extra {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let mut extra = Vec::new();
        for item in object.cast::<PyMapping>()?.items()?.iter() {
            let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
            for value in values(&value)? {
                extra.push((name.clone(), secret(value)));
            }
        }
        Ok(Self(extra))
    }
}

/// What a value says of itself when it is refused could be a secret.
fn values(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let values = match value.cast::<PyString>() {
        Ok(text) => text.extract().map(|text| vec![text]),
        Err(_) => value.extract(),
    };
    values.map_err(|_| PyTypeError::new_err("a parameter is a str, or a sequence of them"))
}

/// The keywords of a request for a token.
pub(crate) fn token_request(
    scope: Option<ScopeNames>,
    resource: Option<Vec<String>>,
    audience: Option<Vec<String>>,
    extra: Option<Extra>,
) -> TokenRequest {
    TokenRequest {
        scope: scope.unwrap_or_default().0,
        resource: resource.unwrap_or_default(),
        audience: audience.unwrap_or_default(),
        extra: extra.map_or_else(Vec::new, |extra| extra.0),
    }
}
