//! Conversion of plain values to and from JavaScript.

use std::sync::Arc;

use napi::bindgen_prelude::{Array, ClassInstance, FromNapiValue, JsValue as _, Object, Unknown};
use napi::{JsDate, Result, ValueType};
use napi_derive::napi;
use oauth_core::moment::UnixTime;
use oauth_facade::{Arg, Args, DoubleSafeNumbers, StartError, TokenRequest};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::built_in_stores::to_u64;
use crate::error::{fail, invalid};
use crate::tokens::NativeTokens;

/// The arguments of an operation, in the order of its definition.
pub(crate) fn arguments(array: &Array<'_>) -> Result<Args> {
    list(array).map(Args::from)
}

/// The parameters of a token request: scope, resource, audience, extra and authorization_details.
pub(crate) fn token_request(array: &Array<'_>) -> Result<TokenRequest> {
    TokenRequest::read(&mut arguments(array)?).map_err(refused)
}

/// The parameters of a token request in canonical form, to compare requests.
#[napi]
pub(crate) fn request_key(array: Array<'_>) -> Result<String> {
    let request = token_request(&array)?.to_core().map_err(fail)?;
    let mut scope: Vec<_> = request.scope.iter().collect();
    scope.sort_unstable();
    let parameters = request.iter();
    let mut parameters: Vec<_> = parameters
        .map(|(name, value)| (name, value.expose()))
        .collect();
    parameters.sort_unstable();
    Ok(json!([scope, parameters]).to_string())
}

/// What distinguishes the grant of a step-up, as JSON; nothing if it is that of an ordinary login.
#[napi]
pub(crate) fn distinguishing_step_up(wanted: String) -> Result<Option<String>> {
    oauth_facade::distinguishing_step_up(&wanted).map_err(fail)
}

/// The step-ups of a stored list, as JSON each.
#[napi]
pub(crate) fn listed_step_ups(record: String) -> Result<Vec<String>> {
    oauth_facade::listed_step_ups(&record).map_err(fail)
}

/// The error of an operation that did not begin.
pub(crate) fn refused(refused: StartError) -> napi::Error {
    match refused {
        StartError::Argument(mismatch) => invalid(&mismatch.in_camel_case()),
        StartError::Call(error) => fail(error),
    }
}

/// The members of a record as one JSON array: parsing it is cheaper than as many crossings.
pub(crate) fn members(members: &[Arg]) -> String {
    let json: Vec<_> = members.iter().map(JsonMember).collect();
    // Strings, numbers and lists of them always serialize.
    serde_json::to_string(&json).unwrap_or_default()
}

/// A member of a record, as JSON.
struct JsonMember<'a>(&'a Arg);

impl Serialize for JsonMember<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            // Tokens have a record of their own.
            Arg::Null | Arg::Tokens(_) | Arg::Other => to.serialize_unit(),
            Arg::Bool(flag) => to.serialize_bool(*flag),
            Arg::Number(number) => to.serialize_f64(*number),
            Arg::Text(text) => to.serialize_str(text.expose()),
            Arg::Names(names) => to.collect_seq(names.iter()),
            Arg::List(list) => to.collect_seq(list.iter().map(JsonMember)),
            Arg::Pairs(pairs) => {
                to.collect_map(pairs.iter().map(|(name, value)| (name, JsonMember(value))))
            }
            Arg::Time(time) => to.serialize_u64(time.as_secs()),
            Arg::Json(value) => DoubleSafeNumbers(value).serialize(to),
        }
    }
}

/// The position of a value in an array or an object. Converting there checks the type, which converting an `Unknown` does not.
trait Slot {
    fn get<T: FromNapiValue>(&self) -> Result<Option<T>>;
}

impl Slot for (&Array<'_>, u32) {
    fn get<T: FromNapiValue>(&self) -> Result<Option<T>> {
        self.0.get(self.1)
    }
}

impl Slot for (&Object<'_>, &str) {
    fn get<T: FromNapiValue>(&self) -> Result<Option<T>> {
        self.0.get(self.1)
    }
}

fn list(array: &Array<'_>) -> Result<Vec<Arg>> {
    (0..array.len()).map(|at| arg(&(array, at))).collect()
}

fn arg(slot: &impl Slot) -> Result<Arg> {
    let Some(value) = slot.get::<Unknown<'_>>()? else {
        return Ok(Arg::Null);
    };
    let read = match value.get_type()? {
        ValueType::Undefined | ValueType::Null => Some(Arg::Null),
        ValueType::Boolean => slot.get()?.map(Arg::Bool),
        ValueType::Number => slot.get()?.map(Arg::Number),
        ValueType::String => slot.get::<String>()?.map(|text| Arg::Text(text.into())),
        ValueType::Object => return object(slot, &value),
        _ => None,
    };
    Ok(read.unwrap_or(Arg::Other))
}

fn object(slot: &impl Slot, value: &Unknown<'_>) -> Result<Arg> {
    if value.is_array()? {
        return match slot.get()? {
            Some(array) => list(&array).map(Arg::List),
            None => Ok(Arg::Other),
        };
    }
    if value.is_date()? {
        let date = slot.get::<JsDate<'_>>()?;
        let ms = date.map(|date| date.value_of()).transpose()?;
        let ms = ms.filter(|ms| ms.is_finite() && *ms >= 0.0);
        let time = ms.map(|ms| Arg::Time(UnixTime::from_secs(to_u64(ms / 1000.0))));
        return Ok(time.unwrap_or(Arg::Other));
    }
    if let Ok(Some(tokens)) = slot.get::<ClassInstance<'_, NativeTokens>>() {
        return Ok(Arg::Tokens(Arc::clone(&tokens.0)));
    }
    let Some(object) = slot.get::<Object<'_>>()? else {
        return Ok(Arg::Other);
    };
    let names = Object::keys(&object)?.into_iter();
    let pairs = names.map(|name| {
        let value = arg(&(&object, name.as_str()))?;
        Ok((name, value))
    });
    pairs.collect::<Result<_>>().map(Arg::Pairs)
}
