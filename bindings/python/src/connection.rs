//! `ResourceConnection`: the tokens of an API of which only the URL is known, such as an MCP server.

use std::sync::Arc;

use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::{Cause, Error};
use oauth_core::json;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_facade::{Auth, Connect, OnRateLimit, Record};
use oauth_reqwest::{Authorized, DeviceLogin, ResourceConnection as Native};
use oauth_session::{Sources, TokenSource as _};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::api::{ApiRequest, Source};
use crate::client::Client;
use crate::client_auth::{self, ClientAuth};
use crate::context_managers::call_without_result;
use crate::custom_source::raised;
use crate::dpop::DpopKey;
use crate::fork_safety::PerProcess;
use crate::form_fields::FormFields;
use crate::hook_owner::{HookOwner, WaitsFor};
use crate::hooks::Hook;
use crate::http_methods::verbs;
use crate::network::{Network, RequestSettings, seconds};
use crate::pending_call::{CallResult, PendingCall};
use crate::server::read_transport;
use crate::shared_client::SharedClient;
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{client_auth_argument, json_text, text};
use crate::tokens::Tokens;
use crate::value::Pairs;
use crate::{errors, runtime, secret, value};

/// The tokens of an API of which only the URL is known, such as a server of the Model Context Protocol.
///
/// No request is sent before a token is needed. Then the API's challenge and metadata are requested (RFC 9728), which
/// name its authorization server. The client is a manually registered one (client_id, at the
/// issuer, with client_secret or client_auth), or the metadata document at client_metadata_url, or registers itself
/// (RFC 7591): as a native app with client_name, or with client_metadata, and with initial_access_token if registration
/// requires one. The user signs in with their browser, and the tokens are kept fresh from then on. They are
/// requested with the API as their resource (RFC 8707), and sent only to URLs beneath its own.
///
/// With a store, all of this happens once for all runs of all programs that share it; subject distinguishes the tokens
/// of several users. A client that the server has forgotten is registered again, once. If the API requires more
/// scope or a new login, the user is asked, at most twice an hour (step_up.repeated, step_up.limit).
///
/// issuers are the only servers that may be used, even if the API names others (connect.server_not_allowed); the
/// first of them that it names is used. If the API names several, and neither issuers nor a client known at
/// one of them decides, the first that it names is used, or with on_several_servers="error" none
/// (connect.several_servers, which lists them). signers are the issuers that are trusted to sign the API's metadata
/// (RFC 9728), each with its JWK Set: signed metadata takes precedence over unsigned metadata. grant_type
/// is "authorization_code", or "client_credentials" for the client's own tokens. open shows a URL to the user, who has
/// timeout seconds; by default it is printed on standard error, and opened in the system's browser. If there is no
/// browser, and always with device=True, the user enters a code on another device, if the server supports it (RFC
/// 8628): show gets the code, and prints its prompt by default.
///
/// With identity_provider and sign_in the user is not sent to the API's server: these are the client of an
/// organization's identity provider, and a source of the tokens of the user's sign-in there, with openid, such as
/// client.source(tokens). The identity provider asserts who the user is (draft-ietf-oauth-identity-assertion-authz-grant,
/// MCP's enterprise-managed authorization): identity_assertion.no_id_token if they have to sign in there again,
/// connect.grant_not_supported if the API's server does not accept such assertions.
/// Tokens are bound to dpop_key, or, if the API requires bound tokens (RFC 9449, RFC 9728), to a key that is created and
/// kept in the store; or to the certificate of the network by tls_client_certificate_bound_access_tokens (RFC 8705), which
/// is then registered, or if client_auth is that certificate and the server's metadata has this member. An API without authorization is called without a token; token() raises connect.not_protected.
/// redirect_uri is a registered loopback address; by default a free port is used. without_resource omits the resource,
/// for a server that refuses it, such as Microsoft Entra; its tokens are then for the API that their scope names.
/// resource replaces the API's own identifier, for a server that knows the API by a different one.
/// www_authenticate are the values of an earlier response. Requests to a server that only the API has named go to
/// public addresses only, unless the network allows others (lost.not_public). connect.no_client if there is no
/// client, and none can be registered.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ResourceConnection {
    connect: Connect,
    auth: Auth,
    store: Option<Store>,
    subject: Option<String>,
    open: Option<Hook>,
    device: Option<DeviceLogin>,
    show: Option<Hook>,
    identity: Option<(Arc<SharedClient>, Source)>,
    redirect_uri: Option<oauth_core::redirect_uri::RedirectUri>,
    dpop: Option<oauth_facade::DpopKey>,
    login_timeout: std::time::Duration,
    request_settings: Arc<RequestSettings>,
    native: PerProcess<Native>,
    hook_owner: HookOwner,
}

