//! Runs known-answer vectors and conversations:
//! `vectors --dir DIR [--lang rust|python|node|browser|all] [--player LANG=COMMAND]
//! [--counts FILE] [--done]`.
//!
//! Every `*.json` file of the folder, and of its folder `conversations`, is read. This program is
//! the judge: it turns a vector into a conversation, has it played in a language, and compares the
//! results with the expected ones. Rust plays in this process; for every other language a player is
//! named: a program that reads one conversation per line and writes one transcript per line.
//! README.md describes both.
//!
//! A vector whose group has no handler counts as failed, unhandled; with `--done` only the groups
//! that have one are run, and the others are listed by name. Vectors that a language's package
//! cannot express are listed, and count neither as passed nor as failed.

mod access_token;
mod address;
mod bearer;
mod callback;
mod cimd;
mod classes;
mod client_auth;
mod context;
mod conversation;
mod device_and_ciba;
mod dpop;
mod dpop_nonces;
mod encoding;
mod examples;
mod exchange;
mod expect;
mod expiration;
mod fields;
mod format;
mod id_token;
mod identity_access;
mod introspection;
mod judge;
mod jwe;
mod jws;
mod lang;
mod listener;
mod login;
mod logout;
mod mcp;
mod metadata;
mod native;
mod native_client;
mod packages;
mod player;
mod protected;
mod provider;
mod redaction;
mod registration;
mod report;
mod request;
mod resource_metadata;
mod runner;
mod scope;
mod script;
mod token;
mod transcript;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use format::{Failure, Handler, Questions, Vector, Verdict, read_dir};
use lang::Lang;
use native::Native;
use packages::{api, auth, identity, jose as of_jose, possession, protected as of_protected};
use player::{Player, Program};
use report::Report;
use runner::Runner;

/// Counts memory, for the vectors that bound it.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Runs known-answer vectors and conversations.
#[derive(Parser)]
struct Options {
    /// The folder with the files.
    #[arg(long)]
    dir: PathBuf,
    /// The language whose implementation is tested.
    #[arg(long, default_value = "rust", value_parser = ["rust", "python", "node", "browser", "all"])]
    lang: String,
    /// The player of a language: `python=["program","argument"]`.
    #[arg(long)]
    player: Vec<String>,
    /// A table of how many vectors of each group each language runs; a different count is a failure.
    #[arg(long)]
    counts: Option<PathBuf>,
    /// Run only the groups that have a handler, and list the others.
    #[arg(long)]
    done: bool,
}

const HEADERS: &str = "the parser of WWW-Authenticate is the core's own; what it means is asked \
                       by the verdicts of bearer-request";
const LISTENER: &str = "a listener is a socket and no conversation; packages that have one test it \
                        with their login";
const CONNECTING: &str = "only Rust finds out the server, the client and the scope by itself";
const ADDRESSES: &str =
    "addresses are judged by the native transport alone, which packages tell with a word";
const TARGETS: &str = "only Rust checks return targets";

const SESSIONS: &str =
    "a package reports the user of a logout; the program decides which sessions it ends";

