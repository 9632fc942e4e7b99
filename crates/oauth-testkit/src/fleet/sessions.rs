//! A fleet of real sessions over one store, in simulated time.
//!
//! A [`Fleet`](super::Fleet) simulates the host; this runs the real [`oauth_session::GrantSource`] with
//! its tasks, cache, hook and draining. Each worker is a tokio runtime with a paused clock, and they take
//! turns of random length; a worker that misses turns is suspended. A seed determines the whole history.
//!
//! The faults are those of [`Odds`](super::Odds), and also: callers are cancelled at any time; runtimes
//! end with and without [`drain`](oauth_session::GrantSource::drain), and sessions continue in the next
//! one; each worker has two sessions of each grant; users log in at any await point of a store or a
//! driver; a store never answers. Clocks differ by at most [`Odds::skew`](super::Odds).
//!
//! # What must hold
//! The rules of the [parent module](super), to the extent that they can be observed from outside, and:
//! - **Answered**: every call of a session is answered, regardless of what happens to others, and when
//!   [`log_in`](oauth_session::GrantSource::log_in) has returned `Ok`, its tokens are stored.
//! - **Kept**: a session that was drained in time sends nothing more, and leaves no successor of the
//!   stored tokens unsaved.
//! - **Hook**: it is called with the tokens that the session itself has fetched, before the callers that
//!   waited get them, and with nothing else. *Excused*: tokens that have replaced those in the store;
//!   tokens fetched in a runtime that has ended; callers that come while the lease is released.
//! - **Cache**: fetched tokens that are not nearly stale are ready at once; those that are nearly stale or
//!   were refused are not ready.
//!
//! *Excused*, in addition to the parent module's exceptions: actions of a worker in the turn in which
//! the conflicting event happened, since a turn takes up to a second.

mod caller;
mod endpoints;
mod rules;
mod simulation;
mod workers;

use std::sync::Arc;

use super::rng::Rng;
use super::{Breach, Report, Setup, Violation};

use simulation::{Shared, Simulation};
use workers::Workers;

/// One history of sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    seed: u64,
    setup: Setup,
}

impl Sessions {
    /// The history of this fleet that this seed determines. [`Setup::store`], [`Setup::dpop`],
    /// [`Setup::client_keys`] and [`Setup::flaw`] are ignored.
    pub const fn new(seed: u64, setup: Setup) -> Self {
        Self { seed, setup }
    }

    /// Runs the history.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<Report, Violation> {
        let result = self.run_with_transcript(None).map_err(|_| ());
        result.or_else(|()| {
            self.run_with_transcript(Some(Vec::new())).map_err(
                |(Breach(rule, text), transcript)| Violation {
                    seed: self.seed,
                    rule,
                    text,
                    setup: Box::new(self.setup.clone()),
                    transcript,
                },
            )
        })
    }

    fn run_with_transcript(
        &self,
        transcript: Option<Vec<String>>,
    ) -> Result<Report, (Breach, Vec<String>)> {
        let sim = Simulation::new(&self.setup, Rng::new(self.seed), transcript);
        let sim: Shared = Arc::new(std::sync::Mutex::new(sim));
        let mut workers = Workers::new(Arc::clone(&sim));
        let result = workers.run_history();
        drop(workers);
        oauth_session::simulated::unset();
        let mut sim = simulation::lock(&sim);
        match sim.breach.take().map_or(result, Err) {
            Ok(()) => Ok(sim.report),
            Err(breach) => Err((breach, sim.transcript.take().unwrap_or_default())),
        }
    }
}
