//! A visit: the state machine of one request, from its head to the site's response or the application's.
//!
//! A visit is sans-IO, like an exchange: it opens no socket, reads no clock and generates no random bytes. Inside, a
//! page is an `async fn` that awaits one step after another: each await is a [`Step`], answered by an [`Event`].

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::{Boxed, Exchange, ExchangeExt as _};
use oauth_core::flow::authorization::Authorization;
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
use oauth_core::flow::redeem::Login;
use oauth_core::jose::Claims;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::token::logout_token::LogoutToken;
use oauth_core::{Secret, Tokens};
use serde_json::{Map, Value};

use crate::client_connections::Connect;
use crate::forward::Forward;
use crate::log_entry::LogEntry;
use crate::provider::Provider;
use crate::reply::Reply;
use crate::session::{Identity, Session};

/// The state machine of one request, which ends with a response or passes the request on.
pub struct Visit {
    state: State,
    io: Io,
}

/// The next task of the host.
///
/// Exhaustive on purpose: a host that does not handle a step must fail to compile.
#[must_use]
pub enum Step {
    /// Read a record of the store. Answer with [`Event::Loaded`].
    Load {
        /// The record's key, 43 characters.
        key: String,
    },
    /// Take the lease of a record. Answer with [`Event::Leased`].
    Lease {
        /// The key of the record.
        key: String,
        /// The new holder of the lease.
        holder: String,
        /// For how long; zero releases it.
        ttl: Duration,
    },
    /// Save a record, if it is still at this version; 0 is the version of an absent one. Answer with
    /// [`Event::Saved`].
    Save {
        /// The key of the record.
        key: String,
        /// The content to save.
        record: Secret<String>,
        /// The version it replaces.
        version: u64,
        /// When its tokens should be renewed; passed to `Store::save` of `oauth-session`.
        due: Option<UnixTime>,
        /// When the record is no longer needed: a store that supports expiry deletes it then.
        until: Option<UnixTime>,
    },
    /// Remove a record. Answer with [`Event::Removed`].
    Remove {
        /// The record's key.
        key: String,
    },
    /// Wait this long. Answer with [`Event::Elapsed`].
    Wait(Duration),
    /// Run this exchange. Answer with [`Event::Completed`].
    Run(Boxed<RunOutput>),
    /// Look up a provider, at a site whose settings say so ([`Lookup::Asked`](crate::Lookup::Asked)). Answer with
    /// [`Event::Provider`].
    Provider(Box<ProviderQuery>),
    /// Make the client of a provider of the settings that has none ([`Provider::later`]): in the background, because
    /// the visit continues, and others may need it. Answer with [`Event::Connecting`], and pass the result to
    /// [`Site::connected`](crate::Site::connected), before or after that.
    Connect(Connect),
    /// Decide whether to admit this user, and what to add to the session. Answer with [`Event::Admitted`]. A host that
    /// admits every user answers [`Admission::default`].
    Admit(Box<Identity>),
    /// The end: forward this call to its API, with the token of [`Forward::session`]. The host streams its body.
    Forward(Box<Forward>),
    /// The end: send this response.
    Respond(Reply),
    /// The end: pass the request on to the application, with the session if there is one. Nothing is added to the
    /// application's response.
    Pass(Option<Arc<Session>>),
}

/// The result of a step.
#[derive(Debug)]
pub enum Event {
    /// The first event of every visit.
    Begin,
    /// The record, if there is one.
    Loaded(Option<Entry>),
    /// The answer to [`Step::Lease`].
    Leased(Lease),
    /// The answer to [`Step::Save`].
    Saved(SaveOutcome),
    /// The record was removed, or did not exist.
    Removed,
    /// The store failed: the step may or may not have taken effect.
    Failed(Error),
    /// The pause has ended.
    Elapsed,
    /// The outcome of the exchange of [`Step::Run`].
    Completed(Result<RunOutput, Error>),
    /// The provider, if there is one.
    Provider(Option<Box<Provider>>),
    /// The client is being made.
    Connecting,
    /// The application's decision.
    Admitted(Admission),
}

/// A query for a provider. The host's answer must match all of it, or it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderQuery {
    /// The id of the provider: from a callback, a session, or the user's choice.
    pub id: Option<String>,
    /// The issuer, when it initiated the sign-in (OpenID Connect Core section 4).
    pub issuer: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The `Host` of the request, if none of the fields above is set.
    pub host: String,
    /// The path of the page, root path included, in that case.
    pub path: String,
}

/// Whether the application admits a user.
#[derive(Debug, Clone)]
pub enum Admission {
    /// The user is admitted, with this in [`Session::local`].
    Admitted(Map<String, Value>),
    /// The user is refused, and shown this reason.
    Refused(String),
}

