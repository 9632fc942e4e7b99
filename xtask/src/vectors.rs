//! Known answers and conversations: one judge, and a player for each language.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::parity::Record;
use crate::shell::{Outcome, cargo, counted, plain_count, root};
use crate::{node, python, setup, wasm};

/// The language whose implementation is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    Rust,
    Python,
    Node,
    Browser,
    All,
}

impl Lang {
    const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
            Self::Browser => "browser",
            Self::All => "all",
        }
    }

    /// Builds the package and installs it as a user would.
    fn install(self) -> Outcome {
        match self {
            Self::Rust => Outcome::default(),
            Self::Python => python::installed(),
            Self::Node => setup::node().and(node::installed()),
            Self::Browser => setup::node().and(wasm::installed()),
            Self::All => [Self::Python, Self::Node, Self::Browser]
                .into_iter()
                .fold(Outcome::default(), |sum, lang| sum.and(lang.install())),
        }
    }

    /// The program that plays in this language, and its arguments.
    fn player(self) -> Option<Vec<PathBuf>> {
        match self {
            Self::Python => Some(python::player()),
            Self::Node => Some(node::player()),
            Self::Browser => Some(wasm::player()),
            Self::Rust | Self::All => None,
        }
    }
}

/// The vectors of `dir`, after building the tested packages; without a folder, the groups
/// of our own that have a handler. The judge's last line is the count.
pub(crate) fn run(dir: Option<&Path>, lang: Lang) -> Outcome {
    let installed = lang.install();
    if installed.failed > 0 {
        println!("0 passed, {} failed", installed.failed);
        return installed;
    }
    judged(dir, lang)
}

/// Our own vectors, in a language whose package is installed.
pub(crate) fn run_own(lang: Lang) -> Outcome {
    let outcome = judged(None, lang);
    let record = Record::of_suite("vectors", outcome);
    outcome.and(record.save(&format!("vectors-{}", lang.name())))
}

fn judged(dir: Option<&Path>, lang: Lang) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--quiet", "--bin", "vectors"]);
    command.args(["--", "--lang", lang.name(), "--dir"]);
    match dir {
        // The command runs in the root, the folder is relative to the caller's.
        Some(dir) => command.arg(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())),
        None => {
            let vectors_dir = root().join("tests/vectors");
            let counts = vectors_dir.join("counts.txt");
            command
                .arg(vectors_dir)
                .arg("--done")
                .arg("--counts")
                .arg(counts)
        }
    };
    let players = [Lang::Python, Lang::Node, Lang::Browser].into_iter();
    for player in players.filter(|player| lang == *player || lang == Lang::All) {
        name_player(&mut command, player);
    }
    counted(
        &format!("vectors ({})", lang.name()),
        &mut command,
        plain_count,
    )
}

fn name_player(judge: &mut Command, lang: Lang) {
    if let Some(command) = lang.player() {
        let quoted_arguments: Vec<_> = command
            .iter()
            .map(|argument| format!("{:?}", argument.to_string_lossy()))
            .collect();
        judge.arg("--player");
        judge.arg(format!("{}=[{}]", lang.name(), quoted_arguments.join(",")));
    }
}
