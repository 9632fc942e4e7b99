//! A token that stays fresh, for all threads of this process.

use std::fmt;
use std::sync::{Arc, OnceLock};

use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Scope, Tokens};

use super::Driver;
use crate::source::keeper::{Flight, Keeper, Landing, Outcome, Shared, Turn};

/// One grant, kept fresh: the same promises as [`crate::TokenSource`], for threads.
///
/// The thread that finds the token stale makes the request itself, and the others sleep until it
/// has the result. There is nobody to cancel a thread, so the request is always finished; should
/// its thread panic in the hook, the others get the tokens all the same.
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
    /// It must not ask this source for a token: it would wait for itself. A source has one hook,
    /// the first; all clones share it.
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
    pub fn token(&self) -> Result<Arc<Tokens>, Error> {
        self.ask(None)
    }

    /// A token to take the place of one that the resource server refused.
    ///
    /// If another caller has replaced it already, the newer one is handed out without a request.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn renew(&self, dead: &Tokens) -> Result<Arc<Tokens>, Error> {
        self.ask(Some(dead))
    }

    /// Forgets exactly this token, for callers who do not want another one now.
    pub fn invalidate(&self, dead: &Tokens) {
        self.shared.bury(dead);
    }

    fn ask(&self, dead: Option<&Tokens>) -> Result<Arc<Tokens>, Error> {
        match self.shared.turn(UnixTime::system()?, dead) {
            Turn::Over(outcome) => outcome,
            Turn::Follow(flight) => flight.wait().clone(),
            Turn::Lead(flight, exchange) => {
                let landing = Landing::new(Arc::clone(&self.shared), Arc::clone(&flight));
                landing.with(self.driver.run(exchange));
                flight.wait().clone()
            }
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

/// What threads wait on.
type Waiting = Arc<OnceLock<Outcome>>;

impl Flight for Waiting {
    fn new() -> Self {
        Self::default()
    }

    fn land(&self, outcome: Outcome) {
        // A flight lands once.
        let _ = self.set(outcome);
    }
}
