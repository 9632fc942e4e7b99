//! The keeper of one grant, for language bindings: the host provides the store and runs the exchanges.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::{Boxed, Exchange, Input, Step};
use oauth_core::flow::keeper::{
    self, Entry, Event, GrantOwner, GrantStatus, Lease, SaveOutcome, Upkeep,
};
use oauth_core::moment::UnixTime;
use oauth_core::{Moment, Secret, Tokens};

use crate::client::Client;
use crate::erased_exchange::ErasedExchange;
use crate::grant_settings::GrantSettings;
use crate::renewal::Renewal;

/// The endpoint named by errors of a store.
const STORE: &str = "store";

/// Converts an error of a host's store. One whose endpoint is the store is passed on unchanged;
/// any other error comes from another server, and only means that the store did not answer.
pub fn store_error(error: Error) -> Error {
    match error.endpoint() {
        Some(STORE) => error,
        _ => Error::lost(Cause::unknown(error)).at_endpoint(STORE),
    }
}

/// One grant, kept fresh; see [`oauth_core::flow::keeper`]. It has its own lock, held only for decisions.
pub struct Keeper(Mutex<State>);

struct State {
    keeper: keeper::Keeper,
    /// The result of the exchange in progress.
    flight: Option<ExchangeResult>,
}

type ExchangeResult = Arc<Mutex<Option<Result<Tokens, Error>>>>;

/// The decision for a caller: use a token, wait, or renew.
#[derive(Debug)]
pub enum Decision {
    /// Use these tokens.
    UseToken(Arc<Tokens>),
    /// Use these tokens, and renew in the background: continue with [`Keeper::begin`].
    UseAndRenew(Arc<Tokens>),
    /// Renew for all: continue with [`Keeper::begin`].
    Renew,
    /// Wait for the caller that renews.
    Wait,
}

/// The next task of the host; its results are passed to the methods of [`Keeper`].
#[derive(Debug)]
pub enum Task {
    /// Read the record; then [`Keeper::loaded`].
    Load,
    /// Acquire the lease, or release it if the time is zero; then [`Keeper::leased`].
    Lease {
        /// The holder of the lease.
        holder: String,
        /// The duration of the lease.
        ttl: Duration,
    },
    /// Save the record if it is at this version; then [`Keeper::saved`].
    Save {
        /// The record to save.
        record: Secret<String>,
        /// The version it replaces, 0 for none.
        version: u64,
        /// When the grant should be renewed, for a store that can find records by this time.
        due: Option<UnixTime>,
        /// When the record is no longer needed, if known.
        until: Option<UnixTime>,
    },
    /// Run this exchange to its end; then [`Keeper::completed`].
    Run(ErasedExchange),
    /// Wait; then [`Keeper::elapsed`].
    Wait(Duration),
    /// The end, for every caller that waited. An error is the `Err` of the call.
    Over(Arc<Tokens>),
}

impl Keeper {
    /// Keeps tokens for the client itself.
    ///
    /// # Errors
    /// The errors of [`TokenRequest`](crate::TokenRequest), and `argument.invalid` for an unknown word in `settings`.
    pub fn client_credentials(client: &Client, settings: &GrantSettings) -> Result<Self, Error> {
        let keeper = client.core().keeper(settings.client_grant()?);
        Ok(Self::from_keeper(keeper.with_policy(settings.policy()?)))
    }

    /// Keeps tokens of a user: these, or those of the store if none are given.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client; `argument.invalid`.
    pub fn refreshing(
        client: &Client,
        at: &Moment,
        tokens: Option<Tokens>,
        settings: &GrantSettings,
    ) -> Result<Self, Error> {
        let keeper = client.core().keeper(settings.person_grant()?);
        let keeper = keeper.with_policy(settings.policy()?);
        Ok(Self::from_keeper(match tokens {
            Some(tokens) => keeper.with_tokens(at, tokens)?,
            None => keeper,
        }))
    }

