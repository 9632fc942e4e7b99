//! Users sign in to a hello world application of every framework, in Chromium.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{Outcome, cargo, counted, plain_count, root, stdout_of, step, target};
use crate::{node, python, setup, wasm};

/// Builds the packages, and checks the applications of these frameworks.
pub(crate) fn suite(filter: Option<&str>) -> Outcome {
    let packages = node::installed().and(python::installed());
    if packages.failed > 0 {
        return packages;
    }
    packages.and(checked(filter))
}

/// All frameworks, with the packages that other suites of the same run have built.
pub(crate) fn all() -> Outcome {
    checked(None)
}

/// The tested release: its file, and the expected checksum.
const KEYCLOAK: (&str, &str) = (
    "26.7.3",
    "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f",
);

/// The applications of three languages with Keycloak: its distribution is 177 MB, and needs Java 17.
pub(crate) fn keycloak(filter: Option<&str>) -> Outcome {
    let packages = node::installed().and(python::installed());
    let ready = packages
        .and(ready())
        .and(wasm::browser())
        .and(distribution());
    if ready.failed > 0 {
        return ready;
    }
    let mut run = browser("at-keycloak.mjs");
    run.args(filter).env("KEYCLOAK", frameworks_dir());
    ready.and(counted("Keycloak (Chromium)", &mut run, plain_count))
}

fn frameworks_dir() -> PathBuf {
    target().join(format!("keycloak-{}", KEYCLOAK.0))
}

fn distribution() -> Outcome {
    if stdout_of(Command::new("java").arg("-version")).is_none() {
        setup::apt(&["openjdk-17-jre-headless"]);
    }
    if frameworks_dir().join("bin/kc.sh").exists() {
        return Outcome::of(true);
    }
    let (version, sha256) = KEYCLOAK;
    let file = target().join("keycloak.zip");
    let url = format!(
        "https://repo.maven.apache.org/maven2/org/keycloak/keycloak-quarkus-dist/{version}/keycloak-quarkus-dist-{version}.zip"
    );
    let mut curl = Command::new("curl");
    curl.args(["-sSfL", "-o"]).arg(&file).arg(url);
    let mut sum = Command::new("sha256sum");
    let fetched = step("Keycloak", &mut curl);
    let found = stdout_of(sum.arg(&file)).unwrap_or_default();
    if fetched.failed > 0 || !found.starts_with(sha256) {
        println!("{}: not the file of the release", file.display());
        return Outcome::of(false);
    }
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&file).arg(target());
    step("Keycloak, unpacked", &mut unzip)
}

fn checked(filter: Option<&str>) -> Outcome {
    let ready = ready();
    if ready.failed > 0 {
        return ready;
    }
    let mut run = browser("run.mjs");
    run.args(filter);
    ready.and(counted("frameworks (Chromium)", &mut run, plain_count))
}

fn ready() -> Outcome {
    wasm::headless_browser()
        .and(wasm::browser())
        .and(python::twins())
        .and(programs())
}

fn browser(script: &str) -> Command {
    let mut run = Command::new("node");
    run.arg(script);
    run.current_dir(root().join("tests/web/frameworks"));
    run.env("CARGO_TARGET_DIR", target());
    run.env("OAUTH_PYTHON", python::interpreter());
    run.env("DENO_DIR", node::deno_cache());
    run
}

/// The applications in Rust.
fn programs() -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet"]);
    for name in ["hello_axum", "hello_hyper", "hello_actix"] {
        build.args(["--example", name]);
    }
    step("applications in Rust", &mut build)
}
