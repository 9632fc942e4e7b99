//! One round of the run: worker processes on one store, and the resulting counts.

use std::path::Path;
use std::time::{Duration, Instant};

use oauth_core::dpop::DpopKey;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Scope, Tokens};
use oauth_reqwest::blocking::Listener;

use crate::nodes::{Watched, until};
use crate::oidc_provider::{OidcProvider, driver, open};
use crate::pool::WorkerPool;
use crate::servers::Server;
use crate::tally::{Outage, Tally};
use crate::{Callers, Reuse, StoreLocation, TokenBinding, Work, now, worker};

/// The lifetime of an access token.
pub(crate) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(2);

/// The maximum time for which the store may be unavailable to a login.
const MAX_STORE_OUTAGE: Duration = Duration::from_secs(30);

/// The number of processes, the callers in each, and the store they share.
pub(crate) struct Round {
    pub(crate) name: &'static str,
    processes: usize,
    callers: Callers,
    store: Kind,
    tokens: TokenBinding,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    File,
    Sqlite,
    Redis,
    /// Redis with sentinels, which loses its primary during the round.
    Sentinels,
    Postgres,
    /// PostgreSQL behind PgBouncer in transaction mode.
    Bouncer,
}

/// The servers of a store, which run until this is dropped.
pub(crate) enum Servers {
    None,
    Some { _running: Vec<Server> },
    Watched(Watched),
}

impl Kind {
    pub(crate) fn place(self, folder: &Path) -> (StoreLocation, Servers) {
        let running = |servers| Servers::Some { _running: servers };
        match self {
            Self::File => (StoreLocation::File(folder.join("grants")), Servers::None),
            Self::Sqlite => (
                StoreLocation::Sqlite(folder.join("grants.db")),
                Servers::None,
            ),
            Self::Redis => {
                let redis = Server::redis();
                (
                    StoreLocation::Redis(redis.redis_url()),
                    running(vec![redis]),
                )
            }
            Self::Sentinels => {
                let watched = Watched::start(2);
                (
                    StoreLocation::Replicated(watched.url()),
                    Servers::Watched(watched),
                )
            }
            Self::Postgres => {
                let postgres = Server::postgres();
                (
                    StoreLocation::Postgres(postgres.postgres_url()),
                    running(vec![postgres]),
                )
            }
            Self::Bouncer => {
                let postgres = Server::postgres();
                let bouncer = Server::pgbouncer(&postgres);
                (
                    StoreLocation::Postgres(bouncer.postgres_url()),
                    running(vec![bouncer, postgres]),
                )
            }
        }
    }
}

impl Round {
    pub(crate) fn all() -> [Self; 11] {
        let round = |name, processes, callers, store| Self {
            name,
            processes,
            callers,
            store,
            tokens: TokenBinding::Nothing,
        };
        let bound = |name, processes, callers, store| Self {
            tokens: TokenBinding::SharedKey,
            ..round(name, processes, callers, store)
        };
        [
            round("50 threads", 1, Callers::Threads(50), Kind::File),
            round("1000 tasks", 1, Callers::Tasks(1000), Kind::File),
            round(
                "8 processes on one file store",
                8,
                Callers::Tasks(4),
                Kind::File,
            ),
            round("8 processes on SQLite", 8, Callers::Tasks(4), Kind::Sqlite),
            round("8 processes on Redis", 8, Callers::Tasks(4), Kind::Redis),
            round(
                "8 processes on Redis, a failover",
                8,
                Callers::Tasks(4),
                Kind::Sentinels,
            ),
            round(
                "8 processes on PostgreSQL",
                8,
                Callers::Tasks(4),
                Kind::Postgres,
            ),
            round(
                "8 processes on PostgreSQL, PgBouncer",
                8,
                Callers::Tasks(4),
                Kind::Bouncer,
            ),
            bound("50 threads, DPoP", 1, Callers::Threads(50), Kind::File),
            bound(
                "8 processes on one file store, DPoP",
                8,
                Callers::Tasks(4),
                Kind::File,
            ),
            bound(
                "8 processes on PostgreSQL, DPoP",
                8,
                Callers::Tasks(4),
                Kind::Postgres,
            ),
        ]
    }

