//! JSON for languages in which every number is a double.

use oauth_core::json::Value;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use serde::{Serialize, Serializer};

/// The largest integer up to which a double represents every integer (2^53 - 1).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// `value` with every integer that a double would round replaced by a string of the same digits. A rounded id looks
/// correct, and the error is noticed late.
pub fn for_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let magnitude = number
                .as_u64()
                .or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude > MAX_SAFE_INTEGER => {
                    let sign = if number.as_u64().is_none() { "-" } else { "" };
                    Value::String(format!("{sign}{magnitude}"))
                }
                _ => Value::Number(number),
            }
        }
        Value::Array(items) => items.into_iter().map(for_doubles).collect(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, for_doubles(value)))
                .collect(),
        ),
        other => other,
    }
}

/// Writes the result of [`for_doubles`] without copying the value.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
#[derive(Debug)]
pub struct DoubleSafeNumbers<'a>(pub &'a Value);

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl Serialize for DoubleSafeNumbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => {
                for_doubles(Value::Number(number.clone())).serialize(serializer)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(DoubleSafeNumbers)),
            Value::Object(members) => serializer.collect_map(
                members
                    .iter()
                    .map(|(name, value)| (name, DoubleSafeNumbers(value))),
            ),
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_beyond_double_precision_become_strings() {
        let value = json!({
            "id": 17_841_400_000_000_001_u64,
            "low": -9_007_199_254_740_993_i64,
            "list": [9_007_199_254_740_991_u64, 9_007_199_254_740_992_u64],
            "plain": [1.5, -1, "9007199254740993", true, null],
        });
        let exact = json!({
            "id": "17841400000000001",
            "low": "-9007199254740993",
            "list": [9_007_199_254_740_991_u64, "9007199254740992"],
            "plain": [1.5, -1, "9007199254740993", true, null],
        });
        let written = serde_json::to_value(DoubleSafeNumbers(&value)).expect("plain values");
        assert_eq!(written, exact);
        assert_eq!(for_doubles(value), exact);
    }
}
