//! Limits how many renewals begin per second, and how many are under way at once.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Limits that all renewals of a client share.
#[derive(Clone, Default)]
pub(crate) struct RenewalLimits {
    even: Option<Arc<Interval>>,
    at_once: Option<Arc<Semaphore>>,
}

/// A limit that spaces renewals evenly.
struct Interval {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

/// What one renewal has of the limits.
pub(crate) struct RenewalPermit {
    pace: RenewalLimits,
    /// It is counted once, however often it requests the lease.
    is_counted: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl RenewalLimits {
    /// So many renewals per second; any number for 0.
    pub(crate) fn per_second(&mut self, renewals: u32) {
        let renewals = NonZeroU32::new(renewals);
        self.even = renewals.map(|renewals| {
            Arc::new(Interval {
                gap: Duration::from_secs(1) / renewals.get(),
                next: Mutex::default(),
            })
        });
    }

    /// So many renewals at once; any number for 0.
    pub(crate) fn at_once(&mut self, renewals: usize) {
        let renewals = renewals.min(Semaphore::MAX_PERMITS);
        self.at_once = (renewals > 0).then(|| Arc::new(Semaphore::new(renewals)));
    }

    /// For one renewal.
    pub(crate) fn permit(&self) -> RenewalPermit {
        RenewalPermit {
            pace: self.clone(),
            is_counted: false,
            place: None,
        }
    }
}

impl RenewalPermit {
    /// Waits until the renewal may take a lease. A turn whose caller is cancelled is lost.
    pub(crate) async fn come(&mut self) {
        if let (Some(at_once), None) = (&self.pace.at_once, &self.place) {
            // It is never closed.
            self.place = Arc::clone(at_once).acquire_owned().await.ok();
        }
        if let (Some(even), false) = (&self.pace.even, self.is_counted) {
            self.is_counted = true;
            even.permit().await;
        }
    }

    /// Others may go on while this renewal waits for another worker.
    pub(crate) fn step_aside(&mut self) {
        self.place = None;
    }
}

impl Interval {
    async fn permit(&self) {
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
