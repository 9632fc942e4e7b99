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
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two tries of this worker to keep a grant alive, unless something requires a longer one.
const PAUSE: Duration = Duration::from_secs(60);

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
    /// No try to keep it alive is made before this.
    not_before: UnixTime,
    /// Whether the end of its authorization, which is near, was reported.
    is_end_told: bool,
}

impl Default for UpkeepDone {
    fn default() -> Self {
        Self {
            not_before: UnixTime::from_secs(0),
            is_end_told: false,
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
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
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
            self.upkeep_done.is_end_told = true;
            return Some(Upkeep::AuthorizationEnds(end));
        }
        self.upkeep_done.not_before = now.after(PAUSE);
        self.state = Some(State::Begun);
        Some(Upkeep::Renew)
    }

    /// From when on the grant is kept alive, by this worker.
    fn keep_alive_from(&self, now: UnixTime) -> Option<UnixTime> {
        let from = self.deadlines.keep_alive_at.filter(|_| !self.is_drained)?;
        let from = from.max(self.upkeep_done.not_before);
        let from = from.max(now.after(self.backoff.remaining(now)));
        // A refresh token that may have been used is not sent while the access token is valid, which may be forever.
        (from < UnixTime::from_secs(u64::MAX)).then_some(from)
    }

    /// From when on the end of the authorization is reported, if it has not been.
    fn notice_from(&self, now: UnixTime) -> Option<UnixTime> {
        let end = self.authorization_expires_at().filter(|end| now < *end)?;
        let from = end.before(self.policy.notice);
        // Reported once it was near; if it is far again, the user has extended it.
        let is_told = self.upkeep_done.is_end_told && from <= now;
        (!is_told).then_some(from)
    }

    fn authorization_expires_at(&self) -> Option<UnixTime> {
        self.record.tokens.as_ref()?.authorization_expires_at
    }

    /// Whether this renewal only keeps the grant alive, and no caller waits: it is then due although the token is
    /// fresh.
    pub(super) fn keeps_alive(&self, now: UnixTime) -> bool {
        let at = self.deadlines.keep_alive_at;
        !self.has_waiters && at.is_some_and(|at| at <= now)
    }

    /// The outcome of a renewal that no caller waits for and that is no longer due: another worker has kept the
    /// grant alive. Its token may have become stale.
    pub(super) fn unneeded(&self, now: UnixTime) -> Option<Outcome> {
        let is_needed = self.has_waiters || self.is_refused() || self.keeps_alive(now);
        (!is_needed).then(|| {
            let tokens = self.record.tokens.clone();
            tokens.ok_or_else(|| Misuse::NoRefreshToken.into())
        })
    }

    /// If the end is far again, it will be reported again once it is near.
    pub(super) fn note_end(&mut self, now: UnixTime) {
        let is_near = |end: UnixTime| end.before(self.policy.notice) <= now;
        if !self.authorization_expires_at().is_some_and(is_near) {
            self.upkeep_done.is_end_told = false;
        }
    }
}

/// When the refresh token is exchanged at the latest although no caller asks, and how much earlier a worker may do it,
/// so that a fleet does not wake at once. `None` if that is not configured, if no expiry is known, or if the
/// authorization ends by then: a refresh cannot extend it.
pub(super) fn keep_alive(tokens: &Tokens, policy: &Policy) -> Option<(UnixTime, Duration)> {
    let margin = policy.keep_alive?;
    let expires_at = tokens.refresh_token_expires_at()?;
    let timeout = expires_at.since(tokens.received_at);
    let is_last = tokens
        .authorization_expires_at
        .is_some_and(|end| end <= expires_at);
    let margin = margin.min(timeout / 5);
    (timeout >= SHORTEST_TIMEOUT && !is_last).then(|| (expires_at.before(margin), margin / 2))
}
