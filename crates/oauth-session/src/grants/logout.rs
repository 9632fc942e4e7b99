//! Logs a grant out: revokes its tokens and removes its record. The user is logged out at the server by
//! `flow/logout.rs` of oauth-core.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Error;
use oauth_core::exchange::ExchangeExt as _;
use oauth_core::flow::keeper::GrantId;
use oauth_core::server::EndpointKind;
use oauth_core::{Secret, Tokens};

use super::Grants;
use super::step_ups::{EndSelection, Found, MAX_SAVE_ATTEMPTS, contended};
use crate::grant_source::GrantSource;
use crate::hold::HeldLease;
use crate::store::{RecordTimes, SaveOutcome};

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

    /// Ends this one grant only; a login of this worker that is not stored yet ends, too.
    pub(super) async fn end(&self, id: &GrantId) -> Result<(), Error> {
        let session = self.get(id);
        let key = session.key().unwrap_or_default().to_owned();
        let store = &self.0.store;
        // Before the store is needed: it may be why the login is not stored.
        let mut revoked = self.revoke(session.end_unsaved_login()?).await;
        let lease = self.exclude_renewals(&session, &key).await?;
        // One that came while the lease was waited for.
        let unsaved = session.end_unsaved_login()?;
        revoked = revoked.and(self.revoke(unsaved).await);
        revoked = match session.refresh_from(&**store, &key).await {
            Ok(()) => revoked.and(self.revoke(session.latest()).await),
            error => revoked.and(error),
        };
        let removal = store.remove(&key).await;
        drop(lease);
        session.refresh_from(&**store, &key).await?;
        removal?;
        revoked
    }

    /// Ends the grant that was found under this id, and none of a later login. Returns whether it is the one that was
    /// there.
    ///
    /// # Errors
    /// That of the revocation: the record is removed anyway. Those of the store.
    pub(super) async fn end_found(&self, id: &GrantId, found: &Found) -> Result<bool, Error> {
        let session = self.get(id);
        let key = session.key().unwrap_or_default().to_owned();
        let store = &self.0.store;
        let lease = match found {
            Found::Nothing => None,
            _ => Some(self.exclude_renewals(&session, &key).await?),
        };
        let mut revoked = None;
        for _ in 0..MAX_SAVE_ATTEMPTS {
            let entry = store.load(&key).await?;
            let version = entry.as_ref().map_or(0, |entry| entry.version);
            if Found::of(entry.as_ref()) != *found {
                return Ok(false);
            }
            if let (None, Some(entry)) = (&revoked, entry) {
                revoked = Some(match session.adopt(entry) {
                    Ok(()) => self.revoke(session.latest()).await,
                    error => error,
                });
            }
            let tombstone = Secret::new(String::new());
            let saved = store
                .save(&key, &tombstone, version, RecordTimes::NONE)
                .await?;
            if let SaveOutcome::At(_) = saved {
                drop(lease);
                session.refresh_from(&**store, &key).await?;
                return revoked.unwrap_or(Ok(())).map(|()| true);
            }
        }
        Err(contended())
    }

    /// The lease of the grant, after a renewal under way.
    async fn exclude_renewals(&self, session: &GrantSource, key: &str) -> Result<HeldLease, Error> {
        let limit = self.0.driver.longest() + RENEWAL_MARGIN;
        session.hold_lease(&self.0.store, key, limit).await
    }

    async fn revoke(&self, tokens: Option<Arc<Tokens>>) -> Result<(), Error> {
        let Some(tokens) = tokens else {
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
