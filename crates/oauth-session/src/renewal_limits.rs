//! Limits how many renewals begin per second, and how many are under way at once. The rate limits of APIs are kept in
//! `flow/resource/limiter.rs` of oauth-core; connections to one origin are limited in oauth-reqwest.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Limits that all renewals of a client share.
#[derive(Clone, Default)]
pub(crate) struct RenewalLimits {
    interval: Option<Arc<Interval>>,
    concurrent: Option<Arc<Semaphore>>,
}

/// The time between the beginnings of two renewals.
struct Interval {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

/// The permission of one renewal to take a lease.
pub(crate) struct RenewalPermit {
    limits: RenewalLimits,
    /// Whether the renewal has used its turn in the interval. It uses one turn, no matter how often it requests the
    /// lease.
    is_counted: bool,
    slot: Option<OwnedSemaphorePermit>,
}

impl RenewalLimits {
    /// Lets at most this many renewals begin per second; 0 means no limit.
    pub(crate) fn per_second(&mut self, renewals: u32) {
        let renewals = NonZeroU32::new(renewals);
        self.interval = renewals.map(|renewals| {
            Arc::new(Interval {
                gap: Duration::from_secs(1) / renewals.get(),
                next: Mutex::default(),
            })
        });
    }

    /// Lets at most this many renewals run at once; 0 means no limit.
    pub(crate) fn at_once(&mut self, renewals: usize) {
        let renewals = renewals.min(Semaphore::MAX_PERMITS);
        self.concurrent = (renewals > 0).then(|| Arc::new(Semaphore::new(renewals)));
    }

    /// The permit of one renewal. It holds nothing until [`RenewalPermit::acquire`].
    pub(crate) fn permit(&self) -> RenewalPermit {
        RenewalPermit {
            limits: self.clone(),
            is_counted: false,
            slot: None,
        }
    }
}

impl RenewalPermit {
    /// Waits until the renewal may acquire a lease. A caller that is cancelled while it waits loses its place.
    pub(crate) async fn acquire(&mut self) {
        if let (Some(concurrent), None) = (&self.limits.concurrent, &self.slot) {
            // The semaphore is never closed.
            self.slot = Arc::clone(concurrent).acquire_owned().await.ok();
        }
        if let (Some(interval), false) = (&self.limits.interval, self.is_counted) {
            self.is_counted = true;
            interval.wait_for_turn().await;
        }
    }

    /// Releases the slot, so that other renewals can run while this one waits for another worker.
    pub(crate) fn step_aside(&mut self) {
        self.slot = None;
    }
}

impl Interval {
    /// Reserves the next turn and waits for it.
    async fn wait_for_turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.gap);
            turn
        };
        sleep_until(turn).await;
    }
}
