//! Backoff: the pause after failed attempts, and after renewals that were caused by refused tokens.

use std::time::Duration;

use super::record::Pause;
use crate::error::Error;
use crate::json::{Json, JsonForm};
use crate::json_form;
use crate::moment::{Moment, UnixTime};

/// The longest pause between two attempts, unless the server names one.
const MAX_PAUSE_SECONDS: u64 = 60;

/// The shortest pause reported to a caller. The first failure causes no pause, so that the next caller's attempt is not
/// delayed, but a program that retries should not do so in a tight loop.
const MIN_REPORTED_PAUSE: Duration = Duration::from_secs(1);

/// Renewals that were caused by a refused access token, or one that was received in the future. If every token is
/// refused, renewing does not help, and costs the server a refresh each time. The count is kept in the record, so that
/// the renewals of all workers count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    count: u32,
    last: Option<UnixTime>,
}

/// The number of such renewals in a row that cause no pause: tokens occasionally expire early.
const FREE_RENEWALS: u32 = 3;

/// After this many seconds without such a renewal, the count restarts.
const COUNT_RESET_SECONDS: u64 = 2 * MAX_PAUSE_SECONDS;

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

/// The stored form of [`Refusals`], in a record that has any.
struct Stored {
    count: u32,
    last: Option<UnixTime>,
}

json_form! { Stored { count, last } }

impl Refusals {
    /// How long to wait before the next such renewal, if it is too early for one.
    pub(super) fn wait_before_renewal(&self, now: UnixTime) -> Option<Duration> {
        let pause = match self.count.checked_sub(FREE_RENEWALS) {
            None => 0,
            Some(excess) => u64::min(1 << excess.min(6), MAX_PAUSE_SECONDS),
        };
        // A clock that was set back must not extend the pause.
        let last_renewal = self.last.filter(|last| *last <= now)?;
        let until = last_renewal.after(Duration::from_secs(pause));
        (now < until).then(|| until.since(now))
    }

    /// Counts one more such renewal.
    pub(super) fn count(&mut self, now: UnixTime) {
        let is_near =
            |last: &UnixTime| *last <= now && now.since(*last).as_secs() < COUNT_RESET_SECONDS;
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
    last: Option<Box<AttemptPause>>,
    /// Whether it applies only while the token is valid.
    is_soft: bool,
}

/// The time before which no attempt is made.
#[derive(Debug, Clone)]
struct AttemptPause {
    /// When it began. If the clock is before that, it was set back, and the remaining time is unknown.
    since: UnixTime,
    until: UnixTime,
    /// When another attempt may succeed, which may be later, because other workers pause too.
    may_succeed_at: UnixTime,
    error: Error,
}

impl AttemptPause {
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

    /// The error to return instead of another attempt, if it is too early for one.
    pub(super) fn error_while_active(&self, now: UnixTime) -> Option<Error> {
        let hold = self.last.as_ref().filter(|hold| hold.is_active_at(now))?;
        Some(
            hold.error
                .clone()
                .repeated_after(hold.may_succeed_at.since(now)),
        )
    }

    /// The error from [`error_while_active`](Self::error_while_active), for a caller that has no token to fall back on.
    pub(super) fn error_without_token(&self, now: UnixTime) -> Option<Error> {
        self.error_while_active(now).filter(|_| !self.is_soft)
    }

    /// Records a failure, and returns the error for callers, with the pause. The first failure causes
    /// none, the next ones longer and longer pauses, and one that the server names is kept
    /// ("Retry-After", RFC 9110 section 10.2.3).
    pub(super) fn record_failure(&mut self, at: &Moment, error: Error) -> Error {
        let exponential_pause = match self.count {
            0 => 0,
            count => 1 << (count - 1).min(6),
        };
        self.count = self.count.saturating_add(1);
        let pause = u64::min(exponential_pause, MAX_PAUSE_SECONDS);
        let pause = Duration::from_secs(pause + at.jitter_input() % (pause / 2 + 1));
        let now = at.now();
        let pause_end = Pause::from_error(&error, now).map_or(now, |pause| pause.end(now));
        self.set(now, pause_end.max(now.after(pause)), &error);
        error.pausing(self.remaining(now).max(MIN_REPORTED_PAUSE))
    }

    /// Like [`Self::record_failure`], but the pause applies only while the token is valid.
    pub(super) fn record_soft_failure(&mut self, at: &Moment, error: Error) -> Error {
        let error = self.record_failure(at, error);
        self.is_soft = true;
        error
    }

    /// Allows no attempt from `since` until `until`.
    pub(super) fn set(&mut self, since: UnixTime, until: UnixTime, error: &Error) {
        let server_pause = error.retry_after().unwrap_or_default();
        self.last = Some(Box::new(AttemptPause {
            since,
            until,
            may_succeed_at: until.max(since.after(server_pause)),
            error: error.clone(),
        }));
        self.is_soft = false;
    }

    /// Like [`Self::set`], but the pause applies only while the token is valid.
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