    /// One of the two, by the `grant_type` of its requests: `client_credentials`, for the
    /// scope of `settings`, or `refresh_token`.
    ///
    /// # Errors
    /// The errors of both, and `arguments.inconsistent` for any other grant type, and for a user's tokens with `client_credentials`.
    pub fn for_grant_type(
        client: &Client,
        at: &Moment,
        grant_type: &str,
        tokens: Option<Tokens>,
        settings: &GrantSettings,
    ) -> Result<Self, Error> {
        let refused = |reason| Err(Error::from(Misuse::ArgumentsInconsistent).about(reason));
        match (grant_type, tokens) {
            ("refresh_token", tokens) => Self::refreshing(client, at, tokens, settings),
            ("client_credentials", None) => Self::client_credentials(client, settings),
            ("client_credentials", Some(_)) => refused("client_credentials begins without tokens"),
            _ => refused("what is kept is of the grant type refresh_token or client_credentials"),
        }
    }

    fn from_keeper(keeper: keeper::Keeper) -> Self {
        Self(Mutex::new(State {
            keeper,
            flight: None,
        }))
    }

    /// Shares the grant through a store.
    ///
    /// # Errors
    /// `grant.subject_missing` for a user's grant without a subject, because two users would share a record.
    pub fn shared(self) -> Result<Self, Error> {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if state.keeper.id().owner == GrantOwner::Person(None) {
            return Err(Misuse::SubjectMissing.into());
        }
        Ok(Self::from_keeper(state.keeper.shared()))
    }

    /// The name of the record in a store.
    #[cfg(feature = "sha2")]
    pub fn key(&self) -> String {
        self.state().keeper.key()
    }

    /// Decides what a caller does next. `refused` is a token that a resource server has refused, if any.
    ///
    /// # Errors
    /// Why there is no token.
    pub fn ask(&self, at: &Moment, refused: Option<&Tokens>) -> Result<Decision, Error> {
        Ok(match self.state().keeper.ask(at.now(), refused) {
            keeper::Decision::UseToken(tokens) => Decision::UseToken(tokens),
            keeper::Decision::UseAndRenew(tokens) => Decision::UseAndRenew(tokens),
            keeper::Decision::Renew => Decision::Renew,
            keeper::Decision::Wait => Decision::Wait,
            keeper::Decision::Fail(error) => return Err(error),
        })
    }

    /// Discards this token, and no other.
    pub fn refuse(&self, refused: &Tokens) {
        self.state().keeper.refuse(refused);
    }

    /// Adopts the tokens of a new login; the next renewal stores them.
    ///
    /// # Errors
    /// `stored.issuer`.
    pub fn replace(&self, at: &Moment, tokens: Tokens) -> Result<(), Error> {
        self.state().keeper.replace(at, tokens)
    }

    /// The same, unless the record was removed after it was read at the version `known_version`: see
    /// [`oauth_core::flow::keeper::Keeper::replace_at_version`].
    ///
    /// # Errors
    /// `stored.issuer`.
    pub fn replace_at_version(
        &self,
        at: &Moment,
        tokens: Tokens,
        known_version: u64,
    ) -> Result<(), Error> {
        self.state()
            .keeper
            .replace_at_version(at, tokens, known_version)
    }

    /// Ends a login that is not stored yet, without a store any, and returns its tokens, to be revoked: see
    /// [`oauth_core::flow::keeper::Keeper::end_unsaved_login`].
    pub fn end_unsaved_login(&self, at: &Moment) -> Option<Arc<Tokens>> {
        self.state().keeper.end_unsaved_login(at)
    }

    /// The lease of a host that uses the refresh token outside a renewal: its duration, and how often to extend it.
    pub fn lease_of_use(&self) -> (Duration, Duration) {
        let lease = self.state().keeper.lease_for(String::new());
        (lease.ttl, lease.every)
    }

