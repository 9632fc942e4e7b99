//! Keys of a key management service: requested rarely, by one caller for all, and cached.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use oauth_core::error::{Cause, Error, Kind};
use oauth_core::moment::UnixTime;
use oauth_seal::Key;
use tokio::sync::watch;

use super::{ENDPOINT, setup};
use crate::clock;
use crate::store::Answer;

/// The time for which a process seals with one key before it requests the next.
const CURRENT_KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The pause before the next attempt if the next key could not be obtained; until then the current key seals.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// The time for which an id is remembered as unknown.
const UNKNOWN_LASTS: Duration = Duration::from_secs(60);

/// The number of unknown ids that are remembered, so that a store full of forged ids does not cause a request for each.
const MOST_UNKNOWN: usize = 64;

/// The number of cached keys.
const MAX_CACHED_KEYS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The longest id, in bytes: a key wrapped with the largest RSA keys in use, as text.
const LONGEST_ID: usize = 2048;

/// A holder of keys, such as a key management service: it makes and unwraps the data keys with which records are sealed
/// (envelope encryption).
///
/// The id of a key is in every record that is sealed with it, unencrypted, so it can be the data key itself, wrapped by
/// the service: then nothing has to be stored anywhere else. Or it is the name by which the service finds the key, or
/// the version of a secret.
///
/// Its answers are cached in memory: an id is requested once during the life of the process (the 1024 most recently
/// used keys are kept), the key to seal with once a day, and callers that need a key in the meantime wait for the
/// single call. An unknown id is not requested again for a minute. While 64 ids are remembered as unknown, no further ids are requested.
/// Errors are not cached. They fail the call to the store with an error that names the key service: nothing was written
/// then, and tokens that are still valid are still returned.
///
/// There is no timeout here: a caller waits for a key as long as the service takes. Answer within some seconds, or
/// fail.
pub trait KeySource: Send + Sync {
    /// The key to seal with from now on: a new one, or always the same.
    ///
    /// # Errors
    /// The reason why the service does not answer, best as [`Error::lost`]. If there is an earlier key, it is used for
    /// another minute.
    fn data_key(&self) -> Answer<'_, DataKey>;

    /// The key of this id; `None` if the service does not know it, or refuses it permanently: then the record is
    /// `stored.sealed`, and a new login may replace it.
    ///
    /// The id is from the store, where others may have written it.
    ///
    /// # Errors
    /// The reason why the service does not answer, best as [`Error::lost`]; the record stays as it is.
    fn unwrap_key<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Key>>;
}

/// A key, and the id by which a [`KeySource`] knows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DataKey {
    /// The id: 1 to 2048 visible ASCII characters.
    pub id: String,
    /// The key itself.
    pub key: Key,
}

impl DataKey {
    /// The key that is known by this id.
    pub fn new(id: impl Into<String>, key: impl Into<Key>) -> Self {
        Self {
            id: id.into(),
            key: key.into(),
        }
    }
}

/// The id of the requested key; `None` for the key to seal with.
type KeyQuery = Option<String>;

type Outcome = Result<Option<Key>, Error>;

/// A source, and the cache of its answers.
pub(super) struct CachedSource {
    source: Box<dyn KeySource>,
    cache: Mutex<KeyCache>,
}

struct KeyCache {
    keys: LruCache<String, Key>,
    /// Until when each unknown id is not requested again.
    unknown: BTreeMap<String, UnixTime>,
    current: Option<Current>,
    /// The requests in flight.
    in_flight: HashMap<KeyQuery, watch::Receiver<Option<Outcome>>>,
}

struct Current {
    key: Key,
    until: UnixTime,
}

/// How a caller gets a key: from the cache, by waiting for another caller, or from the source.
enum KeyAccess<'a> {
    Found(Outcome),
    Follow(watch::Receiver<Option<Outcome>>),
    Lead(Leader<'a>),
}

/// The caller that requests the key for all. If it is dropped before there is an answer, the next one requests it.
struct Leader<'a> {
    cached_source: &'a CachedSource,
    query: KeyQuery,
    sender: watch::Sender<Option<Outcome>>,
}

impl CachedSource {
    pub(super) fn new(source: impl KeySource + 'static) -> Self {
        Self {
            source: Box::new(source),
            cache: Mutex::new(KeyCache {
                keys: LruCache::new(MAX_CACHED_KEYS),
                unknown: BTreeMap::new(),
                current: None,
                in_flight: HashMap::new(),
            }),
        }
    }

    /// The key to seal with.
    pub(super) async fn current(&self) -> Result<Key, Error> {
        let no_key = || source_error(setup("it has no key to seal with"));
        let outcome = self.key_or_wait(None).await;
        outcome.and_then(|key| key.ok_or_else(no_key))
    }

    /// The key of this id, if it is cached.
    pub(super) fn cached_key(&self, id: &str) -> Option<Key> {
        self.lock().keys.get(id).cloned()
    }

    /// The key of this id, if there is one.
    pub(super) async fn find(&self, id: &str) -> Outcome {
        if is_id(id) {
            self.key_or_wait(Some(id.to_owned())).await
        } else {
            Ok(None)
        }
    }

