//! Sealing keys: from bytes, from the system's keyring, or held by a key service.

use std::sync::{Mutex, PoisonError};

use napi::Result;
use napi::bindgen_prelude::{Either, Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::{Error, Secret};
use oauth_session::store::KeyringStore;
use oauth_session::store::seal::{Key, Keys};

use crate::error::fail;
use crate::js_callbacks::{Handler, JsImplementation};
use crate::runtime::promise;

/// Parses a key from JavaScript: its bytes, or their text.
pub(crate) fn key(source: Either<Uint8Array, String>) -> std::result::Result<Key, Error> {
    match source {
        Either::A(bytes) => Key::from_slice(&bytes),
        Either::B(text) => Key::parse(&Secret::new(text)),
    }
}

/// One key.
#[napi]
pub struct NativeKey(pub(crate) Key);

#[napi]
impl NativeKey {
    /// The key of these bytes, or of their text.
    #[napi(factory)]
    pub fn of(source: Either<Uint8Array, String>) -> Result<Self> {
        key(source).map(Self).map_err(fail)
    }

    /// The id of the key, which reveals nothing about it.
    #[napi(getter)]
    pub fn id(&self) -> &str {
        self.0.id()
    }
}

/// The key in the keyring for this service and name, created on first use.
#[napi(ts_return_type = "Promise<NativeKey>")]
pub(crate) fn key_of_keyring(
    env: &Env,
    folder: String,
    service: String,
    name: String,
) -> Result<Object<'_>> {
    promise(env, async move {
        let keyring = KeyringStore::new(folder)?.with_service(service);
        Ok(NativeKey(keyring.seal_key(&name).await?))
    })
}

const CALLBACK: &str = "key service";

/// The key that seals records, and older keys that still open them.
#[napi]
pub struct NativeKeys(Mutex<Keys>);

#[napi]
impl NativeKeys {
    /// Seals and opens with this key.
    #[napi(factory)]
    pub fn of(key: &NativeKey) -> Self {
        Self(Mutex::new(Keys::new(key.0.clone())))
    }

    /// Seals and opens with the data keys of a key service in JavaScript.
    #[napi(factory)]
    pub fn of_source(handler: Handler<'_>) -> Result<Self> {
        let source = JsImplementation::new(CALLBACK, &handler)?;
        Ok(Self(Mutex::new(Keys::from_source(source))))
    }

    /// Also opens with this key.
    #[napi]
    pub fn also(&self, key: &NativeKey) {
        self.change(|keys| keys.with_previous(key.0.clone()));
    }

    /// Also opens with the data keys of a further key service.
    #[napi]
    pub fn also_of_source(&self, handler: Handler<'_>) -> Result<()> {
        let source = JsImplementation::new(CALLBACK, &handler)?;
        self.change(|keys| keys.with_previous_source(source));
        Ok(())
    }

    fn change(&self, change: impl FnOnce(Keys) -> Keys) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *keys = change(keys.clone());
    }

    pub(crate) fn snapshot(&self) -> Keys {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}
