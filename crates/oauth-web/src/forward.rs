//! Calls to an API that the host forwards with the user's access token.

use std::fmt;
use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, COOKIE, FORWARDED, HOST, ORIGIN, REFERER, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oauth_core::Client;
use oauth_core::url::Url;

use crate::request::PROTECTION_HEADER;
use crate::session::Session;

/// The request headers that are not forwarded: those for this site, and hop-by-hop headers.
const WITHHELD_REQUEST_FIELDS: [HeaderName; 15] = [
    COOKIE,
    AUTHORIZATION,
    HOST,
    FORWARDED,
    ORIGIN,
    REFERER,
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
    // The host decompresses.
    ACCEPT_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static(PROTECTION_HEADER),
];

/// Prefixes of other request headers that are not forwarded: those of proxies and browsers, and those that some servers
/// use as the method or the path instead of the checked ones.
const WITHHELD_REQUEST_PREFIXES: [&str; 9] = [
    "x-forwarded-",
    "sec-",
    "proxy-",
    "x-real-ip",
    "x-http-method",
    "x-method-override",
    "x-original-",
    "x-rewrite-",
    "x-override-url",
];

/// The response headers that are not forwarded.
const WITHHELD_RESPONSE_FIELDS: [HeaderName; 11] = [
    SET_COOKIE,
    // A browser would prompt for a password.
    WWW_AUTHENTICATE,
    CONNECTION,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("strict-transport-security"),
];

/// A request to forward, with the token of [`Session::grant`] and its body, which the site does not
/// read. The response is passed on with [`Forward::response_headers`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Forward {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The header fields, without cookies, `Authorization` and hop-by-hop fields.
    pub headers: HeaderMap,
    /// The URL of the API: the token may be sent only below it.
    pub resource: Url,
    /// The session whose token to attach: [`Session::grant`] in the store, or [`Session::tokens`].
    pub session: Arc<Session>,
    /// The client of the tokens.
    pub client: Client,
}

impl Forward {
    /// The header fields of a response that are passed on: without cookies, CORS and hop-by-hop fields, and with those
    /// that prevent the response from being rendered as a page of the site.
    pub fn response_headers(headers: &HeaderMap) -> HeaderMap {
        forwarded_fields(headers)
    }
}

/// The header fields to forward.
pub(crate) fn forwarded_request_fields(headers: &HeaderMap) -> HeaderMap {
    let connection_fields = connection_options(headers);
    let is_forwarded = |name: &HeaderName| {
        let text = name.as_str();
        // CGI servers treat `_` and `-` alike (RFC 3875 section 4.1.18).
        let dashed = text.replace('_', "-");
        let is_withheld = WITHHELD_REQUEST_PREFIXES
            .iter()
            .any(|prefix| dashed.starts_with(prefix));
        !is_withheld
            && !WITHHELD_REQUEST_FIELDS.contains(name)
            && !connection_fields.iter().any(|field| field == text)
    };
    copy(headers, is_forwarded)
}

/// The header fields of an API's response to pass on, and those that prevent it from being rendered as a page of
/// this site.
fn forwarded_fields(headers: &HeaderMap) -> HeaderMap {
    let connection_fields = connection_options(headers);
    let is_forwarded = |name: &HeaderName| {
        let text = name.as_str();
        let is_cors_or_proxy_field =
            text.starts_with("access-control-") || text.starts_with("proxy-");
        !is_cors_or_proxy_field
            && !WITHHELD_RESPONSE_FIELDS.contains(name)
            && !connection_fields.iter().any(|field| field == text)
    };
    let mut forwarded = copy(headers, is_forwarded);
    let policy = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    forwarded.insert(CONTENT_SECURITY_POLICY, policy);
    forwarded.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The response is private.
    forwarded.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    forwarded
}

/// The connection options, which name further hop-by-hop fields (RFC 9110 section 7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn copy(headers: &HeaderMap, is_copied: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let fields = headers.iter().filter(|(name, _)| is_copied(name));
    let mut copied = HeaderMap::new();
    for (name, value) in fields {
        copied.append(name.clone(), value.clone());
    }
    copied
}

impl fmt::Debug for Forward {
    /// Shows the URL without its query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("method", &self.method)
            .field("origin", &self.url.origin())
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}
