//! `Api`: requests to APIs, with the right token and within the rate limit.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_facade::{OnRateLimit, RateLimitChoice, TokenOwner};
use oauth_reqwest::Authorized;
use oauth_session::{FixedToken, Sources};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::connection::ResourceConnection;
use crate::custom_source::PythonTokenSource;
use crate::form_fields::FormFields;
use crate::hook_owner::WaitsFor;
use crate::hooks::{self, Hook};
use crate::http_methods::verbs;
use crate::network::{Network, RequestSettings, seconds};
use crate::pending_call::{CallResult, PendingCall};
use crate::plugin_request::Call;
use crate::rate_limits::{Limits, policy_from_name};
use crate::resource_response::Response;
use crate::server;
use crate::source::GrantSource;
use crate::sync_async::twins;
use crate::text::{origins, text};
use crate::value::{Fields, Pairs};
use crate::{errors, fixed_token, runtime};

/// A token source from Python.
pub(crate) enum Source {
    Grant(Py<GrantSource>),
    Fixed(FixedToken, Arc<RequestSettings>),
    Connection(Py<ResourceConnection>),
    Python(Arc<Py<PyAny>>),
}

/// Sources, each with the owner of its tokens.
pub(crate) type OwnedSources = Vec<(TokenOwner, Source)>;

impl<'a, 'py> FromPyObject<'a, 'py> for Source {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(grant) = object.cast::<GrantSource>() {
            return Ok(Self::Grant(grant.to_owned().unbind()));
        }
        if let Ok(fixed) = object.cast::<fixed_token::FixedToken>() {
            let settings = Arc::clone(&fixed.as_super().get().request_settings);
            return Ok(Self::Fixed(fixed.get().token.clone(), settings));
        }
        if let Ok(connection) = object.cast::<ResourceConnection>() {
            return Ok(Self::Connection(connection.to_owned().unbind()));
        }
        for verb in ["token", "renew", "invalidate"] {
            let method = object.getattr_opt(verb)?;
            if !method.is_some_and(|method| method.is_callable()) {
                let text = format!("a token source must have a callable {verb} method");
                return Err(PyTypeError::new_err(text));
            }
        }
        Ok(Self::Python(Arc::new(object.to_owned().unbind())))
    }
}

impl Source {
    /// The source as a native one, for Rust code in this process.
    pub(crate) fn native(&self, py: Python<'_>) -> PyResult<Arc<dyn oauth_session::TokenSource>> {
        Ok(match self {
            Self::Grant(grant) => Arc::new(grant.get().native(py)?),
            Self::Fixed(fixed, _) => Arc::new(fixed.clone()),
            Self::Connection(connection) => Arc::new(connection.get().native(py)?),
            Self::Python(object) => Arc::new(PythonTokenSource(Arc::clone(object))),
        })
    }

    /// The owners of the hooks that a request for its tokens waits for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        match self {
            Self::Grant(grant) => grant.get().waits_for(),
            Self::Fixed(..) => WaitsFor::Owners(Vec::new()),
            Self::Connection(connection) => connection.get().waits_for(),
            Self::Python(_) => WaitsFor::Anything,
        }
    }

    /// The API as this source's client calls it.
    pub(crate) fn calls(&self, api: oauth_facade::Api) -> Result<oauth_facade::Api, Error> {
        match self {
            Self::Grant(grant) => grant.get().calls(api),
            Self::Fixed(..) | Self::Connection(_) | Self::Python(_) => Ok(api),
        }
    }

    /// The request settings of the source, if it sends requests itself.
    pub(crate) fn request_settings(&self) -> Option<Arc<RequestSettings>> {
        match self {
            Self::Grant(grant) => Some(grant.get().request_settings()),
            Self::Fixed(_, settings) => Some(Arc::clone(settings)),
            Self::Connection(connection) => Some(connection.get().request_settings()),
            Self::Python(_) => None,
        }
    }
}

pub(crate) fn owned_sources(app: Option<Source>, user: Option<Source>) -> OwnedSources {
    let app = app.map(|source| (TokenOwner::Application, source));
    let user = user.map(|source| (TokenOwner::User, source));
    app.into_iter().chain(user).collect()
}

