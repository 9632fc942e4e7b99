//! A simulated fleet: many workers, one store, one server, and the faults between them.
//!
//! A [`Fleet`] runs one history of several workers that share grants through one store: the keepers are
//! the real ones of `oauth-core`, the server is a [`Twin`](crate::Twin), the store is a [`FakeStore`],
//! and time, randomness and the hosts in between are simulated. A seed determines the whole history; a
//! [`Violation`] prints it, without secrets.
//!
//! ```
//! use oauth_testkit::fleet::{Fleet, Setup};
//!
//! for seed in 0..10 {
//!     let report = Fleet::new(seed, Setup::random(seed)).run()?;
//!     assert!(report.served > 0);
//! }
//! # Ok::<(), oauth_testkit::fleet::Violation>(())
//! ```
//!
//! To test your own store, pass [`Setup::with_store`] a function that creates an empty one; to test a
//! policy, set [`Setup::policy`].
//!
//! # What goes wrong
//! Callers come at any time, alone or in crowds, and leave while they wait. Workers die between any two
//! steps, restart without state, or are suspended for longer than any lease and continue with their old
//! state; their clocks differ. Renewals are abandoned half-way. Token requests find no connection, get
//! lost, lose their reply, arrive after their sender has given up, or arrive twice; the server is busy
//! or down, or refuses valid tokens; a gateway times out; access tokens end early; users revoke their
//! grants. The store fails, executes an order without answering, executes it late, or goes down. Users
//! log in when they are told to, and sometimes without being asked, even in the middle of a renewal;
//! they log out, which removes the record while workers still have it. Clocks step by hours, back and
//! forth. The store forgets a record, or loses its last saves, as after a failover to a replica. Workers
//! restart with a copy of tokens that their application has kept. The server sees two grants of a fleet
//! as the same user's. [`Odds`] contains the probability of each.
//!
//! Two things are assumed: a worker gives up on a token request after
//! [`Policy::longest_request`], and the network delays no request for more than 13 s beyond that.
//!
//! [`Policy::longest_request`]: oauth_core::flow::keeper::Policy::longest_request
//!
//! # What must hold
//! Each rule is listed with its exceptions: situations that no worker could have known of or avoided.
//!
//! 1. **One flight** ([`Rule::OneFlight`]). A token request is sent by a worker that was given a
//!    lease, and at most one request under a lease. While a request is under way, from when it is
//!    sent until its sender has the answer or gives up, no other is sent for the same grant, and no
//!    other worker is granted the lease.
//!    *Excused*: requests that need no lease (for a `client_credentials` token, or with a refresh token
//!    that is never replaced) while the store does not answer. One of the two leases has expired: a
//!    suspended worker cannot notice this, and rule 3 applies to what it sends afterwards. A released
//!    lease does not count as expired. A lease expires during a request only if its worker was
//!    suspended, or the store failed to extend it.
//! 2. **The newest** ([`Rule::Newest`]). A worker that has read a version of the record neither sends nor hands out a
//!    token that is in an earlier version but not in this one; and no caller gets the token that it has just reported
//!    as refused. *Excused*: a version that has not been delivered to the worker yet, no matter how long ago it was
//!    stored.
//! 3. **Kept** ([`Rule::Kept`]). No grant is lost that could have been kept:
//!    - With [`Reuse::Revokes`](oauth_core::flow::keeper::Reuse::Revokes) no two requests of workers
//!      ever spend the same refresh token. With `Unknown` it happens only when, at the time of the later
//!      request, the access token in the store has expired, and the earlier sender is dead, knows the
//!      outcome, or has had the time of an attempt
//!      ([`attempt_window`](oauth_core::flow::keeper::Policy::attempt_window)) to store the answer. With
//!      `Tolerated` it may happen at any time: the application has declared it harmless.
//!    - A caller is told to log in only if the refresh token in the store is dead, and no worker
//!      that is awake and within its lease holds a live successor of it; or if the server itself has
//!      refused it.
//!    - A request that was sent is completed as long as its worker lives, and the tokens it returns are
//!      stored, or kept until they can be, if the store still has the token that was sent.
//!    - A record is never replaced by its predecessor, nor a login by an earlier grant; and a record that
//!      a user has removed is not stored again.
//!
//!    *Excused*: copies of a request made by the network. The difference of two clocks, and two seconds
//!    because times are truncated to seconds. With `Revokes`, a token that may be alive, if only a
//!    different worker knows that it was never sent: the policy promises no more than that.
//!    A worker that has read the record in the last five seconds, or has just woken up, and was
//!    overtaken since. An abandoned renewal, whose reply is lost.
//! 4. **Answered** ([`Rule::Answered`]). Once the faults have ended and the leases from that time have
//!    expired, every worker can use a token of every grant within two minutes, including a login
//!    if one is due, and no caller is still waiting. No error has the advice `give_up`.
//!    *Excused*: callers whose worker died, or who gave up.
//! 5. **Saved first** ([`Rule::SavedFirst`]). A token is handed out only after the store has saved
//!    it.
//!    *Excused*: the tokens of a login, which exist before the keeper; and tokens that the store
//!    has failed to save five times, or once if it did not answer before.
//! 6. **One grant, one record** ([`Rule::OwnGrant`], [`Rule::OneRecord`]). Nothing that belongs to
//!    one grant is sent, stored or handed out for another, and the store assigns no version twice.
//!
//! 7. **Heeded** ([`Rule::Heeded`]). A worker that has read that the server refused a refresh token without
//!    ending the grant sends it again only after the pause stored in the record. Nothing is deleted, and a
//!    login or a success ends the pause.
//!    *Excused*: the difference of clocks.
//!
//! 8. **Its own key** ([`Rule::OwnKey`]), where tokens are bound to a DPoP key ([`Setup::dpop`]). Two workers share key and
//!    token, or neither: a refresh token is sent with a proof of the key that it is bound to, and a token is handed out
//!    only by a worker that has its key. A worker that has read a record with a nonce of the token endpoint sends one
//!    with each request, also after a restart, unless the store has lost saves. The server refuses a refresh token with
//!    a proof by a different key, and requires its nonces.
//!
//! 9. **A known key** ([`Rule::KnownClientKey`]), where the client authenticates with keys that are replaced
//!    ([`Setup::client_keys`]). The server receives no request signed with a key that it no longer knows. Workers with
//!    the old key and with the new one share their grants as long as both are registered.
//!
//! 10. **Its own certificate** ([`Rule::OwnCertificate`]), where tokens are bound to certificates that are replaced
//!     ([`Setup::certificates`]). A token is handed out only by a worker whose connections present the certificate that it
//!     is bound to; workers with the old certificate and with the new one can use each other's refresh tokens. The server
//!     binds access tokens to the certificate of the connection, and the API refuses them on others. A worker with
//!     a different certificate treats a token in the store as expired.
//!
//! If clocks step, the store loses saves, or applications bring their own copies of tokens, only the
//! following is excused in addition:
//! - *Steps*: violations of the time limits between two sends of a refresh token, if the clock of either
//!   sender has stepped since the earlier one or is wrong; once any clock has stepped, that an access token
//!   was alive, and rule 7. With `Revokes` no token is sent twice even so.
//! - *Losses*: a save over an older record; a second send of a token that was sent before the loss,
//!   or less than an attempt's time after it; being told to log in while the store is behind; a removal
//!   whose tombstone was lost; and replacing the tokens of a login that are not newer, by the receivers'
//!   clocks, than the record before it, hence those of any login once clocks have stepped too.
//! - *Copies*: one that is newer than the login in the store, or is brought after a logout, because it
//!   cannot be told from a login. Copies are brought only while clocks are right.
//!
//! Hosts with deliberate mistakes test that these rules find them: see [`Flaw`].

