//! The rules that readers rely on, checked on every run: which module imports which, where time and randomness come
//! from, how long a file is.

mod adapters;
mod circles;
mod mutant_tests;
mod published;
mod unused;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::shell::{Outcome, cargo, root};

/// The longest file, in lines.
const MAX_LINES: usize = 500;

/// Tables, which are used for lookups, and not read as code.
const DATA: &[&str] = &["tests/parity.toml"];

/// The longest stub: it describes all files of one compiled module, with their documentation.
const MAX_STUB_LINES: usize = 2450;

/// The maximum number of crates that `oauth-core` depends on, itself included.
const MAX_CRATES: usize = 35;

/// The layers of `oauth-core`, lowest first: a module imports from its own layer and those below.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "words",
        &[
            "address",
            "authorization_details",
            "base64",
            "certificate",
            "error",
            "client_id",
            "extra",
            "secret",
            "moment",
            "form",
            "header",
            "http",
            "json",
            "json_form",
            "value",
            "issuer",
            "extension_grant",
            "browser_build",
            "quirk",
            "redirect_uri",
            "url",
            "scope",
            "retry_after",
        ],
    ),
    ("tokens and keys", &["jose"]),
    // `exchange` imports only modules below, and all modules above may import it.
    ("contract", &["exchange"]),
    (
        "proofs",
        &[
            "crypto",
            "pkce",
            "replay_cache",
            "dpop",
            "challenge",
            "security_profile",
        ],
    ),
    (
        "parties",
        &[
            "assertion",
            "duplicate_backchannel_request",
            "breaker",
            "protected_resource_metadata",
            "self_renewal",
            "server",
            "request_encryption",
            "request_signing",
            "client_auth",
            "client_config",
            "client_id_metadata_document",
            "client_metadata",
            "context",
            "registered_client",
            "token",
            "workload",
        ],
    ),
    ("leaves", &["grant", "endpoint"]),
    ("engine", &["call"]),
    ("flows", &["flow"]),
    ("client", &["client", "danger"]),
    ("chapters", &["rationale"]),
];

/// The crates, lowest first: a crate depends on those below it only.
const CRATES: &[&[&str]] = &[
    &["oauth-core"],
    &["oauth-crypto", "oauth-providers", "oauth-seal"],
    &["oauth-session", "oauth-web"],
    &["oauth-reqwest", "oauth-testkit", "oauth-facade"],
    &["oauth-rmcp"],
    &["oauth-web-tower"],
    &["oauth-web-actix"],
    &[
        "oauth-cli",
        "oauth-guide",
        "oauth-tests",
        "oauth-core-edge",
        "oauth-core-node",
        "oauth-python",
        "oauth-core-web",
    ],
    &["xtask", "xtask-codegen", "xtask-wasm"],
];

/// Names that only `moment.rs` may use: all sources of time and randomness.
const FORBIDDEN: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "getrandom::",
    "OsRng",
    "thread_rng",
    "RandomState",
    "HashMap",
    "HashSet",
];

