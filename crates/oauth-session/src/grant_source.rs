//! A session: drives one [`Keeper`] for many callers, and returns its outcomes to all of them. The keeper decides
//! whether and when to renew (`flow/keeper/` in oauth-core).

mod active;
mod drive;
mod logout;
mod managed;
mod renewal_task;
mod request;
mod token_source;
mod upkeep;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Decision, GrantId, GrantStatus, Keeper};
use oauth_core::grant::TokenRequest;
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Tokens};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::{self, now};
use crate::observe::Observe;
use crate::renewal_limits::RenewalLimits;
use crate::runtime;
use crate::source::{Cached, Token};
use crate::store::Store;

pub use active::drain_all;
pub(crate) use active::drain_each;
use active::timeout;
pub use drive::TokenDriver;
pub(crate) use logout::PoolLogout;
use renewal_task::{RenewalTask, spawn};
use upkeep::look_after;

/// A source of tokens for one grant, which it renews. Cheap to clone: clones share the token.
///
/// A fresh token is returned immediately, without a lock. One that is close to its expiry is returned while the next is
/// fetched in the background. When it is stale, the first caller starts one token request, and all others wait for its
/// outcome; for a second at most, if their token is still valid. The request runs in a task of its own on the runtime
/// of the caller that started it: it is finished and its tokens are stored even if every caller is cancelled, so a
/// timeout around [`token`](Self::token) never loses a rotated refresh token.
///
/// With a [`Store`], this applies to all tasks, processes and machines that share the store: one of them sends the
/// request, and stores the tokens before they are returned; the others read them. [`oauth_core::flow::keeper`]
/// describes the rules, and what happens if replies are lost or workers crash.
///
/// An error goes to every caller that waited for that request; the next caller starts another, and
/// after a second failure in a row only after a pause. When the server has ended the grant
/// (`denied.invalid_grant`, [`Advice::Reauthorize`](oauth_core::error::Advice)), later callers get
/// the same error without a request: the user has to log in again, see [`log_in`](Self::log_in).
///
/// With [`Policy::keep_alive`](oauth_core::flow::keeper::Policy::keep_alive), a session that has been asked for a token
/// renews its grant before the unused refresh token expires, even if no caller asks again, for as long as the session
/// is held. When the user's authorization is about to end, its [observer](Self::observe) is notified.
///
/// Use a session on one runtime: a request makes no progress while its runtime is not driven, as a
/// `current_thread` one is not between two calls of `block_on`.
#[derive(Clone)]
pub struct GrantSource(Arc<Inner>);

struct Inner {
    /// The cached path, which takes no lock.
    cached: OnceLock<ArcSwap<Cached>>,
    state: Mutex<State>,
    driver: Arc<dyn TokenDriver>,
    shared: Option<Shared>,
    on_tokens: OnceLock<Hook>,
    observer: OnceLock<Box<dyn Observe>>,
    renewal_limits: RenewalLimits,
    pool_logout: Option<PoolLogout>,
    /// Held while the refresh token of a grant without a store is used; with a store, a lease is.
    local_use: Arc<tokio::sync::Mutex<()>>,
}

struct Shared {
    store: Arc<dyn Store>,
    key: String,
}

/// The mutable state. Decisions are made under its lock, which is never held across an await.
struct State {
    keeper: Keeper,
    renewal: Option<SharedRenewal>,
    /// Whether a task retries the save of unsaved tokens.
    is_saving_later: bool,
    /// Whether an upkeep task is running.
    is_looked_after: bool,
    /// The state of the grant that was last reported to the observer.
    reported: GrantStatus,
}

type Outcome = Result<Arc<Tokens>, Error>;
type Hook = Box<dyn Fn(&Arc<Tokens>) -> Result<(), Error> + Send + Sync>;
/// The renewal that callers wait for.
type SharedRenewal = Arc<Renewal>;

struct Renewal {
    outcome: watch::Sender<Option<Outcome>>,
    /// The start of the renewal.
    since: Instant,
}

/// The time that a caller with a valid token waits for a newer one.
const GOOD_ENOUGH: Duration = Duration::from_secs(1);

impl GrantSource {
    /// A session only for this process.
    pub fn new(driver: impl TokenDriver + 'static, keeper: Keeper) -> Self {
        Self::from_parts(Arc::new(driver), keeper, None)
    }

