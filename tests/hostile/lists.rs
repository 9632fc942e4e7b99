//! Checks that the lists are complete: every attack has a test named after it, and every module of OpenID's plans has a
//! test that reproduces it, or a reason why not.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The modules of OpenID's plans, by their names in its conformance suite.
const PLANS: &str = include_str!("plans.txt");

fn planned() -> impl Iterator<Item = &'static str> {
    let names = PLANS.lines();
    names.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Fails for a row of the printed table whose name looks like a module but is not one.
pub(crate) fn check_row(module: &str) {
    let is_conformance_module = ["oidcc-", "fapi", "rp-", "session-"]
        .iter()
        .any(|prefix| module.starts_with(prefix));
    let is_planned = || planned().any(|name| name == module);
    assert!(
        !is_conformance_module || is_planned(),
        "{module} is in no plan"
    );
}

/// The lines of a list: the first word, and the rest.
fn rows(list: &str) -> Vec<(&str, &str)> {
    let lines = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            line.split_once(' ')
                .unwrap_or_else(|| panic!("no test: {line}"))
        })
        .collect()
}

/// Whether a file, in any language, has a test with this name.
fn has_test(file: &str, name: &str) -> bool {
    let source = read(file);
    match file.rsplit_once('.') {
        Some((_, "rs")) => source.contains(&format!("fn {name}(")),
        Some((_, "py")) => source.contains(&format!("def {name}(")),
        _ => source.contains(&format!("'{name}'")),
    }
}

/// Whether there is a mutant with this name.
fn is_mutant(name: &str) -> bool {
    let mutants = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
    mutants.join(format!("{name}.patch")).exists()
}

/// Whether a file has a test whose name begins with this id.
fn is_named_by(file: &str, id: &str) -> bool {
    let source = read(file);
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let name = line.strip_prefix("async ").unwrap_or(line);
        let has_id = name.starts_with(&format!("fn {}_", id.to_lowercase()));
        let before = lines.get(at.saturating_sub(3)..at).unwrap_or_default();
        has_id
            && before
                .iter()
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_attack_has_a_test_named_after_it() {
    let list = read("tests/attacks.txt");
    let mut ids = BTreeSet::new();
    for (id, tests) in rows(&list) {
        assert!(ids.insert(id), "{id} stands twice");
        let mut tests = tests.split("; ");
        let listed_tests = tests.next().unwrap_or_default();
        // Attacks that only concern pages have no test in Rust.
        let is_named = match listed_tests.split_once("::") {
            Some((file, name)) => has_test(file, name),
            None => is_named_by(listed_tests, id),
        };
        assert!(
            is_named,
            "{listed_tests} has no test named {}_...",
            id.to_lowercase()
        );
        for other in tests {
            let (file, name) = other
                .split_once("::")
                .unwrap_or_else(|| panic!("{id}: {other}"));
            assert!(has_test(file, name), "{id}: {file} has no {name}");
        }
    }
    for (letter, count) in [("A", 14), ("B", 20), ("C", 13), ("D", 6)] {
        for number in 1..=count {
            let id = format!("{letter}{number}");
            assert!(ids.contains(id.as_str()), "{id} is not in the list");
        }
    }
    assert!(ids.contains("N7"), "N7 is not in the list");
}

#[test]
fn every_conformance_module_is_reproduced_or_excluded_with_a_reason() {
    let list = read("tests/hostile/modules.txt");
    let mut modules = BTreeSet::new();
    for (module, what) in rows(&list) {
        let name = match module.strip_prefix('-') {
            Some(rest) => format!("oidcc-client-test-{rest}"),
            None => module.to_owned(),
        };
        assert!(modules.insert(name), "{module} stands twice");
        if what
            .strip_prefix("no: ")
            .is_some_and(|reason| reason.len() > 20)
        {
            continue;
        }
        let (test, mutant) = what
            .split_once("; ")
            .unwrap_or_else(|| panic!("{module} has no mutant"));
        let (file, name) = test
            .split_once("::")
            .unwrap_or_else(|| panic!("{module}: {what}"));
        assert!(has_test(file, name), "{module}: {file} has no {name}");
        assert!(is_mutant(mutant), "{module}: no mutant {mutant}");
    }
    let mut planned_modules = BTreeSet::new();
    for name in planned() {
        assert!(planned_modules.insert(name.to_owned()), "{name} twice");
    }
    let forgotten: Vec<_> = planned_modules.difference(&modules).collect();
    assert!(forgotten.is_empty(), "no row: {forgotten:?}");
    let unplanned: Vec<_> = modules.difference(&planned_modules).collect();
    assert!(unplanned.is_empty(), "in no plan: {unplanned:?}");
    assert_eq!(modules.len(), 147);
}
