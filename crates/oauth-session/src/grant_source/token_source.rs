//! A grant as a source of tokens: what is known of it, and its refresh token for use outside a renewal.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::keeper::GrantStatus;
use tokio::time::timeout;

use super::{GrantSource, Shared};
use crate::clock;
use crate::hold::{HeldLease, HeldTokens, contended, lock_for};
use crate::observe::GrantEvent;
use crate::source::{Token, TokenSource};
use crate::store::{Answer, ENDPOINT, Store};

impl GrantSource {
    /// The name of the record in the store, if there is one.
    pub fn key(&self) -> Option<&str> {
        self.0.shared.as_ref().map(|shared| shared.key.as_str())
    }

    /// The error of the last attempt, if it failed. Callers do not get it while their token is valid.
    pub fn last_error(&self) -> Option<Error> {
        self.0.state().keeper.last_error().cloned()
    }

    /// The newest tokens, valid or not.
    pub fn latest(&self) -> Option<Arc<Tokens>> {
        self.0.state().keeper.tokens().cloned()
    }

    /// The latest tokens of the grant, which no worker renews until the [`HeldTokens`] is dropped, or `limit` has
    /// passed: to use the refresh token outside a renewal. It waits for a renewal under way. With a store, the lease is
    /// short, and extended meanwhile: if this worker is killed, others renew the grant after
    /// [`Policy::lease`](oauth_core::flow::keeper::Policy::lease).
    ///
    /// # Errors
    /// `grant.no_refresh_token` if there are no tokens; `lost.unsent` if a worker has gone away in the middle of a
    /// renewal, which may have used the refresh token; those of the store.
    pub async fn hold(&self, limit: Duration) -> Result<HeldTokens, Error> {
        let none = || Error::from(Misuse::NoRefreshToken);
        let Some(Shared { store, key }) = &self.0.shared else {
            let lock = Arc::clone(&self.0.local_use).lock_owned();
            let guard = timeout(limit, lock).await.map_err(|_| contended())?;
            let status = self.0.state().keeper.status();
            let tokens = self.latest().filter(|_| status != GrantStatus::Ended);
            let tokens = tokens.ok_or_else(none)?;
            return Ok(HeldTokens::until_dropped(tokens, lock_for(guard, limit)?));
        };
        let lease = self.hold_lease(store, key, limit).await?;
        let entry = store.load(key).await?;
        let stored = entry.map(|entry| self.0.state().keeper.settled_tokens(entry));
        let tokens = match stored {
            Some(stored) => stored?.map(Arc::new),
            None => self.latest(),
        };
        let tokens = tokens.ok_or_else(none)?;
        Ok(HeldTokens::until_dropped(tokens, lease))
    }
}

impl GrantSource {
    /// The lease of the grant, extended until it is dropped, for at most `limit`.
    pub(crate) async fn hold_lease(
        &self,
        store: &Arc<dyn Store>,
        key: &str,
        limit: Duration,
    ) -> Result<HeldLease, Error> {
        let holder = clock::moment()?.ticket()?;
        let lease = self.0.state().keeper.lease_for(holder);
        let session = Arc::clone(&self.0);
        let lost = move || session.notify(&GrantEvent::LeaseLost);
        let held_lease = HeldLease::take(store, key, lease, (limit, limit), lost).await?;
        held_lease.ok_or_else(|| contended().at_endpoint(ENDPOINT))
    }
}

impl TokenSource for GrantSource {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        match (refused, self.ready()) {
            (None, Ok(Some(token))) => Box::pin(std::future::ready(Ok(token))),
            (None, Err(error)) => Box::pin(std::future::ready(Err(error))),
            _ => Box::pin(self.request_token(refused)),
        }
    }

    fn refuse(&self, refused: &Tokens) {
        self.invalidate(refused);
    }

    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        Box::pin(async move { GrantSource::hold(self, limit).await.map(Some) })
    }
}