mod callers;
mod certificates;
mod client_keys;
mod fake_store;
mod keys;
mod ledger;
mod losses;
mod net;
mod rng;
mod rules;
mod save_rules;
mod search;
#[cfg(feature = "sessions")]
mod sessions;
mod setup;
mod simulation;
mod slot;
mod trace;
#[cfg(feature = "web")]
mod web;
mod worker;

use std::fmt;

use simulation::Simulation;

pub use fake_store::FakeStore;
pub use search::{Found, Search};
#[cfg(feature = "sessions")]
pub use sessions::Sessions;
pub use setup::{Flaw, Odds, Setup};
#[cfg(feature = "web")]
pub use web::{Web, WebFlaw, WebReport, WebRule, WebViolation};

/// One history of a fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    seed: u64,
    setup: Setup,
}

impl Fleet {
    /// The history of this fleet that this seed determines.
    pub const fn new(seed: u64, setup: Setup) -> Self {
        Self { seed, setup }
    }

    /// Runs the history.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<Report, Violation> {
        let mut sim = Simulation::new(self.seed, &self.setup, false);
        if sim.run().is_ok() {
            return Ok(sim.report);
        }
        // Again, this time with a transcript.
        let mut sim = Simulation::new(self.seed, &self.setup, true);
        match sim.run() {
            Ok(()) => Ok(sim.report),
            Err(Breach(rule, text)) => Err(Violation {
                seed: self.seed,
                rule,
                text,
                setup: Box::new(self.setup.clone()),
                transcript: sim.transcript(),
            }),
        }
    }
}

