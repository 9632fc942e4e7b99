//! Conversion of plain values from JavaScript.

use std::sync::Arc;

use oauth_facade::{Arg, Args, StartError, TokenRequest, Tokens};
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::js::{Object, TypeError, elements};

/// The arguments of an operation, in the order of its definition.
pub(crate) fn arguments(values: Vec<JsValue>) -> Args {
    Args::from(list(values))
}

/// The parameters of a token request: scope, resource, audience and extra.
pub(crate) fn token_request(values: Vec<JsValue>) -> Result<TokenRequest, JsValue> {
    TokenRequest::read(&mut arguments(values)).map_err(refused)
}

/// The error of an operation that did not begin.
pub(crate) fn refused(refused: StartError) -> JsValue {
    match refused {
        StartError::Argument(mismatch) => TypeError::new(&mismatch.in_camel_case()).into(),
        StartError::Call(error) => fail(error),
    }
}

fn list(values: Vec<JsValue>) -> Vec<Arg> {
    values.into_iter().map(arg).collect()
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
    if value.is_array() {
        return Arg::List(list(elements(&value)));
    }
    let Some(object) = value.dyn_ref::<Object>() else {
        return Arg::Other;
    };
    if let Some(tokens) = tokens(object) {
        return Arg::Tokens(Arc::new(tokens));
    }
    let pairs = Object::entries(object).into_iter().filter_map(|pair| {
        let mut pair = elements(&pair).into_iter();
        Some((pair.next()?.as_string()?, arg(pair.next()?)))
    });
    Arg::Pairs(pairs.collect())
}

/// A copy of a handle of this module: wasm-bindgen would otherwise take ownership and leave it unusable.
fn tokens(value: &Object) -> Option<Tokens> {
    Tokens::from_json(&value.to_json().ok()?.as_string()?).ok()
}
