//! The same limit, for threads.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct Gate {
    limit: usize,
    /// How many are in flight; an origin with none is not in the map.
    origins: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// Leave to send one request, until it is dropped.
pub(crate) struct Place<'a> {
    gate: &'a Gate,
    origin: String,
}

impl Gate {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            origins: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// Waits for a place, but not for ever.
    pub(crate) fn enter(&self, origin: String, patience: Duration) -> Option<Place<'_>> {
        let is_full = |origins: &mut HashMap<String, usize>| {
            origins
                .get(&origin)
                .is_some_and(|count| *count >= self.limit)
        };
        let (mut origins, waited) = self
            .freed
            .wait_timeout_while(self.origins(), patience, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *origins.entry(origin.clone()).or_default() += 1;
        Some(Place { gate: self, origin })
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut origins = self.gate.origins();
        if let Some(count) = origins.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                origins.remove(&self.origin);
            }
        }
        // All: those who wait may wait for different origins.
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter<'a>(gate: &'a Gate, origin: &str) -> Option<Place<'a>> {
        gate.enter(origin.to_owned(), Duration::ZERO)
    }

    #[test]
    fn each_origin_has_its_own_places() {
        let gate = Gate::new(2);
        let first = enter(&gate, "https://a.example");
        let second = enter(&gate, "https://a.example");
        assert!(first.is_some() && second.is_some());
        assert!(enter(&gate, "https://a.example").is_none());
        assert!(enter(&gate, "https://b.example").is_some());
        drop(first);
        assert!(enter(&gate, "https://a.example").is_some());
        drop(second);
        assert!(gate.origins().is_empty());
    }

    #[test]
    fn whoever_waits_is_woken() {
        let gate = Gate::new(0);
        let first = enter(&gate, "https://a.example");
        assert!(first.is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let place = gate.enter("https://a.example".to_owned(), Duration::from_secs(60));
                place.is_some()
            });
            drop(first);
            assert!(waiting.join().unwrap());
        });
    }
}
