//! A token that stays fresh, and requests that carry it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::Upkeep;
use oauth_core::{Moment, Scope};
use oauth_facade::Keep;
use oauth_reqwest::{Authorized, ResponseExt as _, Session};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::client::Us;
use crate::process::PerProcess;
use crate::resource::Resource;
use crate::store::Store;
use crate::tokens::Tokens;
use crate::value::Pairs;
use crate::work::{Answer, Work};
use crate::{errors, runtime, server};

/// One grant, kept fresh: one token request, however many threads and tasks wait for it.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct TokenSource {
    us: Arc<Us>,
    grant: Grant,
    kept: Kept,
    /// A source's flights belong to the threads of one process.
    session: PerProcess<Session>,
}

enum Grant {
    ClientCredentials(Scope),
    Refresh(Login),
}

/// Where a person's tokens come from.
struct Login {
    /// The newest tokens, for the child of a fork to go on from; nothing where a store has them.
    newest: Arc<ArcSwapOption<oauth_core::Tokens>>,
    /// The process that brought them: where there is a store, no other may put them there again.
    pid: u32,
}

/// How a grant is kept, and where.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) keep: Keep,
    pub(crate) store: Option<Store>,
    pub(crate) on_tokens: Option<Arc<Py<PyAny>>>,
}

