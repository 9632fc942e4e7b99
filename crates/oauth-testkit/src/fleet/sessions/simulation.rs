//! The simulated state that all workers share: the store, the server, the clock, and the ledger.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oauth_core::danger;
use oauth_core::exchange::{Exchange as _, Input, Step as Move};
use oauth_core::flow::keeper::{GrantId, Keeper, SaveOutcome};
use oauth_core::grant::TokenRequest;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::{Client, Scope, Secret, Tokens};
use tokio::time::Instant;

use super::super::certificates::Certificates;
use super::super::fake_store::{FakeStore as _, PlainStore};
use super::super::ledger::Ledger;
use super::super::rng::Rng;
use super::super::simulation::{START, client, millis};
use super::super::slot::LeaseTerm;
use super::super::{Breach, Report, Setup};
use crate::twin::Twin;

pub(super) type Shared = Arc<Mutex<Simulation>>;

/// Events that happen later, even if the worker that caused them has ended by then.
type Later = Box<dyn FnOnce(&mut Simulation) + Send>;

pub(super) struct Simulation {
    pub(super) setup: Setup,
    pub(super) rng: Rng,
    /// The latest time that any worker has seen: the store's, and the server's.
    pub(super) now: u64,
    pub(super) clocks: Vec<Clock>,
    pub(super) twin: Twin,
    pub(super) client: Client,
    pub(super) certificates: Certificates,
    pub(super) store: PlainStore,
    pub(super) ledger: Ledger,
    pub(super) grants: Vec<Grant>,
    pub(super) members: Vec<Member>,
    pub(super) report: Report,
    pub(super) calm: bool,
    pub(super) server_down_until: u64,
    pub(super) store_down_until: u64,
    later: Vec<(u64, Later)>,
    /// Unanswered calls of sessions, with their descriptions.
    pub(super) open: HashMap<u64, String>,
    calls: u64,
    pub(super) breach: Option<Breach>,
    pub(super) transcript: Option<Vec<String>>,
}

pub(super) struct Grant {
    pub(super) id: GrantId,
    pub(super) key: String,
    /// The time at which a user will log in.
    pub(super) login_at: Option<u64>,
}

/// The clock of a worker, which is stopped between two turns.
pub(super) struct Clock {
    pub(super) at: u64,
    pub(super) since: Option<Instant>,
    /// The clock's lead, in milliseconds.
    pub(super) skew: i64,
    pub(super) awake_since: u64,
}

/// A session, as observed from outside.
pub(super) struct Member {
    pub(super) worker: usize,
    pub(super) grant: usize,
    pub(super) is_alive: bool,
    pub(super) is_drained: bool,
    /// Whether its worker shuts down gracefully.
    pub(super) is_closed: bool,
    pub(super) lease: Option<LeaseTerm>,
    pub(super) holder: String,
    /// The newest version it has read or saved, and when.
    pub(super) known_version: u64,
    pub(super) seen_at: u64,
    pub(super) fails: u32,
    pub(super) is_silent: bool,
    /// The tokens that it has fetched last.
    pub(super) landing: Option<(String, Option<String>)>,
    /// Access tokens that it has fetched, and when.
    pub(super) fetched: HashMap<String, u64>,
    /// Access tokens for which its hook was called.
    pub(super) hooked: HashSet<String>,
    /// Access tokens of logins that were brought to it.
    pub(super) logins: HashSet<String>,
    /// The access token that was last reported to it as refused.
    pub(super) refused: Option<String>,
    pub(super) unsaved: Option<String>,
    /// Whether its last request was sent without the store.
    pub(super) is_alone: bool,
    /// Whether a runtime has ended while it was in use.
    pub(super) has_lost_tasks: bool,
    /// The number of logins being saved to it.
    pub(super) logging_in: u32,
}

