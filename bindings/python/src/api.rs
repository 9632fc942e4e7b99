//! An API: whose token a route gets, how often it may be asked, and requests to it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Loss};
use oauth_facade::{Allowance, Keeping, OnLimit, TokenFor};
use oauth_reqwest::{Authorized, Driver};
use oauth_session::Sources;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::call::ApiCall;
use crate::foreign::{self, Raised};
use crate::process::PerProcess;
use crate::response::Response;
use crate::server::{self, Server};
use crate::source::{GrantSource, refuse_in_hook};
use crate::value::Pairs;
use crate::work::{Answer, Work};
use crate::{errors, runtime};

/// How long all pauses of a request may be together, unless somebody says otherwise.
const LONGEST: f64 = 300.0;

/// How long a request may take, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API, and the sources of the tokens that it wants.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Api {
    pub(crate) api: oauth_facade::Api,
    sources: Vec<(TokenFor, Py<PyAny>)>,
    pub(crate) on_limit: OnLimit,
    on_wait: Option<Arc<Py<PyAny>>>,
    timeout: Duration,
    driver: PerProcess<Driver>,
}

impl Api {
    /// The API of this source with nothing chosen but its origins.
    pub(crate) fn of<'py>(
        source: &Bound<'py, GrantSource>,
        origins: Option<&[String]>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = source.py();
        let api = source.get().shared_api(origins);
        let this = Self {
            api: api.map_err(|error| errors::raise(py, &error))?,
            sources: vec![(TokenFor::Any, source.clone().into_any().unbind())],
            on_limit: OnLimit::Fail,
            on_wait: None,
            timeout: source.get().us().timeout,
            driver: PerProcess::new(),
        };
        Bound::new(py, this)
    }

    /// The driver of the first source that has one, or one of our own.
    fn driver(&self, py: Python<'_>) -> PyResult<Driver> {
        let mut sources = self.sources.iter();
        let grant = sources.find_map(|(_, source)| source.bind(py).cast::<GrantSource>().ok());
        match grant {
            Some(grant) => grant.get().us().driver(py),
            None => self
                .driver
                .with(|| server::driver(py, self.timeout), Driver::clone),
        }
    }

    fn sources(&self, py: Python<'_>, raised: &Raised) -> PyResult<Sources> {
        let mut sources = Vec::new();
        for (owner, source) in &self.sources {
            sources.push((*owner, foreign::here(source.bind(py), raised)?));
        }
        Ok(Sources::from_iter(sources))
    }

    fn calling(&self, py: Python<'_>, ask: Ask<'_>) -> PyResult<Work> {
        let raised = Raised::default();
        let on_limit = self.on_limit_of(ask.rate_limit, ask.longest_wait)?;
        let sources = self.sources(py, &raised)?;
        let mut api = Authorized::with_sources(self.driver(py)?, sources, self.api.core().clone())
            .map_err(|error| errors::raise(py, &error))?
            .on_limit(on_limit);
        if let Some(hook) = self.on_wait.clone() {
            api = api.on_wait(move |pause| tell(&hook, pause));
        }
        let method = http::Method::from_bytes(ask.method.as_bytes())
            .map_err(|_| PyValueError::new_err("not an HTTP method"))?;
        let (url, headers, content) = (ask.url.to_owned(), ask.headers, ask.content);
        let timeout = match ask.timeout {
            Some(timeout) => server::seconds(timeout)?,
            None => self.timeout,
        };
        Ok(Work::new("request", async move {
            let mut request = api.request(method, &url);
            for (name, value) in headers.iter().flat_map(|headers: &Pairs| &headers.0) {
                request = request.header(name, value);
            }
            if let Some(content) = content {
                request = request.body(content);
            }
            let response = match request.timeout(timeout).send().await {
                Ok(response) => response,
                Err(error) => {
                    let mut raised = raised.lock().unwrap_or_else(PoisonError::into_inner);
                    return match raised.take() {
                        // The source's own exception, as it was.
                        Some(raised) => Ok(Answer::Value(Box::new(move |_| Err(raised)))),
                        None => Err(error),
                    };
                }
            };
            // As long again for the body.
            let late = |late| Error::lost(Cause::unknown(late).because(Loss::Timeout));
            tokio::time::timeout(timeout, Response::read(response))
                .await
                .map_err(late)?
                .map(Answer::Response)
        }))
    }

    /// What a request does where the API asks for a pause.
    pub(crate) fn on_limit_of(
        &self,
        rate_limit: Option<&str>,
        longest_wait: Option<f64>,
    ) -> PyResult<OnLimit> {
        let longest = match (self.on_limit, longest_wait) {
            (_, Some(longest)) => longest,
            (OnLimit::Wait { longest }, None) => longest.as_secs_f64(),
            (_, None) => LONGEST,
        };
        match rate_limit {
            Some(rate_limit) => read_on_limit(rate_limit, longest),
            None if longest_wait.is_some() => match self.on_limit {
                OnLimit::Wait { .. } => read_on_limit("wait", longest),
                _ => Err(PyTypeError::new_err(
                    "longest_wait is for rate_limit=\"wait\"",
                )),
            },
            None => Ok(self.on_limit),
        }
    }
}

