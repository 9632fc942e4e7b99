//! Logs a grant out: revokes its tokens and removes its record. The step-ups beside it in a pool are ended by
//! `grants/logout.rs`, and the user is logged out at the server by `flow/logout.rs` of oauth-core.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::Error;
use oauth_core::exchange::ExchangeExt as _;
use tokio::time::timeout;

use super::{GrantSource, Shared, SharedRenewal, wait_for_outcome};
use crate::hold::{HeldLease, contended};
use crate::runtime;
use crate::store::{Answer, Store};

/// The time beyond the longest request for which a renewal under way is waited for.
const RENEWAL_MARGIN: Duration = Duration::from_secs(15);

/// The logout of a source's grant by its pool; `None` once the pool is gone.
pub(crate) type PoolLogout = Box<dyn Fn() -> Option<Answer<'static, ()>> + Send + Sync>;

impl GrantSource {
    /// Logs the grant out: waits for a renewal under way, revokes the tokens (RFC 7009), and removes the record from the
    /// store, if there is one. Later callers get `grant.no_refresh_token`, with the advice to log in again. Workers that
    /// still have the tokens notice at their next read of the store, and use them at most until they are stale.
    ///
    /// A source of [`Grants`](crate::Grants) does what [`Grants::log_out`](crate::Grants::log_out) does with its grant,
    /// as long as the pool exists. One that needs no user, as with client credentials, requests a new token when it is
    /// asked for one again.
    ///
    /// # Errors
    /// The revocation's error, if the tokens could not be revoked: the record is removed anyway. `lost` at endpoint
    /// `store` if the record could not be removed; `lost.unsent` if a renewal does not end. A server without a revocation
    /// endpoint is not an error.
    pub async fn log_out(&self) -> Result<(), Error> {
        match self.0.pool_logout.as_ref().and_then(|log_out| log_out()) {
            Some(logout) => logout.await,
            None => self.end().await,
        }
    }

    /// Ends this grant, and none beside it; a login of this worker that is not stored yet ends, too.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        let Some(Shared { store, key }) = &self.0.shared else {
            return self.end_local_login().await;
        };
        // Before the store is needed: it may be why the login is not stored.
        let mut revoked = self.revoke(self.end_unsaved_login()?).await;
        let lease = self.exclude_renewals(store, key).await?;
        // One that came while the lease was waited for.
        let unsaved = self.end_unsaved_login()?;
        revoked = revoked.and(self.revoke(unsaved).await);
        revoked = match self.refresh_from(&**store, key).await {
            Ok(()) => revoked.and(self.revoke(self.latest()).await),
            error => revoked.and(error),
        };
        let removal = store.remove(key).await;
        drop(lease);
        self.refresh_from(&**store, key).await?;
        removal?;
        revoked
    }

    /// Ends the login of a grant without a store.
    async fn end_local_login(&self) -> Result<(), Error> {
        runtime::current()?;
        let ended = async {
            loop {
                // Another use of the refresh token ends first.
                let in_use = self.0.local_use.lock().await;
                let renewal = match self.end_unless_renewing()? {
                    Ok(ended) => return Ok::<_, Error>(ended),
                    Err(renewal) => renewal,
                };
                drop(in_use);
                // Its callers get its outcome.
                let _ = wait_for_outcome(&renewal).await;
            }
        };
        let ended = timeout(self.longest_wait(), ended).await;
        self.revoke(ended.map_err(|_| contended())??).await
    }

    /// Ends the login, or returns the renewal under way. Under one lock, so that no renewal begins in between.
    fn end_unless_renewing(&self) -> Result<Result<Option<Arc<Tokens>>, SharedRenewal>, Error> {
        let at = crate::clock::moment()?;
        let mut state = self.0.state();
        if let Some(renewal) = &state.renewal {
            return Ok(Err(Arc::clone(renewal)));
        }
        let ended = state.keeper.end_unsaved_login(&at);
        self.0.publish(&state);
        Ok(Ok(ended))
    }

    /// The lease of the grant, after a renewal under way.
    pub(crate) async fn exclude_renewals(
        &self,
        store: &Arc<dyn Store>,
        key: &str,
    ) -> Result<HeldLease, Error> {
        self.hold_lease(store, key, self.longest_wait()).await
    }

    fn longest_wait(&self) -> Duration {
        self.0.driver.longest() + RENEWAL_MARGIN
    }

    pub(crate) async fn revoke(&self, tokens: Option<Arc<Tokens>>) -> Result<(), Error> {
        let revocation = tokens.and_then(|tokens| self.0.state().keeper.revocation(&tokens));
        match revocation {
            Some(revocation) => self.0.driver.revoke(revocation.boxed()).await,
            None => Ok(()),
        }
    }
}
