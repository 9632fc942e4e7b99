//! The cache of sessions in memory.

use lru::LruCache;

use crate::grant_source::GrantSource;

/// The sessions in memory, by the keys of their records, least recently used last.
pub(super) struct SessionCache(LruCache<String, GrantSource>);

impl Default for SessionCache {
    fn default() -> Self {
        // Bounded by `shrink`, which drops only what may be dropped.
        Self(LruCache::unbounded())
    }
}

impl SessionCache {
    pub(super) fn get(&mut self, key: &str) -> Option<GrantSource> {
        self.0.get(key).cloned()
    }

    pub(super) fn put(&mut self, key: String, session: GrantSource) {
        self.0.put(key, session);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn all(&self) -> Vec<GrantSource> {
        self.0.iter().map(|(_, session)| session.clone()).collect()
    }

    /// Removes idle sessions beyond the capacity, at most two in each call, so that the cost is spread over callers.
    pub(super) fn shrink(&mut self, capacity: usize) -> Vec<GrantSource> {
        let mut idle_sessions = Vec::new();
        for _ in 0..2 {
            if self.0.len() <= capacity {
                break;
            }
            let Some((key, session)) = self.0.pop_lru() else {
                break;
            };
            if session.is_idle() {
                idle_sessions.push(session)
            } else {
                // It is in use, and becomes the most recently used.
                self.0.put(key, session);
            }
        }
        idle_sessions
    }
}
