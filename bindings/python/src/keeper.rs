//! `Keeper`: decides when to renew one grant, without I/O; a renewal is a Python generator.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Moment;
use oauth_core::error::{Error, Misuse};
use oauth_facade::{Decision as Chosen, GrantSettings, Task, Upkeep};
use pyo3::exceptions::{PyException, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::exchange::{Exchange, Sleep, object, thrown};
use crate::moment::OwnMoment;
use crate::shared_client::SharedClient;
use crate::store_tasks::{Lease, Load, Save};
use crate::text::text;
use crate::tokens::Tokens;
use crate::{errors, secret, value};

/// One grant, kept fresh by your own driver. It opens no socket and calls no store.
///
/// After the decision "renew" or "use_and_renew", run a renewal() once, to its
/// end; or call abandon().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Keeper(Arc<KeeperState>);

struct KeeperState {
    keeper: oauth_facade::Keeper,
    moment: OwnMoment,
}

impl Keeper {
    pub(crate) fn new(
        py: Python<'_>,
        inner: &SharedClient,
        grant_type: &str,
        tokens: Option<&Tokens>,
        (keep, is_shared): (&GrantSettings, bool),
        moment: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let moment = OwnMoment(moment);
        let at = moment.take(py)?;
        let tokens = tokens.map(|tokens| (*tokens.0).clone());
        let created =
            oauth_facade::Keeper::for_grant_type(&inner.client, &at, grant_type, tokens, keep);
        let keeper = created.and_then(|keeper| {
            if is_shared {
                keeper.shared()
            } else {
                Ok(keeper)
            }
        });
        let keeper = keeper.map_err(|error| errors::raise(py, &error))?;
        Ok(Self(Arc::new(KeeperState { keeper, moment })))
    }
}

#[pymethods]
impl Keeper {
    /// The key of the grant's record in a store.
    #[getter]
    fn key(&self) -> String {
        self.0.keeper.key()
    }

    /// The newest tokens, valid or not.
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        self.0.keeper.tokens().map(Tokens::of)
    }

    /// Whether the store has the newest tokens.
    #[getter]
    fn is_stored(&self) -> bool {
        self.0.keeper.is_stored()
    }

    /// The error of the last renewal, if it failed; callers do not get it while their token is valid.
    #[getter]
    fn last_error(&self, py: Python<'_>) -> Option<PyErr> {
        let error = self.0.keeper.last_error();
        error.map(|error| errors::raise(py, &error))
    }

    /// The lease to extend while the Exchange of a renewal runs; None if none is held.
    ///
    /// The holder, the length of the lease in seconds, and the seconds between extensions.
    #[getter]
    fn lease_extension(&self) -> Option<(String, f64, f64)> {
        let (holder, ttl, every) = self.0.keeper.lease_extension()?;
        Some((holder, ttl.as_secs_f64(), every.as_secs_f64()))
    }

    /// Decides for a caller that needs a token; refused is one that a resource server refused.
    ///
    /// Raises the error of the last renewal until the next attempt is due, and the error that ended
    /// the grant.
    #[pyo3(signature = (refused = None))]
    fn ask(&self, py: Python<'_>, refused: Option<&Tokens>) -> PyResult<Decision> {
        let at = self.0.moment.take(py)?;
        let refused = refused.map(|refused| &*refused.0);
        let decision = self.0.keeper.ask(&at, refused);
        let (kind, tokens) = match decision.map_err(|error| errors::raise(py, &error))? {
            Chosen::UseToken(tokens) => ("use_token", Some(tokens)),
            Chosen::UseAndRenew(tokens) => ("use_and_renew", Some(tokens)),
            Chosen::Renew => ("renew", None),
            Chosen::Wait => ("wait", None),
        };
        Ok(Decision { kind, tokens })
    }

    /// The seconds until upkeep() has to be called; None for never.
    ///
    /// Read it again after each renewal, and after each upkeep().
    #[getter]
    fn upkeep_after(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let at = self.0.moment.take(py)?;
        Ok(self
            .0
            .keeper
            .upkeep_after(&at)
            .map(|wait| wait.as_secs_f64()))
    }

    /// The upkeep that is due now, even without a caller, if any.
    ///
    /// "renew": run a renewal(), although no caller waits. A datetime is the end of the user's
    /// authorization, reported once: only the user can extend it.
    fn upkeep<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let at = self.0.moment.take(py)?;
        match self.0.keeper.upkeep(&at) {
            Some(Upkeep::Renew) => Ok(Some("renew".into_pyobject(py)?.into_any())),
            Some(Upkeep::AuthorizationEnds(end)) => value::time_to_py(py, end).map(Some),
            _ => Ok(None),
        }
    }

    /// The renewal that a decision requested: run it once, to its end.
    fn renewal(&self) -> Renewal {
        Renewal {
            kept: Arc::clone(&self.0),
            state: Mutex::new(State::Fresh),
        }
    }

    /// Forgets these tokens, but no newer ones.
    fn refuse(&self, tokens: &Tokens) {
        self.0.keeper.refuse(&tokens.0);
    }

    /// Takes the tokens of a new login; the next renewal stores them.
    ///
    /// stored.issuer for tokens of a different server or client.
    fn replace(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<()> {
        let at = self.0.moment.take(py)?;
        let replaced = self.0.keeper.replace(&at, (*tokens.0).clone());
        replaced.map_err(|error| errors::raise(py, &error))
    }

    /// Adopts a record that the store reported on its own.
    ///
    /// stored.malformed, stored.grant or stored.issuer for one that does not belong to this grant.
    fn learn(
        &self,
        py: Python<'_>,
        version: u64,
        #[pyo3(from_py_with = text)] record: String,
    ) -> PyResult<()> {
        let at = self.0.moment.take(py)?;
        let learned = self.0.keeper.learn(&at, version, secret(record));
        learned.map_err(|error| errors::raise(py, &error))
    }

    /// Abandons the renewal under way, or the one that a decision requested.
    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.0.keeper.abandon(&self.0.moment.take(py)?);
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Keeper>"
    }
}