/// A rule in words, and its violations.
type Rule = (&'static str, fn() -> Vec<String>);

/// What the browser package must not contain: transports, and the functions of WebCrypto. It hashes by itself
/// (`digest`, `sha2`): a proof of DPoP holds the hash of a token, which WebCrypto only computes asynchronously.
const NOT_IN_BROWSERS: &[&str] = &[
    "aws-lc-rs",
    "ecdsa",
    "getrandom",
    "hmac",
    "hyper",
    "md-5",
    "p256",
    "rand",
    "rand_core",
    "reqwest",
    "ring",
    "rsa",
    "rustls",
    "sha1",
    "sha3",
    "tokio",
];

/// Checks every rule and prints its violations.
pub(crate) fn check() -> Outcome {
    let rules: [Rule; 11] = [
        ("modules of oauth-core import upward only", modules),
        (
            "no modules of the libraries, and no files of JavaScript or Python, import one another in a circle",
            circles::circles,
        ),
        ("crates depend upward only", crates),
        ("crates name all that they depend on", unused::unused),
        (
            "every mutant is tried by a test that exists",
            mutant_tests::missing,
        ),
        (
            "published crates have a front page, a history, an example, and all features at docs.rs",
            published::published,
        ),
        (
            "oauth-core reads no clock and no randomness outside moment.rs",
            sources,
        ),
        ("no file passes 500 lines, no stub 2450", lengths),
        (
            "no adapter of sign-in passes 150 lines, or decides by the protocol",
            adapters::adapters,
        ),
        ("oauth-core stands on at most 35 crates", weight),
        (
            "the browser package holds no transport, and no cryptography but a hash",
            browser,
        ),
    ];
    rules
        .iter()
        .map(|(name, rule)| report(name, &rule()))
        .fold(Outcome::default(), Outcome::and)
}

/// Checks that no dependency asks for a newer compiler than this workspace states.
pub(crate) fn msrv() -> Outcome {
    report(
        "no dependency asks for a newer Rust than the workspace states",
        &newer_than_stated(),
    )
}

fn report(name: &str, breaches: &[String]) -> Outcome {
    println!("== tidy: {name}");
    for breach in breaches {
        println!("{breach}");
    }
    Outcome::of(breaches.is_empty())
}

fn core() -> PathBuf {
    root().join("crates/oauth-core/src")
}

fn modules() -> Vec<String> {
    let layer = |module: &str| {
        LAYERS
            .iter()
            .position(|(_, modules)| modules.contains(&module))
    };
    let mut breaches = Vec::new();
    for file in rust_files(&core()) {
        let Ok(path) = file.strip_prefix(core()) else {
            continue;
        };
        let module = path
            .iter()
            .next()
            .map(|part| part.to_string_lossy().replace(".rs", ""));
        let module = module.unwrap_or_default();
        if module == "lib" || is_test(path) {
            continue;
        }
        let Some(own_layer) = layer(&module) else {
            breaches.push(format!(
                "{}: the module {module} has no layer in xtask/src/tidy.rs",
                path.display()
            ));
            continue;
        };
        for (line, code) in code_lines(&file) {
            for import in code.split("crate::").skip(1) {
                let name: String = import
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                match layer(&name) {
                    Some(imported_layer) if imported_layer <= own_layer => {}
                    Some(imported_layer) => breaches.push(format!(
                        "{}:{line}: {module} ({}) imports {name} ({})",
                        path.display(),
                        LAYERS[own_layer].0,
                        LAYERS[imported_layer].0
                    )),
                    None => breaches.push(format!(
                        "{}:{line}: imports {name}, which has no layer",
                        path.display()
                    )),
                }
            }
        }
    }
    breaches
}

fn crates() -> Vec<String> {
    let rank = |name: &str| CRATES.iter().position(|rank| rank.contains(&name));
    let mut breaches = Vec::new();
    for package in packages(&["--no-deps"]) {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let Some(own_rank) = rank(&name) else {
            breaches.push(format!("{name} has no place in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency_name = dependency["name"].as_str().unwrap_or_default();
            // The drivers' tests use the test kit, the core's do not.
            let is_dev = dependency["kind"] == "dev" && own_rank > 0;
            if rank(dependency_name).is_some_and(|other| other >= own_rank) && !is_dev {
                breaches.push(format!(
                    "{name} depends on {dependency_name}, which is not below it"
                ));
            }
        }
    }
    breaches
}

fn sources() -> Vec<String> {
    let mut breaches = Vec::new();
    for file in rust_files(&core())
        .into_iter()
        .filter(|file| !file.ends_with("moment.rs"))
    {
        for (line, code) in code_lines(&file) {
            for name in FORBIDDEN.iter().filter(|name| code.contains(**name)) {
                breaches.push(format!("{}:{line}: {name}", file.display()));
            }
        }
    }
    breaches
}

fn lengths() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let Ok(listed) = listed else {
        return vec!["git is needed to list the files".to_owned()];
    };
    let endings = [
        "rs", "py", "pyi", "ts", "cts", "mts", "js", "mjs", "cjs", "toml", "yml", "sh", "html",
        "css",
    ];
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut breaches = Vec::new();
    for name in text.lines() {
        let path = root().join(name);
        let is_code = path.extension().is_some_and(|ending| {
            endings
                .iter()
                .any(|checked_ending| ending == *checked_ending)
        });
        let lines = fs::read_to_string(&path)
            .map(|text| text.lines().count())
            .unwrap_or_default();
        let most = if is_stub(name) {
            MAX_STUB_LINES
        } else {
            MAX_LINES
        };
        if is_code && !DATA.contains(&name) && lines > most {
            breaches.push(format!("{name}: {lines} lines"));
        }
    }
    breaches
}

/// Whether a file is a generated description of another one, such as a stub.
fn is_stub(name: &str) -> bool {
    [
        "/ops.d.cts",
        "/_ops.py",
        "/_exchange_ops.py",
        "/_records.py",
        ".pyi",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

fn weight() -> Vec<String> {
    let crates = tree("oauth-core", &[]);
    println!("{} crates", crates.len());
    if (1..=MAX_CRATES).contains(&crates.len()) {
        Vec::new()
    } else {
        vec![format!("{} crates", crates.len())]
    }
}

fn browser() -> Vec<String> {
    let crates = tree("oauth-core-web", &["--target", "wasm32-unknown-unknown"]);
    let is_never =
        |line: &String| NOT_IN_BROWSERS.contains(&line.split(' ').next().unwrap_or_default());
    if crates.is_empty() {
        vec!["cargo tree did not run".to_owned()]
    } else {
        crates.into_iter().filter(is_never).collect()
    }
}

/// The crates that a package depends on, itself included, each once.
fn tree(package: &str, options: &[&str]) -> Vec<String> {
    let arguments = ["tree", "-p", package, "-e", "normal", "--prefix", "none"];
    let output = cargo().args(arguments).args(options).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let mut lines: Vec<_> = String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn newer_than_stated() -> Vec<String> {
    let packages = packages(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    // 1.89 and 1.89.0 are the same.
    let version = |text: &str| -> Vec<u32> {
        let parts = text.split('.').filter_map(|part| part.parse().ok());
        let mut parts: Vec<u32> = parts.collect();
        parts.resize(3, 0);
        parts
    };
    let stated = packages
        .iter()
        .find(|package| package["name"] == "oauth-core");
    let Some(stated) = stated.and_then(|package| package["rust_version"].as_str()) else {
        return vec!["the workspace states no rust-version".to_owned()];
    };
    let rust_version = |package: &Value| package["rust_version"].as_str().map(str::to_owned);
    let newer: BTreeMap<_, _> = packages
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?.to_owned(), rust_version(package)?)))
        .filter(|(_, required_version)| version(required_version) > version(stated))
        .collect();
    newer
        .into_iter()
        .map(|(name, required_version)| {
            format!("{name} asks for Rust {required_version}, stated is {stated}")
        })
        .collect()
}

fn packages(options: &[&str]) -> Vec<Value> {
    let output = cargo()
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .output();
    let metadata: Value = output
        .ok()
        .and_then(|output| serde_json::from_slice(&output.stdout).ok())
        .unwrap_or_default();
    metadata["packages"].as_array().cloned().unwrap_or_default()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether a file contains only tests or their helpers, which may use all layers.
fn is_test(path: &Path) -> bool {
    let is_named = |part: &str| matches!(part, "tests" | "tests.rs" | "testing.rs");
    path.iter().any(|part| part.to_str().is_some_and(is_named))
}

/// The lines of a file before its tests, without comments. Tests in a file of their own are named at
/// its beginning, where they do not end the count.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .map(|(at, line)| {
            (
                at + 1,
                line.split(" // ").next().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}
