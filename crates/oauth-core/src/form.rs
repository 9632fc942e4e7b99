//! Encoding and decoding of `application/x-www-form-urlencoded` (RFC 6749 appendix B, URL Standard).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::error::{Error, Misuse};
use crate::secret::{self, Wipe as _};

/// A form under construction. It records whether a name was added twice; [`Self::check`] then refuses it.
///
/// It may hold secrets: `Debug` shows only names, and the buffer is overwritten on drop.
#[derive(Clone, Default)]
pub struct Form {
    text: String,
    duplicate_name: Option<String>,
    begins: Begins,
}

/// The start positions of the first parameters, with which each new name is compared to find duplicates. Sized for the
/// usual number of parameters; later ones are found by a search of the text.
#[derive(Clone, Copy, Default)]
struct Begins {
    at: [u32; Self::MAX],
    count: usize,
}

impl Begins {
    const MAX: usize = 16;

    fn push(&mut self, at: usize) {
        if let (Some(slot), Ok(at)) = (self.at.get_mut(self.count), u32::try_from(at)) {
            (*slot, self.count) = (at, self.count + 1);
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.at.iter().take(self.count).map(|&at| at as usize)
    }
}

impl Form {
    /// An empty form.
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            duplicate_name: None,
            begins: Begins {
                at: [0; Begins::MAX],
                count: 0,
            },
        }
    }

    /// Adds a parameter that may occur only once.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.names(name) {
            self.duplicate_name.get_or_insert_with(|| name.to_owned());
        }
        self.push_repeated(name, value);
    }

    /// Adds a parameter if it has a value.
    pub fn push_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Adds a parameter that may occur several times, such as `resource` (RFC 8707).
    pub fn push_repeated(&mut self, name: &str, value: &str) {
        self.grow(name.len() + value.len() + 2);
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.begins.push(self.text.len());
        encode(name, &mut self.text);
        self.text.push('=');
        encode(value, &mut self.text);
    }

    /// Whether the form has a parameter of this name.
    pub fn names(&self, name: &str) -> bool {
        let mut encoded = String::new();
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_plain {
            encode(name, &mut encoded);
        }
        let name = if is_plain { name } else { &encoded };
        let (name, text) = (name.as_bytes(), self.text.as_bytes());
        let has_name = |pair: &[u8]| {
            pair.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(b"="))
        };
        let pair_at = |at| text.get(at..).unwrap_or_default();
        if self.begins.iter().map(pair_at).any(has_name) {
            return true;
        }
        // Parameters after the last recorded position are found by a search.
        let last = self.begins.iter().next_back();
        let unindexed_from = last.filter(|_| self.begins.count == Begins::MAX);
        unindexed_from.is_some_and(|last| pair_at(last).split(|&b| b == b'&').any(has_name))
    }

    /// Whether the form is empty.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The encoded text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks that no parameter occurs twice that may occur only once.
    ///
    /// # Errors
    /// `form.duplicate_parameter`, naming it.
    pub fn check(&self) -> Result<(), Error> {
        match &self.duplicate_name {
            Some(name) => Err(Error::from(Misuse::ParameterTwice).about(name)),
            None => Ok(()),
        }
    }

    /// The form without the parameters of this name.
    pub(crate) fn without_parameter(&self, name: &str) -> Self {
        let mut form = Self::new();
        form.duplicate_name.clone_from(&self.duplicate_name);
        // Cannot fail: the text was encoded from UTF-8.
        for (parameter_name, value) in parse(&self.text).unwrap_or_default() {
            if parameter_name != name {
                form.push_repeated(&parameter_name, &value);
            }
        }
        form
    }

    /// The encoded text as a request body whose memory is overwritten once it is sent.
    pub(crate) fn into_body(mut self) -> Bytes {
        secret::zeroizing_bytes(std::mem::take(&mut self.text))
    }

    /// Grows the buffer without leaving copies of secrets in freed memory.
    fn grow(&mut self, more: usize) {
        if self.text.capacity() - self.text.len() < more * 3 {
            let mut larger = String::with_capacity((self.text.capacity() * 2).max(256) + more * 3);
            larger.push_str(&self.text);
            self.text.wipe();
            self.text = larger;
        }
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.text.wipe();
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .text
            .split('&')
            .filter_map(|pair| pair.split('=').next());
        f.write_str("Form")?;
        f.debug_set().entries(names).finish()
    }
}

