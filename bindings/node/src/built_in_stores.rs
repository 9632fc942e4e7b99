//! Built-in stores, as objects with the three methods of any store. Stores written in JavaScript are called by
//! `js_callbacks.rs`.

use std::sync::Arc;

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_core::error::Misuse;
use oauth_core::moment::UnixTime;
use oauth_core::{Error, Secret};
use oauth_session::store::seal::ResealReport;
use oauth_session::store::{
    self, Access, Answer, Lease, RecordTimes, SaveOutcome, Store, StoreUrl,
};

use crate::error::{fail, text};
use crate::js_callbacks::{Handler, JsImplementation};
use crate::keys::{NativeKey, NativeKeys};
use crate::runtime::{millis, promise};

/// The methods of built-in stores beyond those of every store.
trait Native: Store {
    /// The keys of all records, if the store can list them at once.
    fn keys(&self) -> Option<Answer<'_, Vec<String>>> {
        None
    }
    /// Creates the table for records, if the store needs one.
    fn migrate(&self) -> Option<Answer<'_, ()>> {
        None
    }
    /// Reseals records that were sealed with an older key, if the store seals.
    fn reseal(&self) -> Option<Answer<'_, ResealReport>> {
        None
    }
}

impl Native for store::FileStore {
    fn keys(&self) -> Option<Answer<'_, Vec<String>>> {
        Some(Box::pin(self.list()))
    }
}

impl Native for store::RedisStore {}

impl Native for store::SqliteStore {}

impl Native for store::MemoryStore {}

impl Native for JsImplementation {}

impl Native for store::PostgresStore {
    fn migrate(&self) -> Option<Answer<'_, ()>> {
        Some(Box::pin(self.migrate()))
    }
}

impl Native for store::SealedStore<Arc<dyn Native>> {
    fn reseal(&self) -> Option<Answer<'_, ResealReport>> {
        Some(Box::pin(self.reseal()))
    }
}

/// The error for an invalid store URL. The URL may contain a password, so the error does not show it.
fn no_store() -> napi::Error {
    let detail = "OAUTH_STORE must be the URL of a store: redis://, postgresql://, sqlite:PATH, file:PATH or memory:";
    fail(Error::from(Misuse::WebSetup).about(detail))
}

/// The error of a failed store call, which can be passed to a keeper unchanged.
#[napi]
pub struct NativeFailure(pub(crate) Error);

#[napi]
impl NativeFailure {
    /// The error as the text that JavaScript parses.
    #[napi(getter)]
    pub fn text(&self) -> String {
        text(&self.0)
    }
}

/// The result of a store call; which members are set depends on the method.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub(crate) struct NativeAnswer {
    /// The version of the record that was read or saved.
    pub version: Option<f64>,
    /// The record that was read.
    pub record: Option<String>,
    /// The milliseconds until the other holder's lease ends.
    pub ms: Option<f64>,
    /// Whether there was anything to remove.
    pub removed: Option<bool>,
    /// The keys of records.
    pub keys: Option<Vec<String>>,
    /// The number of resealed records.
    pub count: Option<f64>,
    /// The cursor for the next page of keys.
    pub next: Option<String>,
    /// The error, if the call failed.
    pub failure: Option<NativeFailure>,
}

/// A built-in store.
#[napi]
pub struct NativeStore(Arc<dyn Native>);

impl NativeStore {
    /// The store itself, for tasks of the native runtime.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0) as Arc<dyn Store>
    }

    /// Calls the store on the runtime. A failure is a result too, so that the error keeps its type.
    fn call<'env, F>(
        &self,
        env: &'env Env,
        call: impl FnOnce(Arc<dyn Native>) -> F,
    ) -> Result<Object<'env>>
    where
        F: Future<Output = std::result::Result<NativeAnswer, Error>> + Send + 'static,
    {
        let answer = call(Arc::clone(&self.0));
        promise(env, async move {
            Ok(answer.await.unwrap_or_else(|error| NativeAnswer {
                failure: Some(NativeFailure(error)),
                ..NativeAnswer::default()
            }))
        })
    }
}

