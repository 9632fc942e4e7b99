//! A fleet of web servers: people with browsers, each with several tabs, at many workers that share one store.
//!
//! The machine is the real one, [`oauth_web::Site`], and so are the keepers that renew the tokens of its sessions.
//! The provider is a [`Twin`](crate::Twin); the store, the network, the browsers and the time are simulated. One seed
//! gives one history.
//!
//! # What goes on
//! People open pages, alone or in several tabs at once, sign in, sign out, change to another person at the same
//! browser, and are signed out by their provider, which posts a logout token. Pages fetch with the session's tokens,
//! which live for a minute or a few. Old copies of cookies are tried again. Sessions end by themselves, unused or old.
//!
//! # What goes wrong
//! Workers die between any two steps and come back without state; a step takes longer than any lease. The store
//! fails, does what it was asked without answering, does it late. Requests to the provider find no connection, get
//! lost, lose their reply.
//!
//! # What must hold
//! 1. **Person** ([`WebRule::Person`]): whoever is passed to the application is the person who signed in at the
//!    provider for the very cookie that was sent, and the tokens are of that login.
//! 2. **Signed out** ([`WebRule::SignedOut`]): a request that comes after the answer to a logout, or to a login that
//!    took the session's place, or to a logout token that came when the session was listed, stored or not, does not find
//!    it, whatever copy of the cookie it has. Nor does any find a session whose tokens have been taken away before.
//!    *Excused*: an end that the store did not answer to.
//! 3. **One renewal** ([`WebRule::OneRenewal`]): a refresh token is sent under a lease that the store has given, and
//!    not while the lease of another request for the same grant still runs.
//!    *Excused*: a refresh token that was never replaced yet, while the store is silent.
//! 4. **Outlives** ([`WebRule::Outlives`]): once nothing goes wrong any more, and each person has signed in once
//!    more, no grant is stored whose session is not; and where nothing went wrong with it, none that is over is good
//!    at the provider.
//!    *Excused* there: a login whose worker died, or to which store or network gave no answer.
//! 5. **Answered** ([`WebRule::Answered`]): once nothing goes wrong any more, each person can sign in, use a token,
//!    and sign out; and no visit ends in an error of its host.
//!
//! That these rules find mistakes is tested with hosts that make them: see [`WebFlaw`].

mod browser;
mod host;
mod ledger;
mod network;
mod rules;
mod simulation;
mod state;
mod store_requests;
mod tab;
mod task;

use std::fmt;

use state::Simulation;

/// One history of a fleet of web servers.
#[derive(Debug, Clone, Copy)]
pub struct Web {
    seed: u64,
    flaw: Option<WebFlaw>,
}

/// A mistake in the program around the machine: the checker must find each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebFlaw {
    /// What a logout removes first is removed last.
    SessionLast,
    /// A browser that signs in again gets the handle that it had.
    SameHandle,
    /// Every lease is won; the store is not asked.
    NoLease,
    /// The grants of sessions that end are neither removed nor revoked.
    GrantKept,
}

impl WebFlaw {
    /// Every one, with its name.
    pub const ALL: [(&str, Self); 4] = [
        ("session-last", Self::SessionLast),
        ("same-handle", Self::SameHandle),
        ("no-lease", Self::NoLease),
        ("grant-kept", Self::GrantKept),
    ];
}

/// A rule of the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebRule {
    /// 1: somebody is seen as another.
    Person,
    /// 2: a session after its end.
    SignedOut,
    /// 3: two renewals of one grant at a time.
    OneRenewal,
    /// 4: a grant without its session.
    Outlives,
    /// 5: no answer, or a useless one.
    Answered,
}

/// What happened in a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebReport {
    /// Requests that came to workers.
    pub requests: u64,
    /// Requests that were passed on for somebody who was signed in.
    pub passed: u64,
    /// Tokens that were used.
    pub tokens: u64,
    /// Sign-ins that were answered with a session.
    pub logins: u64,
    /// Logouts that were answered, and ended a session.
    pub logouts: u64,
    /// Logout tokens that were answered with 200.
    pub logout_tokens: u64,
    /// Sessions that ended because their tokens had.
    pub over: u64,
    /// Renewals that brought tokens.
    pub renewals: u64,
    /// Workers that died.
    pub crashes: u64,
    /// Visits and renewals that died with them.
    pub cut_short: u64,
    /// Steps that took longer than any lease.
    pub stalls: u64,
    /// Requests to the provider that were lost, or whose replies were.
    pub network_faults: u64,
    /// Calls of the store that failed.
    pub store_faults: u64,
}

impl WebReport {
    /// Counts another history too.
    pub const fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.passed += other.passed;
        self.tokens += other.tokens;
        self.logins += other.logins;
        self.logouts += other.logouts;
        self.logout_tokens += other.logout_tokens;
        self.over += other.over;
        self.renewals += other.renewals;
        self.crashes += other.crashes;
        self.cut_short += other.cut_short;
        self.stalls += other.stalls;
        self.network_faults += other.network_faults;
        self.store_faults += other.store_faults;
    }
}

/// A broken rule, and the history that led to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebViolation {
    /// The seed of the history.
    pub seed: u64,
    /// Which rule.
    pub rule: WebRule,
    /// What happened.
    pub text: String,
    /// The events up to it, one on each line.
    pub transcript: Vec<String>,
}

struct Breach(WebRule, String);

impl Web {
    /// The history of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, flaw: None }
    }

    /// The same history with a mistake in its hosts.
    #[must_use]
    pub const fn with_flaw(self, flaw: WebFlaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..self
        }
    }

    /// Runs the history.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<WebReport, WebViolation> {
        let mut sim = Simulation::new(self.seed, self.flaw, None);
        if sim.run().is_ok() {
            return Ok(sim.report);
        }
        // Once more, this time with a transcript.
        let mut sim = Simulation::new(self.seed, self.flaw, Some(Vec::new()));
        match sim.run() {
            Ok(()) => Ok(sim.report),
            Err(Breach(rule, text)) => Err(WebViolation {
                seed: self.seed,
                rule,
                text,
                transcript: sim.transcript.take().unwrap_or_default(),
            }),
        }
    }
}

impl fmt::Display for WebViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.transcript {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {:?}: {}", self.seed, self.rule, self.text)
    }
}

impl std::error::Error for WebViolation {}
