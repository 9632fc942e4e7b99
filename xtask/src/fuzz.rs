//! The fuzz targets of `tests/fuzz`, one after another, with the nightly compiler.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::shell::{Outcome, root, stdout_of, step, target};

/// Runs each target whose name contains `only` for this many seconds. New inputs are kept among
/// the built files; the seeds in `tests/fuzz/corpus` stay as they are.
pub(crate) fn run(seconds: u64, filter: Option<&str>) -> Outcome {
    let ready = compiler().and(cargo_fuzz());
    let names = targets().into_iter();
    let selected: Vec<_> = names
        .filter(|name| filter.is_none_or(|only| name.contains(only)))
        .collect();
    if ready.failed > 0 || selected.is_empty() {
        return ready.and(Outcome::of(!selected.is_empty()));
    }
    let judged = selected.iter().map(|name| fuzz(name, seconds));
    judged.fold(ready, Outcome::and)
}

fn fuzz_dir() -> PathBuf {
    root().join("tests/fuzz")
}

fn targets() -> Vec<String> {
    let files = fs::read_dir(fuzz_dir().join("fuzz_targets"))
        .into_iter()
        .flatten();
    let mut names: Vec<_> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn fuzz(name: &str, seconds: u64) -> Outcome {
    let found = target().join("fuzz/corpus").join(name);
    if let Err(error) = fs::create_dir_all(&found) {
        println!("{}: {error}", found.display());
        return Outcome::of(false);
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "fuzz", "run", "--fuzz-dir"]);
    cargo.arg(fuzz_dir()).args(["--target-dir"]);
    cargo.arg(target().join("fuzz")).arg(name);
    // New inputs go into the first folder.
    cargo
        .arg(found)
        .arg(fuzz_dir().join("corpus").join(name))
        .arg("--");
    cargo.arg(format!("-max_total_time={seconds}"));
    cargo.args(["-max_len=16384", "-timeout=10", "-rss_limit_mb=2048"]);
    cargo.arg("-print_final_stats=1").current_dir(root());
    // Cargo sets these for this program, and they would select the wrong compiler for the other.
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
        cargo.env_remove(variable);
    }
    step(&format!("fuzz {name}, {seconds} s"), &mut cargo)
}

fn compiler() -> Outcome {
    let listed = stdout_of(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    if listed.contains("nightly") {
        return Outcome::default();
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    step("rustup (nightly)", &mut rustup)
}

fn cargo_fuzz() -> Outcome {
    if stdout_of(Command::new("cargo").args(["fuzz", "--version"])).is_some() {
        return Outcome::default();
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "cargo-fuzz", "--locked"]);
    step("cargo install cargo-fuzz", &mut cargo)
}
