//! A token that stays fresh, for all tasks of this process.

#[doc(hidden)]
pub mod keeper;

use std::fmt;
use std::sync::Arc;

use oauth_core::error::{Cause, Error};
use oauth_core::exchange::Boxed;
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Scope, Tokens};
use tokio::sync::watch;

use crate::driver::Driver;
use keeper::{Flight, Keeper, Landing, Outcome, Shared, Turn};

/// One grant, kept fresh. Cheap to clone: clones share the token.
///
/// A fresh token is handed out at once. When it is stale, the first caller starts one token
/// request and all others wait for the result of that one. The request runs in a task of its own
/// on the runtime of the caller who started it: it is finished and its result kept even if every
/// caller has gone, so a rotated refresh token is never lost to a timeout around
/// [`token`](Self::token).
///
/// A token is stale 30 seconds before its end, or a tenth of its lifetime if that is less. One
/// without a lifetime stays until [`renew`](Self::renew) or [`invalidate`](Self::invalidate).
///
/// An error goes to everyone who waited for that request; the next caller starts another. Only
/// when the server has ended a grant that was being refreshed (`denied.invalid_grant`,
/// [`Advice::Reauthorize`](oauth_core::error::Advice)) do later callers get the same error without
/// another request: a person has to log in again.
///
/// Use a source on one runtime: a request stands still while the runtime that carries it does, as a
/// `current_thread` one does between two calls of `block_on`.
///
/// Other processes that hold the same refresh token are not known here: with a server that rotates
/// refresh tokens, give each process a grant of its own.
#[derive(Clone)]
pub struct TokenSource {
    driver: Driver,
    shared: Arc<Shared<Waiting>>,
}

impl TokenSource {
    /// Tokens for the client itself. An empty scope leaves it to the server.
    pub fn client_credentials(driver: Driver, client: Client, scope: Scope) -> Self {
        Self::of(driver, Keeper::client_credentials(client, scope))
    }

    /// Tokens of a person, from a login or from storage, renewed with their refresh token.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn refreshing(driver: Driver, client: Client, tokens: Tokens) -> Result<Self, Error> {
        Ok(Self::of(driver, Keeper::refreshing(client, tokens)?))
    }

    fn of(driver: Driver, keeper: Keeper<Waiting>) -> Self {
        Self {
            driver,
            shared: Arc::new(Shared::new(keeper)),
        }
    }

    /// Calls `hook` with new tokens before any caller sees them, so that they can be stored first.
    ///
    /// It runs inside the task that fetched them, and everyone waits for it: keep it short, and do
    /// not ask this source for a token in it. A source has one hook, the first; all clones share
    /// it.
    #[must_use]
    pub fn on_tokens(self, hook: impl Fn(&Arc<Tokens>) + Send + Sync + 'static) -> Self {
        self.shared.set_hook(hook);
        self
    }

    /// A token that is fresh now.
    ///
    /// # Errors
    /// Those of the token request, and `grant.no_refresh_token` if there is nothing to renew the
    /// token with.
    pub async fn token(&self) -> Result<Arc<Tokens>, Error> {
        self.ask(None).await
    }

    /// A token to take the place of one that the resource server refused.
    ///
    /// If another caller has replaced it already, the newer one is handed out without a request.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn renew(&self, dead: &Tokens) -> Result<Arc<Tokens>, Error> {
        self.ask(Some(dead)).await
    }

    /// Forgets exactly this token, for callers who do not want another one now.
    pub fn invalidate(&self, dead: &Tokens) {
        self.shared.bury(dead);
    }

    async fn ask(&self, dead: Option<&Tokens>) -> Result<Arc<Tokens>, Error> {
        let waiting = match self.shared.turn(UnixTime::system()?, dead) {
            Turn::Over(outcome) => return outcome,
            Turn::Follow(flight) => flight,
            Turn::Lead(flight, exchange) => {
                self.launch(flight.clone(), exchange);
                flight
            }
        };
        waiting.outcome().await
    }

    fn launch(&self, flight: Waiting, exchange: Boxed<Tokens>) {
        let landing = Landing::new(Arc::clone(&self.shared), flight);
        let driver = self.driver.clone();
        tokio::spawn(async move { landing.with(driver.run(exchange).await) });
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

/// What tasks wait on.
#[derive(Clone)]
struct Waiting(Arc<watch::Sender<Option<Outcome>>>);

impl Waiting {
    async fn outcome(&self) -> Outcome {
        let mut landed = self.0.subscribe();
        match landed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The sender is `self`, and what was waited for is `Some`.
            Ok(None) | Err(_) => Err(Error::lost(Cause::unknown("the flight never landed"))),
        }
    }
}

impl Flight for Waiting {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    fn land(&self, outcome: Outcome) {
        self.0.send_replace(Some(outcome));
    }
}
