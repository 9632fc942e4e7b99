//! The packages as their users get them: from a registry, into bundlers, into a page.

use std::path::PathBuf;
use std::process::Command;

use crate::node::{node_count, reporters};
use crate::setup;
use crate::shell::{Outcome, cargo, counted, root, step, target};

/// Where the tests are, and the tools they bring.
pub(crate) fn place() -> PathBuf {
    root().join("tests/packages")
}

/// The registry and the bundlers.
pub(crate) fn tools() -> Outcome {
    setup::npm_ci(&place())
}

/// The package for Node.js, which is built.
pub(crate) fn node() -> Outcome {
    tests("node", "twins")
}

/// The package for browsers, which is built.
pub(crate) fn web() -> Outcome {
    tests("web", "browser_twins")
}

fn tests(name: &str, servers: &str) -> Outcome {
    let mut build = cargo();
    build.args([
        "build",
        "--quiet",
        "-p",
        "oauth-testkit",
        "--example",
        servers,
    ]);
    let ready = tools().and(step(servers, &mut build));
    let mut node = Command::new("node");
    node.args(["--test", "--test-timeout=300000"]);
    node.args(reporters(&format!("packages-{name}")));
    node.arg(format!("{name}.test.mjs")).current_dir(place());
    node.env("CARGO_TARGET_DIR", target());
    node.env("CARGO", cargo().get_program());
    let title = format!("node --test (packages, {name})");
    ready.and(counted(&title, &mut node, node_count))
}
