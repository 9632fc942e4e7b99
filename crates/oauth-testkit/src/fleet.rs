//! A simulated fleet: many workers, one store, one server, and the faults between them.
//!
//! A [`Fleet`] is one history of some workers that share grants through one store: the keepers are
//! the real ones of `oauth-core`, the server is a [`Twin`](crate::Twin), the store is a [`FakeStore`],
//! and time, randomness and the hosts in between are simulated. One seed gives one history, to the last
//! step; a [`Violation`] shows it, without secrets.
//!
//! ```
//! use oauth_testkit::fleet::{Fleet, Setup};
//!
//! for seed in 0..10 {
//!     let report = Fleet::new(seed, Setup::drawn(seed)).run()?;
//!     assert!(report.served > 0);
//! }
//! # Ok::<(), oauth_testkit::fleet::Violation>(())
//! ```
//!
//! To try a store of your own, give [`Setup::with_store`] a function that makes an empty one; to try
//! a policy, set [`Setup::policy`].
//!
//! # What goes wrong
//! Callers come at any time, alone or in crowds, and leave while they wait. Workers die between any two
//! steps, restart without state, are suspended for longer than any lease and continue with what they
//! had; their clocks differ. Renewals are abandoned half-way. Token requests find no connection, get
//! lost, lose their reply, arrive after their sender has given up, arrive twice; the server is busy
//! or down, or refuses what is good, a gateway gives up on it, access tokens end early, people take their grants back. The
//! store fails, does what it was asked without answering, does it late, goes down. People log in when
//! they are told to, and sometimes unasked, in the middle of a renewal too; they log out, which removes
//! the record while workers still have it. Clocks step by hours, back and forth. The store forgets a
//! record, or falls back by some saves, as replicas do that take over. Workers come back with a copy of
//! tokens that their application has kept. Two grants of a fleet are of one person, as the server sees
//! it. How often each happens is in [`Odds`].
//!
//! Two things are taken for granted: a worker gives up on a token request after the time its
//! [`Policy::longest_request`] names, and the network delays none for more than 13 s beyond that.
//!
//! [`Policy::longest_request`]: oauth_core::flow::keeper::Policy::longest_request
//!
//! # What must hold
//! Each rule with what it excuses: things that nobody could have known, or that no order of events
//! could have helped.
//!
//! 1. **One flight** ([`Rule::OneFlight`]). A token request is sent by a worker that was given a
//!    lease, and there is one request under a lease. While a request is under way, from when it is
//!    sent until its sender has the answer or gives up, no other is sent for the same grant, and no
//!    other worker is given the lease.
//!    *Excused*: what needs no lease, a token of the client's own or a refresh token that is
//!    never replaced, while the store is silent. One of the two leases has run out. A worker that stands still cannot notice; what
//!    it sends afterwards is up to rule 3. A lease that was released has not run out. A lease runs
//!    out under a request only if its worker has stood still, or the store has not done what it was
//!    asked.
//! 2. **The newest** ([`Rule::Newest`]). A worker that has read a version of the record neither
//!    sends nor hands out a token that an earlier version held and this one does not; and no caller
//!    gets the token that it has just reported as refused.
//!    *Excused*: a version that was not delivered to the worker yet, however long ago it was stored.
//! 3. **Kept** ([`Rule::Kept`]). No grant is lost that could have been kept:
//!    - With [`Reuse::Revokes`](oauth_core::flow::keeper::Reuse::Revokes) no two requests of workers
//!      ever spend one refresh token. With `Unknown` it happens only when, at the time of the later
//!      request, the access token in the store has expired, and whoever sent the earlier one is dead,
//!      has had the end of it, or has had the time of an attempt
//!      ([`attempt_window`](oauth_core::flow::keeper::Policy::attempt_window)) to store the answer. With
//!      `Tolerated` it may happen at any time: the user has said that it does no harm.
//!    - A caller is told to log in only if the refresh token in the store is dead, and no worker
//!      that is awake and within its lease holds a live one that follows it; or if the server has
//!      refused it in words of its own.
//!    - A request that was sent is finished as long as its worker lives, and the tokens it brings are
//!      stored, or kept until they can be, if the store has the very token they were given for.
//!    - What is stored is never replaced by what it followed, nor a login by what was there before;
//!      and what a person has removed is not stored again.
//!
//!    *Excused*: copies that the network makes of a request. Two clocks' difference, and two seconds
//!    for their being cut to seconds. With `Revokes`, a token that may be alive, where the one worker
//!    who knows that it was never sent is not the one who says so: this is what the policy promises.
//!    A worker that has read the record in the last five seconds, or has just woken up, and was
//!    overtaken since. An abandoned renewal: whoever takes a request out of its own sight has lost
//!    its reply.
//! 4. **Answered** ([`Rule::Answered`]). Once nothing goes wrong any more and the leases of the bad
//!    times are over, every worker can use a token of every grant within two minutes, a login
//!    included where it is due, and nobody who ever asked is still waiting. No error says that there
//!    is no way out (`give_up`).
//!    *Excused*: callers whose worker died, or who went themselves.
//! 5. **Saved first** ([`Rule::SavedFirst`]). A token is handed out only after the store has taken
//!    it.
//!    *Excused*: the tokens of a login, which were there before the keeper; and tokens that the store
//!    has failed to take five times, or once if it was silent before.
//! 6. **One grant, one record** ([`Rule::OwnGrant`], [`Rule::OneRecord`]). Nothing that belongs to
//!    one grant is sent, stored or handed out for another, and the store gives no version twice.
//!
//! 7. **Heeded** ([`Rule::Heeded`]). A refresh token that the server has refused, without saying that
//!    the grant has ended, is sent again only after the pause that is stored with it, by any worker that has read
//!    that. Nothing is deleted, and a login or a success ends it.
//!    *Excused*: as much as clocks differ.
//!
//! 8. **Its own key** ([`Rule::OwnKey`]), where tokens are bound to a DPoP key ([`Setup::dpop`]). Two workers share key and
//!    token, or neither: a refresh token is sent with a proof of the key that it is bound to, and a token is handed out
//!    only by a worker that has its key. A worker that has read a record with a nonce of the token endpoint sends one
//!    with each request, after a restart too, unless the store has lost saves. The server refuses a refresh token with a proof by another key, and
//!    asks for its nonces.
//!
//! 9. **A known key** ([`Rule::KnownClientKey`]), where the client authenticates with keys that are replaced
//!    ([`Setup::client_keys`]). No request reaches the server that is signed with a key which it no longer knows. Workers with
//!    the old key and the new one share their grants as long as there are both.
//!
//! 10. **Its own certificate** ([`Rule::OwnCertificate`]), where tokens are bound to certificates that are replaced
//!     ([`Setup::certificates`]). A token is handed out only by a worker whose connections present the certificate that it
//!     is bound to; workers with the old certificate and the new one go on with each other's refresh tokens. The server
//!     binds access tokens to the certificate of the connection, and the API refuses them on others. To a worker with
//!     another certificate a token in the store is as good as expired.
//!
//! Where clocks step, the store loses saves, or applications bring copies of their own, this is excused,
//! and nothing else:
//! - *Steps*: of two sends of a refresh token, what is said of time, if the clock of either sender has
//!   stepped since the earlier one or is off; that an access token was alive, and rule 7, once any clock
//!   has stepped. With `Revokes` no token is sent twice all the same.
//! - *Losses*: a save over less than was there; a second send of a token that was sent before the loss,
//!   or less than an attempt's time after it; being told to log in while the store is behind; a removal
//!   whose mark was lost; and the tokens of a login that are no newer, by the clocks of those who
//!   received them, than what was there before, so all of them once clocks have stepped too.
//! - *Copies*: one that is newer than the login in the store, or is brought after a logout: nothing
//!   tells it from a login. Copies are brought only where clocks are right.
//!
//! That these rules find mistakes is tested with hosts that make them: see [`Flaw`].

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

    /// Runs the history.
    ///
    /// # Errors
    /// The first violation, with the history up to it.
    pub fn run(&self) -> Result<Report, Violation> {
        let mut sim = Simulation::new(self.seed, &self.setup, false);
        if sim.run().is_ok() {
            return Ok(sim.report);
        }
        // Once more, this time with a transcript.
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
    /// Tokens handed out unsaved, because the store had failed again and again.
    pub unsaved: u64,
    /// Workers that died.
    pub crashes: u64,
    /// Renewals that were abandoned half-way.
    pub abandoned: u64,
    /// Workers that were suspended.
    pub pauses: u64,
    /// Refresh tokens that were refused in words that do not end the grant.
    pub suspects: u64,
    /// Leases that were extended while a request ran.
    pub extensions: u64,
    /// Callers that took a nearly expired token, for the renewal took long.
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
    /// Times a worker looked whether an idle grant is to be kept alive, and asked for it.
    pub kept_alive: u64,
    /// Keys of the client that took the place of others.
    pub client_keys: u64,
    /// Tokens handed out that a worker with another key of the client had asked for.
    pub shared_over_client_keys: u64,
    /// Certificates that took the place of others.
    pub certificates: u64,
    /// Refresh tokens that were good with another certificate than they had come with.
    pub continued_over_certificates: u64,
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
    /// 4: a caller that gets no answer, or a useless one.
    Answered,
    /// 5: a token seen before it was stored.
    SavedFirst,
    /// 6: a token of another grant.
    OwnGrant,
    /// 6: two records in one place.
    OneRecord,
    /// 7: a token that was refused, sent again too soon.
    Heeded,
    /// 8: a token in the hands of somebody who has not its key.
    OwnKey,
    /// 9: a request signed with a key of the client that the server no longer knows.
    KnownClientKey,
    /// 10: a token in the hands of somebody who presents another certificate.
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
