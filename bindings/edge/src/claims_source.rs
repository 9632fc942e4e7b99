//! The typed standard claims about a user, and aggregated and distributed claims.

use js_sys::Object;
use oauth_facade::Record;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::plain::object;
use crate::value::members;

/// The sources that a user's claims, a JSON object, refer to.
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

/// The members of the record of these claims, a JSON object.
#[wasm_bindgen(js_name = userClaims)]
pub fn user_claims(claims: &str) -> Result<String, JsValue> {
    let user = oauth_facade::user_claims(claims).map_err(fail)?;
    Ok(match Record::from(user) {
        Record::Plain(_, user_members) => members(user_members),
        _ => members(Vec::new()),
    })
}
