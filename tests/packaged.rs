//! Builds and runs the guide's ten-line tool from the packaged crates, in an empty folder.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails says so

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oauth_testkit::{Served, Twin};

/// The tool's dependencies, and their dependencies in this workspace.
const CRATES: [&str; 6] = [
    "oauth-core",
    "oauth-crypto",
    "oauth-providers",
    "oauth-reqwest",
    "oauth-seal",
    "oauth-session",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The program in the guide's chapter, without the lines that only its test needs.
fn tool() -> String {
    let chapter = root().join("crates/oauth-guide/chapters/without_a_browser.md");
    let chapter = fs::read_to_string(chapter).unwrap();
    let (_, section) = chapter.split_once("### One that asks once").unwrap();
    let (_, code) = section.split_once("```rust\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let shown = code
        .lines()
        .filter(|line| !line.starts_with('#') || line.starts_with("#["));
    shown.map(|line| format!("{line}\n")).collect()
}

/// The number of statements in `main`.
fn statements(code: &str) -> usize {
    let (_, body) = code.split_once("fn main()").unwrap();
    let ends = |line: &&str| line.ends_with(';') || line.contains("; //");
    body.lines().filter(ends).count()
}

/// Packs the crates, and unpacks them outside of this workspace.
fn pack_and_unpack(folder: &Path) -> String {
    let mut package = cargo();
    package.args([
        "package",
        "--quiet",
        "--no-verify",
        "--allow-dirty",
        "--exclude-lockfile",
    ]);
    package.arg("--target-dir").arg(folder).current_dir(root());
    for name in CRATES {
        package.args(["-p", name]);
    }
    done(&mut package);
    let packed = folder.join("package");
    let mut patches = String::from("[patch.crates-io]\n");
    for name in CRATES {
        let file = format!("{name}-0.1.0.crate");
        done(
            Command::new("tar")
                .arg("xzf")
                .arg(file)
                .current_dir(&packed),
        );
        let place = packed.join(format!("{name}-0.1.0"));
        patches.push_str(&format!("{name} = {{ path = {place:?} }}\n"));
    }
    patches
}

/// Runs the tool in the folder of its tokens, enters the code if there is one, and returns what it prints.
fn run(program: &Path, folder: &Path, served: &Served) -> String {
    let mut tool = Command::new(program);
    tool.current_dir(folder).env("ISSUER", served.base());
    tool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut output, mut line) = (String::new(), String::new());
    while stderr.read_line(&mut line).unwrap() > 0 {
        if let Some((_, rest)) = line.split_once("enter the code ") {
            let (code, _) = rest.split_once(". ").unwrap();
            let page = format!("{}/device?user_code={code}", served.base());
            assert_eq!(reqwest::blocking::get(page).unwrap().status(), 200);
        }
        output.push_str(&std::mem::take(&mut line));
    }
    let mut printed = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success(), "{output}");
    printed
}

#[test]
fn a_ten_line_tool_builds_from_the_packaged_crates_and_reuses_its_login() {
    let code = tool();
    assert!(statements(&code) <= 10, "{code}");
    let temp_folder = tempfile::tempdir().unwrap();
    let patches = pack_and_unpack(temp_folder.path());
    let project = temp_folder.path().join("tool");
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("src/main.rs"), code).unwrap();
    // The versions that the workspace is tested with.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let manifest = format!(
        "[package]\nname = \"tool\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\noauth-core = \"0.1\"\noauth-reqwest = \"0.1\"\n\
         oauth-session = {{ version = \"0.1\", features = [\"file\"] }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n[profile.dev.package.\"*\"]\ndebug = false\n\n{patches}"
    );
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    // Most third-party crates were compiled with this workspace, if the profile is the same.
    let built = root().join("target");
    let mut build = cargo();
    build.args(["build", "--quiet", "--target-dir"]).arg(&built);
    done(build.current_dir(&project));

    let served = Served::start(Twin::generic).unwrap();
    served.with(|twin| twin.set_polling_interval(1));
    let empty = temp_folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let program = built
        .join("debug/tool")
        .with_extension(std::env::consts::EXE_EXTENSION);
    for _ in 0..2 {
        let printed = run(&program, &empty, &served);
        let scope: BTreeSet<_> = printed.split_whitespace().collect();
        assert_eq!(
            scope,
            BTreeSet::from(["offline_access", "read"]),
            "{printed}"
        );
    }
    let codes = served.with(|twin| {
        let log = twin.log().iter();
        log.filter(|entry| entry.path == "/device_authorization")
            .count()
    });
    assert_eq!(codes, 1);
    let leftover_files: Vec<_> = fs::read_dir(&empty)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(leftover_files, ["tokens"]);
}
