//! JSON values as callers see them, and their serialization. Builds for web pages, with the feature `js`, use small
//! types of this crate.

#[cfg(any(test, all(feature = "js", target_family = "wasm")))]
#[cfg_attr(test, allow(dead_code, unreachable_pub))] // the page's own, tested where tests run
mod browser;
pub(crate) mod number;
pub(crate) mod writer;

#[cfg(all(feature = "js", target_family = "wasm"))]
pub use browser::{Map, Value};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use serde_json::{Map, Value};
pub use writer::Members;

/// A value as JSON.
pub fn value_text(value: &Value) -> String {
    let mut out = String::new();
    writer::value(value, &mut out);
    out
}

/// A map as JSON.
pub fn map_text(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    writer::object(map, &mut out);
    out
}
