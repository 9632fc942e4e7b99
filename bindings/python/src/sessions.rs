//! Many grants of one client, and their events.

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::flow::keeper::{GrantId, GrantSummary};
use oauth_facade::{GrantSettings, TokenRequest};
use oauth_session::grants::{Idle, Listed};
use oauth_session::observe::{GrantEvent, Observe};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::client::Client;
use crate::context_managers::{PATIENCE, closes, nothing};
use crate::fork_safety::PerProcess;
use crate::network::seconds;
use crate::pending_call::{Answer, PendingCall};
use crate::shared_client::SharedClient;
use crate::source::{GrantSource, in_hook, refuse_in_hook};
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{filled, json_text, text};
use crate::token_request::{Details, token_request};
use crate::tokens::Tokens;
use crate::value::Given;
use crate::{errors, runtime, value};

/// The grants of a client: one for each person its store knows, and the client's own.
///
/// Each costs memory only while it is used. Beyond capacity, unused ones are dropped, and read from the store when they
/// are requested again. reuse, lease and keep_alive (seconds) are those of client.source(). At most per_second
/// renewals begin in a second, and at most at_once are under way at the client's issuer, from the lease to the stored
/// tokens; 0 means no limit. on_renewed(subject, tokens) and on_ended(subject, error) are called in a thread of the
/// library, and so is on_authorization_ends(subject, end) once, notice seconds before a person's authorization ends,
/// a week by default: only the person can extend it. Use it in a with or async with block, or end it with close().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Grants(Arc<Shared>);

/// The state that all handles of the grants share.
pub(crate) struct Shared {
    pub(crate) us: Arc<SharedClient>,
    store: Store,
    keep: GrantSettings,
    capacity: usize,
    per_second: u32,
    at_once: usize,
    hooks: Hooks,
    here: PerProcess<oauth_session::Grants>,
}

#[derive(Clone, Default)]
struct Hooks {
    on_renewed: Option<Arc<Py<PyAny>>>,
    on_ended: Option<Arc<Py<PyAny>>>,
    on_authorization_ends: Option<Arc<Py<PyAny>>>,
}

impl Shared {
    /// Those of this process: flights and connections do not survive a fork.
    pub(crate) fn here(&self, py: Python<'_>) -> PyResult<oauth_session::Grants> {
        self.here.with(|| self.make(py), Clone::clone)
    }

    fn make(&self, py: Python<'_>) -> PyResult<oauth_session::Grants> {
        let (driver, store) = (self.us.driver(), self.store.here(py)?);
        let policy = self.keep.policy();
        let policy = policy.map_err(|error| errors::raise(py, &error))?;
        let sessions = oauth_session::Grants::new(driver, self.us.client.core(), store)
            .policy(policy)
            .capacity(self.capacity)
            .per_second(self.per_second)
            .at_once(self.at_once)
            .observe(LogObserver);
        let sessions = match self.hooks.on_renewed.clone() {
            None => sessions,
            Some(hook) => sessions.on_renewed(move |id, tokens| {
                let (subject, tokens) = (id.subject().map(str::to_owned), Arc::clone(tokens));
                call(&hook, "on_renewed", move |py| {
                    Ok((subject, Bound::new(py, Tokens::of(tokens))?.unbind())
                        .into_pyobject(py)?
                        .unbind())
                });
            }),
        };
        let sessions = match self.hooks.on_authorization_ends.clone() {
            None => sessions,
            Some(hook) => sessions.on_authorization_ends(move |id, end| {
                let subject = id.subject().map(str::to_owned);
                call(&hook, "on_authorization_ends", move |py| {
                    let end = value::of_time(py, end)?;
                    Ok((subject, end).into_pyobject(py)?.unbind())
                });
            }),
        };
        Ok(match self.hooks.on_ended.clone() {
            None => sessions,
            Some(hook) => sessions.on_ended(move |id, error| {
                let (subject, error) = (id.subject().map(str::to_owned), error.clone());
                call(&hook, "on_ended", move |py| {
                    let error = errors::raise(py, &error).into_value(py);
                    Ok((subject, error).into_pyobject(py)?.unbind())
                });
            }),
        })
    }
}

