//! The JSON parser: strictly RFC 8259, within limits.

use std::borrow::Cow;

use super::{Json, MAX_DEPTH, MAX_VALUES, MAX_VALUES_OF_KEYS, Object, number};
use crate::error::{Error, ProtocolViolation};
use crate::value::writer::unescaped_length;

/// The limits beyond which a JSON text is refused.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) depth: usize,
    pub(super) values: usize,
}

impl Limits {
    /// The limits for data from a peer.
    pub(super) const REPLY: Self = Self {
        depth: MAX_DEPTH,
        values: MAX_VALUES,
    };

    /// The limits for a set of public keys.
    pub(super) const KEY_SET: Self = Self {
        depth: MAX_DEPTH,
        values: MAX_VALUES_OF_KEYS,
    };

    /// The limits for records of this library, which contain members of a reply a few levels deeper.
    pub(super) const STORED: Self = Self {
        depth: 2 * MAX_DEPTH,
        values: usize::MAX,
    };
}

/// The reason why a JSON text is refused.
pub(super) enum Flaw {
    Syntax,
    Nesting,
    TooManyValues,
    Duplicate(String),
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Syntax => ProtocolViolation::ReplyJson.into(),
            Flaw::Nesting => ProtocolViolation::ReplyNesting.into(),
            Flaw::TooManyValues => ProtocolViolation::ReplyTooManyValues.into(),
            Flaw::Duplicate(name) => Self::from(ProtocolViolation::ReplyDuplicate).about(&name),
        }
    }
}

/// Reads one value, with nothing after it.
pub(super) fn read(text: &str, limits: Limits) -> Result<Json<'_>, Flaw> {
    let mut reader = Reader {
        rest: text,
        remaining_values: limits.values,
        deepest: limits.depth,
    };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(Flaw::Syntax)
    }
}

