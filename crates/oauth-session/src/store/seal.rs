//! The sealed store: encrypts the records of any other store.

mod keys;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse, ValidationFailure};
use oauth_core::moment::UnixTime;

use super::{Answer, ENDPOINT, Entry, Lease, Page, RecordTimes, SaveOutcome, Store};
pub use keys::Keys;
use keys::{DecryptedRecord, is_sealed};
pub use oauth_seal::Key;
use oauth_seal::record::record_times;
pub use source::{DataKey, KeySource};

/// A store whose records are encrypted and authenticated.
///
/// What is stored is JSON, `{"format": "oauth-core sealed 2", "key": "...", "over": 7, "sealed": "..."}`: the id of the
/// key, the version it was saved over, and in base64url a nonce and the name and the record in XChaCha20-Poly1305. Its
/// name in the store and the version are authenticated with it, so a record that was moved to another name, or stored
/// at a version that does not follow its own, is refused. Versions, leases and due times are not hidden; names are
/// hidden only with [`hiding_names`](Self::hiding_names). An attacker who can write to the store can put an older
/// record back at a new version, or remove one.
///
/// `stored.sealed` is a record that cannot be opened: its key is not configured, it was changed or moved, or it was
/// never sealed. Provide the key that its detail names. If that key is lost, a new login replaces the record.
#[derive(Clone)]
pub struct SealedStore<S> {
    store: S,
    keys: Arc<Keys>,
    names: Option<Key>,
    plain: Plain,
}

/// The handling of a record that was never sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Refused,
    Accepted,
}

/// The result of [`SealedStore::reseal`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResealReport {
    /// The number of records resealed with the current key.
    pub count: u64,
    /// The names in the store of records that no key opens: they were left unchanged.
    pub unopened: Vec<String>,
}

impl<S: Store> SealedStore<S> {
    /// Seals the records of this store.
    pub fn new(store: S, keys: Keys) -> Self {
        Self {
            store,
            keys: Arc::new(keys),
            names: None,
            plain: Plain::Refused,
        }
    }

    /// Stores records under other names, which say nothing without this key (HMAC with SHA-256). Names are hashes, but
    /// of values that may be guessed: an issuer, a client, and a user's name.
    ///
    /// The key cannot be changed later, because the names would change: use a separate key, for a store that has no
    /// records yet. The name of a record that cannot be opened is unknown: [`scan`](Store::scan) and
    /// [`due`](Store::due) leave it out, and open each record that they list.
    #[must_use]
    pub fn hiding_names(mut self, key: impl Into<Key>) -> Self {
        self.names = Some(key.into());
        self
    }

    /// Reads records that were never sealed too, and seals them when they are next saved: for a store
    /// that had records before it was sealed. Until [`reseal`](Self::reseal) has sealed them all and this call is
    /// removed again, an attacker who can write to the store can insert records.
    #[must_use]
    pub const fn accepting_plain(mut self) -> Self {
        self.plain = Plain::Accepted;
        self
    }

    /// The inner store, for methods beyond [`Store`].
    pub const fn get_ref(&self) -> &S {
        &self.store
    }

    /// Reseals every record that is not sealed with the current key, while workers continue. Call it once all of them
    /// seal with the current key; if nothing is unopened, the old keys can be removed.
    ///
    /// # Errors
    /// The errors of the methods of [`Store`], and `misuse.not_supported` for a store that cannot list. After an error, call
    /// it again: resealed records stay so.
    pub async fn reseal(&self) -> Result<ResealReport, Error> {
        let mut resealed = ResealReport::default();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.store.scan(cursor.as_deref()).await?;
            for stored in page.keys {
                match self.reseal_one(&stored).await {
                    Ok(is_new) => resealed.count += u64::from(is_new),
                    Err(error) if is_unopened(&error) => resealed.unopened.push(stored),
                    Err(error) => return Err(error),
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                resealed.unopened.sort();
                resealed.unopened.dedup();
                return Ok(resealed);
            }
        }
    }

