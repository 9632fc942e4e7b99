//! `Provider`: an identity provider of a web site, whose client is given, or created when it is first needed.

use std::sync::Arc;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_web::{IdentitySettings, ProviderSettings};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyMapping, PyString};

use crate::client::Client;
use crate::text::text;
use crate::value::Pairs;
use crate::web::refused;
use crate::{errors, runtime};

/// An identity provider for sign-in: a client that is registered there, or a function that returns the client.
///
/// Such a function is called when the first user signs in, in its own thread, and may fetch the provider's metadata.
/// Its failure is remembered for 5 seconds, in which sign-ins get a 503; a user waits for at most 10 seconds.
///
/// id names it in URLs and sessions: letters, digits, - and _. title is its name on the page where users choose, by
/// default the id. scope must contain openid. extra are further parameters of the authorization request. callback is
/// the path of the redirect URI below the site's root, by default {prefix}/callback, or {prefix}/callback/{id} if there
/// are several providers. With response_mode "form_post" users return with a form, which browsers post only over https;
/// in the "jwt" modes the response is signed (JARM), and unsigned parameters beside it are refused. identity is for a
/// provider without OpenID Connect, a dict: url, which identifies the user and is called with the access token;
/// subject, the member that is never reassigned; and claims, which maps claims to members. No scope is requested then
/// unless given. tenant is the tenant whose users sign in there. userinfo: with "when_missing", unless given, UserInfo
/// is asked if the ID token lacks a claim that sessions keep and the scope covers. A response about another user
/// refuses the sign-in (userinfo.subject); a failure is only logged. A logout token without exp is refused, or accepted
/// for logout_max_age_without_expiry seconds after it was issued. A session is checked against the issuer and the
/// client id of the client that began it. registered is that pair, for a client from a function; without it a session
/// under this id is accepted until the client is known.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Provider {
    pub(crate) provider: oauth_web::Provider,
    /// The client, as soon as it is known.
    pub(crate) client: PyOnceLock<Py<Client>>,
    pub(crate) make: Option<Py<PyAny>>,
}

/// One string, or several.
pub(crate) struct OneOrMany(pub(crate) Vec<String>);

impl<'a, 'py> FromPyObject<'a, 'py> for OneOrMany {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return Ok(Self(vec![object.extract()?]));
        }
        let items = object.try_iter()?;
        items
            .map(|item| item?.extract())
            .collect::<PyResult<_>>()
            .map(Self)
    }
}

/// The `identity` argument: the endpoint that identifies users of a provider without OpenID Connect.
struct Endpoint(IdentitySettings);

impl<'a, 'py> FromPyObject<'a, 'py> for Endpoint {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let mut settings = IdentitySettings::default();
        for (name, value) in object
            .cast::<PyMapping>()?
            .items()?
            .extract::<Vec<(String, Bound<'py, PyAny>)>>()?
        {
            match name.as_str() {
                "url" => settings.url = text(&value)?,
                "subject" => settings.subject = text(&value)?,
                "claims" => settings.claims = value.extract::<Pairs>()?.0,
                _ => {
                    return Err(PyTypeError::new_err(
                        "identity must contain only url, subject and claims",
                    ));
                }
            }
        }
        Ok(Self(settings))
    }
}

#[pymethods]
impl Provider {
    #[new]
    #[pyo3(signature = (client, /, *, id = "login", title = None, scope = None, extra = None, callback = None,
                        response_mode = None, identity = None, tenant = None, registered = None, userinfo = None,
                        logout_max_age_without_expiry = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        client: &Bound<'_, PyAny>,
        id: &str,
        #[pyo3(from_py_with = text)] title: Option<String>,
        scope: Option<OneOrMany>,
        extra: Option<Pairs>,
        #[pyo3(from_py_with = text)] callback: Option<String>,
        #[pyo3(from_py_with = text)] response_mode: Option<String>,
        identity: Option<Endpoint>,
        #[pyo3(from_py_with = text)] tenant: Option<String>,
        registered: Option<(String, String)>,
        #[pyo3(from_py_with = text)] userinfo: Option<String>,
        logout_max_age_without_expiry: Option<f64>,
    ) -> PyResult<Self> {
        let native_client = client.cast::<Client>().ok();
        if native_client.is_none() && !client.is_callable() {
            return Err(PyTypeError::new_err(
                "client must be a Client, or a function that returns one",
            ));
        }
        let settings = ProviderSettings {
            id: id.to_owned(),
            title,
            scope: scope.map(|scope| scope.0.join(" ")),
            identity: identity.map(|endpoint| endpoint.0),
            parameters: extra.map(|extra| extra.0).unwrap_or_default(),
            callback,
            response_mode,
            tenant,
            registered,
            userinfo,
            logout_max_age_without_expiry,
        };
        let provider = settings.provider(native_client.map(core));
        let provider = provider.map_err(|error| refused(py, error))?;
        let make = native_client.is_none().then(|| client.clone().unbind());
        let client = PyOnceLock::new();
        if let Some(native_client) = native_client {
            // The cell is new, so this cannot fail.
            let _ = client.set(py, native_client.clone().unbind());
        }
        Ok(Self {
            provider,
            client,
            make,
        })
    }

    /// The id of the provider at the site.
    #[getter]
    fn id(&self) -> &str {
        &self.provider.id
    }

    /// The client; None until it is first needed, if a function returns it.
    #[getter]
    fn client(&self, py: Python<'_>) -> Option<Py<Client>> {
        self.client.get(py).map(|client| client.clone_ref(py))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Provider {}>", self.provider.id)
    }
}

fn core(client: &Bound<'_, Client>) -> oauth_core::Client {
    client.get().inner.client.core().clone()
}

impl Provider {
    /// Calls the function that returns the client.
    fn connect(&self, py: Python<'_>) -> Result<oauth_core::Client, Error> {
        let returned = self.make.as_ref().map(|make| make.call0(py));
        let client = returned.unwrap_or_else(|| Err(PyTypeError::new_err("there is no function")));
        let client = client.and_then(|client| Ok(client.cast_bound::<Client>(py)?.clone()));
        match client {
            // All callers use the client that was created first.
            Ok(client) => Ok(core(
                self.client.get_or_init(py, || client.unbind()).bind(py),
            )),
            Err(raised) => Err(
                errors::from_exception(raised.value(py).as_any()).unwrap_or_else(|| {
                    // Not the exception's message, which may contain a secret.
                    let kind = raised.get_type(py).name();
                    let kind =
                        kind.map_or_else(|_| "an exception".to_owned(), |kind| kind.to_string());
                    Error::from(Misuse::ApplicationFunction)
                        .about(&format!("the client function raised {kind}"))
                }),
            ),
        }
    }
}

/// The client of a provider, from its function, which is called on a thread that may block.
pub(crate) async fn connect_provider(
    later: Arc<Vec<Py<Provider>>>,
    id: String,
) -> Result<oauth_core::Client, Error> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        runtime::call_python(move |py| {
            let provider = later
                .iter()
                .find(|candidate| candidate.get().provider.id == id);
            let connected = provider.map(|provider| provider.get().connect(py));
            let unknown = || Err(Error::from(Misuse::WebSetup).about("there is no such provider"));
            // The waiting visit may have ended.
            let _ = sender.send(connected.unwrap_or_else(unknown));
        });
    });
    let shutting_down = || Error::lost(Cause::unknown("the interpreter is shutting down"));
    receiver.await.unwrap_or_else(|_| Err(shutting_down()))
}