/// Tells Python of a pause, from the runtime's thread.
fn tell(hook: &Arc<Py<PyAny>>, pause: Duration) {
    let hook = Arc::clone(hook);
    let call = move || {
        runtime::call_python(move |py| {
            if let Err(error) = hook.call1(py, (pause.as_secs_f64(),)) {
                error.write_unraisable(py, None);
            }
        });
    };
    tokio::task::block_in_place(call);
}

fn read_on_limit(name: &str, longest_wait: f64) -> PyResult<OnLimit> {
    let longest = Duration::try_from_secs_f64(longest_wait)
        .map_err(|_| PyValueError::new_err("longest_wait is a number of seconds"));
    match name {
        "error" => Ok(OnLimit::Fail),
        "wait" => Ok(OnLimit::Wait { longest: longest? }),
        "pass" => Ok(OnLimit::HandBack),
        _ => Err(PyValueError::new_err(
            "rate_limit is \"error\", \"wait\" or \"pass\"",
        )),
    }
}

/// None, "documented", or (requests, seconds).
#[derive(FromPyObject)]
enum Kept {
    Name(String),
    Numbers((u32, u32)),
}

fn read_keeping(kept: Option<Kept>) -> PyResult<Keeping> {
    match kept {
        None => Ok(Keeping::Nothing),
        Some(Kept::Name(name)) if name == "documented" => Ok(Keeping::Documented),
        Some(Kept::Numbers((requests, seconds))) if requests > 0 && seconds > 0 => {
            Ok(Keeping::Allowance(Allowance::new(requests, seconds)))
        }
        _ => Err(PyValueError::new_err(
            "allowance is \"documented\" or (requests, seconds)",
        )),
    }
}

struct Ask<'a> {
    method: &'a str,
    url: &'a str,
    headers: Option<Pairs>,
    content: Option<Vec<u8>>,
    rate_limit: Option<&'a str>,
    longest_wait: Option<f64>,
    timeout: Option<f64>,
}