#[napi]
impl NativeStore {
    /// Records in a folder.
    #[napi(factory)]
    pub fn file(path: String, for_group: bool) -> Result<Self> {
        let store = store::FileStore::open(path, access(for_group)).map_err(fail)?;
        Ok(Self(Arc::new(store)))
    }

    /// Records in a SQLite database.
    #[napi(factory)]
    pub fn sqlite(path: String, for_group: bool) -> Result<Self> {
        let store = store::SqliteStore::open(path, access(for_group)).map_err(fail)?;
        Ok(Self(Arc::new(store)))
    }

    /// Records in a store that is written in JavaScript.
    #[napi(factory)]
    pub fn foreign(handler: Handler<'_>) -> Result<Self> {
        Ok(Self(Arc::new(JsImplementation::new("store", &handler)?)))
    }

    /// Records in the memory of this process.
    #[napi(factory)]
    pub fn memory() -> Self {
        Self(Arc::new(store::MemoryStore::new()))
    }

    /// Records in Redis.
    #[napi(factory)]
    pub fn redis(
        url: String,
        prefix: Option<String>,
        timeout_ms: Option<f64>,
        replicas: Option<u32>,
    ) -> Result<Self> {
        let mut store = store::RedisStore::new(&url).map_err(fail)?;
        if let Some(prefix) = prefix {
            store = store.with_prefix(prefix);
        }
        if let Some(timeout) = timeout_ms {
            store = store.with_timeout(millis(timeout));
        }
        if let Some(replicas) = replicas {
            store = store.with_replicas(usize::try_from(replicas).unwrap_or(usize::MAX));
        }
        Ok(Self(Arc::new(store)))
    }

    /// Records in PostgreSQL.
    #[napi(factory)]
    pub fn postgres(url: String, timeout_ms: Option<f64>) -> Result<Self> {
        let store = match timeout_ms {
            Some(timeout) => store::PostgresStore::with_timeout(&url, millis(timeout)),
            None => store::PostgresStore::new(&url),
        };
        Ok(Self(Arc::new(store.map_err(fail)?)))
    }

    /// The store of a site that this URL names.
    #[napi(factory)]
    pub fn at(url: String) -> Result<Self> {
        let store: Arc<dyn Native> = match StoreUrl::parse(&url).map_err(|_| no_store())? {
            StoreUrl::Redis(url) => {
                Arc::new(store::RedisStore::new(url.expose()).map_err(|_| no_store())?)
            }
            StoreUrl::Postgres(url) => {
                Arc::new(store::PostgresStore::new(url.expose()).map_err(|_| no_store())?)
            }
            StoreUrl::Sqlite(path) => {
                Arc::new(store::SqliteStore::open(path, Access::Owner).map_err(fail)?)
            }
            StoreUrl::Files(path) => {
                Arc::new(store::FileStore::open(path, Access::Owner).map_err(fail)?)
            }
            StoreUrl::Memory => Arc::new(store::MemoryStore::new()),
            _ => return Err(no_store()),
        };
        Ok(Self(store))
    }

    /// This store with sealed records: the current key seals them, and old keys also open them.
    #[napi]
    pub fn sealed(
        &self,
        keys: &NativeKeys,
        names: Option<&NativeKey>,
        accepts_plain: bool,
    ) -> Self {
        let mut store = store::SealedStore::new(Arc::clone(&self.0), keys.snapshot());
        if let Some(names) = names {
            store = store.hiding_names(names.0.clone());
        }
        if accepts_plain {
            store = store.accepting_plain();
        }
        Self(Arc::new(store))
    }

