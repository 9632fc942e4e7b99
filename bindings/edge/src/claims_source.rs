//! Claims that other parties vouch for.

use js_sys::Object;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::plain::object;

/// The sources that these claims, as JSON, name.
#[wasm_bindgen(js_name = claimsSources)]
pub fn claims_sources(claims: &str) -> Result<Vec<Object>, JsValue> {
    let sources = oauth_facade::claims_sources(claims).map_err(fail)?;
    let sources = sources.into_iter().map(|source| {
        object(&[
            ("name", source.name.into()),
            ("claims", json!(source.claims)),
            ("jwt", json!(source.jwt.map(|jwt| jwt.expose().clone()))),
            ("endpoint", json!(source.endpoint)),
            (
                "accessToken",
                json!(source.access_token.map(|token| token.expose().clone())),
            ),
        ])
    });
    Ok(sources.collect())
}
