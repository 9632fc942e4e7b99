//! The suites, one function each.

use std::path::Path;
use std::time::Instant;

use crate::shell::{Outcome, cargo, cargo_count, counted, plain_count, root, step};
use crate::{node, python, setup, tidy, wasm};

/// Every store, for the documentation; the tests ask for them by themselves.
const STORES: &str = "oauth-session/contract,oauth-session/keyring,oauth-session/postgres-tls,\
    oauth-session/redis-tls,oauth-session/seal";

/// A suite by name.
type Named = (&'static str, fn() -> Outcome);

/// Everything, on a machine that may lack anything.
pub(crate) fn all() -> Outcome {
    let start = Instant::now();
    let suites: [Named; 7] = [
        ("lint", lint),
        ("rust", rust),
        ("vectors", own_vectors),
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

/// Every documented flow of the four systems; its exit status is the verdict.
pub(crate) fn demo() -> Outcome {
    step(
        "demo",
        cargo().args(["run", "--quiet", "-p", "oauth-cli", "--", "demo"]),
    )
}

/// Each kind of store can be had alone.
fn stores() -> Outcome {
    let features = [
        "", "contract", "file", "keyring", "postgres", "redis", "seal",
    ];
    let check = |feature: &&str| {
        let mut clippy = cargo();
        clippy.args(["clippy", "--quiet", "-p", "oauth-session"]);
        clippy.args(["--no-default-features", "--features", feature]);
        step(
            &format!("cargo clippy -p oauth-session ({feature})"),
            clippy.args(["--", "-D", "warnings"]),
        )
    };
    features
        .iter()
        .map(check)
        .fold(Outcome::default(), Outcome::and)
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
            .args(["--features", STORES])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    fmt.and(clippy)
        .and(stores())
        .and(doc)
        .and(tidy::check())
        .and(tidy::msrv())
}
