//! Adapters of sign-in to frameworks carry requests and responses: they are short, and contain no protocol logic.
//!
//! Two sizes are limited: that of each file, with its comments and blank lines; and the sum of the code that serves
//! one framework alone, as a sum of lines of code: neither blank, nor a comment, nor a doc string, nor a test. Modules
//! that several frameworks share count for none of them, and neither do settings, providers and the user's own methods,
//! which are one for a language. Nor is what Django expects of an application beside its middleware: users, sessions,
//! settings with their hooks, system checks, the admin and migrations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::shell::root;

/// The longest file of an adapter, in lines. Tests at the end of a file of Rust do not count.
const MAX_LINES: usize = 150;

/// The most lines of code that serve one framework alone.
const MAX_SUM: usize = 150;

/// A folder with adapters. Every file in it is in one of these lists.
struct AdapterFolder {
    folder: &'static str,
    /// The drivers of visits and connections. These files are not adapters.
    drivers: &'static [&'static str],
    /// The files shared by several frameworks.
    shared: &'static [&'static str],
    adapters: &'static [Adapter],
}

/// The files that serve one framework alone.
struct Adapter {
    framework: &'static str,
    files: &'static [&'static str],
}

const fn adapter(framework: &'static str, files: &'static [&'static str]) -> Adapter {
    Adapter { framework, files }
}

const PLACES: &[AdapterFolder] = &[
    AdapterFolder {
        folder: "bindings/python/python/oauth_core/web",
        drivers: &[],
        shared: &[
            "__init__.py",
            "_env_settings.py",
            "_providers.py",
            "_session_identity.py",
            "_settings.py",
            "_site.py",
            "_targets.py",
            "_types.py",
            "_user.py",
            "_values.py",
            "_visits.py",
            "testing.py",
            "django/__init__.py",
            "django/admin.py",
            "django/apps.py",
            "django/checks.py",
            "django/functions.py",
            "django/migrations/0001_initial.py",
            "django/migrations/__init__.py",
            "django/models.py",
            "django/people.py",
            "django/site.py",
            "django/testing.py",
        ],
        adapters: &[
            adapter("ASGI", &["asgi.py"]),
            adapter("FastAPI", &["fastapi.py"]),
            adapter("WSGI", &["wsgi.py", "_wsgi_request.py"]),
            adapter("Flask", &["flask.py"]),
            adapter(
                "Django",
                &[
                    "django/middleware.py",
                    "django/replies.py",
                    "django/views.py",
                ],
            ),
        ],
    },
    AdapterFolder {
        folder: "bindings/node/js/web",
        drivers: &[],
        shared: &[
            // Of Express and Fastify.
            "body.cjs",
            // Of Hono, React Router, Workers and SvelteKit.
            "standard.cjs",
            "fields.cjs",
            // Of Express, Hono and SvelteKit.
            "forgotten-call.cjs",
            "index.cjs",
            "index.mjs",
            "notes.cjs",
            "reply.cjs",
            "requirements.cjs",
            "settings-table.cjs",
            "settings.cjs",
            "site-from-env.cjs",
            "site-providers.cjs",
            "site-required.cjs",
            "site.cjs",
            "user.cjs",
            "visits.cjs",
        ],
        adapters: &[
            adapter("Express", &["express.cjs"]),
            adapter("Fastify", &["fastify.cjs"]),
            adapter("Hono", &["hono.cjs"]),
            adapter("Next.js", &["next.cjs", "next.mjs"]),
            adapter("SvelteKit", &["sveltekit.cjs"]),
        ],
    },
    AdapterFolder {
        folder: "crates/oauth-web-actix/src",
        drivers: &[],
        shared: &[],
        adapters: &[adapter(
            "actix",
            &["convert.rs", "lib.rs", "sign_in.rs", "user.rs"],
        )],
    },
    AdapterFolder {
        folder: "crates/oauth-web-tower/src",
        // The driver of all native hosts, those of Python and Node.js among them.
        drivers: &["environment.rs", "grants.rs", "host.rs", "tokens.rs"],
        // Of tower, axum and actix.
        shared: &[
            "answer.rs",
            "lib.rs",
            "rejection.rs",
            "serve.rs",
            "visit_driver.rs",
            "visited.rs",
        ],
        adapters: &[
            adapter("tower", &["convert.rs", "layer.rs"]),
            adapter("axum", &["axum.rs"]),
        ],
    },
];

/// Names that only the core may use.
const PROTOCOL: &[&str] = &[
    "code_verifier",
    "id_token",
    "idToken",
    "nonce",
    "redirect_uri",
    "redirectUri",
    "refresh_token",
    "refreshToken",
    "sec-fetch",
    "text/html,",
];

/// The adapters that are too long, or use a protocol name.
pub(super) fn adapters() -> Vec<String> {
    PLACES.iter().flat_map(breaches).collect()
}

fn breaches(adapter_folder: &AdapterFolder) -> Vec<String> {
    let folder = adapter_folder.folder;
    let mut breaches = Vec::new();
    let mut sizes = BTreeMap::new();
    read(&root().join(folder), "", &mut |name, text| {
        if !adapter_folder.drivers.contains(&name) {
            breaches.extend(judged(&format!("{folder}/{name}"), text));
        }
        sizes.insert(name.to_owned(), code_lines(name, text));
    });
    let of_one = adapter_folder
        .adapters
        .iter()
        .flat_map(|adapter| adapter.files);
    let listed = adapter_folder
        .drivers
        .iter()
        .chain(adapter_folder.shared)
        .chain(of_one);
    let listed: Vec<_> = listed.collect();
    for name in &listed {
        if !sizes.contains_key(**name) {
            breaches.push(format!("{folder}/{name}: listed, and not there"));
        }
    }
    for name in sizes.keys() {
        if !listed.iter().any(|listed| *listed == name) {
            breaches.push(format!("{folder}/{name}: of which framework, or shared?"));
        }
    }
    for adapter in adapter_folder.adapters {
        let sum = adapter
            .files
            .iter()
            .filter_map(|name| sizes.get(*name))
            .sum();
        breaches.extend(sum_breach(adapter, sum));
    }
    breaches
}

/// The error for a framework whose adapter is too large.
fn sum_breach(adapter: &Adapter, sum: usize) -> Option<String> {
    let framework = adapter.framework;
    (sum > MAX_SUM).then(|| format!("{framework}: {sum} lines of code of at most {MAX_SUM}"))
}

fn read(dir: &Path, within: &str, judge: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            read(&path, &format!("{name}/"), judge);
        } else if ["py", "cjs", "mjs", "rs"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")))
            && let Ok(text) = fs::read_to_string(&path)
        {
            judge(&name, &text);
        }
    }
}

