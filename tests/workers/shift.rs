//! One part of the run: processes at work, one of them killed from time to time, and the count.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use oauth_core::issuer::RedirectUri;
use oauth_core::{AuthorizationRequest, Scope, Tokens};
use oauth_reqwest::blocking::Listener;
use serde_json::Value;

use crate::nodes::Watched;
use crate::oidc_provider::{OidcProvider, driver, open};
use crate::servers::Server;
use crate::{Callers, Place, Reuse, Work, now, worker};

/// For how long an access token lives, and how often a worker is killed.
pub(crate) const LIFE: Duration = Duration::from_secs(2);

/// A number of processes, who asks in each, and what they share.
pub(crate) struct Shift {
    pub(crate) name: &'static str,
    processes: usize,
    callers: Callers,
    store: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Sqlite,
    Redis,
    /// Redis with sentinels, which loses its primary in the midst.
    Sentinels,
    Postgres,
    /// PostgreSQL behind PgBouncer in transaction mode.
    Bouncer,
}

/// What a place needs as long as it is in use.
enum Servers {
    None,
    Some { _running: Vec<Server> },
    Watched(Watched),
}

impl Kind {
    fn place(self, folder: &Path) -> (Place, Servers) {
        let running = |servers| Servers::Some { _running: servers };
        match self {
            Self::File => (Place::File(folder.join("grants")), Servers::None),
            Self::Sqlite => (Place::Sqlite(folder.join("grants.db")), Servers::None),
            Self::Redis => {
                let redis = Server::redis();
                (Place::Redis(redis.redis_url()), running(vec![redis]))
            }
            Self::Sentinels => {
                let watched = Watched::start(2);
                (Place::Replicated(watched.url()), Servers::Watched(watched))
            }
            Self::Postgres => {
                let postgres = Server::postgres();
                (
                    Place::Postgres(postgres.postgres_url()),
                    running(vec![postgres]),
                )
            }
            Self::Bouncer => {
                let postgres = Server::postgres();
                let bouncer = Server::pgbouncer(&postgres);
                (
                    Place::Postgres(bouncer.postgres_url()),
                    running(vec![bouncer, postgres]),
                )
            }
        }
    }
}

/// For how long callers may be told that the store is lost, after its primary was killed: a second until
/// that is seen, some for the sentinels to agree, and one for a token to be renewed.
const OUTAGE: u64 = 10_000;

/// What the server counted, and the callers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) refreshes: u64,
    pub(crate) reuse_events: u64,
    pub(crate) tokens: u64,
    pub(crate) failed: u64,
    kills: u64,
    logins: u64,
    expiries: u64,
}

impl Tally {
    pub(crate) const HEAD: &str =
        "expiries  refreshes  kills  reuse  tokens handed out  failed callers  new logins";
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refreshes,
            reuse_events,
            tokens,
            failed,
            kills,
            logins,
            expiries,
        } = self;
        write!(
            f,
            "{expiries:>8}  {refreshes:>9}  {kills:>5}  {reuse_events:>5}  {tokens:>17}  {failed:>14}  {logins:>10}"
        )
    }
}

impl Tally {
    /// What the server counted since it was started.
    pub(crate) fn of_server(issuer: &str, length: Duration) -> Self {
        let reply = reqwest::blocking::get(format!("{issuer}/_counters"));
        let said: Value = reply
            .and_then(reqwest::blocking::Response::text)
            .map(|text| serde_json::from_str(&text).expect("JSON"))
            .expect("counters");
        Self {
            refreshes: said["refreshes"].as_u64().expect("a count"),
            reuse_events: said["reuse_events"].as_u64().expect("a count"),
            expiries: length.as_secs() / LIFE.as_secs(),
            ..Self::default()
        }
    }
}

