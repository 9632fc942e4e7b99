//! The life of one grant: who renews its token, when, what the others do meanwhile, and what is
//! stored before anyone sees it.
//!
//! A [`Keeper`] is a value, like an exchange. Each caller asks it ([`Keeper::ask`]) and is told to
//! take a token, to wait, or to renew. Renewing is a conversation with a host that has a store and
//! a driver ([`Keeper::resume`]): [`Event::Begin`] first, then the answer to each [`Step`], until
//! [`Step::Done`]. Any number of hosts may share one store; what they see of each other is there.
//!
//! ```text
//!            ask: fresh ──────────────────────────────► HandOut
//!            ask: nearly stale ───────────────────────► HandOutAndRenew ─┐
//!            ask: stale, refused by a 401, none ──────► Renew ───────────┤
//!                                                                        ▼
//!   Load ── another's newer token ──► Over(it)                         Begin
//!    │
//!    ▼
//!   Lease ── held by another ──► Wait ──► Load
//!    │ won
//!    ▼
//!   Load ── newer? ──► give back the lease ──► Over(it)
//!    │
//!    ▼
//!   Save(the refresh token is on its way) ──► Run(exchange) ──► Save(the new tokens)
//!                                                │                  │
//!                                                │ refused, lost    ▼
//!                                                └──────────► give back the lease ──► Over
//! ```
//!
//! What makes it safe:
//! - a record is saved only if it is still at the version that was read: a worker that slept through
//!   its lease cannot overwrite what others have stored since, nor send a token they have sent;
//! - that a refresh token is on its way is stored before it is sent, so a crash between two steps
//!   leaves a mark, and whoever comes next knows that the token's fate is not known;
//! - it is sent within a lease after that, or not at all, and given up after the longest request: when
//!   the time for both has passed since the mark, the request has arrived, or never will. Only sending
//!   a token again waits for that; a lease is short, and extended while the request runs
//!   ([`Keeper::lease_extension`]);
//! - no version is given twice for one key, and a removed record leaves a mark of its own: what the
//!   store has lost is put back by whoever still has it, and what a person has removed is not;
//! - a record carries the name of the login it grew from, and new tokens take the place of those they
//!   were given for and of no others: a late one replaces neither a login nor what is newer;
//! - new tokens are stored before they are handed out. If the store fails for good, they are handed out
//!   all the same, for then nobody else can have them, and stored as soon as that is possible. Where it
//!   can be read but not written, and has what they grew out of, the next renewal goes on from them;
//! - each renewal is counted: an older record of the same login never takes the place of what grew out
//!   of it, whatever became of the store.
//!
//! What makes it cheap for the server: a pause that it asks for is kept in the record, and heeded by
//! all; and once several grants of a client have failed in a row, one of them tries now and then, and
//! the others of this process wait for what becomes of it.

mod backoff;
mod commit;
mod deadlines;
mod decision;
mod login;
mod policy;
mod reconcile;
mod record;
mod renew_unsaved;
mod send_deadline;
mod sending;
mod state;
mod step;
mod summary;
mod suspicion;
mod transitions;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Check, Error};
use crate::grant::{TokenParameters, unnamed};
use crate::identity::Identity;
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;

use backoff::Backoff;
use deadlines::Deadlines;
use login::Login;
use record::Record;
use state::State;

pub use policy::{Policy, Reuse};
pub use record::GrantId;
pub use step::{Decision, Entry, Event, Lease, LeaseExtension, Saved, Standing, Step};
pub use summary::GrantSummary;

/// How a token is renewed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Upkeep {
    /// The client asks for another one in its own name; for this scope, empty leaves it to the
    /// server.
    ClientCredentials(Scope),
    /// With the refresh token.
    Refresh,
}

