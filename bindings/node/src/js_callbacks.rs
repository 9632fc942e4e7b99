//! Calls objects implemented in JavaScript, such as stores and key holders: from the runtime's thread, on the event
//! loop's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use napi::Result;
use napi::bindgen_prelude::{Either, Function, Uint8Array};
use napi::threadsafe_function::{
    ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue,
};
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_session::store::seal::{DataKey, Key, KeySource};
use oauth_session::store::{
    Answer, Entry, Lease, Page, RecordTimes, SaveOutcome, Store, remove_by_saving,
};
use oauth_web::Provider;
use tokio::sync::oneshot;

use crate::built_in_stores::{NativeFailure, to_u64};
use crate::keys::key;
use crate::runtime::millis;
use crate::web::NativeSiteSetup;

/// The longest time that a JavaScript callback may take.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A call of a JavaScript object; which members are set depends on the verb.
#[napi(object, object_from_js = false)]
#[derive(Clone, Default)]
pub struct NativeAsk {
    /// A verb of a store, `data_key`, `unwrap_key`, `assertion`, `sign`, `open`, `show_code`, `sign_in`, `hold`,
    /// `release`, `admit`, `provider` or `client`.
    pub verb: &'static str,
    /// The name of a record, or the id of a key.
    pub key: String,
    /// The record to save, the text to sign, the code to show, or the refused tokens.
    pub record: Option<String>,
    /// The version that the record replaces.
    pub version: Option<f64>,
    /// The holder of the lease.
    pub holder: Option<String>,
    /// The length of the lease, in milliseconds.
    pub ms: Option<f64>,
    /// The time when the record is due, or before which records are due, in milliseconds since 1970.
    pub due: Option<f64>,
    /// The time when the record expires, in milliseconds since 1970.
    pub until: Option<f64>,
    /// The largest number of keys to return.
    pub limit: Option<u32>,
    /// The cursor that the previous page returned.
    pub cursor: Option<String>,
}

/// The result of a call; which members are set depends on the verb.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NativeReply {
    /// The version of the record that was read or saved.
    pub version: Option<f64>,
    /// The record that was read, or the tokens of a sign-in.
    pub record: Option<String>,
    /// The milliseconds until the other holder's lease ends.
    pub ms: Option<f64>,
    /// Whether there was anything to remove.
    pub removed: Option<bool>,
    /// The keys of records.
    pub keys: Option<Vec<String>>,
    /// The cursor for the next page of keys.
    pub next: Option<String>,
    /// The id of a key.
    pub id: Option<String>,
    /// A key.
    pub key: Option<Either<Uint8Array, String>>,
    /// The token of a workload.
    pub assertion: Option<String>,
    /// A signature, in the form of JWS.
    pub signature: Option<Uint8Array>,
    /// The reason why the user is refused.
    pub refused: Option<String>,
    /// Whether the object has no such method.
    pub absent: Option<bool>,
}

type JsResult = std::result::Result<Reply, Error>;

/// The result of a call, converted to Rust.
pub(crate) struct Reply {
    pub(crate) said: NativeReply,
    key: Option<std::result::Result<Key, Error>>,
    /// In the form of JWS.
    pub(crate) signature: Option<Vec<u8>>,
    /// The provider to sign in with.
    pub(crate) provider: Option<Provider>,
}

/// A call to JavaScript, and the channel for its result. A call that is dropped unanswered is reported as lost.
#[napi]
pub struct NativeQuestion {
    ask: NativeAsk,
    sender: Mutex<Option<oneshot::Sender<JsResult>>>,
}

#[napi]
impl NativeQuestion {
    /// The call.
    #[napi(getter)]
    pub fn ask(&self) -> NativeAsk {
        self.ask.clone()
    }

    /// Answers the call with this result.
    #[napi]
    pub fn answer(&self, mut reply: NativeReply) {
        let key = reply.key.take().map(key);
        let signature = reply.signature.take();
        self.finish(Ok(Reply {
            said: reply,
            key,
            signature: signature.map(|bytes| bytes.to_vec()),
            provider: None,
        }));
    }

    /// Answers the call with the provider of this setup.
    #[napi]
    pub fn answer_provider(&self, setup: &NativeSiteSetup) {
        self.finish(Ok(Reply {
            said: NativeReply::default(),
            key: None,
            signature: None,
            provider: setup.last(),
        }));
    }

    /// Reports an error with this code; `retry_after` is in seconds.
    #[napi]
    pub fn failed_as(&self, code: String, reason: String, retry_after: Option<f64>) {
        let pause = retry_after.and_then(|pause| Duration::try_from_secs_f64(pause).ok());
        self.finish(Err(oauth_facade::error_from_code(&code, &reason, pause)));
    }

    /// Reports the error of a built-in store.
    #[napi]
    pub fn failed_with(&self, failure: &NativeFailure) {
        self.finish(Err(oauth_facade::store_error(failure.0.clone())));
    }

