//! `Grants`: all grants of one client in one store, and their events.

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::flow::keeper::{GrantId, GrantSummary};
use oauth_facade::{GrantSettings, TokenRequest};
use oauth_session::grants::{GrantPage, IdleRenewalReport};
use oauth_session::observe::{GrantEvent, Observe};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::client::Client;
use crate::context_managers::{CLOSE_TIMEOUT, call_without_result, closes};
use crate::fork_safety::PerProcess;
use crate::hook_owner::{HookOwner, WaitsFor};
use crate::hooks::Hook;
use crate::network::seconds;
use crate::pending_call::{CallResult, PendingCall};
use crate::shared_client::SharedClient;
use crate::source::GrantSource;
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{filled, json_text, text};
use crate::token_request::{Details, token_request};
use crate::tokens::Tokens;
use crate::value::OperationArg;
use crate::{errors, runtime, value};

/// All grants of a client in a store: one for each user, and the client's own.
///
/// Each takes memory only while it is used. Beyond capacity, unused ones are dropped, and read from the store when they
/// are requested again. reuse, lease and keep_alive (seconds) are those of client.source(). At most per_second
/// renewals begin per second, and at most at_once run at the client's issuer at a time, from the lease to the stored
/// tokens; 0 means no limit. on_renewed(subject, tokens) and on_ended(subject, error) are called in a thread of the
/// library, as plain functions, and so is on_authorization_ends(subject, end) once, notice seconds before a user's authorization ends,
/// a week by default: only the user can extend it. What on_renewed raises is raised as for
/// on_tokens of client.source(), and what the others raise is logged. Use it in a with or async with block, or call
/// close().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Grants(Arc<Shared>);

/// The state that all handles of the grants share.
pub(crate) struct Shared {
    pub(crate) inner: Arc<SharedClient>,
    store: Store,
    grant: GrantSettings,
    capacity: usize,
    per_second: u32,
    at_once: usize,
    hooks: Hooks,
    hook_owner: HookOwner,
    per_process: PerProcess<oauth_session::Grants>,
}

#[derive(Clone, Default)]
struct Hooks {
    on_renewed: Option<Hook>,
    on_ended: Option<Hook>,
    on_authorization_ends: Option<Hook>,
}

impl Shared {
    /// The native grants of this process: renewals and connections do not survive a fork.
    pub(crate) fn for_this_process(&self, py: Python<'_>) -> PyResult<oauth_session::Grants> {
        self.per_process.with(|| self.make(py), Clone::clone)
    }

    /// The owner of the hooks that are called about this grant.
    pub(crate) fn hook_owner_of(&self, id: &GrantId) -> HookOwner {
        hook_owner_of(&self.hook_owner, self.inner.client.core(), id)
    }

    /// Whether renewals of different users wait for each other.
    pub(crate) const fn is_limited(&self) -> bool {
        self.at_once > 0
    }

    /// The owners of the hooks that a call for all grants waits for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        WaitsFor::Owners(vec![self.hook_owner.clone()])
    }

    fn make(&self, py: Python<'_>) -> PyResult<oauth_session::Grants> {
        let (driver, store) = (self.inner.driver(), self.store.for_this_process(py)?);
        let policy = self.grant.policy();
        let policy = policy.map_err(|error| errors::raise(py, &error))?;
        let grants = oauth_session::Grants::new(driver, self.inner.client.core(), store)
            .policy(policy)
            .capacity(self.capacity)
            .per_second(self.per_second)
            .at_once(self.at_once)
            .observe(LogObserver);
        let (pool, client) = (self.hook_owner.clone(), self.inner.client.core().clone());
        let owner_of = move |id: &GrantId| hook_owner_of(&pool, &client, id);
        let grants = match self.hooks.on_renewed.clone() {
            None => grants,
            Some(hook) => grants.on_renewed({
                let owner_of = owner_of.clone();
                move |id, tokens| {
                    let (subject, tokens) = (id.subject().map(str::to_owned), Arc::clone(tokens));
                    hook.run(owner_of(id), "on_renewed", move |py| {
                        Ok((subject, Bound::new(py, Tokens::of(tokens))?.unbind()))
                    })
                }
            }),
        };
        let grants = match self.hooks.on_authorization_ends.clone() {
            None => grants,
            Some(hook) => grants.on_authorization_ends({
                let owner_of = owner_of.clone();
                move |id, end| {
                    let subject = id.subject().map(str::to_owned);
                    // Its error is in the log: no caller waits for it.
                    let _ = hook.run(owner_of(id), "on_authorization_ends", move |py| {
                        Ok((subject, value::time_to_py(py, end)?.unbind()))
                    });
                }
            }),
        };
        Ok(match self.hooks.on_ended.clone() {
            None => grants,
            Some(hook) => grants.on_ended(move |id, error| {
                let (subject, error) = (id.subject().map(str::to_owned), error.clone());
                // The log has its error: its callers get that of the grant.
                let _ = hook.run(owner_of(id), "on_ended", move |py| {
                    Ok((subject, errors::raise(py, &error).into_value(py)))
                });
            }),
        })
    }
}