impl ResourceConnection {
    /// The native connection of this process.
    pub(crate) fn native(&self, py: Python<'_>) -> PyResult<Native> {
        self.native.with(|| self.new_native(py), Native::clone)
    }

    fn new_native(&self, py: Python<'_>) -> PyResult<Native> {
        let driver = self.request_settings.driver(py)?;
        let request = self.connect.to_core();
        let request = request.map_err(|error| errors::raise(py, &error))?;
        let mut native = Native::new(driver, request)
            .sign_in_timeout(self.login_timeout)
            .client_auth_at(self.auth.clone().at_any())
            .proofs(self.connect.proofs.clone())
            .metadata_challenge(self.connect.metadata_challenge.clone());
        if let Some(key) = &self.dpop {
            native = native.dpop(key.core().clone());
        }
        if let Some(store) = &self.store {
            native = native.store(store.for_this_process(py)?);
        }
        if let Some(subject) = &self.subject {
            native = native.subject(subject.as_str());
        }
        if let Some(uri) = &self.redirect_uri {
            native = native.redirect_uri(uri.clone());
        }
        if let Some((provider, sign_in)) = &self.identity {
            native = native.identity(provider.client.core().clone(), sign_in.native(py)?);
        }
        if let Some(device) = self.device {
            let (show, purpose) = (self.show.clone(), self.connect.purpose());
            let owner = self.hook_owner.clone();
            native = native.device(device, move |code| {
                show_code(show.as_ref(), &owner, code, &purpose)
            });
        }
        let (open, owner) = (self.open.clone(), self.hook_owner.clone());
        Ok(native.open(move |url| open_page(open.as_ref(), &owner, url)))
    }

    pub(crate) fn request_settings(&self) -> Arc<RequestSettings> {
        Arc::clone(&self.request_settings)
    }

    /// The API to which these tokens may be sent.
    pub(crate) fn api(&self) -> Result<oauth_facade::Api, Error> {
        self.connect.api()
    }

    /// The owners of the hooks that the calls of this connection wait for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        let waits_for = WaitsFor::Owners(vec![self.hook_owner.clone()]);
        match &self.identity {
            Some((_, sign_in)) => waits_for.and(sign_in.waits_for()),
            None => waits_for,
        }
    }

    fn pending_token(
        &self,
        py: Python<'_>,
        refused: Option<&Tokens>,
        timeout: Option<f64>,
    ) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let native = self.native(py)?;
        let refused = refused.map(|refused| Arc::clone(&refused.0));
        let work = PendingCall::new("token", async move {
            let token = native.token_other_than(refused.as_deref()).await;
            token.map(|token| CallResult::Tokens(token.into_arc()))
        });
        Ok(work.within(limit).waiting_for(self.waits_for()))
    }

    fn pending_step_up(
        &self,
        py: Python<'_>,
        insufficient: &Tokens,
        required: &Bound<'_, PyAny>,
    ) -> PyResult<PendingCall> {
        let required: StepUp = json::from_text(&json_text(required)?)
            .ok_or_else(|| PyValueError::new_err("wanted must be the result of step_up()"))?;
        let (native, insufficient) = (self.native(py)?, Arc::clone(&insufficient.0));
        let call = PendingCall::new("step_up", async move {
            let token = native.step_up(&insufficient, &required).await?;
            Ok(match token {
                Some(token) => CallResult::Tokens(token.into_arc()),
                None => CallResult::Record(Record::Nothing),
            })
        });
        Ok(call.waiting_for(self.waits_for()))
    }

    fn pending_forget(&self, py: Python<'_>) -> PyResult<PendingCall> {
        let native = self.native(py)?;
        let call = call_without_result("forget", async move { native.forget().await });
        Ok(call.waiting_for(self.waits_for()))
    }

    fn pending(&self, py: Python<'_>, request: ApiRequest<'_>) -> PyResult<PendingCall> {
        let (sources, driver) = (
            Sources::one(self.native(py)?),
            self.request_settings.driver(py)?,
        );
        let api = self.api();
        let api = api.and_then(|api| Authorized::with_sources(driver, sources, api.core().clone()));
        let api = api.map_err(|error| errors::raise(py, &error))?;
        let call = request.send(py, api, OnRateLimit::Error, &self.request_settings)?;
        Ok(call.waiting_for(self.waits_for()))
    }
}

