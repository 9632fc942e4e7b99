//! The state of a history: one queue of events, one clock, one seed.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use oauth_core::flow::keeper::{GrantId, Keeper};
use oauth_core::issuer::Issuer;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::scope::Scope;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, discover};
use oauth_seal::Keys;
use oauth_web::{Config, Provider, Site};

use super::super::fake_store::PlainStore;
use super::super::rng::Rng;
use super::ledger::Ledger;
use super::store_requests::{Order, REQUEST_TIMEOUT};
use super::tab::{Browser, Tab};
use super::task::{Answer, ReplyArrives, Task, Work};
use super::{WebFlaw, WebReport};
use crate::twin::Twin;
use crate::twin_driver::TwinDriver;

pub(super) const SHOP: &str = "https://shop.example";
pub(super) const PROVIDER: &str = "https://as.example";
const START: u64 = 1_750_000_000;

/// The idle timeout of sessions, in seconds.
const IDLE_TIMEOUT_SECONDS: u64 = 240;
/// The maximum age of sessions, in seconds.
const SESSION_LIFETIME_SECONDS: u64 = 500;

pub(super) struct Simulation {
    pub(super) rng: Rng,
    pub(super) flaw: Option<WebFlaw>,
    /// Milliseconds since the start of the history.
    pub(super) now: u64,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
    posted_events: u64,
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

/// The probability of each fault, in ten-thousandths; 0 after the faults have ended.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Odds {
    pub(super) crash: u32,
    pub(super) stall: u32,
    pub(super) unsent: u32,
    pub(super) lost_request: u32,
    pub(super) lost_reply: u32,
    pub(super) store_fails: u32,
    pub(super) store_silent: u32,
    pub(super) store_late: u32,
}

pub(super) struct Worker {
    pub(super) is_up: bool,
    pub(super) site: Site,
    pub(super) client: Client,
    /// The grants of sessions, by the sessions' keys.
    pub(super) grants: BTreeMap<String, Slot>,
}

pub(super) struct Slot {
    pub(super) keeper: Keeper,
    /// The pages that wait for its renewal.
    pub(super) waiting: Vec<u64>,
}

pub(super) enum Event {
    /// A browser sends a request.
    Request(Tab),
    /// A user takes an action.
    Act(usize),
    /// An answer reaches a task.
    Answer(u64, Answer),
    /// An order reaches the store.
    Store(u64, Order, ReplyArrives),
    /// A request reaches the provider.
    Provider(u64, http::Request<bytes::Bytes>, ReplyArrives),
    /// The lease of a renewal is due for extension.
    Extend(u64),
    Restart(usize),
}

impl Simulation {
    pub(super) fn new(seed: u64, flaw: Option<WebFlaw>, transcript: Option<Vec<String>>) -> Self {
        let mut rng = Rng::new(seed);
        let mut twin = twin();
        twin.set_access_token_lifetime(rng.pick(&[60, 60, 120, 300]));
        let odds = Odds::random(&mut rng);
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
            posted_events: 0,
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

    pub(super) fn start_task(&mut self, worker: usize, work: Work) -> u64 {
        self.next_task += 1;
        let id = self.next_task;
        self.tasks.insert(id, Task { worker, work });
        let after = self.rng.between(0, 3);
        self.schedule(after, Event::Answer(id, Answer::Begin));
        id
    }

    pub(super) fn schedule(&mut self, after: u64, event: Event) {
        self.posted_events += 1;
        self.queue
            .insert((self.now + after, self.posted_events), event);
    }

    pub(super) fn unix_time(&self) -> UnixTime {
        UnixTime::from_secs(START + self.now / 1000)
    }

    pub(super) fn moment(&mut self) -> Moment {
        Moment::fixed(self.unix_time(), self.rng.seed())
    }

    pub(super) fn record_in_transcript(&mut self, text: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(transcript) = &mut self.transcript {
            transcript.push(format!("{:>9.3}  {}", now as f64 / 1000.0, text()));
        }
    }
}

impl Odds {
    fn random(rng: &mut Rng) -> Self {
        let mut draw = |rare: u32, frequent: u32| match rng.index(4) {
            0 | 1 => 0,
            2 => rare,
            _ => frequent,
        };
        Self {
            crash: draw(15, 150),
            stall: draw(10, 100),
            unsent: draw(200, 1500),
            lost_request: draw(200, 1500),
            lost_reply: draw(200, 1500),
            store_fails: draw(50, 500),
            store_silent: draw(50, 500),
            store_late: draw(50, 500),
        }
    }
}

impl Worker {
    pub(super) fn new() -> Self {
        let twin = twin();
        let auth = ClientAuth::basic(twin.client_secret());
        let id = ClientId::new(twin.client_id());
        let client = Client::new(server(), id, auth).expect("a client that is registered");
        let provider = Provider::new("twin", client.clone())
            .expect("a provider")
            .scope(Scope::parse("openid read offline_access").expect("a scope"));
        let base_url = Url::parse(SHOP).expect("a URL");
        let mut config = Config::new(base_url, Keys::new([7; 32]), provider).in_store();
        config.idle = Some(Duration::from_secs(IDLE_TIMEOUT_SECONDS));
        config.lifetime = Duration::from_secs(SESSION_LIFETIME_SECONDS);
        Self {
            is_up: true,
            site: Site::new(config).expect("good settings"),
            client,
            grants: BTreeMap::new(),
        }
    }

    /// The keeper of a session's grant.
    pub(super) fn grant(&self, session: &str) -> Keeper {
        let keeper = self.client.keeper(GrantId::user(format!("web:{session}")));
        let longest = std::time::Duration::from_millis(REQUEST_TIMEOUT);
        keeper.with_longest_request(longest).shared()
    }
}

fn twin() -> Twin {
    let mut twin = Twin::generic(PROVIDER);
    twin.register_redirect_uri(&format!("{SHOP}/auth/callback"));
    twin
}

/// The provider's metadata, the same in each history.
fn server() -> Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let issuer = Issuer::parse(PROVIDER).expect("an issuer");
        let mut driver = TwinDriver::new(twin());
        driver.run(discover(issuer)).expect("the twin's metadata")
    });
    server.clone()
}
