//! The keys of a store, given or requested.

use std::fmt;
use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_seal::record::{self, MissingKey, OpenedRecord, SealedRecord, seal_error};
use oauth_seal::{Key, NONCE};

use super::source::{CachedSource, KeySource};
use crate::store::ENDPOINT;

/// The key that seals records, and old keys that can still open them.
///
/// They are given, or requested when they are needed: see [`KeySource`].
///
/// To change a key that is given: give every process the new one as [`with_previous`](Self::with_previous), then make it the
/// current one everywhere, with the old one as `with_previous`. Each record is sealed again with the current key when it is next
/// saved; [`SealedStore::reseal`](super::SealedStore::reseal) does it for all. When that has resealed all, the old key can be
/// removed.
#[derive(Clone)]
pub struct Keys {
    current: Holder,
    previous: Vec<Holder>,
}

#[derive(Debug, Clone)]
enum Holder {
    Here(Key),
    Elsewhere(Arc<CachedSource>),
}

/// An opened record.
pub(super) struct DecryptedRecord {
    /// The record's name, unless it was sealed in the first format.
    pub(super) name: Option<String>,
    pub(super) record: Secret<String>,
    /// The id of the key, or `None` if the record uses the first format and has to be sealed again.
    pub(super) key: Option<String>,
}

impl Keys {
    /// Seals and opens records with this key.
    pub fn new(current: impl Into<Key>) -> Self {
        Self::from_holder(Holder::Here(current.into()))
    }

    /// Seals and opens with the keys of this source, such as a key management service.
    pub fn from_source(source: impl KeySource + 'static) -> Self {
        Self::from_holder(Holder::Elsewhere(Arc::new(CachedSource::new(source))))
    }

    const fn from_holder(current: Holder) -> Self {
        Self {
            current,
            previous: Vec::new(),
        }
    }

    /// Adds an old key, which only opens records.
    #[must_use]
    pub fn with_previous(mut self, key: impl Into<Key>) -> Self {
        self.previous.push(Holder::Here(key.into()));
        self
    }

    /// Adds a source of old keys, which only open records.
    #[must_use]
    pub fn with_previous_source(mut self, source: impl KeySource + 'static) -> Self {
        self.previous
            .push(Holder::Elsewhere(Arc::new(CachedSource::new(source))));
        self
    }

    /// The key to seal with.
    pub(super) async fn current(&self) -> Result<Key, Error> {
        match &self.current {
            Holder::Here(key) => Ok(key.clone()),
            Holder::Elsewhere(key_source) => key_source.current().await,
        }
    }

    /// The key of this id, if it is configured or the key source has it.
    async fn find(&self, id: &str) -> Result<Option<Key>, Error> {
        let holders = || std::iter::once(&self.current).chain(&self.previous);
        let mut local_keys = holders().filter_map(|holder| match holder {
            Holder::Here(key) => Some(key.clone()).filter(|key| key.id() == id),
            Holder::Elsewhere(key_source) => key_source.cached_key(id),
        });
        if let Some(key) = local_keys.next() {
            return Ok(Some(key));
        }
        // If one key source fails, another may have the key.
        let mut outcome = Ok(None);
        for holder in holders() {
            let Holder::Elsewhere(key_source) = holder else {
                continue;
            };
            match key_source.find(id).await {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Whether keys are requested from a key source.
    fn uses_key_source(&self) -> bool {
        let mut holders = std::iter::once(&self.current).chain(&self.previous);
        holders.any(|holder| matches!(holder, Holder::Elsewhere(_)))
    }

    /// Seals a record for `stored`, its name in the store, and the version over which it is saved.
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
        record::seal_record(&key, nonce, (name, stored), record, over)
    }

    /// Opens the record that is stored under `stored`, at this version.
    pub(super) async fn open(
        &self,
        stored: &str,
        text: &Secret<String>,
        version: u64,
    ) -> Result<DecryptedRecord, Error> {
        let sealed = SealedRecord::read(text).ok_or_else(|| seal_error("it is not sealed"))?;
        // No key is requested for a record that is malformed.
        if !sealed.can_be(version) {
            return Err(record::changed_error());
        }
        let reason = if self.uses_key_source() {
            MissingKey::Known
        } else {
            MissingKey::Given
        };
        let key = self.find(sealed.key_id()).await?;
        let key = key.ok_or_else(|| record::without_key(sealed.key_id(), reason))?;
        let OpenedRecord { name, record, .. } = sealed.open(&key, stored, version)?;
        Ok(DecryptedRecord {
            key: name.is_some().then(|| key.id().to_owned()),
            name,
            record,
        })
    }
}

/// Whether a string claims to be sealed.
pub(super) fn is_sealed(text: &Secret<String>) -> bool {
    SealedRecord::read(text).is_some()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("current", &self.current)
            .field("previous", &self.previous)
            .finish()
    }
}
