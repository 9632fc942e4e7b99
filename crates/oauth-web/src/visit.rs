//! A visit: one request, from its head to the response or the application's turn.
//!
//! It is a value, like an exchange: it opens no socket, reads no clock and draws no randomness. Inside, a page is
//! written as one asks questions, one after the other; each question is a [`Step`], and the [`Event`] its answer.

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
use oauth_core::flow::keeper::{Entry, Lease, Saved};
use oauth_core::flow::redeem::Login;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::token::logout_token::LogoutToken;
use oauth_core::{Secret, Tokens};
use serde_json::{Map, Value};

use crate::config::Provider;
use crate::connect::Connect;
use crate::forward::Forward;
use crate::reply::Reply;
use crate::session::{Identity, Session};

/// One request, to be answered or passed on.
pub struct Visit {
    state: State,
    desk: Desk,
}

/// What to do next.
///
/// Exhaustive on purpose: a host that does not know a step must fail to compile.
#[must_use]
pub enum Step {
    /// Read a record of the store. Answer with [`Event::Loaded`].
    Load {
        /// Its key, 43 characters.
        key: String,
    },
    /// Take the lease of a record. Answer with [`Event::Leased`].
    Lease {
        /// The key of the record.
        key: String,
        /// Who takes it.
        holder: String,
        /// For how long; zero releases it.
        ttl: Duration,
    },
    /// Save a record, if it is still at this version; 0 is the version of an absent one. Answer with
    /// [`Event::Saved`].
    Save {
        /// The key of the record.
        key: String,
        /// What to save.
        record: Secret<String>,
        /// The version it replaces.
        version: u64,
        /// When tokens in it should be renewed, as `Store::save` of `oauth-session` takes it.
        due: Option<UnixTime>,
        /// When nobody needs it any more: a store that lets records end deletes it then.
        until: Option<UnixTime>,
    },
    /// Remove a record. Answer with [`Event::Removed`].
    Remove {
        /// Its key.
        key: String,
    },
    /// Wait this long. Answer with [`Event::Elapsed`].
    Wait(Duration),
    /// Run this, as any exchange. Answer with [`Event::Landed`].
    Run(Boxed<Landed>),
    /// Look up a provider, at a site whose settings say so ([`Lookup::Asked`](crate::Lookup::Asked)). Answer with
    /// [`Event::Provider`].
    Provider(Box<Ask>),
    /// Make the client of a provider of the settings that has none ([`Provider::later`]): in the background, for the visit
    /// goes on, and others may need it. Answer with [`Event::Connecting`], and give the outcome to
    /// [`Site::connected`](crate::Site::connected), before or after that.
    Connect(Connect),
    /// Decide whether to let this person in, and with what in the session. Answer with [`Event::Admitted`]. A host
    /// without an opinion answers [`Admission::default`].
    Admit(Box<Identity>),
    /// The end: pass this call on to its API, with the token of [`Forward::session`]. Its body is the host's to
    /// stream.
    Forward(Box<Forward>),
    /// The end: send this.
    Respond(Reply),
    /// The end: it is the application's turn, with the session if there is one. Nothing is added to its response.
    Pass(Option<Arc<Session>>),
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Nothing yet: the first event of every visit.
    Begin,
    /// The record, or that there is none.
    Loaded(Option<Entry>),
    /// The answer to [`Step::Lease`].
    Leased(Lease),
    /// The answer to [`Step::Save`].
    Saved(Saved),
    /// The record is removed, or was not there.
    Removed,
    /// The store did not answer: the step may have taken effect or not.
    Failed(Error),
    /// The pause has passed.
    Elapsed,
    /// The outcome of the exchange of [`Step::Run`].
    Landed(Result<Landed, Error>),
    /// The provider, or that there is none.
    Provider(Option<Box<Provider>>),
    /// The client is being made.
    Connecting,
    /// The application's decision.
    Admitted(Admission),
}

/// Which provider is wanted. The one that is given has to be what is said here, or it is not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask {
    /// The one of this id: of a callback, a session, or a choice.
    pub id: Option<String>,
    /// One of this issuer, which has begun a sign-in by itself (OpenID Connect Core section 4).
    pub issuer: Option<String>,
    /// One of this tenant.
    pub tenant: Option<String>,
    /// Where nothing of that is said: the `Host` that a person has opened,
    pub host: String,
    /// and the path of the page, root path included.
    pub path: String,
}

