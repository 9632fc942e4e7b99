//! The simulation of a fleet: one event queue, one clock, one seed.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::keeper::Keeper;
use oauth_core::grant::TokenRequest;
use oauth_core::issuer::Issuer;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Tokens};

use super::callers::{Caller, CallerPatience};
use super::certificates::Certificates;
use super::client_keys::ClientKeys;
use super::fake_store::FakeStore;
use super::keys::{self, Keys};
use super::ledger::Ledger;
use super::rng::Rng;
use super::slot::{Message, Order, Slot};
use super::trace::Trace;
use super::{Breach, Report, Rule, Setup};
use crate::twin::Twin;

/// The start of the simulated clock, in seconds since the epoch.
pub(super) const START: u64 = 1_750_000_000;

/// A minute in milliseconds.
const MINUTE_MS: u64 = 60_000;

pub(super) struct Simulation {
    pub(super) setup: Setup,
    pub(super) rng: Rng,
    /// Milliseconds since the start of the history.
    pub(super) now: u64,
    pub(super) queue: BinaryHeap<Reverse<DueEvent>>,
    posted: u64,
    pub(super) twin: Twin,
    pub(super) client: Client,
    pub(super) store: Box<dyn FakeStore>,
    pub(super) workers: Vec<Worker>,
    pub(super) callers: Vec<Caller>,
    /// The index of the first caller that is not finished.
    served: usize,
    pub(super) grants: Vec<Grant>,
    pub(super) ledger: Ledger,
    pub(super) keys: Keys,
    pub(super) client_keys: ClientKeys,
    pub(super) certificates: Certificates,
    pub(super) report: Report,
    /// Whether faults have ended.
    pub(super) calm: bool,
    pub(super) server_down_until: u64,
    pub(super) store_down_until: u64,
    transcript: Option<Vec<String>>,
    /// The state digest of a search, which itself chooses the next event.
    pub(super) trace: Option<Trace>,
}

/// One process, which may die and restart without state.
pub(super) struct Worker {
    /// The number of times it has died.
    pub(super) epoch: u32,
    pub(super) is_up: bool,
    /// The clock's lead, in milliseconds.
    pub(super) skew: i64,
    /// The sum of the clock's steps, in milliseconds.
    pub(super) step: i64,
    /// The time of the clock's last step, in milliseconds.
    pub(super) stepped_at: Option<u64>,
    pub(super) asleep_until: u64,
    pub(super) awake_since: u64,
    /// The messages that arrived while it was suspended.
    pub(super) inbox: Vec<(usize, Message)>,
    /// The client shared by the keepers of the process.
    pub(super) client: Client,
    pub(super) slots: Vec<Slot>,
}

pub(super) struct Grant {
    pub(super) id: GrantId,
    pub(super) key: String,
    /// Whether a user is about to log in.
    pub(super) is_login_due: bool,
    /// The copy that the application has kept.
    pub(super) copy: Option<Tokens>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "most scheduled events are of the largest variant"
)]
pub(super) enum Scheduled {
    Message {
        worker: usize,
        epoch: u32,
        grant: usize,
        message: Message,
    },
    Wake(usize),
    Restart(usize),
    /// A caller arrives at a worker.
    Visit(usize),
    /// A token request reaches the server.
    Arrival {
        send: usize,
        request: http::Request<Bytes>,
        reply_arrives: bool,
        is_copy: bool,
    },
    /// An order reaches the store.
    Store {
        worker: usize,
        epoch: u32,
        grant: usize,
        call: u64,
        order: Order,
        reply_arrives: bool,
    },
    Login(usize),
    Logout(usize),
    /// The client gets a new key, which coexists with the old one for this long.
    ClientKey(Duration),
    /// The client gets a new certificate, to which workers change within this time.
    Certificate(Duration),
    /// A worker restarts.
    Redeploy(usize),
    /// Outages and other events that are drawn once a minute.
    Weather,
    Calm,
    /// Each worker gets a last caller for each grant, which does not give up.
    LastRound,
}

pub(super) struct DueEvent {
    pub(super) at: u64,
    pub(super) posted: u64,
    pub(super) ev: Scheduled,
}

