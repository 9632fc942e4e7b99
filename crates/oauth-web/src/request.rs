//! A request as the host passes it in, and which site or page it came from (`Sec-Fetch-Site`, `Origin`): the CSRF
//! checks in `login_guard.rs`, `request_context.rs` (`require_same_origin`) and `page/` use it. `Forwarded` and
//! `X-Forwarded-*` are never read; `Host` only selects a configured base URL (`site_state.rs`).

use std::fmt;

use bytes::Bytes;
use http::header::{HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Uri};
use oauth_core::form;

/// The largest form body that the site reads, in bytes.
pub const MAX_FORM: usize = 64 << 10;

/// A header that scripts of other origins cannot send without being allowed to (RFC 10017 section 6.1.3.3). Any value
/// is accepted.
pub const PROTECTION_HEADER: &str = "x-csrf-protection";

/// The longest request target that is accepted, in bytes.
const MAX_TARGET: usize = 64 << 10;

/// A request, as the host received it.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// `Host`, or `:authority`. It selects one of the site's base URLs, and is used for nothing else.
    pub host: String,
    /// Path and query as received, not decoded, including the root path.
    pub target: String,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body, if [`Site::reads_form`](crate::Site::reads_form) says so; at most [`MAX_FORM`] bytes.
    pub form: Option<Bytes>,
}

/// The page that initiated a request, according to the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// A page of this site.
    SameOrigin,
    /// The address bar, a bookmark, or another program.
    Direct,
    /// A page of another origin, which includes other subdomains.
    CrossOrigin,
    /// Not stated.
    Unknown,
}

impl Request {
    /// A request as HTTP libraries have it, before its form is read. The field `Host` counts, or else the authority of
    /// the target.
    pub fn new(method: Method, uri: &Uri, headers: HeaderMap) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(Authority::as_str));
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        Self {
            host: host.unwrap_or_default().to_owned(),
            target: target.to_owned(),
            method,
            headers,
            form: None,
        }
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.target.len() > MAX_TARGET
            || self.form.as_ref().is_some_and(|form| form.len() > MAX_FORM)
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// The parameters of the query; empty if it is not valid UTF-8. The first of each name counts.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        first_parameter(query, name)
    }

    /// Whether the query has a parameter of this name, and no other.
    pub(crate) fn has_only_query(&self, name: &str) -> bool {
        let query = self.target.split_once('?').map(|(_, query)| query);
        let pairs = query.and_then(|query| form::parse(query).ok());
        pairs.is_some_and(|pairs| {
            !pairs.is_empty() && pairs.iter().all(|(parameter, _)| parameter == name)
        })
    }

    /// The parameter of this name in the form, or else in the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let from_form = self
            .form_text()
            .and_then(|text| first_parameter(text, name));
        from_form.or_else(|| self.query(name))
    }

    pub(crate) fn form_text(&self) -> Option<&str> {
        std::str::from_utf8(self.form.as_ref()?).ok()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the request is safe (RFC 9110 section 9.2.1). A WebSocket handshake is not: browsers send it from any page
    /// without a preflight.
    pub(crate) fn is_safe(&self) -> bool {
        if self.headers.contains_key(UPGRADE) {
            return false;
        }
        matches!(
            self.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        )
    }

    /// Whether the browser navigates to a page. Only such a request is redirected to the provider, because scripts
    /// cannot follow.
    pub(crate) fn is_navigation(&self) -> bool {
        if self.is_prefetch() {
            return false;
        }
        match (self.header("sec-fetch-mode"), self.header("sec-fetch-dest")) {
            (Some(mode), dest) => mode == "navigate" && dest.is_none_or(|dest| dest == "document"),
            (None, Some(dest)) => dest == "document",
            (None, None) => self
                .header("accept")
                .is_some_and(|accept| accept.contains("text/html")),
        }
    }

    /// Whether the browser or a framework prefetches a page that the user has not opened yet.
    pub(crate) fn is_prefetch(&self) -> bool {
        let header_contains = |name: &str, word: &str| {
            self.header(name)
                .is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        header_contains("sec-purpose", "prefetch")
            || header_contains("purpose", "prefetch")
            || header_contains("x-purpose", "preview")
            || header_contains("x-moz", "prefetch")
            || self.headers.contains_key("next-router-prefetch")
    }

    /// The initiator of the request: from Fetch Metadata, or else from `Origin`.
    pub(crate) fn initiator(&self, own_origin: &str) -> Initiator {
        match self.header("sec-fetch-site") {
            Some("same-origin") => return Initiator::SameOrigin,
            Some("none") => return Initiator::Direct,
            Some(_) => return Initiator::CrossOrigin,
            None => {}
        }
        match self.headers.get("origin") {
            Some(origin) if origin.as_bytes() == own_origin.as_bytes() => Initiator::SameOrigin,
            // `null` too: a sandboxed frame, or a page that hides its origin.
            Some(_) => Initiator::CrossOrigin,
            None => Initiator::Unknown,
        }
    }

    pub(crate) fn has_protection_header(&self) -> bool {
        self.headers.contains_key(PROTECTION_HEADER)
    }
}

fn first_parameter(text: &str, name: &str) -> Option<String> {
    let pairs = form::parse(text).ok()?;
    let mut pairs = pairs.into_iter();
    let (_, value) = pairs.find(|(parameter, _)| parameter == name)?;
    Some(value.into_owned()).filter(|value| !value.is_empty())
}

impl fmt::Debug for Request {
    /// Shows method and path, but no query, cookie or form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
