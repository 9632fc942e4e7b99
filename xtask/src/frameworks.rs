//! People sign in to hello world of every framework, in Chromium.

use std::process::Command;

use crate::shell::{Outcome, cargo, counted, plain_count, root, step, target};
use crate::{node, python, wasm};

/// Builds the packages, and checks the applications of these frameworks.
pub(crate) fn suite(only: Option<&str>) -> Outcome {
    let packages = node::installed().and(python::installed());
    if packages.failed > 0 {
        return packages;
    }
    packages.and(checked(only))
}

/// All of them, with the packages that other suites of the same run have built.
pub(crate) fn all() -> Outcome {
    checked(None)
}

fn checked(only: Option<&str>) -> Outcome {
    let ready = wasm::browser().and(python::twins()).and(programs());
    if ready.failed > 0 {
        return ready;
    }
    let mut run = Command::new("node");
    run.arg("run.mjs").args(only);
    run.current_dir(root().join("tests/web/frameworks"));
    run.env("CARGO_TARGET_DIR", target());
    run.env("OAUTH_PYTHON", python::interpreter());
    ready.and(counted("frameworks (Chromium)", &mut run, plain_count))
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
