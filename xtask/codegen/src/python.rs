//! Python: the classes, and the codes as literal types.

use std::error::Error;

use oauth_core::error::{Class, Row};

use crate::errors::{advice, class_name, hints, name, rows};
use crate::{HEADER, region};

/// The classes, and which one a record's `kind` is.
pub(crate) fn classes(now: &str) -> Result<String, Box<dyn Error>> {
    let mut body = String::new();
    for &class in Class::ALL {
        let more = match class {
            Class::Lost => "\n\n    The cause is in ``__cause__``.\n    ",
            _ => "",
        };
        let (name, text) = (name(class), class.text());
        body += &format!(
            "\n\nclass {name}Error(OAuthError):\n    \"\"\"{text}{more}\"\"\"\n\n    code: {name}Code  {NARROWER}\n"
        );
    }
    body += "\n\nCLASSES: dict[str, type[OAuthError]] = {\n";
    for &class in Class::ALL {
        body += &format!("    \"{}\": {},\n", class.as_str(), class_name(class));
    }
    body += "}\n";
    region(now, "#", &body)
}

/// The code of an existing error is never set, so a narrower type is sound.
const NARROWER: &str = "# pyright: ignore[reportIncompatibleVariableOverride]";

/// A module that only type checkers need: it imports `typing`.
pub(crate) fn codes(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!("# {HEADER}\n{INTRODUCTION}");
    module += &literal("Advice", advice().into_iter());
    for &class in Class::ALL {
        module += &literal(&format!("{}Code", name(class)), rows(class).map(Row::code));
    }
    let error_codes = Class::ALL
        .iter()
        .map(|class| format!("{}Code", name(*class)));
    let error_codes: Vec<_> = error_codes.collect();
    module += &format!("ErrorCode = Literal[{}]\n", error_codes.join(", "));
    Ok(module)
}

/// The hints, loaded on first use.
pub(crate) fn hint_table(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!("# {HEADER}\n{HINTS}");
    for (code, hint) in hints() {
        // Rust and Python escape the same characters.
        module += &format!("    \"{code}\": {hint:?},\n");
    }
    Ok(module + "}\n")
}

const HINTS: &str = "\
\"\"\"What usually helps: ``OAuthError.hint``.\"\"\"

HINTS: dict[str, str] = {
";

const INTRODUCTION: &str = "\
\"\"\"What ``OAuthError.advice`` and ``OAuthError.code`` can be.\"\"\"

from typing import Literal

";

fn literal<'a>(name: &str, variants: impl Iterator<Item = &'a str>) -> String {
    let variants: String = variants
        .map(|variant| format!("    \"{variant}\",\n"))
        .collect();
    format!("{name} = Literal[\n{variants}]\n")
}
