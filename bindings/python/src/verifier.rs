//! Verification of access tokens: a verifier parses an API's requirements once and is then used for every token; a
//! client introspects tokens at the server.

use std::sync::Arc;

use oauth_facade::{Args, Introspecting as How};
use pyo3::prelude::*;

use crate::client::Client;
use crate::errors;
use crate::pending_call::PendingCall;
use crate::shared_client::SharedClient;
use crate::sync_async::twins;
use crate::text::text;
use crate::value::{self, Given};

/// The native half of a client that asks about the access tokens it receives.
#[pyclass(frozen, subclass, extends = Client, module = "oauth_core")]
pub(crate) struct Introspecting;

#[pymethods]
impl Introspecting {
    #[new]
    #[pyo3(signature = (client, arguments, /))]
    fn new(
        py: Python<'_>,
        client: &Bound<'_, Client>,
        #[pyo3(from_py_with = text)] arguments: Vec<Given>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let Client { us, server } = client.get();
        let arguments: Vec<_> = arguments.into_iter().map(|given| given.0).collect();
        let how = How::read(&mut Args::from(arguments)).map_err(|why| value::refused(py, why))?;
        let asking = us.client.introspecting(how);
        let us = SharedClient {
            client: asking.map_err(|error| errors::raise(py, &error))?,
            server: us.server.clone(),
            sign_in: None,
            line: Arc::clone(&us.line),
        };
        let base = Client {
            us: Arc::new(us),
            server: server.clone_ref(py),
        };
        Ok(PyClassInitializer::from(base).add_subclass(Self))
    }
}

/// The native half of a verifier of one API.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Verifier {
    verifier: oauth_facade::Verifier,
    client: Py<Client>,
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (client, arguments, /))]
    fn new(
        client: &Bound<'_, Client>,
        #[pyo3(from_py_with = text)] arguments: Vec<Given>,
    ) -> PyResult<Self> {
        let arguments: Vec<_> = arguments.into_iter().map(|given| given.0).collect();
        let verifier = client.get().us.client.verifier(arguments);
        Ok(Self {
            verifier: verifier.map_err(|why| value::refused(client.py(), why))?,
            client: client.clone().unbind(),
        })
    }
}

impl Verifier {
    fn verifying(&self, token: &str) -> PendingCall {
        let exchange = self.verifier.verify(token);
        let client = self.client.get();
        client.verification("verify_access_token", exchange)
    }
}

twins! {
    impl Verifier {
        /// Verifies a token; `_verifier.py` calls it.
        #[pyo3(signature = (token, /))]
        fn verify / averify(self, py, #[pyo3(from_py_with = text)] token: String) {
            // The macro needs it where a call can fail.
            let _ = py;
            Ok(self.verifying(&token))
        }
    }
}