/// The arguments of a request.
#[derive(Default)]
pub(crate) struct ApiRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: Option<Pairs>,
    pub(crate) params: Option<FormFields>,
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) data: Option<FormFields>,
    pub(crate) json: Option<Py<PyAny>>,
    /// For sources only: an API has its own origins.
    pub(crate) origins: Option<Vec<String>>,
    pub(crate) timeout: Option<f64>,
    pub(crate) on_rate_limit: Option<&'a str>,
    pub(crate) longest_wait: Option<f64>,
}

/// The API with rules that recognize the responses that report an expired token: a list of dicts, or `None`.
pub(crate) fn with_expired_token_replies(
    py: Python<'_>,
    api: Result<oauth_facade::Api, Error>,
    expired_token_replies: Option<&Bound<'_, PyAny>>,
) -> PyResult<oauth_facade::Api> {
    let api = match expired_token_replies {
        None => api,
        Some(rules) => {
            let json = py.import("json")?;
            let rules: String = json.call_method1("dumps", (rules,))?.extract()?;
            api.and_then(|api| api.with_expired_token_replies(&rules))
        }
    };
    api.map_err(|error| errors::raise(py, &error))
}

/// The default longest wait for the rate limiter, in seconds.
const DEFAULT_LONGEST_WAIT: f64 = 300.0;

impl ApiRequest<'_> {
    fn on_rate_limit(&self, default: OnRateLimit) -> PyResult<OnRateLimit> {
        let longest = match (self.longest_wait, default) {
            (Some(longest), _) => longest,
            (None, OnRateLimit::Wait { longest }) => longest.as_secs_f64(),
            (None, _) => DEFAULT_LONGEST_WAIT,
        };
        match (self.on_rate_limit, default) {
            (Some(name), _) => policy_from_name(name, longest),
            (None, OnRateLimit::Wait { .. }) => policy_from_name("wait", longest),
            (None, default) => Ok(default),
        }
    }

    /// The body, and its media type unless the caller's headers have one.
    fn body(&mut self, py: Python<'_>) -> PyResult<(Option<Vec<u8>>, Option<&'static str>)> {
        let (text, media_type) = match (self.content.take(), self.data.take(), self.json.take()) {
            (content, None, None) => return Ok((content, None)),
            (None, Some(data), None) => (data.0, "application/x-www-form-urlencoded"),
            (None, None, Some(json)) => {
                let text = py.import("json")?.call_method1("dumps", (json,))?;
                (text.extract()?, "application/json")
            }
            _ => {
                let text = "only one of content, data and json can be given";
                return Err(PyTypeError::new_err(text));
            }
        };
        let headers = self.headers.iter().flat_map(|headers| &headers.0);
        let has_media_type = headers
            .into_iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        Ok((
            Some(text.into_bytes()),
            (!has_media_type).then_some(media_type),
        ))
    }

    /// Sends the request, and reads the whole response.
    pub(crate) fn send(
        mut self,
        py: Python<'_>,
        api: Authorized,
        on_rate_limit: OnRateLimit,
        settings: &RequestSettings,
    ) -> PyResult<PendingCall> {
        let on_rate_limit = self.on_rate_limit(on_rate_limit)?;
        let (content, content_type) = self.body(py)?;
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| PyValueError::new_err("method is not a valid HTTP method"))?;
        let url = match &self.params {
            Some(params) => params.appended_to(self.url),
            None => self.url.to_owned(),
        };
        let headers = self.headers;
        let timeout = match self.timeout {
            Some(timeout) => seconds(timeout)?,
            None => settings.timeout(),
        };
        let mut request = api.request(method, &url).on_rate_limit(on_rate_limit);
        for (name, value) in headers.iter().flat_map(|headers: &Pairs| &headers.0) {
            request = request.header(name, value);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(content) = content {
            request = request.body(content);
        }
        // Queued here rather than on the runtime, so that requests keep the order of their callers.
        let sending = request.timeout(timeout).send();
        Ok(PendingCall::new("request", async move {
            let response = sending.await?;
            // The body gets the same time again.
            tokio::time::timeout(timeout, Response::read(response))
                .await
                .map_err(|late| Error::lost(Cause::unknown(late).because(Loss::Timeout)))?
                .map(CallResult::Response)
        }))
    }
}

