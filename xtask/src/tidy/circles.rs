//! Import cycles: files that import one another can be neither read nor loaded one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{code_lines, is_test, rust_files};
use crate::shell::root;

/// The folders of the packages' JavaScript.
const JAVASCRIPT: &[&str] = &["bindings/node/js", "bindings/wasm/js"];

/// The folder of the package's Python, and its name.
const PYTHON: (&str, &str) = ("bindings/python/python/oauth_core", "oauth_core");

/// The imports of each file.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The crates whose modules are checked: those that users build on.
const CRATES: &[&str] = &[
    "oauth-core",
    "oauth-providers",
    "oauth-reqwest",
    "oauth-rmcp",
    "oauth-seal",
    "oauth-session",
    "oauth-testkit",
    "oauth-web",
    "oauth-web-actix",
    "oauth-web-tower",
];

/// Cycles among the files of each package, and among the modules of crates: there a file and those
/// below it may import one another.
pub(super) fn circles() -> Vec<String> {
    let mut breaches = Vec::new();
    for name in CRATES {
        let source = root().join("crates").join(name).join("src");
        breaches.extend(describe_circles(name, &modules(&source)));
    }
    for folder in JAVASCRIPT {
        // What is declared in `.d.ts` is erased before anything is loaded.
        let code = |path: &Path| {
            let name = path.to_string_lossy();
            let is_declared = [".d.ts", ".d.cts", ".d.mts"]
                .iter()
                .any(|end| name.ends_with(end));
            !is_declared
                && ["js", "cjs", "mjs", "ts"]
                    .iter()
                    .any(|end| has_ending(path, end))
        };
        breaches.extend(describe_circles(
            folder,
            &graph(&root().join(folder), code, javascript),
        ));
    }
    let (folder, _) = PYTHON;
    let code = |path: &Path| has_ending(path, "py");
    breaches.extend(describe_circles(
        folder,
        &graph(&root().join(folder), code, python),
    ));
    breaches
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == ending)
}

fn describe_circles(folder: &str, imports: &Imports) -> Vec<String> {
    if imports.is_empty() {
        return vec![format!("{folder}: no file was found there")];
    }
    let circles = find(imports).into_iter();
    circles
        .map(|circle| format!("{folder}: {}", circle.join(" -> ")))
        .collect()
}

/// The imports of each file, by its name in the folder.
fn graph(
    folder: &Path,
    is_code: impl Fn(&Path) -> bool,
    read: fn(&str, &str) -> BTreeSet<String>,
) -> Imports {
    let mut imports = Imports::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_code(&path)
                && let (Ok(name), Ok(text)) = (path.strip_prefix(folder), fs::read_to_string(&path))
            {
                let name = name.to_string_lossy().replace('\\', "/");
                imports.insert(name.clone(), read(&name, &text));
            }
        }
    }
    imports
}

/// The modules of a crate that each of its modules imports.
fn modules(source: &Path) -> Imports {
    let mut imports = Imports::new();
    for file in rust_files(source) {
        let path = file.strip_prefix(source).unwrap_or(&file);
        let first = path.iter().next().unwrap_or_default().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "lib" || is_test(path) {
            continue;
        }
        let code: Vec<_> = code_lines(&file)
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        let mut found = rust(&code.join("\n"));
        found.remove(&module);
        imports.entry(module).or_default().extend(found);
    }
    imports
}

/// The modules after `crate::`, alone or in braces.
fn rust(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(is_part).collect()
    };
    let mut found = BTreeSet::new();
    for import in code.split("crate::").skip(1) {
        let Some(several) = import.strip_prefix('{') else {
            found.insert(name(import));
            continue;
        };
        // A comma within inner braces does not separate modules.
        let mut depth = 0_usize;
        let mut parts = vec![String::new()];
        for character in several.chars() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => parts.push(String::new()),
                _ if depth == 0 => parts.last_mut().expect("one").push(character),
                _ => {}
            }
        }
        found.extend(
            parts
                .iter()
                .map(|part| name(part))
                .filter(|name| !name.is_empty()),
        );
    }
    found
}

/// The files that a JavaScript file imports by a relative path: `import`, `export … from`, `import()`
/// and `require()`.
fn javascript(name: &str, text: &str) -> BTreeSet<String> {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let is_comment = |line: &&str| ["//", "*", "/*"].iter().any(|mark| line.starts_with(mark));
    let lines = text.lines().map(str::trim).filter(|line| !is_comment(line));
    let mut found = BTreeSet::new();
    for line in lines {
        for quote in ['\'', '"'] {
            let parts: Vec<_> = line.split(quote).collect();
            // Every second part is between quotes.
            for pair in parts.chunks(2) {
                if let [before, path] = pair
                    && path.starts_with('.')
                    && ["from", "import", "import(", "require("]
                        .iter()
                        .any(|keyword| before.trim_end().ends_with(keyword))
                {
                    found.insert(joined(folder, path));
                }
            }
        }
    }
    found
}

