//! Benchmark: a million grants of one client, in one process over one PostgreSQL.
//!
//! `grants [--known N] [--active N]` prints the memory of the process with all grants known and some
//! active, and its calls to the store and the server; and the cost of many callers that find the tokens
//! of many grants expired at the same time. A line of JSON is a figure for `cargo xtask bench grants`.
//! A wrong count is a failure, a missed budget is not.

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

/// Measures the cost of many grants.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    size: Size,
}

/// The numbers of grants and callers.
#[derive(Debug, Clone, Args)]
struct Size {
    /// The number of grants in the store
    #[arg(long = "known", global = true, default_value_t = 1_000_000)]
    grants: usize,
    /// The number of them that are active, and kept in memory
    #[arg(long, global = true, default_value_t = 10_000)]
    active: usize,
    /// The number of callers that find the tokens of as many grants expired
    #[arg(long, global = true, default_value_t = 1000)]
    callers: usize,
    /// The number of renewals that may begin per second
    #[arg(long, global = true, default_value_t = 200)]
    per_second: u32,
}

impl Size {
    /// Whether the tokens of this grant have expired, as those of the last grants have.
    const fn is_expired(&self, number: usize) -> bool {
        number >= self.fresh()
    }

    /// The number of grants whose tokens have not expired.
    const fn fresh(&self) -> usize {
        self.grants.saturating_sub(self.callers)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Runs the authorization server
    #[command(hide = true)]
    Serve,
    /// Puts the grants into the store
    #[command(hide = true)]
    Fill { issuer: String, postgres: String },
}

/// The driver, and the client to which the grants belong.
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
            if size.grants < size.active + size.callers {
                eprintln!("some grants would be both active and expired");
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
