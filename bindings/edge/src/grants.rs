//! The operations on one grant that `Grants` and holds need.

use js_sys::Object;
use oauth_core::Secret;
use oauth_core::flow::keeper::GrantSummary;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::keeper::NativeKeeper;
use crate::moment::moment;
use crate::plain::{object, to_millis, to_u64};
use crate::tokens::NativeTokens;

/// Whether the grant of a record can yield no more tokens: it has ended, or expired. False for a record that cannot be read.
#[wasm_bindgen(js_name = isOver)]
pub fn is_over(record: String, at: &JsValue) -> Result<bool, JsValue> {
    let summary = GrantSummary::read(&Secret::new(record));
    let now = moment(at)?.now();
    Ok(summary.is_ok_and(|summary| summary.is_over(now)))
}

/// The id of the login from which the tokens of a record come, empty if it has none. Absent if the record cannot be read.
#[wasm_bindgen(js_name = loginOf)]
pub fn login_of(record: String) -> Option<String> {
    let summary = GrantSummary::read(&Secret::new(record)).ok()?;
    Some(summary.login.unwrap_or_default())
}

#[wasm_bindgen]
impl NativeKeeper {
    /// Ends a login that is not stored yet, and returns its tokens, to be revoked.
    #[wasm_bindgen(js_name = endUnsavedLogin)]
    pub fn end_unsaved_login(&self, at: &JsValue) -> Result<Option<NativeTokens>, JsValue> {
        let ended = self.0.end_unsaved_login(&moment(at)?);
        Ok(ended.map(NativeTokens))
    }

    /// Replaces the grant's tokens with those of a new login, unless the record was removed after it was read at this
    /// version.
    #[wasm_bindgen(js_name = replaceSeen)]
    pub fn replace_seen(
        &self,
        at: &JsValue,
        tokens: &NativeTokens,
        seen_version: f64,
    ) -> Result<(), JsValue> {
        let tokens = (*tokens.0).clone();
        let replaced = self
            .0
            .replace_at_version(&moment(at)?, tokens, to_u64(seen_version));
        replaced.map_err(fail)
    }

    /// The lease of a use of the refresh token outside a renewal, for this holder.
    #[wasm_bindgen(js_name = leaseOfUse)]
    pub fn lease_of_use(&self, holder: String) -> Object {
        let (ttl, every) = self.0.lease_of_use();
        object(&[
            ("holder", json!(holder)),
            ("ms", json!(to_millis(ttl))),
            ("every", json!(to_millis(every))),
        ])
    }
}
