//! Benchmarks: costs in each language, compared with other libraries, measured alternately in one run; and those of many
//! grants.
//!
//! The scripts in `tests/bench` print one line of JSON for each figure; this builds what they
//! measure, installs the peers in pinned versions, and shows the figures. A missed budget is not a
//! failure, since a figure depends on the machine; a failing side is one, and so are sides that
//! do not send the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::shell::{Outcome, cargo, root, stdout_of, step, target};
use crate::{node, python, setup, wasm};

/// The side that a budget is for.
const OAUTH_CORE: &str = "oauth-core";

/// Python, Node.js and the browser. The figures also go into a file, if one is named.
pub(crate) fn bindings(file: Option<&Path>) -> Outcome {
    let built = setup::npm_ci(&bench_dir())
        .and(python::installed())
        .and(node::built())
        .and(wasm::browser())
        .and(setup::npm_ci(&root().join("bindings/wasm")))
        .and(wasm::built())
        .and(twins())
        .and(peers());
    if built.failed > 0 {
        return built;
    }
    let mut python = Vec::new();
    for script in [
        "imports.py",
        "url.py",
        "attach.py",
        "bound.py",
        "tokens.py",
        "grants.py",
    ] {
        let mut command = Command::new(environment().join("bin/python"));
        command
            .arg("-B")
            .arg(bench_dir().join("python").join(script));
        command.env("OAUTH_TWINS", target().join("release/examples/twins"));
        python.push((script, command));
    }
    let node = |script: &'static str, arguments: &[PathBuf]| {
        let mut command = Command::new("node");
        command.arg(bench_dir().join(script)).args(arguments);
        (script, command)
    };
    let node = [
        node("node/stub.mjs", &[]),
        node("node/tokens.mjs", &[]),
        node("node/bound.mjs", &[]),
        node("node/grants.mjs", &[]),
        node("browser/proof.mjs", &[]),
        node("browser/bytes.mjs", &[wasm::module()]),
        node("sizes.mjs", &[python::dist()]),
    ];
    let mut figures = Vec::new();
    let mut measured = built;
    for (script, mut command) in python.into_iter().chain(node) {
        measured = measured.and(measure(script, &mut command, &mut figures));
    }
    finish(measured, &figures, file)
}

/// The Rust crates. The peers are in a workspace of their own, which shares the target folder.
pub(crate) fn rust(file: Option<&Path>) -> Outcome {
    let mut run = cargo();
    run.current_dir(bench_dir().join("rust"));
    run.args(["run", "--quiet", "--release", "--locked", "--target-dir"]);
    run.arg(target());
    let mut figures = Vec::new();
    let measured = measure("rust", &mut run, &mut figures);
    finish(measured, &figures, file)
}

/// A page for signed-in users, in three languages, compared with other libraries; and the sizes that a page and a Worker load.
/// The Rust side is a workspace of its own.
pub(crate) fn web(file: Option<&Path>) -> Outcome {
    let scripts = bench_dir().join("web");
    let venv = target().join("bench/web-venv");
    let built = setup::npm_ci(&scripts)
        .and(setup::npm_ci(&bench_dir()))
        .and(python::installed())
        .and(node::built())
        .and(python::environment(
            &venv,
            &scripts.join("requirements.txt"),
        ))
        .and(python::install(&venv));
    if built.failed > 0 {
        return built;
    }
    let mut rust = cargo();
    rust.current_dir(scripts.join("rust"));
    rust.args(["run", "--quiet", "--release", "--locked", "--target-dir"]);
    rust.arg(target().join("bench/web-rust"));
    let mut python = Command::new(venv.join("bin/python"));
    python.arg("-B").arg(scripts.join("pass.py"));
    let mut node = Command::new("node");
    node.arg(scripts.join("pass.mjs"));
    let package = root().join("bindings/node/package.json");
    node.env("OAUTH_PACKAGE", package);
    let mut sizes = Command::new("node");
    sizes.arg(scripts.join("sizes.mjs"));
    let mut figures = Vec::new();
    let mut measured = built;
    for (script, command) in [
        ("rust", &mut rust),
        ("pass.py", &mut python),
        ("pass.mjs", &mut node),
        ("sizes.mjs", &mut sizes),
    ] {
        measured = measured.and(measure(script, command, &mut figures));
    }
    finish(measured, &figures, file)
}

/// Shows the figures, and writes them into the file, if there is one.
fn finish(measured: Outcome, figures: &[Figure], file: Option<&Path>) -> Outcome {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\nMedians, the sides in turns, on {cores} cores.");
    show(figures);
    match file.map(|file| fs::write(file, as_json(figures).to_string())) {
        None | Some(Ok(())) => measured,
        Some(Err(reason)) => {
            println!("the figures could not be written: {reason}");
            measured.and(Outcome::of(false))
        }
    }
}

/// Many grants in one process, which measures itself.
pub(crate) fn grants(grant_count: usize, active: usize) -> Outcome {
    let mut run = cargo();
    run.args(["run", "--quiet", "--release", "-p", "oauth-tests"]);
    run.args(["--bin", "grants", "--"]);
    run.args(["--known", &grant_count.to_string()]);
    run.args(["--active", &active.to_string()]);
    let mut figures = Vec::new();
    let measured = measure("grants", &mut run, &mut figures);
    show(&figures);
    measured
}

fn bench_dir() -> PathBuf {
    root().join("tests/bench")
}

/// The environment of the Python peers and our wheel.
fn environment() -> PathBuf {
    target().join("bench/venv")
}

