//! `GrantSource`: a source of tokens of one grant, which it keeps fresh, and requests with these tokens. Sources
//! written in Python are in `custom_source.rs`, tokens that are never renewed in `fixed_token.rs`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use oauth_core::Moment;
use oauth_core::error::Error;
use oauth_core::flow::keeper::GrantId;
use oauth_facade::{GrantSettings, OnRateLimit, RateLimitChoice, Record, TokenOwner};
use oauth_reqwest::{Authorized, GrantSource as NativeSource};
use oauth_session::{Sources, TokenDriver};
use pyo3::prelude::*;

use crate::api::ApiRequest;
use crate::context_managers::{CLOSE_TIMEOUT, call_without_result, closes};
use crate::fork_safety::PerProcess;
use crate::form_fields::FormFields;
use crate::grants::{self, LogObserver};
use crate::hook_owner::{HookOwner, WaitsFor};
use crate::hooks::Hook;
use crate::http_methods::verbs;
use crate::network::{RequestSettings, seconds};
use crate::pending_call::{CallResult, PendingCall};
use crate::resource::Resource;
use crate::shared_client::SharedClient;
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{origins, text};
use crate::tokens::Tokens;
use crate::value::Pairs;
use crate::{errors, runtime};

/// One grant, kept fresh with one token request, no matter how many threads and tasks wait for it.
///
/// From client.source(), client.client_credentials() or Grants.get(). A token that is about to expire is still returned
/// while the next is fetched in the background. Use it in a with or async with block, or call close(): a renewal under
/// way is then finished and stored before the program continues.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct GrantSource {
    inner: Arc<SharedClient>,
    grant: Grant,
    settings: SourceSettings,
    /// The API, whose rate limits all callers share.
    api: oauth_facade::Api,
    /// The native source of this process, to whose threads its renewals belong.
    native_source: PerProcess<NativeSource>,
    hook_owner: HookOwner,
}

enum Grant {
    ClientCredentials,
    Refresh(Login),
    /// One of many grants, which hold its native source.
    Shared(Arc<grants::Shared>, GrantId),
}

/// The login that a user's tokens come from.
struct Login {
    /// The newest tokens, with which the child of a fork continues; none if they are in a store.
    newest: Arc<ArcSwapOption<oauth_core::Tokens>>,
    /// The process that logged in: with a store, only this process may save these tokens.
    pid: u32,
}

/// The settings of a source: its grant, store and hook.
#[derive(Default)]
pub(crate) struct SourceSettings {
    pub(crate) grant: GrantSettings,
    pub(crate) store: Option<Store>,
    pub(crate) on_tokens: Option<Hook>,
}

impl GrantSource {
    pub(crate) fn client_credentials(
        py: Python<'_>,
        inner: Arc<SharedClient>,
        settings: SourceSettings,
    ) -> PyResult<Self> {
        let id = settings.grant.client_grant();
        id.map_err(|error| errors::raise(py, &error))?;
        Self::new(py, inner, Grant::ClientCredentials, settings)
    }

    pub(crate) fn refreshing(
        py: Python<'_>,
        inner: Arc<SharedClient>,
        tokens: Option<Arc<oauth_core::Tokens>>,
        settings: SourceSettings,
    ) -> PyResult<Self> {
        let login = Login {
            newest: Arc::new(ArcSwapOption::new(tokens)),
            pid: std::process::id(),
        };
        Self::new(py, inner, Grant::Refresh(login), settings)
    }

    /// One of many grants.
    pub(crate) fn from_grants(
        py: Python<'_>,
        grants: &Arc<grants::Shared>,
        id: GrantId,
    ) -> PyResult<Self> {
        let inner = Arc::clone(&grants.inner);
        let grant = Grant::Shared(Arc::clone(grants), id);
        Self::new(py, inner, grant, SourceSettings::default())
    }

    /// The owner of the hooks for which calls of this source wait.
    fn hook_owner(
        inner: &SharedClient,
        grant: &Grant,
        settings: &SourceSettings,
    ) -> Result<HookOwner, Error> {
        let client = inner.client.core();
        let id = match grant {
            Grant::Shared(grants, id) => return Ok(grants.hook_owner_of(id)),
            _ if settings.store.is_none() => return Ok(HookOwner::new()),
            Grant::ClientCredentials => settings.grant.client_grant()?,
            Grant::Refresh(_) => settings.grant.person_grant()?,
        };
        Ok(HookOwner::new().with_key(Some(client.keeper(id).key())))
    }

