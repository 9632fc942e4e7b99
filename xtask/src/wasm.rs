//! The browser package: built for WebAssembly, and tested in Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{node_count, reporters};
use crate::shell::{Outcome, cargo, counted, root, stdout_of, step, target};
use crate::vectors::{self, Lang};
use crate::{codegen, packages, setup};

const TARGET: &str = "wasm32-unknown-unknown";

/// The names of Debian's packages: a compiler with the standard library's sources, a linker, a browser.
const COMPILER: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const BROWSER: &str = "/usr/bin/chromium";
/// Chromium without windows, which takes half the time with many browsers.
const HEADLESS: &str = "/usr/bin/chromium-headless-shell";

/// Builds the package, and runs its tests in a browser.
pub(crate) fn suite() -> Outcome {
    let built = prepared();
    if built.failed > 0 {
        return built;
    }
    let packed = packed();
    let tested = built.and(sizes()).and(tests()).and(packed);
    if packed.failed > 0 {
        return tested;
    }
    tested
        .and(packages::web())
        .and(vectors::run_own(Lang::Browser))
}

/// The package, in an empty project.
pub(crate) fn installed() -> Outcome {
    let built = prepared();
    if built.failed > 0 {
        return built;
    }
    built.and(packed())
}

/// The program that plays conversations, in a browser, with the installed package.
pub(crate) fn player() -> Vec<PathBuf> {
    let script = package().join("test/vectors-player.js");
    let installed = project().join("node_modules/oauth-core-web");
    vec!["node".into(), script, installed]
}

fn project() -> PathBuf {
    target().join("web-project")
}

/// Packs the package, and installs it from that file only.
fn packed() -> Outcome {
    let project = project();
    let pack = || {
        if project.exists() {
            fs::remove_dir_all(&project)?;
        }
        fs::create_dir_all(&project)?;
        fs::write(project.join("package.json"), "{ \"private\": true }\n")
    };
    if let Err(reason) = pack() {
        println!("{}: {reason}", project.display());
        return Outcome::of(false);
    }
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]);
    let packed = step("npm pack", npm.arg(&project).current_dir(package()));
    let files = fs::read_dir(&project).into_iter().flatten().flatten();
    let tarballs = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "tgz"));
    let mut npm = Command::new("npm");
    npm.args(["install", "--offline", "--no-audit", "--no-fund"]);
    npm.args(tarballs).current_dir(&project);
    packed.and(step("npm install (the tarball only)", &mut npm))
}

/// The whole package, and the tools to test it.
fn prepared() -> Outcome {
    let tools = browser().and(setup::npm_ci(&package()));
    tools.and(built())
}

/// Builds the package in place.
pub(crate) fn built() -> Outcome {
    let Some(compiler) = compiler() else {
        return no_compiler();
    };
    build(&compiler, "oauth-core-web", &package().join("pkg")).and(codegen::run(true))
}

/// The half of the package for Node.js that runs where no addon can.
pub(crate) fn edge() -> Outcome {
    let Some(compiler) = compiler() else {
        return no_compiler();
    };
    let folder = root().join("bindings/node/edge");
    let built = build(&compiler, "oauth-core-edge", &folder);
    if built.failed > 0 {
        return built;
    }
    // A module in a package whose `.js` files are not modules must declare it.
    let glue = |ending| folder.join("oauth_core_edge").with_extension(ending);
    match fs::rename(glue("js"), glue("mjs")) {
        Ok(()) => built,
        Err(reason) => {
            println!("{}: {reason}", glue("js").display());
            built.and(Outcome::of(false))
        }
    }
}

fn no_compiler() -> Outcome {
    println!(
        "no compiler for {TARGET}: rustup target add {TARGET}, or on Debian, as root: \
         apt-get install {}",
        COMPILER.join(" ")
    );
    Outcome::of(false)
}

/// The module as built by cargo, with function names.
pub(crate) fn module() -> PathBuf {
    module_path("oauth-core-web")
}

fn module_path(name: &str) -> PathBuf {
    let file = format!("wasm/{}.wasm", name.replace('-', "_"));
    target().join("wasm").join(TARGET).join(file)
}

fn package() -> PathBuf {
    root().join("bindings/wasm")
}

