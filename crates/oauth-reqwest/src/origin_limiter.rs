//! Limits the number of requests in flight to one origin.
//!
//! reqwest bounds only the connections it keeps idle (`pool_max_idle_per_host`): a burst of a
//! thousand requests would open a thousand connections.

#[cfg(feature = "blocking")]
pub(crate) mod blocking;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct OriginLimiter {
    limit: usize,
    origins: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The permit to have one request in flight, until it is dropped.
pub(crate) struct Permit(
    #[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl OriginLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
            origins: Mutex::default(),
        }
    }

    /// Waits for a permit, in the order of arrival.
    pub(crate) async fn acquire(&self, origin: String) -> Permit {
        let semaphore = self.semaphore(origin);
        // It fails only for a closed semaphore, and none is ever closed.
        Permit(semaphore.acquire_owned().await.ok())
    }

    fn semaphore(&self, origin: String) -> Arc<Semaphore> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        // A request that waits or is in flight holds a clone; an unused origin is removed.
        origins.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let make = || Arc::new(Semaphore::new(self.limit));
        Arc::clone(origins.entry(origin).or_insert_with(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_full(limiter: &OriginLimiter, origin: &str) -> bool {
        let permit = limiter.acquire(origin.to_owned());
        tokio::time::timeout(Duration::from_secs(1), permit)
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn each_origin_has_its_own_permits() {
        let limiter = OriginLimiter::new(2);
        let first = limiter.acquire("https://a.example".to_owned()).await;
        let _second = limiter.acquire("https://a.example".to_owned()).await;
        assert!(is_full(&limiter, "https://a.example").await);
        assert!(!is_full(&limiter, "https://b.example").await);
        drop(first);
        assert!(!is_full(&limiter, "https://a.example").await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_zero_permits_one_request() {
        let limiter = OriginLimiter::new(0);
        assert!(!is_full(&limiter, "https://a.example").await);
        let _first = limiter.acquire("https://a.example".to_owned()).await;
        assert!(is_full(&limiter, "https://a.example").await);
    }

    #[tokio::test]
    async fn unused_origins_are_removed() {
        let limiter = OriginLimiter::new(1);
        for n in 0..100 {
            drop(limiter.acquire(format!("https://{n}.example")).await);
        }
        assert!(limiter.origins.lock().unwrap().len() <= 2);
    }
}