impl Default for Admission {
    fn default() -> Self {
        Self::Admitted(Map::new())
    }
}

/// The output of an exchange of a visit. Hosts pass it back unchanged.
pub struct RunOutput(pub(crate) ExchangeOutput);

pub(crate) enum ExchangeOutput {
    Authorization(Box<Authorization>),
    Login(Box<Login>),
    Identity(Box<Identity>),
    UserInfo(Box<Claims>),
    LoggedOut(Box<LogoutToken>),
    Tokens(Box<Tokens>),
    Revoked,
}

/// The end of a visit.
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed over once, and not kept"
)]
pub(crate) enum VisitEnd {
    Respond(Reply),
    Pass(Option<Arc<Session>>),
    Forward(Box<Forward>),
}

type PageFuture = Pin<Box<dyn Future<Output = Result<VisitEnd, Error>> + Send>>;

enum State {
    NotStarted(PageFuture),
    AwaitingEvent(PageFuture),
    Ended,
}

/// When a record is due, and when it ends.
#[derive(Default)]
pub(crate) struct RecordTimes {
    pub(crate) due: Option<UnixTime>,
    pub(crate) until: Option<UnixTime>,
}

impl RecordTimes {
    pub(crate) const fn until(until: UnixTime) -> Self {
        let (due, until) = (None, Some(until));
        Self { due, until }
    }
}

/// The channel between a visit and its page: the page awaits the event that answers its step.
#[derive(Clone)]
pub(crate) struct Io(Arc<Mutex<IoState>>);

struct IoState {
    at: Moment,
    step: Option<Step>,
    event: Option<Event>,
    notes: VecDeque<LogEntry>,
    /// A provider that the visit needs could not be reached.
    is_unready: bool,
}

/// The largest number of log entries of one visit.
const MAX_NOTES: usize = 32;

impl Visit {
    pub(crate) fn new<F>(page: impl FnOnce(Io) -> F) -> Self
    where
        F: Future<Output = Result<VisitEnd, Error>> + Send + 'static,
    {
        let io = Io(Arc::new(Mutex::new(IoState {
            at: Moment::without_randomness(UnixTime::from_secs(0)),
            step: None,
            event: None,
            notes: VecDeque::new(),
            is_unready: false,
        })));
        Self {
            state: State::NotStarted(Box::pin(page(io.clone()))),
            io,
        }
    }

    /// Takes the next step. [`Event::Begin`] comes first; each later event answers the step before it. Pass a new
    /// moment to each call.
    ///
    /// # Errors
    /// Mistakes of the host only: `misuse.out_of_order` for an event that does not answer the previous step,
    /// `misuse.already_finished` after an end or an error, and `misuse.no_randomness`. Everything else becomes a response.
    pub fn resume(&mut self, at: &Moment, event: Event) -> Result<Step, Error> {
        let mut page = match (std::mem::replace(&mut self.state, State::Ended), event) {
            (State::NotStarted(page), Event::Begin) => page,
            (State::AwaitingEvent(page), event) if !matches!(event, Event::Begin) => {
                self.io.state().event = Some(event);
                page
            }
            (State::Ended, _) => return Err(Misuse::Over.into()),
            _ => return Err(Misuse::OutOfOrder.into()),
        };
        self.io.state().at = at.clone();
        let mut context = Context::from_waker(Waker::noop());
        match page.as_mut().poll(&mut context) {
            Poll::Ready(end) => Ok(match end? {
                VisitEnd::Respond(reply) => Step::Respond(reply),
                VisitEnd::Pass(session) => Step::Pass(session),
                VisitEnd::Forward(forward) => Step::Forward(forward),
            }),
            Poll::Pending => {
                let step = self.io.state().step.take();
                self.state = State::AwaitingEvent(page);
                step.ok_or_else(|| Misuse::OutOfOrder.into())
            }
        }
    }

    /// The log entries so far. Each is returned once.
    pub fn notes(&mut self) -> Vec<LogEntry> {
        self.io.state().notes.drain(..).collect()
    }
}

impl Io {
    fn state(&self) -> MutexGuard<'_, IoState> {
        // The state is consistent whenever the lock is held, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment of this step.
    pub(crate) fn moment(&self) -> Moment {
        self.state().at.clone()
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.state().at.now()
    }

    pub(crate) fn log_entry(&self, code: &'static str, detail: impl Into<String>) {
        self.log(LogEntry::new(code, detail.into()));
    }

    pub(crate) fn note_error(&self, error: &Error) {
        self.log(LogEntry::from_error(error));
    }

