//! `Response`: the response of an API.

use std::time::Duration;

use http::StatusCode;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::resource;
use oauth_reqwest::ResponseExt as _;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors;

/// The response of a resource server, with its whole body.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Response {
    status: StatusCode,
    headers: http::HeaderMap,
    content: Vec<u8>,
    retry_after: Option<Duration>,
    /// The origin that sent this.
    origin: String,
}

impl Response {
    pub(crate) async fn read(
        mut response: oauth_reqwest::reqwest::Response,
    ) -> Result<Self, Error> {
        let (status, retry_after) = (response.status(), response.retry_after());
        let origin = response.url().origin().ascii_serialization();
        let headers = std::mem::take(response.headers_mut());
        let content = response
            .bytes()
            .await
            .map_err(|error| Error::lost(Cause::unknown(error.without_url())))?;
        Ok(Self {
            status,
            headers,
            content: content.into(),
            retry_after,
            origin,
        })
    }
}

#[pymethods]
impl Response {
    /// The HTTP status, such as 200.
    #[getter]
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The headers, names in lower case; several with the same name are joined by a comma.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|v| String::from_utf8_lossy(v.as_bytes()))
                .collect();
            headers.set_item(name.as_str(), values.join(", "))?;
        }
        Ok(headers)
    }

    /// The body as bytes.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.content)
    }

    /// The body as UTF-8; invalid bytes are replaced.
    #[getter]
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The seconds the server asks to wait (Retry-After, X-RateLimit-Reset); at most 300.
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.retry_after.map(|pause| pause.as_secs_f64())
    }

    /// The body, parsed by json.loads; ValueError if it is not JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?
            .call_method1("loads", (self.content(py),))
    }

    /// Raises DeniedError if the status is 400 or above; otherwise returns this response.
    ///
    /// The error's code is denied.http_status, or denied.busy if the status means to try again
    /// later (408, 429, 500, 502, 503, 504), or the error of a Bearer challenge, such as
    /// denied.insufficient_scope (RFC 6750 section 3.1). It contains the status, the origin and the requested
    /// pause, but nothing from the body. A redirect that leaves the API's origin is
    /// returned unchanged, and is not an error here.
    fn raise_for_status<'py>(this: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let response = this.get();
        match resource::refusal(response.status, &response.headers, response.retry_after) {
            Some(error) => Err(errors::raise(this.py(), &error.at_origin(&response.origin))),
            None => Ok(this),
        }
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Response {}>", self.status.as_u16())
    }
}