/// What happened in a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Callers that came.
    pub callers: u64,
    /// Tokens that were used and worked.
    pub served: u64,
    /// Tokens that were used and did not work.
    pub refused: u64,
    /// Errors that callers got.
    pub errors: u64,
    /// Callers that gave up.
    pub cancelled: u64,
    /// Token requests the server carried out.
    pub token_requests: u64,
    /// Renewals that brought tokens.
    pub renewals: u64,
    /// Logins.
    pub logins: u64,
    /// Logouts.
    pub logouts: u64,
    /// Refresh tokens that came twice at a server that revokes.
    pub reuse_events: u64,
    /// Tokens handed out unsaved, because the store had failed repeatedly.
    pub unsaved: u64,
    /// Workers that died.
    pub crashes: u64,
    /// Renewals that were abandoned half-way.
    pub abandoned: u64,
    /// Workers that were suspended.
    pub pauses: u64,
    /// Refresh tokens that the server refused without ending the grant.
    pub suspects: u64,
    /// Leases that were extended while a request ran.
    pub extensions: u64,
    /// Callers that took a nearly expired token because the renewal took long.
    pub impatient: u64,
    /// Token requests that the network lost, delayed or doubled.
    pub network_faults: u64,
    /// Calls of the store that failed.
    pub store_faults: u64,
    /// Clocks that stepped.
    pub clock_steps: u64,
    /// Times the store lost saves of a record.
    pub losses: u64,
    /// Workers that began with their application's own copy of the tokens.
    pub copies: u64,
    /// Times a worker kept an idle grant alive.
    pub kept_alive: u64,
    /// Replacements of the client's key.
    pub client_keys: u64,
    /// Tokens handed out that a worker with a different key of the client had requested.
    pub shared_over_client_keys: u64,
    /// Replacements of the client's certificate.
    pub certificates: u64,
    /// Refresh tokens that were accepted with a different certificate from that of their token response.
    pub continued_over_certificates: u64,
}

impl Report {
    /// Adds the counts of another history.
    pub const fn add(&mut self, other: &Self) {
        self.callers += other.callers;
        self.served += other.served;
        self.refused += other.refused;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.token_requests += other.token_requests;
        self.renewals += other.renewals;
        self.logins += other.logins;
        self.logouts += other.logouts;
        self.reuse_events += other.reuse_events;
        self.unsaved += other.unsaved;
        self.crashes += other.crashes;
        self.abandoned += other.abandoned;
        self.pauses += other.pauses;
        self.suspects += other.suspects;
        self.extensions += other.extensions;
        self.impatient += other.impatient;
        self.network_faults += other.network_faults;
        self.store_faults += other.store_faults;
        self.clock_steps += other.clock_steps;
        self.losses += other.losses;
        self.copies += other.copies;
        self.kept_alive += other.kept_alive;
        self.client_keys += other.client_keys;
        self.shared_over_client_keys += other.shared_over_client_keys;
        self.certificates += other.certificates;
        self.continued_over_certificates += other.continued_over_certificates;
    }
}

/// A rule of the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// 1: two token requests at a time, or one without a lease.
    OneFlight,
    /// 2: a token that was replaced, or refused.
    Newest,
    /// 3: a grant lost, or about to be.
    Kept,
    /// 4: a caller that gets no answer, or an error that leads nowhere.
    Answered,
    /// 5: a token seen before it was stored.
    SavedFirst,
    /// 6: a token of another grant.
    OwnGrant,
    /// 6: two records with one version.
    OneRecord,
    /// 7: a refused token that is sent again too soon.
    Heeded,
    /// 8: a token handed out by a worker that does not have its key.
    OwnKey,
    /// 9: a request signed with a key of the client that the server no longer knows.
    KnownClientKey,
    /// 10: a token handed out by a worker that presents a different certificate.
    OwnCertificate,
}

/// A broken rule, and the history that led to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The seed of the history.
    pub seed: u64,
    /// Which rule.
    pub rule: Rule,
    /// What happened.
    pub text: String,
    /// The fleet.
    pub setup: Box<Setup>,
    /// The events up to it, one on each line.
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
