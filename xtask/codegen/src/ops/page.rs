//! The documentation page: every operation, its arguments and its result.

use std::error::Error;
use std::fmt::Write as _;

use oauth_facade::{Exposure, FieldDoc, Kind, Shape};

use super::{arguments, camel, inner, is_secret, paragraphs, records, table};
use crate::HEADER;

/// Every operation and every record.
pub(crate) fn page(_: &str) -> Result<String, Box<dyn Error>> {
    let mut page = format!("<!-- {HEADER} -->\n\n{INTRODUCTION}");
    for (number, entry) in table()? {
        let _ = write!(page, "\n## {}\n", entry.name);
        for text in paragraphs(entry.text) {
            let _ = write!(page, "\n{text}\n");
        }
        page += "\n| argument | type | meaning |\n| --- | --- | --- |\n";
        for field in arguments(entry) {
            page += &row(field, field.is_optional);
        }
        let outcome = match entry.outcome {
            Kind::Nothing => "nothing".to_owned(),
            Kind::Tokens => "tokens".to_owned(),
            Kind::Authorization => "a flow and its URL".to_owned(),
            Kind::Record(record) => {
                let name = record.name;
                let is_vowel = name.starts_with(['A', 'E', 'I', 'O', 'U']);
                let article = if is_vowel && !name.starts_with("User") {
                    "an"
                } else {
                    "a"
                };
                format!("{article} [{name}](#{})", name.to_lowercase())
            }
        };
        let camel = camel(entry.name);
        let offered = match entry.exposure {
            Exposure::All => format!(
                "Python `client.{0}`, `client.a{0}`, `client.exchange.{0}`; Node.js `client.{camel}`, \
                 `client.exchange.{camel}`",
                entry.name
            ),
            Exposure::Exchange => format!(
                "Python `client.exchange.{}`; Node.js `client.exchange.{camel}`",
                entry.name
            ),
        };
        let browser = if entry.is_in_browser {
            ""
        } else {
            " Not in browsers."
        };
        let _ = write!(
            page,
            "\nReturns {outcome}. {offered}.{browser} Operation number {number}.\n"
        );
    }
    page += "\n# Records\n";
    for record in records() {
        let _ = write!(page, "\n## {}\n", record.name);
        for text in paragraphs(record.text) {
            let _ = write!(page, "\n{text}\n");
        }
        page += "\n| member | type | meaning |\n| --- | --- | --- |\n";
        for member in record.members {
            page += &row(member, matches!(member.shape, Shape::Maybe(_)));
        }
    }
    Ok(page)
}

fn row(field: &FieldDoc, is_optional: bool) -> String {
    let kind = match inner(field.shape) {
        _ if is_secret(field) => "string, secret".to_owned(),
        Shape::Word(_, variants) => {
            let variants: Vec<_> = variants
                .iter()
                .map(|variant| format!("`{variant}`"))
                .collect();
            variants.join(" or ")
        }
        Shape::Flag => "flag".to_owned(),
        Shape::Whole => "integer".to_owned(),
        Shape::Names => "scope names".to_owned(),
        Shape::Texts => "strings".to_owned(),
        Shape::OneOrMore => "string or strings".to_owned(),
        Shape::Pairs => "object of strings, secret".to_owned(),
        Shape::Time => "time".to_owned(),
        Shape::Json => "any members".to_owned(),
        Shape::JsonText => "list or object".to_owned(),
        Shape::Tokens => "tokens".to_owned(),
        Shape::Record(record) => format!("[{0}](#{1})", record.name, record.name.to_lowercase()),
        Shape::Text | Shape::Secret | Shape::Personal | Shape::Maybe(_) => "string".to_owned(),
    };
    let optional = if is_optional { ", optional" } else { "" };
    let text = paragraphs(field.text).join(" ");
    format!("| `{}` | {kind}{optional} | {text} |\n", field.name)
}

/// The operations that need a row in the table of languages, one per line.
pub(crate) fn list(_: &str) -> Result<String, Box<dyn Error>> {
    let lines = table()?.into_iter().map(|(_, entry)| {
        let (name, browser) = (entry.name, entry.is_in_browser);
        format!("  {{ \"name\": \"{name}\", \"browser\": {browser} }}")
    });
    let lines: Vec<_> = lines.collect();
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

const INTRODUCTION: &str = "\
# Operations

The operations of a client, which every language offers. Names are in the case of the language: `client_id` is
`clientId` in JavaScript. Arguments are keywords in Python and members of one object in JavaScript. Errors are those of
[ERRORS.md](../oauth-core/ERRORS.md). An operation's number identifies it between a binding and the core.
";
