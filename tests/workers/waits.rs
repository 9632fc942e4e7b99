//! How long the callers of a worker wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One place for each caller, and the longest wait that has ended.
pub(crate) struct Waits {
    start: Instant,
    /// Since when each caller waits, in milliseconds from the start on, and one more; 0 for one who
    /// does not.
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

    /// A caller waits until this is dropped, be it because he gave up.
    pub(crate) fn begin(&self, caller: usize) -> Waiting<'_> {
        let since = &self.since[caller];
        since.store(self.now(), Ordering::Relaxed);
        Waiting { waits: self, since }
    }

    /// The longest wait in milliseconds, of those that go on and those that have ended since this was
    /// asked last.
    pub(crate) fn longest(&self) -> u64 {
        let ended = self.ended.swap(0, Ordering::Relaxed);
        let now = self.now();
        let since = self.since.iter().map(|since| since.load(Ordering::Relaxed));
        let going_on = since.filter(|&since| since > 0);
        going_on
            .map(|since| now.saturating_sub(since))
            .fold(ended, u64::max)
    }

    fn now(&self) -> u64 {
        let elapsed = self.start.elapsed().as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

pub(crate) struct Waiting<'a> {
    waits: &'a Waits,
    since: &'a AtomicU64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let since = self.since.swap(0, Ordering::Relaxed);
        let waited = self.waits.now().saturating_sub(since);
        self.waits.ended.fetch_max(waited, Ordering::Relaxed);
    }
}
