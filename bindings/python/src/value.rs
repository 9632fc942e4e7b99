//! Converts plain data to and from Python.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::flow::redeem::Login;
use oauth_core::moment::UnixTime;
use oauth_facade::{Arg, Record, StartError};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMapping, PySet,
    PyString, PyTuple,
};
use serde_json::{Map, Value};

use crate::authorization::PendingAuthorization;
use crate::server::Server;
use crate::text::without_text;
use crate::{errors, secret, tokens};

pub(crate) fn record_to_py(py: Python<'_>, record: Record) -> PyResult<Py<PyAny>> {
    match record {
        Record::Tokens(tokens) => tokens_to_py(py, tokens),
        Record::Login(login) => login_to_py(py, *login),
        Record::Authorization(begun) => Ok(Bound::new(py, PendingAuthorization::begun(*begun))?
            .into_any()
            .unbind()),
        Record::Server(server) => Ok(Bound::new(py, Server::of(*server))?.into_any().unbind()),
        Record::Plain(name, members) => members_to_py(py, name, members),
        Record::Nothing => Ok(py.None()),
    }
}

/// An object of the class in `_records.py` that is generated from the record's definition.
fn members_to_py(py: Python<'_>, name: &str, members: Vec<Arg>) -> PyResult<Py<PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE
        .get_or_try_init(py, || py.import("oauth_core._records").map(Bound::unbind))?
        .bind(py);
    let members = members
        .into_iter()
        .map(|member| (member, PyOnceLock::new()));
    let members = Bound::new(py, Members(members.collect()))?;
    let record = module
        .getattr(name)?
        .call_method1(intern!(py, "_from_native"), (members,))?;
    Ok(record.unbind())
}

/// The members of a record, each converted for Python when it is first read.
#[pyclass(frozen)]
struct Members(Vec<(Arg, PyOnceLock<Py<PyAny>>)>);

#[pymethods]
impl Members {
    /// A member, by position; the same object each time.
    fn member(&self, py: Python<'_>, at: usize) -> PyResult<Py<PyAny>> {
        let Some((member, cached)) = self.0.get(at) else {
            return Ok(py.None());
        };
        let cached = cached.get_or_try_init(py, || arg_to_py(py, member).map(Bound::unbind))?;
        Ok(cached.clone_ref(py))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "an integer that is exact as a double is exact here"
)]
fn arg_to_py<'py>(py: Python<'py>, arg: &Arg) -> PyResult<Bound<'py, PyAny>> {
    Ok(match arg {
        Arg::Null | Arg::Other => py.None().into_bound(py),
        Arg::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Arg::Number(number) if number.fract() == 0.0 => {
            (*number as i64).into_pyobject(py)?.into_any()
        }
        Arg::Number(number) => number.into_pyobject(py)?.into_any(),
        Arg::Text(text) => text.expose().into_pyobject(py)?.into_any(),
        Arg::Names(names) => PyFrozenSet::new(py, names.iter())?.into_any(),
        Arg::List(list) => {
            let list = list.iter().map(|item| arg_to_py(py, item));
            PyTuple::new(py, list.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Arg::Pairs(pairs) => {
            let dict = PyDict::new(py);
            for (name, value) in pairs {
                dict.set_item(name, arg_to_py(py, value)?)?;
            }
            dict.into_any()
        }
        Arg::Time(time) => time_to_py(py, *time)?,
        Arg::Json(value) => json_to_py(py, value)?,
        Arg::Tokens(tokens) => tokens_to_py(py, Arc::clone(tokens))?.into_bound(py),
    })
}

/// One argument of an operation.
pub(crate) struct OperationArg(pub(crate) Arg);

impl<'a, 'py> FromPyObject<'a, 'py> for OperationArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        to_arg(&object)
            .map(Self)
            .map_err(|error| without_text(object.py(), error))
    }
}

