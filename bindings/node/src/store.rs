//! Stores of ours, as objects with the three methods of any other store.

use std::sync::Arc;

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_core::{Error, Secret};
use oauth_session::store::{self, Answer, Lease, Saved, Store};

use crate::error::{fail, text};
use crate::runtime::{millis, promise};

/// What our stores can do beside the verbs.
trait Native: Store {
    /// Removes a record; whether there was one.
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;
    /// The keys of all records, of a store that can tell.
    fn keys(&self) -> Option<Answer<'_, Vec<String>>> {
        None
    }
}

impl Native for store::FileStore {
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.remove(key))
    }

    fn keys(&self) -> Option<Answer<'_, Vec<String>>> {
        Some(Box::pin(self.list()))
    }
}

impl Native for store::RedisStore {
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.remove(key))
    }
}

/// Why a store gave no answer: an error that a keeper can be told as it is.
#[napi]
pub struct NativeFailure(pub(crate) Error);

#[napi]
impl NativeFailure {
    /// The error, on its way to JavaScript.
    #[napi(getter)]
    pub fn text(&self) -> String {
        text(&self.0)
    }
}

/// What a store answered; which members there are depends on the verb.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub(crate) struct NativeAnswer {
    /// The version of the record that was read or saved.
    pub version: Option<f64>,
    /// The record that was read.
    pub record: Option<String>,
    /// For how many milliseconds another holds the lease.
    pub ms: Option<f64>,
    /// Whether there was anything to remove.
    pub removed: Option<bool>,
    /// The keys of all records.
    pub keys: Option<Vec<String>>,
    /// There was no answer.
    pub failure: Option<NativeFailure>,
}

/// A store of ours.
#[napi]
pub struct NativeStore(Arc<dyn Native>);

impl NativeStore {
    /// Asks the store on the runtime. A failure is an answer too, so that it keeps what it is.
    fn ask<'env, F>(
        &self,
        env: &'env Env,
        ask: impl FnOnce(Arc<dyn Native>) -> F,
    ) -> Result<Object<'env>>
    where
        F: Future<Output = std::result::Result<NativeAnswer, Error>> + Send + 'static,
    {
        let answer = ask(Arc::clone(&self.0));
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
    pub fn file(path: String) -> Result<Self> {
        let store = store::FileStore::new(path).map_err(fail)?;
        Ok(Self(Arc::new(store)))
    }

    /// Records in Redis.
    #[napi(factory)]
    pub fn redis(url: String, prefix: Option<String>, timeout_ms: Option<f64>) -> Result<Self> {
        let mut store = store::RedisStore::new(&url).map_err(fail)?;
        if let Some(prefix) = prefix {
            store = store.with_prefix(prefix);
        }
        if let Some(timeout) = timeout_ms {
            store = store.with_timeout(millis(timeout));
        }
        Ok(Self(Arc::new(store)))
    }

    /// The record and its version; neither if there is none.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn load<'env>(&self, env: &'env Env, key: String) -> Result<Object<'env>> {
        self.ask(env, |store| async move {
            let entry = store.load(&key).await?;
            Ok(
                entry.map_or_else(NativeAnswer::default, |entry| NativeAnswer {
                    // Versions count renewals: they stay far below 2^53.
                    version: Some(entry.version as f64),
                    record: Some(entry.record.expose().clone()),
                    ..NativeAnswer::default()
                }),
            )
        })
    }

    /// The new version, or nothing if the record was at another.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn save<'env>(
        &self,
        env: &'env Env,
        key: String,
        record: String,
        version: f64,
    ) -> Result<Object<'env>> {
        let record = Secret::new(record);
        self.ask(env, move |store| async move {
            let saved = store.save(&key, &record, whole(version)).await?;
            Ok(NativeAnswer {
                version: match saved {
                    Saved::At(version) => Some(version as f64),
                    Saved::Conflict => None,
                },
                ..NativeAnswer::default()
            })
        })
    }

    /// For how many milliseconds another holds the lease; nothing if it was won, or given back.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn lease<'env>(
        &self,
        env: &'env Env,
        key: String,
        holder: String,
        ms: f64,
    ) -> Result<Object<'env>> {
        self.ask(env, move |store| async move {
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

    /// Removes a record and its lease, whatever is in them.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn remove<'env>(&self, env: &'env Env, key: String) -> Result<Object<'env>> {
        self.ask(env, |store| async move {
            let removed = Some(store.remove(&key).await?);
            Ok(NativeAnswer {
                removed,
                ..NativeAnswer::default()
            })
        })
    }

    /// The keys of all records, sorted; none of a store that cannot tell.
    #[napi(ts_return_type = "Promise<NativeAnswer>")]
    pub fn keys<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.ask(env, |store| async move {
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

/// A version as JavaScript tells it; what is none is one that nothing is at.
pub(crate) fn whole(version: f64) -> u64 {
    match version.is_finite() && version >= 0.0 {
        true => version as u64,
        false => u64::MAX,
    }
}
