//! Logs a grant out: revokes its tokens and removes its record. The user is logged out at the server by
//! `flow/logout.rs` of oauth-core.

use std::time::Duration;

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Error;
use oauth_core::exchange::ExchangeExt as _;
use oauth_core::flow::keeper::GrantId;
use oauth_core::server::EndpointKind;

use super::Grants;
use super::step_ups::EndSelection;
use crate::grant_source::GrantSource;

/// The time beyond the longest request for which a renewal under way is waited for.
const RENEWAL_MARGIN: Duration = Duration::from_secs(15);

impl Grants {
    /// Logs a grant out: waits for a renewal under way, revokes the tokens (RFC 7009), and removes the record. Workers
    /// that still have the tokens notice at their next read of the store, and use them at most until they are stale.
    /// With a user's ordinary grant, those of step-ups end too; one of a step-up ends alone.
    ///
    /// # Errors
    /// That of the revocation, if the tokens could not be revoked: the record is removed anyway. `lost` at endpoint
    /// `store` if the record could not be removed. A server without a revocation endpoint is not an error.
    pub async fn log_out(&self, id: &GrantId) -> Result<(), Error> {
        let ending = id
            .step_up
            .as_ref()
            .map_or(EndSelection::All, EndSelection::One);
        let step_ups_ended = self.end_beside(id, ending).await;
        let outcome = self.end(id).await.and(step_ups_ended);
        // Ends a login that was being stored in the meantime.
        let ended_late = self.end_beside(id, ending).await;
        outcome.and(ended_late)
    }

    /// Ends one grant, without its step-up grants.
    pub(super) async fn end(&self, id: &GrantId) -> Result<(), Error> {
        let session = self.get(id);
        let key = session.key().unwrap_or_default().to_owned();
        let store = &self.0.store;
        let limit = self.0.driver.longest() + RENEWAL_MARGIN;
        let lease = session.hold_lease(store, &key, limit).await?;
        let revoked = self.revoke(&session, &key).await;
        let removal = store.remove(&key).await;
        drop(lease);
        session.refresh_from(&**store, &key).await?;
        removal?;
        revoked
    }

    async fn revoke(&self, session: &GrantSource, key: &str) -> Result<(), Error> {
        session.refresh_from(&*self.0.store, key).await?;
        let Some(tokens) = session.latest() else {
            return Ok(());
        };
        let server = self.0.client.server();
        if server.endpoint(EndpointKind::Revocation).is_err() {
            return Ok(());
        }
        let exchange = self
            .0
            .client
            .revoke(Revocation::from_tokens(&tokens))
            .boxed();
        self.0.driver.revoke(exchange).await
    }
}