/// The toolchains for WebAssembly.
enum Compiler {
    /// The default compiler has the target.
    Own,
    /// Debian's, with the standard library built along, and this linker.
    Debian(PathBuf),
}

fn compiler() -> Option<Compiler> {
    let rustc_target_libdir =
        stdout_of(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    if rustc_target_libdir.is_some_and(|libdir| Path::new(&libdir).is_dir()) {
        return Some(Compiler::Own);
    }
    debian().or_else(|| {
        setup::apt(COMPILER);
        debian()
    })
}

fn debian() -> Option<Compiler> {
    let sysroot = stdout_of(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]))?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    let linkers = fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let is_linker = |path: &PathBuf| path.to_string_lossy().starts_with("/usr/bin/wasm-ld-");
    let linker = linkers.filter(is_linker).max()?;
    sources.is_dir().then_some(Compiler::Debian(linker))
}

/// The browser.
pub(crate) fn browser() -> Outcome {
    found(BROWSER, "chromium")
}

/// The browser without windows.
pub(crate) fn headless_browser() -> Outcome {
    found(HEADLESS, "chromium-headless-shell")
}

fn found(tool_path: &str, package: &str) -> Outcome {
    if std::env::var_os("CHROMIUM").is_some() || Path::new(tool_path).exists() {
        return Outcome::of(true);
    }
    setup::apt(&[package]);
    if Path::new(tool_path).exists() {
        return Outcome::of(true);
    }
    println!("no Chromium: install it as {tool_path}, or name its path in CHROMIUM");
    Outcome::of(false)
}

/// Builds this crate, and writes the JavaScript around it into a folder.
fn build(compiler: &Compiler, name: &str, folder: &Path) -> Outcome {
    let out_dir = target().join("wasm");
    let mut command = match compiler {
        Compiler::Own => cargo(),
        Compiler::Debian(linker) => {
            let mut debian = Command::new("/usr/bin/cargo");
            debian.current_dir(root());
            debian
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1");
            debian.arg(format!(
                "--config=target.{TARGET}.linker=\"{}\"",
                linker.display()
            ));
            // A panic is a bug and ends in a trap either way; its text is not worth a fifth of the
            // size.
            debian.arg("--config=profile.wasm.panic=\"immediate-abort\"");
            debian.args([
                "-Zpanic-immediate-abort",
                "-Zbuild-std=std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
            ]);
            debian
        }
    };
    for inherited in ["CARGO", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(inherited);
    }
    // One block of SHA-256 for a token's hash: a small loop will do.
    command.arg(format!(
        "--config=target.{TARGET}.rustflags=['--cfg', 'sha2_backend_soft=\"compact\"']"
    ));
    command.args(["build", "--quiet", "--profile", "wasm", "--target", TARGET]);
    command.args(["-p", name]).env("CARGO_TARGET_DIR", &out_dir);
    let built = step(&format!("cargo build ({name})"), &mut command);
    built.and(helper(
        "wasm-bindgen",
        &["bind".as_ref(), &module_path(name), folder],
    ))
}

/// The part that takes long to compile.
fn helper(name: &str, args: &[&Path]) -> Outcome {
    let mut command = cargo();
    command
        .args(["run", "--quiet", "--bin", "xtask-wasm", "--"])
        .args(args);
    step(name, &mut command)
}

/// The size that a page loads.
fn sizes() -> Outcome {
    let mut node = Command::new("node");
    step("sizes", node.arg("test/sizes.js").current_dir(package()))
}

fn tests() -> Outcome {
    let mut twins = cargo();
    twins.args(["build", "--quiet", "--example", "browser_twins"]);
    let built = step("browser_twins", &mut twins);
    let mut node = Command::new("node");
    node.args(["--test", "--test-concurrency=2", "--test-timeout=300000"]);
    node.args(reporters("browser"));
    node.args(files(&package().join("test")))
        .current_dir(package());
    node.env(
        "BROWSER_TWINS",
        target().join("debug/examples/browser_twins"),
    );
    built.and(counted("node --test (Chromium)", &mut node, node_count))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let tests = entries.map(|entry| entry.path());
    let mut tests: Vec<_> = tests
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    tests.sort();
    tests
}