    /// The private key of this name for DPoP, in PEM; it is generated if it does not exist.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn dpop_key<'env>(
        &self,
        env: &'env Env,
        name: String,
        alg: String,
    ) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let alg = oauth_facade::dpop_alg(&alg)?;
            let key = oauth_session::dpop_key::private(&*store, &name, alg).await?;
            Ok(NativeAnswer {
                record: Some(key.to_pem()?.to_string()),
                ..NativeAnswer::default()
            })
        })
    }

    /// The record and its version; both absent if it does not exist.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn load<'env>(&self, env: &'env Env, key: String) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let entry = store.load(&key).await?;
            Ok(
                entry.map_or_else(NativeAnswer::default, |entry| NativeAnswer {
                    // `Store::save` keeps versions below 2^53, so they are exact as a double.
                    version: Some(entry.version as f64),
                    record: Some(entry.record.expose().clone()),
                    ..NativeAnswer::default()
                }),
            )
        })
    }

    /// The new version; absent if the stored version was not the expected one.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn save<'env>(
        &self,
        env: &'env Env,
        key: String,
        record: String,
        version: f64,
        due: Option<f64>,
        until: Option<f64>,
    ) -> Result<Object<'env>> {
        let (due, until) = (due.map(unix_time), until.map(unix_time));
        let (record, times) = (Secret::new(record), RecordTimes { due, until });
        self.call(env, move |store| async move {
            let saved = store.save(&key, &record, to_u64(version), times).await?;
            Ok(NativeAnswer {
                version: match saved {
                    SaveOutcome::At(version) => Some(version as f64),
                    SaveOutcome::Conflict => None,
                },
                ..NativeAnswer::default()
            })
        })
    }

    /// The milliseconds until the lease of its holder ends; absent if the lease was acquired or released.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn lease<'env>(
        &self,
        env: &'env Env,
        key: String,
        holder: String,
        ms: f64,
    ) -> Result<Object<'env>> {
        self.call(env, move |store| async move {
            let lease = store.lease(&key, &holder, millis(ms)).await?;
            Ok(NativeAnswer {
                ms: match lease {
                    Lease::Won => None,
                    Lease::Held(rest) => Some(rest.as_secs_f64() * 1000.0),
                },
                ..NativeAnswer::default()
            })
        })
    }

    /// Removes a record and its lease, unread.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn remove<'env>(&self, env: &'env Env, key: String) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let removed = Some(store.remove(&key).await?);
            Ok(NativeAnswer {
                removed,
                ..NativeAnswer::default()
            })
        })
    }

    /// Creates the table for records, if the store needs one.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn migrate<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            if let Some(migration) = store.migrate() {
                migration.await?;
            }
            Ok(NativeAnswer::default())
        })
    }

    /// Reseals records that were sealed with an older key. Returns their number, and the keys of records that no key opens.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn reseal<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let done = match store.reseal() {
                Some(done) => done.await?,
                None => ResealReport::default(),
            };
            Ok(NativeAnswer {
                count: Some(done.count as f64),
                keys: Some(done.unopened),
                ..NativeAnswer::default()
            })
        })
    }

    /// The keys of a page of records, and the cursor for the next page.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn scan<'env>(&self, env: &'env Env, cursor: Option<String>) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let page = store.scan(cursor.as_deref()).await?;
            Ok(NativeAnswer {
                keys: Some(page.keys),
                next: page.next,
                ..NativeAnswer::default()
            })
        })
    }

    /// The keys of at most `limit` records that were due before this time, in milliseconds since 1970.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn due<'env>(&self, env: &'env Env, before: f64, limit: u32) -> Result<Object<'env>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.call(env, move |store| async move {
            let keys = Some(store.due(unix_time(before), limit).await?);
            Ok(NativeAnswer {
                keys,
                ..NativeAnswer::default()
            })
        })
    }

    /// The keys of all records, sorted; absent if the store cannot list them at once.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn keys<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.call(env, |store| async move {
            let keys = match store.keys() {
                Some(keys) => Some(keys.await?),
                None => None,
            };
            Ok(NativeAnswer {
                keys,
                ..NativeAnswer::default()
            })
        })
    }
}

const fn access(for_group: bool) -> Access {
    if for_group {
        Access::Group
    } else {
        Access::Owner
    }
}

/// Converts a JavaScript time, in milliseconds since 1970.
fn unix_time(ms: f64) -> UnixTime {
    UnixTime::from_secs(to_u64(ms / 1000.0))
}

/// A version from JavaScript; an invalid one becomes one that no record has.
pub(crate) fn to_u64(version: f64) -> u64 {
    if version.is_finite() && version >= 0.0 {
        version as u64
    } else {
        u64::MAX
    }
}

/// The SQL that `migrate` of a PostgreSQL store executes.
#[napi]
pub(crate) fn postgres_schema() -> &'static str {
    store::PostgresStore::SCHEMA
}