#[pymethods]
impl Api {
    /// An API with one source for all its routes, or with one for each owner of a route.
    #[new]
    #[pyo3(signature = (source = None, /, *, app = None, user = None, server = None,
                        origins = None, rate_limit = "error", longest_wait = LONGEST,
                        allowance = None, on_wait = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        source: Option<Bound<'_, PyAny>>,
        app: Option<Bound<'_, PyAny>>,
        user: Option<Bound<'_, PyAny>>,
        server: Option<&Bound<'_, Server>>,
        origins: Option<Vec<String>>,
        rate_limit: &str,
        longest_wait: f64,
        allowance: Option<Kept>,
        on_wait: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let fail = |error: Error| errors::raise(py, &error);
        let owned = [(TokenFor::Application, app), (TokenFor::User, user)];
        let owned = owned
            .into_iter()
            .filter_map(|(owner, source)| Some((owner, source?)));
        let mut sources: Vec<_> = owned.collect();
        match (source, sources.is_empty()) {
            (Some(source), true) => sources.push((TokenFor::Any, source)),
            (None, false) => {}
            _ => return Err(PyTypeError::new_err("give one source, or app and user")),
        }
        for (_, source) in &sources {
            foreign::check(source)?;
        }
        let owners: Vec<TokenFor> = sources.iter().map(|(owner, _)| *owner).collect();
        let keeping = read_keeping(allowance)?;
        let mut grants = sources
            .iter()
            .filter_map(|(_, source)| source.cast::<GrantSource>().ok());
        let grant = grants.next().map(|grant| grant.get());
        let origins = origins.as_deref();
        let api = match (server, grant, sources.as_slice()) {
            // One source, one memory of what its API said.
            (None, Some(grant), [(TokenFor::Any, _)]) if keeping == Keeping::Nothing => {
                grant.shared_api(origins).map_err(fail)?
            }
            (Some(server), ..) => {
                let server = &server.get().0;
                server.api(origins, &owners, keeping).map_err(fail)?
            }
            (None, Some(grant), _) => {
                let server = &grant.us().server;
                server.api(origins, &owners, keeping).map_err(fail)?
            }
            (None, None, [(TokenFor::Any, source)]) => {
                let known = source.getattr_opt("_api_place")?;
                let known: Option<(Option<Py<Server>>, Vec<String>)> =
                    known.map(|known| known.extract()).transpose()?;
                let (server, own) = known.unwrap_or_default();
                let origins = origins.unwrap_or(&own);
                match server {
                    Some(server) => server.get().0.api(Some(origins), &owners, keeping),
                    None => oauth_facade::Api::new(origins, oauth_facade::Transport::Https)
                        .and_then(|api| api.with(keeping)),
                }
                .map_err(fail)?
            }
            _ => return Err(PyTypeError::new_err("server= says whose API it is")),
        };
        let timeout = grant.map_or(PATIENCE, |grant| grant.us().timeout);
        let sources = sources
            .into_iter()
            .map(|(owner, source)| (owner, source.unbind()));
        Ok(Self {
            api,
            sources: sources.collect(),
            on_limit: read_on_limit(rate_limit, longest_wait)?,
            on_wait: on_wait.map(Arc::new),
            timeout,
            driver: PerProcess::new(),
        })
    }

    /// Whose token a request to this URL gets: "application", "user", or "any" where there is one
    /// source.
    fn owner(&self, py: Python<'_>, url: &str) -> PyResult<&'static str> {
        self.api
            .owner(url)
            .map_err(|error| errors::raise(py, &error))
    }

    /// The source of an owner's tokens.
    fn _source(&self, py: Python<'_>, owner: &str) -> PyResult<Py<PyAny>> {
        let mut sources = self.sources.iter();
        let found = sources.find(|(known, _)| known.as_str() == owner);
        found
            .map(|(_, source)| source.clone_ref(py))
            .ok_or_else(|| PyValueError::new_err("no such owner"))
    }

    /// What is called with each pause, in seconds, before it is waited for.
    #[getter]
    fn on_wait<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.on_wait.as_ref().map(|hook| hook.bind(py).clone())
    }

    /// A request that another HTTP client sends.
    #[pyo3(signature = (method, url, headers, body = None))]
    fn _call(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
    ) -> PyResult<ApiCall> {
        ApiCall::new(py, self, method, url, headers, body)
    }

    /// Sends a request with the token of its route's owner; the reply is read whole.
    ///
    /// timeout is for the head of the reply, and again for its body; pauses are not part of it.
    #[pyo3(signature = (method, url, *, headers = None, content = None, rate_limit = None,
                        longest_wait = None, timeout = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn request(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        headers: Option<Pairs>,
        content: Option<Vec<u8>>,
        rate_limit: Option<&str>,
        longest_wait: Option<f64>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        refuse_in_hook()?;
        let ask = Ask {
            method,
            url,
            headers,
            content,
            rate_limit,
            longest_wait,
            timeout,
        };
        self.calling(py, ask)?.wait(py)
    }

    /// request(), in a coroutine.
    #[pyo3(signature = (method, url, *, headers = None, content = None, rate_limit = None,
                        longest_wait = None, timeout = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn arequest<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        url: &str,
        headers: Option<Pairs>,
        content: Option<Vec<u8>>,
        rate_limit: Option<&str>,
        longest_wait: Option<f64>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ask = Ask {
            method,
            url,
            headers,
            content,
            rate_limit,
            longest_wait,
            timeout,
        };
        self.calling(py, ask)?.later(py)
    }

    /// request("GET", url).
    #[pyo3(signature = (url, **options))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        url: &str,
        options: Option<&Bound<'py, pyo3::types::PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.call_method("request", ("GET", url), options)
    }

    /// get(), in a coroutine.
    #[pyo3(signature = (url, **options))]
    fn aget<'py>(
        slf: &Bound<'py, Self>,
        url: &str,
        options: Option<&Bound<'py, pyo3::types::PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.call_method("arequest", ("GET", url), options)
    }

    fn __repr__(&self) -> String {
        let owners: Vec<&str> = self
            .sources
            .iter()
            .map(|(owner, _)| owner.as_str())
            .collect();
        format!("<oauth_core.Api for {}>", owners.join(", "))
    }
}
