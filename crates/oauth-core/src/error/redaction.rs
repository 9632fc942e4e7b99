//! Finds secrets in the text of a server that echoes what it received, in any of several encodings.

use crate::browser_build::IS_BROWSER_BUILD;
use crate::secret::Secret;

/// How many times a server may have percent-encoded what it echoes.
const MAX_PERCENT_ENCODINGS: usize = 3;

/// Text that matches this many bytes of a secret is treated as the secret, up to where it stops matching. This bounds
/// the comparison at each position, regardless of what the server sends.
const MAX_COMPARED_BYTES: usize = 64;

/// A secret of at least this many bytes is redacted wherever it occurs. A shorter one may also be part of a word, such
/// as `test` or `client`: it is redacted only if it is a whole word.
pub(super) const MIN_BYTES_REDACTED_ANYWHERE: usize = 16;

/// A secret with fewer bytes may be an ordinary word, such as `a`. A text in which it occurs as a whole word is dropped
/// completely: with only the word redacted, the rest of the text would reveal it.
const MIN_BYTES_REDACTED_AS_WORD: usize = 4;

/// The text that replaces a secret.
const REDACTED: &str = "[redacted]";

/// At most `limit` characters of `text`, with `[redacted]` in place of each secret.
pub(super) fn redacted(text: &str, secrets: &[Secret<String>], limit: usize) -> String {
    let mut shown = String::new();
    let mut end = 0;
    // If the text were truncated first, a part of a secret could remain.
    while let Some(first) = text.get(end..).and_then(|rest| rest.chars().next())
        && shown.len() < 4 * limit
    {
        let matches = secrets
            .iter()
            .filter_map(|secret| Some((length_at(text, end, secret)?, secret)));
        let next = match matches.max_by_key(|(len, _)| *len) {
            Some((_, secret))
                if !IS_BROWSER_BUILD && secret.expose().len() < MIN_BYTES_REDACTED_AS_WORD =>
            {
                return REDACTED.to_owned();
            }
            Some((len, _)) => {
                shown.push_str(REDACTED);
                end + len
            }
            None => {
                shown.push(first);
                end + first.len_utf8()
            }
        };
        end = next;
    }
    shown.chars().take(limit).collect()
}

/// Whether `text` contains one of the secrets.
pub(super) fn contains(text: &str, secrets: &[Secret<String>]) -> bool {
    let stands_at = |start: usize| {
        secrets
            .iter()
            .any(|secret| length_at(text, start, secret).is_some())
    };
    text.char_indices().any(|(start, _)| stands_at(start))
}

/// The length of the secret at `start`, if it occurs there; a short one only if it is a whole word.
fn length_at(text: &str, start: usize, secret: &Secret<String>) -> Option<usize> {
    let (before, rest) = text.split_at_checked(start)?;
    let length = prefix_len(rest, secret)?;
    let text = secret.expose();
    if IS_BROWSER_BUILD || text.len() >= MIN_BYTES_REDACTED_ANYWHERE {
        return Some(length);
    }
    let begins_as_word = text.starts_with(char::is_alphanumeric);
    let ends_as_word = text.ends_with(char::is_alphanumeric);
    let continues_after = rest
        .get(length..)
        .is_some_and(|after| after.starts_with(char::is_alphanumeric));
    let is_inside_word = begins_as_word && ends_in_word(before) || ends_as_word && continues_after;
    (!is_inside_word).then_some(length)
}

/// Whether `text` ends with a letter or digit that is not the end of an escape: `%3D`, `%253D`, `\u003d`, `\n`.
fn ends_in_word(text: &str) -> bool {
    if !text.ends_with(char::is_alphanumeric) {
        return false;
    }
    let without_digits = |count: usize| {
        let (front, digits) = text.split_at_checked(text.len().checked_sub(count)?)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(front)
    };
    let is_percent = without_digits(2).is_some_and(|front| {
        let front = (1..MAX_PERCENT_ENCODINGS)
            .fold(front, |front, _| front.strip_suffix("25").unwrap_or(front));
        front.ends_with('%')
    });
    let is_unicode = without_digits(4).is_some_and(|front| front.ends_with("\\u"));
    let is_letter = ["\\n", "\\r", "\\t", "\\b", "\\f"]
        .iter()
        .any(|escape| text.ends_with(escape));
    !(is_percent || is_unicode || is_letter)
}