    /// The tokens of this entry, or without one the known tokens, for a host that holds the lease: see
    /// [`oauth_core::flow::keeper::Keeper::settled_tokens`].
    ///
    /// # Errors
    /// `grant.no_refresh_token` if there are none; `lost.unsent`, `stored.*`.
    pub fn settled_tokens(&self, entry: Option<(u64, Secret<String>)>) -> Result<Tokens, Error> {
        let state = self.state();
        let tokens = match entry {
            Some((version, record)) => state.keeper.settled_tokens(Entry { version, record })?,
            None => state.keeper.tokens().map(|tokens| (**tokens).clone()),
        };
        tokens.ok_or_else(|| Misuse::NoRefreshToken.into())
    }

    /// Adopts a record that the store pushed.
    ///
    /// # Errors
    /// `stored.*` for a record that cannot be read, or belongs to another grant.
    pub fn learn(&self, at: &Moment, version: u64, record: Secret<String>) -> Result<(), Error> {
        self.state().keeper.learn(at, Entry { version, record })
    }

    /// The newest tokens, valid or not.
    pub fn tokens(&self) -> Option<Arc<Tokens>> {
        self.state().keeper.tokens().cloned()
    }

    /// Whether the store has the newest tokens.
    pub fn is_stored(&self) -> bool {
        self.state().keeper.is_stored()
    }

    /// Whether the record is loaded only to be replaced by a new login.
    pub fn is_saving_login(&self) -> bool {
        self.state().keeper.is_saving_login()
    }

