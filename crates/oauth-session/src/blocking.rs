//! Grant sources for threads without an async runtime: one background thread runs the requests of all of them.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::flow::keeper::{GrantId, Keeper};
use oauth_core::grant::TokenRequest;
use oauth_core::{Client, Tokens};
use tokio::runtime::{Builder, Runtime};

use crate::source::{Token, TokenSource};
use crate::store::{Answer, Store};
use crate::{GrantSource as Shared, TokenDriver};

/// [`crate::GrantSource`] for threads: all threads that find the token expired wait for one request.
///
/// One thread, started on first use, runs all sessions of the process, so a request is finished and its tokens are
/// stored even if no caller waits any more. Not for use inside an async runtime.
#[derive(Clone)]
pub struct GrantSource(Shared);

impl GrantSource {
    /// A session for this process only, see [`crate::GrantSource::new`].
    pub fn new(driver: impl TokenDriver + 'static, keeper: Keeper) -> Self {
        Self(Shared::new(driver, keeper))
    }

    /// A session shared through a store, see [`crate::GrantSource::with_store`].
    pub fn with_store(
        driver: impl TokenDriver + 'static,
        keeper: Keeper,
        store: Arc<dyn Store>,
    ) -> Self {
        Self(Shared::with_store(driver, keeper, store))
    }

    /// A session for a grant of the client, shared through a store, see [`crate::GrantSource::for_grant`].
    pub fn for_grant(
        driver: impl TokenDriver + 'static,
        client: &Client,
        id: GrantId,
        store: Arc<dyn Store>,
    ) -> Self {
        Self(Shared::for_grant(driver, client, id, store))
    }

    /// A session for tokens of the client itself, see [`crate::GrantSource::client_credentials`].
    pub fn client_credentials(
        driver: impl TokenDriver + 'static,
        client: &Client,
        token_request: impl Into<TokenRequest>,
    ) -> Self {
        Self(Shared::client_credentials(driver, client, token_request))
    }

    /// A session for tokens of a user, see [`crate::GrantSource::refreshing`].
    ///
    /// # Errors
    /// The errors of [`crate::GrantSource::refreshing`].
    pub fn refreshing(
        driver: impl TokenDriver + 'static,
        client: &Client,
        tokens: Tokens,
    ) -> Result<Self, Error> {
        Shared::refreshing(driver, client, tokens).map(Self)
    }

    /// Calls `hook` with new tokens before any caller sees them, see [`crate::GrantSource::on_tokens`].
    #[must_use]
    pub fn on_tokens(
        self,
        hook: impl Fn(&Arc<Tokens>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.on_tokens(hook))
    }

    /// Returns a fresh token, and renews it first if necessary.
    ///
    /// # Errors
    /// The errors of [`crate::GrantSource::token`], and `misuse.setup` if no thread can be started.
    pub fn token(&self) -> Result<Token, Error> {
        match self.0.ready()? {
            Some(token) => Ok(token),
            None => wait(self.0.token())?,
        }
    }

    /// Returns a token in place of one that the resource server refused.
    ///
    /// # Errors
    /// The errors of [`token`](Self::token).
    pub fn renew(&self, refused: &Tokens) -> Result<Token, Error> {
        wait(self.0.renew(refused))?
    }

    /// Marks this token, and no other, as refused.
    pub fn invalidate(&self, refused: &Tokens) {
        self.0.invalidate(refused);
    }

    /// Adopts the tokens of a new login, and stores them.
    ///
    /// # Errors
    /// The errors of [`crate::GrantSource::log_in`].
    pub fn log_in(&self, tokens: Tokens) -> Result<(), Error> {
        wait(self.0.log_in(tokens))?
    }

    /// Logs the grant out, see [`crate::GrantSource::log_out`].
    ///
    /// # Errors
    /// The errors of [`crate::GrantSource::log_out`].
    pub fn log_out(&self) -> Result<(), Error> {
        wait(self.0.log_out())?
    }

    /// Shuts the session down gracefully.
    ///
    /// # Errors
    /// The errors of [`crate::GrantSource::drain`].
    pub fn drain(&self, limit: Duration) -> Result<(), Error> {
        wait(self.0.drain(limit))?
    }
}

impl fmt::Debug for GrantSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TokenSource for GrantSource {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        TokenSource::token(&self.0, refused)
    }

    fn refuse(&self, refused: &Tokens) {
        self.0.refuse(refused);
    }

    fn hold(&self, limit: Duration) -> Answer<'_, Option<crate::HeldTokens>> {
        TokenSource::hold(&self.0, limit)
    }
}

/// Shuts down all sessions of this process that are renewing or have unsaved tokens, see [`crate::drain_all`].
///
/// # Errors
/// The errors of [`crate::drain_all`], and `misuse.setup` if no thread can be started.
pub fn drain_all(limit: Duration) -> Result<(), Error> {
    wait(crate::drain_all(limit))?
}

/// Waits for the token of any source.
///
/// # Errors
/// `misuse.setup` if no thread can be started.
pub fn wait<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    Ok(runtime()?.block_on(future))
}

fn runtime() -> Result<&'static Runtime, Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("oauth-session")
        .enable_all()
        .build()
        .map_err(|error| Error::from(Misuse::Setup).caused_by(Cause::unsent(error)))?;
    Ok(RUNTIME.get_or_init(|| runtime))
}
