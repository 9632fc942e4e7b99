//! Concurrent processes on one store, some of which are killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use oauth_session::store::SaveOutcome;

/// The version of the saved record.
pub(crate) fn version(saved: SaveOutcome) -> u64 {
    match saved {
        SaveOutcome::At(version) => version,
        SaveOutcome::Conflict => panic!("it was not saved"),
    }
}

/// A worker process on a store; see `tests/worker.rs`.
pub(crate) fn worker(store_argument: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oauth-session-worker"));
    command.arg(store_argument).args(arguments);
    command
}

/// Many processes increment a number, and some are killed meanwhile. Each number reported as stored was
/// stored once, by one process; and a killed process may have stored at most one more number that it did
/// not report.
pub(crate) fn increment_from_workers(worker: impl Fn(&[&str]) -> Command, key: &str) -> Counted {
    const WORKERS: usize = 4;
    const VICTIMS: usize = 3;
    const ROUNDS: usize = 40;
    let start = |times: usize| {
        let mut command = worker(&["count", key, &times.to_string()]);
        command.stdout(Stdio::piped()).spawn().expect("a worker")
    };
    let workers: Vec<_> = (0..WORKERS).map(|_| start(ROUNDS)).collect();
    let victims: Vec<_> = (0..VICTIMS).map(|_| start(1_000_000)).collect();
    let mut events = Vec::new();
    for (number, victim) in victims.into_iter().enumerate() {
        events.extend(killed_after(victim, 5 + 5 * number));
    }
    for worker in workers {
        let output = worker.wait_with_output().expect("a worker's end");
        assert!(output.status.success(), "a worker failed");
        let numbers = String::from_utf8(output.stdout).expect("numbers");
        assert_eq!(numbers.lines().count(), ROUNDS);
        events.extend(
            numbers
                .lines()
                .map(|line| line.parse::<u64>().expect("a number")),
        );
    }
    events.sort_unstable();
    let count = events.len();
    events.dedup();
    assert_eq!(events.len(), count, "a number was stored twice");
    Counted {
        at_least: count as u64,
        at_most: (count + VICTIMS) as u64,
    }
}

/// The possible values at the end.
pub(crate) struct Counted {
    at_least: u64,
    at_most: u64,
}

impl Counted {
    /// Checks the stored value.
    pub(crate) fn check(&self, text: &str) {
        let count: u64 = text.parse().expect("a number");
        assert!(count >= self.at_least && count <= self.at_most, "{count}");
    }
}

/// Kills the process once it has reported this many numbers; returns all reported numbers.
fn killed_after(mut victim: Child, count: usize) -> Vec<u64> {
    let output = victim.stdout.take().expect("what it says");
    let mut events = Vec::new();
    for line in BufReader::new(output).lines() {
        events.push(line.expect("a line").parse().expect("a number"));
        if events.len() == count {
            victim.kill().expect("to kill it");
        }
    }
    let status = victim.wait().expect("its end");
    assert!(
        !status.success() && events.len() >= count,
        "it was not killed"
    );
    events
}
