//! Mutants: rules broken one at a time, each of which a test must detect.
//!
//! A file in `tests/mutants` is a patch. It begins with the rule that it breaks, and the tests
//! that cargo runs:
//!
//! ```text
//! Rule: a redirect stays within its origin
//! Test: -p oauth-core --lib flow::resource
//! --- a/crates/oauth-core/src/flow/resource.rs
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{Outcome, cargo, root, stdout_of, target};

/// A hanging test counts as detection, too.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Applies every patch whose name contains `only` to a copy of the tree, and runs its test there.
pub(crate) fn run(filter: Option<&str>) -> Outcome {
    println!("== mutants");
    let tree = target().join("mutants/tree");
    let patches = match copy(&tree).and_then(|()| patches(filter)) {
        Ok(patches) => patches,
        Err(error) => {
            println!("mutants: {error}");
            return Outcome::of(false);
        }
    };
    let judged = patches.iter().map(|path| judge(path, &tree));
    judged.fold(Outcome::default(), Outcome::and)
}

fn patches(filter: Option<&str>) -> io::Result<Vec<PathBuf>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(root().join("tests/mutants"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".patch") && filter.is_none_or(|filter| name.contains(filter)) {
            patches.push(path);
        }
    }
    patches.sort();
    Ok(patches)
}

/// The tracked files as they are now. Equal files are not written, so that cargo need not build them
/// again.
fn copy(tree: &Path) -> io::Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files"]).current_dir(root());
    let files = stdout_of(&mut list).ok_or_else(|| io::Error::other("git ls-files failed"))?;
    for file in files.lines() {
        let (from, to) = (root().join(file), tree.join(file));
        // Removed and not yet committed.
        let Ok(new) = fs::read(&from) else { continue };
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::create_dir_all(to.parent().unwrap_or(tree))?;
            fs::write(&to, new)?;
        }
    }
    Ok(())
}

fn judge(path: &Path, tree: &Path) -> Outcome {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let result = fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| verdict(path, &text, tree));
    match &result {
        Ok(()) => println!("noticed: {name}"),
        Err(reason) => println!("NOT NOTICED: {name}: {reason}"),
    }
    Outcome::of(result.is_ok())
}

fn verdict(path: &Path, text: &str, tree: &Path) -> Result<(), String> {
    let failure = |reason: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(reason).map(str::trim))
    };
    let rule = failure("Rule:").ok_or("it does not say which rule it breaks")?;
    let test = failure("Test:").ok_or("it does not say what to test")?;
    apply(path, tree, Direction::There)?;
    let tested = tests(test, tree);
    apply(path, tree, Direction::Back)?;
    match tested? {
        Tested::Red => Ok(()),
        Tested::Green => Err(format!(
            "{rule}: all of `cargo test {test}` passes without it"
        )),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

fn apply(path: &Path, tree: &Path, direction: Direction) -> Result<(), String> {
    let mut git = Command::new("git");
    git.arg("apply").current_dir(tree);
    // The copy is inside another work tree, which must not be used.
    git.env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree));
    if direction == Direction::Back {
        git.arg("--reverse");
    }
    match git.arg(path).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("the patch does not apply".to_owned()),
    }
}

enum Tested {
    Red,
    Green,
}

fn tests(arguments: &str, tree: &Path) -> Result<Tested, String> {
    let cargo = |more: &[&str]| {
        let mut cargo = cargo();
        cargo.current_dir(tree);
        cargo.args(["test", "--quiet"]);
        cargo.args(arguments.split_whitespace()).args(more);
        cargo.env("CARGO_TARGET_DIR", target().join("mutants/target"));
        cargo.stdout(Stdio::null()).stderr(Stdio::null());
        // The tests are cargo's children: they must be ended with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut cargo, 0);
        cargo
    };
    let built = cargo(&["--no-run"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("it does not compile".to_owned());
    }
    // The name of a moved module would run no test and pass.
    let mut list = cargo(&["--", "--list"]);
    let listed = stdout_of(list.stdout(Stdio::piped())).unwrap_or_default();
    if !listed.lines().any(|line| line.ends_with(": test")) {
        return Err(format!("`cargo test {arguments}` has no test"));
    }
    let mut child = cargo(&[]).spawn().map_err(|error| error.to_string())?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(Tested::Green),
            Ok(Some(_)) => return Ok(Tested::Red),
            Ok(None) if start.elapsed() > TEST_TIMEOUT => {
                end(&mut child);
                return Ok(Tested::Red);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Ends cargo and the tests that it runs.
fn end(cargo: &mut Child) {
    let group = format!("-{}", cargo.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    if !killed.is_ok_and(|status| status.success()) {
        let _ = cargo.kill();
    }
    let _ = cargo.wait();
}
