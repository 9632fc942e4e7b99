//! A million grants of one client, in one process over one PostgreSQL.
//!
//! `grants [--known N] [--active N]` prints what the process takes in memory with all of them known
//! and some active, what it asks of the store and of the server; and what comes of many callers who
//! find the tokens of many grants over at the same time. A line of JSON is a figure for
//! `cargo xtask bench grants`. It fails where a count is wrong: a missed budget is no failure.

mod count;
mod endpoint;
mod person_grants;
mod run;
#[path = "../../crates/oauth-session/tests/it/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of the stores")]
mod servers;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use oauth_core::quirk::Rules;
use oauth_core::{Client, ClientAuth, ClientId, Error, danger};
use oauth_reqwest::Driver;

/// What many grants cost.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    size: Size,
}

/// How many of what.
#[derive(Debug, Clone, Args)]
struct Size {
    /// How many grants are in the store
    #[arg(long, global = true, default_value_t = 1_000_000)]
    known: usize,
    /// How many of them are active, and kept in memory
    #[arg(long, global = true, default_value_t = 10_000)]
    active: usize,
    /// How many callers find the tokens of as many grants over
    #[arg(long, global = true, default_value_t = 1000)]
    callers: usize,
    /// How many renewals may begin in a second
    #[arg(long, global = true, default_value_t = 200)]
    per_second: u32,
}

impl Size {
    /// Whether the tokens of this grant have expired: those of the last are.
    const fn is_over(&self, number: usize) -> bool {
        number >= self.fresh()
    }

    /// How many grants have tokens that are good.
    const fn fresh(&self) -> usize {
        self.known.saturating_sub(self.callers)
    }
}

#[derive(Subcommand)]
enum Command {
    /// The authorization server
    #[command(hide = true)]
    Serve,
    /// Puts the grants into the store
    #[command(hide = true)]
    Fill { issuer: String, postgres: String },
}

/// The driver, and the client whose grants they are.
async fn client(issuer: &str) -> Result<(Driver, Client), Error> {
    let driver = Driver::new(reqwest::Client::builder())?;
    let issuer = danger::loopback_issuer(issuer)?;
    let server = driver
        .run(danger::discover_on_loopback(issuer, Rules::default()))
        .await?;
    let client = Client::new(server, ClientId::new("application"), ClientAuth::none())?;
    Ok((driver, client))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = match &cli.command {
        Some(Command::Serve) => {
            endpoint::run();
            Ok(())
        }
        Some(Command::Fill { issuer, postgres }) => runtime.block_on(async {
            let (_, client) = client(issuer).await?;
            person_grants::fill(&client, &cli.size, postgres).await
        }),
        None => {
            let size = &cli.size;
            if size.known < size.active + size.callers {
                eprintln!("some grants would be active and over at once");
                return ExitCode::FAILURE;
            }
            runtime.block_on(run::run(size))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
