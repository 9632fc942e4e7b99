//! Limits the number of requests in flight to one origin, for threads.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct OriginLimiter {
    limit: usize,
    /// The number of requests in flight; an origin with none is not in the map.
    origins: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// The permit to have one request in flight, until it is dropped.
pub(crate) struct Permit<'a> {
    limiter: &'a OriginLimiter,
    origin: String,
}

impl OriginLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            origins: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// Waits for a permit, at most for `timeout`.
    pub(crate) fn acquire(&self, origin: String, timeout: Duration) -> Option<Permit<'_>> {
        let is_full = |origins: &mut HashMap<String, usize>| {
            origins
                .get(&origin)
                .is_some_and(|count| *count >= self.limit)
        };
        let (mut origins, waited) = self
            .freed
            .wait_timeout_while(self.origins(), timeout, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *origins.entry(origin.clone()).or_default() += 1;
        Some(Permit {
            limiter: self,
            origin,
        })
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut origins = self.limiter.origins();
        if let Some(count) = origins.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                origins.remove(&self.origin);
            }
        }
        // Wakes all threads: they may wait for different origins.
        self.limiter.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire<'a>(limiter: &'a OriginLimiter, origin: &str) -> Option<Permit<'a>> {
        limiter.acquire(origin.to_owned(), Duration::ZERO)
    }

    #[test]
    fn each_origin_has_its_own_permits() {
        let limiter = OriginLimiter::new(2);
        let first = acquire(&limiter, "https://a.example");
        let second = acquire(&limiter, "https://a.example");
        assert!(first.is_some() && second.is_some());
        assert!(acquire(&limiter, "https://a.example").is_none());
        assert!(acquire(&limiter, "https://b.example").is_some());
        drop(first);
        assert!(acquire(&limiter, "https://a.example").is_some());
        drop(second);
        assert!(limiter.origins().is_empty());
    }

    #[test]
    fn a_waiting_thread_is_woken_when_a_permit_is_released() {
        let limiter = OriginLimiter::new(0);
        let first = acquire(&limiter, "https://a.example");
        assert!(first.is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let permit =
                    limiter.acquire("https://a.example".to_owned(), Duration::from_secs(60));
                permit.is_some()
            });
            drop(first);
            assert!(waiting.join().unwrap());
        });
    }
}
