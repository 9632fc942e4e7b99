//! One queue of events, one clock, one seed.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use oauth_core::exchange::{Boxed, Input};
use oauth_core::flow::keeper::{Keeper, LeaseExtension};
use oauth_core::issuer::Issuer;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::scope::Scope;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Tokens, discover};
use oauth_seal::Keys;
use oauth_web::{Config, Landed, Provider, Session, Site, Visit};

use super::super::fake_store::PlainStore;
use super::super::rng::Rng;
use super::browser::{Browser, Tab};
use super::ledger::Ledger;
use super::network::{Order, Stored};
use super::{Breach, WebFlaw, WebReport, WebRule};
use crate::twin::Twin;
use crate::twin_driver::TwinDriver;

pub(super) const SHOP: &str = "https://shop.example";
pub(super) const PROVIDER: &str = "https://as.example";
const START: u64 = 1_750_000_000;

/// For how long a session may lie unused, and how long it lives, in seconds.
const IDLE: u64 = 240;
const LIFETIME: u64 = 500;

/// How long a worker that dies is away at most, in milliseconds.
const AWAY: u64 = 20_000;

/// When sessions that a dead worker has left half begun may be cleaned up, in milliseconds.
const LEFT_BEHIND: u64 = 400_000;

pub(super) struct Simulation {
    pub(super) rng: Rng,
    pub(super) flaw: Option<WebFlaw>,
    /// Milliseconds since the beginning.
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    posted: u64,
    pub(super) odds: Odds,
    pub(super) twin: Twin,
    pub(super) store: PlainStore,
    pub(super) workers: Vec<Worker>,
    pub(super) browsers: Vec<Browser>,
    pub(super) people: usize,
    pub(super) tasks: BTreeMap<u64, Task>,
    next_task: u64,
    pub(super) ledger: Ledger,
    pub(super) report: WebReport,
    pub(super) transcript: Option<Vec<String>>,
}

/// How often things go wrong, in ten-thousandths; nothing does once it is calm.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Odds {
    pub(super) crash: u32,
    pub(super) stall: u32,
    pub(super) unsent: u32,
    pub(super) lost_request: u32,
    pub(super) lost_reply: u32,
    pub(super) store_fails: u32,
    pub(super) store_mute: u32,
    pub(super) store_late: u32,
}

pub(super) struct Worker {
    pub(super) is_up: bool,
    pub(super) site: Site,
    pub(super) client: Client,
    /// The grants of sessions, by the names of those.
    pub(super) grants: BTreeMap<String, Slot>,
}

pub(super) struct Slot {
    pub(super) keeper: Keeper,
    /// The pages that wait for its renewal.
    pub(super) waiting: Vec<u64>,
}

/// What a worker has under way.
pub(super) struct Task {
    pub(super) worker: usize,
    pub(super) work: Work,
}

pub(super) enum Work {
    Visit(Box<Visiting>),
    Renewal(Box<Renewing>),
}

pub(super) struct Visiting {
    pub(super) visit: Visit,
    pub(super) tab: Tab,
    pub(super) exchange: Option<Boxed<Landed>>,
    /// When it began.
    pub(super) began: u64,
    /// The session whose cookie was sent.
    pub(super) sent: Option<String>,
    /// Which login its code is of.
    pub(super) login: Option<usize>,
    /// The session that it has begun.
    pub(super) begun: Option<String>,
    /// Who is passed on, and waits for a token.
    pub(super) session: Option<Session>,
    /// Whether it ends the session because its tokens are over.
    pub(super) is_over: bool,
    /// Whether the store, or the provider, once gave no answer.
    pub(super) has_failed: bool,
    /// What a flawed host removes at the end.
    pub(super) put_off: Vec<String>,
}

pub(super) struct Renewing {
    /// The session whose grant it is.
    pub(super) key: String,
    pub(super) record: String,
    pub(super) exchange: Option<Boxed<Tokens>>,
    pub(super) holder: String,
    /// Until when it believes to have the lease.
    pub(super) leased_until: u64,
    /// Whether its token request is on its way.
    pub(super) is_sent: bool,
    pub(super) extension: Option<LeaseExtension>,
    /// Whether the store once gave no answer.
    pub(super) has_failed: bool,
}

