//! A small replacement for the parts of the `http` crate that this crate uses, under the same names, for builds for web
//! pages: a page uses only a few header fields, so the crate's table of names and its hash map are not needed.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// The error for a value that is not allowed in an HTTP message.
#[derive(Debug)]
pub struct Invalid;

/// A request method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(Cow<'static, str>);

impl Method {
    pub const GET: Self = Self(Cow::Borrowed("GET"));
    pub const HEAD: Self = Self(Cow::Borrowed("HEAD"));
    pub const POST: Self = Self(Cow::Borrowed("POST"));
    pub const PUT: Self = Self(Cow::Borrowed("PUT"));
    pub const DELETE: Self = Self(Cow::Borrowed("DELETE"));
    pub const OPTIONS: Self = Self(Cow::Borrowed("OPTIONS"));
    pub const TRACE: Self = Self(Cow::Borrowed("TRACE"));

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        // RFC 9110 section 5.6.2.
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        let text = std::str::from_utf8(bytes).map_err(|_| Invalid)?;
        let is_token = !bytes.is_empty() && bytes.iter().all(is_part);
        is_token
            .then(|| Self(text.to_owned().into()))
            .ok_or(Invalid)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the method is idempotent (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || ["PUT", "DELETE"].contains(&self.as_str())
    }

    pub fn is_safe(&self) -> bool {
        ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&self.as_str())
    }
}

/// A response status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCode(u16);

impl StatusCode {
    pub const OK: Self = Self(200);
    pub const CREATED: Self = Self(201);
    pub const NO_CONTENT: Self = Self(204);
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHORIZED: Self = Self(401);
    pub const FORBIDDEN: Self = Self(403);
    pub const NOT_FOUND: Self = Self(404);
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    pub const MOVED_PERMANENTLY: Self = Self(301);
    pub const FOUND: Self = Self(302);
    pub const SEE_OTHER: Self = Self(303);
    pub const TEMPORARY_REDIRECT: Self = Self(307);
    pub const PERMANENT_REDIRECT: Self = Self(308);

    pub fn from_u16(status: u16) -> Result<Self, Invalid> {
        (100..1000)
            .contains(&status)
            .then_some(Self(status))
            .ok_or(Invalid)
    }

    pub const fn as_u16(self) -> u16 {
        self.0
    }

    pub fn is_success(self) -> bool {
        self.0 / 100 == 2
    }

    pub fn is_redirection(self) -> bool {
        self.0 / 100 == 3
    }

    pub fn is_client_error(self) -> bool {
        self.0 / 100 == 4
    }

    pub fn is_server_error(self) -> bool {
        self.0 / 100 == 5
    }
}

/// The name of a field, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(Cow<'static, str>);

impl HeaderName {
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HeaderName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        let Method(name) = Method::from_bytes(name.as_bytes())?;
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

impl AsRef<[u8]> for HeaderName {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<&Self> for HeaderName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

/// The names that have constants.
pub mod header {
    use super::HeaderName;

    pub const ACCEPT: HeaderName = HeaderName::from_static("accept");
    pub const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
    pub const CACHE_CONTROL: HeaderName = HeaderName::from_static("cache-control");
    pub const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
    pub const DATE: HeaderName = HeaderName::from_static("date");
    pub const LOCATION: HeaderName = HeaderName::from_static("location");
    pub const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");
    pub const WWW_AUTHENTICATE: HeaderName = HeaderName::from_static("www-authenticate");
}

/// The value of a field.
#[derive(Clone)]
pub struct HeaderValue {
    bytes: Bytes,
    is_sensitive: bool,
}

impl HeaderValue {
    pub const fn from_static(text: &'static str) -> Self {
        Self {
            bytes: Bytes::from_static(text.as_bytes()),
            is_sensitive: false,
        }
    }

    pub fn from_maybe_shared(bytes: Bytes) -> Result<Self, Invalid> {
        let is_part = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7f);
        let value = Self {
            bytes,
            is_sensitive: false,
        };
        value
            .bytes
            .iter()
            .all(is_part)
            .then_some(value)
            .ok_or(Invalid)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::from_maybe_shared(Bytes::copy_from_slice(bytes))
    }

    pub fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::from_bytes(text.as_bytes())
    }

    pub fn to_str(&self) -> Result<&str, Invalid> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| Invalid)?;
        text.is_ascii().then_some(text).ok_or(Invalid)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn set_sensitive(&mut self, is_sensitive: bool) {
        self.is_sensitive = is_sensitive;
    }

    pub fn is_sensitive(&self) -> bool {
        self.is_sensitive
    }
}

impl PartialEq<str> for HeaderValue {
    fn eq(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sensitive {
            "Sensitive"
        } else {
            "HeaderValue"
        })
    }
}

