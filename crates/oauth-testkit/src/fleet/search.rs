//! An exhaustive search of all event orders of two workers with one grant, up to a number of steps.
//!
//! A [`Fleet`](super::Fleet) draws the next event; a [`Search`] tries all of them. Nothing is random,
//! and time advances only where documented. Each state is reached by the shortest path; from each, the
//! history continues without faults, and all rules are checked until every caller has an answer.

mod choices;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oauth_core::flow::keeper::{Policy, Reuse};

use super::callers::CallerPatience;
use super::fake_store::PlainStore;
use super::rng::Rng;
use super::simulation::{Scheduled, Simulation, window};
use super::slot::Message;
use super::trace::Trace;
use super::{Breach, Flaw, Odds, Rule, Setup, Violation};
use crate::twin::Rotation;

use choices::RemainingTroubles;

/// All histories of two workers that share one grant, whose token has expired, up to a number of steps.
///
/// A step is the arrival of a caller, the start of a renewal, the sending of a request, its execution by the store or
/// the server, the arrival of an answer, or a trouble. Local events of a worker, which the others cannot see, are
/// tried in one order only, but with each trouble before them. Each trouble occurs at most once, at any time: a login
/// at either worker, a logout, the death of a worker, a lost reply of the server, a failure of the store (refused,
/// executed without an answer, or executed later), and a suspension of both workers, for longer than a lease or the
/// time limit of an attempt.
#[derive(Debug, Clone)]
pub struct Search {
    setup: Setup,
    depth: usize,
    troubles: u32,
}

/// The result of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The number of steps of the longest histories.
    pub depth: usize,
    /// The number of distinct states.
    pub states: usize,
    /// The number of histories that ended in a state already reached.
    pub repeated: usize,
    /// Whether every history was completed: a greater depth would find nothing new.
    pub is_complete: bool,
}

type Path = Vec<u8>;

impl Search {
    /// A search with this many steps, with a server that replaces refresh tokens and revokes the grant
    /// when one is reused, and with this setting for it in the policy.
    pub fn new(reuse: Reuse, depth: usize) -> Self {
        let mut policy = Policy::default();
        policy.reuse = reuse;
        policy.lease = Duration::from_secs(10);
        policy.longest_request = Duration::from_secs(5);
        let setup = Setup {
            workers: 2,
            grants: 1,
            is_client_grant: false,
            rotation: Rotation::Strict,
            lifetime: 60,
            hides_lifetime: false,
            refresh_token_timeout: None,
            idle_after: None,
            policy,
            fault_duration: Duration::ZERO,
            odds: Odds::default(),
            dpop: None,
            client_keys: None,
            certificates: None,
            flaw: None,
            store: || Box::new(PlainStore::default()),
        };
        Self {
            setup,
            depth,
            troubles: u32::MAX,
        }
    }

    /// Limits the total number of troubles in a history.
    #[must_use]
    pub const fn with_troubles(mut self, most: u32) -> Self {
        self.troubles = most;
        self
    }

    /// Adds a flaw to the workers' hosts.
    #[must_use]
    pub const fn with_flaw(mut self, flaw: Flaw) -> Self {
        self.setup.flaw = Some(flaw);
        self
    }

    /// Runs all histories, the shortest first.
    ///
    /// # Errors
    /// A violation in the shortest history that has one.
    pub fn run(&self) -> Result<Found, Violation> {
        let visited = Mutex::new(HashSet::new());
        let mut report = Found::default();
        let mut level = vec![Path::new()];
        for depth in 0..=self.depth {
            let (next, bad) = self.run_level(&level, &visited);
            if let Some(path) = bad {
                return Err(self.with_transcript(&path));
            }
            report.depth = depth;
            let states = lock(&visited).len();
            report.repeated += level.len() - (states - report.states);
            report.states = states;
            level = next;
            if level.is_empty() {
                report.is_complete = true;
                break;
            }
        }
        Ok(report)
    }