/// Shows a page to the user.
fn open_page(open: Option<&Hook>, owner: &HookOwner, url: &Url) -> Result<(), Error> {
    let text = url.as_str().to_owned();
    call_back(owner, move |py| match open {
        Some(open) => open.call(py, "open", (text,)),
        None => call_default(py, "_open_or_print", (text,)),
    })
}

/// Shows a code to the user.
fn show_code(
    show: Option<&Hook>,
    owner: &HookOwner,
    code: &DeviceAuthorizationResponse,
    purpose: &str,
) -> Result<(), Error> {
    let code = Record::from(oauth_facade::DeviceAuthorizationResponse::from_core(
        code.clone(),
        purpose,
    ));
    call_back(owner, move |py| {
        let code = value::record_to_py(py, code)?;
        match show {
            Some(show) => show.call(py, "show", (code,)),
            None => call_default(py, "_print_code", (code,)),
        }
    })
}

/// Calls a Python function from the runtime's thread. Waiting in it for this connection is refused.
fn call_back(
    owner: &HookOwner,
    function: impl FnOnce(Python<'_>) -> PyResult<()>,
) -> Result<(), Error> {
    tokio::task::block_in_place(|| {
        let mut outcome = None;
        runtime::call_python(|py| {
            let result = owner.clone().in_hook(py, || function(py));
            outcome = Some(result.map_err(|error| raised(py, error)));
        });
        let closed = || Error::lost(Cause::unsent("the interpreter is shutting down"));
        outcome.unwrap_or_else(|| Err(closed()))
    })
}

/// Calls the default function of `oauth_core._login`.
fn call_default<'py, A>(py: Python<'py>, function: &str, arguments: A) -> PyResult<()>
where
    A: pyo3::call::PyCallArgs<'py>,
{
    let login = py.import("oauth_core._login")?;
    login.call_method1(function, arguments).map(drop)
}

