//! Calls to an API that the host forwards with the person's access token.

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

/// What a request does not take along: what is this site's business, and what ends at the next hop.
const KEPT_BACK: [HeaderName; 15] = [
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
    // The host decodes.
    ACCEPT_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static(PROTECTION_HEADER),
];

/// What a response does not bring along.
const NOT_TAKEN: [HeaderName; 11] = [
    SET_COOKIE,
    // A browser would ask for a password.
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

/// A request to be passed on: with the token of [`Session::grant`] and the body that came, which the site does not
/// read. What comes back is passed on with [`Forward::response_headers`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Forward {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The header fields, without cookies, `Authorization` and what ends at this hop.
    pub headers: HeaderMap,
    /// The API's own URL: the token may be shown beneath it and nowhere else.
    pub resource: Url,
    /// Whose token: [`Session::grant`] in the store, or [`Session::tokens`].
    pub session: Arc<Session>,
    /// The client that the tokens are of.
    pub client: Client,
}

impl Forward {
    /// The header fields of a response that are passed on: without cookies, cross-origin grants and what ends at this
    /// hop, and with what keeps it from being read as a page of the site.
    pub fn response_headers(headers: &HeaderMap) -> HeaderMap {
        taken(headers)
    }
}

/// The header fields that go along.
pub(crate) fn sent(headers: &HeaderMap) -> HeaderMap {
    let named = connected(headers);
    let is_sent = |name: &HeaderName| {
        let text = name.as_str();
        let is_ours = ["x-forwarded-", "sec-", "proxy-", "x-real-ip"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        !is_ours && !KEPT_BACK.contains(name) && !named.iter().any(|known| known == text)
    };
    copy(headers, is_sent)
}

/// The header fields of an API's response that come along, and those that keep what it says from being a page of
/// this site.
fn taken(headers: &HeaderMap) -> HeaderMap {
    let named = connected(headers);
    let is_taken = |name: &HeaderName| {
        let text = name.as_str();
        let is_theirs = text.starts_with("access-control-") || text.starts_with("proxy-");
        !is_theirs && !NOT_TAKEN.contains(name) && !named.iter().any(|known| known == text)
    };
    let mut taken = copy(headers, is_taken);
    let policy = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    taken.insert(CONTENT_SECURITY_POLICY, policy);
    taken.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // It is one person's.
    taken.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    taken
}

/// The fields that `Connection` names end at this hop as well (RFC 9110 section 7.6.1).
fn connected(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn copy(headers: &HeaderMap, is_wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let wanted = headers.iter().filter(|(name, _)| is_wanted(name));
    let mut copied = HeaderMap::new();
    for (name, value) in wanted {
        copied.append(name.clone(), value.clone());
    }
    copied
}

impl fmt::Debug for Forward {
    /// Where to, without the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("method", &self.method)
            .field("origin", &self.url.origin())
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}