/// Encodes one name or value, space as plus, leaving `A-Za-z0-9*-._` alone.
pub fn encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| {
        HEX.get(usize::from(nibble))
            .map_or('0', |&digit| char::from(digit))
    };
    let mut rest = text;
    // The search stops at a whole character, so all slices are on character boundaries.
    loop {
        let stop = unencoded_length(rest.as_bytes());
        into.push_str(rest.get(..stop).unwrap_or_default());
        let next = rest.get(stop..).unwrap_or_default();
        if next.is_empty() {
            return;
        }
        let width = next.chars().next().map_or(1, char::len_utf8);
        for byte in next.bytes().take(width) {
            if byte == b' ' {
                into.push('+');
            } else {
                into.push('%');
                into.push(hex(byte >> 4));
                into.push(hex(byte & 15));
            }
        }
        rest = next.get(width..).unwrap_or_default();
    }
}

/// The number of bytes before the first that must be encoded. Checks eight bytes at a time; one branch per byte takes
/// three times as long.
fn unencoded_length(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let is_plain = |word: &&[u8; 8]| word.iter().fold(true, |all, &b| all & is_unencoded(b));
    let start = 8 * words.iter().take_while(is_plain).count();
    let rest = bytes.iter().skip(start);
    start + rest.take_while(|&&b| is_unencoded(b)).count()
}

/// Looks each byte up in a table.
fn is_unencoded(byte: u8) -> bool {
    #[expect(
        clippy::indexing_slicing,
        reason = "a constant: a mistake does not compile"
    )]
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let unencoded = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-._";
        let mut at = 0;
        while at < unencoded.len() {
            table[unencoded[at] as usize] = true;
            at += 1;
        }
        table
    };
    TABLE
        .get(usize::from(byte))
        .is_some_and(|unencoded| *unencoded)
}

/// The error for a string that is not UTF-8 once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

/// Decodes one name or value; a percent sign without two hex digits after it is kept as it is.
///
/// # Errors
/// [`NotUtf8`].
pub fn decode(text: &str) -> Result<Cow<'_, str>, NotUtf8> {
    if !text.contains(['+', '%']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, tail @ ..]) => match (hex_value(*high), hex_value(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = tail;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| NotUtf8)
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Names and values in order, decoded.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Reads the pairs of a form in order, including duplicates; only `&` separates them.
///
/// # Errors
/// [`NotUtf8`].
pub fn parse(text: &str) -> Result<Pairs<'_>, NotUtf8> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_remembered() {
        let mut form = Form::new();
        form.push("a", "1");
        form.push("ab", "1");
        assert!(form.check().is_ok());
        form.push("a", "2");
        assert_eq!(
            form.check().map_err(|e| e.code()),
            Err("form.duplicate_parameter")
        );
    }

    /// However many there are: few are remembered by where they begin.
    #[test]
    fn a_name_of_many_given_twice_is_remembered() {
        let name = |number: usize| format!("n{number}");
        let many = || {
            let mut form = Form::new();
            (0..40).for_each(|number| form.push(&name(number), "a&b=c"));
            form
        };
        assert!(many().check().is_ok());
        assert!(!many().names("b"));
        for number in 0..40 {
            let mut form = many();
            form.push(&name(number), "");
            assert!(form.check().is_err(), "{number}");
        }
    }

    #[test]
    fn debug_shows_names_only() {
        let mut form = Form::new();
        form.push("client_secret", "S3CR3T");
        assert_eq!(format!("{form:?}"), r#"Form{"client_secret"}"#);
    }

    #[test]
    fn decoding_is_strict_about_utf8_only() {
        assert_eq!(decode("a%2"), Ok(Cow::from("a%2")));
        assert_eq!(decode("%zz+%41"), Ok(Cow::from("%zz A")));
        assert_eq!(decode("%FF"), Err(NotUtf8));
    }
}
