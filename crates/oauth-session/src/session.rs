//! A [`Keeper`] with many callers: drives it, and carries its answers to everyone who waits.

mod at_work;
mod carried;
mod many;
mod running;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::exchange::Boxed;
use oauth_core::flow::keeper::{Decision, GrantId, Keeper, Standing, Upkeep};
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Scope, Tokens};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::{self, now};
use crate::observe::Observe;
use crate::sessions::Pace;
use crate::source::{Cached, Token, TokenSource};
use crate::store::{Answer, Store};

pub use at_work::drain_all;
pub(crate) use at_work::drain_each;
use carried::{Carried, start};

/// Runs token requests: the driver of a transport.
pub trait Drive: Send + Sync {
    /// Runs an exchange to its end.
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens>;

    /// Runs the exchange that revokes a token (RFC 7009) to its end. Only [`Sessions`](crate::Sessions)
    /// ask for it.
    ///
    /// # Errors
    /// `misuse.not_supported`, if a driver does not say otherwise.
    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        drop(exchange);
        let error = Error::from(oauth_core::error::Misuse::NotSupported);
        Box::pin(std::future::ready(Err(error.at_endpoint("revocation"))))
    }

    /// How long [`run`](Self::run) can take: waiting for a place, connecting, sending and reading the
    /// answer. 30 s, if it does not say otherwise.
    ///
    /// It is up to the driver to keep to it, for it knows whether anything was sent; a second later
    /// the session gives the request up, and its fate is not known. Whoever finds the mark of a worker
    /// that died waits for so long before the same refresh token is sent again.
    fn longest(&self) -> Duration {
        Duration::from_secs(30)
    }
}

impl<D: Drive + ?Sized> Drive for Arc<D> {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        (**self).run(exchange)
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        (**self).revoke(exchange)
    }

    fn longest(&self) -> Duration {
        (**self).longest()
    }
}

/// One grant, kept fresh. Cheap to clone: clones share the token.
///
/// A fresh token is handed out at once, under no lock. One that is near its end is handed out while
/// the next is fetched beside. When it is stale, the first caller starts one token request, and all
/// others wait for the result of that one; for a second at most, as long as their token is still
/// good. The request runs in a task of its own on the runtime of
/// the caller who started it: it is finished and its result stored even if every caller has gone, so
/// a rotated refresh token is never lost to a timeout around [`token`](Self::token).
///
/// With a [`Store`], that holds for every task, process and machine that shares the store: one of
/// them asks, and stores the answer before anyone sees it; the others read it. How that is decided,
/// and what happens when replies are lost or workers die, is told in
/// [`oauth_core::flow::keeper`].
///
/// An error goes to everyone who waited for that request; the next caller starts another, and after
/// a second failure in a row not before a pause. When the server has ended the grant
/// (`denied.invalid_grant`, [`Advice::Reauthorize`](oauth_core::error::Advice)), later callers get
/// the same error without a request: a person has to log in again, see [`log_in`](Self::log_in).
///
/// Use a session on one runtime: a request stands still while the runtime that carries it does, as a
/// `current_thread` one does between two calls of `block_on`.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    /// The cached path, which takes no lock.
    cached: OnceLock<ArcSwap<Cached>>,
    state: Mutex<State>,
    driver: Arc<dyn Drive>,
    shared: Option<Shared>,
    on_tokens: OnceLock<Hook>,
    observer: OnceLock<Box<dyn Observe>>,
    pace: Option<Arc<Pace>>,
}

struct Shared {
    store: Arc<dyn Store>,
    key: String,
}

/// Decisions are made under its lock; nothing ever waits there.
struct State {
    keeper: Keeper,
    flight: Option<Flight>,
    /// Whether a task tries to store what the store has not got yet.
    is_tended: bool,
    /// How the observer was told that the grant stands.
    told: Standing,
}

type Outcome = Result<Arc<Tokens>, Error>;
type Hook = Box<dyn Fn(&Arc<Tokens>) + Send + Sync>;
/// What followers wait on.
type Flight = Arc<Renewal>;

struct Renewal {
    outcome: watch::Sender<Option<Outcome>>,
    /// When the renewal began.
    since: Instant,
}

