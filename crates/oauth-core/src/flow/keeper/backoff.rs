//! Backoff: the pause after failed attempts, and after renewals that were caused by refused tokens.

use std::time::Duration;

use super::record::Pause;
use crate::error::Error;
use crate::json::{Json, JsonForm};
use crate::json_form;
use crate::moment::{Moment, UnixTime};

/// The longest pause between two attempts, unless the server names one.
const LONGEST: u64 = 60;

/// The shortest pause that a caller is told to keep. The first failure causes none, so that the next caller's attempt is
/// not delayed, but a program that repeats its own should not do it in a tight loop.
const SHORTEST_TOLD: Duration = Duration::from_secs(1);

/// Renewals that were caused by a refused access token. If every token is refused, renewing does not help, and costs
/// the server a refresh each time. They are kept in the record, so that those of all workers count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    count: u32,
    last: Option<UnixTime>,
}

/// How many such renewals in a row need no pause: tokens expire early now and then.
const FREE_RENEWALS: u32 = 3;

/// After this many seconds without one, counting restarts.
const QUIET_SECONDS: u64 = 2 * LONGEST;

impl JsonForm for Refusals {
    fn read(value: Json<'_>) -> Option<Self> {
        Stored::read(value).map(|Stored { count, last }| Self { count, last })
    }

    fn write(&self, out: &mut String) {
        let Self { count, last } = *self;
        Stored { count, last }.write(out);
    }

    fn is_absent(&self) -> bool {
        self.last.is_none()
    }
}

/// Its form in a record that holds any.
struct Stored {
    count: u32,
    last: Option<UnixTime>,
}

json_form! { Stored { count, last } }

impl Refusals {
    /// How long to wait before the next one, if it is too early.
    pub(super) fn hold(&self, now: UnixTime) -> Option<Duration> {
        let pause = match self.count.checked_sub(FREE_RENEWALS) {
            None => 0,
            Some(more) => u64::min(1 << more.min(6), LONGEST),
        };
        // A clock that was set back must not extend the pause.
        let last = self.last.filter(|last| *last <= now)?;
        let until = last.after(Duration::from_secs(pause));
        (now < until).then(|| until.since(now))
    }

    /// Counts one more such renewal.
    pub(super) fn note(&mut self, now: UnixTime) {
        let is_near = |last: &UnixTime| *last <= now && now.since(*last).as_secs() < QUIET_SECONDS;
        if !self.last.as_ref().is_some_and(is_near) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
    }
}

/// The pause after failed attempts, only of this worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    count: u32,
    last: Option<Box<Hold>>,
    /// Whether it applies only while the token is valid.
    is_soft: bool,
}

/// The time before which no attempt is made.
#[derive(Debug, Clone)]
struct Hold {
    /// When it began. If the clock is before that, it was set back, and the remaining time is unknown.
    since: UnixTime,
    until: UnixTime,
    /// When another attempt may succeed, which may be later: other workers hold back too.
    again: UnixTime,
    error: Error,
}

impl Hold {
    fn is_active_at(&self, now: UnixTime) -> bool {
        self.since <= now && now < self.until
    }
}

impl Backoff {
    /// Whether it is too early for another attempt.
    pub(super) fn is_active(&self, now: UnixTime) -> bool {
        self.last
            .as_ref()
            .is_some_and(|hold| hold.is_active_at(now))
    }

    /// The error to answer with instead of another attempt, if it is too early for one.
    pub(super) fn error_while_active(&self, now: UnixTime) -> Option<Error> {
        let hold = self.last.as_ref().filter(|hold| hold.is_active_at(now))?;
        Some(hold.error.clone().repeated_after(hold.again.since(now)))
    }

    /// The same, for a caller that has no token to fall back on.
    pub(super) fn error_without_token(&self, now: UnixTime) -> Option<Error> {
        self.error_while_active(now).filter(|_| !self.is_soft)
    }

    /// Records a failure, and returns the error for callers, with the pause. The first failure causes
    /// none, the next ones longer and longer pauses, and one that the server names is kept
    /// ("Retry-After", RFC 9110 section 10.2.3).
    pub(super) fn record_failure(&mut self, at: &Moment, error: Error) -> Error {
        let doubled = match self.count {
            0 => 0,
            count => 1 << (count - 1).min(6),
        };
        self.count = self.count.saturating_add(1);
        let pause = u64::min(doubled, LONGEST);
        let pause = Duration::from_secs(pause + at.jitter_input() % (pause / 2 + 1));
        let now = at.now();
        let named = Pause::of(&error, now).map_or(now, |pause| pause.end(now));
        self.set(now, named.max(now.after(pause)), &error);
        error.pausing(self.remaining(now).max(SHORTEST_TOLD))
    }

    /// The same, while the token is valid.
    pub(super) fn record_soft_failure(&mut self, at: &Moment, error: Error) -> Error {
        let error = self.record_failure(at, error);
        self.is_soft = true;
        error
    }

    /// Allows no attempt from `since` until `until`.
    pub(super) fn set(&mut self, since: UnixTime, until: UnixTime, error: &Error) {
        let named = error.retry_after().unwrap_or_default();
        self.last = Some(Box::new(Hold {
            since,
            until,
            again: until.max(since.after(named)),
            error: error.clone(),
        }));
        self.is_soft = false;
    }

    /// The same, while the token is valid.
    pub(super) fn set_soft(&mut self, since: UnixTime, until: UnixTime, error: &Error) {
        self.set(since, until, error);
        self.is_soft = true;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How long to wait before the next attempt.
    pub(super) fn remaining(&self, now: UnixTime) -> Duration {
        let hold = self.last.as_ref().filter(|hold| hold.since <= now);
        hold.map_or(Duration::ZERO, |hold| hold.until.since(now))
    }

    /// The error of the last attempt, if it failed.
    pub(super) fn error(&self) -> Option<&Error> {
        self.last.as_ref().map(|hold| &hold.error)
    }
}
