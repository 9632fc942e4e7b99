//! The suites, one function each.

use std::time::Instant;

use crate::parity::Record;
use crate::shell::{Outcome, cargo, cargo_count, counted, counted_both, plain_count, root, step};
use crate::vectors::{self, Lang};
use crate::{codegen, frameworks, node, parity, python, setup, tidy, wasm, workers};

/// Features of every store, for the documentation; the tests enable them by themselves.
const STORES: &str = "oauth-session/contract,oauth-session/keyring,oauth-session/postgres-tls,\
    oauth-session/redis-tls,oauth-session/seal";

/// A suite by name.
type Named = (&'static str, fn() -> Outcome);

/// Everything, including the setup of the machine.
pub(crate) fn all() -> Outcome {
    let start = Instant::now();
    let suites: [Named; 10] = [
        ("lint", lint),
        ("rust", rust),
        ("vectors", own_vectors),
        ("fleet", some_fleets),
        ("demo", demo),
        ("workers", workers::short),
        ("node", node::suite),
        ("python", python::suite),
        ("browser", wasm::suite),
        ("frameworks", frameworks::all),
    ];
    let mut sum = setup::run().and(parity::forget());
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
    sum.and(parity::run(true))
}

/// A suite after its dependencies are installed.
pub(crate) fn prepared(suite: fn() -> Outcome) -> Outcome {
    setup::run().and(suite())
}

/// Unit, integration and documentation tests; including those with third-party servers.
pub(crate) fn rust() -> Outcome {
    let mut cargo = cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", "--color", "never"]);
    // Most slow tests wait for a server or the end of a lease.
    cargo.env("RUST_TEST_THREADS", "4");
    let mut record = Record::begin("cargo");
    // The program that a test belongs to is defined in the tests, not here.
    let outcome = counted_both("cargo test", &mut cargo, |line| {
        record.hear_cargo(line);
        cargo_count(line)
    });
    outcome.and(record.save("cargo"))
}

/// MCP servers made with the SDKs, over plain HTTP. Part of [`rust`].
pub(crate) fn mcp() -> Outcome {
    let mut cargo = cargo();
    cargo.args([
        "test",
        "-p",
        "oauth-tests",
        "--test",
        "mcp",
        "--color",
        "never",
    ]);
    counted("cargo test --test mcp", &mut cargo, cargo_count)
}

fn own_vectors() -> Outcome {
    vectors::run_own(Lang::Rust)
}

/// The kind of hosts of a fleet.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Host {
    /// A model that runs in single steps.
    Model,
    /// The real sessions.
    Real,
    /// Web servers, and users with browsers.
    Web,
}

/// The selection of histories.
#[derive(clap::Args)]
pub(crate) struct Seeds {
    /// The number of seeds.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this seed, with a full transcript if it violates a rule.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
}

impl Seeds {
    const fn first(seeds: u64) -> Self {
        Self {
            seeds,
            from: 0,
            seed: None,
        }
    }
}

/// Histories of fleets.
pub(crate) fn fleet(host: Host, seed_range: &Seeds) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "-p", "oauth-testkit"]);
    command.args(["--example", "fleet", "--"]);
    command.arg(match host {
        Host::Model => "--host=model",
        Host::Real => "--host=real",
        Host::Web => "--host=web",
    });
    let Seeds { seeds, from, seed } = seed_range;
    match seed {
        Some(seed) => command.arg(format!("--seed={seed}")),
        None => command.args([format!("--seeds={seeds}"), format!("--from={from}")]),
    };
    counted("fleet", &mut command, plain_count)
}

/// As many as fit into some twenty seconds of two cores, of the model and of the real sessions; and every order of events of two workers as
/// far as they fit into half a minute.
fn some_fleets() -> Outcome {
    let model = fleet(Host::Model, &Seeds::first(20_000));
    model
        .and(fleet(Host::Real, &Seeds::first(1_000)))
        .and(fleet(Host::Web, &Seeds::first(1_000)))
        .and(search(None, None))
}

/// Every order of events of two workers, up to this many steps.
pub(crate) fn search(depth: Option<usize>, max_troubles: Option<u32>) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "-p", "oauth-testkit"]);
    command.args(["--example", "search", "--"]);
    command.args(depth.map(|depth| format!("--depth={depth}")));
    command.args(max_troubles.map(|troubles| format!("--troubles={troubles}")));
    counted("search", &mut command, plain_count)
}

/// The modules of OpenID's relying-party plans, as a table.
pub(crate) fn hostile() -> Outcome {
    let mut cargo = cargo();
    cargo.args(["test", "--quiet", "-p", "oauth-tests", "--test", "hostile"]);
    cargo.args(["--", "--nocapture", "--test-threads=1"]);
    step("hostile", &mut cargo)
}

/// Every documented flow of the four systems; its exit status is the verdict.
pub(crate) fn demo() -> Outcome {
    step(
        "demo",
        cargo().args(["run", "--quiet", "--bin", "oauth", "--", "demo"]),
    )
}

/// Each kind of store can be enabled alone.
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

/// The lock files of separate workspaces, which no ordinary build reads: benchmarks and fuzzing build with `--locked`.
fn lock_files() -> Outcome {
    let apart = ["tests/bench/rust", "tests/bench/web/rust", "tests/fuzz"];
    apart.into_iter().fold(Outcome::default(), |checked, dir| {
        let mut update = cargo();
        update.args(["update", "--workspace", "--locked", "--quiet"]);
        update.current_dir(root().join(dir));
        checked.and(step(&format!("lock file ({dir})"), &mut update))
    })
}

/// The checks that run no tests.
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
    fmt.and(lock_files())
        .and(clippy)
        .and(stores())
        .and(doc)
        .and(tidy::check())
        .and(codegen::run(true))
        .and(tidy::msrv())
}
