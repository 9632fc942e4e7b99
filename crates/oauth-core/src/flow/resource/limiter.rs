//! The rate limiter of an API: decides when each request may be sent. Rate limit fields of the API's replies are read
//! in `rate_limit_headers.rs`. Token requests are paced elsewhere: `breaker.rs`, and `renewal_limits.rs` in oauth-session.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{HeaderMap, HeaderName, StatusCode};

use super::rate_limit_headers::{self, Allowance, ResetField};
use crate::exchange::field_named;
use crate::moment::Moment;

/// The gap between two waiting callers, so that they proceed in order and do not wake at once.
const GAP: Duration = Duration::from_millis(10);

/// The longest time over which callers that wait for the same moment are spread: for more callers, the gap shrinks.
const SPREAD: Duration = Duration::from_secs(1);

/// How long the limiter waits for a caller that could proceed and does not: its thread may be stopped.
const OVERDUE: Duration = Duration::from_secs(1);

/// The longest time over which requests are counted, to infer a limit from a refusal.
const COUNTED: Duration = Duration::from_secs(60);

/// The shortest pause after a refusal: an immediate retry is never intended, and many servers count in whole seconds.
/// It is also the pause after a refusal that names none, doubled with each.
const FLOOR: Duration = Duration::from_secs(1);

/// The longest pause after refusals that name none.
const UNNAMED_MAX: Duration = Duration::from_secs(60);

/// For how many windows an observed allowance is used.
const BELIEVED: u32 = 10;

/// How many requests are remembered if no allowance is known.
const REMEMBERED: usize = 1_000;

/// The largest number of requests that are ever remembered.
const REMEMBERED_MAX: usize = 100_000;

/// The time and randomness for a step of a request to an API.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The wall clock, for servers that name a time of day; and the random bytes, for proofs of possession.
    pub moment: Moment,
    /// Time since any fixed moment of this process, from a clock that is never set.
    pub elapsed: Duration,
}

impl Clock {
    /// The operating system's clocks; `elapsed` counts from the first call in this process.
    ///
    /// # Errors
    /// `misuse.no_clock`.
    #[cfg(feature = "system")]
    pub fn system() -> Result<Self, crate::error::Error> {
        Ok(Self {
            moment: Moment::system()?,
            elapsed: crate::moment::elapsed(),
        })
    }
}

/// The known state of an API's limits, shared by all callers and clones.
///
/// Callers who have to wait are served in the order in which they first asked, a few milliseconds
/// apart. A limit that one of them receives applies to all.
#[derive(Clone, Default)]
pub struct RateLimiter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Option<Allowance>,
    reset: ResetField,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// The newest time that was passed in, for requests that are dropped without an event.
    elapsed: Duration,
    /// The origins: an API has one, or a few.
    origins: Vec<(String, Origin)>,
}

/// The limits of one origin, as far as they are known.
#[derive(Default)]
struct Origin {
    /// No request is sent before this time.
    held: Duration,
    /// Refusals in a row that named no pause.
    unnamed: u32,
    /// When the replies to the last requests arrived: a request counts at the server from some
    /// moment before that.
    spent: VecDeque<Duration>,
    /// The tickets of requests in flight, in order.
    in_flight: Vec<u64>,
    /// The waiting requests in order, each with the time until which it waits.
    waiting: Vec<(u64, Duration)>,
    run: Run,
    stated: Option<Allowance>,
    observed: Option<Observed>,
}

/// The requests since the server last began to count, as far as can be seen from here.
#[derive(Default, Clone, Copy)]
struct Run {
    /// `None` before the first request.
    began: Option<Duration>,
    served: u32,
    /// The length of the server's window, once a refusal has named its end.
    window: Option<Duration>,
}

/// An allowance that was inferred from a refusal.
#[derive(Clone, Copy)]
struct Observed {
    requests: usize,
    window: Duration,
    until: Duration,
}

/// A caller's place in the queue. It keeps its place over pauses and repetitions.
pub(super) struct Ticket {
    limiter: RateLimiter,
    origin: Arc<str>,
    number: u64,
}

/// How patient a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Waits in the queue, behind all earlier callers.
    Waits,
    /// Proceeds now or not at all.
    None,
}

impl RateLimiter {
    /// Reads replies with this reset field in addition to the standard ones.
    pub fn new(reset: ResetField) -> Self {
        Self::of(None, reset)
    }

