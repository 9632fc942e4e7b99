//! [`Keys`]: the current key, which seals, and older ones, which only open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Secret;
use oauth_core::error::{Error, ValidationFailure};

use crate::key::{Key, NONCE, TAG_BYTES};

/// The first byte of a sealed text.
const FORMAT_VERSION: u8 = 1;

/// The length of the id of a key, in bytes.
const ID_BYTES: usize = 9;

/// The key that seals, and the old ones that still open.
///
/// To change a key: give every process the new one as [`with_previous`](Self::with_previous), then make it the current one
/// everywhere, with the old one as `with_previous`. Once nothing is left that the old one has sealed, it can be removed.
#[derive(Debug, Clone)]
pub struct Keys {
    current: Key,
    previous: Vec<Key>,
}

/// An opened text.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenedText {
    /// The bytes that were sealed.
    pub plain: Secret<Vec<u8>>,
    /// Whether the current key sealed them.
    pub is_current: bool,
}

/// Why a sealed text was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unopened {
    /// The text is not sealed.
    Malformed,
    /// The key of this id, 12 characters of base64url, is not among the keys.
    UnknownKey(String),
    /// The text was changed, or sealed with another `bound`.
    Changed,
}

impl Keys {
    /// Seals and opens with this key.
    pub fn new(current: impl Into<Key>) -> Self {
        Self {
            current: current.into(),
            previous: Vec::new(),
        }
    }

    /// Also opens with this key.
    #[must_use]
    pub fn with_previous(mut self, key: impl Into<Key>) -> Self {
        self.previous.push(key.into());
        self
    }

    /// Reads keys from one string, with spaces, lines or commas between them: the first seals.
    ///
    /// # Errors
    /// The errors of [`Key::parse`], also for a string without a key.
    pub fn parse(text: &Secret<String>) -> Result<Self, Error> {
        let parts = text.expose().split([',', ' ', '\n', '\r', '\t']);
        let mut keys = parts
            .filter(|part| !part.is_empty())
            .map(|part| Key::parse(&Secret::new(part.to_owned())));
        let current = match keys.next() {
            Some(key) => key?,
            None => Key::parse(&Secret::new(String::new()))?,
        };
        keys.try_fold(Self::new(current), |all, previous| {
            Ok(all.with_previous(previous?))
        })
    }

    /// The key with which to seal.
    pub const fn current(&self) -> &Key {
        &self.current
    }

    /// All keys, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The number of characters that [`seal`](Self::seal) returns for this many bytes.
    pub const fn sealed_len(bytes: usize) -> usize {
        ((1 + ID_BYTES + NONCE + bytes + TAG_BYTES) * 4).div_ceil(3)
    }

    /// Seals `plain` together with `bound` as base64url: a format byte, the id of the key (9 bytes), the nonce (24),
    /// XChaCha20-Poly1305 with its tag (16). Never use a nonce twice; it must be random.
    ///
    /// # Errors
    /// `misuse.setup` if `plain` is too large to seal.
    pub fn seal(&self, nonce: [u8; NONCE], bound: &[u8], plain: &[u8]) -> Result<String, Error> {
        let id = URL_SAFE_NO_PAD
            .decode(self.current.id())
            .unwrap_or_default();
        let sealed = self.current.seal(nonce, bound, plain.to_vec())?;
        Ok(URL_SAFE_NO_PAD.encode([&[FORMAT_VERSION], id.as_slice(), &sealed].concat()))
    }

