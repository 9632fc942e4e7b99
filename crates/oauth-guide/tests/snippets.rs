//! Checks that the code in the chapters is run by tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The permitted info strings of code blocks, and where each is tested.
const FENCES: &[&str] = &[
    // Documentation tests of this crate.
    "rust",
    "rust,no_run",
    // bindings/python/tests/test_guide.py, bindings/node/test/guide.test.mjs, bindings/wasm/test/guide.test.js
    "python",
    "js",
    "html",
    // bindings/node/test/web-edge.test.mjs
    "js bound",
    "js bun",
    "js d1",
    "js deno",
    "js worker",
    "sql",
    // Another library's code, for comparison only.
    "python before",
    "js before",
    // A component, which is that of bindings/wasm/README.md: see below.
    "jsx",
    // Commands, and files that are read elsewhere.
    "sh",
    "toml",
    "jsonc",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn chapters() -> Vec<(String, String)> {
    let entries = fs::read_dir(here("chapters")).expect("the chapters");
    let paths = entries.map(|entry| entry.expect("a chapter").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut chapters: Vec<_> = pages
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(path).expect("a chapter"))
        })
        .collect();
    chapters.sort();
    chapters
}

/// The blocks of a chapter: the info string, and the code.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut parts = text.split("```").skip(1);
    let mut blocks = Vec::new();
    while let (Some(block), _) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').expect("a block of lines"));
    }
    blocks
}

#[test]
fn every_example_is_run_by_a_test() {
    for (name, text) in chapters() {
        for (fence, code) in blocks(&text) {
            assert!(FENCES.contains(&fence), "{name}: nobody runs ```{fence}");
            let prints = code.contains("console.log(") || code.contains("print(");
            let is_ours = ["python", "js", "html"].contains(&fence);
            assert!(
                prints || !is_ours,
                "{name}: an example shows nothing:\n{code}"
            );
        }
    }
}

#[test]
fn every_chapter_is_a_module_and_listed_in_the_readme() {
    let library = include_str!("../src/lib.rs");
    let front = include_str!("../README.md");
    let names: BTreeSet<_> = chapters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), library.matches("pub mod ").count());
    for name in names {
        assert!(library.contains(&format!("/chapters/{name}.md")), "{name}");
        assert!(front.contains(&format!("]({name}) |")), "{name}");
    }
}

#[test]
fn every_chapter_starts_with_its_outcome() {
    for (name, text) in chapters() {
        let first = text.split("\n\n").nth(1).unwrap_or_default();
        assert!(
            first.starts_with("At the end of this chapter "),
            "{name}: {first}"
        );
    }
}

#[test]
fn components_in_chapters_are_those_of_the_package_readme() {
    let readme = fs::read_to_string(here("../../bindings/wasm/README.md")).expect("a page");
    let readme_blocks = blocks(&readme);
    for (name, text) in chapters() {
        let mut components = blocks(&text)
            .into_iter()
            .filter(|(fence, _)| *fence == "jsx");
        assert!(
            components.all(|block| readme_blocks.contains(&block)),
            "{name}"
        );
    }
}

#[test]
fn the_provider_file_in_the_chapter_is_the_tested_one() {
    let (_, text) = chapters()
        .into_iter()
        .find(|(name, _)| name == "presets")
        .expect("the chapter");
    let file = include_str!("../chapters/acme.toml");
    assert!(blocks(&text).contains(&("toml", file)));
}

#[test]
fn the_chapter_lists_exactly_the_built_in_presets() {
    let quoted = |words: Vec<String>| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let mut names: Vec<&str> = oauth_providers::names().collect();
    names.sort_unstable();
    let rows = names.iter().map(|name| {
        let preset = oauth_providers::provider(name).expect("a preset");
        let variables = quoted(preset.variables().map(|known| known.name.clone()).collect());
        let grants = quoted(preset.grants().to_vec());
        format!("| `{name}` | {} | {variables} | {grants} |", preset.title()).replace("|  |", "| |")
    });
    let page = fs::read_to_string(here("chapters/presets.md")).expect("a chapter");
    let (_, list) = page.split_once("## All presets").expect("the list");
    let listed = list.lines().filter(|line| line.starts_with("| `"));
    assert!(
        listed.eq(rows.collect::<Vec<_>>()),
        "chapters/presets.md, All presets"
    );
}

/// The table in that crate's README.
#[test]
fn the_readme_of_oauth_providers_lists_every_preset() {
    let readme = fs::read_to_string(here("../oauth-providers/README.md")).expect("a page");
    let (_, table) = readme.split_once("## Built in").expect("the table");
    let cells = table.lines().filter(|line| line.starts_with("| `"));
    let cells = cells.filter_map(|line| line.split('|').nth(1));
    let listed: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`'))
        .filter(|name| !name.trim_matches([' ', ',']).is_empty())
        .collect();
    assert_eq!(listed, oauth_providers::names().collect());
}
