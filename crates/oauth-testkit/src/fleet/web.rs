//! A simulated fleet of web servers: users with browser tabs, served by many workers that share one store.
//!
//! The state machine is the real [`oauth_web::Site`], and the keepers that renew its sessions' tokens are real too.
//! The provider is a [`Twin`](crate::Twin); the store, the network, the browsers and the time are simulated. A seed
//! determines the whole history.
//!
//! # What goes on
//! Users open pages, in one tab or several at once, sign in, sign out, hand the browser to a different user, and are
//! signed out by their provider, which posts a logout token. Pages fetch with the session's tokens, which live for a
//! few minutes. Old copies of cookies are replayed. Sessions expire by idle time or age.
//!
//! # What goes wrong
//! Workers die between any two steps and restart without state; a step takes longer than any lease. The store
//! fails, executes an order without answering, or executes it late. Requests to the provider find no connection, get
//! lost, or lose their reply.
//!
//! # What must hold
//! 1. **Person** ([`WebRule::Person`]): the user passed to the application is the one who signed in at the provider
//!    to get the cookie that was sent, and the tokens are from that login.
//! 2. **Signed out** ([`WebRule::SignedOut`]): a session is not found by a request that comes after the response to a
//!    logout, to a login that replaced the session, or to a logout token received while the session was listed, stored
//!    or not, with any copy of the cookie. Nor is a session found after its tokens were removed. *Excused*: an end of a
//!    session for which the store did not answer.
//! 3. **One renewal** ([`WebRule::OneRenewal`]): a refresh token is sent under a lease granted by the store, and not
//!    during the lease of another request for the same grant.
//!    *Excused*: a refresh token that was never replaced yet, while the store does not answer.
//! 4. **Outlives** ([`WebRule::Outlives`]): once the faults have ended and each user has signed in again, no grant is
//!    stored without its session; and the tokens of a session that ended without a fault are no longer valid at the
//!    provider. *Excused*: a login whose worker died, or for which the store or the network did not answer.
//! 5. **Answered** ([`WebRule::Answered`]): once the faults have ended, each user can sign in, use a token, and sign
//!    out; and no visit ends in an error of its host.
//!
//! Hosts with deliberate mistakes test that these rules find them: see [`WebFlaw`].

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

/// A deliberate mistake in the program around the state machine: the checks must detect each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebFlaw {
    /// A logout removes the session last instead of first.
    SessionLast,
    /// A browser that signs in again gets its previous handle.
    SameHandle,
    /// Every lease is won; the store is not asked.
    NoLease,
    /// The grants of sessions that end are neither removed nor revoked.
    GrantKept,
}

impl WebFlaw {
    /// All flaws, with their names.
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
    /// 1: a user is taken for a different one.
    Person,
    /// 2: a session is found after its end.
    SignedOut,
    /// 3: two renewals of one grant at a time.
    OneRenewal,
    /// 4: a grant that outlives its session.
    Outlives,
    /// 5: no answer, or an error.
    Answered,
}

/// What happened in a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebReport {
    /// Requests received by workers.
    pub requests: u64,
    /// Requests of signed-in users that were passed to the application.
    pub passed: u64,
    /// Tokens that were used.
    pub tokens: u64,
    /// Sign-ins that created a session.
    pub logins: u64,
    /// Logouts that ended a session.
    pub logouts: u64,
    /// Logout tokens that were answered with 200.
    pub logout_tokens: u64,
    /// Sessions that ended because their tokens did.
    pub over: u64,
    /// Renewals that brought tokens.
    pub renewals: u64,
    /// Workers that died.
    pub crashes: u64,
    /// Visits and renewals that were cut short when a worker died.
    pub cut_short: u64,
    /// Steps that took longer than any lease.
    pub stalls: u64,
    /// Requests to the provider that were lost, or whose replies were.
    pub network_faults: u64,
    /// Calls of the store that failed.
    pub store_faults: u64,
}

impl WebReport {
    /// Adds the counts of another history.
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
    /// The broken rule.
    pub rule: WebRule,
    /// What happened.
    pub text: String,
    /// The events up to it, one per line.
    pub transcript: Vec<String>,
}

struct Breach(WebRule, String);

impl Web {
    /// The history that this seed determines.
    pub const fn new(seed: u64) -> Self {
        Self { seed, flaw: None }
    }

    /// Adds a flaw to the hosts.
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
        // Again, this time with a transcript.
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
