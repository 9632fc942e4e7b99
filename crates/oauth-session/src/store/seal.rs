//! Records that only the holder of a key can read, in any store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use oauth_core::Secret;
use oauth_core::error::{Check, Error, Misuse};
use oauth_core::moment::UnixTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::{Answer, ENDPOINT, Entry, Lease, Page, Saved, Store, malformed};

const FORMAT: &str = "oauth-core sealed 1";

/// The length of a nonce: long enough to be drawn at random for every record there will ever be.
const NONCE: usize = 24;

/// The length of a tag.
const TAG: usize = 16;

/// A store whose records are encrypted, and cannot be changed unnoticed.
///
/// What is stored is JSON, `{"format": "oauth-core sealed 1", "key": "...", "sealed": "..."}`: the id
/// of the key, and in base64url a nonce and the record in XChaCha20-Poly1305. The name of the record
/// is sealed with it, so a record that somebody moved to another name is refused as one that was
/// changed. Names, versions and leases are not hidden; and who can write to the store can put an
/// older record back, or remove one.
///
/// `stored.sealed` is a record that cannot be opened: its key is not given, it was changed or moved,
/// or it was never sealed. Give the key that its detail names, or remove the record and log in anew.
#[derive(Clone)]
pub struct Sealed<S> {
    store: S,
    keys: Arc<Keys>,
}

/// A key of 32 random bytes, which are overwritten in memory once nobody needs them.
#[derive(Clone)]
pub struct Key {
    id: String,
    bytes: Secret<Vec<u8>>,
}

/// The key that seals, and the old ones that still open.
///
/// To change the key: give every process the new one as [`also`](Self::also), then make it the
/// current one everywhere, with the old one as `also`. Each record is sealed anew with the current
/// key when it is saved next, as it is when its token is renewed; once no record names the old id,
/// the old key can go.
#[derive(Clone)]
pub struct Keys {
    current: Key,
    old: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    key: String,
    sealed: String,
}

impl<S: Store> Sealed<S> {
    /// Seals what this store keeps.
    pub fn new(store: S, keys: Keys) -> Self {
        let keys = Arc::new(keys);
        Self { store, keys }
    }

    /// The store itself, for what is not a verb of [`Store`].
    pub const fn get_ref(&self) -> &S {
        &self.store
    }
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

    fn cipher(&self) -> Result<XChaCha20Poly1305, Error> {
        // It overwrites its own copy when it is dropped.
        XChaCha20Poly1305::new_from_slice(self.bytes.expose()).map_err(|_| setup("no such key"))
    }
}

impl Keys {
    /// Seals and opens with this key.
    pub fn new(current: impl Into<Key>) -> Self {
        Self {
            current: current.into(),
            old: Vec::new(),
        }
    }

    /// Opens with this one too.
    #[must_use]
    pub fn also(mut self, old: impl Into<Key>) -> Self {
        self.old.push(old.into());
        self
    }

    fn seal(&self, name: &str, record: &Secret<String>) -> Result<Secret<String>, Error> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)
            .map_err(|_| Error::from(Misuse::NoRandomness).at_endpoint(ENDPOINT))?;
        // Room for all of it, so that no copy of the record is left behind by growing.
        let mut text = Vec::with_capacity(record.expose().len() + TAG);
        text.extend_from_slice(record.expose().as_bytes());
        let cipher = self.current.cipher()?;
        let done = cipher.encrypt_in_place(&XNonce::from(nonce), &bound_to(name), &mut text);
        if done.is_err() {
            text.zeroize();
            return Err(malformed("the record is too large to seal"));
        }
        let sealed = [nonce.as_slice(), &text].concat();
        let envelope = Envelope {
            format: FORMAT.to_owned(),
            key: self.current.id.clone(),
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        };
        let text = serde_json::to_string(&envelope).map_err(|_| malformed("the record"))?;
        Ok(Secret::new(text))
    }

    fn open(&self, name: &str, stored: &Secret<String>) -> Result<Secret<String>, Error> {
        let envelope: Option<Envelope> = serde_json::from_str(stored.expose()).ok();
        let envelope = envelope.filter(|envelope| envelope.format == FORMAT);
        let envelope = envelope.ok_or_else(|| unopened("it is not sealed"))?;
        let mut keys = std::iter::once(&self.current).chain(&self.old);
        let key = keys.find(|key| key.id == envelope.key).ok_or_else(|| {
            let id: String = envelope.key.chars().take(20).collect();
            unopened(&format!("the key {id} is not given"))
        })?;
        let changed = || unopened("it was changed, or moved to this name");
        let sealed = URL_SAFE_NO_PAD
            .decode(envelope.sealed)
            .map_err(|_| changed())?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let mut text = text.to_vec();
        key.cipher()?
            .decrypt_in_place(&XNonce::from(*nonce), &bound_to(name), &mut text)
            .map_err(|_| changed())?;
        let text = String::from_utf8(text).map_err(|_| changed())?;
        Ok(Secret::new(text))
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

/// What a record is sealed together with: no format holds a line break, so no two names read alike.
fn bound_to(name: &str) -> Vec<u8> {
    format!("{FORMAT}\n{name}").into_bytes()
}

fn unopened(what: &str) -> Error {
    Error::from(Check::StoredSealed)
        .at_endpoint(ENDPOINT)
        .about(what)
}

fn no_key() -> Error {
    setup("a key is 32 bytes, or their text in base64url without padding")
}

fn setup(what: &str) -> Error {
    Error::from(Misuse::Setup).at_endpoint(ENDPOINT).about(what)
}

impl<S: Store> Store for Sealed<S> {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let Some(entry) = self.store.load(key).await? else {
                return Ok(None);
            };
            if entry.is_removed() {
                return Ok(Some(entry));
            }
            let record = self.keys.open(key, &entry.record)?;
            Ok(Some(Entry { record, ..entry }))
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        due: Option<UnixTime>,
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            // That there is nothing left is no secret, and the store itself has to see it.
            if record.expose().is_empty() {
                return self.store.save(key, record, version, due).await;
            }
            let sealed = self.keys.seal(key, record)?;
            self.store.save(key, &sealed, version, due).await
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.store.lease(key, holder, ttl)
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        self.store.remove(key)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        self.store.scan(cursor)
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        self.store.due(before, limit)
    }
}

impl<S: fmt::Debug> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("store", &self.store)
            .field("keys", &self.keys)
            .finish()
    }
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
