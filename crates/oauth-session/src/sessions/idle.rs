//! Grants that nobody asks for, and whose refresh tokens would die unused.

use std::collections::BTreeSet;
use std::time::Duration;

use oauth_core::error::{Cause, Error};

use super::Sessions;
use crate::clock;

/// How many the store is asked for at once.
const PAGE: usize = 100;

/// How many are renewed at once.
const ABREAST: usize = 8;

/// What became of the grants that were idle.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Idle {
    /// How many were renewed, here or by another worker meanwhile.
    pub renewed: usize,
    /// Those that could not be, by the names of their records.
    pub failed: Vec<(String, Error)>,
}

fn stopped() -> Error {
    Error::lost(Cause::unknown("the task that renews was stopped"))
}

impl Sessions {
    /// Renews the grants of this client whose access token ended so long ago that nobody can have used
    /// them since: with many servers, a refresh token that is not used for some weeks dies. One pass
    /// over what the store says is due; call it now and then, from any number of workers.
    ///
    /// # Errors
    /// `misuse.not_supported` of a store that does not know what is due; `lost` at endpoint `store`.
    pub async fn renew_idle(&self, unused: Duration) -> Result<Idle, Error> {
        let before = clock::now()?.before(unused);
        let (mut idle, mut seen) = (Idle::default(), BTreeSet::new());
        loop {
            // Those that failed are due still, and come first.
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
                    let (us, key) = (self.clone(), key.clone());
                    tokio::spawn(async move { us.renew_one(&key).await })
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

    /// Whether it is one of this client.
    async fn renew_one(&self, key: &str) -> Result<bool, Error> {
        let Some(summary) = self.summary(key).await? else {
            return Ok(false);
        };
        self.get(&summary.id).token().await?;
        Ok(true)
    }
}
