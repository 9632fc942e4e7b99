//! Project chores: `cargo xtask test` runs everything, `cargo xtask ci JOB` one CI job.

mod bench;
mod codegen;
mod frameworks;
mod fuzz;
mod mutants;
mod node;
mod packages;
mod parity;
mod python;
mod setup;
mod shell;
mod suites;
mod tidy;
mod vectors;
mod wasm;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use shell::Outcome;

/// Project chores.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install missing dependencies, run every suite, and print the totals: `N passed, N failed`.
    Test {
        #[command(subcommand)]
        suite: Option<Suite>,
    },
    /// Build a package in place, as it is published.
    Build {
        /// The package.
        package: Package,
    },
    /// Check that all packages have one version, and that it is the tag's.
    Version {
        /// The tag of a release, such as `v1.2.3`.
        tag: Option<String>,
    },
    /// Run one job of the continuous integration.
    Ci {
        /// The job.
        job: Job,
    },
    /// Generate code from tables: error classes, codes and their documentation in every language.
    Codegen {
        /// Write nothing, and fail if a file is stale.
        #[arg(long)]
        check: bool,
    },
    /// Write the README's feature table of the languages, from the last results of the suites.
    Parity {
        /// Write nothing, and fail if the table is stale.
        #[arg(long)]
        check: bool,
    },
    /// Run benchmarks: `cargo xtask bench bindings` and `cargo xtask bench rust` against peers,
    /// `cargo xtask bench web` for sign-in, `cargo xtask bench grants` for many grants in one process.
    Bench {
        #[command(subcommand)]
        benchmark: Bench,
    },
    /// Fuzz the parsers of tokens and keys, with the nightly compiler; not part of the full run.
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only the targets whose name contains this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Check the import rules, the sources of time and randomness, and file sizes.
    Tidy,
    /// Install missing dependencies of the suites.
    Setup,
}

