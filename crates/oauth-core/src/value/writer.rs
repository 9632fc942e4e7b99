//! The JSON writer: the same bytes as serde_json, with less code.

use super::{Map, Value, number};
use crate::browser_build::IS_BROWSER_BUILD;

/// The members of an object that is being written.
pub struct Members<'o> {
    out: &'o mut String,
    is_first: bool,
}

impl<'o> Members<'o> {
    /// Opens an object at the end of `out`.
    pub fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self {
            out,
            is_first: true,
        }
    }

    /// Continues an object that has members already.
    pub(crate) fn resume(out: &'o mut String) -> Self {
        Self {
            out,
            is_first: false,
        }
    }

    /// Starts the next member. The caller pushes its value to the returned string.
    pub fn next(&mut self, name: &str) -> &mut String {
        if !self.is_first {
            self.out.push(',');
        }
        self.is_first = false;
        string(name, self.out);
        self.out.push(':');
        self.out
    }

    /// Writes the next member: a string.
    pub fn text(&mut self, name: &str, text: &str) {
        string(text, self.next(name));
    }

    /// Writes the next member: a string in parts.
    #[cfg(feature = "sha2")]
    pub(crate) fn texts(&mut self, name: &str, parts: &[&str]) {
        let list = self.next(name);
        list.push('"');
        for part in parts {
            push_content(part, list);
        }
        list.push('"');
    }

    /// Writes the next member: an integer.
    pub fn number(&mut self, name: &str, number: u64) {
        push_number(number, self.next(name));
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// Writes a list.
pub(crate) fn list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// Writes a string, with the necessary escapes.
pub(crate) fn string(text: &str, out: &mut String) {
    out.push('"');
    push_content(text, out);
    out.push('"');
}

/// Writes the content between the quotation marks.
fn push_content(text: &str, out: &mut String) {
    // Nearly every string needs no escapes.
    if unescaped_length(text.as_bytes()) == text.len() {
        out.push_str(text)
    } else {
        push_escaped(text, out)
    }
}

/// The number of bytes before the first that must not occur unescaped in a string. Checks eight at a time, because
/// tokens are long.
pub(crate) fn unescaped_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The highest bit of each byte that is zero, and perhaps of some after the first.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, tail) = bytes.as_chunks();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7);
        let ends = control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c));
        if ends != 0 {
            return length + ends.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    length + tail.iter().take_while(is_plain).count()
}

/// Writes a number.
fn push_number(number: u64, out: &mut String) {
    if IS_BROWSER_BUILD {
        // Slower, but half the code: a page writes few numbers.
        if number > 9 {
            push_number(number / 10, out);
        }
        return out.push(char::from(b'0' + (number % 10) as u8));
    }
    // As many digits as any number has.
    let mut digits = [0; 20];
    let (mut rest, mut length) = (number, 0);
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    let written = digits.get(20 - length..).unwrap_or_default();
    out.push_str(std::str::from_utf8(written).unwrap_or_default());
}

fn push_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        let short_escape = match c {
            '"' => '"',
            '\\' => '\\',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\0'..='\u{1f}' => {
                let digit = |digit: u32| char::from_digit(digit, 16).unwrap_or_default();
                out.push_str("\\u00");
                out.push(digit(u32::from(c) >> 4));
                out.push(digit(u32::from(c) & 15));
                continue;
            }
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push('\\');
        out.push(short_escape);
    }
}

/// Writes any value.
pub(crate) fn value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => out.push_str(&number.to_string()),
            (_, Some(number), _) => out.push_str(&number.to_string()),
            (_, _, Some(number)) => number::write(number, out),
            _ => out.push_str("null"),
        },
        Value::String(text) => string(text, out),
        Value::Array(items) => list(items, out, self::value),
        Value::Object(members) => object(members, out),
    }
}

#[allow(clippy::explicit_iter_loop)] // a page's map has no other way
pub(crate) fn object(members: &Map<String, Value>, out: &mut String) {
    let mut writer = Members::begin(out);
    for (name, member) in members.iter() {
        value(member, writer.next(name));
    }
    writer.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 9, 10, 1_764_000_000, u64::MAX - 1, u64::MAX] {
            let mut written = String::new();
            push_number(number, &mut written);
            assert_eq!(written, number.to_string());
        }
    }
}
