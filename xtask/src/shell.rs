//! Runs programs and counts their results.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Outcome {
    pub(crate) fn of(is_ok: bool) -> Self {
        Self {
            passed: u64::from(is_ok),
            failed: u64::from(!is_ok),
        }
    }

    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

/// The tests that have failed, by the names that their runners print.
static FAILED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Lists the failed tests again, because thousands of lines follow after each was reported.
pub(crate) fn say_what_failed() {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        println!("== failed\n{}", failed.join("\n"));
    }
}

/// Whether a line names a test that has failed: cargo's, TAP's, pytest's, or that of our own programs.
fn names_failure(line: &str) -> bool {
    let line = line.trim_start();
    (line.starts_with("test ") && line.ends_with(" ... FAILED"))
        || ["not ok ", "FAILED ", "ERROR ", "FAIL "]
            .iter()
            .any(|mark| line.starts_with(mark))
}

fn remember_failure(line: &str) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    failed.push(line.to_owned());
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest_dir
        .parent()
        .map_or(manifest_dir.clone(), PathBuf::from)
}

/// Where cargo builds, with an absolute name: programs are also run from elsewhere.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(named.unwrap_or_else(|| "target".into()))
}

/// Prints the current step; the guard prints its duration if it was long.
fn announced(name: &str) -> Timed<'_> {
    println!("== {name}");
    Timed(name, Instant::now())
}

struct Timed<'a>(&'a str, Instant);

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let Self(name, start) = self;
        let seconds = start.elapsed().as_secs();
        if seconds >= 10 {
            println!("-- {name}: {seconds} s");
        }
    }
}

/// Cargo, as it was called, in the workspace's root. Programs are selected by their own name, not with
/// their package: that one alone would get its dependencies with fewer features than the tests have
/// them with, and so a second time.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a program whose success is one check.
pub(crate) fn step(name: &str, command: &mut Command) -> Outcome {
    let _timed = announced(name);
    match command.status() {
        Ok(status) if status.success() => Outcome::of(true),
        Ok(status) => failure(&format!("{name}: {status}")),
        Err(error) => failure(&not_started(name, command, &error)),
    }
}

fn not_started(name: &str, command: &Command, error: &io::Error) -> String {
    format!("{name}: {}: {error}", command.get_program().display())
}

/// One failure, which is reported now and at the end.
fn failure(text: &str) -> Outcome {
    println!("{text}");
    remember_failure(text);
    Outcome::of(false)
}

/// The output of a program, if it succeeds.
pub(crate) fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program that prints its counts, and adds them up. `count` reads them from a line. A
/// program that fails without counting a failure counts as one.
pub(crate) fn counted(
    name: &str,
    command: &mut Command,
    count: impl FnMut(&str) -> Option<Outcome>,
) -> Outcome {
    let _timed = announced(name);
    command.stdout(Stdio::piped());
    let started = command.spawn().and_then(|mut child| {
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((child, output))
    });
    match started {
        Ok((child, output)) => listen(name, child, output, count),
        Err(error) => failure(&not_started(name, command, &error)),
    }
}

/// Runs a program whose two outputs must be read together.
pub(crate) fn counted_both(
    name: &str,
    command: &mut Command,
    count: impl FnMut(&str) -> Option<Outcome>,
) -> Outcome {
    let _timed = announced(name);
    let started = io::pipe().and_then(|(output, input)| {
        let child = command.stdout(input.try_clone()?).stderr(input).spawn()?;
        Ok((child, output))
    });
    // The command keeps its ends of the pipe open, so reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    match started {
        Ok((child, output)) => listen(name, child, output, count),
        Err(error) => failure(&not_started(name, command, &error)),
    }
}

fn listen(
    name: &str,
    mut child: Child,
    output: impl Read,
    mut count: impl FnMut(&str) -> Option<Outcome>,
) -> Outcome {
    let mut sum = Outcome::default();
    // The output of a test need not be UTF-8.
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        if let Some(outcome) = count(line) {
            sum = sum.and(outcome);
        }
        if names_failure(line) {
            remember_failure(line);
        }
        println!("{line}");
    }
    let is_ok = child.wait().is_ok_and(|status| status.success());
    if (!is_ok && sum.failed == 0) || (is_ok && sum.passed == 0) {
        sum = sum.and(failure(&format!(
            "{name}: ended without success, or ran nothing"
        )));
    }
    sum
}

/// Reads cargo's `test result: ok. 3 passed; 0 failed; ...`.
pub(crate) fn cargo_count(line: &str) -> Option<Outcome> {
    let counts = line.strip_prefix("test result: ")?;
    let number = |unit: &str| {
        let before = counts.split(unit).next()?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    Some(Outcome {
        passed: number(" passed")?,
        failed: number(" failed")?,
    })
}

/// Reads `N passed, N failed`.
pub(crate) fn plain_count(line: &str) -> Option<Outcome> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some(Outcome {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_failed_tests_are_recognized() {
        for line in [
            "test flow::a_flow_is_used_once ... FAILED",
            "    not ok 3 - a token",
            "FAILED test_login.py::test_port - AssertionError",
        ] {
            assert!(names_failure(line), "{line}");
        }
        for line in [
            "test a ... ok",
            "ok 3 - a token",
            "1 failed, 2 passed in 3s",
            "the test FAILED ",
        ] {
            assert!(!names_failure(line), "{line}");
        }
    }

    #[test]
    fn test_counts_are_parsed() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        let outcome = cargo_count(line).expect("a count");
        assert_eq!((outcome.passed, outcome.failed), (12, 3));
        let outcome = plain_count("301 passed, 0 failed").expect("a count");
        assert_eq!((outcome.passed, outcome.failed), (301, 0));
        assert!(plain_count("nothing passed").is_none());
    }
}
