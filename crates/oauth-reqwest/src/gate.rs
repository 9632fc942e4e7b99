//! How many requests may be in flight to one origin.
//!
//! reqwest bounds only the connections it keeps idle (`pool_max_idle_per_host`): a burst of a
//! thousand requests would open a thousand connections.

#[cfg(feature = "blocking")]
pub(crate) mod blocking;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Gate {
    limit: usize,
    origins: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Leave to send one request, until it is dropped.
pub(crate) struct Place(
    #[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl Gate {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
            origins: Mutex::default(),
        }
    }

    /// Waits for a place, in the order of arrival.
    pub(crate) async fn enter(&self, origin: String) -> Place {
        let semaphore = self.semaphore(origin);
        // It fails only for a closed semaphore, and none is ever closed.
        Place(semaphore.acquire_owned().await.ok())
    }

    fn semaphore(&self, origin: String) -> Arc<Semaphore> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or sends holds a clone; an origin nobody holds is forgotten.
        origins.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let make = || Arc::new(Semaphore::new(self.limit));
        Arc::clone(origins.entry(origin).or_insert_with(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_full(gate: &Gate, origin: &str) -> bool {
        let enter = gate.enter(origin.to_owned());
        tokio::time::timeout(Duration::from_secs(1), enter)
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn each_origin_has_its_own_places() {
        let gate = Gate::new(2);
        let first = gate.enter("https://a.example".to_owned()).await;
        let _second = gate.enter("https://a.example".to_owned()).await;
        assert!(is_full(&gate, "https://a.example").await);
        assert!(!is_full(&gate, "https://b.example").await);
        drop(first);
        assert!(!is_full(&gate, "https://a.example").await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_nothing_lets_one_through() {
        let gate = Gate::new(0);
        assert!(!is_full(&gate, "https://a.example").await);
        let _first = gate.enter("https://a.example".to_owned()).await;
        assert!(is_full(&gate, "https://a.example").await);
    }

    #[tokio::test]
    async fn origins_at_rest_are_forgotten() {
        let gate = Gate::new(1);
        for n in 0..100 {
            drop(gate.enter(format!("https://{n}.example")).await);
        }
        assert!(gate.origins.lock().unwrap().len() <= 2);
    }
}
