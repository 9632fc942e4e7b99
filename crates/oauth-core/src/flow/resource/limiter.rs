//! The rate limiter of an API: decides when each request may be sent. Rate limit fields of the API's replies are read
//! in `rate_limit_headers.rs`. Token requests are paced elsewhere: `breaker.rs`, and `renewal_limits.rs` in
//! oauth-session.

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
const CALLER_GAP: Duration = Duration::from_millis(10);

/// The longest time over which callers that wait for the same moment are spread: with many callers, the gap is smaller.
const MAX_SPREAD: Duration = Duration::from_secs(1);

/// How long the limiter waits for a caller that could proceed and does not: its thread may be stopped.
const MAX_CALLER_DELAY: Duration = Duration::from_secs(1);

/// The longest time over which requests are counted, to infer a limit from a refusal.
const MAX_COUNTED_WINDOW: Duration = Duration::from_secs(60);

/// The shortest pause after a refusal: an immediate retry is never intended, and many servers count in whole seconds.
/// The same pause follows a refusal that names none, doubled with each further one.
const MIN_REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after refusals that name none.
const MAX_DOUBLED_PAUSE: Duration = Duration::from_secs(60);

/// The number of windows for which an observed allowance is used.
const OBSERVED_FOR_WINDOWS: u32 = 10;

/// How many requests are remembered if no allowance is known.
const REMEMBERED_REQUESTS: usize = 1_000;

/// The largest number of requests that are ever remembered.
const MAX_REMEMBERED_REQUESTS: usize = 100_000;

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
    allowance: Option<Allowance>,
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

/// The known limits of one origin.
#[derive(Default)]
struct Origin {
    /// No request is sent before this time.
    paused_until: Duration,
    /// Refusals in a row that named no pause.
    doublings: u32,
    /// When the replies to the last requests arrived: a request counts at the server from some
    /// moment before that.
    reply_times: VecDeque<Duration>,
    /// The tickets of requests in flight, in order.
    in_flight: Vec<u64>,
    /// The waiting requests in order, each with the time until which it waits.
    waiting: Vec<(u64, Duration)>,
    run: CountingWindow,
    stated: Option<Allowance>,
    observed: Option<ObservedLimit>,
}

/// The requests since the server last began to count, as estimated by this client.
#[derive(Default, Clone, Copy)]
struct CountingWindow {
    /// `None` before the first request.
    began: Option<Duration>,
    served: u32,
    /// The length of the server's window, known once a refusal has named its end.
    window: Option<Duration>,
}

/// An allowance that was inferred from a refusal.
#[derive(Clone, Copy)]
struct ObservedLimit {
    requests: usize,
    window: Duration,
    until: Duration,
}

/// A caller's place in the queue, which it keeps during pauses and retries.
pub(super) struct Ticket {
    limiter: RateLimiter,
    origin: Arc<str>,
    number: u64,
}

/// Whether a caller waits in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queueing {
    /// Waits in the queue, behind all earlier callers.
    Waits,
    /// Proceeds now or not at all.
    None,
}

impl RateLimiter {
    /// Reads replies with this reset field in addition to the standard ones.
    pub fn new(reset: ResetField) -> Self {
        Self::with(None, reset)
    }

    /// Also keeps to this allowance, without waiting for a refusal: never more requests than it allows in any window of
    /// its length, where a request counts from the arrival of its reply.
    #[must_use]
    pub fn keeping(self, allowance: Allowance) -> Self {
        Self::with(Some(allowance), self.0.reset.clone())
    }

