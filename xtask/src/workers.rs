//! Workers that share a grant, at work against a server that ends it when a refresh token comes
//! twice; and their peers.

use std::path::PathBuf;

use crate::python;
use crate::shell::{Outcome, cargo, counted, plain_count, root, target};

/// How long each part runs in the gate, in seconds; by itself it runs for 30. Only a longer part sees
/// the end of a killed worker's lease, and asks for it.
const GATE_SECONDS: u64 = 8;

/// A short run of it, for the gate.
pub(crate) fn short() -> Outcome {
    run(GATE_SECONDS, None)
}

/// Runs each part for this many seconds; only those whose name contains `only`, if given.
pub(crate) fn run(seconds: u64, filter: Option<&str>) -> Outcome {
    let requirements = root().join("tests/workers/peers/requirements.txt");
    let peers = python::environment(&environment(), &requirements);
    if peers.failed > 0 {
        return peers;
    }
    let mut workers = cargo();
    workers.args(["run", "--quiet", "--bin", "workers"]);
    workers.args(["--", "--seconds", &seconds.to_string(), "--python"]);
    workers.arg(environment().join("bin/python"));
    if let Some(filter) = filter {
        workers.args(["--only", filter]);
    }
    peers.and(counted("workers", &mut workers, plain_count))
}

/// Where the Python peer is.
fn environment() -> PathBuf {
    target().join("workers/venv")
}
