//! The request log of a twin.

use std::fmt;

use bytes::Bytes;
use oauth_core::moment::UnixTime;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::wire::ReceivedRequest;

/// A request that a twin received.
///
/// The fields contain everything, including secrets, for tests to inspect. `Debug` and `Serialize`
/// omit `Authorization` values, tokens, codes, secrets, verifiers and passwords, and bodies that are
/// not forms.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The time of receipt.
    pub at: UnixTime,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The form's parameters, decoded, in order; empty if the body is not a form.
    pub form: Vec<(String, String)>,
    /// The body as received.
    pub body: Bytes,
    /// The status of the answer.
    pub status: u16,
    /// The fault injected into the answer.
    pub fault: Option<&'static str>,
}

impl Entry {
    pub(super) fn new(
        at: UnixTime,
        request: ReceivedRequest,
        status: u16,
        fault: Option<&'static str>,
    ) -> Self {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        Self {
            at,
            method: request.method.to_string(),
            path: request.path,
            query: request.query,
            headers: request
                .headers
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), text(v)))
                .collect(),
            form: request.form.unwrap_or_default(),
            body: request.body,
            status,
            fault,
        }
    }

    /// The first query parameter of this name.
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The first header field of this name; the name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The first form parameter of this name.
    pub fn form(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.as_str())
}

/// Whether the value of the parameter or header field with this name is omitted.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "token",
        "secret",
        "code",
        "auth_req_id",
        "password",
        "assertion",
        "authorization",
        "cookie",
        "referer",
        "dpop",
    ]
    .iter()
    .any(|part| name.contains(part))
        && !matches!(
            name.as_str(),
            "code_challenge" | "code_challenge_method" | "token_type_hint" | "user_code"
        )
        && !name.ends_with("_token_type")
}

fn redacted(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    let shown = |(name, value)| (name, if is_secret(name) { "[redacted]" } else { value });
    pairs
        .iter()
        .map(|(name, value)| shown((name.as_str(), value.as_str())))
        .collect()
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("at", &self.at.as_secs())
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &redacted(&self.query))
            .field("headers", &redacted(&self.headers))
            .field("form", &redacted(&self.form))
            .field("body_bytes", &self.body.len())
            .field("status", &self.status)
            .field("fault", &self.fault)
            .finish()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Entry", 9)?;
        record.serialize_field("at", &self.at)?;
        record.serialize_field("method", &self.method)?;
        record.serialize_field("path", &self.path)?;
        record.serialize_field("query", &redacted(&self.query))?;
        record.serialize_field("headers", &redacted(&self.headers))?;
        record.serialize_field("form", &redacted(&self.form))?;
        record.serialize_field("body_bytes", &self.body.len())?;
        record.serialize_field("status", &self.status)?;
        record.serialize_field("fault", &self.fault)?;
        record.end()
    }
}

/// Counters of a twin's requests and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that reached the token endpoint, regardless of their result.
    pub token_requests: u64,
    /// Refresh tokens accepted.
    pub refreshes: u64,
    /// Access tokens that were renewed without a refresh token.
    pub renewals: u64,
    /// Refresh tokens that were reused; each revoked its family.
    pub reuse_events: u64,
    /// Requests the revocation endpoint answered with success.
    pub revocations: u64,
    /// Requests the introspection endpoint answered with success.
    pub introspections: u64,
    /// Authorization codes issued.
    pub authorizations: u64,
    /// Requests to the API, regardless of their result.
    pub api_calls: u64,
    /// Requests the API answered with 401.
    pub api_401: u64,
    /// Requests to the API with a token that is bound to a different key or certificate.
    pub api_misbound: u64,
    /// Requests the API answered with 429.
    pub api_429: u64,
    /// Client secrets that arrived in a URL, where they must never be.
    pub secrets_in_url: u64,
}
