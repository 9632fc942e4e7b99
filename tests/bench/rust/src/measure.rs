//! Nanoseconds, allocations and instructions of each side, measured alternately.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Operation, Side};

const ROUNDS: usize = 301;
const BATCH: usize = 200;

pub(crate) struct Costs {
    pub(crate) nanoseconds: f64,
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
}

/// One call, whose result is inspected and dropped.
pub(crate) fn call(run: &Operation, n: usize) {
    run(black_box(n), &mut |text, number| {
        black_box((text, number));
    });
}

/// The median of many batches, so that whatever else the machine does falls on all sides.
pub(crate) fn interleaved(sides: &[Side]) -> Vec<Costs> {
    let mut times = vec![Vec::with_capacity(ROUNDS); sides.len()];
    for round in 0..=ROUNDS {
        for (side, times) in sides.iter().zip(&mut times) {
            let start = on_cpu();
            (0..BATCH).for_each(|n| call(&side.run, n));
            let took = (on_cpu() - start).as_nanos() as f64 / BATCH as f64;
            // The first round warms up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    let costs = |(side, times): (&Side, Vec<f64>)| {
        let counted = allocation_counter::measure(|| call(&side.run, 5));
        Costs {
            nanoseconds: median(times),
            allocations: counted.count_total as f64,
            bytes: counted.bytes_total as f64,
        }
    };
    sides.iter().zip(times).map(costs).collect()
}

/// The CPU time of this thread: other work on the machine does not count.
pub(crate) fn on_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The instructions of another run of this program under callgrind, which are repeatable, unlike times.
pub(crate) struct Instructions(pub(crate) Vec<(&'static str, f64)>);

impl Instructions {
    /// `None` without valgrind.
    pub(crate) fn of(row: usize, sides: &[Side]) -> Option<Self> {
        let one = |side: &Side| {
            let (few, many) = (
                collected(row, side.name, 200)?,
                collected(row, side.name, 1200)?,
            );
            Some((side.name, (many - few) / 1000.0))
        };
        sides.iter().map(one).collect::<Option<_>>().map(Self)
    }
}

/// Includes startup, which cancels out in the difference of two runs.
fn collected(row: usize, side: &str, calls: usize) -> Option<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe().ok()?);
    valgrind.args(["--only", &row.to_string(), side, &calls.to_string()]);
    let output = valgrind.stdout(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    line?.1.trim().parse().ok()
}
