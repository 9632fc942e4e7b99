//! A simulated clock, which moves only when `advance` or `set` is called, and random seeds that never repeat.

use std::time::Duration;

use oauth_core::moment::{Moment, UnixTime};
use sha2::{Digest as _, Sha256};

/// 2025-06-15T15:06:40Z: late enough to look like today, and a round number.
const START: u64 = 1_750_000_000;

#[derive(Debug)]
pub(crate) struct Clock {
    /// Kept finer than [`UnixTime`], so that short pauses add up.
    since_epoch: Duration,
    draws: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            since_epoch: Duration::from_secs(START),
            draws: 0,
        }
    }

    pub(crate) fn set(&mut self, seconds: u64) {
        self.since_epoch = Duration::from_secs(seconds);
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.since_epoch = self.since_epoch.saturating_add(by);
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.since_epoch.as_secs())
    }

    pub(crate) fn moment(&mut self) -> Moment {
        self.draws += 1;
        Moment::fixed(
            self.now(),
            Sha256::digest(format!("testkit {}", self.draws)).into(),
        )
    }
}
