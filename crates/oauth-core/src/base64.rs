//! Base64 encoding and decoding, standard and URL-safe (RFC 4648 sections 4 and 5).

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

/// The SHA-256 of a list of facts, as a name of 43 characters. Each goes in with its length before it: no two lists
/// read alike.
#[cfg(feature = "sha2")]
pub(crate) fn hashed<'a>(facts: impl IntoIterator<Item = &'a str>) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for fact in facts {
        hash.update((fact.len() as u64).to_be_bytes());
        hash.update(fact);
    }
    url_safe(hash.finalize())
}

/// The letters of a block: 96 bytes, a multiple of three.
const BLOCK: usize = 96;
const LETTERS: usize = BLOCK / 3 * 4;

/// Appends the letters, without padding. Block by block, for a text takes letters one by one in ten times as long.
pub(crate) fn append(bytes: &[u8], alphabet: Alphabet, text: &mut String) {
    text.reserve(bytes.len().div_ceil(3) * 4);
    let table = alphabet.letters();
    let letter = |bits: u32| table.get(bits as usize & 63).copied().unwrap_or_default();
    for block in bytes.chunks(BLOCK) {
        let mut letters = [0; LETTERS];
        for (group, four) in block.chunks(3).zip(letters.as_chunks_mut::<4>().0) {
            // Zeros behind the last byte, up to a whole group.
            let [first, second, third] = match *group {
                [first, second, third] => [first, second, third],
                [first, second] => [first, second, 0],
                _ => [group.first().copied().unwrap_or_default(), 0, 0],
            };
            let bits = u32::from_be_bytes([0, first, second, third]);
            *four = [
                letter(bits >> 18),
                letter(bits >> 12),
                letter(bits >> 6),
                letter(bits),
            ];
        }
        let length = (block.len() * 4).div_ceil(3);
        let written = letters.get(..length).unwrap_or_default();
        text.push_str(std::str::from_utf8(written).unwrap_or_default());
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

impl Alphabet {
    const fn letters(self) -> &'static [u8; 64] {
        match self {
            Self::Standard => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Self::UrlSafe => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }
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
        fn another_implementation_agrees(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
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