#[pymethods]
impl ResourceConnection {
    #[new]
    #[pyo3(signature = (url, *, client_name = None, client_metadata = None, initial_access_token = None,
                        client_metadata_url = None, client_id = None, client_secret = None, client_auth = None,
                        issuer = None, issuers = None, on_several_servers = "first",
                        signers = None, grant_type = "authorization_code", store = None,
                        subject = None, open = None, device = false, show = None, identity_provider = None,
                        sign_in = None, redirect_uri = None, dpop_key = None, timeout = 300.0, www_authenticate = None,
                        transport = "https", network = None, without_resource = false,
                        resource = None, tls_client_certificate_bound_access_tokens = false))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] url: String,
        #[pyo3(from_py_with = text)] client_name: Option<String>,
        client_metadata: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = text)] initial_access_token: Option<String>,
        #[pyo3(from_py_with = text)] client_metadata_url: Option<String>,
        #[pyo3(from_py_with = text)] client_id: Option<String>,
        #[pyo3(from_py_with = text)] client_secret: Option<String>,
        #[pyo3(from_py_with = client_auth_argument)] client_auth: Option<Bound<'_, ClientAuth>>,
        #[pyo3(from_py_with = text)] issuer: Option<String>,
        #[pyo3(from_py_with = text)] issuers: Option<Vec<String>>,
        on_several_servers: &str,
        signers: Option<&Bound<'_, PyAny>>,
        grant_type: &str,
        store: Option<Store>,
        #[pyo3(from_py_with = text)] subject: Option<String>,
        open: Option<Hook>,
        device: bool,
        show: Option<Hook>,
        identity_provider: Option<&Bound<'_, Client>>,
        sign_in: Option<Source>,
        #[pyo3(from_py_with = text)] redirect_uri: Option<String>,
        dpop_key: Option<&Bound<'_, DpopKey>>,
        timeout: f64,
        #[pyo3(from_py_with = text)] www_authenticate: Option<Vec<String>>,
        transport: &str,
        network: Option<&Bound<'_, Network>>,
        without_resource: bool,
        resource: Option<String>,
        tls_client_certificate_bound_access_tokens: bool,
    ) -> PyResult<Self> {
        let auth = client_auth::chosen(client_auth.as_ref(), client_secret)?;
        let dumped = |value: &Bound<'_, PyAny>| {
            py.import("json")?
                .call_method1("dumps", (value,))?
                .extract()
        };
        let metadata = client_metadata.map(dumped);
        let mut connect = Connect::new(&url, read_transport(transport)?);
        connect.client_name = client_name;
        connect.client_metadata = metadata.transpose()?;
        connect.initial_access_token = initial_access_token.map(secret);
        connect.client_metadata_url = client_metadata_url;
        connect.client_id = client_id;
        connect.issuer = issuer;
        connect.issuers = issuers.unwrap_or_default();
        connect.on_several_servers = Some(on_several_servers.to_owned());
        connect.signers = signers.map(dumped).transpose()?;
        let identity = match (identity_provider, sign_in) {
            (Some(provider), Some(sign_in)) => Some((Arc::clone(&provider.get().inner), sign_in)),
            (None, None) => None,
            _ => {
                let both = "identity_provider and sign_in must be given together";
                return Err(PyTypeError::new_err(both));
            }
        };
        connect.grant_type = Some(match identity {
            Some(_) => Connect::IDENTITY_ASSERTION.to_owned(),
            None => grant_type.to_owned(),
        });
        let device = match (device, &open) {
            (true, _) => Some(DeviceLogin::Always),
            (false, None) => Some(DeviceLogin::WhereNoBrowser),
            (false, Some(_)) => None,
        };
        connect.without_resource = without_resource;
        connect.resource = resource;
        connect.tls_client_certificate_bound_access_tokens =
            tls_client_certificate_bound_access_tokens;
        connect.certificate_thumbprint =
            network.and_then(|network| network.get().certificate_thumbprint());
        connect.challenges = www_authenticate.unwrap_or_default();
        let redirect_uri = redirect_uri
            .as_deref()
            .map(oauth_core::redirect_uri::RedirectUri::parse);
        let this = Self {
            auth,
            store,
            subject,
            open,
            device,
            show,
            identity,
            redirect_uri: redirect_uri
                .transpose()
                .map_err(|error| errors::raise(py, &error))?,
            dpop: dpop_key.map(|key| key.get().0.clone()),
            login_timeout: seconds(timeout)?,
            request_settings: RequestSettings::new(network.map(Bound::get), None)?,
            native: PerProcess::new(),
            hook_owner: HookOwner::new(),
            connect,
        };
        // Mistakes in the settings are reported now.
        this.connect
            .to_core()
            .map_err(|error| errors::raise(py, &error))?;
        Ok(this)
    }

    /// The URL of the API.
    #[getter]
    fn url(&self) -> &str {
        &self.connect.url
    }

    /// The authorization extensions that a client of the Model Context Protocol with these tokens declares among its
    /// capabilities when it initializes, with their settings. Empty if a user signs in.
    #[getter]
    fn extensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let declared = PyDict::new(py);
        let key = self.connect.extension();
        if let Some(key) = key.map_err(|error| errors::raise(py, &error))? {
            declared.set_item(key, PyDict::new(py))?;
        }
        Ok(declared)
    }

    /// Forgets these tokens but no newer ones, for callers that need no new tokens now; with None, forgets that the
    /// API requires no authorization.
    fn invalidate(&self, py: Python<'_>, tokens: Option<&Tokens>) -> PyResult<()> {
        let native = self.native(py)?;
        match tokens {
            Some(tokens) => native.refuse(&tokens.0),
            None => native.refused_without_token(),
        }
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.ResourceConnection to {}>", self.connect.url)
    }
}

