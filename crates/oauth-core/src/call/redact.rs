//! The secrets of a request, which are removed from errors: a server may echo them.

use std::borrow::Cow;

use super::sent::Sent;
use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_config::ClientConfig;
use crate::error::printable;
use crate::form;
use crate::json::{self, Json};
use crate::secret::Secret;

/// The secrets of a request, and its `Authorization` credentials.
pub(super) fn secrets(config: &ClientConfig, sent: &Sent) -> Vec<Secret<String>> {
    let header = sent.authorization.as_ref();
    let header = header.and_then(|value| value.to_str().ok());
    let credentials = header.and_then(|value| value.split_once(' '));
    let body = std::str::from_utf8(&sent.body).unwrap_or_default();
    let values = parameter_values(body);
    let values = values
        .iter()
        .filter(|(name, value)| !is_public(name) && (value.len() >= 4 || is_secret(name)))
        .map(|(_, value)| value.as_ref());
    let signed = sent.client_jwt.as_ref();
    let secrets = values
        .chain(config.auth.secret())
        .chain(signed.map(|jwt| jwt.expose().as_str()))
        .chain(credentials.map(|(_, credentials)| credentials))
        .filter(|text| !text.is_empty());
    if !IS_BROWSER_BUILD {
        return secrets.flat_map(spellings).collect();
    }
    // Shorter texts would also be replaced within words.
    let secrets = secrets.filter(|text| text.len() >= 4);
    // The only encoding that a page's build looks for: that of the form which it sent.
    let mut written = Vec::new();
    for secret in secrets {
        let mut encoded = String::new();
        form::encode(secret, &mut encoded);
        written.extend([Secret::from(secret), Secret::new(encoded)]);
    }
    written
}

/// The secret, and what an error shows of it: no control characters, and of a page no runs of white space. A secret
/// from a file often ends with a line break, which the server may leave out too.
fn spellings(secret: &str) -> Vec<Secret<String>> {
    let words: Vec<_> = secret.split_whitespace().collect();
    let words = Secret::new(words.join(" "));
    let mut forms = vec![Secret::from(secret)];
    for shown in [printable(secret), printable(words.expose())].map(Secret::new) {
        let is_known = forms.iter().any(|known| known.expose() == shown.expose());
        if !is_known && !shown.expose().is_empty() {
            forms.push(shown);
        }
    }
    forms
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The parameters of a form, or the strings of a JSON object.
fn parameter_values(body: &str) -> Pairs<'_> {
    match json::parse(body) {
        Ok(Json::Object(object)) => object
            .iter()
            .filter_map(|(name, value)| {
                Some((name.to_owned().into(), value.as_str()?.to_owned().into()))
            })
            .collect(),
        _ => form::parse(body).unwrap_or_default(),
    }
}

/// Whether a parameter is secret even if its value is short. A short value of any other parameter is a number or a
/// flag.
fn is_secret(name: &str) -> bool {
    ["client_secret", "password", "user_code"].contains(&name)
}

/// Whether a parameter is not secret.
fn is_public(name: &str) -> bool {
    let public_names = [
        "scope",
        "client_id",
        "token_type_hint",
        "username",
        "resource",
        "audience",
        "prompt",
        "display",
        "response_mode",
        "acr_values",
        "ui_locales",
    ];
    // The public members of a registration (RFC 7591 section 2) have these suffixes.
    let public_suffixes = ["_type", "_uri", "_name", "_alg", "_method"];
    public_names.contains(&name) || public_suffixes.iter().any(|suffix| name.ends_with(suffix))
}
