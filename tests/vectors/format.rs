//! The format of vector files, and how expectations are compared.

use std::path::Path;

use oauth_core::Error;
use serde_json::Value;

use crate::classes;

/// `Err` says what was wrong.
pub(crate) type Verdict = Result<(), String>;

/// Asks the implementation about one vector of a group.
pub(crate) type Handler = fn(&Vector) -> Verdict;

/// One question with its known answer.
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) input: Value,
    pub(crate) expected: Value,
}

pub(crate) fn read_dir(dir: &Path) -> Result<Vec<Vector>, String> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        let place = file.display();
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{place}: {error}"))?;
        let whole: Value =
            serde_json::from_str(&text).map_err(|error| format!("{place}: {error}"))?;
        let list = whole["vectors"]
            .as_array()
            .ok_or_else(|| format!("{place}: no vectors"))?;
        for item in list {
            let text = |name: &str| item[name].as_str().map(str::to_owned);
            let (Some(id), Some(group)) = (text("id"), text("group")) else {
                return Err(format!("{place}: a vector without id or group"));
            };
            let (input, expected) = (item["input"].clone(), item["expected"].clone());
            vectors.push(Vector {
                id,
                group,
                input,
                expected,
            });
        }
    }
    Ok(vectors)
}

impl Vector {
    /// A text of the input.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.input[name].as_str()
    }

    /// A text the input must have.
    pub(crate) fn must(&self, name: &str) -> Result<&str, String> {
        self.text(name)
            .ok_or_else(|| format!("input has no text {name}"))
    }
}

/// Compares two values that can be shown.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Verdict {
    if got == want {
        Ok(())
    } else {
        Err(format!("{what}: got {got:?}, want {want:?}"))
    }
}

/// Turns "must hold" into a verdict.
pub(crate) fn holds(what: &str, is_true: bool) -> Verdict {
    if is_true {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}

/// The error classes an expectation allows; empty if it wants success.
pub(crate) fn wanted_classes(expected: &Value) -> Vec<&str> {
    let listed = expected["error_any_of"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    // "error": 1 means any.
    let any = expected["error"].is_number().then_some("any");
    expected["error"]
        .as_str()
        .into_iter()
        .chain(listed)
        .chain(any)
        .collect()
}

/// Checks an outcome against the error class of an expectation. `Ok(None)` means the error was
/// the one wanted; `Ok(Some(value))` that there is a value and none was wanted wrong.
pub(crate) fn outcome<T>(expected: &Value, got: Result<T, Error>) -> Result<Option<T>, String> {
    let wanted = wanted_classes(expected);
    match got {
        Ok(value) if wanted.is_empty() => Ok(Some(value)),
        Ok(_) => Err(format!("accepted, want {wanted:?}")),
        Err(error) => {
            classes::check(&error, &wanted)?;
            refusal_details(expected, &error).map(|()| None)
        }
    }
}

/// Checks what an expectation says about an error beyond its class.
fn refusal_details(expected: &Value, error: &Error) -> Verdict {
    let server = error.server_error();
    let shown = format!("{error} {error:?} {}", json(error));
    let text = |name: &str| expected.get(name).map(Value::as_str);
    // `code` of a bare status is null.
    if let Some(code) = text("code") {
        same("code", server.and_then(|server| server.error()), code)?;
    }
    if let Some(description) = text("description") {
        same(
            "description",
            server.and_then(|server| server.description()),
            description,
        )?;
    }
    if let Some(uri) = text("uri") {
        same("uri", server.and_then(|server| server.uri()), uri)?;
    }
    if let Some(scheme) = text("scheme") {
        same("scheme", server.and_then(|server| server.scheme()), scheme)?;
    }
    if let Some(Some(detail)) = text("parameter") {
        same("parameter", error.detail(), Some(detail))?;
    }
    if let Some(Some(token_type)) = text("token_type") {
        same("token_type", error.detail(), Some(token_type))?;
    }
    if let Some(status) = expected["status"].as_u64() {
        same(
            "status",
            server.and_then(|server| server.status()).map(u64::from),
            Some(status),
        )?;
    }
    if let Some(want) = expected["retryable"].as_bool() {
        same("retryable", error.advice().as_str() == "retry", want)?;
    }
    if let Some(want) = expected["code_is_standard"].as_bool() {
        same("code_is_standard", error.code() != "denied.other", want)?;
    }
    if let Some(want) = expected["uri_is_http_url"].as_bool() {
        let uri = server.and_then(|server| server.uri()).unwrap_or_default();
        same(
            "uri_is_http_url",
            uri.parse::<oauth_core::url::Url>().is_ok(),
            want,
        )?;
    }
    for name in ["retry_after", "retry_after_s"] {
        if let Some(seconds) = expected[name].as_u64() {
            let pause = error.advice().after().map(|pause| pause.as_secs());
            same(name, pause, Some(seconds))?;
        }
    }
    if expected["raw_error_kept"] == true {
        holds(
            "the raw error is kept",
            server.is_some_and(|server| server.extra().contains_key("error")),
        )?;
    }
    for flag in [
        "description_has_no_control_chars",
        "display_has_no_control_chars",
    ] {
        if expected[flag] == true {
            holds(flag, !shown.chars().any(char::is_control))?;
        }
    }
    if let Some(secret) = expected["debug_and_display_do_not_contain"].as_str() {
        holds("the secret is cut out", !shown.contains(secret))?;
    }
    for (name, want) in expected["extra"].as_object().into_iter().flatten() {
        same(
            name,
            server.and_then(|server| server.extra().get(name)),
            Some(want),
        )?;
    }
    Ok(())
}

pub(crate) fn json(error: &Error) -> String {
    serde_json::to_string(error).unwrap_or_default()
}

/// The strings of a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Expands the placeholders of a body: `<repeat to 5 MiB>`, `<65536 x a>`.
pub(crate) fn expand(body: &str) -> String {
    let Some((before, rest)) = body.split_once('<') else {
        return body.to_owned();
    };
    let Some((inside, after)) = rest.split_once('>') else {
        return body.to_owned();
    };
    let words: Vec<&str> = inside.split(' ').collect();
    let filling = match words.as_slice() {
        ["repeat", "to", count, unit] => {
            let scale = if *unit == "MiB" { 1 << 20 } else { 1 << 10 };
            count
                .parse::<usize>()
                .ok()
                .map(|count| "a".repeat(count * scale))
        }
        [count, "x", text] => count.parse().ok().map(|count| text.repeat(count)),
        _ => None,
    };
    filling.map_or_else(
        || body.to_owned(),
        |filling| format!("{before}{filling}{after}"),
    )
}