    /// The owners of the hooks that the calls of this source wait for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        match (&self.inner.sign_in, &self.grant) {
            // The tokens of a sign-in of the application's.
            (Some(_), _) => WaitsFor::Anything,
            (None, Grant::Shared(grants, _)) if grants.is_limited() => grants.waits_for(),
            (None, _) => WaitsFor::Owners(vec![self.hook_owner.clone()]),
        }
    }

    fn new(
        py: Python<'_>,
        inner: Arc<SharedClient>,
        grant: Grant,
        settings: SourceSettings,
    ) -> PyResult<Self> {
        let api = inner
            .server
            .api(None, &[TokenOwner::Any], RateLimitChoice::Nothing);
        let api = api.and_then(|api| api.with_client(&inner.client));
        let hook_owner = Self::hook_owner(&inner, &grant, &settings);
        let this = Self {
            api: api.map_err(|error| errors::raise(py, &error))?,
            inner,
            grant,
            settings,
            native_source: PerProcess::new(),
            hook_owner: hook_owner.map_err(|error| errors::raise(py, &error))?,
        };
        // Report problems with the tokens now, not at the first call.
        this.native(py)?;
        Ok(this)
    }

    /// The native source of this process.
    pub(crate) fn native(&self, py: Python<'_>) -> PyResult<NativeSource> {
        match &self.grant {
            Grant::Shared(grants, id) => Ok(grants.for_this_process(py)?.get(id)),
            _ => self
                .native_source
                .with(|| self.make(py), NativeSource::clone),
        }
    }

    fn make(&self, py: Python<'_>) -> PyResult<NativeSource> {
        let driver = self.inner.source_driver();
        let store = self.settings.store.as_ref();
        let store = store.map(|store| store.for_this_process(py)).transpose()?;
        let store = store.map(|store| store as Arc<dyn oauth_session::Store>);
        let native_source = self
            .begin(driver, store)
            .map_err(|error| errors::raise(py, &error))?;
        let newest = match &self.grant {
            Grant::Refresh(login) => Some(Arc::clone(&login.newest)),
            Grant::ClientCredentials | Grant::Shared(..) => None,
        };
        let (hook, owner) = (self.settings.on_tokens.clone(), self.hook_owner.clone());
        Ok(native_source.observe(LogObserver).on_tokens(move |tokens| {
            if let Some(newest) = &newest {
                newest.store(Some(Arc::clone(tokens)));
            }
            call_hook(hook.as_ref(), &owner, tokens)
        }))
    }

    /// The API as called by this source's client, with its DPoP key if it has one.
    pub(crate) fn calls(&self, api: oauth_facade::Api) -> Result<oauth_facade::Api, Error> {
        api.with_client(&self.inner.client)
    }

    fn begin(
        &self,
        driver: Arc<dyn TokenDriver>,
        store: Option<Arc<dyn oauth_session::Store>>,
    ) -> Result<NativeSource, Error> {
        let grant_settings = &self.settings.grant;
        let client = self.inner.client.core();
        let keeper = match &self.grant {
            Grant::ClientCredentials => client.keeper(grant_settings.client_grant()?),
            Grant::Shared(_, id) => client.keeper(id.clone()),
            Grant::Refresh(login) => {
                let keeper = client.keeper(grant_settings.person_grant()?);
                let is_valid_here = store.is_none() || login.pid == std::process::id();
                match login.newest.load_full().filter(|_| is_valid_here) {
                    Some(tokens) => keeper.with_tokens(&Moment::system()?, (*tokens).clone())?,
                    None => keeper,
                }
            }
        };
        let keeper = keeper.with_policy(grant_settings.policy()?);
        Ok(match store {
            Some(store) => NativeSource::with_store(driver, keeper, store),
            None => NativeSource::new(driver, keeper),
        })
    }

    fn pending_token(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let source = self.native(py)?;
        let cached = source.clone();
        let work = PendingCall::new("token", async move {
            source
                .token()
                .await
                .map(|token| CallResult::Tokens(token.into_arc()))
        });
        let work = work.waiting_for(self.waits_for());
        Ok(work.within(limit).unless(move || {
            let token = cached.ready().transpose()?;
            Some(token.map(|token| CallResult::Tokens(token.into_arc())))
        }))
    }

    fn renewing(
        &self,
        py: Python<'_>,
        refused: &Tokens,
        timeout: Option<f64>,
    ) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let (source, refused) = (self.native(py)?, Arc::clone(&refused.0));
        let work = PendingCall::new("renew", async move {
            source
                .renew(&refused)
                .await
                .map(|token| CallResult::Tokens(token.into_arc()))
        });
        Ok(work.within(limit).waiting_for(self.waits_for()))
    }

    fn draining(&self, py: Python<'_>, timeout: f64) -> PyResult<PendingCall> {
        let (native_source, limit) = (self.native(py)?, seconds(timeout)?);
        let drained = async move { native_source.drain(limit).await };
        Ok(call_without_result("drain", drained).waiting_for(self.waits_for()))
    }

    fn closing(&self, py: Python<'_>) -> PyResult<PendingCall> {
        match &self.grant {
            // The grant's other callers continue.
            Grant::Shared(..) => {
                let ready = || Some(Ok(CallResult::Record(Record::Nothing)));
                Ok(call_without_result("close", async { Ok(()) }).unless(ready))
            }
            Grant::ClientCredentials | Grant::Refresh(_) => self.draining(py, CLOSE_TIMEOUT),
        }
    }

    fn logging_in(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<PendingCall> {
        let (native_source, tokens) = (self.native(py)?, Arc::clone(&tokens.0));
        if let Grant::Refresh(login) = &self.grant {
            login.newest.store(Some(Arc::clone(&tokens)));
        }
        let stored = async move { native_source.log_in((*tokens).clone()).await };
        Ok(call_without_result("log_in", stored).waiting_for(self.waits_for()))
    }

    fn logging_out(&self, py: Python<'_>) -> PyResult<PendingCall> {
        let native_source = self.native(py)?;
        let newest = match &self.grant {
            Grant::Refresh(login) => Some(Arc::clone(&login.newest)),
            Grant::ClientCredentials | Grant::Shared(..) => None,
        };
        let ended = async move {
            let outcome = native_source.log_out().await;
            // If a new login has followed, its tokens are kept.
            if let (Some(newest), None) = (newest, native_source.latest()) {
                newest.store(None);
            }
            outcome
        };
        Ok(call_without_result("log_out", ended).waiting_for(self.waits_for()))
    }

    /// This source's API, which shares the known state of its rate limits with all other APIs of the source.
    pub(crate) fn api(
        &self,
        origins: Option<&[String]>,
        keeping: RateLimitChoice,
    ) -> Result<oauth_facade::Api, Error> {
        let api = self
            .inner
            .server
            .api(origins, &[TokenOwner::Any], keeping)?;
        let api = self.calls(api)?;
        Ok(match keeping {
            RateLimitChoice::Nothing => api.sharing(&self.api),
            _ => api,
        })
    }

    pub(crate) fn request_settings(&self) -> Arc<RequestSettings> {
        Arc::clone(&self.inner.request_settings)
    }

    fn pending(&self, py: Python<'_>, request: ApiRequest<'_>) -> PyResult<PendingCall> {
        let api = self
            .api(request.origins.as_deref(), RateLimitChoice::Nothing)
            .map_err(|error| errors::raise(py, &error))?;
        let sources = Sources::one(self.native(py)?);
        let api = Authorized::with_sources(
            self.inner.request_settings.driver(py)?,
            sources,
            api.core().clone(),
        )
        .map_err(|error| errors::raise(py, &error))?;
        let call = request.send(py, api, OnRateLimit::Error, &self.inner.request_settings)?;
        Ok(call.waiting_for(self.waits_for()))
    }
}