fn handler(group: &str) -> Option<Handler> {
    use Handler::{Apart, Both, Core, Talk};
    Some(match group {
        "pkce" => Talk(encoding::pkce),
        "form-encoding" => Talk(encoding::form),
        "basic-auth" => Talk(encoding::basic),
        "retry-after" => Talk(encoding::retry_after),
        "www-authenticate" => Core(encoding::www_authenticate, HEADERS),
        "rfc6749-example" => Talk(request::example),
        "authorization-response" | "rfc9207" => Talk(callback::response),
        "well-known" => Talk(metadata::well_known),
        "metadata-validation" => Talk(metadata::validation),
        "token-response" => Talk(token::response),
        "token-error" => Talk(token::response),
        "scope" => Talk(scope::scope),
        "redirect-uri" => Talk(bearer::redirect_uri),
        "return-target" => Core(bearer::target, TARGETS),
        "bearer-request" => Talk(bearer::request),
        "loopback-listener" => Core(listener::event, LISTENER),
        "provider-deviation" => Talk(provider::deviation),
        "registration" => Talk(registration::registration),
        "cimd" => Talk(cimd::document),
        "redaction" => Talk(redaction::secret),
        "jws-published" | "jws-negative" => Both(jws::signature, of_jose::signature),
        "hash-claims" => Both(jws::hash_claim, of_jose::hash_claim),
        "jwk-thumbprint" => Both(jws::key, of_jose::key_sets),
        "jwe" => Both(jwe::id_token, of_jose::encrypted),
        "signed-introspection" => Both(introspection::signed, api::introspection),
        "userinfo" => Both(id_token::userinfo, identity::userinfo),
        "id-token" | "id-token-refresh" => Both(id_token::id_token, identity::id_token),
        "client-assertion" => Both(client_auth::client_assertion, auth::client_assertion),
        "assertion-source" => Both(client_auth::source_of_assertions, auth::source),
        "auth-method-selection" => Both(client_auth::selection, auth::selection),
        "mtls" => Both(client_auth::mtls, auth::mtls),
        "oidc-token-response" => Both(login::token_response, identity::token_response),
        "jwt-access-token" => Both(access_token::access_token, api::access_token),
        "logout-token" => Both(logout::logout_token, api::logout_token),
        "connection-context" => Both(context::core, context::callback),
        "refresh-token-expiration" => Both(expiration::core, expiration::lifetimes),
        "rp-session" => Core(logout::session, SESSIONS),
        "device-flow" => Talk(device_and_ciba::device),
        "ciba" => Talk(device_and_ciba::ciba),
        "dpop" => Apart(dpop::dpop, possession::dpop),
        "dpop-nonce-sequence" => Apart(dpop_nonces::sequence, possession::sequence),
        "request-example" => Talk(exchange::request_example),
        "id-jag" => Talk(exchange::id_jag),
        "jar" => Apart(protected::jar, of_protected::jar),
        "protected-resource-metadata" => Talk(resource_metadata::metadata),
        "mcp" => Core(mcp::rule, CONNECTING),
        "ssrf-address" => Core(address::address, ADDRESSES),
        "jarm" => Apart(protected::jarm, of_protected::jarm),
        "step-up" => Apart(protected::step_up, of_protected::step_up),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let options = Options::parse();
    let langs: Vec<Lang> = Lang::ALL
        .into_iter()
        .filter(|lang| ["all", lang.name()].contains(&options.lang.as_str()))
        .collect();
    let questions = match read_dir(&options.dir) {
        Ok(questions) => questions,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::default();
    for &lang in &langs {
        match player(lang, &options.player) {
            Ok(player) => answer_questions(
                &questions,
                Runner::new(lang, player),
                options.done,
                &mut report,
            ),
            Err(error) => {
                eprintln!("{}: {error}", lang.name());
                return ExitCode::from(2);
            }
        }
    }
    if let Some(file) = &options.counts {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let checked = text.and_then(|text| report.check_counts(&langs, &text));
        if let Err(error) = checked {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    }
    if report.print(&langs) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The player of this language.
fn player(lang: Lang, named: &[String]) -> Result<Box<dyn Player>, String> {
    if lang == Lang::Rust {
        return Ok(Box::new(Native));
    }
    let pairs = named.iter().filter_map(|text| text.split_once('='));
    let command = pairs
        .filter(|(name, _)| *name == lang.name())
        .map(|(_, command)| command)
        .next_back()
        .ok_or("no player is named; `cargo xtask test vectors` builds the package and names it")?;
    let command: Vec<String> =
        serde_json::from_str(command).map_err(|error| format!("--player: {error}"))?;
    Ok(Box::new(Program::start(&command)?))
}

/// Runs all vectors and conversations in one language.
fn answer_questions(questions: &Questions, mut runner: Runner, is_done: bool, report: &mut Report) {
    let lang = runner.lang;
    for vector in &questions.vectors {
        let verdict = match handler(&vector.group) {
            Some(handler) => verdict(vector, handler, &mut runner),
            None if is_done => {
                if lang == Lang::Rust {
                    report.open(&vector.group);
                }
                continue;
            }
            None => Err("failed, unhandled".into()),
        };
        for reason in std::mem::take(&mut runner.left_out) {
            report.record_unsupported(lang, reason);
        }
        report.count(lang, &vector.group, &vector.id, verdict);
    }
    for script in questions
        .scripts
        .iter()
        .filter(|script| script.is_for(lang))
    {
        let group = format!("conversations/{}", script.group);
        report.count(lang, &group, &script.name, script.verdict(&mut runner));
    }
}

fn verdict(vector: &Vector, handler: Handler, runner: &mut Runner) -> Verdict {
    match handler {
        Handler::Talk(play) => {
            let verdict = play(vector, runner);
            if verdict.is_ok() {
                runner
                    .left_out
                    .extend(runner.lang.unexposed_expectation(&vector.expected));
            }
            verdict
        }
        Handler::Core(check, _) if runner.is_rust() => check(vector),
        Handler::Both(check, play) if runner.is_rust() => {
            check(vector)?;
            match play(vector, runner) {
                // The core has run a larger part of it.
                Err(Failure::OutOfReach(_)) => Ok(()),
                verdict => verdict,
            }
        }
        Handler::Apart(check, _) if runner.is_rust() => check(vector),
        Handler::Both(_, play) | Handler::Apart(_, play) => play(vector, runner),
        Handler::Core(_, reason) => Err(Failure::OutOfReach(reason)),
    }
}