    /// A session shared through a store. Every worker must make its keeper of the same [`GrantId`].
    pub fn with_store(
        driver: impl TokenDriver + 'static,
        keeper: Keeper,
        store: Arc<dyn Store>,
    ) -> Self {
        let keeper = keeper.shared().with_longest_request(driver.longest());
        let key = keeper.key();
        Self::from_parts(Arc::new(driver), keeper, Some(Shared { store, key }))
    }

    /// A session for this grant of the client, shared through a store; how it is renewed depends on whose it is. Every
    /// worker must use the same id for the same grant.
    pub fn for_grant(
        driver: impl TokenDriver + 'static,
        client: &Client,
        id: GrantId,
        store: Arc<dyn Store>,
    ) -> Self {
        Self::with_store(driver, client.keeper(id), store)
    }

    /// A session for tokens of the client itself, for the `token_request`: a [`TokenRequest`], or just a scope.
    pub fn client_credentials(
        driver: impl TokenDriver + 'static,
        client: &Client,
        token_request: impl Into<TokenRequest>,
    ) -> Self {
        Self::new(
            driver,
            client.keeper(GrantId::client().requesting(token_request)),
        )
    }

    /// A session for tokens of a user, from a login or from storage, renewed with their refresh token.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn refreshing(
        driver: impl TokenDriver + 'static,
        client: &Client,
        tokens: Tokens,
    ) -> Result<Self, Error> {
        let keeper = client.keeper(GrantId::unnamed_person());
        Ok(Self::new(
            driver,
            keeper.with_tokens(&clock::moment()?, tokens)?,
        ))
    }

    fn from_parts(driver: Arc<dyn TokenDriver>, keeper: Keeper, shared: Option<Shared>) -> Self {
        let inner = Inner {
            cached: OnceLock::new(),
            state: Mutex::new(State {
                keeper,
                renewal: None,
                is_saving_later: false,
                is_looked_after: false,
                reported: GrantStatus::default(),
            }),
            driver,
            shared,
            on_tokens: OnceLock::new(),
            observer: OnceLock::new(),
            renewal_limits: RenewalLimits::default(),
            pool_logout: None,
            local_use: Arc::default(),
        };
        inner.publish_at_first();
        Self(Arc::new(inner))
    }

    /// Calls `hook` with new tokens before any caller of this session sees them.
    ///
    /// It runs inside the task that fetched them, and all callers wait for it: keep it short, and do not
    /// ask this session for a token in it. A session has one hook, the first; all clones share it.
    ///
    /// The callers that waited for these tokens get its error instead. The tokens are kept, and stored: later callers get them.
    #[must_use]
    pub fn on_tokens(
        self,
        hook: impl Fn(&Arc<Tokens>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        // A second hook is ignored.
        let _ = self.0.on_tokens.set(Box::new(hook));
        self
    }

    /// Notifies `observer` of the events of the grant. A session has one observer, the first; all clones
    /// share it.
    #[must_use]
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        // A second observer is ignored.
        let _ = self.0.observer.set(Box::new(observer));
        self
    }

    /// Returns a fresh token, and renews it first if necessary.
    ///
    /// # Errors
    /// The errors of the token request; `grant.no_refresh_token` if there is nothing with which to renew the token; `lost`
    /// at endpoint `store`, and `stored.*`, if the store does not answer, or its record is invalid.
    pub async fn token(&self) -> Result<Token, Error> {
        match self.ready()? {
            Some(token) => Ok(token),
            None => self.request_token(None).await,
        }
    }

    /// Returns the token, if it is fresh without a renewal.
    ///
    /// # Errors
    /// `misuse.no_clock`.
    pub fn ready(&self) -> Result<Option<Token>, Error> {
        let Some(cached) = self.0.cached.get() else {
            return Ok(None);
        };
        let now = now()?;
        let cached = cached.load();
        Ok(cached.times.contains(&now).then(|| Token::cached(cached)))
    }

    /// Returns a token in place of one that the resource server refused.
    ///
    /// If another caller, or another worker, has replaced it already, the newer one is returned
    /// without a request.
    ///
    /// # Errors
    /// The errors of [`token`](Self::token).
    pub async fn renew(&self, refused: &Tokens) -> Result<Token, Error> {
        self.request_token(Some(refused)).await
    }

    /// Marks this token, and no other, as refused, for callers that need no other one now.
    pub fn invalidate(&self, refused: &Tokens) {
        let mut state = self.0.state();
        state.keeper.refuse(refused);
        self.0.publish(&state);
    }

    /// Adopts the tokens of a new login, and stores them.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client; `lost` if the store did not
    /// answer: the tokens are used anyway, and stored later.
    pub async fn log_in(&self, tokens: Tokens) -> Result<(), Error> {
        let (at, runtime) = (clock::moment()?, runtime::current()?);
        self.0.state().keeper.replace(&at, tokens)?;
        self.store_login(at.now(), &runtime).await
    }

    /// Waits until the tokens of a new login are stored.
    async fn store_login(&self, now: UnixTime, runtime: &Handle) -> Result<(), Error> {
        loop {
            let (renewal, task) = {
                let mut state = self.0.state();
                self.0.publish(&state);
                match &state.renewal {
                    _ if state.keeper.is_stored() => return Ok(()),
                    Some(renewal) => (Arc::clone(renewal), None),
                    None => match self.decide(&mut state, now, None) {
                        (
                            WaitState::Renewal(renewal)
                            | WaitState::Background(_, renewal)
                            | WaitState::HookPending(_, renewal),
                            task,
                        ) => (renewal, task),
                        // A drained session starts no further step.
                        (WaitState::Done(Ok(_)), _) if state.keeper.save_again() => {
                            self.start_renewal(&mut state)
                        }
                        (WaitState::Done(outcome), _) => return outcome.map(drop),
                    },
                }
            };
            spawn(runtime, task);
            // Wait for a renewal that was already running: only tokens stored after it are the new ones.
            let _ = wait_for_outcome(&renewal).await;
            if let Some(error) = self.last_error() {
                return Err(error);
            }
        }
    }

    /// Shuts the session down gracefully: no new renewal begins, one that was sent is finished, and its tokens are
    /// stored. Otherwise the end of the runtime aborts a renewal in flight, which loses the grant if the server rotates
    /// refresh tokens.
    ///
    /// The current token is returned until it expires; after that, callers get `token_source.closed`, here and
    /// through a clone. So do those that were waiting for a renewal whose request was not sent yet.
    ///
    /// A token of the client itself is worth one attempt to store it: without the store another one is requested.
    ///
    /// # Errors
    /// `lost.timeout` if that has not been done within `limit`; call it again to wait for longer.
    pub async fn drain(&self, limit: Duration) -> Result<(), Error> {
        let runtime = runtime::current()?;
        self.0.state().keeper.drain();
        let drained = async {
            let mut pause = Duration::from_millis(50);
            loop {
                let (renewal, task) = {
                    let mut state = self.0.state();
                    match state.renewal.clone() {
                        Some(renewal) => (renewal, None),
                        None if state.keeper.save_again() => self.start_renewal(&mut state),
                        None => return,
                    }
                };
                spawn(&runtime, task);
                let _ = wait_for_outcome(&renewal).await;
                if self.0.has_unsaved_grant() {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                } else if !self.0.state().keeper.is_stored() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, drained).await.map_err(|_| {
            if self.0.has_unsaved_grant() {
                timeout("the store has not saved the tokens in time")
            } else {
                timeout("a renewal did not finish in time")
            }
        })
    }

    async fn request_token(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        let now = now()?;
        // Checked before the keeper decides: it must not record a renewal that cannot be spawned.
        let runtime = runtime::current()?;
        let (waiting, task) = self.decide(&mut self.0.state(), now, refused);
        spawn(&runtime, task);
        look_after(&runtime, &self.0);
        let outcome = match waiting {
            WaitState::Done(outcome) => outcome,
            WaitState::Background(tokens, _) => Ok(tokens),
            WaitState::HookPending(tokens, renewal) => {
                // The callers of this renewal get its outcome.
                let _ = wait_for_outcome(&renewal).await;
                Ok(tokens)
            }
            WaitState::Renewal(renewal) => self.wait_for(&renewal, refused).await,
        };
        outcome.map(Token::from)
    }

    /// Waits for the outcome of a renewal, which runs in its own task. A caller whose token is valid waits at most a
    /// second, because a store or a server may hang.
    async fn wait_for(&self, renewal: &SharedRenewal, refused: Option<&Tokens>) -> Outcome {
        let outcome = wait_for_outcome(renewal);
        let mut outcome = pin!(outcome);
        if self.usable_tokens(refused).is_none() {
            return outcome.await;
        }
        match timeout_at(renewal.since + GOOD_ENOUGH, outcome.as_mut()).await {
            Ok(outcome) => outcome,
            Err(_) => match self.usable_tokens(refused) {
                Some(tokens) => Ok(tokens),
                None => outcome.await,
            },
        }
    }

    fn usable_tokens(&self, refused: Option<&Tokens>) -> Option<Arc<Tokens>> {
        let tokens = self.0.state().keeper.usable_tokens(now().ok()?)?;
        let is_refused = refused
            .is_some_and(|refused| tokens.access_token.matches(refused.access_token.expose()));
        (!is_refused).then_some(tokens)
    }

    fn decide(
        &self,
        state: &mut State,
        now: UnixTime,
        refused: Option<&Tokens>,
    ) -> (WaitState, Option<RenewalTask>) {
        let decision = state.keeper.ask(now, refused);
        if refused.is_some() {
            self.0.publish(state);
        }
        let finishing = state.renewal.clone().filter(|_| !state.keeper.is_busy());
        let waiting = match decision {
            Decision::UseToken(tokens) => match finishing {
                Some(renewal) => WaitState::HookPending(tokens, renewal),
                None => WaitState::Done(Ok(tokens)),
            },
            Decision::Fail(error) => WaitState::Done(Err(error)),
            Decision::UseAndRenew(tokens) => {
                let (renewal, task) = self.start_renewal(state);
                return (WaitState::Background(tokens, renewal), task);
            }
            Decision::Renew => {
                let (renewal, task) = self.start_renewal(state);
                return (WaitState::Renewal(renewal), task);
            }
            Decision::Wait => match &state.renewal {
                Some(renewal) => WaitState::Renewal(Arc::clone(renewal)),
                None => WaitState::Done(Err(task_stopped())),
            },
        };
        (waiting, None)
    }

    fn start_renewal(&self, state: &mut State) -> (SharedRenewal, Option<RenewalTask>) {
        let task = RenewalTask::new(Arc::clone(&self.0), state);
        (Arc::clone(&task.renewal), Some(task))
    }
}

