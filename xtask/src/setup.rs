//! What the suites need and a fresh machine lacks.

use std::path::Path;
use std::process::Command;

use crate::shell::{Outcome, root, step};

/// The oldest Node.js the counterpart server runs on.
const NODE: u32 = 20;

/// Installs what is missing, or says how to.
pub(crate) fn run() -> Outcome {
    node().and(counterpart())
}

fn node() -> Outcome {
    if let Some(version) = node_version() {
        if version >= NODE {
            return Outcome::of(true);
        }
        println!(
            "node {version} is too old: the interoperability tests need Node.js {NODE} or newer"
        );
        return Outcome::of(false);
    }
    let installed = step(
        "install Node.js",
        Command::new("apt-get").args(["install", "-y", "nodejs", "npm"]),
    );
    match node_version() {
        Some(version) if version >= NODE => installed,
        _ => {
            println!(
                "Node.js {NODE} or newer and npm are needed: install them from https://nodejs.org/"
            );
            Outcome::of(false)
        }
    }
}

fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim()
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The authorization server that the project did not write.
fn counterpart() -> Outcome {
    npm_ci(&root().join("tests/interop/oidc-provider"))
}

/// What a folder's lock file names, unless it is there already.
pub(crate) fn npm_ci(place: &Path) -> Outcome {
    let age = |name: &str| {
        place
            .join(name)
            .metadata()
            .and_then(|data| data.modified())
            .ok()
    };
    let stamp = age("node_modules/.package-lock.json");
    if stamp.is_some_and(|installed| age("package-lock.json") <= Some(installed)) {
        return Outcome::of(true);
    }
    let name = format!(
        "npm ci ({})",
        place.file_name().unwrap_or_default().display()
    );
    let mut npm = Command::new("npm");
    step(
        &name,
        npm.args(["ci", "--no-audit", "--no-fund"])
            .current_dir(place),
    )
}