/// One grant, kept fresh.
pub struct Keeper {
    us: Arc<Identity>,
    upkeep: Upkeep,
    id: GrantId,
    policy: Policy,
    storage: Storage,
    record: Record,
    /// The highest version that is known to have been stored: of `record`, or of what it follows.
    version: u64,
    /// When that was last seen to be there.
    seen: UnixTime,
    /// When the attempt in `record` was first seen, by our own clock.
    marker_seen: UnixTime,
    /// The same of the suspicion in it.
    suspected_at: UnixTime,
    deadlines: Deadlines,
    /// The access token that a resource server refused, whatever its lifetime says.
    refused: Option<Secret<String>>,
    unsaved: Unsaved,
    backoff: Backoff,
    /// Our last attempts, once their flights are over: nobody else can still hold their replies. More
    /// than one, for a store that failed may hold the mark of any.
    finished: VecDeque<FinishedAttempt>,
    /// The name of the renewal under way: of its lease, and of its attempt.
    renewal_id: String,
    state: Option<State>,
    /// How often it had to begin anew.
    restarts: u32,
    /// Whether anybody waits for the end of that.
    has_waiters: bool,
    /// Whether no new renewal may begin.
    is_drained: bool,
}

/// Where the record lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// Here only: whatever goes to a store is answered on the spot.
    Local,
    Shared,
}

/// Tokens that the store has not got yet.
#[derive(Debug, Clone)]
enum Unsaved {
    Nothing,
    /// They take the place of whatever is stored.
    Login(Login),
    /// Of a renewal.
    Renewed {
        /// What they were given for.
        parent: Option<Arc<Tokens>>,
        /// The store has failed too often: they are handed out all the same.
        is_given_up: bool,
        /// A save of them was asked for and never answered.
        may_be_stored: bool,
    },
}

/// An attempt of ours that brought nothing.
#[derive(Debug, Clone)]
struct FinishedAttempt {
    id: String,
    /// The server surely has not acted on it.
    is_unspent: bool,
}

/// How many attempts are remembered.
const REMEMBERED: usize = 16;

impl Keeper {
    pub(crate) fn new(us: Arc<Identity>, upkeep: Upkeep) -> Self {
        let scope = match &upkeep {
            Upkeep::ClientCredentials(scope) => scope.clone(),
            Upkeep::Refresh => Scope::none(),
        };
        let none = UnixTime::from_secs(0);
        Self {
            us,
            upkeep,
            id: GrantId::own().with_scope(scope),
            policy: Policy::default(),
            storage: Storage::Local,
            record: Record::default(),
            version: 0,
            seen: none,
            marker_seen: none,
            suspected_at: none,
            deadlines: Deadlines {
                refresh_at: none,
                stale_at: none,
                expires_at: none,
            },
            refused: None,
            unsaved: Unsaved::Nothing,
            backoff: Backoff::default(),
            finished: VecDeque::new(),
            renewal_id: String::new(),
            state: None,
            restarts: 0,
            has_waiters: false,
            is_drained: false,
        }
    }

