//! The circuit breaker shared by all grants of a client at one server.
//!
//! Each grant backs off after its own failures. Without a breaker, a process with a thousand grants would send a
//! thousand requests to a server that is down, and as many when it recovers. Once several grants in a row have failed,
//! or the server has requested a pause, the breaker opens: one request at a time is sent as a trial, and the other
//! grants wait for its result.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Loss, ServerError};
use crate::moment::{Moment, UnixTime};

/// The number of consecutive failed grants that opens the breaker. One failure is not enough, because it may concern
/// that grant only.
const FAILURES_TO_OPEN: usize = 3;

/// The longest pause between two trial requests, in seconds, unless the server names one.
const MAX_PAUSE_SECONDS: u64 = 60;

/// The breaker, shared by all clones of a client in one process.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// The grants that failed since the last success.
    failing: Vec<String>,
    open: Option<OpenState>,
}

/// An open breaker: no request is sent before `until`; then one trial request is.
struct OpenState {
    opened_at: UnixTime,
    until: UnixTime,
    /// The number of failed trial requests.
    count: u32,
    error: Error,
}

impl OpenState {
    /// Whether requests are still refused. False if the clock has been set back past `opened_at`.
    fn is_holding(&self, now: UnixTime) -> bool {
        self.opened_at <= now && now < self.until
    }

    /// Opens the breaker again, with exponential backoff and jitter, until the next trial request.
    fn reopen(&mut self, at: &Moment) {
        let pause = u64::min(1 << self.count.min(6), MAX_PAUSE_SECONDS);
        self.count = self.count.saturating_add(1);
        let pause = pause + at.jitter_input() % (pause / 2 + 1);
        self.opened_at = at.now();
        self.until = at.now().after(Duration::from_secs(pause));
    }
}

impl Breaker {
    /// The error to return instead of sending a request, while the breaker is open.
    pub(crate) fn error_while_open(&self, now: UnixTime) -> Option<Error> {
        let state = self.state();
        let breaker = state
            .open
            .as_ref()
            .filter(|breaker| breaker.is_holding(now))?;
        Some(
            breaker
                .error
                .clone()
                .repeated_after(breaker.until.since(now)),
        )
    }

    /// Records that a request is about to be sent. If it is a trial, the pause before the next trial is longer.
    pub(crate) fn note_request(&self, at: &Moment) {
        let mut state = self.state();
        if let Some(breaker) = state
            .open
            .as_mut()
            .filter(|breaker| !breaker.is_holding(at.now()))
        {
            breaker.reopen(at);
        }
    }

    /// Records the outcome of a request of the grant with this name.
    pub(crate) fn note_outcome(&self, at: &Moment, name: String, error: Option<&Error>) {
        let Some(error) = error else {
            *self.state() = State::default();
            return;
        };
        match server_health(error) {
            ServerHealth::Up => *self.state() = State::default(),
            ServerHealth::Down => self.state().count_failure(at, name, error),
            ServerHealth::Neither => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count_failure(&mut self, at: &Moment, name: String, error: &Error) {
        if let Some(pause) = error.advice().after() {
            let now = at.now();
            // The clock has whole seconds, so a pause may be a second short.
            let opens_until = now.after(pause + Duration::from_secs(1));
            match &mut self.open {
                Some(breaker) if breaker.is_holding(now) && breaker.until >= opens_until => {}
                // The pause counts from now, so that a clock that is set back later is noticed.
                Some(breaker) => {
                    (breaker.opened_at, breaker.until) = (now, opens_until);
                    breaker.error = error.clone();
                }
                None => {
                    self.open = Some(OpenState {
                        opened_at: now,
                        until: opens_until,
                        count: 0,
                        error: error.clone(),
                    });
                }
            }
            return;
        }
        if self.failing.len() < FAILURES_TO_OPEN && !self.failing.contains(&name) {
            self.failing.push(name);
        }
        // A request that was in flight when it opened does not lengthen the pause.
        if self.failing.len() == FAILURES_TO_OPEN && self.open.is_none() {
            let mut breaker = OpenState {
                opened_at: at.now(),
                until: at.now(),
                count: 0,
                error: error.clone(),
            };
            breaker.reopen(at);
            self.open = Some(breaker);
        }
    }
}

/// The state of the server, as the outcome of a request shows it.
enum ServerHealth {
    /// The server is up: a refusal concerns this grant or this client.
    Up,
    /// The server is down, or overloaded.
    Down,
    /// Unknown: the request was never sent, or the response did not come from the server.
    Neither,
}

fn server_health(error: &Error) -> ServerHealth {
    match error.kind() {
        Kind::Lost(Loss::Unsent | Loss::Contended) | Kind::Misuse(_) | Kind::Untrusted(_) => {
            ServerHealth::Neither
        }
        Kind::Lost(_) | Kind::Malformed(_) => ServerHealth::Down,
        Kind::Denied(server) if ServerError::is_temporary(server) => ServerHealth::Down,
        Kind::Denied(_) => ServerHealth::Up,
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("is_open", &self.state().open.is_some())
            .finish_non_exhaustive()
    }
}
