//! Unused dependencies, which are compiled all the same.

use std::fs;
use std::path::Path;

use super::packages;

/// Dependencies of the workspace's packages that none of their files names.
pub(super) fn unused() -> Vec<String> {
    let mut breaches = Vec::new();
    for package in packages(&["--no-deps"]) {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let text = text(manifest.parent().unwrap_or(Path::new("")));
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let renamed = dependency["rename"]
                .as_str()
                .or(dependency["name"].as_str());
            let renamed = renamed.unwrap_or_default();
            // A package that depends on itself turns on its own features for its tests.
            if renamed != name && !is_named(&text, &renamed.replace('-', "_")) {
                breaches.push(format!("{name} depends on {renamed}, and does not name it"));
            }
        }
    }
    breaches
}

/// All Rust below a folder, and the chapters that are documentation; without ordinary comments.
fn text(folder: &Path) -> String {
    let mut combined = String::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(next).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let is = |name: &str| path.file_name().is_some_and(|file_name| file_name == name);
            let has = |ending: &str| {
                path.extension()
                    .is_some_and(|extension| extension == ending)
            };
            if path.is_dir() && !is_foreign(&path) && !is("target") && !is("node_modules") {
                folders.push(path);
            } else if has("rs") || has("md") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                combined.extend(code(&text));
                // A test may share a file with another package's tests.
                for shared in text.split("#[path = \"").skip(1) {
                    let shared = shared.split('"').next().unwrap_or_default();
                    let shared = fs::read_to_string(path.with_file_name(shared));
                    combined.extend(code(&shared.unwrap_or_default()));
                }
            }
        }
    }
    combined
}

/// Whether a subfolder is a separate package.
fn is_foreign(folder: &Path) -> bool {
    folder.join("Cargo.toml").exists()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    let is_remark = |line: &str| {
        let line = line.trim_start();
        line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!")
    };
    text.split_inclusive('\n')
        .filter(move |line| !is_remark(line))
}

/// Whether a name occurs as a whole word.
fn is_named(text: &str, name: &str) -> bool {
    let is_part =
        |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_as_a_whole_word_outside_of_comments() {
        let named = |text: &str| is_named(&code(text).collect::<String>(), "serde");
        assert!(named("use serde::Serialize;"));
        assert!(named("/// ```\n/// use serde::Serialize;\n"));
        assert!(!named("use serde_json::Value;"));
        assert!(!named("    // As serde does it.\nfn main() {}\n"));
    }
}
