//! The packages as users get them: from a registry, in bundlers, in a page.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::node::{node_count, reporters};
use crate::setup;
use crate::shell::{Outcome, cargo, counted, root, step, target};

/// The folder of the tests and their tools.
pub(crate) fn packages_dir() -> PathBuf {
    root().join("tests/packages")
}

/// The registry and the bundlers.
pub(crate) fn tools() -> Outcome {
    setup::npm_ci(&packages_dir())
}

/// The package for Node.js, which is built.
pub(crate) fn node() -> Outcome {
    version(None).and(tests("node", "twins"))
}

/// The package for browsers, which is built.
pub(crate) fn web() -> Outcome {
    tests("web", "browser_twins")
}

/// Checks that all packages of a release have one version: that of this program's workspace and, for a
/// release, of its tag.
pub(crate) fn version(tag: Option<&str>) -> Outcome {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap_or_default();
    let manifest = toml::from_str::<toml::Value>(&manifest).ok();
    let crates = manifest.as_ref().and_then(|manifest| {
        let package = manifest.get("workspace")?.get("package")?;
        package.get("version")?.as_str()
    });
    let described = |binding: &str| {
        let file = root().join("bindings").join(binding).join("package.json");
        let text = fs::read_to_string(file).ok()?;
        let package = serde_json::from_str::<Value>(&text).ok()?;
        Some(package["version"].as_str()?.to_owned())
    };
    let (node, web) = (described("node"), described("wasm"));
    let tag = tag.map(|tag| tag.strip_prefix('v').unwrap_or_default());
    let is_one_version = crates.is_some()
        && node.as_deref() == crates
        && web.as_deref() == crates
        && tag.is_none_or(|tag| crates == Some(tag));
    if !is_one_version {
        println!("versions differ: crates {crates:?}, npm {node:?} {web:?}, tag {tag:?}");
    }
    Outcome::of(is_one_version)
}

fn tests(name: &str, servers: &str) -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet", "--example", servers]);
    let ready = tools().and(step(servers, &mut build));
    let mut node = Command::new("node");
    node.args(["--test", "--test-timeout=300000"]);
    node.args(reporters(&format!("packages-{name}")));
    node.arg(format!("{name}.test.mjs"))
        .current_dir(packages_dir());
    node.env("CARGO_TARGET_DIR", target());
    node.env("CARGO", cargo().get_program());
    let title = format!("node --test (packages, {name})");
    ready.and(counted(&title, &mut node, node_count))
}
