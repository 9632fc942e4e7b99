//! The settings of a client from a client file or environment variables, and `WorkloadIdentity`.

use std::path::PathBuf;
use std::sync::Arc;

use oauth_facade::{ClientIdParameter, Environment, Error, Settings, SettingsServer, Workload};
use oauth_reqwest::ProcessEnvironment;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::client_auth::ClientAuth;
use crate::server::{Server, read_transport};
use crate::text::text;
use crate::value::Pairs;
use crate::{errors, secret};

/// The URL, the subject's member, the claims with their members, and the scope of an identity endpoint.
type Identity = (String, String, Vec<(String, String)>, String);

/// The settings of a client, from which `_client.py` creates it.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ClientSettings(Settings);

#[pymethods]
impl ClientSettings {
    /// Reads environment variables: those given, or those of the process.
    #[staticmethod]
    #[pyo3(signature = (environ, /))]
    fn from_env(py: Python<'_>, environ: Option<Pairs>) -> PyResult<Self> {
        read(py, Settings::from_env(environment(environ)))
    }

    /// The names of required environment variables that are not set.
    #[staticmethod]
    #[pyo3(signature = (environ, /))]
    fn missing_from_env(environ: Option<Pairs>) -> Vec<String> {
        Settings::missing_from_env(&environment(environ))
    }

    /// Reads a client file.
    #[staticmethod]
    #[pyo3(signature = (path, environ, /))]
    fn from_file(py: Python<'_>, path: PathBuf, environ: Option<Pairs>) -> PyResult<Self> {
        let path = path.into_os_string().into_string();
        let path = path.map_err(|_| PyValueError::new_err("path must be valid Unicode"))?;
        read(py, Settings::from_file(&path, environment(environ)))
    }

    /// Parses the text of a client file.
    #[staticmethod]
    #[pyo3(signature = (text, environ, /))]
    fn from_json(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] text: String,
        environ: Option<Pairs>,
    ) -> PyResult<Self> {
        let text = secret(text);
        read(py, Settings::from_json(text.expose(), environment(environ)))
    }

    /// The arguments of the client's constructor besides the server.
    fn arguments(&self, py: Python<'_>) -> PyResult<(String, Py<ClientAuth>, Vec<String>)> {
        let auth = Py::new(py, ClientAuth(self.0.auth()))?;
        let id = self.0.client_id().to_owned();
        Ok((id, auth, self.0.redirect_uris().to_vec()))
    }

    /// The server, or the issuer whose metadata is to be fetched.
    fn server(&self, py: Python<'_>, transport: &str) -> PyResult<(Option<Server>, String)> {
        let server = self.0.server(read_transport(transport)?);
        Ok(match server.map_err(|error| errors::raise(py, &error))? {
            SettingsServer::Known(server) => (Some(Server::of(*server)), String::new()),
            SettingsServer::Issuer(issuer) => (None, issuer),
        })
    }

    /// The endpoint that identifies users; None if ID tokens identify them with this scope.
    fn identity(&self, py: Python<'_>, scope: &str) -> PyResult<Option<Identity>> {
        let found = self.0.identity(scope);
        let found = found.map_err(|error| errors::raise(py, &error))?;
        Ok(found.map(|found| (found.url, found.subject, found.claims, found.scope)))
    }

    fn __repr__(&self) -> &'static str {
        "ClientSettings([redacted])"
    }
}

fn read(py: Python<'_>, settings: Result<Settings, Error>) -> PyResult<ClientSettings> {
    settings
        .map(ClientSettings)
        .map_err(|error| errors::raise(py, &error))
}

fn environment(environ: Option<Pairs>) -> Arc<dyn Environment> {
    Arc::new(match environ {
        None => ProcessEnvironment::new(),
        Some(pairs) => {
            let pairs = pairs.0.into_iter();
            ProcessEnvironment::from_variables(pairs.map(|(name, value)| (name, secret(value))))
        }
    })
}

/// The identity of a workload, proved by the token that its platform issues, instead of a client secret.
///
/// platform is kubernetes, spiffe (both with the path of a file), github_actions, gitlab_ci (with the name of a
/// variable), aws, azure or gcp. The token is read again for each request, or requested again if a service issues it,
/// and its only audience must be audience, by default the server's issuer (for azure
/// api://AzureADTokenExchange). client_id says whether requests also contain the client id, as they do for azure. With an
/// exchange_audience the token is exchanged for the client's own tokens (RFC 8693), those of client_credentials(),
/// and not sent instead of a secret. environ replaces os.environ. environment.missing, which names the
/// variable; workload.setup for an unknown platform, or for a path or variable that is missing or not used. Errors of
/// a request: workload.refused, workload.malformed, lost.unsent if there is no token, and those of
/// FederatedAssertion.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct WorkloadIdentity;

#[pymethods]
impl WorkloadIdentity {
    #[new]
    #[pyo3(signature = (platform, /, *, path = None, variable = None, audience = None, client_id = None,
                        exchange_audience = None, environ = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] platform: String,
        path: Option<PathBuf>,
        #[pyo3(from_py_with = text)] variable: Option<String>,
        #[pyo3(from_py_with = text)] audience: Option<String>,
        client_id: Option<&str>,
        #[pyo3(from_py_with = text)] exchange_audience: Option<String>,
        environ: Option<Pairs>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let client_id = match client_id {
            None => None,
            Some("omitted") => Some(ClientIdParameter::Omitted),
            Some("sent") => Some(ClientIdParameter::Sent),
            Some(_) => return Err(PyValueError::new_err("client_id must be omitted or sent")),
        };
        let path = path.map(|path| path.into_os_string().into_string());
        let path = path.transpose();
        let workload = Workload {
            platform,
            path: path.map_err(|_| PyValueError::new_err("path must be valid Unicode"))?,
            variable,
            audience,
            client_id,
            exchange_audience,
        };
        let auth = workload.auth(environment(environ));
        let auth = auth.map_err(|error| errors::raise(py, &error))?;
        Ok(ClientAuth(auth).with(Self))
    }

    fn __repr__(&self) -> &'static str {
        "WorkloadIdentity([redacted])"
    }
}
