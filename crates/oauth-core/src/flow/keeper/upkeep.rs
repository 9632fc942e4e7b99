//! Upkeep of a grant whose token no caller requests: refreshes it before an idle refresh token expires, and gives
//! notice before a user's authorization ends.
//!
//! <https://datatracker.ietf.org/doc/html/draft-ietf-oauth-refresh-token-expiration-03#section-4.2>, section 9

use std::time::Duration;

use super::state::{Outcome, State};
use super::{Keeper, Policy};
use crate::error::Misuse;
use crate::moment::UnixTime;
use crate::token::Tokens;

/// The shortest timeout of a refresh token that is kept alive. For a shorter one the server would get a request a
/// minute forever, for a grant that no caller uses.
const MIN_KEPT_ALIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two attempts of this worker to keep a grant alive, unless something requires a longer one.
const KEEP_ALIVE_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// The upkeep of a grant whose token no caller requests, see [`Keeper::upkeep`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// Renew: call [`Keeper::resume`] with [`Event::Begin`](super::Event::Begin). No caller waits for the outcome.
    Renew,
    /// Notify the owner of the grant that the authorization ends at this time: only the user can extend it. This is
    /// returned once, and again only if the user extends the authorization and the new end is near.
    AuthorizationEnds(UnixTime),
}

/// The upkeep that this worker has done for the grant.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpkeepDone {
    /// The earliest time of the next attempt to keep the grant alive.
    not_before: UnixTime,
    /// Whether the end of its authorization, which is near, was reported.
    is_end_reported: bool,
}

impl Default for UpkeepDone {
    fn default() -> Self {
        Self {
            not_before: UnixTime::from_secs(0),
            is_end_reported: false,
        }
    }
}

impl Keeper {
    /// How long to wait before [`upkeep`](Self::upkeep) returns something; `None` if it never will, or while a renewal
    /// is under way. Ask again after each [`Step::Done`](super::Step::Done), and after each upkeep.
    pub fn upkeep_after(&self, now: UnixTime) -> Option<Duration> {
        let is_possible = !self.is_busy() && self.is_stored() && self.record.ended.is_none();
        let keep_alive = self.keep_alive_from(now).map(|from| from.since(now));
        let notice = self.notice_from(now).map(|from| from.since(now));
        let first = match (keep_alive, notice) {
            (Some(keep_alive), Some(notice)) => Some(keep_alive.min(notice)),
            (keep_alive, notice) => keep_alive.or(notice),
        };
        first.filter(|_| is_possible)
    }

    /// The upkeep that the grant needs now, if any.
    ///
    /// With [`Policy::keep_alive`], a grant is renewed before its unused refresh token expires. Only one of all workers
    /// that keep it sends a request: the others find its outcome in the store. A refresh cannot extend the
    /// authorization, so none is sent for that; its end is reported [`Policy::notice`] before.
    pub fn upkeep(&mut self, now: UnixTime) -> Option<Upkeep> {
        self.upkeep_after(now).filter(Duration::is_zero)?;
        if self.notice_from(now).is_some_and(|from| from <= now)
            && let Some(end) = self.authorization_expires_at()
        {
            self.upkeep_done.is_end_reported = true;
            return Some(Upkeep::AuthorizationEnds(end));
        }
        self.upkeep_done.not_before = now.after(KEEP_ALIVE_RETRY_PAUSE);
        self.state = Some(State::Begun);
        Some(Upkeep::Renew)
    }

    /// The time from which this worker keeps the grant alive.
    fn keep_alive_from(&self, now: UnixTime) -> Option<UnixTime> {
        let from = self.deadlines.keep_alive_at.filter(|_| !self.is_drained)?;
        let from = from.max(self.upkeep_done.not_before);
        let from = from.max(now.after(self.backoff.remaining(now)));
        // A refresh token that may have been used is not sent while the access token is valid, which may be forever.
        (from < UnixTime::from_secs(u64::MAX)).then_some(from)
    }

    /// The time from which the end of the authorization is reported, unless it already was.
    fn notice_from(&self, now: UnixTime) -> Option<UnixTime> {
        let end = self.authorization_expires_at().filter(|end| now < *end)?;
        let from = end.before(self.policy.notice);
        // It is reported once, when it is near; if it is far again, the user has extended it.
        let is_reported = self.upkeep_done.is_end_reported && from <= now;
        (!is_reported).then_some(from)
    }

    fn authorization_expires_at(&self) -> Option<UnixTime> {
        self.record.tokens.as_ref()?.authorization_expires_at
    }

    /// Whether this renewal only keeps the grant alive and no caller waits: it is then due although the token is fresh.
    pub(super) fn keeps_alive(&self, now: UnixTime) -> bool {
        let at = self.deadlines.keep_alive_at;
        !self.has_waiters && at.is_some_and(|at| at <= now)
    }

    /// The outcome of a renewal that no caller waits for and that is no longer due: another worker has kept the
    /// grant alive. Its token may have become stale.
    pub(super) fn outcome_if_unneeded(&self, now: UnixTime) -> Option<Outcome> {
        let is_needed = self.has_waiters || self.is_refused() || self.keeps_alive(now);
        (!is_needed).then(|| {
            let tokens = self.record.tokens.clone();
            tokens.ok_or_else(|| Misuse::NoRefreshToken.into())
        })
    }

    /// If the expiry is extended, it is reported again when it approaches.
    pub(super) fn note_end(&mut self, now: UnixTime) {
        let is_near = |end: UnixTime| end.before(self.policy.notice) <= now;
        if !self.authorization_expires_at().is_some_and(is_near) {
            self.upkeep_done.is_end_reported = false;
        }
    }
}

/// The latest time at which the refresh token is used although no caller asks, and how much earlier a worker may do so,
/// so that the workers of a fleet do not all wake at once. `None` if that is not configured, if no expiry is known, or
/// if the authorization ends by then: a refresh cannot extend it.
pub(super) fn keep_alive(tokens: &Tokens, policy: &Policy) -> Option<(UnixTime, Duration)> {
    let margin = policy.keep_alive?;
    let expires_at = tokens.refresh_token_expires_at()?;
    let timeout = expires_at.since(tokens.received_at);
    let is_last = tokens
        .authorization_expires_at
        .is_some_and(|end| end <= expires_at);
    let margin = margin.min(timeout / 5);
    (timeout >= MIN_KEPT_ALIVE_TIMEOUT && !is_last).then(|| (expires_at.before(margin), margin / 2))
}
