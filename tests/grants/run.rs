//! Runs the benchmark, and prints its figures.

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use oauth_core::{Error, Tokens};
use oauth_session::store::PostgresStore;
use oauth_session::{Grants, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Size;
use crate::count::{Counting, resident};
use crate::person_grants::{person, token, tokens};
use crate::servers::Server;

/// The budget of memory beyond the active tokens, in MiB.
const BUDGET: f64 = 200.0;

/// The number of concurrent requests while grants become active.
const AT_ONCE: usize = 64;

/// The driver's default limit of concurrent requests.
const IN_FLIGHT: u64 = 16;

/// The authorization server; it ends when this is dropped.
struct Endpoint {
    process: Child,
    _alive: Option<ChildStdin>,
    base: String,
}

impl Endpoint {
    fn start() -> Self {
        let mut process = own_command("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut base = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut base)
            .expect("where it listens");
        Self {
            _alive: process.stdin.take(),
            process,
            base: base.trim().to_owned(),
        }
    }

    async fn counters(&self) -> Value {
        let reply = reqwest::get(format!("{}/counters", self.base)).await;
        let text = reply.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command that runs a subcommand of this program.
fn own_command(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(task);
    command
}

pub(crate) async fn run(size: &Size) -> Result<(), Error> {
    let endpoint = Endpoint::start();
    let postgres = Server::postgres();
    let start = Instant::now();
    let filled = own_command("fill")
        .args([&endpoint.base, &postgres.postgres_url()])
        .args(["--known", &size.grants.to_string()])
        .args(["--callers", &size.callers.to_string()])
        .args(["--active", &size.active.to_string()])
        .status()
        .expect("it runs");
    assert!(filled.success(), "the grants are not in the store");
    let took = start.elapsed().as_secs_f64();
    println!("{} grants are in the store, after {took:.1} s", size.grants);

    let (driver, client) = crate::client(&endpoint.base).await?;
    let store = Arc::new(Counting::new(PostgresStore::new(&postgres.postgres_url())?));
    let grants = Grants::new(driver, &client, Arc::clone(&store) as Arc<dyn Store>)
        .capacity(size.active)
        .per_second(size.per_second);
    let (before, _) = resident();

    // The store can read the rows that were written in bulk.
    let last = size.fresh() - 1;
    let one = grants.get(&person(last)).token().await?;
    let stored_tokens = tokens(&client, size, last)?;
    let secrets = |tokens: &Tokens| {
        let refresh = tokens.refresh_token.as_ref();
        let refresh = refresh.map(|token| token.secret().expose().clone());
        (tokens.access_token.expose().clone(), refresh)
    };
    assert_eq!(secrets(&one), secrets(&stored_tokens));
    assert_eq!(
        (&one.scope, one.expires_in),
        (&stored_tokens.scope, stored_tokens.expires_in)
    );
    drop(one);
    let listed = grants.list(None).await?;
    assert!(!listed.grants.is_empty() && listed.unreadable.is_empty());
    store.calls();

    let (took, bytes) = use_each(&grants, 0..size.active).await?;
    let calls = store.calls();
    let (active, _) = resident();
    println!("{} become active: {calls}, in {took:.1} s", size.active);
    assert!(grants.in_memory() >= size.active, "they stay");
    assert_eq!((calls.saves, calls.leases), (0, 0), "they are only read");

    // Other grants are used once, and must not stay in memory.
    let passing = (size.grants / 10).min(size.fresh() - size.active);
    let (took, _) = use_each(&grants, size.active..size.active + passing).await?;
    let calls = store.calls();
    let (passed, _) = resident();
    println!("{passing} more come and go: {calls}, in {took:.1} s");
    assert!(
        grants.in_memory() <= size.active + AT_ONCE,
        "only grants in use may exceed the limit"
    );
    assert_eq!(endpoint.counters().await["requests"], 0);

    let took = run_concurrent_callers(&grants, size).await?;
    let calls = store.calls();
    let counters = endpoint.counters().await;
    let of = |name: &str| counters[name].as_u64().expect("a count");
    let (_, most) = resident();
    println!(
        "{0} callers request the tokens of {0} expired grants: {calls}, in {took:.1} s",
        size.callers
    );
    println!(
        "at the token endpoint: {} requests, {} in flight at most, {} in a second at most",
        of("requests"),
        of("most_in_flight"),
        of("most_per_second"),
    );
    assert_eq!(of("requests"), size.callers as u64, "one for each grant");
    assert_eq!(of("twice"), 0, "no refresh token was reused");
    assert!(of("most_in_flight") <= IN_FLIGHT, "the driver bounds them");
    // The network may bring two of them closer together.
    let per_second = u64::from(size.per_second);
    assert!(
        of("most_per_second") <= per_second + per_second / 10 + 1,
        "{}: renewals are paced",
        of("most_per_second")
    );

    let what = |what: &str| format!("{} grants, {} active: {what}", size.grants, size.active);
    figure(&what("resident before any was used"), "MiB", mib(before));
    figure(&what("resident"), "MiB", mib(active));
    figure(&what("resident once others came"), "MiB", mib(passed));
    figure(&what("resident at most"), "MiB", mib(most));
    figure(&what("their tokens' own bytes"), "MiB", mib(bytes));
    let beyond = mib(active.max(passed).saturating_sub(bytes));
    let row = json!({
        "what": what("resident beyond their tokens"),
        "unit": "MiB",
        "sides": [["oauth-core", beyond]],
        "budget": BUDGET,
    });
    println!("{row}");
    Ok(())
}

/// Requests the token of each grant; returns the duration in seconds, and the tokens' size in bytes.
async fn use_each(grants: &Grants, people: Range<usize>) -> Result<(f64, u64), Error> {
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(people.start));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (grants, next, end) = (grants.clone(), Arc::clone(&next), people.end);
        tasks.spawn(async move {
            let mut bytes = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok::<_, Error>(bytes);
                }
                let tokens = grants.get(&person(number)).token().await?;
                bytes += tokens.access_token.expose().len();
                let refresh = tokens.refresh_token.as_ref();
                bytes += refresh.map_or(0, |token| token.secret().expose().len());
            }
        });
    }
    let mut bytes = 0;
    while let Some(finished) = tasks.join_next().await {
        bytes += finished.expect("no panic")?;
    }
    Ok((start.elapsed().as_secs_f64(), bytes as u64))
}

/// Starts this many callers, each of which requests the tokens of as many expired grants. Each begins with a
/// different one, so that all grants are requested at the same time.
async fn run_concurrent_callers(grants: &Grants, size: &Size) -> Result<f64, Error> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..size.callers {
        let (grants, size) = (grants.clone(), size.clone());
        callers.spawn(async move {
            for other in 0..size.callers {
                let number = size.fresh() + (caller + other) % size.callers;
                let tokens = grants.get(&person(number)).token().await?;
                let is_renewed = tokens.access_token.expose() != &token("at", number);
                assert!(is_renewed, "the token of {number} has expired");
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("no panic")?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Bytes as MiB.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Prints a figure that has no budget.
fn figure(what: &str, unit: &str, value: f64) {
    println!(
        "{}",
        json!({ "what": what, "unit": unit, "sides": [["oauth-core", value]] })
    );
}
