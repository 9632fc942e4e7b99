//! The sans-IO interface of a grant that is kept fresh: decisions for callers, and a renewal as a generator.

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

/// One grant, kept fresh by a driver of yours. It opens no socket and calls no store.
///
/// After a decision that says "renew" or "use_and_renew", run a renewal() once, to its
/// end; or abandon().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Keeper(Arc<Kept>);

struct Kept {
    keeper: oauth_facade::Keeper,
    moment: OwnMoment,
}

impl Keeper {
    pub(crate) fn new(
        py: Python<'_>,
        us: &SharedClient,
        grant_type: &str,
        tokens: Option<&Tokens>,
        (keep, is_shared): (&GrantSettings, bool),
        moment: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let moment = OwnMoment(moment);
        let at = moment.take(py)?;
        let tokens = tokens.map(|tokens| (*tokens.0).clone());
        let made = oauth_facade::Keeper::of_grant(&us.client, &at, grant_type, tokens, keep);
        let keeper = made.and_then(|keeper| match is_shared {
            true => keeper.shared(),
            false => Ok(keeper),
        });
        let keeper = keeper.map_err(|error| errors::raise(py, &error))?;
        Ok(Self(Arc::new(Kept { keeper, moment })))
    }
}

#[pymethods]
impl Keeper {
    /// The name of the record in a store.
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

    /// Why the last renewal failed, if it did.
    ///
    /// Callers do not hear of it while their token lives.
    #[getter]
    fn last_error(&self, py: Python<'_>) -> Option<PyErr> {
        let error = self.0.keeper.last_error();
        error.map(|error| errors::raise(py, &error))
    }

    /// The lease to extend while the Exchange of a renewal runs; None if none is held.
    ///
    /// Its holder, for how many seconds to take it, and how many seconds to wait before each time.
    #[getter]
    fn lease_extension(&self) -> Option<(String, f64, f64)> {
        let (holder, ttl, every) = self.0.keeper.lease_extension()?;
        Some((holder, ttl.as_secs_f64(), every.as_secs_f64()))
    }

    /// A caller requests a token, and may name one that a resource server refused.
    ///
    /// Raises what the last renewal failed with while its pause is kept, and the end of the
    /// grant.
    #[pyo3(signature = (refused = None))]
    fn ask(&self, py: Python<'_>, refused: Option<&Tokens>) -> PyResult<Decision> {
        let at = self.0.moment.take(py)?;
        let refused = refused.map(|refused| &*refused.0);
        let ask = self.0.keeper.ask(&at, refused);
        let (kind, tokens) = match ask.map_err(|error| errors::raise(py, &error))? {
            Chosen::UseToken(tokens) => ("use_token", Some(tokens)),
            Chosen::UseAndRenew(tokens) => ("use_and_renew", Some(tokens)),
            Chosen::Renew => ("renew", None),
            Chosen::Wait => ("wait", None),
        };
        Ok(Decision { kind, tokens })
    }

    /// In how many seconds to call upkeep(); None if it never has to be called.
    ///
    /// Ask again after each renewal, and after each upkeep().
    #[getter]
    fn upkeep_after(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let at = self.0.moment.take(py)?;
        Ok(self
            .0
            .keeper
            .upkeep_after(&at)
            .map(|wait| wait.as_secs_f64()))
    }

    /// What is to be done for the grant now even without a caller, if anything.
    ///
    /// "renew": run a renewal(), although no caller waits. A datetime is when the person's
    /// authorization ends, reported once: only the person can extend it.
    fn upkeep<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let at = self.0.moment.take(py)?;
        match self.0.keeper.upkeep(&at) {
            Some(Upkeep::Renew) => Ok(Some("renew".into_pyobject(py)?.into_any())),
            Some(Upkeep::AuthorizationEnds(end)) => value::of_time(py, end).map(Some),
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

    /// Forgets exactly these tokens.
    fn refuse(&self, tokens: &Tokens) {
        self.0.keeper.refuse(&tokens.0);
    }

    /// Takes the tokens of a new login; the next renewal stores them.
    ///
    /// stored.issuer for tokens of another server or client.
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

    /// Gives up the renewal under way, or the one that a decision requested.
    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.0.keeper.abandon(&self.0.moment.take(py)?);
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Keeper>"
    }
}

/// What a caller of the keeper should do.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Decision {
    kind: &'static str,
    tokens: Option<Arc<oauth_core::Tokens>>,
}

#[pymethods]
impl Decision {
    /// use_token, use_and_renew, renew, or wait: another one renews.
    #[getter]
    const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The tokens that are handed out, if any.
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        self.tokens.clone().map(Tokens::of)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Decision {}>", self.kind)
    }
}