const TESTS: &str = "#[cfg(test)]\nmod tests";

/// The lines of code: neither blank, nor a comment, nor a doc string, nor a test.
fn code_lines(name: &str, text: &str) -> usize {
    let code = text.split(TESTS).next().unwrap_or_default();
    let is_python = name.ends_with(".py");
    let mut is_in_doc = false;
    let lines = code.lines().map(str::trim).filter(|line| {
        if is_in_doc {
            is_in_doc = !line.ends_with("\"\"\"");
            return false;
        }
        if let Some(doc) = line.strip_prefix("\"\"\"").filter(|_| is_python) {
            is_in_doc = !doc.ends_with("\"\"\"");
            return false;
        }
        !line.is_empty()
            && !(if is_python {
                line.starts_with('#')
            } else {
                is_comment(line)
            })
    });
    lines.count()
}

fn is_comment(line: &str) -> bool {
    ["//", "*", "/*"].iter().any(|sign| line.starts_with(sign))
}

/// The errors of one adapter.
fn judged(name: &str, text: &str) -> Vec<String> {
    let code = text.split(TESTS).next().unwrap_or_default();
    let mut breaches = Vec::new();
    let lines = code.lines().count();
    if lines > MAX_LINES {
        breaches.push(format!("{name}: {lines} lines of at most {MAX_LINES}"));
    }
    let is_documented = |line: &str| {
        let line = line.trim_start();
        line.starts_with('#') || is_comment(line)
    };
    for (at, line) in code.lines().enumerate() {
        for term in PROTOCOL.iter().filter(|word| line.contains(**word)) {
            if !is_documented(line) {
                breaches.push(format!(
                    "{name}:{}: {term} is the machine's to know",
                    at + 1
                ));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_adapter_is_refused() {
        let long = "a\n".repeat(MAX_LINES + 1);
        assert_eq!(judged("a.py", &long).len(), 1);
        assert!(judged("a.py", long.split_at(2).1).is_empty());
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{long}",
            "a\n".repeat(MAX_LINES)
        );
        assert!(judged("a.rs", &tested).is_empty());
    }

    #[test]
    fn an_adapter_that_checks_protocol_parameters_is_refused() {
        assert_eq!(
            judged("a.cjs", "if (query.nonce !== known) return\n").len(),
            1
        );
        assert!(judged("a.cjs", "// The nonce is the machine's.\n").is_empty());
    }

    #[test]
    fn only_code_lines_are_counted() {
        let python = "\"\"\"One line.\"\"\"\n\nimport a  # why\n\n# No.\ndef b():\n    \"\"\"Two\n    lines.\"\"\"\n    a()\n";
        assert_eq!(code_lines("a.py", python), 3);
        let script = "'use strict'\n\n// No.\n/**\n * No.\n */\nb()\n";
        assert_eq!(code_lines("a.cjs", script), 2);
        let tested = "#[derive(Debug)]\nstruct A;\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(code_lines("a.rs", tested), 2);
    }

    #[test]
    fn the_total_size_of_a_framework_adapter_is_limited() {
        let framework = adapter("Quart", &["quart.py"]);
        assert_eq!(sum_breach(&framework, MAX_SUM), None);
        assert!(sum_breach(&framework, MAX_SUM + 1).is_some());
    }

    #[test]
    fn every_file_belongs_to_a_framework_or_is_shared() {
        let folder = |shared| AdapterFolder {
            folder: "crates/oauth-web-actix/src",
            drivers: &[],
            shared,
            adapters: &[],
        };
        let known = &["convert.rs", "lib.rs", "sign_in.rs", "user.rs"];
        assert_eq!(breaches(&folder(known)), Vec::<String>::new());
        assert_eq!(breaches(&folder(&known[1..])).len(), 1);
        let stale = &["convert.rs", "drive.rs", "lib.rs", "sign_in.rs", "user.rs"];
        assert_eq!(breaches(&folder(stale)).len(), 1);
    }

    #[test]
    fn all_adapters_meet_the_rules() {
        assert_eq!(adapters(), Vec::<String>::new());
    }
}
