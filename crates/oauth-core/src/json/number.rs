//! Numbers that serde_json does not hand over as they are.

use std::borrow::Cow;

use super::Json;

/// How serde_json begins its word about a number that f64 cannot hold.
pub(super) const OUT_OF_RANGE: &str = "number out of range";

/// The name under which serde_json hands over a number's text, if any crate of the program has
/// switched its feature `arbitrary_precision` on.
const TEXT_OF_NUMBER: &str = "$serde_json::private::Number";

/// The number that stands in a map of serde_json's own.
pub(super) fn of_members(members: &[(Cow<'_, str>, Json<'_>)]) -> Option<Json<'static>> {
    match members {
        [(name, Json::String(text))] if name == TEXT_OF_NUMBER => {
            let number: f64 = text.parse().ok()?;
            Some(Json::Float(number.clamp(f64::MIN, f64::MAX)))
        }
        _ => None,
    }
}

/// `text` with each number beyond the range of f64 replaced by the end of that range.
pub(super) fn saturated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, token) = rest.split_at(start);
        out.push_str(before);
        let is_text = token.starts_with('"');
        let end = if is_text {
            end_of_string(token)
        } else {
            let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
            token.find(|c| !is_part(c)).unwrap_or(token.len())
        };
        let (token, after) = token.split_at(end);
        match token.parse::<f64>() {
            Ok(number) if !is_text && number.is_infinite() => {
                let end = if number > 0.0 { f64::MAX } else { f64::MIN };
                out.push_str(&format!("{end:e}"));
            }
            _ => out.push_str(token),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where the string that `text` begins with ends.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
