//! Compares the result of a call with a vector's expectation.

use oauth_core::Error;
use oauth_core::jose::Claims;
use serde_json::Value;

use crate::classes;
use crate::format::{Failure, Verdict, check, check_equal};
use crate::transcript::Refusal;

/// The error classes an expectation allows; empty if it wants success.
pub(crate) fn wanted_classes(expected: &Value) -> Vec<&str> {
    let listed = expected["error_any_of"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    // "error": 1 means any, as does that it is not valid, or not accepted.
    let is_any = expected["error"].is_number()
        || ["valid", "ok"].iter().any(|name| expected[*name] == false);
    let any = is_any.then_some("any");
    expected["error"]
        .as_str()
        .into_iter()
        .chain(listed)
        .chain(any)
        .collect()
}

/// Checks a result against the expected error class. `Ok(None)` means that the expected error
/// occurred; `Ok(Some(value))` that the call succeeded and was expected to.
pub(crate) fn outcome<T>(
    expected: &Value,
    got: Result<T, impl Into<Refusal>>,
) -> Result<Option<T>, Failure> {
    let expected_classes = wanted_classes(expected);
    match got {
        Ok(value) if expected_classes.is_empty() => Ok(Some(value)),
        Ok(_) => Err(format!("accepted, want {expected_classes:?}").into()),
        Err(error) => {
            let refusal = error.into();
            classes::check(&refusal, &expected_classes)?;
            details(expected, &refusal).map(|()| None)
        }
    }
}

/// Checks the parts of an expected error beyond its class.
fn details(expected: &Value, refusal: &Refusal) -> Verdict {
    let text = |name: &str| expected.get(name).map(Value::as_str);
    // `code` is null for an error that is only an HTTP status.
    if let Some(code) = text("code") {
        check_equal("code", refusal.error.as_deref(), code)?;
    }
    if let Some(description) = text("description") {
        check_equal(
            "description",
            refusal.error_description.as_deref(),
            description,
        )?;
    }
    // The message names what is at fault in every language.
    for name in ["parameter", "token_type"] {
        if let Some(Some(detail)) = text(name) {
            check(name, refusal.message.contains(&format!(": {detail} [")))?;
        }
    }
    if let Some(status) = expected["status"].as_u64() {
        check_equal("status", refusal.status.map(u64::from), Some(status))?;
    }
    if let Some(want) = expected["retryable"].as_bool() {
        check_equal("retryable", refusal.advice == "retry", want)?;
    }
    if let Some(want) = expected["code_is_standard"].as_bool() {
        check_equal("code_is_standard", refusal.code != "denied.other", want)?;
    }
    for name in ["retry_after", "retry_after_s"] {
        if let Some(seconds) = expected[name].as_u64() {
            check_equal(name, refusal.retry_after, Some(seconds))?;
        }
    }
    if expected["raw_error_kept"] == true {
        check("the raw error is kept", refusal.extra.contains_key("error"))?;
    }
    for flag in [
        "description_has_no_control_chars",
        "display_has_no_control_chars",
    ] {
        if expected[flag] == true {
            let description = refusal.error_description.as_deref().unwrap_or_default();
            let mut texts = description.chars().chain(refusal.message.chars());
            check(flag, !texts.any(char::is_control))?;
        }
    }
    if let Some(secret) = expected["debug_and_display_do_not_contain"].as_str() {
        check("the error is rendered", !refusal.shown.is_empty())?;
        check("the secret is redacted", !refusal.shown.contains(secret))?;
    }
    for (name, want) in expected["extra"].as_object().into_iter().flatten() {
        check_equal(name, refusal.extra.get(name), Some(want))?;
    }
    match &refusal.native {
        Some(error) => native_details(expected, error, &refusal.shown),
        None => Ok(()),
    }
}

/// Checks details that only the Rust errors expose.
fn native_details(expected: &Value, error: &Error, shown: &str) -> Verdict {
    let server = error.server_error();
    let text = |name: &str| expected.get(name).map(Value::as_str);
    if let Some(uri) = text("uri") {
        check_equal("uri", server.and_then(|server| server.uri()), uri)?;
    }
    if let Some(scheme) = text("scheme") {
        check_equal("scheme", server.and_then(|server| server.scheme()), scheme)?;
    }
    for name in ["parameter", "token_type"] {
        if let Some(Some(detail)) = text(name) {
            check_equal(name, error.detail(), Some(detail))?;
        }
    }
    if let Some(want) = expected["uri_is_http_url"].as_bool() {
        let uri = server.and_then(|server| server.uri()).unwrap_or_default();
        let is_url = uri.parse::<oauth_core::url::Url>().is_ok();
        check_equal("uri_is_http_url", is_url, want)?;
    }
    for flag in [
        "description_has_no_control_chars",
        "display_has_no_control_chars",
    ] {
        if expected[flag] == true {
            check(flag, !shown.chars().any(char::is_control))?;
        }
    }
    Ok(())
}

/// Checks that acceptance is expected, with these claims if the vector names any.
pub(crate) fn accepted(expected: &Value, claims: &Claims) -> Verdict {
    let expected_value = &expected["ok"];
    check(
        "is accepted",
        *expected_value == true || expected_value.is_object(),
    )?;
    for (name, value) in expected_value.as_object().into_iter().flatten() {
        let claim = claims.get(name).map(ToString::to_string);
        check_equal(name, claim, Some(value.to_string()))?;
    }
    Ok(())
}
