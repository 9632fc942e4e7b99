//! Workers against a server we did not write, which ends a grant whose refresh token comes
//! twice; with tokens of two seconds, a worker killed every two seconds, and another told to end
//! every three.
//!
//! `workers [--seconds N]` runs threads, tasks and processes over each store, and fails unless the
//! server counts one refresh for each expiry (and at most one more for each kill of a worker that
//! renewed), no refresh token came twice, no caller was left without a token or waited for more than
//! 15 s, and each worker that was told to end did so with nothing left for others to wait for. Then
//! the same on peers, for their figures.
//!
//! Some rounds are of tokens that are bound to a DPoP key: the workers share it in their store, and the server checks
//! each proof, its nonce, that it comes once, and that token and proof are of one key.
//!
//! Web servers are killed as well, in the midst of what browsers do at them: see `web`.
//!
//! One thing is excused: a worker killed between the marker of a refresh token and the reply takes the
//! token's fate along, and this server is known to end a grant rather than to take a token twice. So
//! the others wait until nobody can come back with the reply (27 s here), and a person logs in.

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

/// Workers against a server that ends a grant whose refresh token comes twice.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long each part runs, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Only the parts whose name holds this text
    #[arg(long)]
    only: Option<String>,
    /// The Python that has Authlib; without it, that library is not run, and that is a failure
    #[arg(long)]
    python: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// One worker: what it does is told as JSON
    #[command(hide = true)]
    Work { work: String },
    /// A worker that takes the lease, and waits to be killed
    #[command(hide = true)]
    Hold { work: String },
    /// One token, for a test that kills this process on the way to it
    #[command(hide = true)]
    Once { work: String },
    /// One web server, whose people sign in
    #[command(hide = true)]
    Serve { work: String },
    /// One worker of the library `oauth2`
    #[command(hide = true)]
    #[command(name = "peer")]
    OtherLibrary { work: String },
}

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Work {
    issuer: String,
    client_id: String,
    place: Place,
    callers: Callers,
    reuse: Reuse,
    tokens: TokenBinding,
}

/// What the tokens are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum TokenBinding {
    Nothing,
    /// A DPoP key that the workers share in their store (RFC 9449). Access token and refresh token are bound to
    /// it, and the server wants its nonces in proofs, which it checks and takes once.
    SharedKey,
}

/// What the workers take the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reuse {
    Unknown,
    Revokes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Place {
    File(PathBuf),
    Sqlite(PathBuf),
    Redis(String),
    /// Where a server may be lost, and so a record counts as saved once a replica has it.
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
    let read = |work: &str| serde_json::from_str(work).expect("what workers are told");
    match &cli.command {
        Some(Command::Work { work }) => return ended(worker::run(&read(work))),
        Some(Command::Hold { work }) => return ended(worker::hold(&read(work))),
        Some(Command::Serve { work }) => {
            let work = serde_json::from_str(work).expect("what web servers are told");
            return ended(web_worker::run(&work));
        }
        Some(Command::Once { work }) => {
            println!("{}", worker::once(&read(work)));
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
        match wrong.is_empty() {
            true => passed += 1,
            false => failed += 1,
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
        match wrong.is_empty() {
            true => passed += 1,
            false => failed += 1,
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
            Err(why) => {
                println!("{}: {why}", library.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}
