//! Base64 in both its alphabets (RFC 4648 sections 4 and 5).

/// The letters that end an alphabet.
#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// `+` and `/`, for the `Basic` scheme.
    Standard,
    /// `-` and `_`, for everything else.
    UrlSafe,
}

/// In the alphabet for URLs, without padding.
pub(crate) fn url_safe(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    append(bytes, Alphabet::UrlSafe, &mut text);
    text
}

/// Appends the letters, without padding.
pub(crate) fn append(bytes: &[u8], alphabet: Alphabet, text: &mut String) {
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0, |bits, &byte| bits << 8 | u32::from(byte));
        // Zeros behind the last byte, up to a whole group.
        let bits = bits << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            text.push(letter(bits >> (18 - 6 * at) & 63, alphabet));
        }
    }
}

/// The bytes of a text without padding; `None` if any bit of it stands for nothing.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for &byte in text.as_bytes() {
        bits = bits << 6 | value(byte, alphabet)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (count < 6 && bits == 0).then_some(bytes)
}

#[allow(clippy::cast_possible_truncation)] // six bits
fn letter(value: u32, alphabet: Alphabet) -> char {
    let value = value as u8;
    char::from(match (value, alphabet) {
        (0..26, _) => b'A' + value,
        (26..52, _) => b'a' + value - 26,
        (52..62, _) => b'0' + value - 52,
        (62, Alphabet::Standard) => b'+',
        (_, Alphabet::Standard) => b'/',
        (62, Alphabet::UrlSafe) => b'-',
        (_, Alphabet::UrlSafe) => b'_',
    })
}

fn value(letter: u8, alphabet: Alphabet) -> Option<u32> {
    Some(u32::from(match (letter, alphabet) {
        (b'A'..=b'Z', _) => letter - b'A',
        (b'a'..=b'z', _) => letter - b'a' + 26,
        (b'0'..=b'9', _) => letter - b'0' + 52,
        (b'+', Alphabet::Standard) | (b'-', Alphabet::UrlSafe) => 62,
        (b'/', Alphabet::Standard) | (b'_', Alphabet::UrlSafe) => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn another_implementation_agrees(bytes: Vec<u8>) {
            let mut text = String::new();
            append(&bytes, Alphabet::Standard, &mut text);
            prop_assert_eq!(&text, &STANDARD_NO_PAD.encode(&bytes));
            prop_assert_eq!(url_safe(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(decode(&text, Alphabet::Standard), Some(bytes));
        }

        #[test]
        fn what_is_no_base64_is_refused_alike(text in "[ABx09+/_=-]{0,9}") {
            prop_assert_eq!(decode(&text, Alphabet::Standard), STANDARD_NO_PAD.decode(&text).ok());
            prop_assert_eq!(decode(&text, Alphabet::UrlSafe), URL_SAFE_NO_PAD.decode(&text).ok());
        }
    }
}
