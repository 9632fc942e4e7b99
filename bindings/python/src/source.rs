//! Token sources that stay fresh, and requests that carry their tokens. Sources written in Python are in
//! `custom_source.rs`, tokens that are never renewed in `fixed_token.rs`.

use std::cell::Cell;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use oauth_core::Moment;
use oauth_core::error::Error;
use oauth_core::flow::keeper::GrantId;
use oauth_facade::{GrantSettings, OnRateLimit, RateLimitChoice, Record, TokenOwner};
use oauth_reqwest::{Authorized, GrantSource as NativeSource};
use oauth_session::{Drive, Sources};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::api::ApiRequest;
use crate::context_managers::{PATIENCE, closes, nothing};
use crate::fork_safety::PerProcess;
use crate::form_fields::FormFields;
use crate::http_methods::verbs;
use crate::network::{RequestSettings, seconds};
use crate::pending_call::{Answer, PendingCall};
use crate::resource::Resource;
use crate::sessions::{self, LogObserver};
use crate::shared_client::SharedClient;
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{origins, text};
use crate::tokens::Tokens;
use crate::value::Pairs;
use crate::{errors, runtime};

/// One grant, kept fresh: one token request, no matter how many threads and tasks wait for it.
///
/// From client.source(), client.client_credentials() or Grants.get(). A token that is about
/// to expire is still returned while the next is fetched in the background. Use it in a with or async with
/// block, or end it with close(): a renewal in progress is then finished and stored before the
/// program continues.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct GrantSource {
    us: Arc<SharedClient>,
    grant: Grant,
    kept: SourceSettings,
    /// The API, whose rate limits all callers share.
    api: oauth_facade::Api,
    /// A source's flights belong to the threads of one process.
    session: PerProcess<NativeSource>,
}

enum Grant {
    ClientCredentials,
    Refresh(Login),
    /// One of many, which have its session.
    OneOf(Arc<sessions::Shared>, GrantId),
}

/// Where a person's tokens come from.
struct Login {
    /// The newest tokens, for the child of a fork to go on from; nothing where a store has them.
    newest: Arc<ArcSwapOption<oauth_core::Tokens>>,
    /// The process that logged in: with a store, no other process may save these tokens again.
    pid: u32,
}

/// How a grant is kept, and where.
#[derive(Default)]
pub(crate) struct SourceSettings {
    pub(crate) keep: GrantSettings,
    pub(crate) store: Option<Store>,
    pub(crate) on_tokens: Option<Arc<Py<PyAny>>>,
}

