//! Node.js and the browser: the classes, their types, and the codes as unions.

use std::error::Error;

use oauth_core::error::{Class, Row};

use crate::errors::{advice, class_name, hints, name, rows};
use crate::ops::javascript_names;
use crate::{HEADER, region};

/// The unions of codes, the same in both packages.
pub(crate) fn codes(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!("// {HEADER}\n\n");
    module += "/** What a program should do about an error. */\n";
    module += &union("Advice", advice().into_iter());
    for &class in Class::ALL {
        module += &format!("/** {} */\n", class.text());
        module += &union(&format!("{}Code", name(class)), rows(class).map(Row::code));
    }
    let error_codes = Class::ALL
        .iter()
        .map(|class| format!("{}Code", name(*class)));
    let error_codes: Vec<_> = error_codes.collect();
    module += "/** Every code there is. */\n";
    module += &format!("export type ErrorCode = {}\n", error_codes.join(" | "));
    Ok(module)
}

/// Node.js: the hints, loaded on first use.
pub(crate) fn node_hints(_: &str) -> Result<String, Box<dyn Error>> {
    Ok(format!(
        "// {HEADER}\n'use strict'\n\nmodule.exports = {}",
        table()
    ))
}

/// The browser: the hints, in a file that only pages which show them load.
pub(crate) fn browser_hints(_: &str) -> Result<String, Box<dyn Error>> {
    Ok(format!(
        "// {HEADER}\n\nconst hints = {}\n\
         /** What usually helps against an error of this code, if its message does not say it all. */\n\
         export const hintFor = (code) => hints[code]\n",
        table()
    ))
}

/// The types of that file.
pub(crate) fn browser_hint_types(_: &str) -> Result<String, Box<dyn Error>> {
    Ok(format!(
        "// {HEADER}\nimport type {{ ErrorCode }} from './error-codes.js'\n\n\
         /** What usually helps against an error of this code, if its message does not say it all. */\n\
         export function hintFor(code: ErrorCode): string | undefined\n"
    ))
}

fn table() -> String {
    let rows: String = hints()
        .map(|(code, hint)| (code, javascript_names(hint)))
        .map(|(code, hint)| format!("  '{code}': '{}',\n", hint.replace('\'', "\\'")))
        .collect();
    format!("{{\n{rows}}}\n")
}

fn union<'a>(name: &str, variants: impl Iterator<Item = &'a str>) -> String {
    let variants: String = variants
        .map(|variant| format!("  | '{variant}'\n"))
        .collect();
    format!("export type {name} =\n{variants}")
}

pub(crate) fn node_classes(now: &str) -> Result<String, Box<dyn Error>> {
    region(now, "//", &classes(""))
}

pub(crate) fn browser_classes(now: &str) -> Result<String, Box<dyn Error>> {
    region(now, "//", &classes("export "))
}

pub(crate) fn node_types(now: &str) -> Result<String, Box<dyn Error>> {
    region(now, "//", &types())
}

pub(crate) fn browser_types(now: &str) -> Result<String, Box<dyn Error>> {
    region(now, "//", &types())
}

/// The classes, and which one a record's `kind` is.
fn classes(before: &str) -> String {
    let mut body = String::new();
    for &class in Class::ALL {
        let (name, text) = (class_name(class), class.text());
        body += &format!("/** {text} */\n{before}class {name} extends OAuthError {{}}\n");
    }
    body += "\nconst classes = {\n";
    for &class in Class::ALL {
        body += &format!("  {}: {},\n", class.as_str(), class_name(class));
    }
    body + "}\n"
}

fn types() -> String {
    let declared = Class::ALL.iter().map(|&class| {
        let (name, text, kind) = (name(class), class.text(), class.as_str());
        format!(
            "/** {text} */\nexport class {name}Error extends OAuthError {{\n  \
             readonly kind: '{kind}'\n  readonly code: {name}Code\n}}\n"
        )
    });
    declared.collect()
}
