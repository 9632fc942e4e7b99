//! Runs known-answer vectors and conversations:
//! `vectors --dir DIR [--lang rust|python|node|browser|all] [--player LANG=COMMAND] [--done]`.
//!
//! Every `*.json` file of the folder, and of its folder `conversations`, is read. This program is
//! the judge: it makes a conversation of a vector, has it played in a language, and compares what
//! was said with what is wanted. Rust plays in this process; for every other language a player is
//! named, a program that reads a conversation a line and answers a transcript a line. README.md
//! describes both.
//!
//! A vector whose group has no handler counts as failed, unhandled; with `--done` only the groups
//! that have one are run, and the others are listed by name. What a language's package does not
//! reach is listed, and counts neither way.

mod access_token;
mod ask;
mod bearer;
mod callback;
mod classes;
mod client_auth;
mod conversation;
mod encoding;
mod expect;
mod fields;
mod format;
mod id_token;
mod introspection;
mod judge;
mod jwe;
mod jws;
mod lang;
mod listener;
mod login;
mod logout;
mod metadata;
mod native;
mod player;
mod provider;
mod redaction;
mod report;
mod request;
mod said;
mod scope;
mod script;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use ask::Asks;
use format::{Handler, No, Questions, Vector, Verdict, read_dir};
use lang::Lang;
use native::Native;
use player::{Player, Program};
use report::Report;

/// Counts memory, for the vectors that bound it.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Runs known-answer vectors and conversations.
#[derive(Parser)]
struct Options {
    /// The folder with the files.
    #[arg(long)]
    dir: PathBuf,
    /// The language whose implementation is asked.
    #[arg(long, default_value = "rust", value_parser = ["rust", "python", "node", "browser", "all"])]
    lang: String,
    /// Who plays in a language: `python=["program","argument"]`.
    #[arg(long)]
    player: Vec<String>,
    /// Run only the groups that have a handler, and list the others.
    #[arg(long)]
    done: bool,
}

const HEADERS: &str = "the parser of WWW-Authenticate is the core's own; what it means is asked \
                       by the verdicts of bearer-request";
const LISTENER: &str = "a listener is a socket and no conversation; packages that have one test it \
                        with their login";
const JOSE: &str =
    "signatures are verified inside a login; what a package sees of it, conversations ask";
const CLIENT_AUTH: &str =
    "how a client authenticates is chosen by the core; the packages' own tests see it on the wire";
const TARGETS: &str = "return targets are for Rust alone";

const API_SERVERS: &str = "tokens that an API is shown are verified by the core; a package's own suite shows it \
                           some";
const LOGOUT: &str =
    "what ends a session is judged by the core; a package's own suite signs people out";

fn handler(group: &str) -> Option<Handler> {
    use Handler::{Core, Talk};
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
        "redaction" => Talk(redaction::secret),
        "jws-published" | "jws-negative" => Core(jws::signature, JOSE),
        "hash-claims" => Core(jws::hash_claim, JOSE),
        "jwk-thumbprint" => Core(jws::key, JOSE),
        "signed-introspection" => Core(introspection::signed, JOSE),
        "jwe" => Core(jwe::id_token, JOSE),
        "userinfo" => Core(id_token::userinfo, JOSE),
        "id-token" | "id-token-refresh" => Core(id_token::id_token, JOSE),
        "client-assertion" => Core(client_auth::client_assertion, CLIENT_AUTH),
        "assertion-source" => Core(client_auth::source_of_assertions, CLIENT_AUTH),
        "auth-method-selection" => Core(client_auth::selection, CLIENT_AUTH),
        "mtls" => Core(client_auth::mtls, CLIENT_AUTH),
        "oidc-token-response" => Core(login::token_response, JOSE),
        "jwt-access-token" => Core(access_token::access_token, API_SERVERS),
        "logout-token" => Core(logout::logout_token, LOGOUT),
        "rp-session" => Core(logout::session, LOGOUT),
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
            Ok(player) => ask(
                &questions,
                Asks::new(lang, player),
                options.done,
                &mut report,
            ),
            Err(error) => {
                eprintln!("{}: {error}", lang.name());
                return ExitCode::from(2);
            }
        }
    }
    if report.print(&langs) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Who plays in this language.
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

/// Asks one language everything.
fn ask(questions: &Questions, mut asks: Asks, is_done: bool, report: &mut Report) {
    let lang = asks.lang;
    for vector in &questions.vectors {
        let verdict = match handler(&vector.group) {
            Some(handler) => verdict(vector, handler, &mut asks),
            None if is_done => {
                if lang == Lang::Rust {
                    report.open(&vector.group);
                }
                continue;
            }
            None => Err("failed, unhandled".into()),
        };
        for why in std::mem::take(&mut asks.left_out) {
            report.left_out(lang, why);
        }
        report.count(lang, &vector.group, &vector.id, verdict);
    }
    for script in questions
        .scripts
        .iter()
        .filter(|script| script.is_for(lang))
    {
        let group = format!("conversations/{}", script.group);
        report.count(lang, &group, &script.name, script.verdict(&mut asks));
    }
}

fn verdict(vector: &Vector, handler: Handler, asks: &mut Asks) -> Verdict {
    match handler {
        Handler::Talk(talk) => {
            let verdict = talk(vector, asks);
            if verdict.is_ok() {
                asks.left_out.extend(asks.lang.untold(&vector.expected));
            }
            verdict
        }
        Handler::Core(check, _) if asks.is_rust() => check(vector),
        Handler::Core(_, why) => Err(No::OutOfReach(why)),
    }
}