/// For so long a caller whose token is still good waits for a better one.
const GOOD_ENOUGH: Duration = Duration::from_secs(1);

impl Session {
    /// Keeps a grant fresh for this process.
    pub fn new(driver: impl Drive + 'static, keeper: Keeper) -> Self {
        Self::of(Arc::new(driver), keeper, None)
    }

    /// Keeps a grant fresh for everyone who shares the store. `id` says which grant of the client it
    /// is; for the same one, every worker must say the same.
    pub fn shared(
        driver: impl Drive + 'static,
        keeper: Keeper,
        id: GrantId,
        store: Arc<dyn Store>,
    ) -> Self {
        let keeper = keeper.shared(id).with_longest_request(driver.longest());
        let key = keeper.key();
        Self::of(Arc::new(driver), keeper, Some(Shared { store, key }))
    }

    /// Keeps this grant of the client fresh for everyone who shares the store; how it is renewed
    /// follows from whose it is. For the same one, every worker must say the same.
    pub fn of_grant(
        driver: impl Drive + 'static,
        client: &Client,
        id: GrantId,
        store: Arc<dyn Store>,
    ) -> Self {
        Self::shared(driver, client.keeper(id.upkeep()), id, store)
    }

    /// Tokens for the client itself. An empty scope leaves it to the server.
    pub fn client_credentials(driver: impl Drive + 'static, client: &Client, scope: Scope) -> Self {
        Self::new(driver, client.keeper(Upkeep::ClientCredentials(scope)))
    }