    /// Reseals one record; returns whether it was necessary.
    async fn reseal_one(&self, stored: &str) -> Result<bool, Error> {
        loop {
            let Some(entry) = self.store.load(stored).await? else {
                return Ok(false);
            };
            if entry.is_removed() {
                return Ok(false);
            }
            let opened = self.open(stored, &entry).await?;
            let current = self.keys.current().await?;
            if opened.key.as_deref() == Some(current.id()) {
                return Ok(false);
            }
            // A store that hides names has no records that were sealed without their name.
            let name = opened.name.as_deref().unwrap_or(stored);
            let sealed = self
                .keys
                .seal(name, stored, &opened.record, entry.version)
                .await?;
            // The store does not return the times with which a record was saved.
            let times = times_of_record(&opened.record);
            let saved = self
                .store
                .save(stored, &sealed, entry.version, times)
                .await?;
            if saved != SaveOutcome::Conflict {
                return Ok(true);
            }
        }
    }

    /// The name in the store.
    fn sealed_name(&self, name: &str) -> Result<String, Error> {
        match &self.names {
            Some(key) => key.hide(name),
            None => Ok(name.to_owned()),
        }
    }

    async fn open(&self, stored: &str, entry: &Entry) -> Result<DecryptedRecord, Error> {
        if self.plain == Plain::Accepted && !is_sealed(&entry.record) {
            return Ok(DecryptedRecord {
                name: None,
                record: entry.record.clone(),
                key: None,
            });
        }
        self.keys.open(stored, &entry.record, entry.version).await
    }

    /// The names of the records stored under these.
    async fn names(&self, stored: Vec<String>) -> Result<Vec<String>, Error> {
        if self.names.is_none() {
            return Ok(stored);
        }
        let mut names = Vec::with_capacity(stored.len());
        for stored in stored {
            let Some(entry) = self.store.load(&stored).await? else {
                continue;
            };
            match self.open(&stored, &entry).await {
                Ok(opened) => names.extend(opened.name),
                Err(error) if is_unopened(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }
}

/// The times in the record itself: of a grant, or of another record that expires.
fn times_of_record(record: &Secret<String>) -> RecordTimes {
    let (due, until) = record_times(record);
    RecordTimes { due, until }
}

fn is_unopened(error: &Error) -> bool {
    error.code() == Error::from(ValidationFailure::StoredSealed).code()
}

fn setup(detail: &str) -> Error {
    Error::from(Misuse::SealingKey)
        .at_endpoint(ENDPOINT)
        .about(detail)
}

impl<S: Store> Store for SealedStore<S> {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let stored = self.sealed_name(key)?;
            let Some(entry) = self.store.load(&stored).await? else {
                return Ok(None);
            };
            if entry.is_removed() {
                return Ok(Some(entry));
            }
            let record = self.open(&stored, &entry).await?.record;
            Ok(Some(Entry { record, ..entry }))
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move {
            let stored = self.sealed_name(key)?;
            // A tombstone is not secret, and the store itself has to recognize it.
            if record.expose().is_empty() {
                return self.store.save(&stored, record, version, times).await;
            }
            let sealed = self.keys.seal(key, &stored, record, version).await?;
            self.store.save(&stored, &sealed, version, times).await
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move { self.store.lease(&self.sealed_name(key)?, holder, ttl).await })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { self.store.remove(&self.sealed_name(key)?).await })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let Page { keys, next } = self.store.scan(cursor).await?;
            let keys = self.names(keys).await?;
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move { self.names(self.store.due(before, limit).await?).await })
    }
}

impl<S: fmt::Debug> fmt::Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore")
            .field("store", &self.store)
            .field("keys", &self.keys)
            .field("names", &self.names)
            .field("plain", &self.plain)
            .finish()
    }
}