/// Calls the Python hook with new tokens, on the runtime's thread.
fn call_hook(
    hook: Option<&Hook>,
    owner: &HookOwner,
    tokens: &Arc<oauth_core::Tokens>,
) -> Result<(), Error> {
    let text = format!("new tokens of {}", tokens.issuer());
    tokio::task::block_in_place(|| {
        runtime::call_python(|py| errors::log(py, "debug", &text));
    });
    let Some(hook) = hook else { return Ok(()) };
    hook.run(owner.clone(), "on_tokens", |py| {
        Ok((Bound::new(py, Tokens::of(Arc::clone(tokens)))?.unbind(),))
    })
}

#[pymethods]
impl GrantSource {
    /// Discards these tokens but no newer ones, for callers that need no new tokens now.
    fn invalidate(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<()> {
        self.native(py)?.invalidate(&tokens.0);
        Ok(())
    }

    /// The key of the grant's record in the store; None without a store.
    #[getter]
    fn key(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.native(py)?.key().map(str::to_owned))
    }

    /// The function that is called with new tokens before any caller gets them.
    #[getter]
    fn on_tokens<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let hook = self.settings.on_tokens.as_ref();
        hook.map(|hook| hook.bind(py))
    }

    /// For plug-ins: where these tokens may be sent, these origins or the preset's. url.* for an invalid origin.
    #[pyo3(signature = (origins = None))]
    fn resource(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
    ) -> PyResult<Resource> {
        self.inner
            .server
            .resource(origins.as_deref())
            .map(Resource)
            .map_err(|error| errors::raise(py, &error))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.GrantSource of {}>", self.inner.server.issuer())
    }
}

