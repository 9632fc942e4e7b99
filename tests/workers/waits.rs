//! Measures the waiting times of a worker's callers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The current waits of all callers, and the longest wait that has ended.
pub(crate) struct Waits {
    start: Instant,
    /// When each caller's wait began, in milliseconds since the start plus one; 0 for a caller that
    /// does not wait.
    since: Vec<AtomicU64>,
    ended: AtomicU64,
}

impl Waits {
    pub(crate) fn new(callers: usize) -> Self {
        Self {
            start: Instant::now(),
            since: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            ended: AtomicU64::new(0),
        }
    }

    /// Begins a caller's wait, which lasts until the result is dropped, also if the caller gives up.
    pub(crate) fn begin(&self, caller: usize) -> WaitGuard<'_> {
        let since = &self.since[caller];
        since.store(self.now(), Ordering::Relaxed);
        WaitGuard { waits: self, since }
    }

    /// The longest wait in milliseconds, of those in progress and those that ended since the previous
    /// call.
    pub(crate) fn longest(&self) -> u64 {
        let ended = self.ended.swap(0, Ordering::Relaxed);
        let now = self.now();
        let since = self.since.iter().map(|since| since.load(Ordering::Relaxed));
        let in_progress = since.filter(|&since| since > 0);
        in_progress
            .map(|since| now.saturating_sub(since))
            .fold(ended, u64::max)
    }

    fn now(&self) -> u64 {
        let elapsed = self.start.elapsed().as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

pub(crate) struct WaitGuard<'a> {
    waits: &'a Waits,
    since: &'a AtomicU64,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let since = self.since.swap(0, Ordering::Relaxed);
        let waited = self.waits.now().saturating_sub(since);
        self.waits.ended.fetch_max(waited, Ordering::Relaxed);
    }
}