/// Calls a hook from a thread of the runtime. One that fails must not fail the renewal.
fn call(
    hook: &Arc<Py<PyAny>>,
    name: &'static str,
    make: impl FnOnce(Python<'_>) -> PyResult<Py<pyo3::types::PyTuple>>,
) {
    let hook = Arc::clone(hook);
    tokio::task::block_in_place(|| {
        runtime::call_python(move |py| {
            let told = in_hook(|| make(py).and_then(|arguments| hook.call1(py, arguments)));
            if let Err(error) = told {
                let kind = error.get_type(py).to_string();
                errors::log(py, "error", &format!("{name} failed: {kind}"));
                error.write_unraisable(py, None);
            }
        });
    });
}

/// What happens to grants, in Python's log.
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
        let why = notice.error().map(|error| format!(": {error}"));
        let text = format!("{grant}{}{}", notice.name(), why.unwrap_or_default());
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
        on_renewed: Option<Py<PyAny>>,
        on_ended: Option<Py<PyAny>>,
        on_authorization_ends: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let shared = Shared {
            us: Arc::clone(&client.us),
            store,
            keep: GrantSettings {
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
                on_renewed: on_renewed.map(Arc::new),
                on_ended: on_ended.map(Arc::new),
                on_authorization_ends: on_authorization_ends.map(Arc::new),
            },
            here: PerProcess::new(),
        };
        // What is wrong is told now.
        shared.here(py)?;
        Ok(Self(Arc::new(shared)))
    }

    /// The source of one grant: this person's, or the client's own if subject is None.
    ///
    /// All callers of the same grant share its renewals. Nothing is read yet. step_up is what an API required of the
    /// person, as step_up() returns it: the tokens of that login. scope.syntax, resource.syntax,
    /// form.reserved_parameter for what cannot be requested.
    #[pyo3(signature = (subject = None, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None, step_up = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn get(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = filled)] subject: Option<String>,
        scope: Option<Given>,
        resource: Option<Given>,
        audience: Option<Given>,
        extra: Option<Given>,
        authorization_details: Option<Details>,
        step_up: Option<Bound<'_, PyAny>>,
    ) -> PyResult<GrantSource> {
        let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
        let id = id(py, subject, request, step_up)?;
        GrantSource::one_of(py, &self.0, id)
    }

    /// How often each event has happened to the grants of this process, from zero.
    ///
    /// The names are renewed, waits, failed, suspect, ended, unsaved, stored_late,
    /// authorization_ends and lease_lost.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, count) in self.0.here(py)?.counters().counts() {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    /// How many are in the memory of this process.
    #[getter]
    fn in_memory(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.0.here(py)?.in_memory())
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Grants at {}>", self.0.us.server.issuer())
    }
}

twins! {
    impl Grants {
        /// Adopts the tokens of a new login, and stores them in place of any others.
        ///
        /// Those of a step-up are kept beside the ordinary ones, for get() with the same step_up: up to eight for a
        /// person, the oldest of which ends. stored.issuer for tokens of another server or client; errors of the store.
        #[pyo3(signature = (subject, tokens, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None))]
        fn log_in / alog_in(
            self,
            py,
            #[pyo3(from_py_with = text)] subject: String,
            tokens: &Tokens,
            scope: Option<Given>,
            resource: Option<Given>,
            audience: Option<Given>,
            extra: Option<Given>,
            authorization_details: Option<Details>,
        ) {
            let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
            self.logging_in(py, id(py, Some(subject), request, None)?, tokens)
        }

        /// Ends a grant: asks the server to revoke the tokens (RFC 7009), and removes the record.
        ///
        /// A renewal under way is waited for first. If the server could not be asked, that is raised, and the record
        /// is removed anyway. Without step_up, the tokens of step-ups end too. RuntimeError in a hook.
        #[blocking(refuse_in_hook)]
        #[pyo3(signature = (subject, *, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None, step_up = None))]
        fn log_out / alog_out(
            self,
            py,
            #[pyo3(from_py_with = filled)] subject: Option<String>,
            scope: Option<Given>,
            resource: Option<Given>,
            audience: Option<Given>,
            extra: Option<Given>,
            authorization_details: Option<Details>,
            step_up: Option<Bound<'_, PyAny>>,
        ) {
            let request = token_request(py, scope, resource, audience, extra, authorization_details)?;
            self.logging_out(py, id(py, subject, request, step_up)?)
        }

        /// A page of what the store has of this client: grants, unreadable records, a cursor.
        ///
        /// Each grant is a dict of what may be shown, without a token. Of unreadable records there are the keys, with
        /// the codes of their errors. The cursor is None at the end. misuse.not_supported for a store without scan().
        #[pyo3(signature = (cursor = None))]
        fn list / alist(self, py, #[pyo3(from_py_with = text)] cursor: Option<String>) {
            self.listing(py, cursor)
        }

        /// Renews grants that have not been used for this many seconds, because refresh tokens expire unused.
        ///
        /// Returns how many were renewed, and the keys of those that could not be, with the codes of their errors. Call
        /// it regularly, from any number of workers. misuse.not_supported for a store without due().
        #[pyo3(signature = (unused, /))]
        fn renew_idle / arenew_idle(self, py, unused: f64) {
            self.renewing_idle(py, unused)
        }

        /// Shuts all of them down gracefully, like GrantSource.drain(); timeout in seconds.
        #[pyo3(signature = (*, timeout = 10.0))]
        fn drain / adrain(self, py, timeout: f64) {
            self.draining(py, timeout)
        }
    }
}

