//! `Load`, `Lease` and `Save`: the store calls that a renewal yields.

use pyo3::prelude::*;

use crate::text::text;
use crate::{secret, value};

/// A task: load the record; then send (version, record), or None.
///
/// Construct one only to test your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Load;

#[pymethods]
impl Load {
    #[new]
    const fn new() -> Self {
        Self
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Load>"
    }
}

/// A task: acquire the lease; 0 seconds release it.
///
/// Then send the seconds until another holder's lease ends, or None. Construct one only to test
/// your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Lease {
    pub(crate) holder: String,
    pub(crate) seconds: f64,
}

#[pymethods]
impl Lease {
    #[new]
    #[pyo3(signature = (holder, seconds, /))]
    const fn new(#[pyo3(from_py_with = text)] holder: String, seconds: f64) -> Self {
        Self { holder, seconds }
    }

    /// The holder of the lease.
    #[getter]
    fn holder(&self) -> &str {
        &self.holder
    }

    /// The length of the lease in seconds.
    #[getter]
    const fn seconds(&self) -> f64 {
        self.seconds
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Lease {}>", self.seconds)
    }
}

/// A task: save the record if its stored version is this one; then send the new version, or None.
///
/// Version 0 means that there is no record yet.
///
/// due and until are Unix times in seconds or aware datetimes. Construct one only to test
/// your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Save {
    pub(crate) record: oauth_core::Secret<String>,
    pub(crate) version: u64,
    pub(crate) due: Option<oauth_core::moment::UnixTime>,
    pub(crate) until: Option<oauth_core::moment::UnixTime>,
}

#[pymethods]
impl Save {
    #[new]
    #[pyo3(signature = (record, version, /, due = None, until = None))]
    fn new(
        #[pyo3(from_py_with = text)] record: String,
        version: u64,
        due: Option<Bound<'_, PyAny>>,
        until: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let due = due.map(|due| value::to_time(&due)).transpose()?;
        let until = until.map(|until| value::to_time(&until)).transpose()?;
        Ok(Self {
            record: secret(record),
            version,
            due,
            until,
        })
    }

    /// The record to save; it is secret.
    #[getter]
    fn record(&self) -> &str {
        self.record.expose()
    }

    /// The version that the record replaces; 0 if there is no record yet.
    #[getter]
    const fn version(&self) -> u64 {
        self.version
    }

    /// The time when the record is due for renewal, in UTC, for a store that can find due records.
    #[getter]
    fn due<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.due.map(|due| value::time_to_py(py, due)).transpose()
    }

    /// The time when the record expires, in UTC, for a store that supports expiry.
    #[getter]
    fn until<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.until
            .map(|until| value::time_to_py(py, until))
            .transpose()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Save over {}>", self.version)
    }
}
