//! The suites, one function each.

use std::path::Path;
use std::time::Instant;

use crate::shell::{Outcome, cargo, cargo_count, counted, plain_count, root, step};
use crate::{node, python, setup, tidy, wasm};

/// A suite by name.
type Named = (&'static str, fn() -> Outcome);

/// Everything, on a machine that may lack anything.
pub(crate) fn all() -> Outcome {
    let start = Instant::now();
    let suites: [Named; 8] = [
        ("lint", lint),
        ("rust", rust),
        ("vectors", own_vectors),
        ("fleet", some_fleets),
        ("demo", demo),
        ("node", node::suite),
        ("python", python::suite),
        ("browser", wasm::suite),
    ];
    let mut sum = setup::run();
    for (name, suite) in suites {
        let outcome = suite();
        println!(
            "-- {name}: {} passed, {} failed ({} s since the start)",
            outcome.passed,
            outcome.failed,
            start.elapsed().as_secs()
        );
        sum = sum.and(outcome);
    }
    sum
}

/// A suite after what it needs is there.
pub(crate) fn prepared(suite: fn() -> Outcome) -> Outcome {
    setup::run().and(suite())
}

/// Unit, integration and documentation tests; the servers the project did not write among them.
pub(crate) fn rust() -> Outcome {
    counted(
        "cargo test",
        cargo().args(["test", "--workspace", "--no-fail-fast"]),
        cargo_count,
    )
}

/// The vectors of `dir`; without one, the groups of our own that have a handler.
pub(crate) fn vectors(dir: Option<&Path>, lang: &str) -> Outcome {
    let own = root().join("tests/vectors");
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "-p",
        "oauth-tests",
        "--bin",
        "vectors",
        "--",
        "--lang",
        lang,
        "--dir",
    ]);
    match dir {
        // The command runs in the root, the folder was named from where the caller stands.
        Some(dir) => command.arg(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())),
        None => command.arg(own).arg("--done"),
    };
    counted("vectors", &mut command, plain_count)
}

fn own_vectors() -> Outcome {
    vectors(None, "rust")
}

/// Histories of fleets, `seeds` of them or the one of this seed.
pub(crate) fn fleet(seeds: u64, seed: Option<u64>) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "-p", "oauth-testkit"]);
    command.args(["--example", "fleet", "--"]);
    match seed {
        Some(seed) => command.arg(format!("--seed={seed}")),
        None => command.arg(format!("--seeds={seeds}")),
    };
    counted("fleet", &mut command, plain_count)
}

/// As many as fit into some twenty seconds of two cores.
fn some_fleets() -> Outcome {
    fleet(20_000, None)
}

/// Every documented flow of the four systems; its exit status is the verdict.
pub(crate) fn demo() -> Outcome {
    step(
        "demo",
        cargo().args(["run", "--quiet", "-p", "oauth-cli", "--", "demo"]),
    )
}

/// What needs no test to run.
pub(crate) fn lint() -> Outcome {
    let fmt = step("cargo fmt", cargo().args(["fmt", "--all", "--check"]));
    let clippy = step(
        "cargo clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    );
    let doc = step(
        "cargo doc",
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    fmt.and(clippy)
        .and(doc)
        .and(tidy::check())
        .and(tidy::msrv())
}
