//! Logs a grant out, and those of step-ups beside it. One grant is ended by `grant_source/logout.rs`.

use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::flow::keeper::GrantId;

use super::Grants;
use super::step_ups::{EndSelection, Found, MAX_SAVE_ATTEMPTS, contended};
use crate::grant_source::PoolLogout;
use crate::store::{RecordTimes, SaveOutcome};

impl Grants {
    /// The logout of a grant by its source, which does not keep the pool alive.
    pub(super) fn logout_of(&self, id: &GrantId) -> PoolLogout {
        let (pool, id) = (Arc::downgrade(&self.0), id.clone());
        Box::new(move || {
            let (grants, id) = (Self(pool.upgrade()?), id.clone());
            Some(Box::pin(async move { grants.log_out(&id).await }))
        })
    }

    /// Logs a grant out: waits for a renewal under way, revokes the tokens (RFC 7009), and removes the record. Workers
    /// that still have the tokens notice at their next read of the store, and use them at most until they are stale.
    /// With a user's ordinary grant, those of step-ups end too; one of a step-up ends alone.
    ///
    /// # Errors
    /// The revocation's error, if the tokens could not be revoked: the record is removed anyway. `lost` at endpoint
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
        self.get(id).end().await
    }

    /// Ends the grant that was found under this id, and none of a later login. Returns whether it is the one that was
    /// there.
    ///
    /// # Errors
    /// The error of the revocation: the record is removed anyway. The errors of the store.
    pub(super) async fn end_found(&self, id: &GrantId, found: &Found) -> Result<bool, Error> {
        let session = self.get(id);
        let key = session.key().unwrap_or_default().to_owned();
        let store = &self.0.store;
        let lease = match found {
            Found::Nothing => None,
            _ => Some(session.exclude_renewals(store, &key).await?),
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
                    Ok(()) => session.revoke(session.latest()).await,
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
}