    /// Runs all histories of one length; returns those one step longer, or one that breaks a rule.
    fn run_level(
        &self,
        level: &[Path],
        visited: &Mutex<HashSet<u64>>,
    ) -> (Vec<Path>, Option<Path>) {
        let (number, is_bad) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let longer = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let Some(path) = level.get(number) else {
                    return;
                };
                match self.explore(path, visited) {
                    Ok(0) => {}
                    Ok(choices) => drop(lock(&longer).insert(number, choices)),
                    Err(_) => {
                        is_bad.fetch_min(number, Ordering::Relaxed);
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        let bad = level.get(is_bad.load(Ordering::Relaxed)).cloned();
        let longer = longer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let longer = longer.into_iter().flat_map(|(number, choices)| {
            (0..choices).map(move |choice| {
                let mut path = level[number].clone();
                path.push(choice);
                path
            })
        });
        (longer.collect(), bad)
    }

    /// Replays the path to a state and runs on from there; returns its number of choices, 0 if the state is known.
    fn explore(&self, path: &[u8], visited: &Mutex<HashSet<u64>>) -> Result<u8, Breach> {
        let (mut sim, remaining) = self.replay(path, WithTranscript::No)?;
        if !lock(visited).insert(sim.fingerprint(&remaining.digest())) {
            return Ok(0);
        }
        let choices = sim.choices(&remaining).len();
        sim.close(&remaining)?;
        Ok(u8::try_from(choices).unwrap_or(u8::MAX))
    }

    fn replay(
        &self,
        path: &[u8],
        with_transcript: WithTranscript,
    ) -> Result<(Simulation, RemainingTroubles), Breach> {
        let mut sim = Simulation::initial_state(&self.setup, with_transcript);
        let mut remaining = RemainingTroubles::new(self.troubles);
        sim.settle()?;
        for choice in path {
            sim.choose(&mut remaining, usize::from(*choice))?;
            sim.settle()?;
        }
        Ok((sim, remaining))
    }

    /// Runs a violating history again, with a transcript.
    fn with_transcript(&self, path: &[u8]) -> Violation {
        let mut sim = Simulation::initial_state(&self.setup, WithTranscript::Yes);
        let mut remaining = RemainingTroubles::new(self.troubles);
        let mut run = |sim: &mut Simulation| {
            sim.settle()?;
            for choice in path {
                sim.choose(&mut remaining, usize::from(*choice))?;
                sim.settle()?;
            }
            sim.close(&remaining)
        };
        let (rule, text) = match run(&mut sim) {
            Err(Breach(rule, text)) => (rule, text),
            Ok(()) => (Rule::Answered, "two runs of one history differ".to_owned()),
        };
        Violation {
            seed: 0,
            rule,
            text,
            setup: Box::new(self.setup.clone()),
            transcript: sim.transcript(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithTranscript {
    No,
    Yes,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulation {
    /// The initial state: both workers know the expired tokens of a login, and each gets a caller.
    fn initial_state(setup: &Setup, with_transcript: WithTranscript) -> Self {
        let mut sim = Self::new(0, setup, with_transcript == WithTranscript::Yes);
        sim.rng = Rng::constant();
        sim.trace = Some(Trace::new(setup.workers));
        sim.queue.clear();
        sim.grants[0].is_login_due = false;
        let begun = sim
            .log_in_at(0, 0)
            .and_then(|()| sim.run_until(u64::MAX))
            .map(|()| sim.add_caller(1, 0, CallerPatience::Hasty))
            .and_then(|()| sim.run_until(u64::MAX));
        sim.now += (setup.lifetime + 5) * 1000;
        match begun {
            Ok(()) => {
                for worker in 0..setup.workers {
                    sim.add_caller(worker, 0, CallerPatience::Hasty);
                }
            }
            // A rule is broken without any fault, which every history will show.
            Err(Breach(_, text)) => sim.record_in_transcript(|| text),
        }
        sim
    }

    /// Runs all pending events in order of time, until there are none or the time `end` is reached.
    fn run_until(&mut self, end: u64) -> Result<(), Breach> {
        let mut is_last_round = false;
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > end {
                break;
            }
            self.now = self.now.max(due.at);
            is_last_round |= matches!(due.ev, Scheduled::LastRound);
            self.handle(due.ev)?;
            if is_last_round && self.is_at_rest() {
                break;
            }
        }
        Ok(())
    }

    /// Whether nothing is awaited, not even a save.
    fn is_at_rest(&mut self) -> bool {
        let keepers = self.workers.iter().map(|worker| &worker.slots[0].keeper);
        let is_idle = keepers.fold(true, |is_idle, keeper| {
            is_idle && !keeper.is_busy() && keeper.is_stored()
        });
        let is_coming = |ev: &Scheduled| matches!(ev, Scheduled::Login(_)) || is_login(ev);
        is_idle && !self.queue.iter().any(|due| is_coming(&due.0.ev)) && self.is_served()
    }

    /// Runs to the end without faults and checks that every caller has a working token soon, and that the
    /// store has the tokens of the last login unless the user has logged out.
    fn close(&mut self, remaining: &RemainingTroubles) -> Result<(), Breach> {
        self.calm = true;
        let before = self.report.logins;
        let last_round = 5 * window(&self.setup);
        self.post(last_round, Scheduled::LastRound);
        self.run_until(self.now + last_round + 120_000)?;
        if !self.is_served() {
            let text = "a caller has no working token after the faults have ended".to_owned();
            return Err(Breach(Rule::Answered, text));
        }
        if remaining.has_lost_nothing(&self.setup.policy.reuse) && self.report.logins > before {
            let text = "the user has to log in, although nothing was lost".to_owned();
            return Err(Breach(Rule::Kept, text));
        }
        if remaining.is_removed() {
            return Ok(());
        }
        // A login that was not stored is lost with its worker.
        let is_there = remaining.has_died() || self.ledger.is_stored(0, self.ledger.newest_login());
        if !is_there || !self.ledger.ends_with_the_last_login(0) {
            let text = "the tokens of the last login are not in the store at the end".to_owned();
            return Err(Breach(Rule::Kept, text));
        }
        Ok(())
    }
}

fn is_login(ev: &Scheduled) -> bool {
    let message = match ev {
        Scheduled::Message { message, .. } => message,
        _ => return false,
    };
    matches!(message, Message::Login(_))
}
