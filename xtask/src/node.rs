//! The Node.js package: built, packed, and tested in an empty project where it is installed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::parity;
use crate::python;
use crate::setup;
use crate::shell::{Outcome, cargo, counted, root, step, target};
use crate::vectors::{self, Lang};
use crate::wasm;

/// Builds the package as it is published, and runs its tests against what users would install.
pub(crate) fn suite() -> Outcome {
    let installed = installed().and(python::twins()).and(setup::mcp_server());
    if installed.failed > 0 {
        return installed;
    }
    ["node", "dom"]
        .iter()
        .map(|types| compile(&project(), types))
        .fold(installed, Outcome::and)
        .and(tests("node", |name| !name.contains(EDGE)))
        .and(edge_tests())
        .and(packages::node())
        .and(vectors::run_own(Lang::Node))
}

/// The sign-in checks in runtimes other than Node.js. Part of [`suite`].
pub(crate) fn edge() -> Outcome {
    let installed = installed().and(python::twins());
    if installed.failed > 0 {
        return installed;
    }
    installed.and(edge_tests())
}

/// The package, in an empty project.
pub(crate) fn installed() -> Outcome {
    let built = built();
    if built.failed > 0 {
        return built;
    }
    built.and(match pack(&project()) {
        Ok(outcome) => outcome,
        Err(reason) => {
            println!("{}: {reason}", project().display());
            Outcome::of(false)
        }
    })
}

/// The program that plays conversations with the installed package.
pub(crate) fn player() -> Vec<PathBuf> {
    vec!["node".into(), project().join("test/vectors-player.mjs")]
}

fn project() -> PathBuf {
    target().join("node-project")
}

/// Builds the package in place.
pub(crate) fn built() -> Outcome {
    setup::npm_ci(&package()).and(build())
}

fn package() -> PathBuf {
    root().join("bindings/node")
}

/// Builds the package without test tools.
pub(crate) fn build() -> Outcome {
    wasm::edge().and(addon()).and(sizes())
}

/// The part for Workers.
fn sizes() -> Outcome {
    let mut node = Command::new("node");
    node.arg("sizes.mjs").current_dir(package());
    step("sizes", &mut node)
}

fn addon() -> Outcome {
    let mut node = Command::new("node");
    node.arg("build.mjs").current_dir(package());
    node.env("CARGO_TARGET_DIR", target());
    node.env("CARGO", cargo().get_program());
    step("node build.mjs", &mut node)
}

/// Publishes the package and the one for this platform to a registry of this machine, and installs
/// the main one alone from there.
fn pack(project: &Path) -> io::Result<Outcome> {
    let mut node = Command::new("node");
    node.arg("install.mjs").arg(project);
    node.current_dir(packages::packages_dir());
    let installed = packages::tools().and(step("npm install oauth-core", &mut node));
    if installed.failed > 0 {
        return Ok(installed);
    }
    if deno_cache().exists() {
        fs::remove_dir_all(deno_cache())?;
    }
    copy(&package().join("test"), &project.join("test"))?;
    fs::copy(package().join("README.md"), project.join("README.md"))?;
    Ok(installed)
}

/// Tests in runtimes other than Node.js, where applications are modules.
const EDGE: &str = "web-edge";

fn edge_tests() -> Outcome {
    tests("node-edge", |name| name.contains(EDGE))
}

/// The cache of Deno, emptied with each installation: V8 recognizes a cached script by its length, and would run one of an
/// earlier build.
pub(crate) fn deno_cache() -> PathBuf {
    target().join("deno")
}

/// The tests in these files.
fn tests(run: &str, is_selected: impl Fn(&str) -> bool) -> Outcome {
    let project = project();
    let found = files(&project.join("test")).unwrap_or_default();
    let found = found.iter().filter(|file| {
        let name = file.to_string_lossy();
        name.contains(".test.") && is_selected(&name)
    });
    let mut node = Command::new("node");
    // Most of them wait: for a server, for a lease that ends.
    node.args(["--test", "--test-concurrency=3"])
        .args(reporters(run))
        .args(found)
        .current_dir(&project);
    node.env("OAUTH_CORE_ROOT", root());
    node.env("OAUTH_BUILT", target().join("debug"));
    node.env("DENO_DIR", deno_cache());
    node.env("CARGO_TARGET_DIR", target());
    node.env("CARGO", cargo().get_program());
    counted(&format!("node --test ({run})"), &mut node, node_count)
}

/// The types, with Node's own and with a browser's.
fn compile(project: &Path, types: &str) -> Outcome {
    let mut tsc = tool("tsc");
    tsc.arg("--project");
    tsc.arg(project.join(format!("test/types/tsconfig.{types}.json")));
    tsc.arg("--typeRoots");
    tsc.arg(package().join("node_modules/@types"));
    step(&format!("tsc ({types})"), &mut tsc)
}

/// A program that npm installed.
fn tool(name: &str) -> Command {
    let mut command = Command::new(package().join("node_modules/.bin").join(name));
    command.current_dir(package());
    command
}

/// TAP for readers and for the count, and the record of passed tests.
pub(crate) fn reporters(run: &str) -> [String; 4] {
    let results_file = parity::begin(run);
    let record = root().join("xtask/record.mjs");
    [
        "--test-reporter=tap".to_owned(),
        "--test-reporter-destination=stdout".to_owned(),
        format!("--test-reporter={}", record.display()),
        format!("--test-reporter-destination={}", results_file.display()),
    ]
}

/// Reads `# pass 3` and `# fail 1`, and counts what was cancelled or skipped as failed.
pub(crate) fn node_count(line: &str) -> Option<Outcome> {
    let (key, number) = line.strip_prefix("# ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    let (passed, failed) = match key {
        "pass" => (number, 0),
        "fail" | "cancelled" | "skipped" | "todo" => (0, number),
        _ => return None,
    };
    Some(Outcome { passed, failed })
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort_by(|a, b| OsStr::cmp(a.as_os_str(), b.as_os_str()));
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_test_counts_are_parsed() {
        let count = |line| node_count(line).map(|outcome| (outcome.passed, outcome.failed));
        assert_eq!(count("# pass 12"), Some((12, 0)));
        assert_eq!(count("# fail 1"), Some((0, 1)));
        assert_eq!(count("# skipped 2"), Some((0, 2)));
        assert_eq!(count("# tests 15"), None);
        assert_eq!(count("ok 1 - pass 3"), None);
    }
}
