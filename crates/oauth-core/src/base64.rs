//! Base64 encoding and decoding, standard and URL-safe (RFC 4648 sections 4 and 5).

/// The last two characters of an alphabet.
#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// `+` and `/`, for the `Basic` scheme.
    Standard,
    /// `-` and `_`, for everything else.
    UrlSafe,
}

/// Encodes in base64url, without padding.
pub(crate) fn url_safe(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    append(bytes, Alphabet::UrlSafe, &mut text);
    text
}

/// The SHA-256 of a list of strings, as 43 characters of base64url. Each string is hashed after its length, so two
/// different lists never have the same input.
#[cfg(feature = "sha2")]
pub(crate) fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for fact in parts {
        hash.update((fact.len() as u64).to_be_bytes());
        hash.update(fact);
    }
    url_safe(hash.finalize())
}

/// The chars of a block: 96 bytes, a multiple of three.
const BLOCK: usize = 96;
const BLOCK_CHARS: usize = BLOCK / 3 * 4;

/// Appends the encoded characters, without padding. Works in blocks: pushing single characters takes ten times as long.
pub(crate) fn append(bytes: &[u8], alphabet: Alphabet, text: &mut String) {
    text.reserve(bytes.len().div_ceil(3) * 4);
    let table = alphabet.chars();
    let letter = |bits: u32| table.get(bits as usize & 63).copied().unwrap_or_default();
    let four = |[first, second, third]: [u8; 3]| {
        let bits = u32::from_be_bytes([0, first, second, third]);
        [
            letter(bits >> 18),
            letter(bits >> 12),
            letter(bits >> 6),
            letter(bits),
        ]
    };
    for block in bytes.chunks(BLOCK) {
        let mut chars = [0; BLOCK_CHARS];
        let (groups, remainder) = block.as_chunks::<3>();
        let mut places = chars.as_chunks_mut::<4>().0.iter_mut();
        for (group, slot) in groups.iter().zip(&mut places) {
            *slot = four(*group);
        }
        // The last group is padded with zero bytes.
        let last = match *remainder {
            [first, second] => Some([first, second, 0]),
            [first] => Some([first, 0, 0]),
            _ => None,
        };
        if let (Some(last), Some(slot)) = (last, places.next()) {
            *slot = four(last);
        }
        let length = (block.len() * 4).div_ceil(3);
        let written = chars.get(..length).unwrap_or_default();
        text.push_str(std::str::from_utf8(written).unwrap_or_default());
    }
}

/// The table value of a byte outside the alphabet.
const INVALID: u8 = 0xff;

/// The bytes of a string without padding; `None` if it is not canonical base64. Decodes groups of four characters:
/// decoding single characters takes five times as long, which is measurable when a token is verified.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let values = alphabet.values();
    let value = |letter: &u8| values.get(usize::from(*letter)).copied().unwrap_or(INVALID);
    let (letter_groups, remainder) = text.as_bytes().as_chunks::<4>();
    let mut bytes = vec![0; text.len() * 3 / 4];
    let (byte_groups, last_bytes) = bytes.as_chunks_mut::<3>();
    let mut seen_values = 0;
    for (group, byte_group) in letter_groups.iter().zip(byte_groups) {
        let [first, second, third, fourth] = group.each_ref().map(value);
        seen_values |= first | second | third | fourth;
        *byte_group = pack_sextets([first, second, third, fourth]);
    }
    let unused_bits = match (remainder, last_bytes) {
        ([], []) => 0,
        ([first, second], [byte]) => {
            let (first, second) = (value(first), value(second));
            seen_values |= first | second;
            let [whole, unused_bits, _] = pack_sextets([first, second, 0, 0]);
            *byte = whole;
            unused_bits
        }
        ([first, second, third], [byte, next]) => {
            let (first, second, third) = (value(first), value(second), value(third));
            seen_values |= first | second | third;
            let [whole, other, unused_bits] = pack_sextets([first, second, third, 0]);
            (*byte, *next) = (whole, other);
            unused_bits
        }
        _ => return None,
    };
    (seen_values < 64 && unused_bits == 0).then_some(bytes)
}

/// Packs four 6-bit values into three bytes.
const fn pack_sextets([first, second, third, fourth]: [u8; 4]) -> [u8; 3] {
    [
        first << 2 | second >> 4,
        second << 4 | third >> 2,
        third << 6 | fourth,
    ]
}

impl Alphabet {
    const fn chars(self) -> &'static [u8; 64] {
        match self {
            Self::Standard => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Self::UrlSafe => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }

    /// The value of each byte in this alphabet.
    const fn values(self) -> &'static [u8; 256] {
        static STANDARD: [u8; 256] = values(Alphabet::Standard.chars());
        static URL_SAFE: [u8; 256] = values(Alphabet::UrlSafe.chars());
        match self {
            Self::Standard => &STANDARD,
            Self::UrlSafe => &URL_SAFE,
        }
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where a wrong index is an error"
)]
const fn values(chars: &[u8; 64]) -> [u8; 256] {
    let mut values = [INVALID; 256];
    let mut at: u8 = 0;
    while at < 64 {
        values[chars[at as usize] as usize] = at;
        at += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoding_matches_the_base64_crate(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut text = String::new();
            append(&bytes, Alphabet::Standard, &mut text);
            prop_assert_eq!(&text, &STANDARD_NO_PAD.encode(&bytes));
            prop_assert_eq!(url_safe(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(decode(&text, Alphabet::Standard), Some(bytes));
        }

        #[test]
        fn decoding_accepts_and_rejects_the_same_input_as_the_base64_crate(text in "[ABx09+/_=-]{0,9}") {
            prop_assert_eq!(decode(&text, Alphabet::Standard), STANDARD_NO_PAD.decode(&text).ok());
            prop_assert_eq!(decode(&text, Alphabet::UrlSafe), URL_SAFE_NO_PAD.decode(&text).ok());
        }
    }
}
