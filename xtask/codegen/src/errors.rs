//! The documentation page, and helpers for the other generators.

use std::error::Error;

use oauth_core::error::{Advice, Class, Row};

use crate::HEADER;

/// The rows of a class.
pub(crate) fn rows(class: Class) -> impl Iterator<Item = Row> {
    Row::all().filter(move |row| row.class() == class)
}

/// The name of a class in Rust: `Denied`.
pub(crate) fn name(class: Class) -> String {
    format!("{class:?}")
}

/// The name of a class in every other language: `DeniedError`.
pub(crate) fn class_name(class: Class) -> String {
    format!("{class:?}Error")
}

/// Every advice by name.
pub(crate) fn advice() -> [&'static str; 3] {
    let retry = Advice::Retry { after: None };
    [retry, Advice::Reauthorize, Advice::GiveUp].map(Advice::as_str)
}

/// URLs of examples as code: rustdoc rejects bare URLs, and these do not exist.
fn without_links(hint: &str) -> String {
    let words = hint
        .split(' ')
        .map(|word| match word.trim_end_matches([',', ';', ':']) {
            url if url.contains("://") => word.replace(url, &format!("`{url}`")),
            _ => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// Every code that has a hint, with it.
pub(crate) fn hints() -> impl Iterator<Item = (&'static str, &'static str)> {
    Row::all().filter_map(|row| Some((row.code(), row.hint()?)))
}

/// Every code, with its meaning and the advice.
pub(crate) fn page(_: &str) -> Result<String, Box<dyn Error>> {
    let mut page = format!("<!-- {HEADER} -->\n\n{INTRODUCTION}");
    for &class in Class::ALL {
        let (name, text) = (name(class), class.text());
        page += &format!("\n## {name}\n\n{text}\n\n");
        page += "| code | advice | meaning | what usually helps |\n| --- | --- | --- | --- |\n";
        for row in rows(class) {
            let (code, advice) = (row.code(), row.advice().as_str());
            let text = match row {
                // The server's own error code.
                Row::Denied(_) if code == format!("denied.{}", row.text()) => {
                    format!("the server said `{}`", row.text())
                }
                Row::Denied(_) if code.starts_with("denied.") => {
                    format!("the server gave {}", row.text())
                }
                _ => row.text().to_owned(),
            };
            let hint = without_links(row.hint().unwrap_or_default());
            page += &format!("| `{code}` | `{advice}` | {text} | {hint} |\n");
        }
    }
    Ok(page)
}

const INTRODUCTION: &str = "\
# Errors

Every error has a class, which says whose fault it was, a code to match on, and advice. They are the
same in every language: a refusal is `Kind::Denied` in Rust, `DeniedError` in Python, in Node.js and
in the browser, and `\"code\": \"denied.access_denied\"` is what `oauth --json` prints.
Texts for people may change; a code is never renamed and never takes another meaning. What usually
helps is `Error::hint` in Rust, `error.hint` in Python and Node.js, and `hintFor(code)` of
`oauth-core-web/hints` in the browser.

| advice | what to do |
| --- | --- |
| `retry` | the same request may succeed later, not before the pause the server asked for |
| `reauthorize` | the grant has ended: the user, or the client with its own credentials, must authorize again |
| `give_up` | a repeated request changes nothing: configuration or code must change |

The tables show the advice of the code alone. An error may know better: where an authorization code
may be spent, `retry` becomes `reauthorize`; where the status says to come back later (408, 429,
503), `give_up` becomes `retry`.

An error caused by a server's response, or by its absence, has the `url` that was requested: scheme,
host and path, and of an API only the origin. `retry_after` is in seconds, and only errors whose
advice is `retry` have it: a source that failed to get a token always sets it, to at least 1; a
single request sets it if the server named a pause.
";