impl Member {
    pub(super) fn new(worker: usize, grant: usize) -> Self {
        Self {
            worker,
            grant,
            is_alive: true,
            is_drained: false,
            is_closed: false,
            lease: None,
            holder: String::new(),
            known_version: 0,
            seen_at: 0,
            fails: 0,
            is_silent: false,
            landing: None,
            fetched: HashMap::new(),
            hooked: HashSet::new(),
            logins: HashSet::new(),
            refused: None,
            unsaved: None,
            is_alone: false,
            has_lost_tasks: false,
            logging_in: 0,
        }
    }
}

impl Member {
    /// Records that the store has granted or extended its lease.
    pub(super) fn record_lease(&mut self, holder: String, since: u64, until: u64) {
        match &mut self.lease {
            Some(lease) if self.holder == holder => lease.until = until,
            lease => *lease = Some(LeaseTerm::new(since, until)),
        }
        self.holder = holder;
    }
}

pub(super) fn lock(sim: &Shared) -> MutexGuard<'_, Simulation> {
    sim.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulation {
    pub(super) fn new(setup: &Setup, mut rng: Rng, transcript: Option<Vec<String>>) -> Self {
        let mut twin = Twin::generic("https://as.example");
        twin.set_rotation(setup.rotation);
        twin.set_access_token_lifetime(setup.lifetime);
        if setup.hides_lifetime {
            twin.hide_access_token_lifetime();
        }
        if setup.certificates.is_some() {
            twin.require_certificates();
        }
        let skews = (0..setup.workers).map(|_| {
            let skew = i64::try_from(rng.between(0, 2000 * setup.odds.skew)).unwrap_or_default();
            skew - i64::try_from(1000 * setup.odds.skew).unwrap_or_default()
        });
        let clock = |skew| Clock {
            at: 0,
            since: None,
            skew,
            awake_since: 0,
        };
        let mut sim = Self {
            clocks: skews.map(clock).collect(),
            setup: setup.clone(),
            rng,
            now: 0,
            client: client(&twin),
            certificates: Certificates::default(),
            twin,
            store: PlainStore::default(),
            ledger: Ledger::new(setup.grants),
            grants: Vec::new(),
            members: Vec::new(),
            report: Report::default(),
            calm: false,
            server_down_until: 0,
            store_down_until: 0,
            later: Vec::new(),
            open: HashMap::new(),
            calls: 0,
            breach: None,
            transcript,
        };
        for number in 0..setup.grants {
            let id = if setup.is_client_grant {
                GrantId::client()
            } else {
                GrantId::user(format!("person {number}"))
            };
            let id = match number {
                0 => id,
                number => {
                    let audience = format!("api {number}");
                    id.requesting(TokenRequest::new().audience(&audience))
                }
            };
            let key = sim.keeper(&sim.client, id.clone()).key();
            sim.grants.push(Grant {
                id,
                key,
                login_at: (!setup.is_client_grant).then_some(0),
            });
        }
        sim
    }

    /// The client of a worker that starts, with the newest certificate.
    pub(super) fn make_client(&mut self, worker: usize) -> Client {
        if self.setup.certificates.is_some() {
            let number = self.certificates.newest();
            self.certificates.install(worker, number);
        }
        self.certificates.client(worker, self.client.clone())
    }

    pub(super) fn issue_certificate(&mut self) {
        let number = self.certificates.issue();
        self.report.certificates += 1;
        self.record_in_transcript(|| format!("certificate {number} is issued"));
    }

    pub(super) fn keeper(&self, client: &Client, id: GrantId) -> Keeper {
        client.keeper(id).with_policy(self.setup.policy.clone())
    }

    /// Reads a worker's clock, and advances the common one to it.
    pub(super) fn tick(&mut self, worker: usize) -> u64 {
        let clock = &self.clocks[worker];
        let elapsed = clock.since.map_or(0, |since| millis(since.elapsed()));
        let now = clock.at + elapsed;
        self.now = self.now.max(now);
        now
    }

    pub(super) fn clock(&mut self, worker: usize) -> UnixTime {
        let now = self.tick(worker);
        let now = (START * 1000 + now).saturating_add_signed(self.clocks[worker].skew);
        UnixTime::from_secs(now / 1000)
    }

    pub(super) fn moment(&mut self, worker: usize) -> Moment {
        Moment::fixed(self.clock(worker), self.rng.seed())
    }

    pub(super) fn time(&self) -> UnixTime {
        UnixTime::from_secs(START + self.now / 1000)
    }

    /// Draws whether a fault with these odds occurs.
    pub(super) fn fault_occurs(&mut self, odds: u32) -> bool {
        !self.calm && self.rng.chance(odds)
    }

    pub(super) fn later(&mut self, after: u64, act: impl FnOnce(&mut Self) + Send + 'static) {
        self.later.push((self.now + after, Box::new(act)));
    }

    /// Runs the events due by now.
    pub(super) fn catch_up(&mut self) {
        let (due, pending) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.later = pending;
        let mut due: Vec<(u64, Later)> = due;
        due.sort_by_key(|(at, _)| *at);
        for (_, act) in due {
            act(self);
        }
    }

    pub(super) fn open(&mut self, description: String) -> u64 {
        self.calls += 1;
        self.open.insert(self.calls, description);
        self.calls
    }

    pub(super) fn expect_login(&mut self, grant: usize) {
        if self.grants[grant].login_at.is_none() && !self.setup.is_client_grant {
            let after = self.rng.between(1000, 30_000);
            self.grants[grant].login_at = Some(self.now + after);
        }
    }

    /// A user logs in, and returns to this session.
    pub(super) fn login(&mut self, member: usize) -> Option<Tokens> {
        let (worker, grant) = (self.members[member].worker, self.members[member].grant);
        if self.server_down_until > self.now {
            return None;
        }
        let (name, password) = self.twin.resource_owner();
        let password_request = danger::password(name, password);
        let client = self.certificates.client(worker, self.client.clone());
        let mut exchange = client.token(password_request, Scope::none());
        let at = self.moment(worker);
        let Ok(Move::Send(mut request)) = exchange.resume(&at, Input::Begin) else {
            return None;
        };
        let server = Moment::fixed(self.time(), [0; 32]);
        self.certificates.present(worker, &mut request);
        let reply = self.twin.answer(&server, request.clone());
        self.certificates.note(&request, &reply);
        let Ok(Move::Done(tokens)) = exchange.resume(&at, Input::Reply(reply)) else {
            return None;
        };
        self.ledger.login(grant, &tokens);
        self.report.logins += 1;
        let access = tokens.access_token.expose().clone();
        self.members[member].logins.insert(access);
        let text = self.ledger.tokens(&tokens);
        self.note_for(member, || format!("a user has logged in: {text}"));
        Some(tokens)
    }

    pub(super) fn log_out(&mut self, grant: usize) {
        let key = self.grants[grant].key.clone();
        let version = self.store.load(&key).map_or(0, |entry| entry.version);
        let saved = self.store.save(&key, &Secret::new(String::new()), version);
        if let SaveOutcome::At(version) = saved {
            self.report.logouts += 1;
            self.ledger.removed(grant, version);
            self.record_in_transcript(|| {
                format!("grant {grant}: a user logs out, record at version {version}")
            });
        }
    }

    pub(super) fn record_in_transcript(&mut self, text: impl FnOnce() -> String) {
        let (seconds, millis) = (self.now / 1000, self.now % 1000);
        if let Some(lines) = &mut self.transcript {
            lines.push(format!("{seconds:>6}.{millis:03}  {}", text()));
        }
    }

    pub(super) fn note_for(&mut self, member: usize, text: impl FnOnce() -> String) {
        let Member { worker, grant, .. } = self.members[member];
        self.record_in_transcript(|| {
            format!("worker {worker} grant {grant} session {member}: {}", text())
        });
    }

    /// Records the first rule that is broken.
    pub(super) fn record_breach(&mut self, result: Result<(), Breach>) {
        if let Err(breach) = result {
            self.breach.get_or_insert(breach);
        }
    }
}