/// One renewal: a generator of tasks. Its result, of StopIteration, is the tokens.
///
/// It is for everyone who waited, and so is its error. Each task is a Load, Lease, Save,
/// Sleep or Exchange.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Renewal {
    kept: Arc<Kept>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Fresh,
    Asked(Asked),
    Over,
}

/// The task that the host is carrying out.
#[derive(Clone, Copy)]
enum Asked {
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
    /// Of a built-in store.
    Known(Error),
    /// Of any other store, by the exception's name: its text may contain an address with a password.
    Named(String),
}

impl Event {
    /// Reads the result of a task.
    fn read(asked: Asked, answer: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match asked {
            Asked::Load => Self::Loaded(answer.extract()?),
            Asked::Lease => {
                let held: Option<f64> = answer.extract()?;
                let held = held.map(Duration::try_from_secs_f64).transpose();
                Self::Leased(held.map_err(|_| {
                    PyValueError::new_err("a lease is held for a number of seconds, or None")
                })?)
            }
            Asked::Save => Self::Saved(answer.extract()?),
            Asked::Run => Self::Completed,
            Asked::Wait => Self::Elapsed,
        })
    }

    fn tell(self, keeper: &oauth_facade::Keeper, at: &Moment) -> Result<Task, Error> {
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
            Self::Failed(Failure::Known(error)) => keeper.failed_with(at, error),
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
        let Kept { keeper, moment } = &*self.kept;
        let at = moment.take(py)?;
        let mut state = self.state();
        // What it says next is nothing, if it does not say what.
        *state = State::Over;
        let task = match event.tell(keeper, &at) {
            Ok(task) => task,
            Err(error) => {
                return Err(match cause {
                    Some(cause) => errors::raise_from(py, &error, cause),
                    None => errors::raise(py, &error),
                });
            }
        };
        *state = match &task {
            Task::Load => State::Asked(Asked::Load),
            Task::Lease { .. } => State::Asked(Asked::Lease),
            Task::Save { .. } => State::Asked(Asked::Save),
            Task::Run(_) => State::Asked(Asked::Run),
            Task::Wait(_) => State::Asked(Asked::Wait),
            Task::Over(_) => State::Over,
        };
        drop(state);
        match task {
            Task::Load => object(py, Load),
            Task::Lease { holder, ttl } => object(py, Lease(holder, ttl.as_secs_f64())),
            Task::Save {
                record,
                version,
                due,
                until,
            } => object(py, Save(record, version, due, until)),
            Task::Run(exchange) => {
                object(py, Exchange::new(py, Ok(exchange), moment.callable(py))?)
            }
            Task::Wait(pause) => object(py, Sleep::of(pause)),
            Task::Over(tokens) => Err(PyStopIteration::new_err((value::of_tokens(py, tokens)?,))),
        }
    }

    /// Ends it; whether it was under way.
    fn end(&self) -> bool {
        let before = std::mem::replace(&mut *self.state(), State::Over);
        matches!(before, State::Asked(_))
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

    /// Answers the task before, as the methods of a store do.
    ///
    /// (version, record) or None for a Load, the seconds another holds it or None for a Lease,
    /// the new version or None for a Save. After an Exchange was run, and after a Sleep, None.
    /// misuse.already_finished after its end.
    #[pyo3(signature = (answer, /))]
    fn send(&self, py: Python<'_>, answer: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let state = *self.state();
        let event = match state {
            State::Fresh if answer.is_none() => Event::Begin,
            State::Fresh => return Err(PyTypeError::new_err("nothing was asked yet")),
            State::Asked(asked) => Event::read(asked, answer)?,
            State::Over => return Err(errors::raise(py, &Misuse::Over.into())),
        };
        self.step(py, event, None)
    }

    /// Says that the store gave no answer, or that the exchange failed or was dropped.
    ///
    /// An exception that is not an Exception, or comes at another time, ends the renewal.
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
            State::Asked(_) if !exception.is_instance_of::<PyException>() => None,
            State::Asked(Asked::Load | Asked::Lease | Asked::Save) => {
                Some(Event::Failed(match errors::known(&exception) {
                    Some(error) => Failure::Known(error),
                    None => {
                        Failure::Named(exception.get_type().fully_qualified_name()?.to_string())
                    }
                }))
            }
            State::Asked(Asked::Run) => Some(Event::Completed),
            State::Asked(Asked::Wait) | State::Fresh | State::Over => None,
        };
        match event {
            Some(event) => self.step(py, event, Some(&exception)),
            None => {
                self.close(py)?;
                Err(PyErr::from_value(exception))
            }
        }
    }

    /// Gives the renewal up.
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
        // Without a clock nothing can be decided any more.
        if self.end()
            && let Ok(at) = Moment::system()
        {
            self.kept.keeper.abandon(&at);
        }
    }
}
