//! When a token is renewed, and how long to hold back after trouble.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::Pause;
use crate::error::Error;
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// What the network may delay a request by after its sender has given up on it, and clocks differ.
const MARGIN: Duration = Duration::from_secs(15);

/// The longest pause between two attempts, unless the server names one.
const LONGEST: u64 = 60;

/// What a [`Keeper`](super::Keeper) may decide differently.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Policy {
    /// A token this near to its end is stale: whoever asks waits for the next one. 30 s, and never
    /// more than a tenth of the lifetime.
    pub leeway: Duration,
    /// This long before that, a token is handed out while the next one is fetched beside: 60 s,
    /// and never more than a fifth of the lifetime. Up to half as much is added by chance, so that
    /// a fleet does not wake at once.
    pub ahead: Duration,
    /// For how long a lease is taken: 10 s. The host extends it while a request runs, see
    /// [`lease_extension`](super::Keeper::lease_extension), so that a worker that died is waited for
    /// no longer than this.
    pub lease: Duration,
    /// How long a token request can take, from when it is given to the driver until its answer has
    /// been read or it is given up: 30 s. Only sending again a refresh token whose fate is not known
    /// waits for it. A host that knows how long that is says so, see
    /// [`with_longest_request`](super::Keeper::with_longest_request).
    pub longest_request: Duration,
    /// What the server does with a refresh token that comes a second time.
    pub reuse: Reuse,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            ahead: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            longest_request: Duration::from_secs(30),
            reuse: Reuse::Unknown,
        }
    }
}

impl Policy {
    /// How long after the mark of an attempt its request may still arrive: it is begun within a lease
    /// or not at all, is given up after the longest request, and the network gets a margin of 15 s.
    pub fn attempt_window(&self) -> Duration {
        let given_up = self.lease.saturating_add(self.longest_request);
        given_up.saturating_add(MARGIN)
    }
}

/// What the server does with a refresh token that comes a second time (RFC 9700 section 4.14.2).
///
/// It matters once the reply to a refresh is lost: the server may have replaced the token, and the
/// replacement is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reuse {
    /// Not known. After a lost reply the token is sent again only when nothing is left to lose: the
    /// access token is over, and whoever might still hold the reply has had the time for it, see
    /// [`Policy::attempt_window`]. Wrong for a server that tolerates it, this costs a pause; wrong for one that
    /// revokes, an alarm at the server for a grant that was lost already. A server that has only
    /// ever left the token as it was is taken as [`Tolerated`](Self::Tolerated).
    #[default]
    Unknown,
    /// The server revokes the grant. A refresh token whose fate is not known is never sent again:
    /// the grant ends with `grant.outcome_unknown`, even where the server had not seen it.
    Revokes,
    /// The old token stays good, or is taken again for a while: it is sent again at once.
    Tolerated,
}

/// When the access token changes its standing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// From here on it is renewed beside.
    pub(super) ahead: UnixTime,
    /// From here on it is stale.
    pub(super) stale: UnixTime,
    /// From here on the server refuses it.
    pub(super) end: UnixTime,
}

impl Times {
    /// A token without a lifetime lasts until somebody refuses it.
    pub(super) fn of(tokens: &Tokens, policy: &Policy, at: &Moment) -> Self {
        let never = UnixTime::from_secs(u64::MAX);
        let Some(lifetime) = tokens.expires_in else {
            return Self {
                ahead: never,
                stale: never,
                end: never,
            };
        };
        // The clock is cut to whole seconds. One of no lifetime at all would be renewed for each call.
        let lifetime = Duration::from_secs(lifetime.max(1));
        let end = tokens.received_at.after(lifetime);
        // The clock of whoever received it may be ahead of ours.
        let end = end.min(at.now().after(lifetime));
        let stale = end.before(policy.leeway.min(lifetime / 10));
        let ahead = policy.ahead.min(lifetime / 5);
        let jitter = at.dice() % (ahead.as_secs() / 2 + 1);
        Self {
            ahead: stale.before(ahead + Duration::from_secs(jitter)),
            stale,
            end,
        }
    }
}

/// Renewals that refusals of the token have led to. Where every token is refused, a newer one is of
/// no use, and each costs the server a refresh token. They are kept in the record: those of all
/// workers count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusals {
    count: u32,
    last: Option<UnixTime>,
}

/// So many renewals in a row cost no pause: tokens end early now and then.
const FREE_RENEWALS: u32 = 3;