    pub(crate) fn log(&self, entry: LogEntry) {
        let mut state = self.state();
        if state.notes.len() < MAX_NOTES {
            state.notes.push_back(entry);
        }
    }

    async fn take_step(&self, step: Step) -> Event {
        self.state().step = Some(step);
        let mut is_step_taken = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut is_step_taken, true) {
                match self.state().event.take() {
                    Some(event) => Poll::Ready(event),
                    None => Poll::Pending,
                }
            } else {
                Poll::Pending
            }
        })
        .await
    }

    pub(crate) async fn load(&self, key: &str) -> Result<Option<Entry>, Error> {
        let key = key.to_owned();
        match self.take_step(Step::Load { key }).await {
            Event::Loaded(entry) => Ok(entry),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn lease(
        &self,
        key: &str,
        holder: String,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let key = key.to_owned();
        match self.take_step(Step::Lease { key, holder, ttl }).await {
            Event::Leased(lease) => Ok(lease),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn save(
        &self,
        key: &str,
        record: Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Result<SaveOutcome, Error> {
        let RecordTimes { due, until } = times;
        let step = Step::Save {
            key: key.to_owned(),
            record,
            version,
            due,
            until,
        };
        match self.take_step(step).await {
            Event::Saved(saved) => Ok(saved),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
        let key = key.to_owned();
        match self.take_step(Step::Remove { key }).await {
            Event::Removed => Ok(()),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn wait(&self, pause: Duration) -> Result<(), Error> {
        match self.take_step(Step::Wait(pause)).await {
            Event::Elapsed => Ok(()),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn run<E>(
        &self,
        exchange: E,
        wrap: impl FnOnce(E::Output) -> ExchangeOutput + Send + 'static,
    ) -> Result<ExchangeOutput, Error>
    where
        E: Exchange + Send + 'static,
        E::Output: Send,
    {
        let exchange = exchange.and_then(move |_, output| Ok(RunOutput(wrap(output))));
        match self.take_step(Step::Run(exchange.boxed())).await {
            Event::Completed(output) => output.map(|output| output.0),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn provider(&self, query: ProviderQuery) -> Result<Option<Provider>, Error> {
        match self.take_step(Step::Provider(Box::new(query))).await {
            Event::Provider(provider) => Ok(provider.map(|provider| *provider)),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) async fn connect(&self, connect: Connect) -> Result<(), Error> {
        match self.take_step(Step::Connect(connect)).await {
            Event::Connecting => Ok(()),
            event => Err(unexpected_event(event)),
        }
    }

    pub(crate) fn is_unready(&self) -> bool {
        self.state().is_unready
    }

    pub(crate) fn set_unready(&self) {
        self.state().is_unready = true;
    }

    pub(crate) async fn admit(&self, identity: Identity) -> Result<Admission, Error> {
        match self.take_step(Step::Admit(Box::new(identity))).await {
            Event::Admitted(admission) => Ok(admission),
            event => Err(unexpected_event(event)),
        }
    }
}

/// The error for a failed store, or for an event that answers another step.
pub(crate) fn unexpected_event(event: Event) -> Error {
    match event {
        Event::Failed(error) => error,
        _ => Misuse::OutOfOrder.into(),
    }
}

/// The error for an output of another exchange: a host mixed up two visits.
pub(crate) fn wrong_output() -> Error {
    Misuse::OutOfOrder.into()
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

impl fmt::Debug for RunOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunOutput(..)")
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { key } => f.debug_struct("Load").field("key", key).finish(),
            Self::Lease { key, ttl, .. } => f
                .debug_struct("Lease")
                .field("key", key)
                .field("ttl", ttl)
                .finish_non_exhaustive(),
            Self::Save { key, version, .. } => f
                .debug_struct("Save")
                .field("key", key)
                .field("version", version)
                .finish_non_exhaustive(),
            Self::Remove { key } => f.debug_struct("Remove").field("key", key).finish(),
            Self::Wait(pause) => f.debug_tuple("Wait").field(pause).finish(),
            Self::Run(_) => f.write_str("Run(..)"),
            Self::Provider(query) => f.debug_tuple("Provider").field(query).finish(),
            Self::Connect(connect) => f.debug_tuple("Connect").field(connect).finish(),
            Self::Admit(identity) => f.debug_tuple("Admit").field(identity).finish(),
            Self::Forward(forward) => f.debug_tuple("Forward").field(forward).finish(),
            Self::Respond(reply) => f.debug_tuple("Respond").field(reply).finish(),
            Self::Pass(session) => f.debug_tuple("Pass").field(session).finish(),
        }
    }
}
