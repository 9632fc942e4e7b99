//! What the suites need and a fresh machine lacks.

use std::path::Path;
use std::process::Command;

use crate::shell::{Outcome, root, said, step};

/// The oldest Node.js the counterpart server runs on.
const NODE: u32 = 20;

/// Installs what is missing, or says how to.
pub(crate) fn run() -> Outcome {
    node().and(counterpart())
}

/// Node.js, in a version that is new enough.
pub(crate) fn node() -> Outcome {
    if let Some(version) = node_version() {
        if version >= NODE {
            return Outcome::of(true);
        }
        println!(
            "node {version} is too old: the interoperability tests need Node.js {NODE} or newer"
        );
        return Outcome::of(false);
    }
    apt(&["nodejs", "npm"]);
    let is_there = node_version().is_some_and(|version| version >= NODE);
    if !is_there {
        println!(
            "Node.js {NODE} or newer and npm are needed: install them from https://nodejs.org/"
        );
    }
    Outcome::of(is_there)
}

/// Installs Debian packages, as root; whether that worked is seen by what is there afterwards.
pub(crate) fn apt(packages: &[&str]) {
    if said(Command::new("id").arg("-u")).as_deref() != Some("0") {
        return;
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    step("apt-get update", &mut update);
    step(
        &format!("apt-get install {}", packages.join(" ")),
        &mut install,
    );
}

fn node_version() -> Option<u32> {
    let version = said(Command::new("node").arg("--version"))?;
    version
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
