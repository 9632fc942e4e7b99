//! The keys of a store, given or requested, and the format of sealed records.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_seal::{Key, NONCE};
use serde::{Deserialize, Serialize};

use super::source::{Asked, KeySource};
use super::unopened;
use crate::store::{ENDPOINT, malformed};

const FORMAT: &str = "oauth-core sealed 2";

/// The length of a tag, in bytes.
const ROOM: usize = 16;

/// The format of earlier versions, bound only to the name.
const FIRST_FORMAT: &str = "oauth-core sealed 1";

/// The key that seals, and the old ones that still open.
///
/// They are given, or requested when they are needed: see [`KeySource`].
///
/// To change a key that is given: give every process the new one as [`also`](Self::also), then make it the
/// current one everywhere, with the old one as `also`. Each record is sealed again with the current key when it is next
/// saved; [`SealedStore::reseal`](super::SealedStore::reseal) does it for all. When that has resealed all, the old key can be
/// removed.
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

/// The stored form of a sealed record.
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

/// An opened record.
pub(super) struct Opened {
    /// The record's name, unless it was sealed in the first format.
    pub(super) name: Option<String>,
    pub(super) record: Secret<String>,
    /// The id of the key, unless it would not be sealed like that today.
    pub(super) key: Option<String>,
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

    /// Also opens with this key.
    #[must_use]
    pub fn also(mut self, old: impl Into<Key>) -> Self {
        self.old.push(Holder::Here(old.into()));
        self
    }

    /// Also opens with the keys of this source, for earlier records.
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

    /// The key of this id, if it was given, or the key holder knows it.
    async fn find(&self, id: &str) -> Result<Option<Key>, Error> {
        let holders = || std::iter::once(&self.current).chain(&self.old);
        let mut here = holders().filter_map(|holder| match holder {
            Holder::Here(key) => Some(key.clone()).filter(|key| key.id() == id),
            Holder::Elsewhere(asked) => asked.known(id),
        });
        if let Some(key) = here.next() {
            return Ok(Some(key));
        }
        // If one does not answer, another may know it.
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

    /// Whether a key holder is asked for keys.
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
        let mut text = Vec::with_capacity(name.len() + 1 + record.expose().len() + ROOM);
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(record.expose().as_bytes());
        let sealed = key
            .seal(nonce, &bound_to(stored, over), text)
            .map_err(|_| malformed("the record is too large to seal"))?;
        let envelope = Envelope {
            format: FORMAT.to_owned(),
            key: key.id().to_owned(),
            over: Some(over),
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        };
        let text = serde_json::to_string(&envelope).map_err(|_| malformed("the record"))?;
        Ok(Secret::new(text))
    }

    /// Opens what is stored under `stored`, at this version.
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
        let text = key.open(&bound, &sealed).ok_or_else(changed)?;
        let text = std::str::from_utf8(text.expose()).map_err(|_| changed())?;
        let text = Secret::new(text.to_owned());
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
            key: Some(key.id().to_owned()),
        })
    }
}

/// Whether a text claims to be sealed.
pub(super) fn is_sealed(text: &Secret<String>) -> bool {
    envelope(text).is_some()
}

fn envelope(text: &Secret<String>) -> Option<Envelope> {
    let envelope: Option<Envelope> = serde_json::from_str(text.expose()).ok();
    envelope.filter(|envelope| envelope.format == FORMAT || envelope.format == FIRST_FORMAT)
}

/// What a record is sealed together with: no format and no number contains a line break, so no two inputs are the same.
fn bound_to(stored: &str, over: u64) -> Vec<u8> {
    format!("{FORMAT}\n{over}\n{stored}").into_bytes()
}

fn bound_to_name(stored: &str) -> Vec<u8> {
    format!("{FIRST_FORMAT}\n{stored}").into_bytes()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("current", &self.current)
            .field("old", &self.old)
            .finish()
    }
}