twins! {
    impl GrantSource {
        /// Fresh tokens: the current ones, or new ones.
        ///
        /// timeout is the number of seconds that this caller waits, by default without limit: then lost.timeout. The
        /// renewal continues for the others; nothing is lost. DeniedError, with the advice "reauthorize" once the grant
        /// has ended; LostError; grant.no_refresh_token, grant.outcome_unknown; misuse.deadlock in its hook.
        #[pyo3(signature = (*, timeout = None))]
        fn token / atoken(self, py, timeout: Option<f64>) {
            self.pending_token(py, timeout)
        }

        /// Tokens to replace those that a resource server refused.
        ///
        /// Without a request if another caller has already replaced them. timeout and errors are those of token().
        #[pyo3(signature = (tokens, *, timeout = None))]
        fn renew / arenew(self, py, tokens: &Tokens, timeout: Option<f64>) {
            self.renewing(py, tokens, timeout)
        }

        /// Stores the tokens of a new login, replacing any others.
        ///
        /// LostError and store errors if they could not be stored; stored.issuer for tokens of a different server or client.
        #[pyo3(signature = (tokens))]
        fn log_in / alog_in(self, py, tokens: &Tokens) {
            self.logging_in(py, tokens)
        }

        /// Logs the user out: revokes the tokens at the server (RFC 7009), and removes them here and in the store.
        ///
        /// As Grants.log_out() does. Callers then get grant.no_refresh_token; client credentials request a new token.
        #[pyo3(signature = ())]
        fn log_out / alog_out(self, py) {
            self.logging_out(py)
        }

        /// Shuts this source down gracefully, before the program ends.
        ///
        /// No new renewal begins, one that was sent is finished, and its tokens are stored. The current token is
        /// returned until it expires; after that, token_source.closed. lost.timeout if this takes more than timeout, in
        /// seconds; misuse.deadlock in its hook. The interpreter does this for all sources at its exit, for at most 5 s.
        #[pyo3(signature = (*, timeout = 10.0))]
        fn drain / adrain(self, py, timeout: f64) {
            self.draining(py, timeout)
        }

        /// Sends a request with the token, renewed once after a 401; the whole response is read.
        ///
        /// origins are the URLs to which the token may be sent, by default the preset's API. Only the API's origins
        /// get the token (resource.origin_not_allowed), over the Authorization header (RFC 6750
        /// section 2.1). A redirect within the origin is followed. params are added to the query of the
        /// URL: a str or an int, or a list of them, by name. content is a body; data is a form with
        /// members like those of params; json is any
        /// value that json.dumps takes, sent as application/json. timeout is in seconds, for the
        /// head of the response and again for its body. on_rate_limit is what to do when the API asks
        /// for a pause: "error" raises resource.rate_limited, "wait" waits for up to longest_wait
        /// seconds, "pass" returns the response. A status of 400 or above is not an error in itself:
        /// see Response.raise_for_status(). DeniedError, LostError and the errors of token().
        #[pyo3(signature = (method, url, *, headers = None, params = None,
                            content = None, data = None, json = None,
                            origins = None, timeout = None, on_rate_limit = None, longest_wait = None))]
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
            #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
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
                origins,
                timeout,
                on_rate_limit,
                longest_wait,
            };
            self.pending(py, request)
        }
    }
}

verbs!(GrantSource, [origins: Option<Vec<String>> as origins]);
closes!(
    GrantSource,
    "Calls drain(), as the end of a with or async with block does.\n\n\
     lost.timeout if that takes more than 10 s. A source from Grants.get()\n\
     belongs to the Grants: it is only released, and its grant is kept fresh for the\n\
     other callers."
);