    /// Runs the round; returns the counts, and what is wrong with them.
    pub(crate) fn run(&self, length: Duration) -> (Tally, Vec<String>) {
        let life = ACCESS_TOKEN_LIFETIME.as_secs().to_string();
        let mut environment = vec![("ACCESS_TOKEN_SECONDS", life.as_str())];
        if self.tokens == TokenBinding::SharedKey {
            environment.push(("DPOP_NONCES", "required"));
        }
        let server = OidcProvider::start_with(&environment);
        let folder = tempfile::tempdir().expect("a folder");
        let (place, servers) = self.store.place(folder.path());
        let work = Work {
            issuer: server.issuer().to_owned(),
            client_id: server.client_id("native").to_owned(),
            place,
            callers: self.callers,
            reuse: Reuse::Revokes,
            tokens: self.tokens,
        };
        let start = Instant::now();
        let key = shared_key(&work);
        let tokens = login(&server, key.clone());
        worker::log_in(&work, tokens).expect("the login is stored");
        let mut pool = WorkerPool::start(self.processes, &work);
        let failover = std::thread::spawn(move || fail_over(servers, length / 2));
        pool.work(length, || log_in(&work, &server, key.clone()));
        let (servers, outage) = failover.join().expect("no panic");
        let tally = Tally::of_server(server.issuer(), start.elapsed());
        let mut history = pool.end();
        // No worker uses the store any more.
        drop(servers);
        history.outage = outage;
        tally.with_history(&history, length)
    }
}

/// Kills the primary after that time, if it has replicas; returns the servers, and the time without a
/// primary.
fn fail_over(mut servers: Servers, after: Duration) -> (Servers, Option<Outage>) {
    let Servers::Watched(watched) = &mut servers else {
        return (servers, None);
    };
    std::thread::sleep(after);
    watched.lose_primary();
    let lost = now();
    let old = watched.servers.primary.port.to_string();
    let sentinel_command = ["sentinel", "get-master-addr-by-name", "main"];
    until("the sentinels name a new primary", || {
        let sentinel_reply = watched.sentinels[0].redis_says(&sentinel_command);
        sentinel_reply
            .lines()
            .nth(1)
            .is_some_and(|port| port != old)
    });
    (servers, Some(Outage { lost, back: now() }))
}

/// The key in the store, whose servers may still be starting.
fn shared_key(work: &Work) -> Option<DpopKey> {
    let start = Instant::now();
    loop {
        match worker::shared_key(work) {
            Ok(key) => return key,
            Err(error) => {
                let is_away =
                    error.code().starts_with("lost") && start.elapsed() < MAX_STORE_OUTAGE;
                assert!(is_away, "the store has no key: {error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A user logs in again; the login is repeated while the store is unavailable.
fn log_in(work: &Work, server: &OidcProvider, key: Option<DpopKey>) {
    let start = Instant::now();
    while let Err(error) = worker::log_in(work, login(server, key.clone())) {
        let is_away = error.code().starts_with("lost") && start.elapsed() < MAX_STORE_OUTAGE;
        assert!(is_away, "the new login is not stored: {error}");
    }
}

/// A user logs in; the tokens are bound to this key.
pub(crate) fn login(server: &OidcProvider, key: Option<DpopKey>) -> Tokens {
    let driver = driver();
    let client = server.client(&driver, "native").expect("a client");
    let client = match key {
        Some(key) => client.with_dpop(key),
        None => client,
    };
    let listener = Listener::bind().expect("a port");
    let uri: RedirectUri = listener.redirect_uri().clone();
    let request = AuthorizationRequest::new(uri).scope(Scope::parse("openid").expect("a scope"));
    listener
        .login(&driver, &client, request, open, Duration::from_secs(30))
        .expect("a login")
        .tokens
}
