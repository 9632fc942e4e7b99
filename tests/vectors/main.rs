//! Runs known-answer vectors: `vectors --dir DIR [--lang rust] [--done]`.
//!
//! Every `*.json` file of the folder is read. A vector whose group has no handler counts as
//! failed, unhandled; with `--done` only the groups that have one are run, and the others are
//! listed by name.

mod bearer;
mod callback;
mod classes;
mod encoding;
mod format;
mod listener;
mod metadata;
mod provider;
mod redaction;
mod request;
mod scope;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use format::{Handler, Verdict, read_dir};

/// Counts memory, for the vectors that bound it.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Runs known-answer vectors.
#[derive(Parser)]
struct Options {
    /// The folder with the vector files.
    #[arg(long)]
    dir: PathBuf,
    /// The language whose implementation is asked.
    #[arg(long, default_value = "rust", value_parser = ["rust"])]
    lang: String,
    /// Run only the groups that have a handler, and list the others.
    #[arg(long)]
    done: bool,
}

fn handler(group: &str) -> Option<Handler> {
    Some(match group {
        "pkce" => encoding::pkce,
        "form-encoding" => encoding::form,
        "basic-auth" => encoding::basic,
        "retry-after" => encoding::retry_after,
        "www-authenticate" => encoding::www_authenticate,
        "rfc6749-example" => request::example,
        "authorization-response" | "rfc9207" => callback::response,
        "well-known" => metadata::well_known,
        "metadata-validation" => metadata::validation,
        "token-response" => token::response,
        "token-error" => token::response,
        "scope" => scope::scope,
        "redirect-uri" => bearer::redirect_uri,
        "return-target" => bearer::target,
        "bearer-request" => bearer::request,
        "loopback-listener" => listener::event,
        "provider-deviation" => provider::deviation,
        "redaction" => redaction::secret,
        _ => return None,
    })
}

fn main() -> ExitCode {
    let options = Options::parse();
    let vectors = match read_dir(&options.dir) {
        Ok(vectors) => vectors,
        Err(error) => {
            eprintln!("{}: {error}", options.dir.display());
            return ExitCode::from(2);
        }
    };
    let (mut passed, mut failed) = (0, 0);
    let mut open = BTreeMap::<&str, usize>::new();
    for vector in &vectors {
        let verdict = match handler(&vector.group) {
            Some(handler) => handler(vector),
            None if options.done => {
                *open.entry(&vector.group).or_default() += 1;
                continue;
            }
            None => Verdict::Err("failed, unhandled".to_owned()),
        };
        match verdict {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                println!("{} ({}): {why}", vector.id, vector.group);
            }
        }
    }
    if !open.is_empty() {
        let names: Vec<_> = open
            .iter()
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        println!("open groups: {}", names.join(", "));
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
