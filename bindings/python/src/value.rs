//! Plain data on its way to Python.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::moment::UnixTime;
use oauth_facade::Record;
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping};
use serde_json::{Map, Value};

use crate::server::Server;
use crate::tokens;

pub(crate) fn of_record(py: Python<'_>, record: Record) -> PyResult<Py<PyAny>> {
    match record {
        Record::Tokens(tokens) => of_tokens(py, Arc::new(*tokens)),
        Record::Introspection(state) => Ok(of_json(py, &state)?.unbind()),
        Record::Server(server) => Ok(Bound::new(py, Server::of(*server))?.into_any().unbind()),
        Record::Nothing => Ok(py.None()),
        _ => Err(PyNotImplementedError::new_err("a record of a newer kind")),
    }
}

pub(crate) fn of_tokens(py: Python<'_>, tokens: Arc<Tokens>) -> PyResult<Py<PyAny>> {
    let tokens = Bound::new(py, tokens::Tokens(tokens))?;
    Ok(tokens.into_any().unbind())
}

pub(crate) fn of_json<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, None, number) => number.into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(of_json(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => of_map(py, members)?.into_any(),
    })
}

pub(crate) fn of_map<'py>(
    py: Python<'py>,
    members: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, of_json(py, value)?)?;
    }
    Ok(dict)
}

/// An aware `datetime`, in UTC.
pub(crate) fn of_time(py: Python<'_>, time: UnixTime) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    module
        .getattr("datetime")?
        .call_method1("fromtimestamp", (time.as_secs(), utc))
}

/// A Unix time, or an aware `datetime`.
pub(crate) fn to_time(time: &Bound<'_, PyAny>) -> PyResult<UnixTime> {
    let seconds: f64 = match time.getattr_opt("tzinfo")? {
        Some(zone) if zone.is_none() => {
            return Err(PyValueError::new_err("a datetime without a time zone"));
        }
        Some(_) => time.call_method0("timestamp")?.extract()?,
        None => time.extract()?,
    };
    let since = Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("a time is a number of seconds since 1970"))?;
    Ok(UnixTime::from_secs(since.as_secs()))
}

/// Names and values, from any mapping.
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'a, 'py> FromPyObject<'a, 'py> for Pairs {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let items = object.cast::<PyMapping>()?.items()?;
        items.extract().map(Self)
    }
}

/// Header fields: pairs of texts, or of bytes, each a character.
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Those whose names are wanted.
    pub(crate) fn wanted(
        object: &Bound<'_, PyAny>,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> PyResult<Self> {
        let mut fields = Vec::new();
        for field in object.try_iter()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = field?.extract()?;
            let is_wanted = match name.cast::<PyBytes>() {
                Ok(bytes) => is_wanted(bytes.as_bytes()),
                Err(_) => is_wanted(text(&name)?.as_bytes()),
            };
            if is_wanted {
                fields.push((text(&name)?, text(&value)?));
            }
        }
        Ok(Self(fields))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Fields {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Self::wanted(&object, |_| true)
    }
}

fn text(object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()),
        Err(_) => object.extract(),
    }
}