/// The decision of a keeper for a caller.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Decision {
    kind: &'static str,
    tokens: Option<Arc<oauth_core::Tokens>>,
}

#[pymethods]
impl Decision {
    /// use_token, use_and_renew, renew, or wait if another caller renews.
    #[getter]
    const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The tokens for the caller, if any.
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        self.tokens.clone().map(Tokens::of)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Decision {}>", self.kind)
    }
}

/// One renewal: a generator of tasks. Its result, the value of StopIteration, is the tokens.
///
/// All waiting callers get its result or its error. Each task is a Load, Lease, Save,
/// Sleep or Exchange.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Renewal {
    kept: Arc<KeeperState>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Fresh,
    Pending(Pending),
    Over,
}

/// The task that the host is carrying out.
#[derive(Clone, Copy)]
enum Pending {
    Load,
    Lease,
    Save,
    Run,
    Wait,
}

/// The result of that task.
enum Event {
    Begin,
    Loaded(Option<(u64, String)>),
    Leased(Option<Duration>),
    Saved(Option<u64>),
    Completed,
    Elapsed,
    Failed(Failure),
}

enum Failure {
    /// The error of a built-in store.
    BuiltIn(Error),
    /// The name of the exception of any other store; its message may contain a URL with a password.
    Named(String),
}

impl Event {
    /// Reads the result of a task.
    fn read(pending: Pending, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match pending {
            Pending::Load => Self::Loaded(value.extract()?),
            Pending::Lease => {
                let held: Option<f64> = value.extract()?;
                let held = held.map(Duration::try_from_secs_f64).transpose();
                Self::Leased(held.map_err(|_| {
                    PyValueError::new_err(
                        "the result of a Lease must be a number of seconds, or None",
                    )
                })?)
            }
            Pending::Save => Self::Saved(value.extract()?),
            Pending::Run => Self::Completed,
            Pending::Wait => Self::Elapsed,
        })
    }

    fn apply(self, keeper: &oauth_facade::Keeper, at: &Moment) -> Result<Task, Error> {
        match self {
            Self::Begin => keeper.begin(at),
            Self::Loaded(entry) => {
                let entry = entry.map(|(version, record)| (version, secret(record)));
                keeper.loaded(at, entry)
            }
            Self::Leased(held) => keeper.leased(at, held.filter(|held| !held.is_zero())),
            Self::Saved(version) => keeper.saved(at, version),
            Self::Completed => keeper.completed(at),
            Self::Elapsed => keeper.elapsed(at),
            Self::Failed(Failure::BuiltIn(error)) => keeper.failed_with(at, error),
            Self::Failed(Failure::Named(name)) => keeper.failed(at, &name),
        }
    }
}