    fn with(allowance: Option<Allowance>, reset: ResetField) -> Self {
        Self(Arc::new(Shared {
            allowance,
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
            .field("allowance", &self.0.allowance)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// `None` if the request may be sent now; otherwise the pause after which to ask again.
    pub(super) fn admit(&self, at: Duration, queueing: Queueing) -> Option<Duration> {
        let mut state = self.limiter.state();
        state.elapsed = state.elapsed.max(at);
        let origin = state.origin(&self.origin);
        let allowance = self.limiter.0.allowance;
        let due = match queueing {
            Queueing::Waits => {
                let position = origin.position(self.number);
                let due = origin.due(position, at, allowance, queueing);
                due.max(origin.earliest_after(self.number, at))
            }
            Queueing::None => origin.due(origin.waiting.len(), at, allowance, queueing),
        };
        if due > at {
            if queueing == Queueing::Waits {
                origin.wait(self.number, due);
            }
            return Some(due - at);
        }
        origin.stop_waiting(self.number);
        if let Err(index) = origin.in_flight.binary_search(&self.number) {
            origin.in_flight.insert(index, self.number);
        }
        origin.begin(at);
        None
    }

    /// Updates the limits from the reply. Returns a pause, if the request was refused because it was sent too soon.
    pub(super) fn note_reply(
        &self,
        at: &Clock,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        let Shared {
            allowance, reset, ..
        } = &*self.limiter.0;
        let reading = rate_limit_headers::read(status, headers, reset, at.moment.now());
        let mut state = self.limiter.state();
        state.elapsed = state.elapsed.max(at.elapsed);
        let origin = state.origin(&self.origin);
        // A server may count refused requests. Without a known allowance, this is not assumed.
        let counts = !reading.is_refusal || allowance.is_some();
        if origin.complete(self.number) && counts {
            origin.count(at.elapsed, *allowance);
        }
        origin.apply(reading, at.elapsed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let allowance = self.limiter.0.allowance;
        let mut state = self.limiter.state();
        let elapsed = state.elapsed;
        let mut origins = state.origins.iter_mut();
        if let Some((_, origin)) = origins.find(|(name, _)| **name == *self.origin) {
            origin.stop_waiting(self.number);
            if origin.complete(self.number) {
                // The server may have received it anyway.
                origin.count(elapsed, allowance);
            }
        }
    }
}

impl State {
    fn origin(&mut self, name: &str) -> &mut Origin {
        let position = self.origins.iter().position(|(known, _)| known == name);
        let at = position.unwrap_or_else(|| {
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
        let index = self.position(number);
        let entry = self.waiting.get(index);
        entry
            .is_some_and(|&(other, _)| other == number)
            .then_some(index)
    }

    fn wait(&mut self, number: u64, until: Duration) {
        self.stop_waiting(number);
        self.waiting.insert(self.position(number), (number, until));
    }

    fn stop_waiting(&mut self, number: u64) {
        if let Some(index) = self.waiting_position(number) {
            self.waiting.remove(index);
        }
    }

    /// Removes a request from those in flight, and returns whether it was among them.
    fn complete(&mut self, number: u64) -> bool {
        let index = self.in_flight.binary_search(&number);
        index.is_ok_and(|index| self.in_flight.remove(index) == number)
    }

    /// The number of requests and the window that apply.
    fn rule(
        &self,
        at: Duration,
        allowance: Option<Allowance>,
        queueing: Queueing,
    ) -> Option<(usize, Duration)> {
        let stated = [allowance, self.stated].into_iter().flatten();
        // The slower of the two.
        let stated = stated.min_by(|a, b| {
            let scaled = |requests: u32, seconds: u32| u64::from(requests) * u64::from(seconds);
            scaled(a.requests, b.seconds).cmp(&scaled(b.requests, a.seconds))
        });
        if let Some(allowance) = stated {
            let requests = usize::try_from(allowance.requests).unwrap_or(MAX_REMEMBERED_REQUESTS);
            return Some((
                requests.clamp(1, MAX_REMEMBERED_REQUESTS),
                allowance.window(),
            ));
        }
        // A request that does not wait is not refused because of an observed limit, which is only a guess.
        let observed = self.observed.filter(|observed| at < observed.until);
        let observed = observed.filter(|_| queueing == Queueing::Waits);
        observed.map(|observed| (observed.requests.max(1), observed.window))
    }

    /// When the request at this place of the queue may be sent; if that is not known, the earliest possible time.
    fn due(
        &self,
        position: usize,
        at: Duration,
        allowance: Option<Allowance>,
        queueing: Queueing,
    ) -> Duration {
        let due = at.max(self.paused_until);
        let Some((requests, window)) = self.rule(at, allowance, queueing) else {
            return due;
        };
        // One full window later for every `requests` callers that wait before this one.
        let rounds = u32::try_from(position / requests).unwrap_or(u32::MAX);
        let expired = self
            .reply_times
            .partition_point(|&sent| sent + window <= at);
        let counting = self.reply_times.len() - expired;
        let counted = counting + self.in_flight.len();
        let first = match (counted + position % requests).checked_sub(requests) {
            None => at,
            // The request that must no longer count before this one may be sent.
            Some(nth) if nth < counting => {
                let sent = self.reply_times.get(expired + nth).copied();
                sent.map_or(at, |sent| sent + window)
            }
            // That request's reply has not arrived yet.
            Some(_) => at + window,
        };
        due.max(first) + window.saturating_mul(rounds)
    }

    /// When the requests that waited before this one have been sent.
    fn earliest_after(&self, number: u64, at: Duration) -> Duration {
        let before = self.waiting.iter().take(self.position(number));
        let before = before.map(|&(_, until)| until);
        let last = before.filter(|&until| until + MAX_CALLER_DELAY >= at).max();
        let queue = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        last.map_or(at, |last| {
            last.max(at) + CALLER_GAP.min(MAX_SPREAD / queue.max(1))
        })
    }

    /// Records that a request is sent.
    fn begin(&mut self, at: Duration) {
        let has_ended = |began| {
            let is_lifted = self.paused_until > began && at >= self.paused_until;
            is_lifted || at.saturating_sub(began) >= MAX_COUNTED_WINDOW
        };
        if self.run.began.is_none_or(has_ended) {
            self.run = CountingWindow {
                began: Some(at),
                ..CountingWindow::default()
            };
        }
    }

    /// Records that the reply to a request has arrived, or never will.
    fn count(&mut self, at: Duration, allowance: Option<Allowance>) {
        self.reply_times.push_back(at);
        let rule = self.rule(at, allowance, Queueing::Waits);
        let remembered = rule.map_or(REMEMBERED_REQUESTS, |(requests, _)| {
            requests.max(REMEMBERED_REQUESTS)
        });
        while self.reply_times.len() > remembered {
            self.reply_times.pop_front();
        }
    }

    fn apply(
        &mut self,
        reading: rate_limit_headers::LimitReading,
        at: Duration,
    ) -> Option<Duration> {
        self.stated = reading.policy.or(self.stated);
        if !reading.is_refusal {
            self.doublings = 0;
            self.run.served = self.run.served.saturating_add(1);
            if let Some(pause) = reading.pause {
                self.paused_until = self.paused_until.max(at + pause);
            }
            // Served in the same window as others that were refused.
            self.observe(at);
            return None;
        }
        let stated_pause = reading.pause.map(|pause| pause.max(MIN_REFUSAL_PAUSE));
        let pause = stated_pause.unwrap_or_else(|| {
            let doubled = MIN_REFUSAL_PAUSE * 2u32.saturating_pow(self.doublings.min(6));
            self.doublings = self.doublings.saturating_add(1);
            doubled.min(MAX_DOUBLED_PAUSE)
        });
        self.paused_until = self.paused_until.max(at + pause);
        if reading.pause.is_some() {
            let window = self
                .paused_until
                .saturating_sub(self.run.began.unwrap_or(at));
            self.run.window = Some(window.max(Duration::from_secs(1)));
            self.observe(at);
        }
        Some(pause)
    }

    /// Records that the server served this many in a window of this length, and refused the rest.
    fn observe(&mut self, at: Duration) {
        if let Some(window) = self.run.window {
            self.observed = Some(ObservedLimit {
                requests: usize::try_from(self.run.served).unwrap_or(REMEMBERED_REQUESTS),
                window,
                until: at + window * OBSERVED_FOR_WINDOWS,
            });
        }
    }
}