    /// Opens what [`seal`](Self::seal) made, with the same `bound`.
    ///
    /// # Errors
    /// Why the text was not opened.
    pub fn open(&self, text: &str, bound: &[u8]) -> Result<OpenedText, Unopened> {
        let sealed = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Unopened::Malformed)?;
        let Some((&[FORMAT_VERSION], rest)) = sealed.split_first_chunk::<1>() else {
            return Err(Unopened::Malformed);
        };
        let (id, sealed) = rest
            .split_first_chunk::<ID_BYTES>()
            .ok_or(Unopened::Malformed)?;
        if sealed.len() < NONCE + TAG_BYTES {
            return Err(Unopened::Malformed);
        }
        let id = URL_SAFE_NO_PAD.encode(id);
        let Some(key) = self.iter().find(|key| key.id() == id) else {
            return Err(Unopened::UnknownKey(id));
        };
        let plain = key.open(bound, sealed).ok_or(Unopened::Changed)?;
        Ok(OpenedText {
            plain,
            is_current: id == self.current.id(),
        })
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is not sealed"),
            Self::UnknownKey(id) => write!(f, "the key {id} is not given"),
            Self::Changed => f.write_str("it was changed, or sealed for something else"),
        }
    }
}

impl From<Unopened> for Error {
    fn from(unopened: Unopened) -> Self {
        Self::from(ValidationFailure::StoredSealed).about(&unopened.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> Keys {
        Keys::new([byte; 32])
    }

    #[test]
    fn sealed_text_opens_only_with_its_key_and_context() -> Result<(), Error> {
        let text = keys(1).seal([9; NONCE], b"session", b"ann")?;
        assert_eq!(text.len(), Keys::sealed_len(3));
        assert_eq!(keys(1).open(&text, b"session")?.plain.expose(), b"ann");
        assert_eq!(keys(1).open(&text, b"flow").err(), Some(Unopened::Changed));
        let id = keys(1).current().id().to_owned();
        assert_eq!(
            keys(2).open(&text, b"session").err(),
            Some(Unopened::UnknownKey(id))
        );
        assert_eq!(
            keys(1).open("ann", b"session").err(),
            Some(Unopened::Malformed)
        );
        Ok(())
    }

    #[test]
    fn previous_key_opens_and_the_current_key_seals() -> Result<(), Error> {
        let before = keys(1).seal([9; NONCE], b"", b"ann")?;
        let both = keys(2).with_previous([1; 32]);
        assert!(!both.open(&before, b"")?.is_current);
        let after = both.seal([8; NONCE], b"", b"ann")?;
        assert!(both.open(&after, b"")?.is_current);
        assert!(keys(1).open(&after, b"").is_err());
        Ok(())
    }

    #[test]
    fn first_key_of_a_list_seals_and_all_open() -> Result<(), Error> {
        let text = |bytes: &[u8]| {
            let keys = bytes.iter().map(|byte| URL_SAFE_NO_PAD.encode([*byte; 32]));
            Secret::new(keys.collect::<Vec<_>>().join(",\n "))
        };
        let both = Keys::parse(&text(&[2, 1]))?;
        assert_eq!(both.current().id(), keys(2).current().id());
        assert!(
            both.open(&keys(1).seal([9; NONCE], b"", b"ann")?, b"")
                .is_ok()
        );
        for wrong in [
            String::new(),
            " ,".to_owned(),
            format!("{}, x", text(&[1]).expose()),
        ] {
            let refused = Keys::parse(&Secret::new(wrong)).err();
            assert_eq!(refused.map(|error| error.code()), Some("key.sealing"));
        }
        Ok(())
    }

    proptest::proptest! {
        #[test]
        fn fabricated_text_does_not_open(text in ".{0,200}", bytes in proptest::collection::vec(0_u8.., 0..120)) {
            let keys = keys(1);
            assert!(keys.open(&text, b"").is_err());
            let mut framed = vec![FORMAT_VERSION];
            framed.extend(URL_SAFE_NO_PAD.decode(keys.current().id()).unwrap_or_default());
            framed.extend(bytes);
            assert!(keys.open(&URL_SAFE_NO_PAD.encode(framed), b"").is_err());
        }

        #[test]
        fn text_with_a_flipped_bit_does_not_open(at in 0_usize..61, bit in 0_u8..8) {
            let keys = keys(1);
            let text = keys.seal([9; NONCE], b"", b"ann of shop").unwrap_or_default();
            let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
            bytes[at] ^= 1 << bit;
            assert!(keys.open(&URL_SAFE_NO_PAD.encode(bytes), b"").is_err());
        }
    }
}
