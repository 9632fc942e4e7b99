//! Who gets which token, and who fetches a new one: decided here, once, for async and blocking.
//!
//! No I/O and no waiting happens in this file. A flight is one token request; its handle `F` is
//! whatever the callers of one flavour wait on.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use oauth_core::error::{Advice, Cause, Error, Misuse};
use oauth_core::exchange::{Boxed, ExchangeExt as _};
use oauth_core::moment::UnixTime;
use oauth_core::token::Freshness;
use oauth_core::{Client, Scope, Tokens};

/// A token is renewed this long before its end, or a tenth of its lifetime if that is less.
const LEEWAY: Duration = Duration::from_secs(30);

pub type Outcome = Result<Arc<Tokens>, Error>;

/// What the callers of one flight wait on.
pub trait Flight: Clone {
    fn new() -> Self;
    /// Tells every follower, now and later.
    fn land(&self, outcome: Outcome);
}

/// What one caller is to do.
pub enum Turn<F> {
    /// Nothing more: this is the answer.
    Over(Outcome),
    /// Wait for the flight that is under way.
    Follow(F),
    /// Run this exchange, and land the flight with its result.
    Lead(F, Boxed<Tokens>),
}

/// One grant: how it is renewed, what is held of it, and the flight under way.
pub struct Keeper<F> {
    client: Client,
    way: Way,
    held: Held,
    flight: Option<F>,
}

enum Way {
    ClientCredentials(Scope),
    Refresh,
}

enum Held {
    Nothing,
    /// Handed out for as long as it is fresh.
    Live(Arc<Tokens>),
    /// Known not to work, whatever its lifetime says.
    Dead(Arc<Tokens>),
    /// The server has ended the grant: asking again changes nothing.
    Over(Error),
}

impl<F: Flight> Keeper<F> {
    pub const fn client_credentials(client: Client, scope: Scope) -> Self {
        Self {
            client,
            way: Way::ClientCredentials(scope),
            held: Held::Nothing,
            flight: None,
        }
    }

    /// Tokens of another server or client are refused: they must not be sent to this one.
    pub fn refreshing(client: Client, tokens: Tokens) -> Result<Self, Error> {
        client.check_owner(&tokens)?;
        Ok(Self {
            client,
            way: Way::Refresh,
            held: Held::Live(Arc::new(tokens)),
            flight: None,
        })
    }

    /// One caller asks for a token.
    fn turn(&mut self, now: UnixTime) -> Turn<F> {
        match &self.held {
            Held::Over(error) => return Turn::Over(Err(error.clone())),
            Held::Live(tokens) if is_fresh(tokens, now) => {
                return Turn::Over(Ok(Arc::clone(tokens)));
            }
            Held::Nothing | Held::Live(_) | Held::Dead(_) => {}
        }
        if let Some(flight) = &self.flight {
            return Turn::Follow(flight.clone());
        }
        match self.exchange() {
            Ok(exchange) => {
                let flight = F::new();
                self.flight = Some(flight.clone());
                Turn::Lead(flight, exchange)
            }
            Err(error) => Turn::Over(Err(error)),
        }
    }

    /// Ends exactly this token: one that has taken its place meanwhile lives on.
    fn bury(&mut self, dead: &Tokens) {
        match &self.held {
            Held::Live(live) if live.access_token.matches(dead.access_token.expose()) => {
                self.held = Held::Dead(Arc::clone(live));
            }
            _ => {}
        }
    }

    fn exchange(&self) -> Result<Boxed<Tokens>, Error> {
        match (&self.way, &self.held) {
            (Way::ClientCredentials(scope), _) => {
                Ok(self.client.client_credentials(scope.clone()).boxed())
            }
            (Way::Refresh, Held::Live(tokens) | Held::Dead(tokens)) => {
                let token = tokens.refresh_token.as_ref();
                let token = token.ok_or(Misuse::NoRefreshToken)?;
                Ok(self.client.refresh(token).boxed())
            }
            (Way::Refresh, Held::Nothing | Held::Over(_)) => Err(Misuse::NoRefreshToken.into()),
        }
    }

    fn land(&mut self, outcome: &Outcome) {
        self.flight = None;
        match (outcome, &self.way) {
            (Ok(tokens), _) => self.held = Held::Live(Arc::clone(tokens)),
            // `invalid_grant` and its like: the refresh token is spent, revoked or expired.
            (Err(error), Way::Refresh) if error.advice() == Advice::Reauthorize => {
                self.held = Held::Over(error.clone());
            }
            (Err(_), _) => {}
        }
    }
}

/// Without a named lifetime only a 401 tells that a token has ended.
fn is_fresh(tokens: &Tokens, now: UnixTime) -> bool {
    let lifetime = Duration::from_secs(tokens.expires_in.unwrap_or_default());
    tokens.freshness(now, LEEWAY.min(lifetime / 10)) != Freshness::Stale
}

type Hook = Box<dyn Fn(&Arc<Tokens>) + Send + Sync>;

/// A keeper for many callers at once. The lock is held for decisions only, never across a wait.
pub struct Shared<F: Flight> {
    keeper: Mutex<Keeper<F>>,
    on_tokens: OnceLock<Hook>,
}

impl<F: Flight> Shared<F> {
    pub const fn new(keeper: Keeper<F>) -> Self {
        Self {
            keeper: Mutex::new(keeper),
            on_tokens: OnceLock::new(),
        }
    }

    /// The first hook stays.
    pub fn set_hook(&self, hook: impl Fn(&Arc<Tokens>) + Send + Sync + 'static) {
        let _ = self.on_tokens.set(Box::new(hook));
    }

    /// One caller asks for a token, knowing perhaps of one that is dead.
    pub fn turn(&self, now: UnixTime, dead: Option<&Tokens>) -> Turn<F> {
        let mut keeper = self.keeper();
        if let Some(dead) = dead {
            keeper.bury(dead);
        }
        keeper.turn(now)
    }

    pub fn bury(&self, dead: &Tokens) {
        self.keeper().bury(dead);
    }

    /// No code that could panic half-way runs under the lock.
    fn keeper(&self) -> MutexGuard<'_, Keeper<F>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight's way back, which cannot be missed: it lands when this is dropped, be it by a panic
/// or by the end of a runtime.
pub struct Landing<F: Flight> {
    shared: Arc<Shared<F>>,
    flight: F,
    outcome: Outcome,
}

impl<F: Flight> Landing<F> {
    pub fn new(shared: Arc<Shared<F>>, flight: F) -> Self {
        let lost = Cause::unknown("the task or thread that fetched the token was stopped");
        Self {
            shared,
            flight,
            outcome: Err(Error::lost(lost)),
        }
    }

    /// The hook sees new tokens before anyone else does. If it panics, the tokens land all the
    /// same: a rotated refresh token that nobody holds is a grant lost.
    pub fn with(mut self, result: Result<Tokens, Error>) {
        self.outcome = result.map(Arc::new);
        if let (Ok(tokens), Some(hook)) = (&self.outcome, self.shared.on_tokens.get()) {
            hook(tokens);
        }
    }
}

impl<F: Flight> Drop for Landing<F> {
    fn drop(&mut self) {
        self.shared.keeper().land(&self.outcome);
        self.flight.land(self.outcome.clone());
    }
}

#[cfg(test)]
mod tests;