    /// Reports that the call failed, for this reason.
    #[napi]
    pub fn failed(&self, reason: String) {
        self.finish(Err(Error::lost(Cause::unknown(reason))));
    }

    fn finish(&self, outcome: JsResult) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // The caller may have given up.
            let _ = sender.send(outcome);
        }
    }
}

/// The JavaScript function that gets the calls.
pub(crate) type Handler<'a> = Function<'a, NativeQuestion, UnknownReturnValue>;

/// A weak reference, which lets the process exit.
type Callback = ThreadsafeFunction<
    NativeQuestion,
    UnknownReturnValue,
    NativeQuestion,
    napi::Status,
    false,
    true,
>;

/// An object implemented in JavaScript; `name` names it in errors.
pub(crate) struct JsImplementation {
    name: &'static str,
    callback: Callback,
}

impl JsImplementation {
    pub(crate) fn new(name: &'static str, handler: &Handler<'_>) -> Result<Self> {
        let callback = handler.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self { name, callback })
    }

    pub(crate) async fn ask(&self, ask: NativeAsk) -> std::result::Result<Reply, Error> {
        let (sender, outcome) = oneshot::channel();
        let question = NativeQuestion {
            ask,
            sender: Mutex::new(Some(sender)),
        };
        let lost = |problem: &str| {
            let reason = format!("the {} {problem}", self.name);
            Error::lost(Cause::unknown(reason))
        };
        let mode = ThreadsafeFunctionCallMode::NonBlocking;
        if self.callback.call(question, mode) != napi::Status::Ok {
            return Err(lost("belongs to a thread that has ended"));
        }
        match tokio::time::timeout(MAX_WAIT, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(lost("was dropped without an answer")),
            Err(_) => Err(lost("did not answer in time")),
        }
    }
}

pub(crate) fn ask(verb: &'static str, key: &str) -> NativeAsk {
    NativeAsk {
        verb,
        key: key.to_owned(),
        ..NativeAsk::default()
    }
}

fn absent(verb: &str) -> Error {
    Error::from(Misuse::NotSupported)
        .at_endpoint("store")
        .about(verb)
}

fn millis_of(time: UnixTime) -> f64 {
    time.as_secs() as f64 * 1000.0
}

impl Store for JsImplementation {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let answer = self.ask(ask("load", key)).await?.said;
            Ok(answer
                .version
                .zip(answer.record)
                .map(|(version, record)| Entry {
                    version: to_u64(version),
                    record: Secret::new(record),
                }))
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
            let call = NativeAsk {
                record: Some(record.expose().clone()),
                // Versions stay below 2^53.
                version: Some(version as f64),
                due: times.due.map(millis_of),
                until: times.until.map(millis_of),
                ..ask("save", key)
            };
            let version = self.ask(call).await?.said.version;
            Ok(version.map_or(SaveOutcome::Conflict, |version| {
                SaveOutcome::At(to_u64(version))
            }))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let ask = NativeAsk {
                holder: Some(holder.to_owned()),
                ms: Some(ttl.as_secs_f64() * 1000.0),
                ..ask("lease", key)
            };
            let held = self.ask(ask).await?.said.ms.filter(|ms| *ms > 0.0);
            Ok(held.map_or(Lease::Won, |ms| Lease::Held(millis(ms))))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let answer = self.ask(ask("remove", key)).await?.said;
            match answer.absent {
                // A store without `remove`: save a tombstone instead.
                Some(true) => remove_by_saving(self, key).await,
                _ => Ok(answer.removed.unwrap_or_default()),
            }
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let ask = NativeAsk {
                cursor: cursor.map(str::to_owned),
                ..ask("scan", "")
            };
            let said = self.ask(ask).await?.said;
            match said.absent {
                Some(true) => Err(absent("scan")),
                _ => Ok(Page {
                    keys: said.keys.unwrap_or_default(),
                    next: said.next,
                }),
            }
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let ask = NativeAsk {
                due: Some(millis_of(before)),
                limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
                ..ask("due", "")
            };
            let said = self.ask(ask).await?.said;
            match said.absent {
                Some(true) => Err(absent("due")),
                _ => Ok(said.keys.unwrap_or_default()),
            }
        })
    }
}

impl KeySource for JsImplementation {
    fn data_key(&self) -> Answer<'_, DataKey> {
        Box::pin(async {
            let Reply { said, key, .. } = self.ask(ask("data_key", "")).await?;
            let none = || {
                Error::from(Misuse::ApplicationFunction).about("dataKey must return { id, key }")
            };
            let (id, key) = said.id.zip(key).ok_or_else(none)?;
            Ok(DataKey::new(id, key?))
        })
    }

    fn unwrap_key<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Key>> {
        Box::pin(async move { self.ask(ask("unwrap_key", id)).await?.key.transpose() })
    }
}
