//! Adapters of sign-in to frameworks carry requests and responses: they are short, and know nothing of the protocol.

use std::fs;
use std::path::Path;

use crate::shell::root;

/// The longest adapter, in lines. Tests at the end of a file of Rust do not count.
const MAX_LINES: usize = 150;

/// Where they are: folders, with the files in there that drive visits and open connections instead.
const PLACES: &[(&str, &[&str])] = &[
    ("bindings/python/python/oauth_core/web", &[]),
    ("bindings/node/js/web", &[]),
    ("crates/oauth-web-actix/src", &[]),
    // The driver of all native hosts, those of Python and Node.js among them.
    (
        "crates/oauth-web-tower/src",
        &[
            "drive.rs",
            "environment.rs",
            "grants.rs",
            "host.rs",
            "tokens.rs",
        ],
    ),
];

/// What only the machine may decide by.
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

/// The adapters that are too long, or name something of the protocol.
pub(super) fn adapters() -> Vec<String> {
    let mut breaches = Vec::new();
    for (place, others) in PLACES {
        let before = breaches.len();
        let mut seen = 0;
        visit(&root().join(place), &mut |name, text| {
            if !others.contains(&name) {
                seen += 1;
                breaches.extend(judged(&format!("{place}/{name}"), text));
            }
        });
        if seen == 0 && breaches.len() == before {
            breaches.push(format!("{place}: no adapters"));
        }
    }
    breaches
}

fn visit(place: &Path, judge: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            visit(&path, judge);
        } else if ["py", "cjs", "mjs", "rs"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")))
            && let Ok(text) = fs::read_to_string(&path)
        {
            judge(&name, &text);
        }
    }
}

/// What is wrong with one.
fn judged(name: &str, text: &str) -> Vec<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let mut breaches = Vec::new();
    let lines = code.lines().count();
    if lines > MAX_LINES {
        breaches.push(format!("{name}: {lines} lines of at most {MAX_LINES}"));
    }
    let is_comment = |line: &str| {
        let line = line.trim_start();
        ["//", "#", "*", "/*"]
            .iter()
            .any(|sign| line.starts_with(sign))
    };
    for (at, line) in code.lines().enumerate() {
        for word in PROTOCOL.iter().filter(|word| line.contains(**word)) {
            if !is_comment(line) {
                breaches.push(format!(
                    "{name}:{}: {word} is the machine's to know",
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
    fn an_adapter_decides_nothing_by_the_protocol() {
        assert_eq!(
            judged("a.cjs", "if (query.nonce !== known) return\n").len(),
            1
        );
        assert!(judged("a.cjs", "// The nonce is the machine's.\n").is_empty());
    }

    #[test]
    fn there_are_adapters_everywhere() {
        assert_eq!(adapters(), Vec::<String>::new());
    }
}