impl Simulation {
    pub(super) fn new(seed: u64, setup: &Setup, with_transcript: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut twin = Twin::generic("https://as.example");
        twin.set_rotation(setup.rotation);
        twin.set_access_token_lifetime(setup.lifetime);
        if setup.hides_lifetime {
            twin.hide_access_token_lifetime();
        }
        if let Some(seconds) = setup.refresh_token_timeout {
            twin.set_refresh_token_timeout(seconds);
        }
        if let Some(nonces) = setup.dpop {
            twin.require_dpop();
            twin.set_dpop_nonces(nonces);
        }
        if setup.certificates.is_some() {
            twin.require_certificates();
        }
        let logins = client(&twin);
        let mut sim = Self {
            grants: Vec::new(),
            workers: Vec::new(),
            callers: Vec::new(),
            served: 0,
            ledger: Ledger::new(setup.grants),
            keys: Keys::default(),
            client_keys: ClientKeys::default(),
            certificates: Certificates::default(),
            report: Report::default(),
            calm: false,
            server_down_until: 0,
            store_down_until: 0,
            transcript: with_transcript.then(Vec::new),
            trace: None,
            queue: BinaryHeap::new(),
            posted: 0,
            now: 0,
            store: (setup.store)(),
            setup: setup.clone(),
            twin,
            client: logins,
            rng: rng.clone(),
        };
        for number in 0..setup.grants {
            let id = if setup.is_client_grant {
                let audience = format!("api {number}");
                GrantId::client().requesting(TokenRequest::new().audience(&audience))
            } else {
                GrantId::user(format!("person {number}"))
            };
            let id = match keys::shared().filter(|_| setup.dpop.is_some()) {
                Some(jkt) => id.with_dpop_jkt(jkt),
                None => id,
            };
            let key = sim.keeper(&sim.client, id.clone()).key();
            sim.grants.push(Grant {
                id,
                key,
                is_login_due: false,
                copy: None,
            });
        }
        for number in 0..setup.workers {
            let client = sim.fresh_client(number, 0);
            let skew = i64::try_from(rng.between(0, 2000 * setup.odds.skew)).unwrap_or_default();
            let worker = Worker {
                epoch: 0,
                is_up: true,
                skew: skew - i64::try_from(1000 * setup.odds.skew).unwrap_or_default(),
                step: 0,
                stepped_at: None,
                asleep_until: 0,
                awake_since: 0,
                inbox: Vec::new(),
                slots: sim.empty_slots(&client),
                client,
            };
            sim.workers.push(worker);
            sim.post(rng.between(5000, 20_000), Scheduled::Visit(number));
        }
        if !setup.is_client_grant {
            for grant in 0..setup.grants {
                sim.grants[grant].is_login_due = true;
                sim.post(0, Scheduled::Login(grant));
            }
        }
        if let Some(overlap) = setup.client_keys {
            sim.post(rng.between(0, MINUTE_MS), Scheduled::ClientKey(overlap));
        }
        if let Some(overlap) = setup.certificates {
            sim.post(rng.between(0, MINUTE_MS), Scheduled::Certificate(overlap));
        }
        let fault_end = millis(setup.fault_duration);
        sim.post(MINUTE_MS, Scheduled::Weather);
        sim.post(fault_end, Scheduled::Calm);
        // By then suspended workers are awake, and no attempt of a dead worker counts as under way.
        sim.post(fault_end + 5 * window(setup), Scheduled::LastRound);
        sim.rng = rng;
        sim
    }

