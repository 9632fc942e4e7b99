//! What tokens are for, as keywords say it.

use oauth_core::Secret;
use oauth_facade::TokenRequest;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

use crate::secret;

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
    scope: &str,
    resource: Option<Vec<String>>,
    audience: Option<Vec<String>>,
    extra: Option<Extra>,
) -> TokenRequest {
    TokenRequest {
        scope: scope.to_owned(),
        resource: resource.unwrap_or_default(),
        audience: audience.unwrap_or_default(),
        extra: extra.map_or_else(Vec::new, |extra| extra.0),
    }
}
