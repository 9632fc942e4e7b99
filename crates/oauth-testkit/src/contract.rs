//! The contract of drivers: five promises, checked against a hostile server on loopback.
//!
//! A driver is the loop that sends an exchange's requests over HTTP. It is small, but its mistakes are
//! not visible in its code: redirects, retries, decompression and logging are on by default in many
//! HTTP clients. Pass the driver to [`check`], which calls it with one [`Probe`] after the other.
//!
//! ```no_run
//! # use oauth_core::{error::Error, exchange::Exchange};
//! # fn run<E: Exchange>(_: E) -> Result<E::Output, Error> { unimplemented!() }
//! // in a test, with the driver's own run loop
//! oauth_testkit::contract::assert(|probe| run(probe));
//! ```
//!
//! The promise about logs covers only the [`log`] crate, and needs its global logger: install no other
//! logger in the process that runs the check.

mod cases;
mod hostile;
mod log_capture;

use std::fmt;

use bytes::Bytes;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::moment::Moment;

/// The request arrives unchanged and never twice; the reply is returned as it was sent.
pub const SEND_ONCE: &str = "send exactly once";
/// A redirect is returned like any other reply.
pub const NO_REDIRECT: &str = "follow no redirect";
/// A larger reply is [`Lost`](Input::Lost) with
/// [`Delivery::TooLarge`](oauth_core::error::Delivery::TooLarge), and not read to their end.
pub const CAP: &str = "cap a reply at 1 MiB";
/// Every failure is passed to the exchange, and states whether the request may have arrived.
pub const FAILURES_ARE_LOST: &str = "turn every failure into Lost";
/// Heads contain credentials, bodies contain tokens.
pub const NO_LOG: &str = "log no head and no body";

/// Whether one promise was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The promise: one of the five constants of this module.
    pub promise: &'static str,
    /// `Err` lists every way in which the promise was broken, one per line.
    pub outcome: Result<(), String>,
}

/// Checks the five promises; returns one report for each, in the order above.
///
/// The driver is called some twenty times, one call after the other. It may keep its HTTP client,
/// and so its open connections, between calls: some promises are only broken then.
pub fn check(driver: impl FnMut(Probe) -> Result<Seen, Error>) -> Vec<Report> {
    let mut broken = cases::run(driver);
    [SEND_ONCE, NO_REDIRECT, CAP, FAILURES_ARE_LOST, NO_LOG]
        .into_iter()
        .map(|promise| {
            let lines = broken.remove(promise).unwrap_or_default();
            let outcome = if lines.is_empty() {
                Ok(())
            } else {
                Err(lines.join("\n"))
            };
            Report { promise, outcome }
        })
        .collect()
}

/// [`check`] as a test.
///
/// # Panics
/// If a promise is broken, with a list of all that are.
#[track_caller]
pub fn assert(driver: impl FnMut(Probe) -> Result<Seen, Error>) {
    let broken: Vec<String> = check(driver)
        .into_iter()
        .filter_map(|report| {
            let reason = report.outcome.err()?;
            Some(format!(
                "- {}:\n    {}",
                report.promise,
                reason.replace('\n', "\n    ")
            ))
        })
        .collect();
    assert!(
        broken.is_empty(),
        "the driver breaks its promises\n{}",
        broken.join("\n")
    );
}

/// An exchange that sends one request and returns the input that follows.
pub struct Probe(State);

enum State {
    Fresh(Box<http::Request<Bytes>>),
    Waiting,
    Over,
}

/// The input that a probe got after its request.
#[non_exhaustive]
pub enum Seen {
    /// A reply.
    Reply(http::Response<Bytes>),
    /// There was no reply, for this cause.
    Lost(Cause),
}

impl Probe {
    fn new(request: http::Request<Bytes>) -> Self {
        Self(State::Fresh(Box::new(request)))
    }
}

impl Exchange for Probe {
    type Output = Seen;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<Seen>, Error> {
        match (std::mem::replace(&mut self.0, State::Over), input) {
            (State::Fresh(request), Input::Begin) => {
                self.0 = State::Waiting;
                Ok(Step::Send(*request))
            }
            (State::Waiting, Input::Reply(reply)) => Ok(Step::Done(Seen::Reply(reply))),
            (State::Waiting, Input::Lost(cause)) => Ok(Step::Done(Seen::Lost(cause))),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe(..)")
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => {
                write!(
                    f,
                    "a reply {} of {} bytes",
                    reply.status().as_u16(),
                    reply.body().len()
                )
            }
            Self::Lost(cause) => write!(f, "Lost({:?}: {cause})", cause.delivery()),
        }
    }
}
