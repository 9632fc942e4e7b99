//! What one grant learns of a server that fails, for all grants of a client there.
//!
//! Each grant holds back after failures of its own. A process that keeps a thousand of them would still
//! ask a server that is down a thousand times, and as often when it comes back: so once several grants
//! in a row have failed, or the server has asked for a pause, one of them tries now and then, and the
//! others wait for what becomes of it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Loss, ServerError};
use crate::moment::{Moment, UnixTime};

/// So many grants that failed, none of which was served in between. What one grant is answered may be
/// about that grant.
const FAILURES: usize = 3;

/// The longest pause between two tries in seconds, unless the server names one.
const LONGEST: u64 = 60;

/// Shared by all clones of a client, in one process.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// The grants that failed since one was served.
    failing: Vec<String>,
    open: Option<Open>,
}

/// Nothing is sent before a certain time, and then one request.
struct Open {
    since: UnixTime,
    until: UnixTime,
    /// How many tries failed.
    count: u32,
    error: Error,
}

impl Open {
    /// A clock that was set back holds nobody.
    fn lasts(&self, now: UnixTime) -> bool {
        self.since <= now && now < self.until
    }

    /// Until the next try.
    fn again(&mut self, at: &Moment) {
        let pause = u64::min(1 << self.count.min(6), LONGEST);
        self.count = self.count.saturating_add(1);
        let pause = pause + at.dice() % (pause / 2 + 1);
        self.since = at.now();
        self.until = at.now().after(Duration::from_secs(pause));
    }
}

impl Breaker {
    /// The error to answer with instead of a request.
    pub(crate) fn told(&self, now: UnixTime) -> Option<Error> {
        let state = self.state();
        let open = state.open.as_ref().filter(|open| open.lasts(now))?;
        Some(open.error.clone().told_again(open.until.since(now)))
    }

    /// A request is on its way. If it is a try, the next one comes after a longer pause.
    pub(crate) fn pass(&self, at: &Moment) {
        let mut state = self.state();
        if let Some(open) = state.open.as_mut().filter(|open| !open.lasts(at.now())) {
            open.again(at);
        }
    }

    /// What has become of a request of the grant of this name.
    pub(crate) fn note(&self, at: &Moment, name: String, error: Option<&Error>) {
        let Some(error) = error else {
            *self.state() = State::default();
            return;
        };
        match verdict(error) {
            Verdict::Serves => *self.state() = State::default(),
            Verdict::Fails => self.state().fail(at, name, error),
            Verdict::Neither => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self, at: &Moment, name: String, error: &Error) {
        if let Some(pause) = error.advice().after() {
            let now = at.now();
            // The clock is cut to whole seconds, so a pause may be a second short.
            let until = now.after(pause + Duration::from_secs(1));
            match &mut self.open {
                Some(open) if open.lasts(now) && open.until >= until => {}
                // It counts from now: only so is it seen that the clock was set back later.
                Some(open) => {
                    (open.since, open.until) = (now, until);
                    open.error = error.clone();
                }
                None => {
                    self.open = Some(Open {
                        since: now,
                        until,
                        count: 0,
                        error: error.clone(),
                    });
                }
            }
            return;
        }
        if self.failing.len() < FAILURES && !self.failing.contains(&name) {
            self.failing.push(name);
        }
        // A request that was on its way when it opened makes no pause longer.
        if self.failing.len() == FAILURES && self.open.is_none() {
            let mut open = Open {
                since: at.now(),
                until: at.now(),
                count: 0,
                error: error.clone(),
            };
            open.again(at);
            self.open = Some(open);
        }
    }
}

/// What an answer says of the server.
enum Verdict {
    /// It serves: what it refused is about this grant, or this client.
    Serves,
    Fails,
    /// The request was never sent, or the answer was not the server's.
    Neither,
}

fn verdict(error: &Error) -> Verdict {
    match error.kind() {
        Kind::Lost(Loss::Unsent | Loss::Contended) | Kind::Misuse(_) | Kind::Untrusted(_) => {
            Verdict::Neither
        }
        Kind::Lost(_) | Kind::Malformed(_) => Verdict::Fails,
        Kind::Denied(server) if ServerError::is_passing(server) => Verdict::Fails,
        Kind::Denied(_) => Verdict::Serves,
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("is_open", &self.state().open.is_some())
            .finish_non_exhaustive()
    }
}