    /// The standing of the grant: `good`, `suspect` or `ended`.
    pub fn standing(&self) -> &'static str {
        match self.state().keeper.status() {
            GrantStatus::Good => "good",
            GrantStatus::Suspect => "suspect",
            GrantStatus::Ended => "ended",
        }
    }

    /// Why the last attempt failed, if it did.
    pub fn last_error(&self) -> Option<Error> {
        self.state().keeper.last_error().cloned()
    }

    /// The lease to extend while the exchange of [`Task::Run`] runs: its holder, its duration, and how often to extend
    /// it. `None` if no lease is held.
    pub fn lease_extension(&self) -> Option<(String, Duration, Duration)> {
        let extension = self.state().keeper.lease_extension()?;
        Some((extension.holder, extension.ttl, extension.every))
    }

    /// How long to wait before unsaved tokens are saved again; `None` if there are none.
    /// Then call [`Self::save_again`].
    pub fn retry_after(&self, at: &Moment) -> Option<Duration> {
        self.state().keeper.retry_after(at.now())
    }

    /// Begins to save unsaved tokens: continue with [`Self::begin`]. `false` if there are
    /// none, or a renewal is in progress.
    pub fn save_again(&self) -> bool {
        self.state().keeper.save_again()
    }

    /// How long to wait before [`Self::upkeep`] returns something; `None` if it never will, or while a renewal is under
    /// way. Ask again after each renewal, and after each upkeep.
    pub fn upkeep_after(&self, at: &Moment) -> Option<Duration> {
        self.state().keeper.upkeep_after(at.now())
    }

    /// The upkeep that is due without a caller: [`Upkeep::Renew`] is a renewal to begin, for which no
    /// caller waits.
    pub fn upkeep(&self, at: &Moment) -> Option<Upkeep> {
        self.state().keeper.upkeep(at.now())
    }

    /// Begins no renewal from now on, for a host that is shutting down.
    pub fn drain(&self) {
        self.state().keeper.drain();
    }

    /// Records that the host abandons a renewal.
    pub fn abandon(&self, at: &Moment) {
        let mut state = self.state();
        state.flight = None;
        state.keeper.abandon(at);
    }

    /// A complete renewal as one exchange, instead of [`Self::begin`] and the tasks that follow: for a grant that is
    /// not shared, whose renewal needs only requests. It ends with the tokens, or with `misuse.setup` if the grant is
    /// shared. If it is dropped before its end, it is [abandoned](Self::abandon).
    pub fn renewal(self: &Arc<Self>, at: &Moment) -> ErasedExchange {
        ErasedExchange::new(Renewal::new(Arc::clone(self), at.clone()))
    }

    /// Begins a renewal, and returns its first task.
    ///
    /// # Errors
    /// An error ends the renewal for all callers that wait; this applies to all methods that follow.
    pub fn begin(&self, at: &Moment) -> Result<Task, Error> {
        self.step(at, Event::Begin)
    }

    /// Continues with the record and its version, if there is one.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn loaded(&self, at: &Moment, entry: Option<(u64, Secret<String>)>) -> Result<Task, Error> {
        let entry = entry.map(|(version, record)| Entry { version, record });
        self.step(at, Event::Loaded(entry))
    }

    /// Continues with the remaining time of another worker's lease; `None` if the lease was acquired or released.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn leased(&self, at: &Moment, held: Option<Duration>) -> Result<Task, Error> {
        self.step(at, Event::Leased(held.map_or(Lease::Won, Lease::Held)))
    }

    /// Continues with the new version, or `None` if the record was at another one.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn saved(&self, at: &Moment, version: Option<u64>) -> Result<Task, Error> {
        self.step(
            at,
            Event::Saved(version.map_or(SaveOutcome::Conflict, SaveOutcome::At)),
        )
    }

    /// Continues after the exchange has ended, or was dropped.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn completed(&self, at: &Moment) -> Result<Task, Error> {
        let flight = self.state().flight.take();
        let outcome = flight.and_then(|flight| lock(&flight).take());
        let dropped = || {
            Err(Error::lost(Cause::unknown_as(
                "the token request was given up",
            )))
        };
        self.step(at, Event::Completed(outcome.unwrap_or_else(dropped)))
    }

    /// Continues after the pause.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn elapsed(&self, at: &Moment) -> Result<Task, Error> {
        self.step(at, Event::Elapsed)
    }

    /// Continues after the store failed for this reason; the step may or may not have taken effect.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn failed(&self, at: &Moment, reason: &str) -> Result<Task, Error> {
        let error = Error::lost(Cause::unknown_as(reason)).at_endpoint(STORE);
        self.step(at, Event::Failed(error))
    }

    /// Continues after the store returned this error; see [`store_error`].
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn failed_with(&self, at: &Moment, error: Error) -> Result<Task, Error> {
        self.step(at, Event::Failed(store_error(error)))
    }

    fn step(&self, at: &Moment, event: Event) -> Result<Task, Error> {
        let mut state = self.state();
        Ok(match state.keeper.resume(at, event) {
            keeper::Step::Load => Task::Load,
            keeper::Step::Lease { holder, ttl } => Task::Lease { holder, ttl },
            keeper::Step::Save {
                record,
                version,
                due,
                until,
            } => Task::Save {
                record,
                version,
                due,
                until,
            },
            keeper::Step::Run(exchange) => {
                let flight = ExchangeResult::default();
                state.flight = Some(Arc::clone(&flight));
                Task::Run(ErasedExchange::new(ReportingExchange { exchange, flight }))
            }
            keeper::Step::Wait(pause) => Task::Wait(pause),
            keeper::Step::Done(outcome) => Task::Over(outcome?),
        })
    }

    pub(crate) fn resume(&self, at: &Moment, event: Event) -> keeper::Step {
        self.state().keeper.resume(at, event)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// No code that could panic halfway runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().keeper.fmt(f)
    }
}

/// A token request that reports its result to the keeper itself: no error and no token
/// has to pass through another language.
struct ReportingExchange {
    exchange: Boxed<Tokens>,
    flight: ExchangeResult,
}

impl Exchange for ReportingExchange {
    type Output = Tokens;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Tokens>, Error> {
        let step = self.exchange.resume(at, input);
        let outcome = match &step {
            Ok(Step::Done(tokens)) => Ok(tokens.clone()),
            Ok(_) => return step,
            Err(error) => Err(error.clone()),
        };
        *lock(&self.flight) = Some(outcome);
        step
    }
}