struct Reader<'a> {
    rest: &'a str,
    /// How many more values and members there may be.
    remaining_values: usize,
    deepest: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Flaw> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Json::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            _ => self.literal("null", Json::Null),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Flaw> {
        self.skip(1)?;
        let inside = self.increase_depth(depth)?;
        let mut items = Vec::new();
        if !self.skip_closing(b']') {
            loop {
                items.push(self.value(inside)?);
                self.count()?;
                if !self.skip_separator(b']')? {
                    break;
                }
            }
        }
        Ok(Json::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Flaw> {
        self.skip(1)?;
        // Only the top-level object gets initial capacity: a reply has a few members, but may contain many empty
        // objects.
        let mut members = Vec::with_capacity(if depth == 0 { 6 } else { 0 });
        if !self.skip_closing(b'}') {
            loop {
                self.skip_space();
                let name = match self.peek() {
                    Some(b'"') => self.string()?,
                    _ => return Err(Flaw::Syntax),
                };
                self.skip_space();
                self.rest = self.rest.strip_prefix(':').ok_or(Flaw::Syntax)?;
                let inside = self.increase_depth(depth)?;
                members.push((name, self.value(inside)?));
                self.count()?;
                if !self.skip_separator(b'}')? {
                    break;
                }
            }
        }
        let object = Object(members);
        match object.duplicate_name() {
            Some(name) => Err(Flaw::Duplicate(name.to_owned())),
            None => Ok(Json::Object(object)),
        }
    }

    fn increase_depth(&self, depth: usize) -> Result<usize, Flaw> {
        if depth < self.deepest {
            Ok(depth + 1)
        } else {
            Err(Flaw::Nesting)
        }
    }

    /// Counts one value that was found.
    fn count(&mut self) -> Result<(), Flaw> {
        self.remaining_values = self
            .remaining_values
            .checked_sub(1)
            .ok_or(Flaw::TooManyValues)?;
        Ok(())
    }

    /// Skips the closing character of an empty list or object, and returns whether there was one.
    fn skip_closing(&mut self, end: u8) -> bool {
        self.skip_space();
        let is_end = self.peek() == Some(end);
        is_end && self.skip(1).is_ok()
    }

    /// Skips the separator after an element: a comma (returns true) or the closing character (returns false).
    fn skip_separator(&mut self, end: u8) -> Result<bool, Flaw> {
        self.skip_space();
        let next = self.peek();
        if next != Some(b',') && next != Some(end) {
            return Err(Flaw::Syntax);
        }
        self.skip(1)?;
        Ok(next == Some(b','))
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Flaw> {
        self.rest = self.rest.strip_prefix(word).ok_or(Flaw::Syntax)?;
        Ok(value)
    }

    fn number(&mut self) -> Result<Json<'a>, Flaw> {
        let bytes = self.rest.as_bytes();
        let digits_from = |start: usize| {
            let digits = bytes.iter().skip(start);
            start + digits.take_while(|byte| byte.is_ascii_digit()).count()
        };
        let start = usize::from(bytes.first() == Some(&b'-'));
        let mut end = digits_from(start);
        // At least one digit, and no leading zero.
        if end == start || (bytes.get(start) == Some(&b'0') && end > start + 1) {
            return Err(Flaw::Syntax);
        }
        let integer_end = end;
        if bytes.get(end) == Some(&b'.') {
            let start = end + 1;
            end = digits_from(start);
            if end == start {
                return Err(Flaw::Syntax);
            }
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let is_signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
            let start = end + 1 + usize::from(is_signed);
            end = digits_from(start);
            if end == start {
                return Err(Flaw::Syntax);
            }
        }
        let text = self.take(end)?;
        let exact = if end > integer_end {
            None
        } else if start == 0 {
            text.parse().ok().map(Json::Unsigned)
        } else {
            let number = text.parse().ok().filter(|number| *number != 0);
            number.map(Json::Negative)
        };
        Ok(exact.unwrap_or_else(|| Json::Float(number::read(text))))
    }

    /// The string that begins at the current quotation mark: borrowed, unless it contains an escape.
    fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.skip(1)?;
        let unescaped = self.unescaped_run()?;
        if self.peek() == Some(b'"') {
            self.skip(1)?;
            return Ok(Cow::Borrowed(unescaped));
        }
        let mut text = unescaped.to_owned();
        loop {
            let next = self.peek();
            self.skip(1)?;
            match next {
                Some(b'"') => return Ok(Cow::Owned(text)),
                Some(b'\\') => text.push(self.escape_sequence()?),
                _ => return Err(Flaw::Syntax),
            }
            text.push_str(self.unescaped_run()?);
        }
    }

    /// Everything before the next quotation mark, backslash or control character.
    fn unescaped_run(&mut self) -> Result<&'a str, Flaw> {
        let length = unescaped_length(self.rest.as_bytes());
        self.take(length)
    }

    fn escape_sequence(&mut self) -> Result<char, Flaw> {
        let next = self.peek();
        self.skip(1)?;
        Ok(match next {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut code = self.hex_unit()?;
                // RFC 8259 section 7: a character beyond the first plane is a pair of surrogates.
                if (0xd800..0xdc00).contains(&code) {
                    self.rest = self.rest.strip_prefix("\\u").ok_or(Flaw::Syntax)?;
                    let low = self.hex_unit()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(Flaw::Syntax);
                    }
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).ok_or(Flaw::Syntax)?
            }
            _ => return Err(Flaw::Syntax),
        })
    }

    /// Four hexadecimal digits.
    fn hex_unit(&mut self) -> Result<u32, Flaw> {
        let digits = self.take(4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Flaw::Syntax);
        }
        u32::from_str_radix(digits, 16).map_err(|_| Flaw::Syntax)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn skip(&mut self, length: usize) -> Result<(), Flaw> {
        self.take(length).map(drop)
    }

    fn take(&mut self, length: usize) -> Result<&'a str, Flaw> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Flaw::Syntax)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip_space(&mut self) {
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
        let space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let length = self.rest.as_bytes().iter().take_while(space).count();
        self.rest = self.rest.get(length..).unwrap_or_default();
    }
}
