//! Verifies access tokens for an API: `Verifier` parses the API's requirements once for all tokens, `Introspecting` asks
//! the server about each token (RFC 7662).

use std::sync::Arc;

use oauth_facade::{Args, IntrospectionOptions as Settings};
use pyo3::prelude::*;

use crate::client::Client;
use crate::errors;
use crate::pending_call::PendingCall;
use crate::shared_client::SharedClient;
use crate::sync_async::twins;
use crate::text::text;
use crate::value::{self, OperationArg};

/// The native half of a client that verifies access tokens by introspection.
#[pyclass(frozen, subclass, extends = Client, module = "oauth_core")]
pub(crate) struct Introspecting;

#[pymethods]
impl Introspecting {
    #[new]
    #[pyo3(signature = (client, arguments, /))]
    fn new(
        py: Python<'_>,
        client: &Bound<'_, Client>,
        #[pyo3(from_py_with = text)] arguments: Vec<OperationArg>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let Client { inner, server } = client.get();
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.0).collect();
        let settings = Settings::read(&mut Args::from(arguments));
        let settings = settings.map_err(|refusal| value::refused(py, refusal))?;
        let introspecting = inner.client.introspecting(settings);
        let inner = SharedClient {
            client: introspecting.map_err(|error| errors::raise(py, &error))?,
            server: inner.server.clone(),
            sign_in: None,
            request_settings: Arc::clone(&inner.request_settings),
        };
        let base = Client {
            inner: Arc::new(inner),
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
        #[pyo3(from_py_with = text)] arguments: Vec<OperationArg>,
    ) -> PyResult<Self> {
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.0).collect();
        let verifier = client.get().inner.client.verifier(arguments);
        Ok(Self {
            verifier: verifier.map_err(|refusal| value::refused(client.py(), refusal))?,
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
        /// Verifies a token; `_verifier.py` calls this.
        #[pyo3(signature = (token, /))]
        fn verify / averify(self, py, #[pyo3(from_py_with = text)] token: String) {
            // Unused here, but the macro passes it.
            let _ = py;
            Ok(self.verifying(&token))
        }
    }
}