    async fn key_or_wait(&self, query: KeyQuery) -> Outcome {
        loop {
            match self.next_turn(&query, clock::now()?) {
                KeyAccess::Found(outcome) => return outcome,
                KeyAccess::Follow(mut receiver) => {
                    if let Ok(outcome) = receiver.wait_for(Option::is_some).await
                        && let Some(outcome) = outcome.clone()
                    {
                        return outcome;
                    }
                }
                KeyAccess::Lead(lead) => return lead.request_key().await,
            }
        }
    }

    fn next_turn(&self, query: &KeyQuery, now: UnixTime) -> KeyAccess<'_> {
        let mut cache = self.lock();
        if let Some(outcome) = cache.cached_outcome(query, now) {
            return KeyAccess::Found(outcome);
        }
        if let Some(receiver) = cache.in_flight.get(query) {
            return KeyAccess::Follow(receiver.clone());
        }
        let (sender, receiver) = watch::channel(None);
        cache.in_flight.insert(query.clone(), receiver);
        KeyAccess::Lead(Leader {
            cached_source: self,
            query: query.clone(),
            sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, KeyCache> {
        // The state under the lock is always consistent.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyCache {
    fn cached_outcome(&mut self, query: &KeyQuery, now: UnixTime) -> Option<Outcome> {
        let Some(id) = query else {
            let is_asked_for = self.in_flight.contains_key(&None);
            let current = self.current.as_ref()?;
            // The old key is used until the new one arrives.
            let is_usable = now < current.until || is_asked_for;
            return is_usable.then(|| Ok(Some(current.key.clone())));
        };
        if let Some(key) = self.keys.get(id) {
            return Some(Ok(Some(key.clone())));
        }
        // Also forget ids that were recorded before the clock was set back.
        self.unknown
            .retain(|_, retry_at| now < *retry_at && *retry_at <= now.after(UNKNOWN_LASTS));
        if self.unknown.contains_key(id) {
            return Some(Ok(None));
        }
        let is_full = self.unknown.len() >= MOST_UNKNOWN;
        is_full.then(|| {
            let reason = "it was asked for too many keys that it does not know";
            Err(source_error(Error::lost(Cause::unsent(reason))))
        })
    }

    fn record_answer(
        &mut self,
        query: &KeyQuery,
        result: &Result<Option<Key>, Error>,
        now: UnixTime,
    ) {
        match (query, result) {
            (Some(id), Ok(Some(key))) => {
                self.keys.put(id.clone(), key.clone());
            }
            (Some(id), Ok(None)) => {
                self.unknown.insert(id.clone(), now.after(UNKNOWN_LASTS));
            }
            (None, Ok(Some(key))) => {
                self.keys.put(key.id().to_owned(), key.clone());
                self.current = Some(Current {
                    key: key.clone(),
                    until: now.after(CURRENT_KEY_LIFETIME),
                });
            }
            (None, _) => {
                if let Some(current) = &mut self.current {
                    current.until = now.after(RETRY_PAUSE);
                }
            }
            (Some(_), Err(_)) => {}
        }
    }
}

impl Leader<'_> {
    async fn request_key(self) -> Outcome {
        let source = &self.cached_source.source;
        let result = match &self.query {
            Some(id) => {
                let key = source.unwrap_key(id).await;
                key.map(|key| key.map(|key| key.with_id(id)))
            }
            None => match source.data_key().await {
                Ok(DataKey { id, key }) if is_id(&id) => Ok(Some(key.with_id(&id))),
                Ok(_) => Err(setup("the id of a key is 1 to 2048 characters of ASCII")),
                Err(error) => Err(error),
            },
        };
        let result = result.map_err(source_error);
        let now = clock::now()?;
        let mut cache = self.cached_source.lock();
        cache.record_answer(&self.query, &result, now);
        cache.in_flight.remove(&self.query);
        let outcome = match cache.cached_outcome(&self.query, now) {
            // There is an earlier key.
            Some(cached @ Ok(_)) => cached,
            _ => result,
        };
        drop(cache);
        self.sender.send_replace(Some(outcome.clone()));
        outcome
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut cache = self.cached_source.lock();
        let is_own_channel =
            |receiver: &watch::Receiver<_>| receiver.same_channel(&self.sender.subscribe());
        if cache.in_flight.get(&self.query).is_some_and(is_own_channel) {
            cache.in_flight.remove(&self.query);
        }
    }
}

fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The error of a key service. It is unsent, because without the key no record was read or written.
fn source_error(error: Error) -> Error {
    let detail_text = match error.detail() {
        Some(detail) => format!("the key service: {detail}"),
        None => "the key service".to_owned(),
    };
    let error = match error.kind() {
        Kind::Lost(_) => Error::lost(Cause::unsent(error)),
        _ => error,
    };
    error.at_endpoint(ENDPOINT).about(&detail_text)
}

impl fmt::Debug for CachedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSource").finish_non_exhaustive()
    }
}
