//! Events of grants, for logs, counters and alarms.

#[cfg(feature = "tracing")]
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::moment::UnixTime;

#[cfg(feature = "tracing")]
pub use traced::Traced;

/// An event of a grant. It holds no secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum GrantEvent<'a> {
    /// New tokens have arrived and are stored, unless [`Unsaved`](Self::Unsaved) came before.
    Renewed,
    /// Another worker is renewing; this one waits, at first for this long.
    Waits(Duration),
    /// A renewal failed, or could not be tried.
    Failed(&'a Error),
    /// The server refuses the refresh token without ending the grant. The error says that the user has to log in; the
    /// token is tried again after growing pauses, and may still be valid.
    Suspect(&'a Error),
    /// The grant has ended: the user has to log in again. Each worker reports it once.
    Ended(&'a Error),
    /// New tokens could not be stored. They are returned to callers, and stored as soon as the store answers.
    Unsaved,
    /// Tokens that could not be stored before are stored now.
    StoredLate,
    /// The user's authorization ends at this time, and only the user can extend it. Reported once, some days before;
    /// each worker that has the grant in memory reports it.
    AuthorizationEnds(UnixTime),
    /// The lease went to another worker while the request ran, because the store did not answer in time or this worker
    /// was suspended. The tokens are saved by version anyway.
    LeaseLost,
}

impl GrantEvent<'_> {
    /// The name of the event: `renewed`, `waits`, `failed`, `suspect`, `ended`, `unsaved`, `stored_late`,
    /// `authorization_ends`, `lease_lost`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Waits(_) => "waits",
            Self::Failed(_) => "failed",
            Self::Suspect(_) => "suspect",
            Self::Ended(_) => "ended",
            Self::Unsaved => "unsaved",
            Self::StoredLate => "stored_late",
            Self::AuthorizationEnds(_) => "authorization_ends",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// The error, if there was one.
    pub const fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::Suspect(error) | Self::Ended(error) => Some(error),
            _ => None,
        }
    }
}

/// An observer of the events of grants.
///
/// It is called in the task of the renewal, which waits for it: keep it short, and do not ask a source for a token in
/// it.
pub trait Observe: Send + Sync {
    /// `key` is the name of the record in the store; `None` for a grant that is only in this process.
    fn observe(&self, key: Option<&str>, event: &GrantEvent<'_>);
}

impl<O: Observe + ?Sized> Observe for Arc<O> {
    fn observe(&self, key: Option<&str>, event: &GrantEvent<'_>) {
        (**self).observe(key, event);
    }
}

/// Two observers of the same events.
impl<A: Observe, B: Observe> Observe for (A, B) {
    fn observe(&self, key: Option<&str>, event: &GrantEvent<'_>) {
        self.0.observe(key, event);
        self.1.observe(key, event);
    }
}

/// Counters of events, which only increase: as Prometheus and OpenTelemetry read them.
#[derive(Debug, Default)]
pub struct Counters {
    renewed: AtomicU64,
    waits: AtomicU64,
    failed: AtomicU64,
    suspect: AtomicU64,
    ended: AtomicU64,
    unsaved: AtomicU64,
    stored_late: AtomicU64,
    authorization_ends: AtomicU64,
    lease_lost: AtomicU64,
}

impl Counters {
    /// The counts by the [names](GrantEvent::name) of the events.
    pub fn counts(&self) -> [(&'static str, u64); 9] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("renewed", count(&self.renewed)),
            ("waits", count(&self.waits)),
            ("failed", count(&self.failed)),
            ("suspect", count(&self.suspect)),
            ("ended", count(&self.ended)),
            ("unsaved", count(&self.unsaved)),
            ("stored_late", count(&self.stored_late)),
            ("authorization_ends", count(&self.authorization_ends)),
            ("lease_lost", count(&self.lease_lost)),
        ]
    }
}

impl Observe for Counters {
    fn observe(&self, _: Option<&str>, event: &GrantEvent<'_>) {
        let counter = match event {
            GrantEvent::Renewed => &self.renewed,
            GrantEvent::Waits(_) => &self.waits,
            GrantEvent::Failed(_) => &self.failed,
            GrantEvent::Suspect(_) => &self.suspect,
            GrantEvent::Ended(_) => &self.ended,
            GrantEvent::Unsaved => &self.unsaved,
            GrantEvent::StoredLate => &self.stored_late,
            GrantEvent::AuthorizationEnds(_) => &self.authorization_ends,
            GrantEvent::LeaseLost => &self.lease_lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
