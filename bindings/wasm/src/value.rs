//! Plain values on their way from JavaScript.

use std::sync::Arc;

use js_sys::{Array, Function, Object, Reflect, TypeError};
use oauth_facade::{Arg, Args, Refused, TokenRequest, Tokens};
use wasm_bindgen::prelude::*;

use crate::error::fail;

/// The arguments of an operation, in the order of its description.
pub(crate) fn arguments(given: &Array) -> Args {
    Args::from(list(given))
}

/// What tokens are for: scope, resource, audience and extra.
pub(crate) fn token_request(given: &Array) -> Result<TokenRequest, JsValue> {
    TokenRequest::read(&mut arguments(given)).map_err(refused)
}

/// Why an operation did not begin.
pub(crate) fn refused(refused: Refused) -> JsValue {
    match refused {
        Refused::Argument(mismatch) => TypeError::new(&mismatch.in_camel_case()).into(),
        Refused::Call(error) => fail(error),
    }
}

fn list(array: &Array) -> Vec<Arg> {
    array.iter().map(arg).collect()
}

fn arg(value: JsValue) -> Arg {
    if value.is_null() || value.is_undefined() {
        return Arg::Null;
    }
    if let Some(flag) = value.as_bool() {
        return Arg::Bool(flag);
    }
    if let Some(number) = value.as_f64() {
        return Arg::Number(number);
    }
    if let Some(text) = value.as_string() {
        return Arg::Text(text.into());
    }
    if let Some(array) = value.dyn_ref::<Array>() {
        return Arg::List(list(array));
    }
    if let Some(tokens) = tokens(&value) {
        return Arg::Tokens(Arc::new(tokens));
    }
    let Some(object) = value.dyn_ref::<Object>() else {
        return Arg::Other;
    };
    let pairs = Object::entries(object).into_iter().filter_map(|pair| {
        let pair = Array::from(&pair);
        Some((pair.get(0).as_string()?, arg(pair.get(1))))
    });
    Arg::Pairs(pairs.collect())
}

/// A copy of a handle of this module: taken by itself, it would be of no more use to the page.
fn tokens(value: &JsValue) -> Option<Tokens> {
    let to_json = Reflect::get(value, &"toJson".into()).ok()?;
    let text = to_json.dyn_ref::<Function>()?.call0(value).ok()?;
    Tokens::from_json(&text.as_string()?).ok()
}