    /// Also keeps to this allowance, without waiting for a refusal: never more requests than it allows in any window of
    /// its length, where a request counts from the arrival of its reply.
    #[must_use]
    pub fn keeping(self, allowance: Allowance) -> Self {
        Self::of(Some(allowance), self.0.reset.clone())
    }

    fn of(kept: Option<Allowance>, reset: ResetField) -> Self {
        Self(Arc::new(Shared {
            kept,
            reset,
            state: Mutex::default(),
        }))
    }

    pub(super) fn field(&self, name: &[u8]) -> Option<HeaderName> {
        field_named(name, std::slice::from_ref(self.0.reset.name()))
    }

    pub(super) fn ticket(&self, origin: &str) -> Ticket {
        let mut state = self.state();
        state.next += 1;
        Ticket {
            limiter: self.clone(),
            origin: origin.into(),
            number: state.next,
        }
    }

    /// No code that could panic half-way runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("kept", &self.0.kept)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// `None` if the request may be sent now; otherwise the pause after which to ask again.
    pub(super) fn admit(&self, at: Duration, patience: Patience) -> Option<Duration> {
        let mut state = self.limiter.state();
        state.elapsed = state.elapsed.max(at);
        let origin = state.origin(&self.origin);
        let kept = self.limiter.0.kept;
        let due = match patience {
            Patience::Waits => {
                let position = origin.position(self.number);
                let due = origin.due(position, at, kept, patience);
                due.max(origin.behind(self.number, at))
            }
            Patience::None => origin.due(origin.waiting.len(), at, kept, patience),
        };
        if due > at {
            if patience == Patience::Waits {
                origin.wait(self.number, due);
            }
            return Some(due - at);
        }
        origin.stop_waiting(self.number);
        if let Err(place) = origin.in_flight.binary_search(&self.number) {
            origin.in_flight.insert(place, self.number);
        }
        origin.begin(at);
        None
    }

    /// Updates the limits from the reply. Returns a pause, if the request was refused because it was sent too soon.
    pub(super) fn replied(
        &self,
        at: &Clock,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        let Shared { kept, reset, .. } = &*self.limiter.0;
        let reading = rate_limit_headers::read(status, headers, reset, at.moment.now());
        let mut state = self.limiter.state();
        state.elapsed = state.elapsed.max(at.elapsed);
        let origin = state.origin(&self.origin);
        // A server may count refused requests. Without a known allowance, this is not assumed.
        let counts = !reading.is_refusal || kept.is_some();
        if origin.complete(self.number) && counts {
            origin.count(at.elapsed, *kept);
        }
        origin.apply(reading, at.elapsed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let kept = self.limiter.0.kept;
        let mut state = self.limiter.state();
        let elapsed = state.elapsed;
        let mut origins = state.origins.iter_mut();
        if let Some((_, origin)) = origins.find(|(name, _)| **name == *self.origin) {
            origin.stop_waiting(self.number);
            if origin.complete(self.number) {
                // The server may have received it anyway.
                origin.count(elapsed, kept);
            }
        }
    }
}

impl State {
    fn origin(&mut self, name: &str) -> &mut Origin {
        let known = self.origins.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            self.origins.push((name.to_owned(), Origin::default()));
            self.origins.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "it was found there, or just put there"
        )]
        &mut self.origins[at].1
    }
}

impl Origin {
    /// The number of callers in the queue before this one.
    fn position(&self, number: u64) -> usize {
        self.waiting.partition_point(|&(other, _)| other < number)
    }

    /// The position of this caller in the queue, if it waits.
    fn waiting_position(&self, number: u64) -> Option<usize> {
        let place = self.position(number);
        let found = self.waiting.get(place);
        found
            .is_some_and(|&(other, _)| other == number)
            .then_some(place)
    }

    fn wait(&mut self, number: u64, until: Duration) {
        self.stop_waiting(number);
        self.waiting.insert(self.position(number), (number, until));
    }

    fn stop_waiting(&mut self, number: u64) {
        if let Some(place) = self.waiting_position(number) {
            self.waiting.remove(place);
        }
    }

    /// Removes a request from those in flight, and returns whether it was among them.
    fn complete(&mut self, number: u64) -> bool {
        let place = self.in_flight.binary_search(&number);
        place.is_ok_and(|place| self.in_flight.remove(place) == number)
    }

