//! Runs worker processes against an independently written server, which revokes a grant when a refresh
//! token is reused. Tokens live for two seconds; a worker is killed every two seconds, and another one
//! terminated every three.
//!
//! `workers [--seconds N]` runs threads, tasks and processes over each store, and fails unless the
//! server counts one refresh per expiry (and at most one more for each kill of a renewing worker), no
//! refresh token was reused, every caller got a token within 15 s, and each terminated worker ended
//! without leaving anything that others have to wait for. Then the same runs with other libraries, for
//! comparison.
//!
//! In some rounds tokens are bound to a DPoP key, which the workers share in their store. The server checks each proof,
//! its nonce, that it is not repeated, and that the token is bound to its key.
//!
//! Web servers are killed as well, during the requests of browsers: see `web`.
//!
//! One thing is excused: if a worker is killed between saving the marker of a refresh token and getting
//! the reply, the token's fate is unknown, and this server would revoke the grant if it were sent again.
//! So the others wait until the reply can no longer arrive (27 s here), and a user logs in.

mod hold;
#[path = "../../crates/oauth-session/tests/it/nodes.rs"]
#[allow(dead_code, reason = "shared with the tests of the stores")]
mod nodes;
#[path = "../interop/oidc_provider.rs"]
#[allow(dead_code, reason = "shared with the interoperability tests")]
mod oidc_provider;
mod other_libraries;
mod pool;
mod round;
#[path = "../interop/server_process.rs"]
mod server_process;
#[path = "../../crates/oauth-session/tests/it/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of the stores")]
mod servers;
mod tally;
mod waits;
mod web;
mod web_browser;
mod web_worker;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

use round::Round;
use tally::Tally;

/// Runs workers against a server that revokes a grant when a refresh token is reused.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long each part runs, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Run only the parts whose name contains this text
    #[arg(long)]
    only: Option<String>,
    /// A Python interpreter with Authlib; without it, that library's run fails
    #[arg(long)]
    python: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run one worker, configured by JSON
    #[command(hide = true)]
    Work { work: String },
    /// Run a worker that takes the lease, and waits to be killed
    #[command(hide = true)]
    Hold { work: String },
    /// Get one token, for a test that kills this process meanwhile
    #[command(hide = true)]
    Once { work: String },
    /// Run one web server, at which users sign in
    #[command(hide = true)]
    Serve { work: String },
    /// Run one worker of the library `oauth2`
    #[command(hide = true)]
    #[command(name = "peer")]
    OtherLibrary { work: String },
}

/// The configuration of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Work {
    issuer: String,
    client_id: String,
    place: StoreLocation,
    callers: Callers,
    reuse: Reuse,
    tokens: TokenBinding,
}

/// The sender constraint of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum TokenBinding {
    Nothing,
    /// A DPoP key that the workers share in their store (RFC 9449). Access and refresh tokens are bound to it, and
    /// the server requires its nonces in proofs, and accepts each proof once.
    SharedKey,
}

/// The workers' setting for the server's reaction to a reused refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reuse {
    Unknown,
    Revokes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum StoreLocation {
    File(PathBuf),
    Sqlite(PathBuf),
    Redis(String),
    /// A Redis setup that may lose a server, so that a record counts as saved once a replica has it.
    Replicated(String),
    Postgres(String),
}

/// The callers in each process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Callers {
    Threads(usize),
    Tasks(usize),
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn ended(outcome: Result<(), oauth_core::Error>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let read = |work: &str| serde_json::from_str(work).expect("a worker's configuration");
    match &cli.command {
        Some(Command::Work { work }) => return ended(worker::run(&read(work))),
        Some(Command::Hold { work }) => return ended(worker::hold(&read(work))),
        Some(Command::Serve { work }) => {
            let work = serde_json::from_str(work).expect("a web server's configuration");
            return ended(web_worker::run(&work));
        }
        Some(Command::Once { work }) => {
            println!("{}", worker::request_once(&read(work)));
            return ExitCode::SUCCESS;
        }
        Some(Command::OtherLibrary { work }) => {
            other_libraries::work(&read(work));
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let length = Duration::from_secs(cli.seconds);
    let is_asked = |name: &str| cli.only.as_ref().is_none_or(|only| name.contains(only));
    let (mut passed, mut failed) = (0, 0);
    println!("{:<44} {}", "", Tally::HEAD);
    for round in Round::all() {
        if !is_asked(round.name) {
            continue;
        }
        let (tally, wrong) = round.run(length);
        println!("{:<44} {tally}", round.name);
        for what in &wrong {
            println!("    {what}");
        }
        if wrong.is_empty() {
            passed += 1
        } else {
            failed += 1
        }
    }
    for round in web::all() {
        if !is_asked(round.name) {
            continue;
        }
        let (tally, wrong) = round.run(length);
        println!("{:<44} {tally}", round.name);
        for what in &wrong {
            println!("    {what}");
        }
        if wrong.is_empty() {
            passed += 1
        } else {
            failed += 1
        }
    }
    for library in other_libraries::all(cli.python.as_deref()) {
        if !is_asked(library.name) {
            continue;
        }
        match library.run(length.min(Duration::from_secs(10))) {
            Ok(tally) => {
                println!("{:<44} {tally}", library.name);
                passed += 1;
            }
            Err(reason) => {
                println!("{}: {reason}", library.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}
