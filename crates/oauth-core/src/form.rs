//! Encoding and decoding of `application/x-www-form-urlencoded` (RFC 6749 appendix B, URL Standard).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, Misuse};
use crate::secret::{self, Wipe as _};

/// A form under construction. It records whether a name was added twice; [`Self::check`] then refuses it.
///
/// A form may contain secrets: `Debug` shows only names, and the buffer is overwritten on drop.
#[derive(Clone, Default)]
pub struct Form {
    text: String,
    duplicate_name: Option<Box<str>>,
    /// One bit for each name, of which several names may share one: a name whose bit is not set has not been added.
    name_bits: u64,
}

/// The first buffer holds most requests with a client assertion, and is small enough for the caches that allocators keep
/// for each thread.
const LEAST_CAPACITY: usize = if IS_BROWSER_BUILD { 512 } else { 1024 };

impl Form {
    /// An empty form.
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            duplicate_name: None,
            name_bits: 0,
        }
    }

    /// Adds a parameter that may occur only once.
    pub fn push(&mut self, name: &str, value: &str) {
        self.note_duplicate(name);
        self.push_repeated(name, value);
    }

    /// Adds a parameter that may occur only once and whose value is encoded already, or needs no encoding.
    pub(crate) fn push_encoded(&mut self, name: &str, value: &str) {
        self.note_duplicate(name);
        self.reserve(name, value, value.len());
        self.push_name(name);
        self.text.push_str(value);
    }

    /// Adds a parameter if it has a value.
    pub fn push_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Adds a parameter that may occur several times, such as `resource` (RFC 8707).
    pub fn push_repeated(&mut self, name: &str, value: &str) {
        let plain = unencoded_length(value.as_bytes());
        self.reserve(name, value, plain);
        self.push_name(name);
        encode_after(plain, value, &mut self.text);
    }

    fn push_name(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.name_bits |= seen_bit(name);
        encode(name, &mut self.text);
        self.text.push('=');
    }

    fn note_duplicate(&mut self, name: &str) {
        if self.names(name) {
            self.duplicate_name.get_or_insert_with(|| name.into());
        }
    }

    /// Whether the form has a parameter of this name.
    pub fn names(&self, name: &str) -> bool {
        if self.name_bits & seen_bit(name) == 0 {
            return false;
        }
        let mut encoded = String::new();
        encode(name, &mut encoded);
        self.text.split('&').any(|pair| {
            let rest = pair.strip_prefix(encoded.as_str());
            rest.is_some_and(|rest| rest.starts_with('='))
        })
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

    /// Makes room for a parameter without leaving copies of secrets in freed memory. The first `plain` bytes of the value
    /// are not encoded.
    fn reserve(&mut self, name: &str, value: &str, plain: usize) {
        let spare = self.text.capacity() - self.text.len();
        let most = 3 * (name.len() + value.len()) + 2;
        if spare >= most {
            return;
        }
        let needed = match most {
            // Reserving too much is faster than counting, and needs less code in a page.
            _ if IS_BROWSER_BUILD => most,
            ..=256 => most,
            _ if plain == value.len() => encoded_length(name) + plain + 2,
            _ => encoded_length(name) + encoded_length(value) + 2,
        };
        if spare < needed {
            let larger = (self.text.len() + needed).max(2 * self.text.capacity());
            let mut larger = String::with_capacity(larger.max(LEAST_CAPACITY));
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

/// The bit of a name among those that a form has seen. The standard parameters of one request differ in theirs.
fn seen_bit(name: &str) -> u64 {
    // The result of a search.
    const MULTIPLIER: u32 = 0x12f6_35d5;
    if IS_BROWSER_BUILD {
        return 1; // A page sends few requests: the text is searched for each name.
    }
    let bytes = name.as_bytes();
    let byte = |byte: Option<&u8>| byte.copied().unwrap_or_default();
    let (first, last, third_last) = (bytes.first(), bytes.last(), bytes.iter().nth_back(2));
    let key = [bytes.len() as u8, byte(first), byte(last), byte(third_last)];
    1 << (u32::from_le_bytes(key).wrapping_mul(MULTIPLIER) >> 26)
}

/// Encodes one name or value, space as plus, leaving `A-Za-z0-9*-._` alone.
pub fn encode(text: &str, into: &mut String) {
    encode_after(unencoded_length(text.as_bytes()), text, into);
}

/// Encodes a text whose first `plain` bytes need no escape.
fn encode_after(plain: usize, text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| {
        HEX.get(usize::from(nibble))
            .map_or('0', |&digit| char::from(digit))
    };
    let (mut rest, mut stop) = (text, plain);
    // The search stops at a whole character, so all slices are on character boundaries.
    loop {
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
        stop = unencoded_length(rest.as_bytes());
    }
}

/// The length of a name or value once it is encoded.
fn encoded_length(text: &str) -> usize {
    let is_triple = |&b: &u8| u8::from(!is_unencoded(b) & (b != b' '));
    // The compiler vectorizes this sum of bytes; 128 of them do not overflow.
    let blocks = text.as_bytes().chunks(128);
    let triples = blocks.map(|block| usize::from(block.iter().map(is_triple).sum::<u8>()));
    text.len() + 2 * triples.sum::<usize>()
}

/// The number of bytes before the first that must be encoded. Checks sixteen bytes at a time, which the compiler makes one
/// comparison of.
fn unencoded_length(bytes: &[u8]) -> usize {
    if IS_BROWSER_BUILD {
        return bytes.iter().take_while(|&&b| is_unencoded(b)).count();
    }
    let (blocks, _) = bytes.as_chunks::<16>();
    let is_plain = |block: &&[u8; 16]| block.iter().fold(true, |all, &b| all & is_unencoded(b));
    let start = 16 * blocks.iter().take_while(is_plain).count();
    let rest = bytes.iter().skip(start);
    start + rest.take_while(|&&b| is_unencoded_by_table(b)).count()
}

/// Whether a byte is not percent-encoded. Without a branch, so that many bytes are compared at once.
const fn is_unencoded(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    is_letter | is_digit | (byte == b'*') | (byte == b'-') | (byte == b'.') | (byte == b'_')
}

/// [`is_unencoded`] for a single byte, by a lookup table, which is faster.
fn is_unencoded_by_table(byte: u8) -> bool {
    #[expect(
        clippy::indexing_slicing,
        reason = "a constant: a mistake does not compile"
    )]
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = is_unencoded(byte as u8);
            byte += 1;
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
    fn duplicate_parameter_is_detected() {
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

    /// Otherwise each of them would cost a search of the text.
    #[test]
    fn standard_parameters_of_one_request_have_different_bits() {
        let authorization = "response_type client_id redirect_uri scope state nonce code_challenge \
            code_challenge_method response_mode resource prompt max_age acr_values login_hint \
            id_token_hint ui_locales display claims dpop_jkt authorization_details audience request \
            request_uri";
        let token = "grant_type client_id client_secret client_assertion client_assertion_type scope \
            resource audience redirect_uri code code_verifier refresh_token device_code assertion \
            subject_token subject_token_type actor_token actor_token_type requested_token_type \
            token token_type_hint authorization_details auth_req_id username password";
        for names in [authorization, token] {
            let bits = names.split_whitespace().fold(0, |bits, name| {
                assert_eq!(bits & seen_bit(name), 0, "{name}");
                bits | seen_bit(name)
            });
            assert_eq!(bits.count_ones() as usize, names.split_whitespace().count());
        }
    }

    /// With any number of names, until every bit is set, and with names that share a bit.
    #[test]
    fn duplicate_is_detected_among_many_parameters() {
        let name = |number: usize| format!("n{number}é");
        let many = || {
            let mut form = Form::new();
            (0..100).for_each(|number| form.push(&name(number), "a&b=c"));
            form
        };
        assert!(many().check().is_ok());
        assert!(!many().names("b"));
        for number in 0..100 {
            let mut form = many();
            form.push(&name(number), "");
            assert!(form.check().is_err(), "{number}");
        }
    }

    #[test]
    fn names_sharing_a_filter_bit_are_distinguished() {
        assert_eq!(seen_bit("abc"), seen_bit("axc"));
        let mut form = Form::new();
        form.push("abc", "1");
        assert!(!form.names("axc"));
        form.push("axc", "1");
        assert!(form.check().is_ok());
        assert!(form.names("abc") && form.names("axc"));
    }

    #[test]
    fn encoded_length_matches_the_encoding_of_every_byte() {
        let plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-._";
        let mut all: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        all.push_str(plain);
        for start in (0..all.len()).filter(|at| all.is_char_boundary(*at)) {
            let text = all.get(start..).unwrap_or_default();
            let mut encoded = String::new();
            encode(text, &mut encoded);
            assert_eq!(encoded.len(), encoded_length(text), "{start}");
            assert_eq!(decode(&encoded), Ok(Cow::from(text)), "{start}");
        }
        let mut encoded = String::new();
        encode(plain, &mut encoded);
        assert_eq!(encoded, plain);
    }

    #[test]
    fn long_value_is_encoded_completely() {
        let mut form = Form::new();
        form.push("a", "1");
        let long = "é".repeat(5000);
        form.push("b", &long);
        assert_eq!(form.as_str().len(), "a=1&b=".len() + 6 * 5000);
        assert_eq!(parse(form.as_str()).map(|pairs| pairs.len()), Ok(2));
    }

    #[test]
    fn debug_shows_names_only() {
        let mut form = Form::new();
        form.push("client_secret", "S3CR3T");
        assert_eq!(format!("{form:?}"), r#"Form{"client_secret"}"#);
    }

    #[test]
    fn decoding_refuses_only_invalid_utf8() {
        assert_eq!(decode("a%2"), Ok(Cow::from("a%2")));
        assert_eq!(decode("%zz+%41"), Ok(Cow::from("%zz A")));
        assert_eq!(decode("%FF"), Err(NotUtf8));
    }
}