impl Shift {
    pub(crate) fn all() -> [Self; 8] {
        let shift = |name, processes, callers, store| Self {
            name,
            processes,
            callers,
            store,
        };
        [
            shift("50 threads", 1, Callers::Threads(50), Kind::File),
            shift("1000 tasks", 1, Callers::Tasks(1000), Kind::File),
            shift(
                "8 processes on one file store",
                8,
                Callers::Tasks(4),
                Kind::File,
            ),
            shift("8 processes on SQLite", 8, Callers::Tasks(4), Kind::Sqlite),
            shift("8 processes on Redis", 8, Callers::Tasks(4), Kind::Redis),
            shift(
                "8 processes on Redis, a failover",
                8,
                Callers::Tasks(4),
                Kind::Sentinels,
            ),
            shift(
                "8 processes on PostgreSQL",
                8,
                Callers::Tasks(4),
                Kind::Postgres,
            ),
            shift(
                "8 processes on PostgreSQL, PgBouncer",
                8,
                Callers::Tasks(4),
                Kind::Bouncer,
            ),
        ]
    }

    /// The count, and what is wrong with it.
    pub(crate) fn run(&self, length: Duration) -> (Tally, Vec<String>) {
        let life = LIFE.as_secs().to_string();
        let server = OidcProvider::start_with(&[("ACCESS_TOKEN_SECONDS", &life)]);
        let folder = tempfile::tempdir().expect("a folder");
        let (place, servers) = self.store.place(folder.path());
        let work = Work {
            issuer: server.issuer().to_owned(),
            client_id: server.client_id("native").to_owned(),
            place,
            callers: self.callers,
            reuse: Reuse::Revokes,
        };
        worker::log_in(&work, login(&server)).expect("the login is stored");
        let mut crew = Crew::hire(self.processes, &work);
        let failover = std::thread::spawn(move || fail_over(servers, length / 2));
        let (kills, recoveries, failures) = crew.work(length, || log_in(&work, &server));
        let lost_at = failover.join().expect("no panic").1;
        let mut tally = Tally::of_server(server.issuer(), length);
        tally.tokens = crew.tokens();
        drop(crew);
        tally.kills = kills.len() as u64;
        tally.logins = recoveries.len() as u64;
        // Whoever was killed with a reply in hand took it along: the others are told to log in, and
        // that is excused until somebody has.
        let is_excused = |(at, code): &&(u64, String)| {
            let is_told = code == "grant.outcome_unknown";
            let is_outage = code.starts_with("lost")
                && lost_at.is_some_and(|lost| (lost..lost + OUTAGE).contains(at));
            is_outage || is_told && recoveries.iter().any(|&done| *at <= done + 1000)
        };
        let failed: Vec<_> = failures
            .iter()
            .filter(|failure| !is_excused(failure))
            .collect();
        tally.failed = failed.len() as u64;
        let wrong = self.judge(&tally, &failed);
        (tally, wrong)
    }

    fn judge(&self, tally: &Tally, failed: &[&(u64, String)]) -> Vec<String> {
        let mut wrong = Vec::new();
        // One expiry may fall on either end.
        let most = tally.expiries + 1 + tally.kills;
        if tally.refreshes > most {
            wrong.push(format!(
                "{} refreshes, at most {most} are due",
                tally.refreshes
            ));
        }
        // A killed holder is waited for; nothing else may delay a refresh by a whole life.
        if tally.refreshes < tally.expiries / 2 {
            wrong.push(format!(
                "only {} refreshes: nobody was at work",
                tally.refreshes
            ));
        }
        if tally.reuse_events > 0 {
            wrong.push(format!("{} refresh tokens came twice", tally.reuse_events));
        }
        if tally.logins > tally.kills {
            wrong.push(format!("{} logins for {} kills", tally.logins, tally.kills));
        }
        let mut codes = BTreeMap::<&str, usize>::new();
        for (_, code) in failed {
            *codes.entry(code).or_default() += 1;
        }
        for (code, count) in codes {
            wrong.push(format!("{count} callers failed with {code}"));
        }
        if tally.tokens == 0 {
            wrong.push("no token was handed out".to_owned());
        }
        wrong
    }
}

