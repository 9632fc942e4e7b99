//! Requests that wait for a user's approval on a different device: device codes and backchannel requests.
//!
//! RFC 8628 section 3.5, CIBA Core section 11

use oauth_core::moment::UnixTime;

use super::authority::{Grant, plus};

type Refusal = (&'static str, &'static str);

/// The polling interval, in seconds, unless a test sets another one.
pub(super) const INTERVAL: u64 = 5;
/// The seconds by which a poll that comes too early extends the interval.
const SLOW_DOWN_SECONDS: u64 = 5;

/// A grant that waits for a user's approval, or has it.
pub(super) struct Awaited {
    pub(super) grant: Grant,
    approval: Approval,
    expires: UnixTime,
    interval: u64,
    last_polled_at: Option<UnixTime>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Approval {
    Pending,
    Approved,
    Denied,
    Spent,
}

impl Awaited {
    /// A pending grant that expires after `lifetime` seconds, and may be polled at this interval.
    pub(super) fn new(at: UnixTime, grant: Grant, lifetime: u64, interval: u64) -> Self {
        Self {
            grant,
            approval: Approval::Pending,
            expires: plus(at, lifetime),
            interval,
            last_polled_at: None,
        }
    }

    /// Whether the user may still answer.
    pub(super) fn is_pending(&self, at: UnixTime) -> bool {
        self.approval == Approval::Pending && at < self.expires
    }

    /// Records the user's answer.
    pub(super) fn decide(&mut self, at: UnixTime, approval: Approval) {
        self.approval = approval;
        self.grant.auth_time = Some(at);
    }

    /// Handles a poll of the client: returns the grant, once.
    pub(super) fn poll(&mut self, at: UnixTime, client_id: &str) -> Result<Grant, Refusal> {
        if self.grant.client_id != client_id {
            return Err(("invalid_grant", "it was issued to a different client"));
        }
        if at >= self.expires {
            return Err(("expired_token", "it has expired"));
        }
        let last = self.last_polled_at.replace(at);
        if last.is_some_and(|last| at.since(last).as_secs() < self.interval) {
            // "the interval MUST be increased by 5 seconds for this and all subsequent requests"
            self.interval = self.interval.saturating_add(SLOW_DOWN_SECONDS);
            return Err(("slow_down", "polling too fast"));
        }
        match self.approval {
            Approval::Pending => Err(("authorization_pending", "the user has not decided yet")),
            Approval::Denied => Err(("access_denied", "the user denied the request")),
            Approval::Spent => Err(("invalid_grant", "it was used before")),
            Approval::Approved => {
                self.approval = Approval::Spent;
                Ok(self.grant.clone())
            }
        }
    }
}
