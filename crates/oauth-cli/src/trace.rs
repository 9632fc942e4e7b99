//! Formats messages for `--trace`: all names, but only harmless values.
//!
//! A value is shown only if its name is on a list here. Any other could be a code, a token, a secret or a user's name,
//! so only its name is shown.

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode, Uri};
use oauth_core::error::{Cause, Error};
use oauth_core::{Exchange, Input, Moment, Step, form};
use oauth_reqwest::driver::WireEvent;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{DIM, print_stderr};

/// Parameters with values that the client chose and that are not secret.
const PARAMETERS: &[&str] = &[
    "grant_type",
    "response_type",
    "response_mode",
    "redirect_uri",
    "scope",
    "code_challenge_method",
    "token_type_hint",
    "partner_tag",
    "referrer",
    "campaign",
    "param1",
    "param2",
    "param3",
    "testId",
];

/// Members of a reply with values from a small set.
const MEMBERS: &[&str] = &[
    "token_type",
    "expires_in",
    "active",
    "error",
    "errorCode",
    "testId",
];

/// Headers with harmless values.
const HEADERS: &[&str] = &[
    "accept",
    "allow",
    "cache-control",
    "content-type",
    "retry-after",
    "x-ratelimit-reset",
];

/// Headers of every message, which are not about OAuth.
const COMMON_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "host",
    "user-agent",
];

/// The longest value that is shown.
const MAX_VALUE_LENGTH: usize = 160;

/// A name, and its value if that is harmless: `name=value` or `name=…`, as JSON `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    name: String,
    value: Option<String>,
}

impl Item {
    fn new(name: &str, value: Option<String>) -> Self {
        let name = name.chars().filter(|c| !c.is_control()).take(60).collect();
        Self { name, value }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => write!(f, "{}=…", self.name),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(_) => serializer.collect_str(self),
            None => serializer.serialize_str(&self.name),
        }
    }
}

/// A request, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TracedRequest {
    pub(crate) method: String,
    pub(crate) origin: String,
    pub(crate) path: String,
    pub(crate) query: Vec<Item>,
    pub(crate) headers: Vec<Item>,
    /// The parameters of a form, the members of a JSON object; empty for other bodies.
    pub(crate) body: Vec<Item>,
    #[serde(skip)]
    bytes: usize,
}

impl TracedRequest {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let origin = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
            _ => String::new(),
        };
        Self {
            method: method.to_string(),
            origin,
            path: uri.path().to_owned(),
            query: parameters(uri.query().unwrap_or_default()),
            headers: fields(headers),
            body: body_items(headers, body, PARAMETERS),
            bytes: body.len(),
        }
    }

    pub(crate) fn from_request(request: &http::Request<Bytes>) -> Self {
        let (method, uri) = (request.method(), request.uri());
        Self::new(method, uri, request.headers(), request.body())
    }

    fn to_json(&self) -> Value {
        json!({ "sent": self })
    }
}

impl fmt::Display for TracedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "→ {} {}{}", self.method, self.origin, self.path)?;
        rows(f, "query", &texts(&self.query))?;
        rows(f, "headers", &relevant_headers(&self.headers))?;
        body_row(f, &self.body, self.bytes)
    }
}

/// A reply, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Item>,
    /// The members of a JSON object; empty for other bodies.
    pub(crate) body: Vec<Item>,
    #[serde(skip)]
    bytes: usize,
}

impl Received {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        Self {
            status: status.as_u16(),
            headers: fields(headers),
            body: body_items(headers, body, MEMBERS),
            bytes: body.len(),
        }
    }

    /// The names in a JSON reply.
    pub(crate) fn members(&self) -> Vec<&str> {
        self.body.iter().map(|item| item.name.as_str()).collect()
    }

    fn to_json(&self) -> Value {
        json!({ "received": self })
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason());
        write!(f, "← {} {}", self.status, reason.unwrap_or_default())?;
        rows(f, "headers", &relevant_headers(&self.headers))?;
        body_row(f, &self.body, self.bytes)
    }
}

fn rows(f: &mut fmt::Formatter<'_>, prefix: &str, texts: &[String]) -> fmt::Result {
    match texts {
        [] => Ok(()),
        _ => write!(f, "\n    {DIM}{prefix:8}{DIM:#} {}", texts.join("  ")),
    }
}

fn body_row(f: &mut fmt::Formatter<'_>, items: &[Item], bytes: usize) -> fmt::Result {
    if items.is_empty() && bytes > 0 {
        return write!(f, "\n    {DIM}body    {DIM:#} {bytes} bytes");
    }
    rows(f, "body", &texts(items))
}

/// The headers that are relevant for OAuth, in brackets.
pub(crate) fn relevant_headers(headers: &[Item]) -> Vec<String> {
    let is_relevant = |item: &&Item| !COMMON_HEADERS.contains(&item.name.as_str());
    let written = |Item { name, value }: &Item| {
        let value = value.as_deref().unwrap_or("…");
        format!("[{name}: {value}]")
    };
    headers.iter().filter(is_relevant).map(written).collect()
}

fn texts(items: &[Item]) -> Vec<String> {
    items.iter().map(Item::to_string).collect()
}

/// The parameters of a query or form.
pub(crate) fn parameters(text: &str) -> Vec<Item> {
    let pairs = form::parse(text).unwrap_or_default();
    let items = pairs.iter();
    items
        .map(|(name, value)| Item::new(name, listed_value(name, value, PARAMETERS)))
        .collect()
}