/// An API: the origins of its tokens, the token that each route requires, and its rate limit.
///
/// Create one for a single source here, or for two owners with Server.api().
/// on_rate_limit is what to do if the API asks for a pause (429, or 503 with Retry-After): "error" raises
/// resource.rate_limited, "wait" calls on_wait(seconds) and waits for at most longest_wait seconds, "pass"
/// returns the response. allowance is the rate limit to observe in advance: (requests, seconds), or "documented"
/// for that of the preset. expired_token_replies lists the responses that mean an expired token, besides a 401
/// that says so, and replaces the preset's rules: dicts with a status and, if the JSON body decides, the values
/// of its members, such as {"status": 200, "body": {"error.code": [190]}}. url.* for an invalid
/// origin, misuse.setup for a rule that a successful response would match.
#[pyclass(frozen, subclass, module = "oauth_core")]
pub(crate) struct Api {
    pub(crate) api: oauth_facade::Api,
    sources: Arc<OwnedSources>,
    request_settings: Arc<RequestSettings>,
    on_rate_limit: OnRateLimit,
    on_wait: Option<Hook>,
}

impl Api {
    pub(crate) fn new(
        api: oauth_facade::Api,
        sources: OwnedSources,
        request_settings: Arc<RequestSettings>,
        limits: Limits,
    ) -> Self {
        Self {
            api,
            sources: Arc::new(sources),
            request_settings,
            on_rate_limit: limits.on_rate_limit,
            on_wait: limits.on_wait,
        }
    }

    pub(crate) fn source(&self, owner: &str) -> Option<&Source> {
        let mut sources = self.sources.iter();
        sources.find_map(|(name, source)| (name.as_str() == owner).then_some(source))
    }

    fn authorized(&self, py: Python<'_>) -> PyResult<Authorized> {
        let sources = match &self.sources[..] {
            [(TokenOwner::Any, source)] => Sources::one(source.native(py)?),
            [(TokenOwner::Application, app)] => Sources::application(app.native(py)?),
            [(TokenOwner::User, user)] => Sources::user(user.native(py)?),
            [(_, app), (_, user), ..] => {
                Sources::application(app.native(py)?).with_user(user.native(py)?)
            }
            [] => return Err(PyValueError::new_err("an API must have a token source")),
        };
        let driver = self.request_settings.driver(py)?;
        let api = Authorized::with_sources(driver, sources, self.api.core().clone())
            .map_err(|error| errors::raise(py, &error))?;
        let hook = self.on_wait.clone();
        Ok(match hook {
            None => api,
            Some(hook) => api.on_wait(move |pause| {
                tokio::task::block_in_place(|| {
                    runtime::call_python(|py| call_hook(py, &hook, pause));
                });
            }),
        })
    }

    fn pending(&self, py: Python<'_>, request: ApiRequest<'_>) -> PyResult<PendingCall> {
        let (authorized, settings) = (self.authorized(py)?, &self.request_settings);
        let call = request.send(py, authorized, self.on_rate_limit, settings)?;
        let sources = self.sources.iter().map(|(_, source)| source.waits_for());
        let none = WaitsFor::Owners(Vec::new());
        Ok(call.waiting_for(sources.fold(none, WaitsFor::and)))
    }
}

/// The API, with its rate limit. Without a preset, no limit is documented.
fn with_rate_limit(
    api: oauth_facade::Api,
    keeping: RateLimitChoice,
) -> Result<oauth_facade::Api, Error> {
    match keeping {
        RateLimitChoice::Nothing => Ok(api),
        RateLimitChoice::Allowance(allowance) => Ok(api.keeping(allowance)),
        RateLimitChoice::Documented => Err(Error::from(Misuse::RateLimitUndocumented)
            .about("only server.api() of a preset knows one")),
    }
}

/// A hook that fails must not fail the request.
fn call_hook(py: Python<'_>, hook: &Hook, pause: Duration) {
    if let Err(error) = hook.call(py, "on_wait", (pause.as_secs_f64(),)) {
        hooks::report(py, "on_wait", &error);
    }
}

