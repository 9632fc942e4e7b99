//! Installs dependencies of the suites on a fresh machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python;
use crate::shell::{Outcome, cargo, root, stdout_of, step};

/// The minimum Node.js version of the interoperability server.
const MIN_NODE_VERSION: u32 = 20;

/// The programs of the servers that stores and sites are tested with, and Debian's packages of them.
const SERVERS: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("initdb", "postgresql"),
    ("pgbouncer", "pgbouncer"),
    ("dbus-daemon", "dbus-daemon"),
    ("gnome-keyring-daemon", "gnome-keyring"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
];

/// Installs missing dependencies, or reports how to.
pub(crate) fn run() -> Outcome {
    node().and(counterparts()).and(servers())
}

/// Node.js, in a version that is new enough.
pub(crate) fn node() -> Outcome {
    if let Some(version) = node_version() {
        if version >= MIN_NODE_VERSION {
            return Outcome::of(true);
        }
        println!(
            "node {version} is too old: the interoperability tests need Node.js {MIN_NODE_VERSION} or newer"
        );
        return Outcome::of(false);
    }
    apt(&["nodejs", "npm"]);
    let is_new_enough = node_version().is_some_and(|version| version >= MIN_NODE_VERSION);
    if !is_new_enough {
        println!(
            "Node.js {MIN_NODE_VERSION} or newer and npm are needed: install them from https://nodejs.org/"
        );
    }
    Outcome::of(is_new_enough)
}

/// Installs Debian packages, as root; success is checked by their presence afterwards.
pub(crate) fn apt(packages: &[&str]) {
    if stdout_of(Command::new("id").arg("-u")).as_deref() != Some("0") {
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
    let version = stdout_of(Command::new("node").arg("--version"))?;
    version
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The third-party servers.
fn counterparts() -> Outcome {
    let dir = root().join("tests/interop");
    let django = dir.join("django-oauth-toolkit");
    let requirements = django.join("requirements.txt");
    npm_ci(&dir.join("oidc-provider"))
        .and(python::environment(&django.join(".venv"), &requirements))
        .and(mcp())
        .and(web())
}

/// The SDKs of the MCP servers, for Node.js and Python.
fn mcp() -> Outcome {
    let dir = root().join("tests/mcp");
    let python = dir.join("python");
    let requirements = python.join("requirements.txt");
    npm_ci(&dir.join("typescript")).and(python::environment(&python.join(".venv"), &requirements))
}

/// The web frameworks whose sign-in is tested.
fn web() -> Outcome {
    let dir = root().join("tests/web");
    let frameworks = [
        "node",
        "next",
        "sveltekit",
        "react-router",
        "edge",
        "frameworks",
    ]
    .into_iter();
    let installed = frameworks.map(|name| npm_ci(&dir.join(name)));
    installed.fold(Outcome::of(true), Outcome::and)
}

/// The tools for sign-in tests on runtimes other than Node.js.
pub(crate) fn edge() -> Outcome {
    node().and(npm_ci(&root().join("tests/web/edge")))
}

/// Builds the MCP server that is made with the SDK for Rust, for tests in other languages, which would otherwise wait
/// for the compiler where they wait for the server.
pub(crate) fn mcp_server() -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet"]);
    step("mcp-server", build.args(["--bin", "mcp-server"]))
}

/// The servers that stores and sites are tested with. The tests start and stop their own; the instance that
/// Debian starts at installation is not used.
fn servers() -> Outcome {
    let missing = || -> Vec<&str> {
        let lacks = |(program, _): &&(&str, &str)| !is_installed(program);
        let missing = SERVERS.iter().filter(lacks);
        missing.map(|(_, package)| *package).collect()
    };
    if !missing().is_empty() {
        apt(&missing());
    }
    let missing = missing();
    if !missing.is_empty() {
        println!(
            "stores and sites are tested with real servers; on Debian, as root: apt-get install {}",
            missing.join(" ")
        );
    }
    Outcome::of(missing.is_empty())
}

/// Whether there is such a program: in the path, or where Debian puts PostgreSQL's and PgBouncer.
fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().flatten();
    env::split_paths(&path)
        .chain(versions.map(|version| version.path().join("bin")))
        .chain([PathBuf::from("/usr/sbin")])
        .any(|folder| folder.join(program).exists())
}

/// Installs the packages of a folder's lock file, unless they are installed already.
pub(crate) fn npm_ci(dir: &Path) -> Outcome {
    let age = |name: &str| {
        dir.join(name)
            .metadata()
            .and_then(|data| data.modified())
            .ok()
    };
    let stamp = age("node_modules/.package-lock.json");
    if stamp.is_some_and(|installed| age("package-lock.json") <= Some(installed)) {
        return Outcome::of(true);
    }
    let name = format!("npm ci ({})", dir.file_name().unwrap_or_default().display());
    let install = || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]);
        step(&name, npm.current_dir(dir))
    };
    // npm omits an optional package if the registry failed once, and its dependents fail later.
    match install() {
        first if first.failed > 0 => install(),
        first => first,
    }
}
