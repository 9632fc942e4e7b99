//! Explains the syntax errors of a profile file, without its values, which could be secrets.

use super::Profile;
use crate::output::printable;

/// The parser's error with the line number and the field, but without the line, which could contain a secret.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let location = match profile_at(text, number) {
        Some(name) => format!("profile `{name}`, line {number}"),
        None => format!("line {number}"),
    };
    let message = error.message().lines().next().unwrap_or_default();
    if let Some(suggestion) = suggest_field(message) {
        return format!("{location}: {suggestion}");
    }
    let message = without_values(message);
    let line = text.lines().nth(number - 1).unwrap_or_default();
    match profile_field(line) {
        Some(field) if !message.contains('`') => format!("{location}, `{field}`: {message}"),
        _ => format!("{location}: {message}"),
    }
}

/// The name of the profile whose table has this line.
fn profile_at(text: &str, number: usize) -> Option<String> {
    let lines: Vec<_> = text.lines().take(number).map(str::trim).collect();
    let header = lines.iter().rfind(|line| line.starts_with('['))?;
    let table = toml::from_str::<toml::Table>(header).ok()?;
    let name = table.get("profile")?.as_table()?.keys().next()?;
    Some(printable(name))
}

/// The parser's message without text from the file: without quoted parts, in which a quote is escaped, and without a
/// value that is not one of an enumeration.
fn without_values(message: &str) -> String {
    if let Some(unknown) = message.strip_prefix("unknown variant `") {
        let expected = unknown.rsplit_once("`, expected ");
        return expected.map_or("unknown value".to_owned(), |(_, expected)| {
            format!("unknown value, expected {expected}")
        });
    }
    let message = message.replace("\\\\", "").replace("\\\"", "");
    message
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join("...")
}

/// An unknown field with the known one that was probably meant, instead of all that are known.
fn suggest_field(message: &str) -> Option<String> {
    let mut quoted = message
        .strip_prefix("unknown field")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown_name = quoted.next()?;
    let is_near = |known: &&str| {
        let is_longer =
            known.len() > 2 && (unknown_name.starts_with(known) || known.starts_with(unknown_name));
        is_longer || edit_distance(unknown_name, known) <= 2
    };
    let known = quoted
        .filter(is_near)
        .min_by_key(|known| edit_distance(unknown_name, known))?;
    Some(format!(
        "unknown field `{unknown_name}`: perhaps `{known}` is meant"
    ))
}

/// The field that a line sets, if it is one of a profile: other text of a file is not repeated.
fn profile_field(line: &str) -> Option<&str> {
    let name = line.split_once('=')?.0.trim();
    let unknown = toml::from_str::<Profile>("unknown = 0").err()?;
    let mut known = unknown.message().split('`').skip(1).step_by(2);
    known.any(|known| known == name).then_some(name)
}

/// The number of letters to insert, remove or replace (the Levenshtein distance).
fn edit_distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, &above) in other.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances_are_computed() {
        for (one, other, expected) in [
            ("", "", 0),
            ("scope", "scopes", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn errors_name_the_field_and_never_show_its_value() {
        let of = |text: &str| {
            let error = toml::from_str::<super::super::File>(text).unwrap_err();
            explain(text, &error)
        };
        assert_eq!(
            of("[profile.a]\nscopes = \"S3CRET\"\n"),
            "profile `a`, line 2: unknown field `scopes`: perhaps `scope` is meant"
        );
        let wrong = of("[profile.a]\nscope = [\"S3CRET\"]\n");
        assert!(
            wrong.starts_with("profile `a`, line 2, `scope`: invalid type: sequence"),
            "{wrong}"
        );
        let other = of("[profile.a]\nnonsense = 1\n");
        assert!(other.contains("`provider`"), "{other}");
        for text in [
            "client_id = S3CRET",
            r#"origins = "S3CR\"S3CRET""#,
            r#"redirect_uris = "S3\\\"S3CRET\\""#,
            "as = \"S3CRET\"",
            "as = \"S3C`RET, S3CRET`\"",
        ] {
            let shown = of(&format!("[profile.a]\n{text}\n"));
            assert!(!shown.contains("RET"), "{shown}");
        }
    }
}