impl Renewal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step.
    fn step(
        &self,
        py: Python<'_>,
        event: Event,
        cause: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let KeeperState { keeper, moment } = &*self.kept;
        let at = moment.take(py)?;
        let mut state = self.state();
        // If this step fails, the renewal has ended.
        *state = State::Over;
        let task = match event.apply(keeper, &at) {
            Ok(task) => task,
            Err(error) => {
                return Err(match cause {
                    Some(cause) => errors::raise_from(py, &error, cause),
                    None => errors::raise(py, &error),
                });
            }
        };
        *state = match &task {
            Task::Load => State::Pending(Pending::Load),
            Task::Lease { .. } => State::Pending(Pending::Lease),
            Task::Save { .. } => State::Pending(Pending::Save),
            Task::Run(_) => State::Pending(Pending::Run),
            Task::Wait(_) => State::Pending(Pending::Wait),
            Task::Over(_) => State::Over,
        };
        drop(state);
        match task {
            Task::Load => object(py, Load),
            Task::Lease { holder, ttl } => object(
                py,
                Lease {
                    holder,
                    seconds: ttl.as_secs_f64(),
                },
            ),
            Task::Save {
                record,
                version,
                due,
                until,
            } => object(
                py,
                Save {
                    record,
                    version,
                    due,
                    until,
                },
            ),
            Task::Run(exchange) => {
                object(py, Exchange::new(py, Ok(exchange), moment.callable(py))?)
            }
            Task::Wait(pause) => object(py, Sleep::of(pause)),
            Task::Over(tokens) => Err(PyStopIteration::new_err(
                (value::tokens_to_py(py, tokens)?,),
            )),
        }
    }

    /// Ends the renewal. Returns whether a task was under way.
    fn end(&self) -> bool {
        let before = std::mem::replace(&mut *self.state(), State::Over);
        matches!(before, State::Pending(_))
    }
}

#[pymethods]
impl Renewal {
    const fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.send(py, &py.None().into_bound(py))
    }

    /// Continues with the result of the last task, as the methods of a store return it.
    ///
    /// (version, record) or None for a Load, the seconds until another holder's lease ends or None for a
    /// Lease, the new version or None for a Save. After an Exchange was run, and after a Sleep, None.
    /// misuse.already_finished after its end.
    #[pyo3(signature = (result, /))]
    fn send(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let state = *self.state();
        let event = match state {
            State::Fresh if result.is_none() => Event::Begin,
            State::Fresh => {
                return Err(PyTypeError::new_err(
                    "the first call of send() must pass None",
                ));
            }
            State::Pending(pending) => Event::read(pending, result)?,
            State::Over => return Err(errors::raise(py, &Misuse::Over.into())),
        };
        self.step(py, event, None)
    }

    /// Reports that the store failed, or that the exchange failed or was dropped.
    ///
    /// A BaseException that is not an Exception, and any exception at a different time, ends the renewal.
    #[pyo3(signature = (typ, val = None, tb = None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        typ: &Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = tb;
        let exception = thrown(typ, val)?;
        let state = *self.state();
        let event = match state {
            State::Pending(_) if !exception.is_instance_of::<PyException>() => None,
            State::Pending(Pending::Load | Pending::Lease | Pending::Save) => {
                Some(Event::Failed(match errors::from_exception(&exception) {
                    Some(error) => Failure::BuiltIn(error),
                    None => {
                        Failure::Named(exception.get_type().fully_qualified_name()?.to_string())
                    }
                }))
            }
            State::Pending(Pending::Run) => Some(Event::Completed),
            State::Pending(Pending::Wait) | State::Fresh | State::Over => None,
        };
        match event {
            Some(event) => self.step(py, event, Some(&exception)),
            None => {
                self.close(py)?;
                Err(PyErr::from_value(exception))
            }
        }
    }

    /// Abandons the renewal.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.end() {
            self.kept.keeper.abandon(&self.kept.moment.take(py)?);
        }
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Renewal>"
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        // Without a clock nothing can be decided.
        if self.end()
            && let Ok(at) = Moment::system()
        {
            self.kept.keeper.abandon(&at);
        }
    }
}