#[pymethods]
impl Api {
    #[new]
    #[pyo3(signature = (source, *, origins = None, on_rate_limit = "error", longest_wait = 300.0,
                        allowance = None, expired_token_replies = None, on_wait = None,
                        transport = "https", network = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn make(
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
        on_rate_limit: &str,
        longest_wait: f64,
        allowance: Option<&Bound<'_, PyAny>>,
        expired_token_replies: Option<&Bound<'_, PyAny>>,
        on_wait: Option<Hook>,
        transport: &str,
        network: Option<&Bound<'_, Network>>,
    ) -> PyResult<Self> {
        let limits = Limits::new(on_rate_limit, longest_wait, allowance, on_wait)?;
        // A fixed token is also an API, for its own origins.
        let fixed_token = source.cast::<Self>().ok().map(|own| own.get());
        let source: Source = source.extract()?;
        let transport = server::read_transport(transport)?;
        let built = match (&source, fixed_token, origins) {
            (Source::Grant(grant), _, origins) => {
                grant.get().api(origins.as_deref(), limits.keeping)
            }
            (Source::Connection(connection), _, None) => {
                let api = connection.get().api();
                api.and_then(|api| with_rate_limit(api, limits.keeping))
            }
            (_, Some(fixed_token), None) => {
                with_rate_limit(fixed_token.api.clone(), limits.keeping)
            }
            (_, fixed_token, origins) => {
                let api = oauth_facade::Api::new(&origins.unwrap_or_default(), transport);
                let api = api.map(|api| match fixed_token {
                    Some(fixed_token) => api.sharing(&fixed_token.api),
                    None => api,
                });
                api.and_then(|api| with_rate_limit(api, limits.keeping))
            }
        };
        let api = with_expired_token_replies(py, built, expired_token_replies)?;
        let settings = match (network, source.request_settings()) {
            (None, Some(settings)) => settings,
            (network, _) => RequestSettings::new(network.map(Bound::get), None)?,
        };
        Ok(Self::new(
            api,
            vec![(TokenOwner::Any, source)],
            settings,
            limits,
        ))
    }

    /// The owner of the token for a request to this URL: "application", "user" or "any".
    ///
    /// resource.origin_not_allowed, resource.no_token_source or resource.route_ambiguous if none is
    /// sent.
    fn owner(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] url: String,
    ) -> PyResult<&'static str> {
        let owner = self.api.owner(&url);
        owner.map_err(|error| errors::raise(py, &error))
    }

    /// The steps of one request, for a plug-in.
    ///
    /// headers are pairs of names and values. streams_once means that the body cannot be sent again.
    fn call(
        this: &Bound<'_, Self>,
        method: &str,
        #[pyo3(from_py_with = text)] url: String,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
        streams_once: bool,
    ) -> PyResult<Call> {
        let headers = Fields::select(headers, oauth_facade::Resource::reads)?;
        let (policy, body) = (this.get().on_rate_limit, (body, streams_once));
        Call::new(this, method, &url, &headers, body, policy)
    }

    /// Calls on_wait with a pause in seconds, for a plug-in that waits.
    fn waits(&self, py: Python<'_>, seconds: f64) {
        if let (Some(hook), Ok(pause)) = (&self.on_wait, Duration::try_from_secs_f64(seconds)) {
            call_hook(py, hook, pause);
        }
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Api>"
    }
}

twins! {
    impl Api {
        /// Sends a request with its route's token, renewed once after a 401.
        ///
        /// The whole response is read. timeout, on_rate_limit and longest_wait default to those of this API.
        /// resource.no_token_source and resource.route_ambiguous if it cannot be determined
        /// which token is needed. Only the API's origins get the token
        /// (resource.origin_not_allowed), in the Authorization header (RFC 6750 section 2.1). A
        /// redirect within the origin is followed. params are added to the query of the URL: a str or
        /// an int, or a list of them, by name. content is a body; data is a form with members like
        /// those of params; json is any value that json.dumps accepts, sent as application/json. timeout
        /// is in seconds, for the head of the response and again for its body. on_rate_limit is what to do
        /// when the API asks for a pause: "error" raises resource.rate_limited, "wait" waits for up to
        /// longest_wait seconds, "pass" returns the response. A status of 400 or above is not an error in
        /// itself: see Response.raise_for_status(). DeniedError, LostError and the errors of token().
        #[pyo3(signature = (method, url, *, headers = None, params = None,
                            content = None, data = None, json = None,
                            timeout = None, on_rate_limit = None, longest_wait = None))]
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
                timeout,
                on_rate_limit,
                longest_wait,
                ..ApiRequest::default()
            };
            self.pending(py, request)
        }
    }
}

verbs!(Api, []);
