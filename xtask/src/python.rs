//! The Python package: built as a wheel, installed, tested and type-checked from outside its source.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parity::Record;
use crate::setup;
use crate::shell::{Outcome, cargo, counted, root, step, target};
use crate::vectors::{self, Lang};

/// Builds the wheel as it is published, and runs its tests against what users would install.
pub(crate) fn suite() -> Outcome {
    let built = installed().and(twins()).and(setup::mcp_server());
    if built.failed > 0 {
        return built;
    }
    let scratch_dir = std::env::temp_dir().join(format!("oauth-python-{}", std::process::id()));
    let outcome = match fs::create_dir_all(&scratch_dir) {
        Ok(()) => tests(&scratch_dir).and(types(&scratch_dir)),
        Err(reason) => report_io_error(&scratch_dir, &reason),
    };
    // It is in the system's temporary folder, and empty except for caches.
    let _ = fs::remove_dir_all(&scratch_dir);
    built.and(outcome).and(vectors::run_own(Lang::Python))
}

/// The wheel, in an environment of its own, beside the tools.
pub(crate) fn installed() -> Outcome {
    environment(&tools(), &package().join("tests/requirements.txt")).and(wheel())
}

/// The program that plays conversations with the installed package.
pub(crate) fn player() -> Vec<PathBuf> {
    let script = package().join("tests/vectors_player.py");
    vec![tools().join("bin/python"), "-B".into(), script]
}

fn package() -> PathBuf {
    root().join("bindings/python")
}

fn python_dir() -> PathBuf {
    target().join("python")
}

fn report_io_error(path: &Path, reason: &io::Error) -> Outcome {
    println!("{}: {reason}", path.display());
    Outcome::of(false)
}

/// The virtual environment of the tools.
fn tools() -> PathBuf {
    python_dir().join("venv")
}

/// The interpreter that has the package.
pub(crate) fn interpreter() -> PathBuf {
    tools().join("bin/python")
}

/// A virtual environment with packages, in the versions of the requirements file.
pub(crate) fn environment(folder: &Path, requirements: &Path) -> Outcome {
    let stamp = folder.join("requirements.txt");
    let text = |file: &Path| fs::read(file).ok();
    if text(&stamp).is_some_and(|installed| text(requirements) == Some(installed)) {
        return Outcome::of(true);
    }
    let make = || {
        let mut python = Command::new("python3");
        python.args(["-m", "venv", "--clear"]);
        python.arg(folder);
        step("python3 -m venv", &mut python)
    };
    let mut created = make();
    if created.failed > 0 {
        // Debian keeps the module in a package of its own.
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "python3", "python3-venv"]);
        created = step("install Python", &mut apt).and(make());
    }
    let mut pip = python(folder);
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
    let installed = created.and(step("pip install", pip.arg(requirements)));
    match fs::copy(requirements, &stamp) {
        _ if installed.failed > 0 => installed,
        Ok(_) => installed,
        Err(reason) => installed.and(report_io_error(&stamp, &reason)),
    }
}

/// The environment's interpreter, as if the environment were active.
fn python(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("bin/python"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&path).collect::<Vec<_>>();
    let first = std::iter::once(folder.join("bin"));
    if let Ok(path) = std::env::join_paths(first.chain(paths)) {
        command.env("PATH", path);
    }
    command.env("VIRTUAL_ENV", folder);
    command.env("CARGO_TARGET_DIR", target());
    command
}

/// Builds the wheel, and installs it.
fn wheel() -> Outcome {
    let dist = dist();
    if dist.exists()
        && let Err(reason) = fs::remove_dir_all(&dist)
    {
        return report_io_error(&dist, &reason);
    }
    let mut maturin = python(&tools());
    maturin.args(["-m", "maturin", "build", "--release", "--locked"]);
    maturin.arg("--out").arg(&dist).current_dir(package());
    let mut sdist = python(&tools());
    sdist.args(["-m", "maturin", "sdist", "--out"]);
    sdist.arg(&dist).current_dir(package());
    let built = step("maturin build", &mut maturin).and(step("maturin sdist", &mut sdist));
    if built.failed > 0 {
        return built;
    }
    for file in fs::read_dir(&dist).into_iter().flatten().flatten() {
        let bytes = file.metadata().map(|data| data.len()).unwrap_or_default();
        println!("{}: {bytes} bytes", file.file_name().to_string_lossy());
    }
    built.and(install(&tools()))
}