thread_local! {
    /// Whether this thread is in a hook: a wait for a token in there would never end.
    static IS_IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

impl TokenSource {
    pub(crate) fn client_credentials(
        py: Python<'_>,
        us: Arc<Us>,
        scope: &str,
        kept: Kept,
    ) -> PyResult<Self> {
        let scope = Scope::parse(scope).map_err(|error| errors::raise(py, &error))?;
        Self::new(py, us, Grant::ClientCredentials(scope), kept)
    }

    pub(crate) fn refreshing(
        py: Python<'_>,
        us: Arc<Us>,
        tokens: Option<Arc<oauth_core::Tokens>>,
        kept: Kept,
    ) -> PyResult<Self> {
        let login = Login {
            newest: Arc::new(ArcSwapOption::new(tokens)),
            pid: std::process::id(),
        };
        Self::new(py, us, Grant::Refresh(login), kept)
    }

    fn new(py: Python<'_>, us: Arc<Us>, grant: Grant, kept: Kept) -> PyResult<Self> {
        let this = Self {
            us,
            grant,
            kept,
            session: PerProcess::new(),
        };
        // What is wrong with the tokens is told now.
        this.native(py)?;
        Ok(this)
    }

    /// The session of this process.
    fn native(&self, py: Python<'_>) -> PyResult<Session> {
        self.session.with(|| self.make(py), Session::clone)
    }

    fn make(&self, py: Python<'_>) -> PyResult<Session> {
        let driver = self.us.driver(py)?;
        let store = self.kept.store.as_ref();
        let store = store.map(|store| store.here(py)).transpose()?;
        let store = store.map(|store| store as Arc<dyn oauth_session::Store>);
        let session = self
            .begin(driver, store)
            .map_err(|error| errors::raise(py, &error))?;
        let newest = match &self.grant {
            Grant::Refresh(login) => Some(Arc::clone(&login.newest)),
            Grant::ClientCredentials(_) => None,
        };
        let hook = self.kept.on_tokens.clone();
        Ok(session.on_tokens(move |tokens| {
            if let Some(newest) = &newest {
                newest.store(Some(Arc::clone(tokens)));
            }
            tell(hook.clone(), Arc::clone(tokens));
        }))
    }

    fn begin(
        &self,
        driver: oauth_reqwest::Driver,
        store: Option<Arc<dyn oauth_session::Store>>,
    ) -> Result<Session, Error> {
        let keep = &self.kept.keep;
        let client = self.us.client.core();
        let keeper = match &self.grant {
            Grant::ClientCredentials(scope) => {
                client.keeper(Upkeep::ClientCredentials(scope.clone()))
            }
            Grant::Refresh(login) => {
                let keeper = client.keeper(Upkeep::Refresh);
                let is_ours = store.is_none() || login.pid == std::process::id();
                match login.newest.load_full().filter(|_| is_ours) {
                    Some(tokens) => keeper.with_tokens(Moment::system()?, (*tokens).clone())?,
                    None => keeper,
                }
            }
        };
        let keeper = keeper.with_policy(keep.policy()?);
        Ok(match store {
            Some(store) => Session::shared(driver, keeper, keep.id()?, store),
            None => Session::new(driver, keeper),
        })
    }

    fn fetching(&self, py: Python<'_>) -> PyResult<Work> {
        let source = self.native(py)?;
        let cached = source.clone();
        let work = Work::new("token", async move {
            source
                .token()
                .await
                .map(|token| Answer::Tokens(token.into_arc()))
        });
        Ok(work.unless(move || {
            let token = cached.ready().transpose()?;
            Some(token.map(|token| Answer::Tokens(token.into_arc())))
        }))
    }

    fn renewing(&self, py: Python<'_>, dead: &Tokens) -> PyResult<Work> {
        let (source, dead) = (self.native(py)?, Arc::clone(&dead.0));
        Ok(Work::new("renew", async move {
            source
                .renew(&dead)
                .await
                .map(|token| Answer::Tokens(token.into_arc()))
        }))
    }

    fn logging_in(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<Work> {
        let (session, tokens) = (self.native(py)?, Arc::clone(&tokens.0));
        if let Grant::Refresh(login) = &self.grant {
            login.newest.store(Some(Arc::clone(&tokens)));
        }
        Ok(Work::new("log_in", async move {
            session.log_in((*tokens).clone()).await?;
            Ok(Answer::Record(oauth_facade::Record::Nothing))
        }))
    }

    fn calling(&self, py: Python<'_>, ask: Ask<'_>) -> PyResult<Work> {
        let resource = self.resource(py, ask.origins)?;
        let api = Authorized::new(
            self.us.driver(py)?,
            self.native(py)?,
            resource.0.core().clone(),
        );
        let method = http::Method::from_bytes(ask.method.as_bytes())
            .map_err(|_| PyValueError::new_err("not an HTTP method"))?;
        let (url, headers, content) = (ask.url.to_owned(), ask.headers, ask.content);
        let timeout = match ask.timeout {
            Some(timeout) => server::seconds(timeout)?,
            None => self.us.timeout,
        };
        Ok(Work::new("request", async move {
            let mut request = api.request(method, &url);
            for (name, value) in headers.iter().flat_map(|headers: &Pairs| &headers.0) {
                request = request.header(name, value);
            }
            if let Some(content) = content {
                request = request.body(content);
            }
            let response = request.timeout(timeout).send().await?;
            // As long again for the body.
            tokio::time::timeout(timeout, Response::read(response))
                .await
                .map_err(|late| Error::lost(Cause::unknown(late)))?
                .map(Answer::Response)
        }))
    }
}

/// Tells Python of new tokens, from the runtime's thread.
fn tell(hook: Option<Arc<Py<PyAny>>>, tokens: Arc<oauth_core::Tokens>) {
    let call = move || {
        runtime::call_python(move |py| {
            errors::log(py, "debug", &format!("new tokens of {}", tokens.issuer()));
            let Some(hook) = &hook else { return };
            IS_IN_HOOK.set(true);
            let told = Bound::new(py, Tokens(tokens)).and_then(|tokens| hook.call1(py, (tokens,)));
            IS_IN_HOOK.set(false);
            if let Err(error) = told {
                // The tokens are good all the same, and whoever waits gets them.
                let name = error.get_type(py).to_string();
                errors::log(py, "error", &format!("on_tokens failed: {name}"));
                error.write_unraisable(py, None);
            }
        });
    };
    // Others may need this thread meanwhile, the hook perhaps among them.
    tokio::task::block_in_place(call);
}

struct Ask<'a> {
    method: &'a str,
    url: &'a str,
    headers: Option<Pairs>,
    content: Option<Vec<u8>>,
    origins: Option<Vec<String>>,
    timeout: Option<f64>,
}

#[pymethods]
impl TokenSource {
    /// Tokens that are fresh now.
    fn token(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        refuse_in_hook()?;
        self.fetching(py)?.wait(py)
    }

    /// token(), in a coroutine.
    fn atoken<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.fetching(py)?.later(py)
    }

    /// Tokens to take the place of those a resource server refused.
    fn renew(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<Py<PyAny>> {
        refuse_in_hook()?;
        self.renewing(py, tokens)?.wait(py)
    }

    /// renew(), in a coroutine.
    fn arenew<'py>(&self, py: Python<'py>, tokens: &Tokens) -> PyResult<Bound<'py, PyAny>> {
        self.renewing(py, tokens)?.later(py)
    }

    /// Forgets exactly these tokens.
    fn invalidate(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<()> {
        self.native(py)?.invalidate(&tokens.0);
        Ok(())
    }

    /// Takes the tokens of a new login in place of whatever was there, and stores them.
    fn log_in(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<Py<PyAny>> {
        refuse_in_hook()?;
        self.logging_in(py, tokens)?.wait(py)
    }

    /// log_in(), in a coroutine.
    fn alog_in<'py>(&self, py: Python<'py>, tokens: &Tokens) -> PyResult<Bound<'py, PyAny>> {
        self.logging_in(py, tokens)?.later(py)
    }

    /// The name of the record in the store; None without one.
    #[getter]
    fn key(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.native(py)?.key().map(str::to_owned))
    }

    /// What is called with new tokens before anyone else sees them.
    #[getter]
    fn on_tokens<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let hook = self.kept.on_tokens.as_ref();
        hook.map(|hook| hook.bind(py).clone())
    }

    /// Where these tokens may be sent: these origins, or those of the server's preset.
    #[pyo3(signature = (origins = None))]
    fn resource(&self, py: Python<'_>, origins: Option<Vec<String>>) -> PyResult<Resource> {
        self.us
            .server
            .resource(origins.as_deref())
            .map(Resource)
            .map_err(|error| errors::raise(py, &error))
    }

    /// Sends a request with the token, renewed once after a 401; the reply is read whole.
    ///
    /// timeout is for the head of the reply, and again for its body; by default the client's.
    #[pyo3(signature = (method, url, *, headers = None, content = None, origins = None,
                        timeout = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn request(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        headers: Option<Pairs>,
        content: Option<Vec<u8>>,
        origins: Option<Vec<String>>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        refuse_in_hook()?;
        let ask = Ask {
            method,
            url,
            headers,
            content,
            origins,
            timeout,
        };
        self.calling(py, ask)?.wait(py)
    }

    /// request(), in a coroutine.
    #[pyo3(signature = (method, url, *, headers = None, content = None, origins = None,
                        timeout = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn arequest<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        url: &str,
        headers: Option<Pairs>,
        content: Option<Vec<u8>>,
        origins: Option<Vec<String>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ask = Ask {
            method,
            url,
            headers,
            content,
            origins,
            timeout,
        };
        self.calling(py, ask)?.later(py)
    }

    /// request("GET", url).
    #[pyo3(signature = (url, *, headers = None, origins = None, timeout = None))]
    fn get(
        &self,
        py: Python<'_>,
        url: &str,
        headers: Option<Pairs>,
        origins: Option<Vec<String>>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        self.request(py, "GET", url, headers, None, origins, timeout)
    }

    /// get(), in a coroutine.
    #[pyo3(signature = (url, *, headers = None, origins = None, timeout = None))]
    fn aget<'py>(
        &self,
        py: Python<'py>,
        url: &str,
        headers: Option<Pairs>,
        origins: Option<Vec<String>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.arequest(py, "GET", url, headers, None, origins, timeout)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.TokenSource of {}>", self.us.server.issuer())
    }
}

fn refuse_in_hook() -> PyResult<()> {
    match IS_IN_HOOK.get() {
        true => Err(PyRuntimeError::new_err(
            "on_tokens must not wait for a token",
        )),
        false => Ok(()),
    }
}

/// A resource server's reply, read whole.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Response {
    status: u16,
    headers: http::HeaderMap,
    content: Vec<u8>,
    retry_after: Option<Duration>,
}

impl Response {
    async fn read(mut response: oauth_reqwest::reqwest::Response) -> Result<Self, Error> {
        let (status, retry_after) = (response.status().as_u16(), response.retry_after());
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
        })
    }
}

#[pymethods]
impl Response {
    /// The HTTP status.
    #[getter]
    const fn status(&self) -> u16 {
        self.status
    }

    /// The headers, names in lower case; several of one name are joined by a comma.
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

    /// The body.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.content)
    }

    /// The body as UTF-8; what is none is replaced.
    #[getter]
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The seconds the server asks to wait (Retry-After, X-RateLimit-Reset).
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.retry_after.map(|pause| pause.as_secs_f64())
    }

    /// The body, parsed.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?
            .call_method1("loads", (self.content(py),))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Response {}>", self.status)
    }
}
