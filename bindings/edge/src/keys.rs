//! Sealing keys.

use js_sys::Uint8Array;
use oauth_core::Secret;
use oauth_seal::Key;
use wasm_bindgen::prelude::*;

use crate::error::{fail, invalid};

/// One key.
#[wasm_bindgen]
pub struct NativeKey(pub(crate) Key);

#[wasm_bindgen]
impl NativeKey {
    /// The key in these bytes, or in their base64url text.
    pub fn of(key_input: &JsValue) -> Result<Self, JsValue> {
        let key = match (key_input.as_string(), key_input.dyn_ref::<Uint8Array>()) {
            (Some(text), _) => Key::parse(&Secret::new(text)),
            (None, Some(bytes)) => Key::from_slice(Secret::new(bytes.to_vec()).expose()),
            (None, None) => return Err(invalid("a key must be bytes or a string")),
        };
        key.map(Self).map_err(fail)
    }

    /// The id of the key, which reveals nothing about it.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.0.id().to_owned()
    }
}
