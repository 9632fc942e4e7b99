//! Encryption of a store's records. JavaScript calls the store itself.

use js_sys::Object;
use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_seal::record::{
    MissingKey, SealedRecord, changed_error, record_times, seal_error, seal_record, without_key,
};
use oauth_seal::{Key, Keys};
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::NativeFailure;
use crate::keys::NativeKey;
use crate::moment;
use crate::plain::{object, to_u64, unix_millis};

/// The key that seals records, and older keys that still open them.
#[wasm_bindgen]
pub struct NativeKeys(Keys);

#[wasm_bindgen]
impl NativeKeys {
    /// A key set whose current key is this one.
    pub fn of(key: &NativeKey) -> Self {
        Self(Keys::new(key.0.clone()))
    }

    /// Adds an older key, which only opens.
    pub fn also(&mut self, key: &NativeKey) {
        self.0 = self.0.clone().with_previous(key.0.clone());
    }
}

/// The treatment of records that were never sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Refused,
    Accepted,
}

/// The settings of a sealed store.
#[wasm_bindgen]
pub struct NativeSeal {
    keys: Keys,
    names: Option<Key>,
    plain: Plain,
}

#[wasm_bindgen]
impl NativeSeal {
    /// A seal with these keys.
    pub fn of(keys: &NativeKeys) -> Self {
        Self {
            keys: keys.0.clone(),
            names: None,
            plain: Plain::Refused,
        }
    }

    /// Hides the names of records with this key.
    #[wasm_bindgen(js_name = hideNames)]
    pub fn hide_names(&mut self, key: &NativeKey) {
        self.names = Some(key.0.clone());
    }

    /// Also accepts records that were never sealed.
    #[wasm_bindgen(js_name = acceptPlain)]
    pub fn accept_plain(&mut self) {
        self.plain = Plain::Accepted;
    }

    /// Whether names are hidden.
    #[wasm_bindgen(getter, js_name = hidesNames)]
    pub fn hides_names(&self) -> bool {
        self.names.is_some()
    }

    /// The name of the record in the store: hidden, if names are.
    pub fn stored(&self, name: &str) -> Result<String, NativeFailure> {
        match &self.names {
            Some(key) => key.hide(name).map_err(NativeFailure),
            None => Ok(name.to_owned()),
        }
    }

    /// Seals a record that will replace this version.
    pub fn seal(
        &self,
        name: &str,
        stored: &str,
        record: String,
        over: f64,
    ) -> Result<String, NativeFailure> {
        let (key, record) = (self.keys.current(), Secret::new(record));
        let sealed = seal_record(key, moment::random(), (name, stored), &record, to_u64(over));
        sealed
            .map(|sealed| sealed.expose().clone())
            .map_err(NativeFailure)
    }

    /// Opens a stored record of this version. Returns its name, the record, and whether it has the current key.
    pub fn open(&self, stored: &str, text: String, version: f64) -> Result<Object, NativeFailure> {
        let opened = self.opened(stored, &Secret::new(text), to_u64(version));
        opened.map_err(NativeFailure)
    }
}

impl NativeSeal {
    fn opened(&self, stored: &str, text: &Secret<String>, version: u64) -> Result<Object, Error> {
        let opened_record = |name: Option<String>, record: &Secret<String>, is_current: bool| {
            object(&[
                ("name", json!(name)),
                ("record", json!(record.expose())),
                ("isCurrent", json!(is_current)),
            ])
        };
        let Some(sealed) = SealedRecord::read(text) else {
            return match self.plain {
                Plain::Accepted => Ok(opened_record(None, text, false)),
                Plain::Refused => Err(seal_error("it is not sealed")),
            };
        };
        if !sealed.can_be(version) {
            return Err(changed_error());
        }
        let id = sealed.key_id();
        let key = self.keys.iter().find(|key| key.id() == id);
        let key = key.ok_or_else(|| without_key(id, MissingKey::Given))?;
        let opened = sealed.open(key, stored, version)?;
        let is_current = opened.name.is_some() && id == self.keys.current().id();
        Ok(opened_record(opened.name, &opened.record, is_current))
    }
}

/// The times at which the grant of this record is due and the record expires, in milliseconds since 1970.
#[wasm_bindgen(js_name = recordTimes)]
pub fn times_of_record(record: String) -> Object {
    let (due, until) = record_times(&Secret::new(record));
    let millis = |time: Option<UnixTime>| json!(time.map(unix_millis));
    object(&[("due", millis(due)), ("until", millis(until))])
}