/// The fields of a message, in order.
#[derive(Debug, Clone, Default)]
pub struct HeaderMap(Vec<(HeaderName, HeaderValue)>);

/// All values of one field.
pub struct GetAll<'a> {
    fields: &'a HeaderMap,
    name: HeaderName,
}

impl<'a> GetAll<'a> {
    pub fn iter(self) -> impl Iterator<Item = &'a HeaderValue> {
        let Self { fields, name } = self;
        let values = fields
            .iter()
            .filter(move |(field_name, _)| **field_name == name);
        values.map(|(_, value)| value)
    }
}

impl HeaderMap {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn get(&self, name: impl Into<HeaderName>) -> Option<&HeaderValue> {
        self.get_all(name).iter().next()
    }

    pub fn get_all(&self, name: impl Into<HeaderName>) -> GetAll<'_> {
        let name = name.into();
        GetAll { fields: self, name }
    }

    pub fn contains_key(&self, name: impl Into<HeaderName>) -> bool {
        self.get(name).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    pub fn remove(&mut self, name: impl Into<HeaderName>) {
        let name = name.into();
        self.0.retain(|(field_name, _)| *field_name != name);
    }
}

/// A URL that has already been checked.
#[derive(Debug, Clone)]
pub struct Uri(String);

impl std::str::FromStr for Uri {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<T> {
    head: request::Parts,
    body: T,
}

/// The part of a request that is not sent.
#[derive(Debug)]
pub struct Extensions;

impl Extensions {
    pub fn insert<T>(self, _: T) {}
}

/// The head of a request.
pub mod request {
    use super::{HeaderMap, Method, Uri};

    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Parts {
        pub method: Method,
        pub uri: Uri,
        pub headers: HeaderMap,
    }
}

impl<T> Request<T> {
    pub fn new(body: T) -> Self {
        let head = request::Parts {
            method: Method::GET,
            uri: Uri(String::new()),
            headers: HeaderMap::new(),
        };
        Self { head, body }
    }

    pub fn method(&self) -> &Method {
        &self.head.method
    }

    pub fn method_mut(&mut self) -> &mut Method {
        &mut self.head.method
    }

    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    pub fn uri_mut(&mut self) -> &mut Uri {
        &mut self.head.uri
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.head.headers
    }

    /// Empty in a browser page: only native drivers read extensions.
    pub fn extensions_mut(&mut self) -> Extensions {
        Extensions
    }

    pub fn body(&self) -> &T {
        &self.body
    }

    pub fn into_parts(self) -> (request::Parts, T) {
        (self.head, self.body)
    }
}

/// A response.
#[derive(Debug)]
pub struct Response<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T> Response<T> {
    pub fn new(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
        }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn status_mut(&mut self) -> &mut StatusCode {
        &mut self.status
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    pub fn body(&self) -> &T {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The `http` crate accepts the same.
        #[test]
        fn header_status_and_method_validation_matches_the_http_crate(bytes: Vec<u8>, status: u16, letter: u8) {
            let text = String::from_utf8_lossy(&bytes);
            let (ours, theirs) = (HeaderValue::from_bytes(&bytes), ::http::HeaderValue::from_bytes(&bytes));
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours.to_str().ok(), theirs.to_str().ok());
            }
            prop_assert_eq!(HeaderValue::from_str(&text).is_ok(), ::http::HeaderValue::from_str(&text).is_ok());
            prop_assert_eq!(StatusCode::from_u16(status).is_ok(), ::http::StatusCode::from_u16(status).is_ok());
            for method in [&bytes[..], &[letter], &[letter, b'A']] {
                prop_assert_eq!(Method::from_bytes(method).is_ok(), ::http::Method::from_bytes(method).is_ok());
            }
        }
    }

    #[test]
    fn fields_are_appended_replaced_and_removed_by_name() {
        let mut fields = HeaderMap::new();
        let value = |fields: &HeaderMap| {
            let all = fields.get_all(header::DATE).iter();
            all.map(|value| value.to_str().unwrap_or("").to_owned())
                .collect::<Vec<_>>()
        };
        fields.append(header::DATE, HeaderValue::from_static("a"));
        fields.append(header::ACCEPT, HeaderValue::from_static("b"));
        fields.append(header::DATE, HeaderValue::from_static("c"));
        assert_eq!(value(&fields), ["a", "c"]);
        fields.insert(header::DATE, HeaderValue::from_static("d"));
        assert_eq!(value(&fields), ["d"]);
        fields.remove(header::DATE);
        assert!(!fields.contains_key(&header::DATE) && fields.contains_key(header::ACCEPT));
    }
}