fn hook_owner_of(pool: &HookOwner, client: &oauth_core::Client, id: &GrantId) -> HookOwner {
    let key = client.keeper(id.clone()).key();
    pool.with_subject(id.subject()).with_key(Some(key))
}

/// Writes the events of grants to Python's log.
pub(crate) struct LogObserver;

impl Observe for LogObserver {
    fn observe(&self, key: Option<&str>, notice: &GrantEvent<'_>) {
        let level = match notice {
            GrantEvent::Failed(_)
            | GrantEvent::Suspect(_)
            | GrantEvent::Ended(_)
            | GrantEvent::Unsaved
            | GrantEvent::AuthorizationEnds(_)
            | GrantEvent::LeaseLost => "warning",
            _ => "debug",
        };
        let grant = key.map(|key| format!("grant {key}: ")).unwrap_or_default();
        let reason = notice.error().map(|error| format!(": {error}"));
        let text = format!("{grant}{}{}", notice.name(), reason.unwrap_or_default());
        tokio::task::block_in_place(|| {
            runtime::call_python(move |py| errors::log(py, level, &text));
        });
    }
}

#[pymethods]
impl Grants {
    #[new]
    #[pyo3(signature = (client, store, *, reuse = None, lease = None, keep_alive = None,
                        notice = None, capacity = 10_000, per_second = 0, at_once = 0,
                        on_renewed = None, on_ended = None, on_authorization_ends = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        client: &Client,
        store: Store,
        #[pyo3(from_py_with = text)] reuse: Option<String>,
        lease: Option<f64>,
        keep_alive: Option<f64>,
        notice: Option<f64>,
        capacity: usize,
        per_second: u32,
        at_once: usize,
        on_renewed: Option<Hook>,
        on_ended: Option<Hook>,
        on_authorization_ends: Option<Hook>,
    ) -> PyResult<Self> {
        let shared = Shared {
            inner: Arc::clone(&client.inner),
            store,
            grant: GrantSettings {
                reuse,
                lease: lease.map(seconds).transpose()?,
                keep_alive: keep_alive.map(seconds).transpose()?,
                notice: notice.map(seconds).transpose()?,
                ..GrantSettings::default()
            },
            capacity,
            per_second,
            at_once,
            hooks: Hooks {
                on_renewed,
                on_ended,
                on_authorization_ends,
            },
            hook_owner: HookOwner::new(),
            per_process: PerProcess::new(),
        };
        // Mistakes in the settings are reported now.
        shared.for_this_process(py)?;
        Ok(Self(Arc::new(shared)))
    }

    /// The source of one grant: this user's, or the client's own if subject is None.
    ///
    /// All callers of the same grant share its renewals. Nothing is read yet. step_up is what an API required of the
    /// user, as step_up() returns it: the tokens of that login. scope.syntax, resource.syntax, form.reserved_parameter
    /// for invalid parameters.
    #[pyo3(signature = (subject = None, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None, step_up = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn get(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = filled)] subject: Option<String>,
        scope: Option<OperationArg>,
        resource: Option<OperationArg>,
        audience: Option<OperationArg>,
        extra: Option<OperationArg>,
        authorization_details: Option<Details>,
        step_up: Option<Bound<'_, PyAny>>,
    ) -> PyResult<GrantSource> {
        let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
        let id = id(py, subject, request, step_up)?;
        GrantSource::from_grants(py, &self.0, id)
    }

    /// The number of events of each kind in this process.
    ///
    /// The names are renewed, waits, failed, suspect, ended, unsaved, stored_late,
    /// authorization_ends and lease_lost.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, count) in self.0.for_this_process(py)?.counters().counts() {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    /// The number of grants in the memory of this process.
    #[getter]
    fn in_memory(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.0.for_this_process(py)?.in_memory())
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Grants at {}>", self.0.inner.server.issuer())
    }
}

