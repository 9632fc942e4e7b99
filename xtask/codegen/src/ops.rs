//! The operations: helpers for the generators of every language.

pub(crate) mod claims;
pub(crate) mod node;
pub(crate) mod page;
pub(crate) mod python;
pub(crate) mod web;

use std::collections::BTreeSet;
use std::error::Error;

pub(crate) use oauth_facade::camel;
use oauth_facade::{Description, Entry, FieldDoc, Kind, Shape, TABLE};

/// Names that no argument may have: keywords of the generated languages, and the additional parameters
/// of their methods.
const TAKEN: &[&str] = &[
    "and",
    "args",
    "arguments",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "elif",
    "else",
    "enum",
    "eval",
    "except",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "from",
    "function",
    "global",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "is",
    "lambda",
    "let",
    "match",
    "moment",
    "new",
    "nonlocal",
    "not",
    "null",
    "number",
    "options",
    "or",
    "package",
    "pass",
    "private",
    "protected",
    "public",
    "raise",
    "return",
    "self",
    "signal",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "timeout_ms",
    "true",
    "try",
    "type",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// The table with its numbers, after a check that every name is valid in every language.
pub(crate) fn table() -> Result<Vec<(u32, &'static Entry)>, Box<dyn Error>> {
    for entry in TABLE {
        let members = match entry.outcome {
            Kind::Record(record) => record.members,
            Kind::Nothing | Kind::Tokens | Kind::Authorization => &[],
        };
        for field in arguments(entry).chain(members) {
            check(entry.name, field.name)?;
        }
        check(entry.name, entry.name)?;
        let json = members
            .iter()
            .filter(|member| matches!(member.shape, Shape::Json));
        if entry.is_in_browser && !members.is_empty() && json.count() != 1 {
            return Err(format!("{}: a browser gets the one JSON member", entry.name).into());
        }
    }
    Ok((0..).zip(TABLE).collect())
}

fn check(of: &str, name: &str) -> Result<(), Box<dyn Error>> {
    if TAKEN.contains(&name) {
        Err(format!("{of}: a language has {name} for something else").into())
    } else {
        Ok(())
    }
}

/// The arguments of an operation, in order.
pub(crate) fn arguments(entry: &'static Entry) -> impl Iterator<Item = &'static FieldDoc> {
    entry.arguments.iter().copied().flatten()
}

/// The records, each once, after those that it contains.
pub(crate) fn records() -> Vec<&'static Description> {
    let mut seen_names = BTreeSet::new();
    let record_structs = TABLE.iter().filter_map(|entry| match entry.outcome {
        Kind::Record(record) => Some(record),
        Kind::Nothing | Kind::Tokens | Kind::Authorization => None,
    });
    let record_structs = record_structs.flat_map(|record| {
        let within = record.members.iter().filter_map(within);
        within.chain([record]).collect::<Vec<_>>()
    });
    record_structs
        .filter(|record| seen_names.insert(record.name))
        .collect()
}

/// The record type of a member.
pub(crate) const fn within(member: &FieldDoc) -> Option<&'static Description> {
    match inner(member.shape) {
        Shape::Record(record) => Some(record),
        _ => None,
    }
}

/// The enumerated values of arguments, by the name of their type.
pub(crate) fn word_types() -> Vec<(&'static str, &'static [&'static str])> {
    let mut found = Vec::new();
    let members = records().into_iter().flat_map(|record| record.members);
    for field in TABLE.iter().flat_map(arguments).chain(members) {
        if let Shape::Word(name, variants) = inner(field.shape)
            && !found.contains(&(name, variants))
        {
            found.push((name, variants));
        }
    }
    found
}

/// The shape without its optional marker.
pub(crate) const fn inner(shape: Shape) -> Shape {
    match shape {
        Shape::Maybe(shape) => inner(*shape),
        shape => shape,
    }
}

/// Whether a member is secret.
pub(crate) const fn is_secret(field: &FieldDoc) -> bool {
    matches!(inner(field.shape), Shape::Secret)
}

/// Whether a member is personal data.
pub(crate) const fn is_personal(field: &FieldDoc) -> bool {
    matches!(inner(field.shape), Shape::Personal)
}

/// The paragraphs of a string, each in one line.
pub(crate) fn paragraphs(text: &[&str]) -> Vec<String> {
    let lines: Vec<_> = text.iter().map(|line| line.trim()).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(" "))
        .collect()
}

/// Our own names in texts, which are written in the case of the language. Others, such as `redirect_uris`, are
/// parameters and claims of the specifications, which are the same everywhere.
const OWN_NAMES: &[&str] = &[
    "client_metadata",
    "dpop_forget_at",
    "dpop_replay_key",
    "email_verified",
    "expires_at",
    "request_object",
];

/// The paragraphs of a string for JavaScript: operations and our own names are in its case.
pub(crate) fn javascript_paragraphs(text: &[&str]) -> Vec<String> {
    let in_case = |paragraph: String| javascript_names(&paragraph);
    paragraphs(text).into_iter().map(in_case).collect()
}

/// A text for JavaScript: operations and our own names are in its case.
pub(crate) fn javascript_names(text: &str) -> String {
    let operations = TABLE.iter().map(|entry| entry.name);
    let names = operations.chain(OWN_NAMES.iter().copied());
    names.fold(text.to_owned(), |text, name| {
        text.replace(&format!("`{name}`"), &format!("`{}`", camel(name)))
    })
}

/// A string in lines of at most `width`, including the indentation.
pub(crate) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.len());
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join(&format!("\n{indent}"))
}

/// `device_authorization` as the name of a type: `DeviceAuthorization`.
pub(crate) fn pascal(name: &str) -> String {
    camel(&format!("_{name}"))
}

/// The fingerprint, as written in both halves of a package.
pub(crate) fn fingerprint() -> String {
    format!("{:016x}", oauth_facade::FINGERPRINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_case_of_each_language() {
        assert_eq!(camel("expires_at"), "expiresAt");
        assert_eq!(camel("token"), "token");
        assert_eq!(pascal("client_credentials"), "ClientCredentials");
    }

    #[test]
    fn argument_names_are_no_keywords() {
        assert!(table().is_ok());
        for name in ["from", "class", "moment", "await"] {
            assert!(check("an operation", name).is_err(), "{name}");
        }
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 9, "  "), "one two\n  three");
        assert_eq!(wrapped("incomprehensible", 8, "  "), "incomprehensible");
        let text = [" One,", " two.", "", " Three."];
        assert_eq!(paragraphs(&text), ["One, two.", "Three."]);
        let text = ["As for `read_registration`: `request_object`, `redirect_uris`."];
        let own = "As for `readRegistration`: `requestObject`, `redirect_uris`.";
        assert_eq!(javascript_paragraphs(&text), [own]);
    }
}
