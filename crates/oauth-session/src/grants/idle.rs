//! Renews idle grants, whose refresh tokens would expire unused.

use std::collections::BTreeSet;
use std::time::Duration;

use oauth_core::error::{Cause, Error};
use oauth_core::moment::UnixTime;

use super::Grants;
use crate::clock;

/// The number of keys requested from the store at once.
const PAGE_KEYS: usize = 100;

/// The number of grants renewed concurrently.
const CONCURRENT_RENEWALS: usize = 8;

/// The result of [`Grants::renew_idle`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct IdleRenewalReport {
    /// The number of grants renewed, here or by another worker in the meantime.
    pub renewed: usize,
    /// The grants that could not be renewed, by the keys of their records.
    pub failed: Vec<(String, Error)>,
}

/// Why an idle grant is renewed.
#[derive(Debug, Clone, Copy)]
enum RenewalReason {
    /// The access token expired long ago.
    Token,
    /// The unused refresh token is about to expire.
    KeptAlive,
}

fn stopped_error() -> Error {
    Error::lost(Cause::unknown("the task that renews was stopped"))
}

impl Grants {
    /// Renews the grants of this client whose access token expired so long ago that they cannot have been
    /// used since: with many servers, a refresh token expires if it is not used for some weeks. One pass
    /// over the keys that are due in the store; call it periodically, from any number of workers.
    ///
    /// With [`Policy::keep_alive`](oauth_core::flow::keeper::Policy::keep_alive), it also renews those whose server
    /// says when an unused refresh token expires, if that is soon. A session in memory does so itself; this covers all
    /// others.
    ///
    /// # Errors
    /// `misuse.not_supported` for a store that cannot list due records; `lost` at endpoint `store`.
    pub async fn renew_idle(&self, unused: Duration) -> Result<IdleRenewalReport, Error> {
        let now = clock::now()?;
        let mut idle = IdleRenewalReport::default();
        self.renew_due(now.before(unused), RenewalReason::Token, &mut idle)
            .await?;
        if self.0.options.policy.keep_alive.is_some() {
            self.renew_due(now, RenewalReason::KeptAlive, &mut idle)
                .await?;
        }
        Ok(idle)
    }

    /// Renews the grants whose records are due in the store before this time, once each.
    async fn renew_due(
        &self,
        before: UnixTime,
        reason: RenewalReason,
        idle: &mut IdleRenewalReport,
    ) -> Result<(), Error> {
        let mut seen_keys = BTreeSet::new();
        loop {
            // Records whose renewal failed are still due, and are listed first.
            let due_keys = self
                .0
                .store
                .due(before, PAGE_KEYS + seen_keys.len())
                .await?;
            let new_keys: Vec<String> = due_keys
                .into_iter()
                .filter(|key| seen_keys.insert(key.clone()))
                .collect();
            if new_keys.is_empty() {
                return Ok(());
            }
            for some in new_keys.chunks(CONCURRENT_RENEWALS) {
                let tasks = some.iter().map(|key| {
                    let (session, key) = (self.clone(), key.clone());
                    tokio::spawn(async move { session.renew_one(&key, reason).await })
                });
                let tasks: Vec<_> = tasks.collect();
                for (task, key) in tasks.into_iter().zip(some) {
                    match task.await.unwrap_or_else(|_| Err(stopped_error())) {
                        Ok(is_renewed) => idle.renewed += usize::from(is_renewed),
                        Err(error) => idle.failed.push((key.clone(), error)),
                    }
                }
            }
        }
    }

    /// Renews one grant, if it belongs to this client and is due; returns whether it was renewed, here or by another
    /// worker.
    async fn renew_one(&self, key: &str, reason: RenewalReason) -> Result<bool, Error> {
        let Some(summary) = self.summary(key).await? else {
            return Ok(false);
        };
        let session = self.get(&summary.id);
        match reason {
            RenewalReason::Token => session.token().await.map(|_| true),
            RenewalReason::KeptAlive => session.keep_alive(&*self.0.store, key).await,
        }
    }
}