/// Whether the application lets a person in.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It does, with this in [`Session::local`].
    In(Map<String, Value>),
    /// It does not; the reason is shown to the person.
    Refused(String),
}

impl Default for Admission {
    fn default() -> Self {
        Self::In(Map::new())
    }
}

/// What an exchange of a visit leaves behind. Hosts hand it back as it is.
pub struct Landed(pub(crate) Fruit);

pub(crate) enum Fruit {
    Begun(Box<Authorization>),
    Login(Box<Login>),
    Identity(Box<Identity>),
    LoggedOut(Box<LogoutToken>),
    Tokens(Box<Tokens>),
    Revoked,
}

/// Something for the log: codes and reasons, never a cookie, a token or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// A code of the error table.
    pub code: &'static str,
    /// What exactly, in one line.
    pub detail: String,
}

impl Note {
    /// Of an error that a host met, with what usually helps.
    pub fn of(error: &Error) -> Self {
        let detail = match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        };
        Self {
            code: error.code(),
            detail,
        }
    }
}

/// How a visit ends.
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed over once, and not kept"
)]
pub(crate) enum End {
    Respond(Reply),
    Pass(Option<Arc<Session>>),
    Forward(Box<Forward>),
}

type Talk = Pin<Box<dyn Future<Output = Result<End, Error>> + Send>>;

enum State {
    Fresh(Talk),
    Asked(Talk),
    Over,
}

/// When a record is due, and when it ends.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) due: Option<UnixTime>,
    pub(crate) until: Option<UnixTime>,
}

impl Times {
    pub(crate) const fn until(until: UnixTime) -> Self {
        let (due, until) = (None, Some(until));
        Self { due, until }
    }
}

/// What lies between a visit and the page that it asks: one question, one answer.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Mutex<Papers>>);

struct Papers {
    at: Moment,
    step: Option<Step>,
    event: Option<Event>,
    notes: VecDeque<Note>,
    /// A provider that the visit needs could not be asked.
    is_unready: bool,
}

/// How many notes a visit makes.
const MOST_NOTES: usize = 32;

impl Visit {
    pub(crate) fn new<F>(talk: impl FnOnce(Desk) -> F) -> Self
    where
        F: Future<Output = Result<End, Error>> + Send + 'static,
    {
        let desk = Desk(Arc::new(Mutex::new(Papers {
            at: Moment::without_randomness(UnixTime::from_secs(0)),
            step: None,
            event: None,
            notes: VecDeque::new(),
            is_unready: false,
        })));
        Self {
            state: State::Fresh(Box::pin(talk(desk.clone()))),
            desk,
        }
    }

    /// Takes the next step. [`Event::Begin`] comes first; each later event answers the step before it. Give each
    /// call a moment of its own.
    ///
    /// # Errors
    /// What only a host does wrong: `misuse.out_of_order` for an event that does not answer the step before it,
    /// `misuse.over` after an end or an error, and `misuse.no_randomness`. Everything else becomes a response.
    pub fn resume(&mut self, at: &Moment, event: Event) -> Result<Step, Error> {
        let mut talk = match (std::mem::replace(&mut self.state, State::Over), event) {
            (State::Fresh(talk), Event::Begin) => talk,
            (State::Asked(talk), event) if !matches!(event, Event::Begin) => {
                self.desk.papers().event = Some(event);
                talk
            }
            (State::Over, _) => return Err(Misuse::Over.into()),
            _ => return Err(Misuse::OutOfOrder.into()),
        };
        self.desk.papers().at = at.clone();
        let mut context = Context::from_waker(Waker::noop());
        match talk.as_mut().poll(&mut context) {
            Poll::Ready(end) => Ok(match end? {
                End::Respond(reply) => Step::Respond(reply),
                End::Pass(session) => Step::Pass(session),
                End::Forward(forward) => Step::Forward(forward),
            }),
            Poll::Pending => {
                let step = self.desk.papers().step.take();
                self.state = State::Asked(talk);
                step.ok_or_else(|| Misuse::OutOfOrder.into())
            }
        }
    }

    /// What is worth a line in the log so far. Each note is told once.
    pub fn notes(&mut self) -> Vec<Note> {
        self.desk.papers().notes.drain(..).collect()
    }
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        // What is changed under it is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment of this step.
    pub(crate) fn at(&self) -> Moment {
        self.papers().at.clone()
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.papers().at.now()
    }