    /// Tokens of a person, from a login or from storage, renewed with their refresh token.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn refreshing(
        driver: impl Drive + 'static,
        client: &Client,
        tokens: Tokens,
    ) -> Result<Self, Error> {
        let keeper = client.keeper(Upkeep::Refresh);
        Ok(Self::new(
            driver,
            keeper.with_tokens(clock::moment()?, tokens)?,
        ))
    }

    fn of(driver: Arc<dyn Drive>, keeper: Keeper, shared: Option<Shared>) -> Self {
        let inner = Inner {
            cached: OnceLock::new(),
            state: Mutex::new(State {
                keeper,
                flight: None,
                is_tended: false,
                told: Standing::default(),
            }),
            driver,
            shared,
            on_tokens: OnceLock::new(),
            observer: OnceLock::new(),
            pace: None,
        };
        inner.publish(&inner.state());
        Self(Arc::new(inner))
    }

    /// Calls `hook` with new tokens before any caller of this session sees them.
    ///
    /// It runs inside the task that fetched them, and everyone waits for it: keep it short, and do
    /// not ask this session for a token in it. A session has one hook, the first; all clones share
    /// it.
    #[must_use]
    pub fn on_tokens(self, hook: impl Fn(&Arc<Tokens>) + Send + Sync + 'static) -> Self {
        // The first hook stays.
        let _ = self.0.on_tokens.set(Box::new(hook));
        self
    }

    /// Tells `observer` of everything that happens to the grant. A session has one, the first; all
    /// clones share it.
    #[must_use]
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        // The first stays.
        let _ = self.0.observer.set(Box::new(observer));
        self
    }

    /// A token that is fresh now.
    ///
    /// # Errors
    /// Those of the token request; `grant.no_refresh_token` if there is nothing to renew the token
    /// with; `lost` at endpoint `store`, and `stored.*`, if the store has no answer or a bad one.
    pub async fn token(&self) -> Result<Token, Error> {
        match self.ready()? {
            Some(token) => Ok(token),
            None => self.ask(None).await,
        }
    }

    /// The token, if it can be had without asking anybody.
    ///
    /// # Errors
    /// `misuse.no_clock`.
    pub fn ready(&self) -> Result<Option<Token>, Error> {
        let Some(cached) = self.0.cached.get() else {
            return Ok(None);
        };
        let now = now()?;
        let cached = cached.load();
        Ok((now < cached.until).then(|| Token::cached(cached)))
    }

    /// A token to take the place of one that the resource server refused.
    ///
    /// If another caller, or another worker, has replaced it already, the newer one is handed out
    /// without a request.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn renew(&self, refused: &Tokens) -> Result<Token, Error> {
        self.ask(Some(refused)).await
    }

    /// Forgets exactly this token, for callers who do not want another one now.
    pub fn invalidate(&self, refused: &Tokens) {
        let mut state = self.0.state();
        state.keeper.refuse(refused);
        self.0.publish(&state);
    }

    /// Takes the tokens of a new login, and stores them.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client; `lost` if the store gave no answer:
    /// the tokens are good all the same, and stored later.
    pub async fn log_in(&self, tokens: Tokens) -> Result<(), Error> {
        let (at, runtime) = (clock::moment()?, runtime()?);
        self.0.state().keeper.replace(at, tokens)?;
        loop {
            let (flight, carried) = {
                let mut state = self.0.state();
                self.0.publish(&state);
                match &state.flight {
                    _ if state.keeper.is_stored() => return Ok(()),
                    Some(flight) => (Arc::clone(flight), None),
                    None => match self.turn(&mut state, at.now(), None) {
                        (
                            Waiting::Flight(flight)
                            | Waiting::Beside(_, flight)
                            | Waiting::Told(_, flight),
                            carried,
                        ) => (flight, carried),
                        // One that was drained begins nothing else.
                        (Waiting::Over(Ok(_)), _) if state.keeper.save_again() => {
                            self.launch(&mut state)
                        }
                        (Waiting::Over(outcome), _) => return outcome.map(drop),
                    },
                }
            };
            start(&runtime, carried);
            // It may have been under way before: what counts is what is stored then.
            let _ = landed(&flight).await;
            if let Some(error) = self.trouble() {
                return Err(error);
            }
        }
    }

    /// Ends the session in good order, for a program that is about to end: no new renewal begins, one
    /// that was sent is finished, and what it has brought is stored. Without this, a renewal in flight
    /// is cut off with the runtime, and with servers that replace refresh tokens its grant is lost.
    ///
    /// A token at hand is handed out until it is over; nothing is renewed after that, here or through
    /// a clone.
    ///
    /// # Errors
    /// `lost.timeout` if that has not been done within `limit`; call it again to wait for longer.
    pub async fn drain(&self, limit: Duration) -> Result<(), Error> {
        let runtime = runtime()?;
        self.0.state().keeper.drain();
        let drained = async {
            let mut pause = Duration::from_millis(50);
            loop {
                let (flight, carried) = {
                    let mut state = self.0.state();
                    match state.flight.clone() {
                        Some(flight) => (flight, None),
                        None if state.keeper.save_again() => self.launch(&mut state),
                        None => return,
                    }
                };
                start(&runtime, carried);
                let _ = landed(&flight).await;
                if !self.0.state().keeper.is_stored() {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        };
        tokio::time::timeout(limit, drained)
            .await
            .map_err(|_| late())
    }

    /// The name of the record in the store, if there is one.
    pub fn key(&self) -> Option<&str> {
        self.0.shared.as_ref().map(|shared| shared.key.as_str())
    }

    /// Why the last attempt failed, if it did. Callers do not hear of it while their token lives.
    pub fn trouble(&self) -> Option<Error> {
        self.0.state().keeper.trouble().cloned()
    }

    /// The newest tokens there are, good or not.
    pub fn latest(&self) -> Option<Arc<Tokens>> {
        self.0.state().keeper.tokens().cloned()
    }

    async fn ask(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        let now = now()?;
        // Asked before the keeper is: it must not believe that somebody renews.
        let runtime = runtime()?;
        let (waiting, carried) = self.turn(&mut self.0.state(), now, refused);
        start(&runtime, carried);
        let outcome = match waiting {
            Waiting::Over(outcome) => outcome,
            Waiting::Beside(tokens, _) => Ok(tokens),
            Waiting::Told(tokens, flight) => {
                // How it ended is for those who needed it.
                let _ = landed(&flight).await;
                Ok(tokens)
            }
            Waiting::Flight(flight) => self.landed(&flight, refused).await,
        };
        outcome.map(Token::from)
    }

    /// The end of a renewal, which goes on by itself. Nobody waits long for it whose token is good: a
    /// store or a server may hang.
    async fn landed(&self, flight: &Flight, refused: Option<&Tokens>) -> Outcome {
        let end = landed(flight);
        let mut end = pin!(end);
        if self.still_good(refused).is_none() {
            return end.await;
        }
        match timeout_at(flight.since + GOOD_ENOUGH, end.as_mut()).await {
            Ok(outcome) => outcome,
            Err(_) => match self.still_good(refused) {
                Some(tokens) => Ok(tokens),
                None => end.await,
            },
        }
    }

    fn still_good(&self, refused: Option<&Tokens>) -> Option<Arc<Tokens>> {
        let tokens = self.0.state().keeper.still_good(now().ok()?)?;
        let is_refused = refused
            .is_some_and(|refused| tokens.access_token.matches(refused.access_token.expose()));
        (!is_refused).then_some(tokens)
    }

    fn turn(
        &self,
        state: &mut State,
        now: UnixTime,
        refused: Option<&Tokens>,
    ) -> (Waiting, Option<Carried>) {
        let turn = state.keeper.ask(now, refused);
        if refused.is_some() {
            self.0.publish(state);
        }
        let landing = state.flight.clone().filter(|_| !state.keeper.is_busy());
        let waiting = match turn {
            Decision::UseToken(tokens) => match landing {
                Some(flight) => Waiting::Told(tokens, flight),
                None => Waiting::Over(Ok(tokens)),
            },
            Decision::Fail(error) => Waiting::Over(Err(error)),
            Decision::UseAndRenew(tokens) => {
                let (flight, carried) = self.launch(state);
                return (Waiting::Beside(tokens, flight), carried);
            }
            Decision::Renew => {
                let (flight, carried) = self.launch(state);
                return (Waiting::Flight(flight), carried);
            }
            Decision::Wait => match &state.flight {
                Some(flight) => Waiting::Flight(Arc::clone(flight)),
                None => Waiting::Over(Err(never_landed())),
            },
        };
        (waiting, None)
    }

    fn launch(&self, state: &mut State) -> (Flight, Option<Carried>) {
        let carried = Carried::new(Arc::clone(&self.0), state);
        (Arc::clone(&carried.flight), Some(carried))
    }
}

fn runtime() -> Result<tokio::runtime::Handle, Error> {
    tokio::runtime::Handle::try_current()
        .map_err(|_| Error::from(oauth_core::error::Misuse::Setup).about("no tokio runtime"))
}

enum Waiting {
    Over(Outcome),
    Beside(Arc<Tokens>, Flight),
    /// The renewal is over, and its hook is told of these tokens before anyone gets them.
    Told(Arc<Tokens>, Flight),
    Flight(Flight),
}

async fn landed(flight: &Flight) -> Outcome {
    let mut landed = flight.outcome.subscribe();
    match landed.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        // The sender is held, and what was waited for is `Some`.
        Ok(None) | Err(_) => Err(never_landed()),
    }
}