thread_local! {
    /// Whether this thread is in a hook: a wait for a token in there would never end.
    static IS_IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

impl GrantSource {
    pub(crate) fn client_credentials(
        py: Python<'_>,
        us: Arc<SharedClient>,
        kept: SourceSettings,
    ) -> PyResult<Self> {
        let id = kept.keep.client_grant();
        id.map_err(|error| errors::raise(py, &error))?;
        Self::new(py, us, Grant::ClientCredentials, kept)
    }

    pub(crate) fn refreshing(
        py: Python<'_>,
        us: Arc<SharedClient>,
        tokens: Option<Arc<oauth_core::Tokens>>,
        kept: SourceSettings,
    ) -> PyResult<Self> {
        let login = Login {
            newest: Arc::new(ArcSwapOption::new(tokens)),
            pid: std::process::id(),
        };
        Self::new(py, us, Grant::Refresh(login), kept)
    }

    /// One of many grants.
    pub(crate) fn one_of(
        py: Python<'_>,
        sessions: &Arc<sessions::Shared>,
        id: GrantId,
    ) -> PyResult<Self> {
        let us = Arc::clone(&sessions.us);
        let grant = Grant::OneOf(Arc::clone(sessions), id);
        Self::new(py, us, grant, SourceSettings::default())
    }

    fn new(
        py: Python<'_>,
        us: Arc<SharedClient>,
        grant: Grant,
        kept: SourceSettings,
    ) -> PyResult<Self> {
        let api = us
            .server
            .api(None, &[TokenOwner::Any], RateLimitChoice::Nothing);
        let api = api.and_then(|api| api.called_by(&us.client));
        let this = Self {
            api: api.map_err(|error| errors::raise(py, &error))?,
            us,
            grant,
            kept,
            session: PerProcess::new(),
        };
        // Report problems with the tokens now, not at the first call.
        this.native(py)?;
        Ok(this)
    }

    /// The session of this process.
    pub(crate) fn native(&self, py: Python<'_>) -> PyResult<NativeSource> {
        match &self.grant {
            Grant::OneOf(sessions, id) => Ok(sessions.here(py)?.get(id)),
            _ => self.session.with(|| self.make(py), NativeSource::clone),
        }
    }

    fn make(&self, py: Python<'_>) -> PyResult<NativeSource> {
        let driver = self.us.source_driver();
        let store = self.kept.store.as_ref();
        let store = store.map(|store| store.here(py)).transpose()?;
        let store = store.map(|store| store as Arc<dyn oauth_session::Store>);
        let session = self
            .begin(driver, store)
            .map_err(|error| errors::raise(py, &error))?;
        let newest = match &self.grant {
            Grant::Refresh(login) => Some(Arc::clone(&login.newest)),
            Grant::ClientCredentials | Grant::OneOf(..) => None,
        };
        let hook = self.kept.on_tokens.clone();
        Ok(session.observe(LogObserver).on_tokens(move |tokens| {
            if let Some(newest) = &newest {
                newest.store(Some(Arc::clone(tokens)));
            }
            call_hook(hook.clone(), Arc::clone(tokens));
        }))
    }

    /// The API as this source's client calls it.
    pub(crate) fn calls(&self, api: oauth_facade::Api) -> Result<oauth_facade::Api, Error> {
        api.called_by(&self.us.client)
    }

    fn begin(
        &self,
        driver: Arc<dyn Drive>,
        store: Option<Arc<dyn oauth_session::Store>>,
    ) -> Result<NativeSource, Error> {
        let keep = &self.kept.keep;
        let client = self.us.client.core();
        let keeper = match &self.grant {
            Grant::ClientCredentials => client.keeper(keep.client_grant()?),
            Grant::OneOf(_, id) => client.keeper(id.clone()),
            Grant::Refresh(login) => {
                let keeper = client.keeper(keep.person_grant()?);
                let is_ours = store.is_none() || login.pid == std::process::id();
                match login.newest.load_full().filter(|_| is_ours) {
                    Some(tokens) => keeper.with_tokens(&Moment::system()?, (*tokens).clone())?,
                    None => keeper,
                }
            }
        };
        let keeper = keeper.with_policy(keep.policy()?);
        Ok(match store {
            Some(store) => NativeSource::shared(driver, keeper, store),
            None => NativeSource::new(driver, keeper),
        })
    }

    fn fetching(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let source = self.native(py)?;
        let cached = source.clone();
        let work = PendingCall::new("token", async move {
            source
                .token()
                .await
                .map(|token| Answer::Tokens(token.into_arc()))
        });
        Ok(work.within(limit).unless(move || {
            let token = cached.ready().transpose()?;
            Some(token.map(|token| Answer::Tokens(token.into_arc())))
        }))
    }

    fn renewing(
        &self,
        py: Python<'_>,
        dead: &Tokens,
        timeout: Option<f64>,
    ) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let (source, dead) = (self.native(py)?, Arc::clone(&dead.0));
        let work = PendingCall::new("renew", async move {
            source
                .renew(&dead)
                .await
                .map(|token| Answer::Tokens(token.into_arc()))
        });
        Ok(work.within(limit))
    }

    fn draining(&self, py: Python<'_>, timeout: f64) -> PyResult<PendingCall> {
        let (session, limit) = (self.native(py)?, seconds(timeout)?);
        Ok(nothing("drain", async move { session.drain(limit).await }))
    }

    fn closing(&self, py: Python<'_>) -> PyResult<PendingCall> {
        match &self.grant {
            // Whoever else has this grant goes on.
            Grant::OneOf(..) => {
                let at_hand = || Some(Ok(Answer::Record(Record::Nothing)));
                Ok(nothing("close", async { Ok(()) }).unless(at_hand))
            }
            Grant::ClientCredentials | Grant::Refresh(_) => self.draining(py, PATIENCE),
        }
    }

    fn logging_in(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<PendingCall> {
        let (session, tokens) = (self.native(py)?, Arc::clone(&tokens.0));
        if let Grant::Refresh(login) = &self.grant {
            login.newest.store(Some(Arc::clone(&tokens)));
        }
        Ok(nothing("log_in", async move {
            session.log_in((*tokens).clone()).await
        }))
    }

    /// This source's API, which shares what is known of its limits with all others of it.
    pub(crate) fn api(
        &self,
        origins: Option<&[String]>,
        keeping: RateLimitChoice,
    ) -> Result<oauth_facade::Api, Error> {
        let api = self.us.server.api(origins, &[TokenOwner::Any], keeping)?;
        let api = self.calls(api)?;
        Ok(match keeping {
            RateLimitChoice::Nothing => api.sharing(&self.api),
            _ => api,
        })
    }

    pub(crate) fn line(&self) -> Arc<RequestSettings> {
        Arc::clone(&self.us.line)
    }

    fn calling(&self, py: Python<'_>, ask: ApiRequest<'_>) -> PyResult<PendingCall> {
        let api = self
            .api(ask.origins.as_deref(), RateLimitChoice::Nothing)
            .map_err(|error| errors::raise(py, &error))?;
        let sources = Sources::one(self.native(py)?);
        let api = Authorized::with_sources(self.us.line.driver(py)?, sources, api.core().clone())
            .map_err(|error| errors::raise(py, &error))?;
        ask.send(py, api, OnRateLimit::Error, &self.us.line)
    }
}

/// Runs a hook: a wait for a token in there is refused.
pub(crate) fn in_hook<T>(hook: impl FnOnce() -> T) -> T {
    IS_IN_HOOK.set(true);
    let told = hook();
    IS_IN_HOOK.set(false);
    told
}

/// Calls the Python hook with new tokens, on the runtime's thread.
fn call_hook(hook: Option<Arc<Py<PyAny>>>, tokens: Arc<oauth_core::Tokens>) {
    let call = move || {
        runtime::call_python(move |py| {
            errors::log(py, "debug", &format!("new tokens of {}", tokens.issuer()));
            let Some(hook) = &hook else { return };
            let told = in_hook(|| {
                Bound::new(py, Tokens::of(tokens)).and_then(|tokens| hook.call1(py, (tokens,)))
            });
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

#[pymethods]
impl GrantSource {
    /// Discards exactly these tokens, for callers that do not need others now.
    fn invalidate(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<()> {
        self.native(py)?.invalidate(&tokens.0);
        Ok(())
    }

    /// The name of the record in the store; None without one.
    #[getter]
    fn key(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.native(py)?.key().map(str::to_owned))
    }

    /// The function that is called with new tokens before any caller gets them.
    #[getter]
    fn on_tokens<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let hook = self.kept.on_tokens.as_ref();
        hook.map(|hook| hook.bind(py).clone())
    }

    /// Where these tokens may be sent: these origins, or those of the server's preset.
    ///
    /// For plug-ins. url.* for an invalid origin.
    #[pyo3(signature = (origins = None))]
    fn resource(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
    ) -> PyResult<Resource> {
        self.us
            .server
            .resource(origins.as_deref())
            .map(Resource)
            .map_err(|error| errors::raise(py, &error))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.GrantSource of {}>", self.us.server.issuer())
    }
}

twins! {
    impl GrantSource {
        /// Fresh tokens: the current ones, or new ones.
        ///
        /// timeout is how many seconds this caller waits, forever by default: then lost.timeout. The renewal continues
        /// for the others and for the next caller; nothing is lost. DeniedError, with the advice "reauthorize" once the
        /// grant has ended; LostError; grant.no_refresh_token, grant.outcome_unknown; RuntimeError in an on_tokens
        /// hook, which would wait for itself.
        #[blocking(refuse_in_hook)]
        #[pyo3(signature = (*, timeout = None))]
        fn token / atoken(self, py, timeout: Option<f64>) {
            self.fetching(py, timeout)
        }

        /// Tokens to replace those that a resource server refused.
        ///
        /// Without a request if another caller has already replaced them. timeout and errors are
        /// those of token().
        #[blocking(refuse_in_hook)]
        #[pyo3(signature = (tokens, *, timeout = None))]
        fn renew / arenew(self, py, tokens: &Tokens, timeout: Option<f64>) {
            self.renewing(py, tokens, timeout)
        }

        /// Adopts the tokens of a new login in place of any others, and stores them.
        ///
        /// LostError and store errors if that was not done; stored.issuer for tokens of another server or client.
        #[blocking(refuse_in_hook)]
        #[pyo3(signature = (tokens))]
        fn log_in / alog_in(self, py, tokens: &Tokens) {
            self.logging_in(py, tokens)
        }

        /// Shuts this source down gracefully, before the program ends.
        ///
        /// No new renewal begins, one that was sent is finished, and its tokens are stored.
        /// The current token is returned until it expires; after that, token_source.closed. lost.timeout if
        /// that has not been done within timeout, in seconds. The interpreter does the same for all
        /// sources when it ends, for 5 s.
        #[pyo3(signature = (*, timeout = 10.0))]
        fn drain / adrain(self, py, timeout: f64) {
            self.draining(py, timeout)
        }

        /// Sends a request with the token, renewed once after a 401; the reply is read whole.
        ///
        /// origins are where the token may be sent, by default the preset's API. Only the API's origins
        /// get the token (resource.origin_not_allowed), over the Authorization header (RFC 6750
        /// section 2.1). A redirect within the origin is followed. params are added to the query of the
        /// URL: a str or an int, or a list of them, by name. content is a body; data is a form with
        /// members like those of params; json is any
        /// value that json.dumps takes, sent as application/json. timeout is in seconds, for the
        /// head of the reply and again for its body. on_rate_limit is what to do when the API asks
        /// for a pause: "error" raises resource.rate_limited, "wait" waits for up to longest_wait
        /// seconds, "pass" returns the reply. A status of 400 or above is not an error in itself:
        /// see Response.raise_for_status(). DeniedError, LostError and the errors of token().
        #[blocking(refuse_in_hook)]
        #[pyo3(signature = (method, url, *, headers = None, params = None,
                            content = None, data = None, json = None,
                            origins = None, timeout = None, on_rate_limit = None, longest_wait = None))]
        fn request / arequest(
            self,
            py,
            method: &str,
            #[pyo3(from_py_with = text)] url: String,
            headers: Option<Pairs>,
            params: Option<FormFields>,
            #[pyo3(from_py_with = text)] content: Option<Vec<u8>>,
            data: Option<FormFields>,
            json: Option<Py<PyAny>>,
            #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
            timeout: Option<f64>,
            on_rate_limit: Option<&str>,
            longest_wait: Option<f64>,
        ) {
            let ask = ApiRequest {
                method,
                url: &url,
                headers,
                params,
                content,
                data,
                json,
                origins,
                timeout,
                on_rate_limit,
                longest_wait,
            };
            self.calling(py, ask)
        }
    }
}

verbs!(GrantSource, [origins: Option<Vec<String>> as origins]);
closes!(
    GrantSource,
    "drain(), as the end of a with or async with block does it.\n\n\
     lost.timeout if that has not been done within 10 s. A source that Grants.get() gave\n\
     belongs to the Grants: it is only let go of, and its grant is kept fresh for the\n\
     others."
);

pub(crate) fn refuse_in_hook() -> PyResult<()> {
    match IS_IN_HOOK.get() {
        true => Err(PyRuntimeError::new_err(
            "on_tokens must not wait for a token",
        )),
        false => Ok(()),
    }
}
