//! Renews idle grants, whose refresh tokens would expire unused.

use std::collections::BTreeSet;
use std::time::Duration;

use oauth_core::error::{Cause, Error};

use super::Sessions;
use crate::clock;

/// How many keys are requested from the store at once.
const PAGE: usize = 100;

/// How many grants are renewed concurrently.
const ABREAST: usize = 8;

/// The result of [`Sessions::renew_idle`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Idle {
    /// How many were renewed, here or by another worker meanwhile.
    pub renewed: usize,
    /// Those that could not be renewed, by the keys of their records.
    pub failed: Vec<(String, Error)>,
}

fn stopped() -> Error {
    Error::lost(Cause::unknown("the task that renews was stopped"))
}

impl Sessions {
    /// Renews the grants of this client whose access token expired so long ago that they cannot have been
    /// used since: with many servers, a refresh token expires if it is not used for some weeks. One pass
    /// over the keys that are due in the store; call it now and then, from any number of workers.
    ///
    /// # Errors
    /// `misuse.not_supported` of a store that does not know what is due; `lost` at endpoint `store`.
    pub async fn renew_idle(&self, unused: Duration) -> Result<Idle, Error> {
        let before = clock::now()?.before(unused);
        let (mut idle, mut seen) = (Idle::default(), BTreeSet::new());
        loop {
            // Those that failed are still due, and come first.
            let due = self.0.store.due(before, PAGE + seen.len()).await?;
            let new: Vec<String> = due
                .into_iter()
                .filter(|key| seen.insert(key.clone()))
                .collect();
            if new.is_empty() {
                return Ok(idle);
            }
            for some in new.chunks(ABREAST) {
                let tasks = some.iter().map(|key| {
                    let (session, key) = (self.clone(), key.clone());
                    tokio::spawn(async move { session.renew_one(&key).await })
                });
                let tasks: Vec<_> = tasks.collect();
                for (task, key) in tasks.into_iter().zip(some) {
                    match task.await.unwrap_or_else(|_| Err(stopped())) {
                        Ok(is_ours) => idle.renewed += usize::from(is_ours),
                        Err(error) => idle.failed.push((key.clone(), error)),
                    }
                }
            }
        }
    }

    /// Renews one, if it belongs to this client; whether it does.
    async fn renew_one(&self, key: &str) -> Result<bool, Error> {
        let Some(summary) = self.summary(key).await? else {
            return Ok(false);
        };
        self.get(&summary.id).token().await?;
        Ok(true)
    }
}