#[derive(Subcommand)]
enum Suite {
    /// Unit, integration and documentation tests of every crate.
    Rust,
    /// Known-answer vectors and conversations; builds the tested packages.
    Vectors {
        /// A folder of vector and conversation files; by default the project's own, of which only
        /// the groups with a handler are run.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The language whose implementation is tested.
        #[arg(long, value_enum, default_value = "rust")]
        lang: vectors::Lang,
    },
    /// The modules of OpenID's relying-party plans, against a faulty server: prints a
    /// table of modules with expected and actual results. Part of `rust`.
    Hostile,
    /// MCP servers made with the SDKs for Python, TypeScript and Rust, over plain HTTP. Part of `rust`.
    Mcp,
    /// The flows of all four documented systems, through the command line.
    Demo,
    /// Threads, tasks and processes that share a grant over each store, some killed at random or
    /// terminated, against a server that revokes a grant on refresh token reuse; and peers for
    /// comparison.
    Workers {
        /// The duration of each part.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Only the parts whose name contains this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// The Node.js package, as it is published.
    Node,
    /// Signing in to applications on workerd, Deno and Bun. Part of `node`.
    Edge,
    /// The Python package, as it is published.
    Python,
    /// The browser package, in Chromium.
    Browser,
    /// Hello world in every framework of Rust, Python and Node.js, started as by its users, tested with Chromium:
    /// prints the results by framework and check.
    Frameworks {
        /// Only the frameworks whose name contains this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Keycloak sign-ins to applications in three languages, with step-up and logout. Fetches Keycloak
    /// (177 MB, Java 17), and is not part of the full run.
    Keycloak {
        /// Only the frameworks whose name holds this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Simulated histories of fleets of workers that share a store, with faults.
    Fleet {
        /// The kind of hosts that run the keepers.
        #[arg(long, value_enum, default_value = "model")]
        host: suites::Host,
        #[command(flatten)]
        which: suites::Seeds,
    },
    /// Every order of events of two workers that share a store, up to a number of steps.
    Search {
        /// The number of steps; by default, as many as fit into half a minute.
        #[arg(long)]
        depth: Option<usize>,
        /// The maximum number of faults in a history.
        #[arg(long)]
        troubles: Option<u32>,
    },
    /// Apply each mutant in turn to a copy of the tree: a test must detect it. Takes
    /// minutes, and is not part of the full run.
    Mutants {
        /// Only the patches of tests/mutants whose name contains this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Formatting, lints, documentation, import rules.
    Lint,
}

#[derive(Subcommand)]
enum Bench {
    /// The packages for Python, Node.js and the browser. A missed budget is not a failure.
    Bindings {
        /// Also write the figures there, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The Rust crates, compared with a floor and peers in one process. A missed budget is not a failure, sides
    /// that do not send the same are one.
    Rust {
        /// Also write the figures there, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// A page for signed-in users: axum, Starlette and Express, compared with axum-login, Authlib, Auth.js and
    /// express-openid-connect. A missed budget is not a failure, a side that admits the wrong users is one.
    Web {
        /// Also write the figures there, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Many grants in one process over one PostgreSQL: memory, and the calls of the store and of
    /// the server. A wrong count is a failure, a missed budget is not.
    Grants {
        /// The number of grants in the store.
        #[arg(long, default_value_t = 1_000_000)]
        known: usize,
        /// The number of active grants.
        #[arg(long, default_value_t = 10_000)]
        active: usize,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Package {
    /// For Node.js: `bindings/node/npm`, the main package and the one for this platform.
    Node,
    /// The part of it for Workers and edge runtimes, which is the same for all platforms: `bindings/node/edge`.
    Edge,
    /// For Python: `target/python/dist`, the wheel and the source distribution.
    Python,
    /// For browsers: `bindings/wasm`.
    Web,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Job {
    Test,
    Lint,
    Tidy,
    Msrv,
    Bench,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test { suite: None } => suites::all(),
        Command::Test {
            suite: Some(Suite::Rust),
        } => suites::prepared(suites::rust),
        Command::Test {
            suite: Some(Suite::Vectors { dir, lang }),
        } => {
            // Its last line is the count.
            return match vectors::run(dir.as_deref(), lang).failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            };
        }
        Command::Test {
            suite: Some(Suite::Hostile),
        } => suites::hostile(),
        Command::Test {
            suite: Some(Suite::Mcp),
        } => suites::prepared(suites::mcp),
        Command::Test {
            suite: Some(Suite::Demo),
        } => suites::demo(),
        Command::Test {
            suite: Some(Suite::Workers { seconds, only }),
        } => setup::run().and(workers::run(seconds, only.as_deref())),
        Command::Test {
            suite: Some(Suite::Node),
        } => suites::prepared(node::suite),
        Command::Test {
            suite: Some(Suite::Edge),
        } => setup::edge().and(node::edge()),
        Command::Test {
            suite: Some(Suite::Python),
        } => suites::prepared(python::suite),
        Command::Test {
            suite: Some(Suite::Browser),
        } => suites::prepared(wasm::suite),
        Command::Test {
            suite: Some(Suite::Frameworks { only }),
        } => setup::run().and(frameworks::suite(only.as_deref())),
        Command::Test {
            suite: Some(Suite::Keycloak { only }),
        } => setup::run().and(frameworks::keycloak(only.as_deref())),
        Command::Test {
            suite: Some(Suite::Fleet { host, which }),
        } => suites::fleet(host, &which),
        Command::Test {
            suite: Some(Suite::Search { depth, troubles }),
        } => suites::search(depth, troubles),
        Command::Test {
            suite: Some(Suite::Mutants { only }),
        } => mutants::run(only.as_deref()),
        Command::Test {
            suite: Some(Suite::Lint),
        } => suites::lint(),
        Command::Build {
            package: Package::Node,
        } => node::build(),
        Command::Build {
            package: Package::Edge,
        } => wasm::edge(),
        Command::Build {
            package: Package::Python,
        } => python::installed(),
        Command::Build {
            package: Package::Web,
        } => wasm::built(),
        Command::Version { tag } => packages::version(tag.as_deref()),
        Command::Ci { job: Job::Test } => suites::all(),
        Command::Ci { job: Job::Lint } => suites::lint(),
        Command::Ci { job: Job::Tidy } | Command::Tidy => tidy::check(),
        Command::Ci { job: Job::Msrv } => tidy::msrv(),
        Command::Fuzz { seconds, only } => fuzz::run(seconds, only.as_deref()),
        Command::Ci { job: Job::Bench } => {
            let mut cached = shell::cargo();
            cached.args(["bench", "-p", "oauth-session", "--bench", "cached"]);
            bench::rust(None).and(shell::step("bench (oauth-session)", &mut cached))
        }
        Command::Codegen { check } => codegen::run(check),
        Command::Parity { check } => parity::run(check),
        Command::Bench {
            benchmark: Bench::Bindings { json },
        } => setup::run().and(bench::bindings(json.as_deref())),
        Command::Bench {
            benchmark: Bench::Rust { json },
        } => bench::rust(json.as_deref()),
        Command::Bench {
            benchmark: Bench::Web { json },
        } => bench::web(json.as_deref()),
        Command::Bench {
            benchmark: Bench::Grants { known, active },
        } => setup::run().and(bench::grants(known, active)),
        Command::Setup => setup::run(),
    };
    shell::say_what_failed();
    println!("{} passed, {} failed", outcome.passed, outcome.failed);
    if outcome.is_green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Outcome {
    /// At least one test ran, and none failed.
    fn is_green(self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}
