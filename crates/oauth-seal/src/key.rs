//! [`Key`]: encrypts and authenticates ("seals") texts, and decrypts ("opens") them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// The length of a nonce in bytes: long enough to be random for every value that is ever sealed.
pub const NONCE: usize = 24;

/// The length of a tag in bytes.
pub(crate) const TAG_BYTES: usize = 16;

/// A key of 32 random bytes, which are overwritten in memory when it is dropped.
#[derive(Clone)]
pub struct Key {
    id: String,
    bytes: Secret<Vec<u8>>,
}

impl Key {
    /// A key of these bytes, which must be random: even a long password is not a key.
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update("oauth-core seal key id 1");
        hash.update(bytes);
        // Long enough to distinguish the keys of one deployment.
        let id = URL_SAFE_NO_PAD.encode(&hash.finalize()[..9]);
        let key = Self {
            id,
            bytes: Secret::new(bytes.to_vec()),
        };
        bytes.zeroize();
        key
    }

    /// Reads a key from text: 43 characters of base64url without padding.
    ///
    /// # Errors
    /// `key.sealing` if it is anything else.
    pub fn parse(text: &Secret<String>) -> Result<Self, Error> {
        let decoded = URL_SAFE_NO_PAD.decode(text.expose());
        let decoded = Secret::new(decoded.map_err(|_| wrong_length())?);
        Self::from_slice(decoded.expose())
    }

    /// A key of a slice of bytes; see [`new`](Self::new).
    ///
    /// # Errors
    /// `key.sealing` unless there are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self::new).map_err(|_| wrong_length())
    }

    /// The key's id, which reveals nothing about it: 12 characters of base64url.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sets the id by which another party knows the key, such as a key management service.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Hides a name: returns 43 characters that reveal nothing about it without the key (HMAC with
    /// SHA-256).
    ///
    /// # Errors
    /// `key.sealing`, which cannot occur: HMAC accepts keys of any length.
    pub fn hide(&self, name: &str) -> Result<String, Error> {
        let mut hash = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.bytes.expose())
            .map_err(|_| key_error("the key has a wrong length"))?;
        hash.update(b"oauth-core seal name 1\n");
        hash.update(name.as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(hash.finalize().into_bytes()))
    }

    /// Seals `text` together with `bound`: the nonce, then XChaCha20-Poly1305. Never use a nonce twice; it must be
    /// random. `text` is overwritten.
    ///
    /// # Errors
    /// `misuse.setup` if the text is larger than 256 GiB.
    pub fn seal(
        &self,
        nonce: [u8; NONCE],
        bound: &[u8],
        mut text: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        // Reserves room for the tag: a vector that grows would leave an unerased copy of the text behind.
        if text.capacity() < text.len() + TAG_BYTES {
            let mut larger = Vec::with_capacity(text.len() + TAG_BYTES);
            larger.extend_from_slice(&text);
            text.zeroize();
            text = larger;
        }
        if self
            .cipher()?
            .encrypt_in_place(&XNonce::from(nonce), bound, &mut text)
            .is_err()
        {
            text.zeroize();
            return Err(Error::from(Misuse::Setup).about("the text is too large to seal"));
        }
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Opens what [`seal`](Self::seal) made, with the same `bound`; `None` if either was changed, or another key sealed
    /// it.
    pub fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let mut text = text.to_vec();
        let cipher = self.cipher().ok()?;
        let opened = cipher.decrypt_in_place(&XNonce::from(*nonce), bound, &mut text);
        opened.is_ok().then(|| Secret::new(text))
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, Error> {
        // The cipher overwrites its own copy when it is dropped.
        XChaCha20Poly1305::new_from_slice(self.bytes.expose())
            .map_err(|_| key_error("the key has a wrong length"))
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

fn key_error(detail: &str) -> Error {
    Error::from(Misuse::SealingKey).about(detail)
}

fn wrong_length() -> Error {
    key_error("a key is 32 bytes, or their text in base64url without padding")
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
