//! One worker process: many callers that continuously request tokens, until it is killed or
//! terminated.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use oauth_core::dpop::DpopKey;
use oauth_core::error::Error;
use oauth_core::flow::keeper::{self, GrantId, Policy};
use oauth_core::flow::resource::Api;
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::quirk::Rules;
use oauth_core::{Client, ClientAuth, ClientId, danger};
use oauth_reqwest::oauth_session::store::{
    FileStore, Lease, PostgresStore, RedisStore, SqliteStore,
};
use oauth_reqwest::oauth_session::{GrantSource, Sources, Store, Token, blocking, dpop_key};
use oauth_reqwest::{Authorized, Driver, Options};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::hold::{Hold, ReportingStore};
use crate::waits::Waits;
use crate::{Callers, Reuse, StoreLocation, TokenBinding, Work, now};

/// The user to whom the grant belongs.
const SUBJECT: &str = "somebody";

/// The maximum time that a terminated worker takes to finish its renewals: less than
/// [`TERMINATION_TIMEOUT`](crate::pool::TERMINATION_TIMEOUT), so that it is not killed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs a worker until it is terminated.
pub(crate) fn run(work: &Work) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Before anything else, so that a worker terminated during its start shuts down gracefully too.
        let mut terminated = signal(SignalKind::terminate()).expect("signals");
        let desk = Arc::new(SharedSource::open(work).await?);
        let threads = desk.start_callers(work.callers);
        print_json(&json!({ "ready": true }));
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                _ = terminated.recv() => break,
                _ = tick.tick() => desk.report(),
            }
        }
        let ended = desk.close().await;
        for thread in threads {
            thread.join().expect("a caller does not panic");
        }
        ended
    })
}

/// Takes the lease of the grant, and waits to be killed with it.
pub(crate) fn hold(work: &Work) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = store(&work.place).await?;
        let (session, _) = session_over(work, Arc::clone(&store)).await?;
        let key = session.key().expect("a shared one");
        while store
            .lease(key, "dead soon", Policy::default().lease)
            .await?
            != Lease::Won
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        print_json(&json!({ "hold": Hold::Lease }));
        std::future::pending().await
    })
}

/// Stores the tokens of a login for the workers.
pub(crate) fn log_in(work: &Work, tokens: oauth_core::Tokens) -> Result<(), Error> {
    blocking::wait(async { session(work).await?.log_in(tokens).await })?
}

/// The result of one caller: `token`, or the code and the advice of an error.
pub(crate) fn request_once(work: &Work) -> String {
    let outcome = blocking::wait(async {
        let session = session(work).await?;
        session.token().await.map(|_| "token".to_owned())
    });
    match outcome.and_then(|result| result) {
        Ok(token) => token,
        Err(error) => format!("{} {}", error.code(), error.advice().as_str()),
    }
}

async fn session(work: &Work) -> Result<GrantSource, Error> {
    let (session, _) = session_over(work, store(&work.place).await?).await?;
    Ok(session)
}

/// The key that the workers share, if the tokens are bound to one.
pub(crate) fn shared_key(work: &Work) -> Result<Option<DpopKey>, Error> {
    blocking::wait(async { key_in(work, &*store(&work.place).await?).await })?
}

async fn key_in(work: &Work, store: &dyn Store) -> Result<Option<DpopKey>, Error> {
    match work.tokens {
        TokenBinding::Nothing => Ok(None),
        TokenBinding::SharedKey => dpop_key::open(store, "workers", Alg::Es256).await.map(Some),
    }
}

/// A session with default settings, except for two: the server is known to revoke a grant when a refresh
/// token is reused; and a request times out after 2 s instead of 30, so that a round lasts long enough to
/// see the end of a renewal whose fate a kill has left unknown (27 s, see [`Policy::attempt_window`],
/// instead of 55).
async fn session_over(
    work: &Work,
    store: Arc<dyn Store>,
) -> Result<(GrantSource, Option<Authorized>), Error> {
    let options = Options::default()
        .timeout(LONGEST_REQUEST)
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
    let mut client = client;
    let key = key_in(work, &*store).await?;
    if let Some(key) = &key {
        client = client.with_dpop(key.clone());
    }
    let mut policy = Policy::default();
    policy.reuse = match work.reuse {
        Reuse::Unknown => keeper::Reuse::Unknown,
        Reuse::Revokes => keeper::Reuse::Revokes,
    };
    let keeper = client.keeper(GrantId::user(SUBJECT)).with_policy(policy);
    let session = GrantSource::with_store(driver.clone(), keeper, store);
    let api = match key {
        Some(_) => {
            let api = Api::new(danger::loopback_resource([work.issuer.as_str()])?);
            let (api, sources) = (api.with_dpop(&client)?, Sources::one(session.clone()));
            Some(Authorized::with_sources(driver, sources, api)?)
        }
        None => None,
    };
    Ok((session, api))
}

/// The timeout of a token request.
pub(crate) const LONGEST_REQUEST: Duration = Duration::from_secs(2);

