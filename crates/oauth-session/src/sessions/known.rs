//! The sessions in memory.

use lru::LruCache;

use crate::session::Session;

/// The sessions in memory, by the names of their records.
pub(super) struct Known(LruCache<String, Session>);

impl Default for Known {
    fn default() -> Self {
        // Bounded by what can be dropped, not by what there is.
        Self(LruCache::unbounded())
    }
}

impl Known {
    pub(super) fn get(&mut self, key: &str) -> Option<Session> {
        self.0.get(key).cloned()
    }

    pub(super) fn put(&mut self, key: String, session: Session) {
        self.0.put(key, session);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn all(&self) -> Vec<Session> {
        self.0.iter().map(|(_, session)| session.clone()).collect()
    }

    /// Takes out what is too much, of what nobody needs: no more than two for each that may come, so
    /// that nobody pays for all.
    pub(super) fn shrink(&mut self, capacity: usize) -> Vec<Session> {
        let mut left = Vec::new();
        for _ in 0..2 {
            if self.0.len() <= capacity {
                break;
            }
            let Some((key, session)) = self.0.pop_lru() else {
                break;
            };
            match session.is_idle() {
                true => left.push(session),
                // Somebody uses it: it goes to the end of the queue.
                false => {
                    self.0.put(key, session);
                }
            }
        }
        left
    }
}