    /// Begins with these tokens. Where there is a store, they take the place of what it holds, unless
    /// that was received at the same time or later: these are then the application's own, older copy.
    /// For what is certainly a new login, [`replace`](Self::replace) does not look at the time.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn with_tokens(mut self, at: Moment, tokens: Tokens) -> Result<Self, Error> {
        self.replace(at, tokens)?;
        if let Unsaved::Login(login) = &mut self.unsaved {
            login.is_copy = true;
        }
        Ok(self)
    }

    /// Decides differently.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// For token requests that may take so long, from when the driver gets them until their answer
    /// has been read. The host sees to it that none takes longer.
    #[must_use]
    pub const fn with_longest_request(mut self, longest: Duration) -> Self {
        self.policy.longest_request = longest;
        self
    }

    /// Shares the grant through a store, as this one. For client credentials the scope is the one
    /// that is asked for, whatever `id` says. A person's has a subject, or [`ask`](Self::ask) says
    /// `misuse.setup`: two people would share a record.
    #[must_use]
    pub fn shared(mut self, id: GrantId) -> Self {
        // What it began with was stored here; now it has to be stored there. What it has learned
        // from the store since it was shared is there.
        if self.storage == Storage::Local
            && let (Some(id), Some(tokens)) = (&self.record.login, &self.record.tokens)
        {
            let login = Login::new(id.clone(), Arc::clone(tokens));
            let is_copy = true;
            self.unsaved = Unsaved::Login(Login { is_copy, ..login });
            self.version = 0;
        }
        self.storage = Storage::Shared;
        let parameters = match id.parameters.is_empty() {
            true => std::mem::take(&mut self.id.parameters),
            false => id.parameters.clone(),
        };
        let id = id.with_parameters(parameters);
        self.id = match &self.upkeep {
            Upkeep::ClientCredentials(scope) => id.with_scope(scope.clone()),
            Upkeep::Refresh => id,
        };
        self
    }

    /// Asks for tokens with these parameters, beside those of the grant. Where it is shared, those of
    /// its [`GrantId`] count, if there are any.
    #[must_use]
    pub fn with_parameters(mut self, parameters: TokenParameters) -> Self {
        self.id.parameters = parameters;
        self
    }

    /// How its tokens are renewed.
    pub const fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// The name of the record in a store: a hash of the issuer, the client, the [`GrantId`], and whether it is a person's grant or the client's own: neither is ever handed
    /// out for the other.
    #[cfg(feature = "sha2")]
    pub fn key(&self) -> String {
        let whose = match self.upkeep {
            Upkeep::ClientCredentials(_) => "oauth-core client's own grant 2",
            Upkeep::Refresh => "oauth-core grant 2",
        };
        self.id.key(whose, &self.us)
    }

    /// Takes the tokens of a new login. What a renewal under way brings is then of no use, and
    /// dropped.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn replace(&mut self, at: Moment, tokens: Tokens) -> Result<(), Error> {
        if tokens.binding != self.us.binding {
            return Err(Check::StoredIssuer.into());
        }
        self.unsaved = Unsaved::Login(Login::new(at.ticket(), Arc::new(tokens)));
        // A renewal that has not taken its first step has nothing to lose.
        if matches!(self.state, None | Some(State::Begun)) {
            self.adopt_login(&at);
        }
        Ok(())
    }

    /// Takes over a record that the store told of by itself. One that is not newer than what is
    /// known changes nothing; while a renewal is under way, that will see it.
    ///
    /// # Errors
    /// `stored.*` for a record that cannot be read, or is another grant's.
    pub fn learn(&mut self, at: Moment, entry: Entry) -> Result<(), Error> {
        let is_news = entry.version > self.version && self.is_stored();
        match is_news && !self.is_busy() {
            true => self.reconcile(&at, Some(entry)).map(drop),
            false => Ok(()),
        }
    }

    /// Whether the store has the newest tokens.
    pub const fn is_stored(&self) -> bool {
        matches!(self.unsaved, Unsaved::Nothing)
    }

    /// How long to wait before the next try to store what the store has not got yet; nothing if there
    /// is no such thing, or somebody is at it.
    ///
    /// Whoever has new tokens that nobody else can have should not wait for a caller: after each
    /// [`Step::Done`] a host waits this long, calls [`save_again`](Self::save_again), and so on until
    /// it is done.
    pub fn retry_after(&self, now: UnixTime) -> Option<Duration> {
        let is_due = !self.is_stored() && !self.is_busy();
        is_due.then(|| self.backoff.remaining(now).max(Duration::from_secs(1)))
    }

    /// Begins to store what the store has not got yet: call [`resume`](Self::resume) with
    /// [`Event::Begin`]. Not if there is nothing to store, or somebody is at it.
    #[must_use]
    pub fn save_again(&mut self) -> bool {
        let is_due = !self.is_stored() && !self.is_busy();
        if is_due {
            self.state = Some(State::Begun);
        }
        is_due
    }

    /// Begins no renewal from now on: for a host that is about to end. A token at hand is handed out as
    /// long as it is good; a request that was sent is finished, and what it brings is stored.
    pub const fn drain(&mut self) {
        self.is_drained = true;
    }

    /// Whether the record is looked at to put a new login in its place: then one that cannot be
    /// opened may go.
    pub const fn is_entering(&self) -> bool {
        matches!(self.state, Some(State::LoadBeforeLogin))
    }

    /// The lease to take anew, again and again, for as long as the request of [`Step::Run`] runs:
    /// ask right after that step. Nothing if no lease is held.
    ///
    /// What becomes of it changes nothing: a lease that was lost costs a second request where that
    /// does no harm, and new tokens are stored by their version. So a host that cannot extend a lease
    /// need not.
    pub fn lease_extension(&self) -> Option<LeaseExtension> {
        let is_leased = matches!(
            self.state,
            Some(State::RunRequest {
                without_store: false
            })
        );
        let ttl = self.policy.lease;
        (is_leased && self.storage == Storage::Shared).then(|| LeaseExtension {
            holder: self.renewal_id.clone(),
            ttl,
            every: (ttl * 3 / 10).max(Duration::from_millis(1)),
        })
    }

    /// Whether a renewal is under way.
    pub const fn is_busy(&self) -> bool {
        self.state.is_some()
    }

    /// The host that renewed has gone, in the midst of it.
    pub fn abandon(&mut self, at: Moment) {
        if let Some(state) = self.state.take() {
            self.clean_up(&at, state);
        }
    }

    /// The tokens that may be handed out without asking, and until when.
    pub fn fresh(&self) -> Option<(Arc<Tokens>, UnixTime)> {
        let is_finished = self.is_stored() && !self.is_refused();
        let tokens = self.record.tokens.clone().filter(|_| is_finished)?;
        Some((tokens, self.deadlines.refresh_at))
    }

    /// The newest tokens there are, good or not.
    pub const fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.record.tokens.as_ref()
    }

    /// Whether its tokens were granted every name of `scope`, under whichever name the server knows
    /// it by. `openid` and `offline_access` count as granted: they ask for more than scope, and few
    /// servers name them.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.tokens().is_some_and(|tokens| {
            let granted = tokens.scope.union(&unnamed());
            self.us.server.rules().covers(&granted, scope)
        })
    }

    /// How the grant stands, as far as is known here.
    pub const fn standing(&self) -> Standing {
        match (&self.record.ended, &self.record.suspicion) {
            (Some(_), _) => Standing::Ended,
            (None, Some(_)) => Standing::Suspect,
            (None, None) => Standing::Good,
        }
    }

    /// Why the last attempt failed, if it did. Callers do not hear of it while their token lives.
    pub fn trouble(&self) -> Option<&Error> {
        self.backoff.error()
    }

    fn remember_finished(&mut self, id: String, is_unspent: bool) {
        self.finished.truncate(REMEMBERED - 1);
        self.finished.push_front(FinishedAttempt { id, is_unspent });
    }

    /// Takes over a record.
    fn adopt(&mut self, at: &Moment, record: Record, version: u64) {
        if let Some(tokens) = &record.tokens {
            self.deadlines = Deadlines::of(tokens, &self.policy, at);
        }
        let marker = |record: &Record| record.in_flight.as_ref().map(|marker| marker.id.clone());
        if marker(&record) != marker(&self.record) {
            self.marker_seen = at.now();
        }
        if record.suspicion != self.record.suspicion {
            self.suspected_at = at.now();
        }
        self.record = record;
        if self.version != version {
            self.version = version;
            self.seen = at.now();
        }
    }

    fn adopt_login(&mut self, at: &Moment) {
        let Unsaved::Login(login) = &self.unsaved else {
            return;
        };
        if self.record.login.as_ref() == Some(&login.id) {
            return;
        }
        let record = login.record();
        self.adopt(at, record, self.version);
        self.backoff.clear();
        if self.storage == Storage::Local {
            self.version += 1;
            self.unsaved = Unsaved::Nothing;
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("upkeep", &self.upkeep)
            .field("version", &self.version)
            .field("deadlines", &self.deadlines)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