    /// The number of requests and the window that apply.
    fn rule(
        &self,
        at: Duration,
        kept: Option<Allowance>,
        patience: Patience,
    ) -> Option<(usize, Duration)> {
        let stated = [kept, self.stated].into_iter().flatten();
        // The slower of the two.
        let stated = stated.min_by(|a, b| {
            let rate = |one: &Allowance, other: &Allowance| {
                u64::from(one.requests) * u64::from(other.seconds)
            };
            rate(a, b).cmp(&rate(b, a))
        });
        if let Some(allowance) = stated {
            let requests = usize::try_from(allowance.requests).unwrap_or(REMEMBERED_MAX);
            return Some((requests.clamp(1, REMEMBERED_MAX), allowance.window()));
        }
        // A request that does not wait is not refused because of an observed limit, which is only a guess.
        let observed = self.observed.filter(|observed| at < observed.until);
        let observed = observed.filter(|_| patience == Patience::Waits);
        observed.map(|observed| (observed.requests.max(1), observed.window))
    }

    /// When the request at this place of the queue may be sent; if that is not known, the earliest possible time.
    fn due(
        &self,
        position: usize,
        at: Duration,
        kept: Option<Allowance>,
        patience: Patience,
    ) -> Duration {
        let due = at.max(self.held);
        let Some((requests, window)) = self.rule(at, kept, patience) else {
            return due;
        };
        // One full window later for every `requests` callers that wait before this one.
        let rounds = u32::try_from(position / requests).unwrap_or(u32::MAX);
        let over = self.spent.partition_point(|&sent| sent + window <= at);
        let counting = self.spent.len() - over;
        let taken = counting + self.in_flight.len();
        let first = match (taken + position % requests).checked_sub(requests) {
            None => at,
            // The request that must no longer count before this one may be sent.
            Some(nth) if nth < counting => {
                let sent = self.spent.get(over + nth).copied();
                sent.map_or(at, |sent| sent + window)
            }
            // Its reply has not arrived yet.
            Some(_) => at + window,
        };
        due.max(first) + window.saturating_mul(rounds)
    }

    /// When the requests that waited before this one have been sent.
    fn behind(&self, number: u64, at: Duration) -> Duration {
        let before = self.waiting.iter().take(self.position(number));
        let before = before.map(|&(_, until)| until);
        let last = before.filter(|&until| until + OVERDUE >= at).max();
        let queue = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        last.map_or(at, |last| last.max(at) + GAP.min(SPREAD / queue.max(1)))
    }

    /// Records that a request is sent.
    fn begin(&mut self, at: Duration) {
        let is_over = |began| {
            let is_lifted = self.held > began && at >= self.held;
            is_lifted || at.saturating_sub(began) >= COUNTED
        };
        if self.run.began.is_none_or(is_over) {
            self.run = Run {
                began: Some(at),
                ..Run::default()
            };
        }
    }

    /// Records that a request was answered, or never will be.
    fn count(&mut self, at: Duration, kept: Option<Allowance>) {
        self.spent.push_back(at);
        let rule = self.rule(at, kept, Patience::Waits);
        let remembered = rule.map_or(REMEMBERED, |(requests, _)| requests.max(REMEMBERED));
        while self.spent.len() > remembered {
            self.spent.pop_front();
        }
    }

    fn apply(
        &mut self,
        reading: rate_limit_headers::LimitReading,
        at: Duration,
    ) -> Option<Duration> {
        self.stated = reading.policy.or(self.stated);
        if !reading.is_refusal {
            self.unnamed = 0;
            self.run.served = self.run.served.saturating_add(1);
            if let Some(pause) = reading.pause {
                self.held = self.held.max(at + pause);
            }
            // Served in the same window as others that were refused.
            self.observe(at);
            return None;
        }
        let named = reading.pause.map(|pause| pause.max(FLOOR));
        let pause = named.unwrap_or_else(|| {
            let doubled = FLOOR * 2u32.saturating_pow(self.unnamed.min(6));
            self.unnamed = self.unnamed.saturating_add(1);
            doubled.min(UNNAMED_MAX)
        });
        self.held = self.held.max(at + pause);
        if reading.pause.is_some() {
            let window = self.held.saturating_sub(self.run.began.unwrap_or(at));
            self.run.window = Some(window.max(Duration::from_secs(1)));
            self.observe(at);
        }
        Some(pause)
    }

    /// Records that the server served this many in a window of this length, and refused the rest.
    fn observe(&mut self, at: Duration) {
        if let Some(window) = self.run.window {
            self.observed = Some(Observed {
                requests: usize::try_from(self.run.served).unwrap_or(REMEMBERED),
                window,
                until: at + window * BELIEVED,
            });
        }
    }
}
