//! Identity providers of a site: configured up front, or created when first needed.

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

/// The provider that people sign in with: a client that is registered there, or a function that returns it.
///
/// Such a function is called once somebody signs in, in a thread of its own, and may ask the provider for its metadata.
/// Its failure is remembered for 5 seconds, in which sign-ins are answered 503; a person waits for 10 seconds at most.
///
/// id names it in URLs and sessions: letters, digits, - and _. title is its name on the page where people choose, by
/// default the id. scope has to contain openid. extra are more parameters of the authorization request. callback is a
/// path below the site's root; unless given {prefix}/callback, or {prefix}/callback/{id} if there are several providers.
/// With response_mode "form_post" people return with a form, which browsers post only over https; in the "jwt" modes the
/// response is signed (JARM), and unsigned parameters beside it are refused. identity, without OpenID Connect, is a dict:
/// url, called with the access token; subject, the member that is never reassigned; and claims, which maps claims to
/// members. No scope is requested then unless given. tenant is the tenant whose people sign in there.
/// userinfo: with "when_missing", unless given, UserInfo is asked if the ID token lacks a claim that sessions keep and
/// the scope covers. A response about another person refuses the sign-in (userinfo.subject); a failure is only logged.
/// A logout token without exp is refused, or accepted for logout_max_age_without_expiry seconds after it was issued.
/// A session is checked against the client that began it: its issuer and its client id. registered is that pair, for a
/// client that a function returns; without it a session under this id is accepted until the client is known.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Provider {
    pub(crate) provider: oauth_web::Provider,
    /// As soon as it is known.
    pub(crate) client: PyOnceLock<Py<Client>>,
    pub(crate) make: Option<Py<PyAny>>,
}

/// One value, or several.
pub(crate) struct Several(pub(crate) Vec<String>);

impl<'a, 'py> FromPyObject<'a, 'py> for Several {
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

/// Where a provider without OpenID Connect says who a person is.
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
                _ => return Err(PyTypeError::new_err("identity: url, subject and claims")),
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
        scope: Option<Several>,
        extra: Option<Pairs>,
        #[pyo3(from_py_with = text)] callback: Option<String>,
        #[pyo3(from_py_with = text)] response_mode: Option<String>,
        identity: Option<Endpoint>,
        #[pyo3(from_py_with = text)] tenant: Option<String>,
        registered: Option<(String, String)>,
        #[pyo3(from_py_with = text)] userinfo: Option<String>,
        logout_max_age_without_expiry: Option<f64>,
    ) -> PyResult<Self> {
        let known = client.cast::<Client>().ok();
        if known.is_none() && !client.is_callable() {
            return Err(PyTypeError::new_err(
                "a provider has a Client, or a function that gives one",
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
        let provider = settings.provider(known.map(core));
        let provider = provider.map_err(|error| refused(py, error))?;
        let make = known.is_none().then(|| client.clone().unbind());
        let client = PyOnceLock::new();
        if let Some(known) = known {
            // It is new, so nobody has set it.
            let _ = client.set(py, known.clone().unbind());
        }
        Ok(Self {
            provider,
            client,
            make,
        })
    }

    /// Its name.
    #[getter]
    fn id(&self) -> &str {
        &self.provider.id
    }

    /// The client that is registered there; None until it was first needed, if a function returns it.
    #[getter]
    fn client(&self, py: Python<'_>) -> Option<Py<Client>> {
        self.client.get(py).map(|client| client.clone_ref(py))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Provider {}>", self.provider.id)
    }
}

fn core(client: &Bound<'_, Client>) -> oauth_core::Client {
    client.get().us.client.core().clone()
}

impl Provider {
    /// Has the function make the client.
    fn connect(&self, py: Python<'_>) -> Result<oauth_core::Client, Error> {
        let given = self.make.as_ref().map(|make| make.call0(py));
        let made = given.unwrap_or_else(|| Err(PyTypeError::new_err("there is no function")));
        let made = made.and_then(|made| Ok(made.cast_bound::<Client>(py)?.clone()));
        match made {
            // One that came first is the one that all use.
            Ok(made) => Ok(core(self.client.get_or_init(py, || made.unbind()).bind(py))),
            Err(raised) => Err(errors::known(raised.value(py).as_any()).unwrap_or_else(|| {
                // What it says may hold a secret.
                let kind = raised.get_type(py).name();
                let kind = kind.map_or_else(|_| "an exception".to_owned(), |kind| kind.to_string());
                Error::from(Misuse::Setup)
                    .about(&format!("the function for a client raised {kind}"))
            })),
        }
    }
}

/// The client of a provider, of the function that gives it: it may block, so it has a thread.
pub(crate) async fn made(
    later: Arc<Vec<Py<Provider>>>,
    id: String,
) -> Result<oauth_core::Client, Error> {
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        runtime::call_python(move |py| {
            let provider = later.iter().find(|one| one.get().provider.id == id);
            let made = provider.map(|provider| provider.get().connect(py));
            let unknown = || Err(Error::from(Misuse::WebSetup).about("nobody gives the client"));
            // Whoever waited may have gone.
            let _ = tell.send(made.unwrap_or_else(unknown));
        });
    });
    let over = || Error::lost(Cause::unknown("the interpreter is shutting down"));
    told.await.unwrap_or_else(|_| Err(over()))
}