/// Converts a value for the facade, which checks whether the operation accepts it.
fn to_arg(object: &Bound<'_, PyAny>) -> PyResult<Arg> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Arg::Text(secret(text.extract()?)));
    }
    if object.is_none() {
        return Ok(Arg::Null);
    }
    if let Ok(tokens) = object.cast::<tokens::Tokens>() {
        return Ok(Arg::Tokens(Arc::clone(&tokens.get().0)));
    }
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Arg::Bool(flag.is_true()));
    }
    if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
        return object.extract().map(Arg::Number);
    }
    // Lists skip these checks for times and mappings, which take longer than everything else here.
    let is_list = object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>();
    if !is_list && object.getattr_opt("tzinfo")?.is_some() {
        return to_time(object).map(Arg::Time);
    }
    if !is_list && let Ok(mapping) = object.cast::<PyMapping>() {
        let mut pairs = Vec::new();
        for item in mapping.items()?.iter() {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let Ok(name) = name.extract::<String>() else {
                return Ok(Arg::Other);
            };
            pairs.push((name, to_arg(&value)?));
        }
        return Ok(Arg::Pairs(pairs));
    }
    // Iterating over bytes would yield numbers.
    let is_bytes = object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>();
    let Some(items) = object.try_iter().ok().filter(|_| !is_bytes) else {
        return Ok(Arg::Other);
    };
    let mut list = items
        .map(|item| to_arg(&item?))
        .collect::<PyResult<Vec<_>>>()?;
    // Sorted, so that the server always gets the same text: the order of Python's sets differs between processes.
    if object.cast::<PySet>().is_ok() || object.cast::<PyFrozenSet>().is_ok() {
        list.sort_unstable_by(|a, b| match (a, b) {
            (Arg::Text(a), Arg::Text(b)) => a.expose().cmp(b.expose()),
            _ => std::cmp::Ordering::Equal,
        });
    }
    Ok(Arg::List(list))
}

/// The error of an operation that did not begin.
pub(crate) fn refused(py: Python<'_>, refused: StartError) -> PyErr {
    match refused {
        StartError::Argument(mismatch) => PyTypeError::new_err(mismatch.to_string()),
        StartError::Call(error) => errors::raise(py, &error),
    }
}

pub(crate) fn tokens_to_py(py: Python<'_>, tokens: Arc<Tokens>) -> PyResult<Py<PyAny>> {
    let tokens = Bound::new(py, tokens::Tokens::of(tokens))?;
    Ok(tokens.into_any().unbind())
}

fn login_to_py(py: Python<'_>, login: Login) -> PyResult<Py<PyAny>> {
    let tokens = tokens::Tokens::of_login(login);
    Ok(Bound::new(py, tokens)?.into_any().unbind())
}

pub(crate) fn json_to_py<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
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
                list.append(json_to_py(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => map_to_py(py, members)?.into_any(),
    })
}

pub(crate) fn map_to_py<'py>(
    py: Python<'py>,
    members: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, json_to_py(py, value)?)?;
    }
    Ok(dict)
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// An aware `datetime` in UTC; a time beyond the year 9999 becomes the last second of that year.
pub(crate) fn time_to_py(py: Python<'_>, time: UnixTime) -> PyResult<Bound<'_, PyAny>> {
    // Looked up once: a record has several times.
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static UTC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("datetime")?.getattr("datetime")?.unbind())
    })?;
    let utc = UTC.get_or_try_init(py, || {
        let zone = py.import("datetime")?.getattr("timezone")?;
        Ok::<_, PyErr>(zone.getattr("utc")?.unbind())
    })?;
    let (class, utc) = (class.bind(py), utc.bind(py));
    let seconds = time.as_secs().min(LAST_SECOND);
    class.call_method1("fromtimestamp", (seconds, utc))
}

/// A Unix time, or an aware `datetime`.
pub(crate) fn to_time(time: &Bound<'_, PyAny>) -> PyResult<UnixTime> {
    let seconds: f64 = match time.getattr_opt("tzinfo")? {
        Some(zone) if zone.is_none() => {
            return Err(PyValueError::new_err("a datetime must have a time zone"));
        }
        Some(_) => time.call_method0("timestamp")?.extract()?,
        None => time.extract()?,
    };
    let since = Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("a time must be a number of seconds since 1970"))?;
    Ok(UnixTime::from_secs(since.as_secs()))
}

/// The names and values of any mapping.
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'a, 'py> FromPyObject<'a, 'py> for Pairs {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let items = object.cast::<PyMapping>()?.items()?;
        items
            .extract()
            .map(Self)
            .map_err(|error| without_text(object.py(), error))
    }
}

/// Header fields: pairs of strings, or of bytes that are decoded as Latin-1.
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The fields whose names are wanted.
    pub(crate) fn select(
        object: &Bound<'_, PyAny>,
        is_selected: impl Fn(&[u8]) -> bool,
    ) -> PyResult<Self> {
        let mut fields = Vec::new();
        for field in object.try_iter()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = field?.extract()?;
            let is_match = match name.cast::<PyBytes>() {
                Ok(bytes) => is_selected(bytes.as_bytes()),
                Err(_) => is_selected(text(&name)?.as_bytes()),
            };
            if is_match {
                fields.push((text(&name)?, text(&value)?));
            }
        }
        Ok(Self(fields))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Fields {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Self::select(&object, |_| true).map_err(|error| without_text(object.py(), error))
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