/// Installs the wheel that was built last.
pub(crate) fn install(folder: &Path) -> Outcome {
    let mut pip = python(folder);
    pip.args(["-m", "pip", "install", "--quiet", "--force-reinstall"]);
    pip.args(["--no-deps", "--no-index"]);
    let files = fs::read_dir(dist()).into_iter().flatten().flatten();
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "whl");
    pip.args(files.map(|file| file.path()).filter(is_wheel));
    step("pip install (the wheel)", &mut pip)
}

/// Where the wheel is, and nothing else.
pub(crate) fn dist() -> PathBuf {
    python_dir().join("dist")
}

/// The servers the tests talk to.
pub(crate) fn twins() -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet"]);
    step(
        "twins",
        build.args([
            "--example",
            "twins",
            "--example",
            "tls",
            "--example",
            "fapi_tls",
            "--example",
            "spiffe_tls",
            "--features",
            "oauth-testkit/tls",
        ]),
    )
}

fn tests(scratch_dir: &Path) -> Outcome {
    let folder = package().join("tests");
    let mut pytest = python(&tools());
    pytest.args([
        "-B",
        "-m",
        "pytest",
        "-q",
        "-rap",
        "-p",
        "no:cacheprovider",
        // Most of them wait: for a server, for a lease that ends.
        "-n",
        "3",
        "--dist",
        "loadfile",
        "-c",
    ]);
    pytest.arg(folder.join("pytest.ini")).arg(folder);
    pytest.env("OAUTH_TWINS", target().join("debug/examples/twins"));
    pytest.env("OAUTH_DIST", dist());
    let mut record = Record::begin("pytest");
    let outcome = counted("pytest", pytest.current_dir(scratch_dir), |line| {
        record.hear_pytest(line);
        pytest_count(line)
    });
    outcome.and(record.save("pytest"))
}

/// Type checks of the installed package, of its stub against the module, and of its use.
fn types(scratch_dir: &Path) -> Outcome {
    let tests = package().join("tests");
    let usage = tests.join("typing/usage.py");
    let mypy = |name: &str, arguments: &[&str], file: Option<&Path>, folder: &Path| {
        let mut mypy = python(&tools());
        mypy.args(["-m", "mypy", "--strict", "--cache-dir"]);
        mypy.arg(scratch_dir.join("mypy"))
            .args(arguments)
            .args(file);
        step(name, mypy.current_dir(folder))
    };
    let package_types = mypy("mypy (package)", &["-p", "oauth_core"], None, scratch_dir);
    let usage_types = mypy("mypy (usage)", &[], Some(&usage), scratch_dir);
    let test_types = mypy("mypy (tests)", &[], Some(Path::new(".")), &tests);
    let mut stubtest = python(&tools());
    stubtest.args(["-m", "mypy.stubtest", "oauth_core._native"]);
    let stub = step("stubtest", stubtest.current_dir(scratch_dir));
    let mut pyright = python(&tools());
    pyright.args(["-m", "pyright", "--pythonpath"]);
    pyright.arg(tools().join("bin/python")).arg("-p");
    pyright.arg(package().join("pyright.json"));
    let strict = step("pyright", pyright.current_dir(scratch_dir));
    [package_types, usage_types, test_types, stub, strict]
        .into_iter()
        .fold(Outcome::default(), Outcome::and)
}

/// Reads pytest's last line, `1 failed, 25 passed, 2 warnings in 21.13s`, and counts what was
/// skipped or broke before its test as failed.
fn pytest_count(line: &str) -> Option<Outcome> {
    let (counts, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    if !time.split(' ').next()?.ends_with('s') {
        return None;
    }
    let mut sum = Outcome::default();
    for count in counts.split(", ") {
        let (number, outcome_name) = count.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match outcome_name {
            "passed" => sum.passed += number,
            "failed" | "error" | "errors" | "skipped" | "xfailed" | "xpassed" => {
                sum.failed += number;
            }
            _ => {}
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pytest_counts_are_parsed() {
        let count = |line| pytest_count(line).map(|outcome| (outcome.passed, outcome.failed));
        assert_eq!(count("128 passed in 40.20s"), Some((128, 0)));
        assert_eq!(
            count("= 1 failed, 25 passed in 61.1s (0:01:01) ="),
            Some((25, 1))
        );
        assert_eq!(count("3 passed, 1 skipped, 1 error in 2s"), Some((3, 2)));
        assert_eq!(count("no tests ran in 0.01s"), None);
        assert_eq!(count("wrote 3 files in /tmp"), None);
        assert_eq!(count("........ [100%]"), None);
    }
}
