//! Requests and responses of the twin: an independent implementation of forms, queries and OAuth errors.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

pub(super) type Pairs = Vec<(String, String)>;
pub(super) type Reply = http::Response<Bytes>;

/// A parsed request.
pub(super) struct ReceivedRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Pairs,
    pub(super) headers: HeaderMap,
    /// `None` if the content type is not that of a form.
    pub(super) form: Option<Pairs>,
    pub(super) body: Bytes,
    /// The thumbprint of the client's TLS certificate (`x5t#S256`).
    pub(super) certificate: Option<String>,
}

/// In the extensions of a request that came over TLS: the SHA-256 of the client's certificate in base64url.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificate(pub(crate) String);

impl ReceivedRequest {
    pub(super) fn read(request: http::Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        let is_form = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
        Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
            headers: head.headers,
            form: is_form.then(|| pairs(&body)),
            body,
            certificate: head
                .extensions
                .get()
                .map(|ClientCertificate(shown)| shown.clone()),
        }
    }

    /// The authorization request of a browser with these parameters.
    pub(super) fn to_authorize(path: &str, query: Pairs) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
            form: None,
            body: Bytes::new(),
            certificate: None,
        }
    }

    /// A form parameter. "Parameters sent without a value MUST be treated as if they were omitted
    /// from the request" (RFC 6749 section 3.2).
    pub(super) fn form(&self, name: &str) -> Option<&str> {
        find(self.form.as_deref().unwrap_or_default(), name)
    }

    /// A query parameter, under the same rule.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The first repeated parameter. RFC 8707 allows `resource`, and RFC 8693 `audience`, to repeat.
pub(super) fn repeated(pairs: &[(String, String)]) -> Option<&str> {
    let mut seen = HashSet::new();
    pairs
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !matches!(*name, "resource" | "audience"))
        .find(|name| !seen.insert(*name))
}

fn pairs(text: &[u8]) -> Pairs {
    serde_urlencoded::from_bytes(text).unwrap_or_default()
}

pub(super) fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(n, v)| n == name && !v.is_empty())
        .map(|(_, value)| value.as_str())
}

pub(super) fn plain(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Reply::new(body.into());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

pub(super) fn json(status: u16, body: &Value) -> Reply {
    plain(status, "application/json", body.to_string())
}

/// A response of the token endpoint or its siblings, which must not be cached (RFC 6749 5.1).
pub(super) fn unstored(status: u16, body: &Value) -> Reply {
    with(json(status, body), CACHE_CONTROL, "no-store")
}

/// An error response (RFC 6749 section 5.2).
pub(super) fn refusal(error: &str, description: &str) -> Reply {
    let status = if error == "invalid_client" { 401 } else { 400 };
    unstored(
        status,
        &json!({ "error": error, "error_description": description }),
    )
}

pub(super) fn page(status: u16, text: &str) -> Reply {
    plain(
        status,
        "text/html; charset=utf-8",
        format!("<!doctype html><p>{text}</p>"),
    )
}

/// A page whose form is submitted when it is shown (OAuth 2.0 Form Post Response Mode section 4).
pub(super) fn posting_page(action: &str, fields: &[(&str, String)]) -> Reply {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;").replace('"', "&quot;")
    };
    let input = |(name, value): &(&str, String)| {
        let value = escaped(value);
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\"/>")
    };
    let inputs: String = fields.iter().map(input).collect();
    let action = escaped(action);
    let form = format!("<form method=\"post\" action=\"{action}\">{inputs}</form>");
    let script = "document.forms[0].submit()";
    plain(
        200,
        "text/html; charset=utf-8",
        format!("<!doctype html><body onload=\"{script}\">{form}</body>"),
    )
}

pub(super) fn redirect(status: u16, location: &str) -> Reply {
    with(
        plain(status, "text/plain", Bytes::new()),
        http::header::LOCATION,
        location,
    )
}

pub(super) fn method_not_allowed(allow: &'static str) -> Reply {
    with(
        plain(405, "text/plain", "method not allowed"),
        http::header::ALLOW,
        allow,
    )
}

pub(super) fn not_found() -> Reply {
    plain(404, "text/plain", "not found")
}

/// Adds a header; an invalid value is left out.
pub(super) fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}