/// The reason for which a caller waits, or its outcome.
enum WaitState {
    /// Not waiting: this is the outcome.
    Done(Outcome),
    /// Not waiting: these tokens are valid, and a renewal runs in the background.
    Background(Arc<Tokens>, SharedRenewal),
    /// Waiting for the hook, which gets these tokens of a finished renewal first.
    HookPending(Arc<Tokens>, SharedRenewal),
    /// Waiting for the outcome of this renewal.
    Renewal(SharedRenewal),
}

async fn wait_for_outcome(renewal: &SharedRenewal) -> Outcome {
    let mut outcome = renewal.outcome.subscribe();
    match outcome.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        // The sender is held, and the awaited value is `Some`.
        Ok(None) | Err(_) => Err(task_stopped()),
    }
}

fn task_stopped() -> Error {
    Error::lost(Cause::unknown(
        "the task that fetched the token was stopped",
    ))
}

impl Inner {
    /// No code that could panic in the middle of a change runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the token to the cached path.
    fn publish(&self, state: &State) {
        // New tokens are not published before the hook has seen them.
        let may_use_keeper_tokens = state.renewal.is_none() || state.keeper.is_busy();
        let fresh_tokens = state.keeper.fresh().filter(|_| may_use_keeper_tokens);
        let cached = match (fresh_tokens, self.cached.get()) {
            (Some((tokens, times)), _) => Cached { tokens, times },
            (None, None) => return,
            // The tokens are still known, but can no longer be used.
            (None, Some(before)) => Cached {
                tokens: Arc::clone(&before.load().tokens),
                times: UnixTime::from_secs(0)..UnixTime::from_secs(0),
            },
        };
        let cached = Arc::new(cached);
        self.cached
            .get_or_init(|| ArcSwap::new(Arc::clone(&cached)))
            .store(cached);
    }
}

impl fmt::Debug for GrantSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantSource").finish_non_exhaustive()
    }
}