impl Grants {
    fn logging_in(&self, py: Python<'_>, id: GrantId, tokens: &Tokens) -> PyResult<PendingCall> {
        let (sessions, tokens) = (self.0.here(py)?, Arc::clone(&tokens.0));
        Ok(nothing("log_in", async move {
            sessions.log_in(&id, (*tokens).clone()).await
        }))
    }

    fn logging_out(&self, py: Python<'_>, id: GrantId) -> PyResult<PendingCall> {
        let sessions = self.0.here(py)?;
        Ok(nothing(
            "log_out",
            async move { sessions.log_out(&id).await },
        ))
    }

    fn draining(&self, py: Python<'_>, timeout: f64) -> PyResult<PendingCall> {
        let (sessions, limit) = (self.0.here(py)?, seconds(timeout)?);
        Ok(nothing("drain", async move { sessions.drain(limit).await }))
    }

    fn closing(&self, py: Python<'_>) -> PyResult<PendingCall> {
        self.draining(py, PATIENCE)
    }

    fn listing(&self, py: Python<'_>, cursor: Option<String>) -> PyResult<PendingCall> {
        let sessions = self.0.here(py)?;
        Ok(PendingCall::new("list", async move {
            let listed = sessions.list(cursor.as_deref()).await?;
            Ok(Answer::Value(Box::new(move |py| page(py, listed))))
        }))
    }

    fn renewing_idle(&self, py: Python<'_>, unused: f64) -> PyResult<PendingCall> {
        let (sessions, unused) = (self.0.here(py)?, seconds(unused)?);
        Ok(PendingCall::new("renew_idle", async move {
            let Idle {
                renewed, failed, ..
            } = sessions.renew_idle(unused).await?;
            Ok(Answer::value((renewed, coded(failed))))
        }))
    }
}

closes!(
    Grants,
    "drain(), as the end of a with or async with block does it.\n\n\
     lost.timeout if that has not been done within 10 s."
);

fn coded(failed: Vec<(String, Error)>) -> Vec<(String, &'static str)> {
    let coded = failed.into_iter().map(|(key, error)| (key, error.code()));
    coded.collect()
}

fn page(py: Python<'_>, listed: Listed) -> PyResult<Py<PyAny>> {
    let grants = PyList::empty(py);
    for outline in &listed.grants {
        grants.append(shown(py, outline)?)?;
    }
    let page = (grants, coded(listed.unreadable), listed.next);
    Ok(page.into_pyobject(py)?.into_any().unbind())
}

fn shown<'py>(py: Python<'py>, outline: &GrantSummary) -> PyResult<Bound<'py, PyDict>> {
    let end = outline.expires_at.map(|end| value::of_time(py, end));
    let shown = PyDict::new(py);
    shown.set_item("subject", outline.id.subject())?;
    shown.set_item("scope", outline.id.token_request.scope.as_str())?;
    let required = outline.id.step_up.as_ref().map(oauth_core::json::to_text);
    let loads = |text| py.import("json")?.call_method1("loads", (text,));
    shown.set_item("step_up", required.map(loads).transpose()?)?;
    for name in ["resource", "audience"] {
        let values = outline.id.token_request.named(name);
        let values: Vec<_> = values.map(|value| value.expose().as_str()).collect();
        shown.set_item(name, values)?;
    }
    shown.set_item(
        "granted",
        outline
            .scope
            .as_ref()
            .map(|scope| scope.as_str().to_owned()),
    )?;
    shown.set_item("expires_at", end.transpose()?)?;
    shown.set_item("has_refresh_token", outline.has_refresh_token)?;
    for (name, end) in [
        ("refresh_token_expires_at", outline.refresh_token_expires_at),
        ("authorization_expires_at", outline.authorization_expires_at),
    ] {
        let end = end.map(|end| value::of_time(py, end));
        shown.set_item(name, end.transpose()?)?;
    }
    shown.set_item("ended", outline.ended.as_ref().map(Error::code))?;
    Ok(shown)
}

fn id(
    py: Python<'_>,
    subject: Option<String>,
    request: TokenRequest,
    step_up: Option<Bound<'_, PyAny>>,
) -> PyResult<GrantId> {
    let step_up = step_up.as_ref().map(json_text).transpose()?;
    let keep = GrantSettings {
        subject,
        request,
        step_up,
        ..GrantSettings::default()
    };
    let id = match keep.subject {
        Some(_) => keep.person_grant(),
        None => keep.client_grant(),
    };
    id.map_err(|error| errors::raise(py, &error))
}
