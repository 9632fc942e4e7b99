//! Many workers, one store, one server, and everything that can go wrong between them.
mod book;
mod dice;
mod host;
mod net;
mod people;
mod rules;
mod setup;
mod shelf;
mod world;

use std::fmt;

use world::World;

pub use setup::{Flaw, Odds, Setup};
pub use shelf::Shelf;

/// One history of one fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    seed: u64,
    setup: Setup,
}

impl Fleet {
    /// The history that this seed gives to this fleet.
    pub const fn new(seed: u64, setup: Setup) -> Self {
        Self { seed, setup }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<Report, Violation> {
        let mut world = World::new(self.seed, &self.setup, false);
        if world.run().is_ok() {
            return Ok(world.report);
        }
        // Once more, and this time it is written down.
        let mut world = World::new(self.seed, &self.setup, true);
        match world.run() {
            Ok(()) => Ok(world.report),
            Err(Breach(rule, text)) => Err(Violation {
                seed: self.seed,
                rule,
                text,
                setup: self.setup.clone(),
                transcript: world.transcript(),
            }),
        }
    }
}

/// What happened in a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Callers who came.
    pub callers: u64,
    /// Tokens that were used and worked.
    pub served: u64,
    /// Tokens that were used and did not work.
    pub refused: u64,
    /// Errors that callers got.
    pub errors: u64,
    /// Callers who gave up.
    pub cancelled: u64,
    /// Token requests the server carried out.
    pub token_requests: u64,
    /// Renewals that brought tokens.
    pub renewals: u64,
    /// Logins.
    pub logins: u64,
    /// Refresh tokens that came twice at a server that revokes.
    pub reuse_events: u64,
    /// Tokens handed out unsaved, because the store had failed again and again.
    pub unsaved: u64,
    /// Workers that died.
    pub crashes: u64,
    /// Renewals that were abandoned half-way.
    pub abandoned: u64,
    /// Workers that stood still.
    pub pauses: u64,
    /// Token requests that the network lost, delayed or doubled.
    pub network_faults: u64,
    /// Orders to the store that failed.
    pub store_faults: u64,
}

impl Report {
    /// Counts another history too.
    pub const fn add(&mut self, other: &Self) {
        self.callers += other.callers;
        self.served += other.served;
        self.refused += other.refused;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.token_requests += other.token_requests;
        self.renewals += other.renewals;
        self.logins += other.logins;
        self.reuse_events += other.reuse_events;
        self.unsaved += other.unsaved;
        self.crashes += other.crashes;
        self.abandoned += other.abandoned;
        self.pauses += other.pauses;
        self.network_faults += other.network_faults;
        self.store_faults += other.store_faults;
    }
}

/// Which invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// 1.
    OneFlight,
    /// 2.
    Newest,
    /// 3.
    Kept,
    /// 4.
    Answered,
    /// 5.
    SavedFirst,
    /// 6.
    OwnGrant,
    /// 6.
    OneRecord,
}

/// An invariant broken, and how it came to that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The seed of the history.
    pub seed: u64,
    /// Which invariant.
    pub rule: Rule,
    /// What happened.
    pub text: String,
    /// The fleet.
    pub setup: Setup,
    /// Everything up to it, a line each.
    pub transcript: Vec<String>,
}

struct Breach(Rule, String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{:?}", self.setup)?;
        write!(f, "seed {}: {:?}: {}", self.seed, self.rule, self.text)
    }
}

impl std::error::Error for Violation {}