/// The length of the secret at the start of `text`, if the text starts with it: verbatim, percent-encoded (RFC 3986
/// section 2.1) as in a form or a URL, also repeatedly, escaped as in JSON (RFC 8259 section 7), or as a character
/// reference of HTML.
fn prefix_len(text: &str, secret: &Secret<String>) -> Option<usize> {
    if IS_BROWSER_BUILD {
        // A page has no client secret, and shows its errors to the user whose tokens they are: its module should be
        // small.
        let secret = secret.expose();
        return text.starts_with(secret.as_str()).then_some(secret.len());
    }
    let bytes = text.as_bytes();
    // Where the bytes so far may end: in `%25` a `%` is one byte long, or three.
    let mut ends = vec![0];
    let mut next = Vec::new();
    for (count, byte) in secret.expose().bytes().enumerate() {
        for &end in &ends {
            let rest = bytes.get(end..).unwrap_or_default();
            next.extend(lengths(rest, byte).map(|len| end + len));
        }
        next.dedup();
        if next.is_empty() {
            return (count >= MAX_COMPARED_BYTES)
                .then(|| character_end(text, &ends))
                .flatten();
        }
        ends.clear();
        std::mem::swap(&mut ends, &mut next);
    }
    character_end(text, &ends).filter(|&end| end > 0)
}

/// The last of these ends, or the end of the character before it.
fn character_end(text: &str, ends: &[usize]) -> Option<usize> {
    let last = ends.iter().max()?;
    (0..=*last).rev().find(|&end| text.is_char_boundary(end))
}

/// The lengths of the forms of `byte` at the start of `text`.
fn lengths(text: &[u8], byte: u8) -> impl Iterator<Item = usize> + '_ {
    let is_space = |byte: u8| byte == b' ' || byte == b'+';
    // A form writes a space as `+`, and a server that reads or writes one wrongly takes the one for the other.
    let is_byte = move |candidate: u8| candidate == byte || is_space(candidate) && is_space(byte);
    let verbatim = text
        .first()
        .is_some_and(|&first| is_byte(first))
        .then_some(1);
    let escape = escape_len(text, is_byte);
    let reference = reference_len(text, is_byte);
    let forms = [verbatim, escape, reference].into_iter().flatten();
    forms.chain(percent_lens(text, is_byte))
}

/// `%2F`, `%252f`... For a `%`, each of `%25`, `%2525`... is one.
fn percent_lens(text: &[u8], is_byte: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let encoded = move |times: usize| {
        let mut digits = text.strip_prefix(b"%")?;
        for _ in 0..times {
            digits = digits.strip_prefix(b"25")?;
        }
        let code = hex(digits.get(..2)?).and_then(as_byte)?;
        is_byte(code).then(|| text.len() - digits.len() + 2)
    };
    (0..MAX_PERCENT_ENCODINGS).filter_map(encoded)
}

/// `\/`, `\u002f`
fn escape_len(text: &[u8], is_byte: impl Fn(u8) -> bool) -> Option<usize> {
    let escaped = text.strip_prefix(b"\\")?;
    let (&kind, digits) = escaped.split_first()?;
    if is_byte(kind) {
        return Some(2);
    }
    let code = (kind == b'u').then(|| digits.get(..4)).flatten()?;
    hex(code)
        .and_then(as_byte)
        .is_some_and(is_byte)
        .then_some(6)
}

/// `&amp;`, `&#47;`, `&#x2F;`
fn reference_len(text: &[u8], is_byte: impl Fn(u8) -> bool) -> Option<usize> {
    const NAMED: [(&[u8], u8); 5] = [
        (b"amp", b'&'),
        (b"lt", b'<'),
        (b"gt", b'>'),
        (b"quot", b'"'),
        (b"apos", b'\''),
    ];
    let name = text.strip_prefix(b"&")?;
    let name = name.get(..name.iter().take(10).position(|&byte| byte == b';')?)?;
    let code = match name {
        [b'#', b'x' | b'X', digits @ ..] => hex(digits).and_then(as_byte),
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => NAMED
            .iter()
            .find(|(named, _)| *named == name)
            .map(|(_, byte)| *byte),
    };
    code.filter(u8::is_ascii)
        .is_some_and(is_byte)
        .then_some(name.len() + 2)
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digit = |value: u32, &digit: &u8| Some((value << 4) | char::from(digit).to_digit(16)?);
    (1..=6)
        .contains(&digits.len())
        .then(|| digits.iter().try_fold(0, digit))?
}

fn as_byte(code: u32) -> Option<u8> {
    u8::try_from(code).ok()
}
