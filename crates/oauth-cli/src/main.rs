//! The `oauth` command: tokens, logins and API calls from a terminal, and a demonstration of
//! every flow of the four documented systems.
//!
//! Results go to stdout, everything else to stderr. Secrets are never passed as arguments, and
//! `--trace` redacts them.
//!
//! Where to look: [`setup`] turns options and a profile into a client; [`net`] runs its exchanges
//! and calls; [`profile_tokens`] keeps a profile's tokens for all shells; `command/` has one file for each
//! command; [`output`] has the exit codes.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod api;
mod browser;
mod command;
mod credential;
mod fixed_token;
mod key_file;
mod login_record;
mod net;
mod new_file;
mod output;
mod profile;
mod profile_file;
mod profile_rules;
mod profile_tokens;
mod redirect;
mod registered_responses;
mod secret_source;
mod setup;
mod shell;
mod shutdown;
mod time;
mod token_file;
mod token_request;
mod token_store;
mod trace;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, ValueHint};

use command::Command;
use output::{Failure, Output};

/// OAuth 2.0 and OpenID Connect from the command line.
#[derive(Debug, Parser)]
#[command(name = "oauth", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes:
  0  success
  1  the server refused, the network failed, or a token failed a check
  2  the command line, the profile or a secret source is invalid

Examples:
  oauth demo
  oauth serve --system generic
  oauth --profile acme login
  oauth --profile acme token")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print JSON, one object per line: results to stdout, errors and the trace to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print each request and response to stderr, with secrets redacted
    #[arg(long, global = true)]
    pub(crate) trace: bool,
    /// Use this profile instead of the default profile
    #[arg(long, global = true, value_name = "NAME", env = "OAUTH_PROFILE")]
    pub(crate) profile: Option<String>,
    /// Read profiles from this file [default: $XDG_CONFIG_HOME/oauth/config.toml, or
    /// ~/.config/oauth/config.toml if XDG_CONFIG_HOME is not set to an absolute path]
    #[arg(
        long, global = true, value_name = "FILE", env = "OAUTH_CONFIG", value_hint = ValueHint::FilePath,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub(crate) config: Option<PathBuf>,
    /// Also trust the certificate authorities in this PEM file [profile: `network.ca`]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<String>,
    /// Use this proxy (http, https, socks5 or socks5h), or `direct` for none [profile:
    /// `network.proxy`, default: from HTTPS_PROXY, ALL_PROXY and NO_PROXY]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Do not read or write stored tokens
    #[arg(long, global = true)]
    pub(crate) no_store: bool,
}

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse_from(arguments(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // An empty variable is how some environments unset one.
    cli.global.profile = cli.global.profile.filter(|name| !name.is_empty());
    cli.global.config = (cli.global.config).filter(|path| !path.as_os_str().is_empty());
    let output = Output {
        json: cli.global.json,
    };
    match command::run(cli.command, &cli.global, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

/// The arguments, preceded by `credential docker` if this program was started as `docker-credential-oauth`: docker
/// runs a program of this name, and passes only the operation.
fn arguments(mut all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let program = all.next().unwrap_or_default();
    let is_link = Path::new(&program).file_stem() == Some(OsStr::new("docker-credential-oauth"));
    let implied = if is_link {
        &["credential", "docker"][..]
    } else {
        &[]
    };
    let implied = implied.iter().map(OsString::from);
    [program].into_iter().chain(implied).chain(all).collect()
}

/// The first paragraph of an error text: its sentence, and the arguments or values that it lists.
fn in_one_line(text: &str) -> String {
    let mut lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty());
    let sentence = lines.next().unwrap_or_default();
    let listed: Vec<_> = lines.collect();
    let message = format!("{sentence} {}", listed.join(", "));
    message.trim_start_matches("error: ").trim_end().to_owned()
}

/// Help and version are not errors. Real errors are printed as JSON if `--json` was given.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let message = in_one_line(&error.to_string());
        let failure = Failure::usage("usage.arguments", message, "see --help");
        Output { json: true }.failure(&failure);
    } else {
        // If the terminal is closed, the error cannot be shown.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() {
        output::EXIT_USAGE
    } else {
        0
    })
}