    pub(crate) fn note(&self, code: &'static str, detail: impl Into<String>) {
        let mut papers = self.papers();
        if papers.notes.len() < MOST_NOTES {
            let detail = detail.into();
            papers.notes.push_back(Note { code, detail });
        }
    }

    pub(crate) fn note_error(&self, error: &Error) {
        let Note { code, detail } = Note::of(error);
        self.note(code, detail);
    }

    async fn ask(&self, step: Step) -> Event {
        self.papers().step = Some(step);
        let mut is_asked = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut is_asked, true) {
            false => Poll::Pending,
            true => match self.papers().event.take() {
                Some(event) => Poll::Ready(event),
                None => Poll::Pending,
            },
        })
        .await
    }

    pub(crate) async fn load(&self, key: &str) -> Result<Option<Entry>, Error> {
        let key = key.to_owned();
        match self.ask(Step::Load { key }).await {
            Event::Loaded(entry) => Ok(entry),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn lease(
        &self,
        key: &str,
        holder: String,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let key = key.to_owned();
        match self.ask(Step::Lease { key, holder, ttl }).await {
            Event::Leased(lease) => Ok(lease),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn save(
        &self,
        key: &str,
        record: Secret<String>,
        version: u64,
        times: Times,
    ) -> Result<Saved, Error> {
        let Times { due, until } = times;
        let step = Step::Save {
            key: key.to_owned(),
            record,
            version,
            due,
            until,
        };
        match self.ask(step).await {
            Event::Saved(saved) => Ok(saved),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
        let key = key.to_owned();
        match self.ask(Step::Remove { key }).await {
            Event::Removed => Ok(()),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn wait(&self, pause: Duration) -> Result<(), Error> {
        match self.ask(Step::Wait(pause)).await {
            Event::Elapsed => Ok(()),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn run<E>(
        &self,
        exchange: E,
        fruit: impl FnOnce(E::Output) -> Fruit + Send + 'static,
    ) -> Result<Fruit, Error>
    where
        E: Exchange + Send + 'static,
        E::Output: Send,
    {
        let exchange = exchange.and_then(move |_, output| Ok(Landed(fruit(output))));
        match self.ask(Step::Run(exchange.boxed())).await {
            Event::Landed(landed) => landed.map(|landed| landed.0),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn provider(&self, ask: Ask) -> Result<Option<Provider>, Error> {
        match self.ask(Step::Provider(Box::new(ask))).await {
            Event::Provider(provider) => Ok(provider.map(|provider| *provider)),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) async fn connect(&self, connect: Connect) -> Result<(), Error> {
        match self.ask(Step::Connect(connect)).await {
            Event::Connecting => Ok(()),
            event => Err(unexpected(event)),
        }
    }

    pub(crate) fn is_unready(&self) -> bool {
        self.papers().is_unready
    }

    pub(crate) fn set_unready(&self) {
        self.papers().is_unready = true;
    }

    pub(crate) async fn admit(&self, identity: Identity) -> Result<Admission, Error> {
        match self.ask(Step::Admit(Box::new(identity))).await {
            Event::Admitted(admission) => Ok(admission),
            event => Err(unexpected(event)),
        }
    }
}

/// What a store failed with, or an event that answers another step.
pub(crate) fn unexpected(event: Event) -> Error {
    match event {
        Event::Failed(error) => error,
        _ => Misuse::OutOfOrder.into(),
    }
}

/// An exchange that left something else behind than it was asked for: a host mixed up two visits.
pub(crate) fn mixed_up() -> Error {
    Misuse::OutOfOrder.into()
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

impl fmt::Debug for Landed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Landed(..)")
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
            Self::Provider(ask) => f.debug_tuple("Provider").field(ask).finish(),
            Self::Connect(connect) => f.debug_tuple("Connect").field(connect).finish(),
            Self::Admit(identity) => f.debug_tuple("Admit").field(identity).finish(),
            Self::Forward(forward) => f.debug_tuple("Forward").field(forward).finish(),
            Self::Respond(reply) => f.debug_tuple("Respond").field(reply).finish(),
            Self::Pass(session) => f.debug_tuple("Pass").field(session).finish(),
        }
    }
}