    /// Runs until every caller has its answer.
    pub(super) fn run(&mut self) -> Result<(), Breach> {
        let last_round = millis(self.setup.fault_duration) + 5 * window(&self.setup);
        // Every pause, lease and backoff of the faults has expired by then: what remains is a login
        // and a few requests.
        let end = last_round + 2 * MINUTE_MS;
        let mut is_last_round = false;
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > end {
                break;
            }
            self.now = due.at;
            is_last_round |= matches!(due.ev, Scheduled::LastRound);
            self.handle(due.ev)?;
            if is_last_round && self.is_served() {
                return Ok(());
            }
        }
        let waiting = self.callers.iter().find(|caller| caller.is_open());
        match waiting {
            Some(caller) => Err(Breach(
                Rule::Answered,
                format!(
                    "a caller of worker {} for grant {} who asked at {} s has no token that works \
                     {} s after all trouble was over",
                    caller.worker,
                    caller.grant,
                    caller.asked_at / 1000,
                    (self.now.saturating_sub(millis(self.setup.fault_duration))) / 1000,
                ),
            )),
            None => Ok(()),
        }
    }

    /// Whether nothing is pending.
    pub(super) fn is_served(&mut self) -> bool {
        while self
            .callers
            .get(self.served)
            .is_some_and(|caller| !caller.is_open())
        {
            self.served += 1;
        }
        self.served == self.callers.len()
    }

    pub(super) fn handle(&mut self, ev: Scheduled) -> Result<(), Breach> {
        self.ledger.now = self.now;
        match ev {
            Scheduled::Message {
                worker,
                epoch,
                grant,
                message,
            } => return self.deliver(worker, epoch, grant, message),
            Scheduled::Wake(worker) => self.wake(worker),
            Scheduled::Restart(worker) => self.restart(worker),
            Scheduled::Visit(worker) => self.visit(worker),
            Scheduled::Arrival {
                send,
                request,
                reply_arrives,
                is_copy,
            } => return self.receive_token_request(send, request, reply_arrives, is_copy),
            Scheduled::Store {
                worker,
                epoch,
                grant,
                call,
                order,
                reply_arrives,
            } => return self.execute_order(worker, epoch, grant, call, order, reply_arrives),
            Scheduled::Login(grant) => return self.log_in(grant),
            Scheduled::Logout(grant) => self.log_out(grant),
            Scheduled::ClientKey(overlap) => self.replace_client_key(overlap),
            Scheduled::Certificate(overlap) => self.replace_certificate(overlap),
            Scheduled::Redeploy(worker) => self.redeploy(worker),
            Scheduled::Weather => self.draw_minute_faults(),
            Scheduled::Calm => {
                self.calm = true;
                self.server_down_until = 0;
                self.store_down_until = 0;
                self.correct_clocks();
                self.record_in_transcript(|| "no more faults from now on".to_owned());
            }
            Scheduled::LastRound => {
                for worker in 0..self.workers.len() {
                    for grant in 0..self.grants.len() {
                        self.add_caller(worker, grant, CallerPatience::Patient);
                    }
                }
            }
        }
        Ok(())
    }

    fn draw_minute_faults(&mut self) {
        if self.calm {
            return;
        }
        let odds = self.setup.odds;
        if self.rng.chance(odds.outage) {
            self.server_down_until = self.now + self.rng.between(5000, 2 * MINUTE_MS);
            self.record_in_transcript(|| "the token endpoint goes down".to_owned());
        }
        if self.rng.chance(odds.store_outage) {
            self.store_down_until = self.now + self.rng.between(5000, 2 * MINUTE_MS);
            self.record_in_transcript(|| "the store goes down".to_owned());
        }
        if self.rng.chance(odds.user_revokes) {
            self.twin.revoke_all();
            self.record_in_transcript(|| "a user revokes all grants at the server".to_owned());
        }
        for grant in 0..self.grants.len() {
            if !self.setup.is_client_grant && self.rng.chance(odds.login) {
                self.expect_login(grant);
            }
            if !self.setup.is_client_grant && self.rng.chance(odds.logout) {
                let after = self.rng.between(0, MINUTE_MS);
                self.post(after, Scheduled::Logout(grant));
            }
        }
        self.draw_losses();
        self.post(MINUTE_MS, Scheduled::Weather);
    }

    /// Schedules an event this many milliseconds from now.
    pub(super) fn post(&mut self, after: u64, ev: Scheduled) {
        self.posted += 1;
        self.queue.push(Reverse(DueEvent {
            at: self.now + after,
            posted: self.posted,
            ev,
        }));
    }

    pub(super) fn notify(&mut self, after: u64, worker: usize, grant: usize, message: Message) {
        let epoch = self.workers[worker].epoch;
        self.post(
            after,
            Scheduled::Message {
                worker,
                epoch,
                grant,
                message,
            },
        );
    }

    pub(super) fn empty_slots(&self, client: &Client) -> Vec<Slot> {
        let keeper = |grant: &Grant| self.keeper(client, grant.id.clone());
        self.grants
            .iter()
            .map(|grant| Slot::new(keeper(grant)))
            .collect()
    }

    pub(super) fn keeper(&self, client: &Client, id: GrantId) -> Keeper {
        client
            .keeper(id)
            .with_policy(self.setup.policy.clone())
            .shared()
    }

    /// The time of the server and the store.
    pub(super) fn time(&self) -> UnixTime {
        UnixTime::from_secs(START + self.now / 1000)
    }

    /// A worker's time.
    pub(super) fn clock(&self, worker: usize) -> UnixTime {
        let millis = (START * 1000 + self.now)
            .saturating_add_signed(self.workers[worker].skew + self.workers[worker].step);
        UnixTime::from_secs(millis / 1000)
    }

    pub(super) fn moment(&mut self, worker: usize) -> Moment {
        let seed = match &self.trace {
            Some(trace) => trace.seed(worker),
            None => self.rng.seed(),
        };
        Moment::fixed(self.clock(worker), seed)
    }

    pub(super) fn is_awake(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        worker.is_up && worker.asleep_until <= self.now
    }

    /// Adds a line to the transcript.
    pub(super) fn record_in_transcript(&mut self, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.transcript {
            let (seconds, millis) = (self.now / 1000, self.now % 1000);
            lines.push(format!("{seconds:>6}.{millis:03}  {}", text()));
        }
    }

    /// Adds a line about one worker.
    pub(super) fn note_for(
        &mut self,
        worker: usize,
        grant: usize,
        text: impl FnOnce(&Ledger) -> String,
    ) {
        if self.transcript.is_some() {
            let text = text(&self.ledger);
            self.record_in_transcript(|| format!("worker {worker} grant {grant}: {text}"));
        }
    }

    pub(super) fn transcript(&mut self) -> Vec<String> {
        self.transcript.take().unwrap_or_default()
    }
}

pub(super) fn client(twin: &Twin) -> Client {
    let client = Issuer::parse(twin.base()).and_then(|issuer| {
        let url = format!("{}/token", twin.base());
        let server = Server::new(issuer).with_endpoint(EndpointKind::Token, &url)?;
        let auth = ClientAuth::basic(twin.client_secret());
        Client::new(server, ClientId::new(twin.client_id()), auth)
    });
    client.expect("the twin's own names are well formed")
}

/// The time limit of an attempt, in milliseconds.
pub(super) fn window(setup: &Setup) -> u64 {
    millis(setup.policy.attempt_window())
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl PartialEq for DueEvent {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for DueEvent {}

impl PartialOrd for DueEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DueEvent {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.posted).cmp(&(other.at, other.posted))
    }
}
