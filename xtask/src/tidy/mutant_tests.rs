//! Mutants whose tests do not exist: a filter that matches nothing runs no test, and detects nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::packages;
use crate::shell::root;

/// The mutants whose `Test:` line names a package, a target or a test that does not exist.
pub(super) fn missing() -> Vec<String> {
    let packages = packages(&["--no-deps"]);
    let (mut breaches, mut known) = (Vec::new(), HashMap::new());
    let entries = fs::read_dir(root().join("tests/mutants")).into_iter();
    for path in entries.flatten().flatten().map(|entry| entry.path()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("Test: ")) else {
            continue; // The readme.
        };
        let selection = Selection::read(line);
        let package = packages
            .iter()
            .find(|package| package["name"] == selection.package);
        if package.is_none_or(|package| selection.tests(package, &mut known).is_empty()) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            breaches.push(format!("{name}: `cargo test {line}` has no test"));
        }
    }
    breaches.sort();
    breaches
}

/// What the arguments of `cargo test` select.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection<'a> {
    package: &'a str,
    /// A test target; otherwise the library, or everything.
    target: Option<&'a str>,
    is_library: bool,
    filters: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    fn read(line: &'a str) -> Self {
        let mut selection = Self::default();
        let mut arguments = line.split_whitespace();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_default();
            match argument {
                "-p" => selection.package = value(),
                "--test" => selection.target = Some(value()),
                "--features" | "--bin" => drop(value()),
                "--lib" => selection.is_library = true,
                option if option.starts_with('-') => {}
                filter => selection.filters.push(filter),
            }
        }
        selection
    }

    /// The functions that it selects, by their paths. `known` has those of the targets that were read already.
    fn tests(&self, package: &Value, known: &mut HashMap<PathBuf, Vec<String>>) -> Vec<String> {
        let targets = package["targets"].as_array().into_iter().flatten();
        let targets = targets.filter(|target| match self.target {
            Some(name) => target["name"] == name && target["kind"][0] == "test",
            None => !self.is_library || target["kind"][0] != "test",
        });
        let roots = targets.filter_map(|target| target["src_path"].as_str().map(Path::new));
        let functions = roots.flat_map(|root| {
            let paths = known.entry(root.to_owned());
            let paths = paths.or_insert_with(|| paths_of(root));
            let filters = self.filters.iter();
            let generated = filters.flat_map(|filter| generated(filter, root, paths));
            let generated: Vec<_> = generated.collect();
            generated.into_iter().chain(paths.clone())
        });
        let is_selected = |path: &String| {
            self.filters.is_empty() || self.filters.iter().any(|filter| path.contains(filter))
        };
        functions.filter(is_selected).collect()
    }
}

/// The functions of a target, by its first file.
fn paths_of(root: &Path) -> Vec<String> {
    let folder = root.parent().unwrap_or(Path::new(""));
    let stem = root.file_stem().unwrap_or_default();
    let is_alone = ["lib", "main", "mod"].iter().any(|name| stem == *name);
    let modules_folder = if is_alone { folder } else { &folder.join(stem) };
    let mut files = vec![root.to_owned()];
    rust_files(modules_folder, &mut files);
    let paths = files.into_iter().flat_map(|file| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        functions(&modules(&file, root, modules_folder), &text)
    });
    paths.chain(renamed(root)).collect()
}

/// The functions that a macro of the target's first file may put into the filter's module: it is named there, and is no
/// other module.
fn generated(filter: &str, root: &Path, paths: &[String]) -> Vec<String> {
    let Some((module, _)) = filter.split_once("::") else {
        return Vec::new();
    };
    let is_module = |path: &String| path.split("::").any(|part| part == module);
    let text = fs::read_to_string(root).unwrap_or_default();
    if paths.iter().any(is_module) || !text.contains(module) {
        return Vec::new();
    }
    let functions = paths.iter().filter_map(|path| path.rsplit("::").next());
    functions
        .map(|function| format!("{module}::{function}"))
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = path.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that lead to a file of this target.
fn modules(file: &Path, root: &Path, modules_folder: &Path) -> Vec<String> {
    if file == root {
        return Vec::new();
    }
    let relative = file.strip_prefix(modules_folder).unwrap_or(file);
    let relative = relative.with_extension("");
    let parts = relative.iter().map(|part| part.to_string_lossy());
    parts.filter(|part| part != "mod").map(Into::into).collect()
}

/// The functions of modules whose files the target's first file names itself.
fn renamed(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root).unwrap_or_default();
    let mut paths = Vec::new();
    for part in text.split("#[path = \"").skip(1) {
        let mut words = part
            .split(['"', ' ', ';', '\n', ']'])
            .filter(|word| !word.is_empty());
        let file = words.next().unwrap_or_default();
        let name = words.skip_while(|word| *word != "mod").nth(1);
        let text = fs::read_to_string(root.with_file_name(file)).unwrap_or_default();
        paths.extend(functions(&[name.unwrap_or_default().to_owned()], &text));
    }
    paths
}

/// Every function of a file, once directly in its module and once in each module within the file.
fn functions(modules: &[String], text: &str) -> Vec<String> {
    let named_after = |keyword: &'static str| {
        text.lines().filter_map(move |line| {
            let is_code = !line.trim_start().starts_with("//");
            let (before, name) = line.split_once(keyword).filter(|_| is_code)?;
            let is_word = before.is_empty() || before.ends_with([' ', '(']);
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            name.get(..end?).filter(|_| is_word)
        })
    };
    let mut paths = Vec::new();
    for function in named_after("fn ") {
        paths.push([modules, &[function.to_owned()]].concat().join("::"));
        for inner in named_after("mod ") {
            let inner = [inner.to_owned(), function.to_owned()];
            paths.push([modules, &inner].concat().join("::"));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_is_read_from_the_arguments_of_cargo() {
        let read = Selection::read("-p a --features x --test it stored::kept more");
        let expected = Selection {
            package: "a",
            target: Some("it"),
            is_library: false,
            filters: vec!["stored::kept", "more"],
        };
        assert_eq!(read, expected);
        assert!(Selection::read("-p a --lib").is_library);
    }

    #[test]
    fn functions_are_found_by_their_modules() {
        let file = |file: &str, root: &str, folder: &str| {
            let [file, root, folder] = [file, root, folder].map(Path::new);
            modules(file, root, folder).join("::")
        };
        let of_library = |path| file(path, "src/lib.rs", "src");
        assert_eq!(of_library("src/flow/keeper.rs"), "flow::keeper");
        assert_eq!(of_library("src/lib.rs"), "");
        let of_test = |path| file(path, "tests/grants.rs", "tests/grants");
        assert_eq!(of_test("tests/grants.rs"), "");
        assert_eq!(of_test("tests/grants/stored.rs"), "stored");
        let text = "mod tests {\n    #[test]\n    fn kept() {}\n}\n";
        let paths = functions(&["a".to_owned()], text);
        assert_eq!(paths, ["a::kept", "a::tests::kept"]);
    }
}