twins! {
    impl Grants {
        /// Stores the tokens of a new login, replacing any others.
        ///
        /// Those of a step-up are kept beside the ordinary ones, for get() with the same step_up: up to eight for a
        /// user, the oldest of which ends; the error of its revocation is raised, though the login is stored.
        /// grant.no_refresh_token if the user logs out meanwhile; stored.issuer for tokens of a different server or
        /// client.
        #[pyo3(signature = (subject, tokens, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None))]
        fn log_in / alog_in(
            self,
            py,
            #[pyo3(from_py_with = text)] subject: String,
            tokens: &Tokens,
            scope: Option<OperationArg>,
            resource: Option<OperationArg>,
            audience: Option<OperationArg>,
            extra: Option<OperationArg>,
            authorization_details: Option<Details>,
        ) {
            let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
            self.logging_in(py, id(py, Some(subject), request, None)?, tokens)
        }

        /// Ends a grant: revokes the tokens at the server (RFC 7009), and removes the record.
        ///
        /// A renewal under way is waited for first. If the revocation fails, its error is raised, and the record
        /// is removed anyway. Without step_up, the tokens of step-ups end too. misuse.deadlock in a hook about this user.
        #[pyo3(signature = (subject, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None, step_up = None))]
        fn log_out / alog_out(
            self,
            py,
            #[pyo3(from_py_with = filled)] subject: Option<String>,
            scope: Option<OperationArg>,
            resource: Option<OperationArg>,
            audience: Option<OperationArg>,
            extra: Option<OperationArg>,
            authorization_details: Option<Details>,
            step_up: Option<Bound<'_, PyAny>>,
        ) {
            let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
            self.logging_out(py, id(py, subject, request, step_up)?)
        }

        /// A page of this client's records in the store: grants, unreadable records, and a cursor.
        ///
        /// Each grant is a dict without secrets. Unreadable records are listed by key, with
        /// the codes of their errors. The cursor is None at the end. misuse.not_supported for a store without scan().
        #[pyo3(signature = (cursor = None))]
        fn list / alist(self, py, #[pyo3(from_py_with = text)] cursor: Option<String>) {
            self.listing(py, cursor)
        }

        /// Renews grants that have been unused for at least this many seconds, because unused refresh tokens expire.
        ///
        /// Returns the number of renewed grants, and the keys of those that failed, with the codes of their errors. Call
        /// it regularly, from any number of workers. misuse.not_supported for a store without due().
        #[pyo3(signature = (unused, /))]
        fn renew_idle / arenew_idle(self, py, unused: f64) {
            self.renewing_idle(py, unused)
        }

        /// Shuts all sources down gracefully, like GrantSource.drain(); timeout is in seconds.
        ///
        /// Tokens are returned until they expire; then, or if there are none, token_source.closed. misuse.deadlock in a hook.
        #[pyo3(signature = (*, timeout = 10.0))]
        fn drain / adrain(self, py, timeout: f64) {
            self.draining(py, timeout)
        }
    }
}

impl Grants {
    fn logging_in(&self, py: Python<'_>, id: GrantId, tokens: &Tokens) -> PyResult<PendingCall> {
        let (grants, tokens) = (self.0.for_this_process(py)?, Arc::clone(&tokens.0));
        Ok(call_without_result("log_in", async move {
            grants.log_in(&id, (*tokens).clone()).await
        }))
    }

    fn logging_out(&self, py: Python<'_>, id: GrantId) -> PyResult<PendingCall> {
        let grants = self.0.for_this_process(py)?;
        let waits_for = match self.0.is_limited() {
            true => self.0.waits_for(),
            false => WaitsFor::Owners(vec![self.0.hook_owner_of(&id)]),
        };
        let ended = async move { grants.log_out(&id).await };
        Ok(call_without_result("log_out", ended).waiting_for(waits_for))
    }

