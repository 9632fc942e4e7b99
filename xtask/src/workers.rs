//! Workers that share a grant, against a server that revokes it on reuse of a
//! refresh token; and their peers.

use std::path::PathBuf;

use crate::python;
use crate::shell::{Outcome, cargo, counted, plain_count, root, target};

/// The duration of each part in the full run, in seconds; alone it runs for 30. Only a longer part sees
/// the end of a killed worker's lease, and requires it.
const GATE_SECONDS: u64 = 8;

/// A short run, for the full test run.
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

/// The path of the Python peer.
fn environment() -> PathBuf {
    target().join("workers/venv")
}