/// Kills the primary after that time, if there is one that others replace: the servers, which go on, and
/// when that was.
fn fail_over(mut servers: Servers, after: Duration) -> (Servers, Option<u64>) {
    let Servers::Watched(watched) = &mut servers else {
        return (servers, None);
    };
    std::thread::sleep(after);
    watched.lose_primary();
    (servers, Some(now()))
}

/// A person logs in anew, and again while the store is away.
fn log_in(work: &Work, server: &OidcProvider) {
    let start = Instant::now();
    while let Err(error) = worker::log_in(work, login(server)) {
        let is_away =
            error.code().starts_with("lost") && start.elapsed().as_millis() < OUTAGE.into();
        assert!(is_away, "the new login is not stored: {error}");
    }
}

/// A person logs in.
pub(crate) fn login(server: &OidcProvider) -> Tokens {
    let driver = driver();
    let client = server.client(&driver, "native").expect("a client");
    let listener = Listener::bind().expect("a port");
    let uri: RedirectUri = listener.redirect_uri().clone();
    let ask = AuthorizationRequest::new(uri).scope(Scope::parse("openid").expect("a scope"));
    listener
        .login(&driver, &client, ask, open, Duration::from_secs(30))
        .expect("a login")
}

/// Processes at work.
struct Crew {
    work: String,
    hands: Vec<Child>,
    heard: Receiver<(usize, Value)>,
    tell: Sender<(usize, Value)>,
    /// What each process, dead or alive, has handed out.
    tokens: BTreeMap<usize, u64>,
    hired: usize,
}

impl Crew {
    fn hire(count: usize, work: &Work) -> Self {
        let (tell, heard) = channel();
        let mut crew = Self {
            work: serde_json::to_string(work).expect("JSON"),
            hands: Vec::new(),
            heard,
            tell,
            tokens: BTreeMap::new(),
            hired: 0,
        };
        for _ in 0..count {
            crew.hire_one();
        }
        crew
    }

    fn hire_one(&mut self) {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["work", &self.work])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker");
        self.hired += 1;
        let (id, tell) = (self.hired, self.tell.clone());
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A worker that is killed may leave half a line.
                if let Ok(said) = serde_json::from_str(&line)
                    && tell.send((id, said)).is_err()
                {
                    return;
                }
            }
        });
        self.hands.push(process);
    }

    /// Lets them work for so long, and kills one of them every two seconds. Gives when each was
    /// killed, when each new login was done, and when callers failed with what.
    fn work(
        &mut self,
        length: Duration,
        mut log_in: impl FnMut(),
    ) -> (Vec<u64>, Vec<u64>, Vec<(u64, String)>) {
        let (mut kills, mut recoveries, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        let start = Instant::now();
        // Between two expiries as well as at them.
        let mut next = start + LIFE + Duration::from_millis(137);
        while start.elapsed() < length {
            let pause = next.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(pause) {
                Ok((id, said)) => {
                    if let Some(count) = said["ok"].as_u64() {
                        self.tokens.insert(id, count);
                    }
                    let Some(code) = said["failed"].as_str() else {
                        continue;
                    };
                    let at = said["at"].as_u64().unwrap_or_default();
                    failures.push((at, code.to_owned()));
                    let is_known = recoveries.iter().any(|&done| at <= done + 1000);
                    if code == "grant.outcome_unknown" && !is_known {
                        log_in();
                        recoveries.push(now());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.kill_one();
                    kills.push(now());
                    next += LIFE + Duration::from_millis(37);
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("the crew holds a sender"),
            }
        }
        (kills, recoveries, failures)
    }

    fn kill_one(&mut self) {
        let mut seed = [0];
        getrandom::fill(&mut seed).expect("chance");
        let victim = usize::from(seed[0]) % self.hands.len();
        let mut hand = self.hands.swap_remove(victim);
        hand.kill().expect("it was alive");
        hand.wait().expect("it is dead");
        self.hire_one();
    }

    fn tokens(&self) -> u64 {
        self.tokens.values().sum()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for hand in &mut self.hands {
            // It may have ended by itself.
            let _ = hand.kill();
            let _ = hand.wait();
        }
    }
}