    fn draining(&self, py: Python<'_>, timeout: f64) -> PyResult<PendingCall> {
        let (grants, limit) = (self.0.for_this_process(py)?, seconds(timeout)?);
        let drained = async move { grants.drain(limit).await };
        Ok(call_without_result("drain", drained).waiting_for(self.0.waits_for()))
    }

    fn closing(&self, py: Python<'_>) -> PyResult<PendingCall> {
        self.draining(py, CLOSE_TIMEOUT)
    }

    fn listing(&self, py: Python<'_>, cursor: Option<String>) -> PyResult<PendingCall> {
        let grants = self.0.for_this_process(py)?;
        Ok(PendingCall::new("list", async move {
            let listed = grants.list(cursor.as_deref()).await?;
            Ok(CallResult::Value(Box::new(move |py| page(py, listed))))
        }))
    }

    fn renewing_idle(&self, py: Python<'_>, unused: f64) -> PyResult<PendingCall> {
        let (grants, unused) = (self.0.for_this_process(py)?, seconds(unused)?);
        Ok(PendingCall::new("renew_idle", async move {
            let IdleRenewalReport {
                renewed, failed, ..
            } = grants.renew_idle(unused).await?;
            Ok(CallResult::value((renewed, with_codes(failed))))
        }))
    }
}

closes!(
    Grants,
    "Calls drain(), as the end of a with or async with block does.\n\n\
     lost.timeout if that takes more than 10 s."
);

fn with_codes(failed: Vec<(String, Error)>) -> Vec<(String, &'static str)> {
    let with_codes = failed.into_iter().map(|(key, error)| (key, error.code()));
    with_codes.collect()
}

fn page(py: Python<'_>, listed: GrantPage) -> PyResult<Py<PyAny>> {
    let grants = PyList::empty(py);
    for summary in &listed.grants {
        grants.append(summary_dict(py, summary)?)?;
    }
    let page = (grants, with_codes(listed.unreadable), listed.next);
    Ok(page.into_pyobject(py)?.into_any().unbind())
}

fn summary_dict<'py>(py: Python<'py>, summary: &GrantSummary) -> PyResult<Bound<'py, PyDict>> {
    let end = summary.expires_at.map(|end| value::time_to_py(py, end));
    let dict = PyDict::new(py);
    dict.set_item("subject", summary.id.subject())?;
    dict.set_item("scope", summary.id.token_request.scope.as_str())?;
    let required = summary.id.step_up.as_ref().map(oauth_core::json::to_text);
    let loads = |text| py.import("json")?.call_method1("loads", (text,));
    dict.set_item("step_up", required.map(loads).transpose()?)?;
    for name in ["resource", "audience"] {
        let values = summary.id.token_request.values_of(name);
        let values: Vec<_> = values.map(|value| value.expose().as_str()).collect();
        dict.set_item(name, values)?;
    }
    dict.set_item(
        "granted",
        summary
            .scope
            .as_ref()
            .map(|scope| scope.as_str().to_owned()),
    )?;
    dict.set_item("expires_at", end.transpose()?)?;
    dict.set_item("has_refresh_token", summary.has_refresh_token)?;
    for (name, end) in [
        ("refresh_token_expires_at", summary.refresh_token_expires_at),
        ("authorization_expires_at", summary.authorization_expires_at),
    ] {
        let end = end.map(|end| value::time_to_py(py, end));
        dict.set_item(name, end.transpose()?)?;
    }
    dict.set_item("ended", summary.ended.as_ref().map(Error::code))?;
    Ok(dict)
}

fn id(
    py: Python<'_>,
    subject: Option<String>,
    request: TokenRequest,
    step_up: Option<Bound<'_, PyAny>>,
) -> PyResult<GrantId> {
    let step_up = step_up.as_ref().map(json_text).transpose()?;
    let grant_settings = GrantSettings {
        subject,
        request,
        step_up,
        ..GrantSettings::default()
    };
    let id = match grant_settings.subject {
        Some(_) => grant_settings.person_grant(),
        None => grant_settings.client_grant(),
    };
    id.map_err(|error| errors::raise(py, &error))
}
