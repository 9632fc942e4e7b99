//! Sealing keys, and the format of sealed records.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::source::{Asked, KeySource};
use super::{setup, unopened};
use crate::store::{ENDPOINT, malformed};

const FORMAT: &str = "oauth-core sealed 2";

/// What was sealed before, bound to its name alone.
const FIRST_FORMAT: &str = "oauth-core sealed 1";

/// The length of a nonce: long enough to be drawn at random for every record there will ever be.
const NONCE: usize = 24;

/// The length of a tag.
const TAG: usize = 16;

/// A key of 32 random bytes, which are overwritten in memory once nobody needs them.
#[derive(Clone)]
pub struct Key {
    id: String,
    bytes: Secret<Vec<u8>>,
}

/// The key that seals, and the old ones that still open.
///
/// They are given, or asked for when they are needed: see [`KeySource`].
///
/// To change a key that is given: give every process the new one as [`also`](Self::also), then make it the
/// current one everywhere, with the old one as `also`. Each record is sealed anew with the current
/// key when it is saved next; [`Sealed::reseal`](super::Sealed::reseal) does it for all. When that
/// has left none behind, the old key can go.
#[derive(Clone)]
pub struct Keys {
    current: Holder,
    old: Vec<Holder>,
}

#[derive(Debug, Clone)]
enum Holder {
    Here(Key),
    Elsewhere(Arc<Asked>),
}

/// What lies in the store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    key: String,
    /// The version it was saved over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<u64>,
    sealed: String,
}

/// What was sealed.
pub(super) struct Opened {
    /// Its name, unless it was sealed in the first format.
    pub(super) name: Option<String>,
    pub(super) record: Secret<String>,
    /// The id of the key, unless it would not be sealed like that today.
    pub(super) key: Option<String>,
}

impl Key {
    /// A key of these bytes. Draw them at random: a password is none, however long.
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update("oauth-core seal key id 1");
        hash.update(bytes);
        // Enough to tell one's own keys from each other.
        let id = URL_SAFE_NO_PAD.encode(&hash.finalize()[..9]);
        let key = Self {
            id,
            bytes: Secret::new(bytes.to_vec()),
        };
        bytes.zeroize();
        key
    }

    /// A key as text, 43 characters of base64url without padding.
    ///
    /// # Errors
    /// `misuse.setup` if it is anything else.
    pub fn parse(text: &Secret<String>) -> Result<Self, Error> {
        let decoded = URL_SAFE_NO_PAD.decode(text.expose());
        let decoded = Secret::new(decoded.map_err(|_| no_key())?);
        Self::from_slice(decoded.expose())
    }

    /// A key of bytes that somebody counted elsewhere; see [`new`](Self::new).
    ///
    /// # Errors
    /// `misuse.setup` unless they are 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self::new).map_err(|_| no_key())
    }

    /// Its name, which says nothing about it: 12 characters of base64url.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as somebody else knows it.
    pub(super) fn known_by(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// What stands for a name: 43 characters, which say nothing of it to those without the key.
    pub(super) fn hide(&self, name: &str) -> Result<String, Error> {
        let mut hash = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.bytes.expose())
            .map_err(|_| setup("no such key"))?;
        hash.update(b"oauth-core seal name 1\n");
        hash.update(name.as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(hash.finalize().into_bytes()))
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, Error> {
        // It overwrites its own copy when it is dropped.
        XChaCha20Poly1305::new_from_slice(self.bytes.expose()).map_err(|_| setup("no such key"))
    }
}

impl Keys {
    /// Seals and opens with this key.
    pub fn new(current: impl Into<Key>) -> Self {
        Self::of(Holder::Here(current.into()))
    }

    /// Seals and opens with the keys of this source, such as a key management service.
    pub fn from_source(source: impl KeySource + 'static) -> Self {
        Self::of(Holder::Elsewhere(Arc::new(Asked::new(source))))
    }

    const fn of(current: Holder) -> Self {
        Self {
            current,
            old: Vec::new(),
        }
    }

    /// Opens with this one too.
    #[must_use]
    pub fn also(mut self, old: impl Into<Key>) -> Self {
        self.old.push(Holder::Here(old.into()));
        self
    }

    /// Opens with the keys of this source too, for records from before.
    #[must_use]
    pub fn also_from(mut self, source: impl KeySource + 'static) -> Self {
        self.old
            .push(Holder::Elsewhere(Arc::new(Asked::new(source))));
        self
    }

    /// The key to seal with.
    pub(super) async fn current(&self) -> Result<Key, Error> {
        match &self.current {
            Holder::Here(key) => Ok(key.clone()),
            Holder::Elsewhere(asked) => asked.current().await,
        }
    }

