//! The results of a suite's run, in a file with a line for each test, `ok NAME` or
//! `not ok NAME`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::Column;
use crate::shell::{Outcome, target};

/// The record of a run.
fn results_path(run: &str) -> PathBuf {
    target().join("parity").join(format!("{run}.txt"))
}

/// Deletes the records of all runs.
pub(crate) fn forget() -> Outcome {
    let folder = target().join("parity");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            println!("{}: {error}", folder.display());
            Outcome::of(false)
        }
        _ => Outcome::default(),
    }
}

/// Creates the folder for the record of a new run, and deletes the last record.
pub(crate) fn begin(run: &str) -> PathBuf {
    let path = results_path(run);
    let created = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = created.and_then(|()| fs::write(&path, "")) {
        // Unrecorded results prove nothing: the table reports that at the end.
        println!("{}: {error}", path.display());
    }
    path
}

/// One run, recorded line by line.
#[derive(Default)]
pub(crate) struct Record {
    lines: String,
    /// The program whose tests are running, where names are unique within a program only.
    program: String,
}

impl Record {
    /// A started run; see [`begin`].
    pub(crate) fn begin(run: &str) -> Self {
        begin(run);
        Self::default()
    }

    /// A whole suite as one test.
    pub(crate) fn of_suite(name: &str, outcome: Outcome) -> Self {
        let mut record = Self::default();
        record.add(name, outcome.failed == 0 && outcome.passed > 0);
        record
    }

    fn add(&mut self, name: &str, is_ok: bool) {
        let verdict = if is_ok { "ok" } else { "not ok" };
        self.lines += &format!("{verdict} {name}\n");
    }

    /// Records a line of `cargo test`, both of its outputs in one: `program::path::of::the_test`.
    pub(crate) fn hear_cargo(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(remainder) = trimmed.strip_prefix("Running ") {
            // `tests/it/main.rs (target/debug/deps/it-0123456789abcdef)`
            let path = remainder
                .rsplit_once('(')
                .map_or(remainder, |(_, path)| path);
            let file = path.trim_end_matches(')').rsplit(['/', '\\']).next();
            let file = file.unwrap_or_default().trim_end_matches(".exe");
            self.program = file
                .rsplit_once('-')
                .map_or(file, |(name, _)| name)
                .to_owned();
        } else if let Some(remainder) = trimmed.strip_prefix("Doc-tests ") {
            self.program = remainder.to_owned();
        } else if let Some((name, verdict)) = line
            .strip_prefix("test ")
            .and_then(|remainder| remainder.rsplit_once(" ... "))
        {
            let name = format!("{}::{name}", self.program);
            self.add(&name, verdict == "ok");
        }
    }

    /// Records a line of `pytest -rap`: `test_file.py::test_name[parameters]`.
    pub(crate) fn hear_pytest(&mut self, line: &str) {
        let Some((verdict, name)) = line.split_once(' ') else {
            return;
        };
        let is_ok = match verdict {
            "PASSED" => true,
            "FAILED" | "ERROR" | "XFAIL" | "XPASS" => false,
            _ => return,
        };
        // The folder depends on where pytest was started; a failure is followed by its reason.
        let (path, test) = name.split_once("::").unwrap_or((name, ""));
        let file = path.rsplit('/').next().unwrap_or(path);
        let test = if is_ok {
            test
        } else {
            test.split(" - ").next().unwrap_or(test)
        };
        self.add(&format!("{file}::{test}"), is_ok);
    }

    /// Writes the record.
    pub(crate) fn save(&self, run: &str) -> Outcome {
        let path = begin(run);
        match fs::write(&path, &self.lines) {
            Ok(()) => Outcome::default(),
            Err(error) => {
                println!("{}: {error}", path.display());
                Outcome::of(false)
            }
        }
    }
}

/// Checks that a test passed in the last runs of this column. A name without parameters stands for all
/// of its cases.
pub(super) fn check_passed(column: &Column, name: &str) -> Result<(), String> {
    let read = |run: &&str| fs::read_to_string(results_path(run)).unwrap_or_default();
    let groups = column.groups.iter();
    let groups = groups.map(|runs| runs.iter().map(read).collect::<Vec<_>>());
    let mut verdicts = groups.map(|runs| judge(&runs, name));
    if verdicts.any(|is_ok| is_ok) {
        Ok(())
    } else {
        let runs: Vec<_> = column.groups.concat();
        Err(format!(
            "{name} did not run or did not pass in {}",
            runs.join(", ")
        ))
    }
}

/// Whether it passed in each of these runs, and failed in none.
fn judge(runs: &[String], name: &str) -> bool {
    let is_match = |test_name: &str| {
        let cases = test_name.strip_prefix(name);
        cases.is_some_and(|remainder| {
            remainder.is_empty() || (remainder.starts_with('[') && remainder.ends_with(']'))
        })
    };
    runs.iter().all(|run| {
        let outcomes = run.lines().filter_map(|line| {
            let (verdict, name) = line.split_once("ok ")?;
            is_match(name).then_some(verdict.is_empty())
        });
        outcomes.collect::<BTreeSet<_>>() == BTreeSet::from([true])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(parse: fn(&mut Record, &str), output: &str) -> String {
        let mut record = Record::default();
        output.lines().for_each(|line| parse(&mut record, line));
        record.lines
    }

    #[test]
    fn cargo_test_output_is_parsed() {
        let output = "   Running unittests src/lib.rs (target/debug/deps/oauth_core-0a1b)\n\
                    running 2 tests\ntest url::tests::a ... ok\ntest b ... FAILED\n\
                    test c ... ignored, slow\n\
                    test result: FAILED. 1 passed; 1 failed; 1 ignored\n\
                    \u{20}    Running tests/it/main.rs (/t/debug/deps/it-9f)\ntest a::b ... ok\n\
                    \u{20}  Doc-tests oauth_core\ntest src/lib.rs - f (line 7) ... ok\n";
        let expected = "ok oauth_core::url::tests::a\nnot ok oauth_core::b\nnot ok oauth_core::c\n\
                      ok it::a::b\nok oauth_core::src/lib.rs - f (line 7)\n";
        assert_eq!(parsed(Record::hear_cargo, output), expected);
    }

    #[test]
    fn pytest_output_is_parsed() {
        let output = "PASSED ../tests/test_a.py::test_b[x-y]\nFAILED test_a.py::test_c - assert 1 - 2\n\
                    ERROR test_a.py::test_d\nSKIPPED [1] test_a.py:7: no\n12 passed in 3s\n";
        let expected =
            "ok test_a.py::test_b[x-y]\nnot ok test_a.py::test_c\nnot ok test_a.py::test_d\n";
        assert_eq!(parsed(Record::hear_pytest, output), expected);
    }

    #[test]
    fn a_test_counts_as_passed_only_if_every_run_of_it_passed() {
        let judge = |runs: &[&str], name| {
            let runs: Vec<_> = runs.iter().map(|run| (*run).to_owned()).collect();
            judge(&runs, name)
        };
        let run = "ok a\nok b[1]\nok b[2]\nok c[1]\nnot ok c[2]\nok d\nnot ok d\n";
        assert!(judge(&[run], "a") && judge(&[run], "b") && judge(&[run], "b[1]"));
        assert!(!judge(&[run], "c") && !judge(&[run], "d") && !judge(&[run], "e"));
        assert!(judge(&[run], "c[1]"));
        assert!(judge(&[run, "ok a\n"], "a") && !judge(&[run, ""], "a"));
        assert!(!judge(&["ok abc\n"], "a") && !judge(&["ok a[1] and more\n"], "a"));
    }
}