/// After so many seconds without one they count anew.
const QUIET: u64 = 2 * LONGEST;

impl Refusals {
    pub(super) const fn is_none(&self) -> bool {
        self.last.is_none()
    }

    /// For how long it is too early for another, if it is.
    pub(super) fn hold(&self, now: UnixTime) -> Option<Duration> {
        let pause = match self.count.checked_sub(FREE_RENEWALS) {
            None => 0,
            Some(more) => u64::min(1 << more.min(6), LONGEST),
        };
        // A clock that was set back holds nobody.
        let last = self.last.filter(|last| *last <= now)?;
        let until = last.after(Duration::from_secs(pause));
        (now < until).then(|| until.since(now))
    }

    /// There was another.
    pub(super) fn note(&mut self, now: UnixTime) {
        let is_near = |last: &UnixTime| *last <= now && now.since(*last).as_secs() < QUIET;
        if !self.last.as_ref().is_some_and(is_near) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
    }
}

/// Attempts that failed in a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    count: u32,
    last: Option<Box<Hold>>,
    /// It is only for as long as the token is good.
    is_soft: bool,
}

/// No attempt before a certain time.
#[derive(Debug, Clone)]
struct Hold {
    /// When it began. A clock that stands before that was set back, and then nobody knows how much
    /// of it is left.
    since: UnixTime,
    until: UnixTime,
    /// When another may bring something, which may be later: others hold back too.
    again: UnixTime,
    error: Error,
}

impl Hold {
    fn lasts(&self, now: UnixTime) -> bool {
        self.since <= now && now < self.until
    }
}

impl Trouble {
    /// Whether it is too early for another attempt.
    pub(super) fn holds(&self, now: UnixTime) -> bool {
        self.last.as_ref().is_some_and(|hold| hold.lasts(now))
    }

    /// The error to answer with instead of another attempt, if it is too early for one.
    pub(super) fn told(&self, now: UnixTime) -> Option<Error> {
        let hold = self.last.as_ref().filter(|hold| hold.lasts(now))?;
        Some(hold.error.clone().told_again(hold.again.since(now)))
    }

    /// The same for a caller who has no token to fall back on.
    pub(super) fn bars(&self, now: UnixTime) -> Option<Error> {
        self.told(now).filter(|_| !self.is_soft)
    }

    /// The first failure holds nobody back, for it may be nothing; the next ones do so for longer
    /// and longer, and a server that names a pause gets it ("Retry-After", RFC 9110 section
    /// 10.2.3). The error as callers are told it: with the pause.
    pub(super) fn note(&mut self, at: &Moment, error: Error) -> Error {
        let doubled = match self.count {
            0 => 0,
            count => 1 << (count - 1).min(6),
        };
        self.count = self.count.saturating_add(1);
        let pause = u64::min(doubled, LONGEST);
        let pause = Duration::from_secs(pause + at.dice() % (pause / 2 + 1));
        let now = at.now();
        let named = Pause::of(&error, now).map_or(now, |pause| pause.end(now));
        self.hold(now, named.max(now.after(pause)), &error);
        error.pausing(self.rest(now))
    }

    /// The same, for as long as the token is good.
    pub(super) fn note_softly(&mut self, at: &Moment, error: Error) -> Error {
        let error = self.note(at, error);
        self.is_soft = true;
        error
    }

    /// No attempt from now until then.
    pub(super) fn hold(&mut self, since: UnixTime, until: UnixTime, error: &Error) {
        let named = error.retry_after().unwrap_or_default();
        self.last = Some(Box::new(Hold {
            since,
            until,
            again: until.max(since.after(named)),
            error: error.clone(),
        }));
        self.is_soft = false;
    }

    /// The same, unless the token turns out to be of no use.
    pub(super) fn hold_softly(&mut self, since: UnixTime, until: UnixTime, error: &Error) {
        self.hold(since, until, error);
        self.is_soft = true;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// For how long it is too early for another attempt.
    pub(super) fn rest(&self, now: UnixTime) -> Duration {
        let hold = self.last.as_ref().filter(|hold| hold.since <= now);
        hold.map_or(Duration::ZERO, |hold| hold.until.since(now))
    }

    /// The error of the last attempt, if it failed.
    pub(super) fn error(&self) -> Option<&Error> {
        self.last.as_ref().map(|hold| &hold.error)
    }
}
