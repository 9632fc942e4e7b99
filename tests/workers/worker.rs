//! One process among several: many callers who want a token all the time, until somebody kills it.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::keeper::{self, GrantId, Policy, Upkeep};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::Rules;
use oauth_core::{Client, ClientAuth, ClientId, danger};
use oauth_reqwest::oauth_session::store::{FileStore, PostgresStore, RedisStore, SqliteStore};
use oauth_reqwest::oauth_session::{Session, Store, Token, blocking};
use oauth_reqwest::{Driver, Options};
use serde_json::json;

use crate::{Callers, Place, Reuse, Work, now};

/// Whose grant it is.
const SUBJECT: &str = "somebody";

/// What one process does, and with whom.
pub(crate) fn run(work: Work) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let counts = Arc::new(Counts::default());
    runtime.block_on(async {
        let desk = Arc::new(Desk::open(&work, Arc::clone(&counts)).await?);
        match work.callers {
            Callers::Tasks(count) => {
                for n in 0..count {
                    let desk = Arc::clone(&desk);
                    tokio::spawn(async move {
                        loop {
                            desk.visit(n).await;
                            tokio::time::sleep(Duration::from_millis(40)).await;
                        }
                    });
                }
            }
            Callers::Threads(count) => {
                for n in 0..count {
                    let desk = Arc::clone(&desk);
                    let runtime = tokio::runtime::Handle::current();
                    std::thread::spawn(move || {
                        loop {
                            runtime.block_on(desk.visit(n));
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    });
                }
            }
        }
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            say(&json!({ "ok": counts.tokens.load(Ordering::Relaxed), "api": counts.api.load(Ordering::Relaxed) }));
        }
    })
}

/// Puts the tokens of a login where the workers find them.
pub(crate) fn log_in(work: &Work, tokens: oauth_core::Tokens) -> Result<(), Error> {
    blocking::wait(async { session(work).await?.log_in(tokens).await })?
}

/// What one caller gets: `token`, or the code and the advice of an error.
pub(crate) fn once(work: &Work) -> String {
    let told = blocking::wait(async {
        let session = session(work).await?;
        session.token().await.map(|_| "token".to_owned())
    });
    match told.and_then(|told| told) {
        Ok(token) => token,
        Err(error) => format!("{} {}", error.code(), error.advice().as_str()),
    }
}

async fn session(work: &Work) -> Result<Session, Error> {
    // A request is over long before a lease is.
    let options = Options::default()
        .timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_secs(1));
    let driver = Driver::with_options(reqwest::Client::builder(), options)?;
    let issuer: Issuer = danger::loopback_issuer(&work.issuer)?;
    let server = driver
        .run(danger::discover_on_loopback(issuer, Rules::default()))
        .await?;
    let client = Client::new(
        server,
        ClientId::new(work.client_id.as_str()),
        ClientAuth::none(),
    )?;
    let mut policy = Policy::default();
    policy.lease = Duration::from_secs(5);
    policy.reuse = match work.reuse {
        Reuse::Unknown => keeper::Reuse::Unknown,
        Reuse::Revokes => keeper::Reuse::Revokes,
    };
    let store: Arc<dyn Store> = match &work.place {
        Place::File(folder) => Arc::new(FileStore::new(folder)?),
        Place::Sqlite(path) => Arc::new(SqliteStore::new(path)?),
        Place::Redis(url) => Arc::new(RedisStore::new(url)?),
        Place::Replicated(url) => Arc::new(
            RedisStore::new(url)?
                .with_replicas(1)
                .with_timeout(Duration::from_secs(2)),
        ),
        Place::Postgres(url) => {
            let store = PostgresStore::new(url)?;
            store.migrate().await?;
            Arc::new(store)
        }
    };
    let keeper = client.keeper(Upkeep::Refresh).with_policy(policy);
    Ok(Session::shared(
        driver,
        keeper,
        GrantId::person(SUBJECT),
        store,
    ))
}

#[derive(Default)]
struct Counts {
    tokens: AtomicU64,
    api: AtomicU64,
}

/// Where callers get tokens, and what they do with them.
struct Desk {
    session: Session,
    http: reqwest::Client,
    api: String,
    counts: Arc<Counts>,
}

impl Desk {
    async fn open(work: &Work, counts: Arc<Counts>) -> Result<Self, Error> {
        Ok(Self {
            session: session(work).await?,
            http: reqwest::Client::new(),
            api: format!("{}/me", work.issuer),
            counts,
        })
    }

    async fn visit(&self, n: usize) {
        match self.session.token().await {
            Ok(token) => {
                let count = self.counts.tokens.fetch_add(1, Ordering::Relaxed);
                // The server has more to do than to answer everyone all the time.
                if count % 50 == n as u64 % 50 {
                    self.use_it(token).await;
                }
            }
            Err(error) => failed(&error),
        }
    }

    /// A token that has just ended is replaced once, as the authorized client does it.
    async fn use_it(&self, token: Token) {
        let mut token = token;
        for is_last in [false, true] {
            let request = self
                .http
                .get(&self.api)
                .bearer_auth(token.access_token.expose());
            match request.send().await.map(|reply| reply.status().as_u16()) {
                Ok(200) => {
                    self.counts.api.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(401) if !is_last => match self.session.renew(&token).await {
                    Ok(newer) => token = newer,
                    Err(error) => return failed(&error),
                },
                Ok(status) => {
                    return say(&json!({ "failed": format!("api {status}"), "at": now() }));
                }
                Err(_) => return say(&json!({ "failed": "api lost", "at": now() })),
            }
        }
    }
}

fn failed(error: &Error) {
    say(&json!({ "failed": error.code(), "at": now(), "text": error.to_string() }));
}

fn say(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // Whoever listened is gone, and so shall we be.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