twins! {
    impl ResourceConnection {
        /// Tokens that are fresh now: the current ones, or new ones, for which the user signs in if necessary.
        ///
        /// timeout is the number of seconds that this caller waits, by default without limit: then lost.timeout, and a
        /// login under way is abandoned. Errors are those of resource_metadata(), discover(), register(), login() and of
        /// the token requests; connect.*.
        #[pyo3(signature = (*, timeout = None))]
        fn token / atoken(self, py, timeout: Option<f64>) {
            self.pending_token(py, None, timeout)
        }

        /// Tokens that replace those that the API refused.
        ///
        /// Without a request if another caller has already replaced them. timeout and errors are those of token().
        #[pyo3(signature = (tokens, *, timeout = None))]
        fn renew / arenew(self, py, tokens: &Tokens, timeout: Option<f64>) {
            self.pending_token(py, Some(tokens), timeout)
        }

        /// Tokens that satisfy what the API requires beyond these, for which the user signs in again (RFC 9470).
        ///
        /// wanted is the result of step_up(). None for a client that acts for itself, without a user.
        /// step_up.repeated, step_up.limit; errors of the login.
        #[pyo3(signature = (tokens, wanted))]
        fn step_up / astep_up(self, py, tokens: &Tokens, wanted: &Bound<'_, PyAny>) {
            self.pending_step_up(py, tokens, wanted)
        }

        /// Forgets the tokens and the client, here and in the store: the next call starts over.
        ///
        /// For a server that has forgotten the client, does not let registrations be read, and shows the error only in
        /// the browser, where no program sees it. The server is not informed. Errors of the store.
        #[pyo3(signature = ())]
        fn forget / aforget(self, py) {
            self.pending_forget(py)
        }

        /// Sends a request with the token, renewed once after a 401, and replaced after a step-up.
        ///
        /// The whole response is read. Only URLs beneath that of the API get the token
        /// (resource.not_covered), over the Authorization header (RFC 6750 section 2.1). A redirect
        /// beneath it is followed. params are added to the query of the URL: a str or an int, or a
        /// list of them, by name. content is a body; data is a form with members like those of
        /// params; json is any value that json.dumps takes, sent as application/json. timeout is in
        /// seconds, for the head of the response and again for its body. on_rate_limit is what to do if
        /// the API asks for a pause: "error" raises resource.rate_limited, "wait" waits for up to
        /// longest_wait seconds, "pass" returns the response. A status of 400 or above is not an
        /// error in itself: see Response.raise_for_status(). DeniedError, LostError and the errors of
        /// token().
        #[pyo3(signature = (method, url, *, headers = None, params = None,
                            content = None, data = None, json = None, timeout = None,
                            on_rate_limit = None, longest_wait = None))]
        fn request / arequest(
            self,
            py,
            #[pyo3(from_py_with = text)] method: String,
            #[pyo3(from_py_with = text)] url: String,
            headers: Option<Pairs>,
            params: Option<FormFields>,
            #[pyo3(from_py_with = text)] content: Option<Vec<u8>>,
            data: Option<FormFields>,
            json: Option<Py<PyAny>>,
            timeout: Option<f64>,
            on_rate_limit: Option<&str>,
            longest_wait: Option<f64>,
        ) {
            let request = ApiRequest {
                method: &method,
                url: &url,
                headers,
                params,
                content,
                data,
                json,
                origins: None,
                timeout,
                on_rate_limit,
                longest_wait,
            };
            self.pending(py, request)
        }
    }
}

verbs!(ResourceConnection, []);