fn late() -> Error {
    let late = Cause::unknown("a renewal is not over in time");
    Error::lost(late.because(Loss::Timeout))
}

fn never_landed() -> Error {
    Error::lost(Cause::unknown(
        "the task that fetched the token was stopped",
    ))
}

impl Inner {
    /// No code that could panic half-way runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the cached path.
    fn publish(&self, state: &State) {
        // What a renewal has brought is not for everyone until its hook has it.
        let is_told = state.flight.is_none() || state.keeper.is_busy();
        let fresh = state.keeper.fresh().filter(|_| is_told);
        let cached = match (fresh, self.cached.get()) {
            (Some((tokens, until)), _) => Cached { tokens, until },
            (None, None) => return,
            // Good for nobody any more.
            (None, Some(before)) => Cached {
                tokens: Arc::clone(&before.load().tokens),
                until: UnixTime::from_secs(0),
            },
        };
        let cached = Arc::new(cached);
        self.cached
            .get_or_init(|| ArcSwap::new(Arc::clone(&cached)))
            .store(cached);
    }
}

impl TokenSource for Session {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        match (refused, self.ready()) {
            (None, Ok(Some(token))) => Box::pin(std::future::ready(Ok(token))),
            (None, Err(error)) => Box::pin(std::future::ready(Err(error))),
            _ => Box::pin(self.ask(refused)),
        }
    }

    fn refuse(&self, refused: &Tokens) {
        self.invalidate(refused);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