/// Installs the Python peers, and the wheel as it was built.
fn peers() -> Outcome {
    let requirements = bench_dir().join("python/requirements.txt");
    let installed = python::environment(&environment(), &requirements);
    if installed.failed > 0 {
        return installed;
    }
    installed.and(python::install(&environment()))
}

/// Builds the server for token requests, in release mode.
fn twins() -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "-p", "oauth-testkit"]);
    step("twins", build.args(["--example", "twins"]))
}

/// Runs a script and keeps the figures it prints.
fn measure(script: &str, command: &mut Command, figures: &mut Vec<Figure>) -> Outcome {
    println!("== {script}");
    let output = match command.stderr(Stdio::inherit()).output() {
        Ok(output) => output,
        Err(error) => {
            println!("{script}: {}: {error}", command.get_program().display());
            return Outcome::of(false);
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let before = figures.len();
    for line in text.lines() {
        match Figure::read(line) {
            Some(figure) => figures.push(figure),
            None => println!("{line}"),
        }
    }
    let is_ok = output.status.success() && figures.len() > before;
    if !is_ok {
        println!("{script}: {}", output.status);
    }
    Outcome::of(is_ok)
}

/// One quantity, with its value for each side.
struct Figure {
    metric: String,
    unit: String,
    /// In the order of the script.
    sides: Vec<(String, f64)>,
    /// The maximum for ours.
    budget: Option<f64>,
    /// A side, and its value on the machine that the budget was set on.
    pace: Option<(String, f64)>,
    row: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Met,
    /// The factor by which this machine is slower than the one on which the budget was set.
    MetAtPace,
    Missed,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::MetAtPace => "met at this machine's pace",
            Self::Missed => "missed",
        }
    }
}

impl Figure {
    fn read(line: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut sides = Vec::new();
        for side in row["sides"].as_array()? {
            sides.push((text(&side[0])?, side[1].as_f64()?));
        }
        Some(Self {
            metric: text(&row["what"])?,
            unit: text(&row["unit"])?,
            sides,
            budget: row["budget"].as_f64(),
            pace: text(&row["pace"][0]).zip(row["pace"][1].as_f64()),
            row,
        })
    }

    fn of(&self, side: &str) -> Option<f64> {
        let found = self.sides.iter().find(|(name, _)| name == side);
        found.map(|(_, value)| *value)
    }

    /// The budget scaled to this machine, if the side it was set against is slower here.
    fn budget_at_pace(&self) -> Option<f64> {
        let (side, pace_then) = self.pace.as_ref()?;
        Some(self.budget? * self.of(side)? / pace_then)
    }

    fn judge(&self) -> Option<Verdict> {
        let (budget, own_result) = (self.budget?, self.of(OAUTH_CORE)?);
        Some(if own_result <= budget {
            Verdict::Met
        } else if self
            .budget_at_pace()
            .is_some_and(|budget| own_result <= budget)
        {
            Verdict::MetAtPace
        } else {
            Verdict::Missed
        })
    }

    fn show(&self) {
        println!("\n{}\n  {}", self.metric, self.unit);
        for (side, value) in &self.sides {
            println!("  {side:<36}{:>12}", number(*value));
        }
        let (Some(budget), Some(verdict)) = (self.budget, self.judge()) else {
            return;
        };
        print!("  budget {}", number(budget));
        if let (Some(budget_here), Some((side, pace_then))) = (self.budget_at_pace(), &self.pace) {
            let budget_here = number(budget_here);
            print!(" ({budget_here} here, for it was set where {side} took {pace_then})");
        }
        println!(": {}", verdict.text());
    }
}

/// With a suitable number of digits.
fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let digits = format!("{value:.0}");
        let groups = digits.as_bytes().rchunks(3).rev();
        let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
        groups.join(",")
    } else if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn show(figures: &[Figure]) {
    let mut verdicts = BTreeMap::new();
    for figure in figures {
        figure.show();
        if let Some(verdict) = figure.judge() {
            *verdicts.entry(verdict).or_insert(0) += 1;
        }
    }
    let counts: Vec<_> = verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {}", verdict.text()))
        .collect();
    println!("\nBudgets: {}", counts.join(", "));
}

fn as_json(figures: &[Figure]) -> Value {
    let rows: Vec<_> = figures
        .iter()
        .map(|figure| {
            let mut row = figure.row.clone();
            row["verdict"] = figure.judge().map(Verdict::text).into();
            row
        })
        .collect();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "node": stdout_of(Command::new("node").arg("--version")),
        "python": stdout_of(Command::new(environment().join("bin/python")).arg("--version")),
        "figures": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(own_result: f64, floor: f64) -> Figure {
        let row = json!({
            "what": "a grant", "unit": "us", "sides": [["floor", floor], [OAUTH_CORE, own_result]],
            "budget": 15, "pace": ["floor", 10],
        });
        Figure::read(&row.to_string()).expect("a figure")
    }

    #[test]
    fn a_budget_is_scaled_by_the_pace_of_the_machine() {
        assert_eq!(figure(15.0, 10.0).judge(), Some(Verdict::Met));
        assert_eq!(figure(15.1, 10.0).judge(), Some(Verdict::Missed));
        assert_eq!(figure(22.0, 15.0).judge(), Some(Verdict::MetAtPace));
        assert_eq!(figure(23.0, 15.0).judge(), Some(Verdict::Missed));
        assert!(Figure::read("not a figure").is_none());
    }

    #[test]
    fn numbers_are_formatted_briefly() {
        let formatted = [1.25, 12.0, 123.4, 1234.4, 3_571_848.0].map(number);
        assert_eq!(formatted, ["1.2", "12", "123", "1,234", "3,571,848"]);
    }
}