fn listed_value(name: &str, value: &str, list: &[&str]) -> Option<String> {
    let is_short = value.len() <= MAX_VALUE_LENGTH && !value.chars().any(char::is_control);
    (list.contains(&name) && is_short).then(|| value.to_owned())
}

/// A value from a server, as it may be shown: the server may echo secrets in any text, so only single short words are
/// shown.
fn harmless_word(name: &str, value: &str, list: &[&str]) -> Option<String> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    listed_value(name, value, list).filter(|text| text.len() <= 40 && text.bytes().all(is_word))
}

fn fields(headers: &HeaderMap) -> Vec<Item> {
    let item = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let text = value.to_str().unwrap_or_default();
        let shown = if *name == AUTHORIZATION || *name == WWW_AUTHENTICATE {
            // The scheme, and nothing after it.
            text.split_once(' ')
                .map(|(scheme, _)| format!("{scheme} …"))
        } else if *name == LOCATION {
            Some(with_redacted_query(text))
        } else {
            listed_value(name.as_str(), text, HEADERS)
        };
        Item::new(name.as_str(), shown)
    };
    headers.iter().map(item).collect()
}

/// A `Location` with the names of its parameters.
fn with_redacted_query(location: &str) -> String {
    let (bare, query) = location.split_once('?').unwrap_or((location, ""));
    let pairs = form::parse(query).unwrap_or_default();
    let items = pairs
        .iter()
        .map(|(name, value)| Item::new(name, harmless_word(name, value, MEMBERS)).to_string());
    let items: Vec<String> = items.collect();
    let separator = if items.is_empty() { "" } else { "?" };
    let text = format!("{bare}{separator}{}", items.join("&"));
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_VALUE_LENGTH)
        .collect()
}

fn body_items(headers: &HeaderMap, body: &[u8], list: &[&str]) -> Vec<Item> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return parameters(std::str::from_utf8(body).unwrap_or_default());
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let item = |(name, value): (&String, &Value)| {
        let text = crate::output::plain(value);
        Item::new(name, harmless_word(name, &text, list))
    };
    members.iter().map(item).collect()
}

/// Prints messages on stderr as they are sent and received, if asked to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tracer {
    /// Whether anything is shown.
    pub(crate) is_on: bool,
    /// As JSON, one object a line.
    pub(crate) json: bool,
}

impl Tracer {
    pub(crate) fn request_sent(self, sent: &TracedRequest) {
        self.show(sent, TracedRequest::to_json);
    }

    pub(crate) fn reply_received(self, received: &Received) {
        self.show(received, Received::to_json);
    }

    pub(crate) fn request_lost(self, reason: &Cause) {
        let reason = reason.to_string();
        self.show(
            &format_args!("✗ no response: {reason}"),
            |_| json!({ "lost": reason }),
        );
    }

    /// Shows what another driver sends and receives.
    pub(crate) fn record(self, event: WireEvent<'_>) {
        match event {
            WireEvent::Sent(request) => self.request_sent(&TracedRequest::from_request(request)),
            WireEvent::Received(reply) => {
                self.reply_received(&Received::new(
                    reply.status(),
                    reply.headers(),
                    reply.body(),
                ));
            }
            WireEvent::Lost(cause) => self.request_lost(cause),
            _ => {}
        }
    }

    fn show<T: fmt::Display>(self, item: &T, to_json: impl FnOnce(&T) -> Value) {
        match (self.is_on, self.json) {
            (false, _) => {}
            (true, true) => print_stderr(to_json(item)),
            (true, false) => print_stderr(item),
        }
    }
}

/// An exchange that is watched while it runs.
pub(crate) struct TracedExchange<E> {
    pub(crate) exchange: E,
    pub(crate) tracer: Tracer,
}

impl<E: Exchange> Exchange for TracedExchange<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        match &input {
            Input::Reply(reply) => self.tracer.reply_received(&Received::new(
                reply.status(),
                reply.headers(),
                reply.body(),
            )),
            Input::Lost(cause) => self.tracer.request_lost(cause),
            _ => {}
        }
        let step = self.exchange.resume(at, input)?;
        if let Step::Send(request) = &step {
            self.tracer
                .request_sent(&TracedRequest::from_request(request));
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traced_requests_show_only_allowed_values() {
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            http::HeaderValue::from_static("Basic S3CR3T"),
        );
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let uri = Uri::from_static("https://as.example/token?state=S3CR3T&scope=a");
        let body = b"grant_type=password&password=S3CR3T&S3=a%0Ab&username=S3CR3T";
        let sent = TracedRequest::new(&Method::POST, &uri, &headers, body);
        for text in [sent.to_string(), sent.to_json().to_string()] {
            assert!(!text.contains("S3CR3T"), "{text}");
            assert!(text.contains("grant_type=password"), "{text}");
            assert!(text.contains("Basic …"), "{text}");
        }
    }

    #[test]
    fn traced_replies_hide_secrets_and_error_text() {
        let mut headers = HeaderMap::new();
        headers.insert(
            LOCATION,
            http::HeaderValue::from_static("https://app.example/cb?code=S3CR3T&state=S3CR3T"),
        );
        let body = br#"{"access_token":"S3CR3T","token_type":"Bearer","error":"you sent S3CR3T"}"#;
        let received = Received::new(StatusCode::OK, &headers, body);
        let text = received.to_string();
        assert!(!text.contains("S3CR3T"), "{text}");
        assert!(text.contains("token_type=Bearer"), "{text}");
        assert!(text.contains("app.example/cb?code=…&state=…"), "{text}");
        assert_eq!(received.members(), ["access_token", "error", "token_type"]);
    }
}
