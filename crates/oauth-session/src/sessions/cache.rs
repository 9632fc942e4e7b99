//! The cache of sessions in memory.

use lru::LruCache;

use crate::session::Session;

/// The sessions in memory, by the keys of their records, least recently used last.
pub(super) struct SessionCache(LruCache<String, Session>);

impl Default for SessionCache {
    fn default() -> Self {
        // Bounded by `shrink`, which drops only what may be dropped.
        Self(LruCache::unbounded())
    }
}

impl SessionCache {
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

    /// Takes out idle sessions beyond the capacity: two at most for each call, so that no caller pays for
    /// all.
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
                // It is in use, and becomes the most recently used.
                false => {
                    self.0.put(key, session);
                }
            }
        }
        left
    }
}