pub(crate) async fn store(place: &StoreLocation) -> Result<Arc<dyn Store>, Error> {
    Ok(match place {
        StoreLocation::File(folder) => Arc::new(FileStore::new(folder)?),
        StoreLocation::Sqlite(path) => Arc::new(SqliteStore::new(path)?),
        StoreLocation::Redis(url) => Arc::new(RedisStore::new(url)?),
        StoreLocation::Replicated(url) => Arc::new(RedisStore::new(url)?.with_replicas(1)),
        StoreLocation::Postgres(url) => {
            let store = PostgresStore::new(url)?;
            store.migrate().await?;
            Arc::new(store)
        }
    })
}

/// The source of tokens that a worker's callers share, and their use of them.
struct SharedSource {
    session: GrantSource,
    store: Arc<ReportingStore>,
    http: reqwest::Client,
    api: String,
    /// The client that sends tokens with proofs, if they are bound to a key.
    proving: Option<Authorized>,
    tokens: AtomicU64,
    waits: Waits,
    is_closed: watch::Sender<bool>,
}

impl SharedSource {
    async fn open(work: &Work) -> Result<Self, Error> {
        let store = Arc::new(ReportingStore::new(store(&work.place).await?));
        let (Callers::Tasks(callers) | Callers::Threads(callers)) = work.callers;
        let (session, proving) = session_over(work, Arc::clone(&store) as Arc<dyn Store>).await?;
        Ok(Self {
            session,
            proving,
            store,
            http: reqwest::Client::new(),
            api: format!("{}/me", work.issuer),
            tokens: AtomicU64::new(0),
            waits: Waits::new(callers),
            is_closed: watch::Sender::new(false),
        })
    }

    /// Starts the callers; returns their threads, if they have their own.
    fn start_callers(self: &Arc<Self>, callers: Callers) -> Vec<JoinHandle<()>> {
        match callers {
            Callers::Tasks(count) => {
                for n in 0..count {
                    let desk = Arc::clone(self);
                    tokio::spawn(async move {
                        while desk.serve_caller(n).await {
                            tokio::time::sleep(Duration::from_millis(40)).await;
                        }
                    });
                }
                Vec::new()
            }
            Callers::Threads(count) => {
                let thread = |n| {
                    let (desk, runtime) = (Arc::clone(self), Handle::current());
                    std::thread::spawn(move || {
                        while runtime.block_on(desk.serve_caller(n)) {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    })
                };
                (0..count).map(thread).collect()
            }
        }
    }

    /// Shuts down gracefully: callers are no longer served, waiting ones are released, and renewals in
    /// progress are completed.
    async fn close(&self) -> Result<(), Error> {
        print_json(&json!({ "renews": self.store.hold() != Hold::Nothing }));
        self.is_closed.send_replace(true);
        let drained = self.session.drain(DRAIN_TIMEOUT).await;
        self.report();
        drained
    }

    fn report(&self) {
        let (tokens, longest) = (self.tokens.load(Ordering::Relaxed), self.waits.longest());
        print_json(&json!({ "ok": tokens, "wait": longest, "at": now() }));
    }

    /// Serves one caller, unless the desk is closed.
    async fn serve_caller(&self, n: usize) -> bool {
        let mut is_closed = self.is_closed.subscribe();
        tokio::select! {
            biased;
            _ = is_closed.wait_for(|&is_closed| is_closed) => false,
            () = self.visit(n) => true,
        }
    }

    async fn visit(&self, n: usize) {
        let waiting = self.waits.begin(n);
        let token = self.session.token().await;
        drop(waiting);
        match token {
            Ok(token) => {
                let count = self.tokens.fetch_add(1, Ordering::Relaxed);
                // Only some tokens are used, to limit the load on the server.
                if count % 50 == n as u64 % 50 {
                    self.use_token(n, token).await;
                }
            }
            Err(error) => failed(&error),
        }
    }

    /// Uses a token. One that has just expired is replaced once, as the authorized client does.
    async fn use_token(&self, n: usize, token: Token) {
        if let Some(api) = &self.proving {
            return self.prove_token(api).await;
        }
        let mut token = token;
        for is_last in [false, true] {
            let request = self
                .http
                .get(&self.api)
                .bearer_auth(token.access_token.expose());
            match request.send().await.map(|reply| reply.status().as_u16()) {
                Ok(200) => return,
                Ok(401) if !is_last => {
                    let waiting = self.waits.begin(n);
                    let newer = self.session.renew(&token).await;
                    drop(waiting);
                    match newer {
                        Ok(newer) => token = newer,
                        Err(error) => return failed(&error),
                    }
                }
                Ok(status) => {
                    return print_json(&json!({ "failed": format!("api {status}"), "at": now() }));
                }
                Err(_) => return print_json(&json!({ "failed": "api lost", "at": now() })),
            }
        }
    }
}

impl SharedSource {
    /// Uses a token with a proof, through the authorized client.
    async fn prove_token(&self, api: &Authorized) {
        match api.get(&self.api).send().await {
            Ok(reply) if reply.status().as_u16() == 200 => {}
            Ok(reply) => {
                let failed = format!("api {}", reply.status().as_u16());
                print_json(&json!({ "failed": failed, "at": now() }));
            }
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &Error) {
    print_json(&json!({ "failed": error.code(), "at": now(), "text": error.to_string() }));
}

/// Sends a line to the parent process.
pub(crate) fn print_json(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // The parent is gone: this process ends too.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