pub(super) enum Event {
    /// A browser sends a request.
    Request(Tab),
    /// A person does something.
    Act(usize),
    /// An answer comes to a task.
    Answer(u64, Answer),
    /// An order comes to the store.
    Store(u64, Order, Answered),
    /// A request comes to the provider.
    Provider(u64, http::Request<bytes::Bytes>, Answered),
    /// The lease of a renewal is taken anew.
    Extend(u64),
    Restart(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    Yes,
    No,
}

pub(super) enum Answer {
    Begin,
    Stored(Stored),
    Net(Input),
    Elapsed,
    Admitted,
}

impl Simulation {
    pub(super) fn new(seed: u64, flaw: Option<WebFlaw>, transcript: Option<Vec<String>>) -> Self {
        let mut rng = Rng::new(seed);
        let mut twin = twin();
        twin.set_access_token_lifetime(rng.pick(&[60, 60, 120, 300]));
        let odds = Odds::drawn(&mut rng);
        let workers = rng.pick(&[1, 2, 2, 3, 4]);
        let workers = (0..workers).map(|_| Worker::new()).collect();
        let people = rng.pick(&[1, 2, 2, 3]);
        let browsers = rng.pick(&[1, 2, 2, 3]);
        let browsers = (0..browsers).map(|at| Browser::new(at % people)).collect();
        Self {
            rng,
            flaw,
            now: 0,
            queue: BTreeMap::new(),
            posted: 0,
            odds,
            twin,
            store: PlainStore::default(),
            workers,
            browsers,
            people,
            tasks: BTreeMap::new(),
            next_task: 0,
            ledger: Ledger::default(),
            report: WebReport::default(),
            transcript,
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Breach> {
        let trouble = self.rng.between(200_000, 700_000);
        for browser in 0..self.browsers.len() {
            let after = self.rng.between(0, 5_000);
            self.post(after, Event::Act(browser));
        }
        self.run_until(trouble)?;
        self.note(|| "from now on nothing goes wrong".to_owned());
        self.odds = Odds::default();
        self.queue
            .retain(|_, event| !matches!(event, Event::Act(_)));
        self.run_dry()?;
        self.now += LEFT_BEHIND;
        self.last_round()?;
        self.check_end()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Breach> {
        while self
            .queue
            .first_key_value()
            .is_some_and(|((at, _), _)| *at < end)
        {
            self.happen_next()?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Until nothing is under way.
    pub(super) fn run_dry(&mut self) -> Result<(), Breach> {
        let limit = self.now + 600_000;
        while !self.queue.is_empty() {
            self.happen_next()?;
            if self.now > limit {
                let text = "something goes on for ever".to_owned();
                return Err(Breach(WebRule::Answered, text));
            }
        }
        match self.tasks.is_empty() {
            true => Ok(()),
            false => Err(Breach(WebRule::Answered, "somebody waits".to_owned())),
        }
    }

    fn happen_next(&mut self) -> Result<(), Breach> {
        let Some(((at, _), event)) = self.queue.pop_first() else {
            return Ok(());
        };
        self.now = self.now.max(at);
        self.happen(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), Breach> {
        match event {
            Event::Act(browser) => {
                self.act(browser);
                Ok(())
            }
            Event::Request(tab) => {
                self.arrive(tab);
                Ok(())
            }
            Event::Restart(worker) => {
                self.workers[worker].is_up = true;
                self.note(|| format!("worker {worker} is back"));
                Ok(())
            }
            Event::Store(id, order, answered) => {
                self.carry_out(id, order, answered);
                Ok(())
            }
            Event::Provider(id, request, answered) => {
                self.reach_provider(id, request, answered);
                Ok(())
            }
            Event::Extend(id) => {
                self.extend(id);
                Ok(())
            }
            Event::Answer(id, answer) => {
                let Some(task) = self.tasks.get(&id) else {
                    return Ok(());
                };
                if self.rng.chance(self.odds.crash) {
                    self.crash(task.worker);
                    return Ok(());
                }
                if self.stalls(id) {
                    let pause = self.rng.between(5_000, 60_000);
                    self.post(pause, Event::Answer(id, answer));
                    return Ok(());
                }
                self.proceed(id, answer)
            }
        }
    }

    /// Requests that are on their way are given up in time, whoever stands still.
    fn stalls(&mut self, id: u64) -> bool {
        let is_flying = matches!(
            self.tasks.get(&id).map(|task| &task.work),
            Some(Work::Renewal(renewing)) if renewing.exchange.is_some()
        );
        let stalls = !is_flying && self.rng.chance(self.odds.stall);
        self.report.stalls += u64::from(stalls);
        stalls
    }

    fn crash(&mut self, worker: usize) {
        self.note(|| format!("worker {worker} dies"));
        self.report.crashes += 1;
        let dead: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.worker == worker)
            .map(|(id, _)| *id)
            .collect();
        for id in dead {
            self.report.cut_short += 1;
            let Some(task) = self.tasks.remove(&id) else {
                continue;
            };
            self.ledger.cut_short(&task.work);
        }
        let away = self.rng.between(100, AWAY);
        self.workers[worker] = Worker {
            is_up: false,
            ..Worker::new()
        };
        self.post(away, Event::Restart(worker));
    }

    pub(super) fn begin(&mut self, worker: usize, work: Work) -> u64 {
        self.next_task += 1;
        let id = self.next_task;
        self.tasks.insert(id, Task { worker, work });
        let after = self.rng.between(0, 3);
        self.post(after, Event::Answer(id, Answer::Begin));
        id
    }

    pub(super) fn post(&mut self, after: u64, event: Event) {
        self.posted += 1;
        self.queue.insert((self.now + after, self.posted), event);
    }

    pub(super) fn unix(&self) -> UnixTime {
        UnixTime::from_secs(START + self.now / 1000)
    }

    pub(super) fn moment(&mut self) -> Moment {
        Moment::fixed(self.unix(), self.rng.seed())
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(transcript) = &mut self.transcript {
            transcript.push(format!("{:>9.3}  {}", now as f64 / 1000.0, text()));
        }
    }
}

impl Odds {
    fn drawn(rng: &mut Rng) -> Self {
        let mut some = |rare: u32, frequent: u32| match rng.index(4) {
            0 | 1 => 0,
            2 => rare,
            _ => frequent,
        };
        Self {
            crash: some(15, 150),
            stall: some(10, 100),
            unsent: some(200, 1500),
            lost_request: some(200, 1500),
            lost_reply: some(200, 1500),
            store_fails: some(50, 500),
            store_mute: some(50, 500),
            store_late: some(50, 500),
        }
    }
}

impl Worker {
    fn new() -> Self {
        let twin = twin();
        let auth = ClientAuth::basic(twin.client_secret());
        let id = ClientId::new(twin.client_id());
        let client = Client::new(server(), id, auth).expect("a client that is registered");
        let provider = Provider::new("twin", client.clone())
            .expect("a provider")
            .scope(Scope::parse("openid read offline_access").expect("a scope"));
        let base_url = Url::parse(SHOP).expect("a URL");
        let mut config = Config::new(base_url, Keys::new([7; 32]), provider).in_store();
        config.idle = Some(Duration::from_secs(IDLE));
        config.lifetime = Duration::from_secs(LIFETIME);
        Self {
            is_up: true,
            site: Site::new(config).expect("good settings"),
            client,
            grants: BTreeMap::new(),
        }
    }
}

fn twin() -> Twin {
    let mut twin = Twin::generic(PROVIDER);
    twin.register_redirect_uri(&format!("{SHOP}/auth/callback"));
    twin
}

/// What the provider says of itself, which is the same in each history.
fn server() -> Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let issuer = Issuer::parse(PROVIDER).expect("an issuer");
        let mut driver = TwinDriver::new(twin());
        driver.run(discover(issuer)).expect("the twin's metadata")
    });
    server.clone()
}
