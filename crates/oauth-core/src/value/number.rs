//! Text form of floating-point numbers. In a web page JavaScript parses and formats them, which needs no tables.

/// The number nearest to a string that RFC 8259 allows; beyond the range of f64, the end of that range.
pub(crate) fn read(text: &str) -> f64 {
    parse_nearest(text).clamp(f64::MIN, f64::MAX)
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
fn parse_nearest(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

#[cfg(all(feature = "js", target_family = "wasm"))]
fn parse_nearest(text: &str) -> f64 {
    // JavaScript's unary `+` parses every JSON number.
    wasm_bindgen::JsValue::from_str(text).unchecked_into_f64()
}

/// The shortest text of this number, with a point or an exponent: it is read back as the same number.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub(crate) fn write(number: f64, out: &mut String) {
    out.push_str(&serde_json::Value::from(number).to_string());
}

#[cfg(all(feature = "js", target_family = "wasm"))]
pub(crate) fn write(number: f64, out: &mut String) {
    // A number plus a string is the number as text.
    let text = wasm_bindgen::JsValue::from_f64(number) + wasm_bindgen::JsValue::from_str("");
    let text = text.as_string().unwrap_or_default();
    out.push_str(&text);
    if !text.contains(['.', 'e']) {
        out.push_str(".0");
    }
}
