//! The store operations that a renewal yields.

use pyo3::prelude::*;

use crate::text::text;
use crate::{secret, value};

/// Read the record; then send (version, record), or None.
///
/// Created manually, it is for tests of your own driver.
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

/// Take the lease, or for 0 seconds release it.
///
/// Then send the seconds another holds it, or None. Created manually, it is for tests of
/// your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Lease(pub(crate) String, pub(crate) f64);

#[pymethods]
impl Lease {
    #[new]
    #[pyo3(signature = (holder, seconds, /))]
    const fn new(#[pyo3(from_py_with = text)] holder: String, seconds: f64) -> Self {
        Self(holder, seconds)
    }

    /// In this name.
    #[getter]
    fn holder(&self) -> &str {
        &self.0
    }

    /// For this many seconds.
    #[getter]
    const fn seconds(&self) -> f64 {
        self.1
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Lease {}>", self.1)
    }
}

/// Save the record if it is at this version; then send the new version, or None.
///
/// Version 0 is for none.
///
/// due and until are Unix times in seconds or aware datetimes. Created manually, it is for tests of
/// your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Save(
    pub(crate) oauth_core::Secret<String>,
    pub(crate) u64,
    pub(crate) Option<oauth_core::moment::UnixTime>,
    pub(crate) Option<oauth_core::moment::UnixTime>,
);

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
        Ok(Self(secret(record), version, due, until))
    }

    /// What to save; it is secret.
    #[getter]
    fn record(&self) -> &str {
        self.0.expose()
    }

    /// The version it replaces; 0 if there is no record yet.
    #[getter]
    const fn version(&self) -> u64 {
        self.1
    }

    /// When it is due for renewal, in UTC, for a store that can find records by that.
    #[getter]
    fn due<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.2.map(|due| value::of_time(py, due)).transpose()
    }

    /// When the record is no longer needed, in UTC, for a store that supports expiry.
    #[getter]
    fn until<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.3.map(|until| value::of_time(py, until)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Save over {}>", self.1)
    }
}