/// A path without `.` and `..`.
fn joined(folder: &Path, path: &str) -> String {
    let mut joined_path = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if joined_path.pop() => {}
            other => joined_path.push(other),
        }
    }
    joined_path.to_string_lossy().replace('\\', "/")
}

/// The modules of its package that a Python file imports, at its head or later, for types or to run.
fn python(name: &str, text: &str) -> BTreeSet<String> {
    let (_, package) = PYTHON;
    let file = |module: &str| format!("{}.py", module.split('.').next().unwrap_or_default());
    let mut found = BTreeSet::new();
    // An import in parentheses can span several lines.
    let mut remaining_text = text;
    while let Some((line, after)) = remaining_text.split_once('\n') {
        remaining_text = after;
        let line = line.trim();
        let package_prefix = format!("from {package}.");
        let module = line
            .strip_prefix("from .")
            .or_else(|| line.strip_prefix(&package_prefix))
            .and_then(|line| line.split_once(" import"));
        match module {
            Some(("", names)) => {
                let import_list = match names.trim_start().strip_prefix('(') {
                    Some(first) => {
                        format!(
                            "{first} {}",
                            remaining_text.split(')').next().unwrap_or_default()
                        )
                    }
                    None => names.to_owned(),
                };
                let names = import_list.split([',', '\n', ')']).map(str::trim);
                let names = names.filter_map(|name| name.split(' ').next());
                found.extend(names.filter(|name| !name.is_empty()).map(file));
            }
            Some((module, _)) => {
                found.insert(file(module.trim()));
            }
            None => {
                let import_list = line.strip_prefix("import ").unwrap_or_default();
                let modules = import_list
                    .split(',')
                    .filter_map(|part| part.trim().strip_prefix(package)?.strip_prefix('.'));
                found.extend(modules.filter_map(|name| name.split(' ').next()).map(file));
            }
        }
    }
    found.remove(name);
    found
}

/// Each cycle found by following the imports, with the first file repeated at its end.
fn find(imports: &Imports) -> Vec<Vec<String>> {
    let mut circles = Vec::new();
    let mut done = BTreeSet::new();
    for file in imports.keys() {
        walk(file, imports, &mut Vec::new(), &mut done, &mut circles);
    }
    circles
}

fn walk<'a>(
    file: &'a str,
    imports: &'a Imports,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
    circles: &mut Vec<Vec<String>>,
) {
    if let Some(at) = path.iter().position(|before| *before == file) {
        let circle = path[at..].iter().chain([&file]);
        circles.push(circle.map(|name| (*name).to_owned()).collect());
        return;
    }
    if done.contains(file) {
        return;
    }
    path.push(file);
    for next in imports.get(file).into_iter().flatten() {
        walk(next, imports, path, done, circles);
    }
    path.pop();
    done.insert(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn rust_imports_are_parsed() {
        let text = "\
use crate::a::{b, c};
pub use crate::d;
use crate::{e::{f, g}, h, i::j};
fn k() -> crate::l::M { crate::n::o() }
";
        assert_eq!(rust(text), set(&["a", "d", "e", "h", "i", "l", "n"]));
    }

    #[test]
    fn javascript_imports_are_parsed() {
        let text = "\
import { a } from './a.js'
export { b } from \"../b.mjs\"
const { c } = require('./deep/c.cjs'), d = require('./d.cjs')
import './e.js'
const f = await import('./f.js')
import fs from 'node:fs'
const text = './not.js'
// import './comment.js'
 * @param {import('./types.js').T} t
";
        let found = javascript("folder/file.js", text);
        let expected = [
            "folder/a.js",
            "b.mjs",
            "folder/deep/c.cjs",
            "folder/d.cjs",
            "folder/e.js",
            "folder/f.js",
        ];
        assert_eq!(found, set(&expected));
    }

    #[test]
    fn python_imports_are_parsed() {
        let text = "\
import os
from . import a, _native as b
from . import (
    c,
    d as e,
)
from .f import g
    from .h.i import j
from oauth_core.k import l
import oauth_core.m, sys
from typing import Any
";
        let expected = [
            "_native.py",
            "a.py",
            "c.py",
            "d.py",
            "f.py",
            "h.py",
            "k.py",
            "m.py",
        ];
        assert_eq!(python("z.py", text), set(&expected));
    }

    #[test]
    fn only_import_cycles_are_reported() {
        let imports = |pairs: &[(&str, &[&str])]| -> Imports {
            let pairs = pairs.iter();
            pairs
                .map(|(file, others)| ((*file).to_owned(), set(others)))
                .collect()
        };
        let diamond = imports(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
        assert_eq!(find(&diamond), Vec::<Vec<String>>::new());
        let circle = imports(&[("a", &["b"]), ("b", &["c", "other"]), ("c", &["b"])]);
        assert_eq!(find(&circle), [["b", "c", "b"]]);
        assert_eq!(find(&imports(&[("a", &["a"])])), [["a", "a"]]);
    }
}