    /// The key of this id, if it is given, or known to whoever holds keys.
    async fn find(&self, id: &str) -> Result<Option<Key>, Error> {
        let holders = || std::iter::once(&self.current).chain(&self.old);
        let mut here = holders().filter_map(|holder| match holder {
            Holder::Here(key) => Some(key.clone()).filter(|key| key.id == id),
            Holder::Elsewhere(asked) => asked.known(id),
        });
        if let Some(key) = here.next() {
            return Ok(Some(key));
        }
        // Should one not answer, another may know it.
        let mut outcome = Ok(None);
        for holder in holders() {
            let Holder::Elsewhere(asked) = holder else {
                continue;
            };
            match asked.find(id).await {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Whether somebody else is asked for keys.
    fn asks(&self) -> bool {
        let mut holders = std::iter::once(&self.current).chain(&self.old);
        holders.any(|holder| matches!(holder, Holder::Elsewhere(_)))
    }

    /// Seals what is saved under `stored`, the name in the store, over this version.
    pub(super) async fn seal(
        &self,
        name: &str,
        stored: &str,
        record: &Secret<String>,
        over: u64,
    ) -> Result<Secret<String>, Error> {
        let key = self.current().await?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)
            .map_err(|_| Error::from(Misuse::NoRandomness).at_endpoint(ENDPOINT))?;
        // Room for all of it, so that no copy of the record is left behind by growing.
        let mut text = Vec::with_capacity(name.len() + 1 + record.expose().len() + TAG);
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(record.expose().as_bytes());
        let cipher = key.cipher()?;
        let bound = bound_to(stored, over);
        if cipher
            .encrypt_in_place(&XNonce::from(nonce), &bound, &mut text)
            .is_err()
        {
            text.zeroize();
            return Err(malformed("the record is too large to seal"));
        }
        let sealed = [nonce.as_slice(), &text].concat();
        let envelope = Envelope {
            format: FORMAT.to_owned(),
            key: key.id,
            over: Some(over),
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        };
        let text = serde_json::to_string(&envelope).map_err(|_| malformed("the record"))?;
        Ok(Secret::new(text))
    }

    /// Opens what lies under `stored`, at this version.
    pub(super) async fn open(
        &self,
        stored: &str,
        text: &Secret<String>,
        version: u64,
    ) -> Result<Opened, Error> {
        let envelope = envelope(text).ok_or_else(|| unopened("it is not sealed"))?;
        let changed = || unopened("it was changed, or moved to this name");
        let bound = match (envelope.format.as_str(), envelope.over) {
            (FIRST_FORMAT, None) => bound_to_name(stored),
            // It was sealed to be saved over a lower one.
            (FORMAT, Some(over)) if over < version => bound_to(stored, over),
            _ => return Err(changed()),
        };
        let key = self.find(&envelope.key).await?.ok_or_else(|| {
            let id: String = envelope.key.chars().take(20).collect();
            unopened(&match self.asks() {
                true => format!("nobody has the key {id}"),
                false => format!("the key {id} is not given"),
            })
        })?;
        let sealed = URL_SAFE_NO_PAD
            .decode(&envelope.sealed)
            .map_err(|_| changed())?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let mut text = text.to_vec();
        key.cipher()?
            .decrypt_in_place(&XNonce::from(*nonce), &bound, &mut text)
            .map_err(|_| changed())?;
        let text = Secret::new(String::from_utf8(text).map_err(|_| changed())?);
        if envelope.over.is_none() {
            return Ok(Opened {
                name: None,
                record: text,
                key: None,
            });
        }
        let (name, record) = text.expose().split_once('\0').ok_or_else(changed)?;
        Ok(Opened {
            name: Some(name.to_owned()),
            record: Secret::new(record.to_owned()),
            key: Some(key.id),
        })
    }
}

/// Whether a text says of itself that it was sealed.
pub(super) fn is_sealed(text: &Secret<String>) -> bool {
    envelope(text).is_some()
}

fn envelope(text: &Secret<String>) -> Option<Envelope> {
    let envelope: Option<Envelope> = serde_json::from_str(text.expose()).ok();
    envelope.filter(|envelope| envelope.format == FORMAT || envelope.format == FIRST_FORMAT)
}

/// What a record is sealed together with: no format and no number holds a line break, so no two read
/// alike.
fn bound_to(stored: &str, over: u64) -> Vec<u8> {
    format!("{FORMAT}\n{over}\n{stored}").into_bytes()
}

fn bound_to_name(stored: &str) -> Vec<u8> {
    format!("{FIRST_FORMAT}\n{stored}").into_bytes()
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

fn no_key() -> Error {
    setup("a key is 32 bytes, or their text in base64url without padding")
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("current", &self.current)
            .field("old", &self.old)
            .finish()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
