//! A fleet of real sessions over one store, in simulated time.
//!
//! Where a [`Fleet`](super::Fleet) has a host of its own, this runs [`oauth_session::GrantSource`] itself:
//! its tasks, its cache, its hook, its draining. Each worker is a tokio runtime with a paused clock,
//! and they take turns of random length; a worker that is left out for a while is suspended. One seed
//! gives one history.
//!
//! What goes wrong is what [`Odds`](super::Odds) has, and beside that: callers are cancelled at any
//! time, runtimes end with and without [`drain`](oauth_session::GrantSource::drain), and sessions go on in
//! the next one; each worker has two sessions of each grant; people log in at any await point of a
//! store or a driver; a store gives no answer at all. Clocks do not differ by more than
//! [`Odds::skew`](super::Odds) says.
//!
//! # What must hold
//! The rules of the [module above](super), as far as they can be seen from outside, and:
//! - **Answered**: no call of a session stays without an answer, whatever became of others, and
//!   [`log_in`](oauth_session::GrantSource::log_in) that has returned `Ok` has stored its tokens.
//! - **Kept**: a session that was drained in time sends nothing more, and leaves nothing unsaved that
//!   could follow what is stored.
//! - **Hook**: it is called with what the session itself has fetched, before those see it who waited for
//!   that, and with nothing else. *Excused*: what has taken the place of that in the store; what was fetched in a runtime that has ended, and callers
//!   who come while the lease is released.
//! - **Cache**: what was fetched, and is not nearly stale, is ready at once; what is nearly stale or
//!   was refused is not ready.
//!
//! *Excused*, beside what the module above excuses: what a worker does in the same turn in which
//! something else has happened, for a turn is up to a second long.

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
    /// The history that this seed gives to this fleet; [`Setup::store`], [`Setup::dpop`],
    /// [`Setup::client_keys`] and [`Setup::flaw`] mean nothing here.
    pub const fn new(seed: u64, setup: Setup) -> Self {
        Self { seed, setup }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<Report, Violation> {
        let result = self.tell(None).map_err(|_| ());
        result.or_else(|()| {
            self.tell(Some(Vec::new()))
                .map_err(|(Breach(rule, text), transcript)| Violation {
                    seed: self.seed,
                    rule,
                    text,
                    setup: Box::new(self.setup.clone()),
                    transcript,
                })
        })
    }

    fn tell(&self, transcript: Option<Vec<String>>) -> Result<Report, (Breach, Vec<String>)> {
        let sim = Simulation::new(&self.setup, Rng::new(self.seed), transcript);
        let sim: Shared = Arc::new(std::sync::Mutex::new(sim));
        let mut workers = Workers::new(Arc::clone(&sim));
        let result = workers.play();
        drop(workers);
        oauth_session::simulated::unset();
        let mut sim = simulation::lock(&sim);
        match sim.breach.take().map_or(result, Err) {
            Ok(()) => Ok(sim.report),
            Err(breach) => Err((breach, sim.transcript.take().unwrap_or_default())),
        }
    }
}
