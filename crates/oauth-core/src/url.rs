//! The URL parser. A URL is sent exactly as it was checked. How redirect URIs are compared is in `redirect_uri.rs`.
//!
//! If two parsers read different hosts from one URL, a token can be sent to the wrong server. Therefore this parser
//! accepts a strict ASCII subset of RFC 3986 that `http::Uri` and the WHATWG URL Standard read alike, and refuses the
//! rest: backslashes, white space, user names, dot segments, percent signs or ambiguous numbers in a host, a non-ASCII
//! host (write it as `xn--`; only the sender's parser checks whether that is valid Punycode). The workspace's tests
//! compare it with `url::Url`. The full `url` crate would bring 25 crates of Unicode tables, and 65 kB (brotli) to the
//! browser.

mod ipv6;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Misuse};
use crate::form::Form;

/// An absolute `http` or `https` URL that all common parsers read the same way.
///
/// The text is kept as given, except that scheme and host are put in lower case.
#[derive(Clone)]
pub struct Url {
    shared: Arc<Shared>,
    /// The byte offsets of the host, the port (if any) and the path.
    host: usize,
    port: usize,
    path: usize,
}

/// What clones of a URL share.
struct Shared {
    text: String,
    /// The URL as a type of the `http` crate, computed when first needed.
    uri: OnceLock<crate::http::Uri>,
}

impl Shared {
    fn new(text: String) -> Arc<Self> {
        let uri = OnceLock::new();
        Arc::new(Self { text, uri })
    }
}

/// Which URLs may carry credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// `https` only.
    #[default]
    Https,
    /// Also plain `http` to a loopback address or `localhost`, for tests and sidecars; see
    /// [`crate::danger`]. A driver connects to `localhost` on loopback addresses only.
    LoopbackHttp,
}

/// The reason why a string is not a valid URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    NotAbsolute,
    OtherScheme,
    NoHost,
    Userinfo,
    Form,
}

impl Url {
    /// Reads an absolute URL without fragment.
    ///
    /// # Errors
    /// `url.syntax`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains('#') {
            return Err(Misuse::UrlSyntax.into());
        }
        Self::scan(text).map_err(|_| Misuse::UrlSyntax.into())
    }

    /// Resolves a reference, such as `Location`, against this URL, and drops its fragment (RFC 3986 section 5.2.2).
    ///
    /// # Errors
    /// `url.syntax`, also for an empty reference.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, Error> {
        let reference = without_fragment(reference);
        let (origin, base_path) = (self.origin(), self.path());
        let has_scheme = reference.find([':', '/', '?']).is_some_and(|at| {
            reference
                .get(at..)
                .is_some_and(|rest| rest.starts_with(':'))
        });
        if has_scheme {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&[self.scheme(), ":", reference].concat());
        }
        let (path, query) = reference.find('?').map_or((reference, ""), |at| {
            reference.split_at_checked(at).unwrap_or((reference, ""))
        });
        let path = match path {
            // An empty reference would mean this URL itself.
            "" if query.is_empty() => return Err(Misuse::UrlSyntax.into()),
            "" => base_path.to_owned(),
            path if path.starts_with('/') => without_dot_segments(path),
            path => {
                let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
                without_dot_segments(&[folder, "/", path].concat())
            }
        };
        Self::parse(&[&origin, path.as_str(), query].concat())
    }

    /// Reads the URL of a page for the user's browser, which may have a fragment, as in single-page applications. No
    /// request is sent to it; only its text and origin are used.
    ///
    /// # Errors
    /// `url.syntax`.
    pub(crate) fn parse_page(text: &str) -> Result<Self, Error> {
        let has_two = text.split('#').nth(2).is_some();
        let page = Self::scan(text).ok().filter(|_| !has_two);
        page.ok_or_else(|| Misuse::UrlSyntax.into())
    }

    /// The scanner for every URL of this crate. The caller handles fragments.
    pub(crate) fn scan(text: &str) -> Result<Self, Flaw> {
        let (scheme, after) = split_at_byte(text, b':').ok_or(Flaw::NotAbsolute)?;
        let after = after.get(1..).unwrap_or_default();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return Err(if text.trim_start() == text {
                Flaw::NotAbsolute
            } else {
                Flaw::Form
            });
        }
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(Flaw::OtherScheme);
        }
        let rest = after.strip_prefix("//").ok_or(Flaw::NoHost)?;
        if !rest.bytes().all(is_plain) {
            return Err(Flaw::Form);
        }
        let end = rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#'));
        let authority = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        if authority.contains('@') {
            return Err(Flaw::Userinfo);
        }
        let (name, port) = split_port(authority).ok_or(Flaw::Form)?;
        if name.is_empty() {
            return Err(Flaw::NoHost);
        }
        if !is_host(name) || !is_port(port) {
            return Err(Flaw::Form);
        }
        let host = scheme.len() + 3;
        let path = host + authority.len();
        let path_and_query = rest.get(authority.len()..).unwrap_or_default();
        let whole_path = path_and_query.split(['?', '#']).next().unwrap_or_default();
        if has_dot_segment(whole_path) || !escapes_are_whole(path_and_query) {
            return Err(Flaw::Form);
        }
        let front = text.get(..path).unwrap_or_default();
        let text = if front.bytes().any(|b| b.is_ascii_uppercase()) {
            front.to_ascii_lowercase() + path_and_query
        } else {
            text.to_owned()
        };
        Ok(Self {
            shared: Shared::new(text),
            host,
            port: host + name.len(),
            path,
        })
    }

    /// The whole URL as text.
    pub fn as_str(&self) -> &str {
        &self.shared.text
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.as_str()
            .get(..self.host.saturating_sub(3))
            .unwrap_or_default()
    }

    /// The host in lower case; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        self.as_str().get(self.host..self.port).unwrap_or_default()
    }

    /// The port, named or implied by the scheme.
    pub fn port(&self) -> u16 {
        let explicit = self
            .as_str()
            .get(self.port..self.path)
            .unwrap_or_default()
            .strip_prefix(':');
        let implied = if self.scheme() == "https" { 443 } else { 80 };
        explicit
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(implied)
    }

    /// The path and, if there is one, the query.
    pub fn path_and_query(&self) -> &str {
        self.as_str().get(self.path..).unwrap_or_default()
    }

    /// The path; may be empty.
    pub fn path(&self) -> &str {
        let path_and_query = self.path_and_query();
        split_at_byte(path_and_query, b'?').map_or(path_and_query, |(path, _)| path)
    }

    /// The query without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query()
            .split_once('?')
            .map(|(_, query)| query)
    }

    /// Scheme, host and port in one normal form (RFC 6454 section 6.2): two URLs have the same origin exactly if these
    /// strings are equal.
    pub fn origin(&self) -> String {
        self.origin_text().to_owned()
    }

    /// The origin as a slice of the URL's text: scheme, host, and the port unless it is the default.
    pub(crate) fn origin_text(&self) -> &str {
        let end = match (self.scheme(), self.port()) {
            ("https", 443) | ("http", 80) => self.port,
            _ => self.path,
        };
        self.as_str().get(..end).unwrap_or_default()
    }

    /// Whether both URLs have the same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme() == other.scheme()
            && self.host() == other.host()
            && self.port() == other.port()
    }

    /// Whether the host is an address of 127.0.0.0/8 or `[::1]`. Always false for a name: even `localhost` could
    /// resolve to another address.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(address) => address == "::1",
            None => host.parse::<Ipv4Addr>().is_ok_and(|v4| v4.is_loopback()),
        }
    }

    /// Whether the host is a loopback address or `localhost`, which resolves to one if no name server is asked (RFC
    /// 6761 section 6.3).
    pub fn is_local(&self) -> bool {
        self.is_loopback() || self.host() == "localhost"
    }

    /// Checks that credentials may be sent to this URL.
    ///
    /// # Errors
    /// `url.insecure`, naming the origin.
    pub fn require(&self, transport: Transport) -> Result<(), Error> {
        let is_allowed =
            self.scheme() == "https" || (transport == Transport::LoopbackHttp && self.is_local());
        if is_allowed {
            Ok(())
        } else {
            Err(Error::from(Misuse::InsecureTransport).about(&self.origin()))
        }
    }

    /// The URL with `form` appended to its query (RFC 6749 section 3.1: an existing query is kept).
    pub(crate) fn with_query(&self, form: &Form) -> Self {
        if form.is_empty() {
            return self.clone();
        }
        let separator = match self.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        let text = [self.as_str(), separator, form.as_str()].concat();
        Self {
            shared: Shared::new(text),
            ..*self
        }
    }

    /// The URL as a type of the `http` crate, for a request.
    pub(crate) fn uri(&self) -> Result<crate::http::Uri, Error> {
        if let Some(uri) = self.shared.uri.get() {
            return Ok(uri.clone());
        }
        let uri: crate::http::Uri = self
            .as_str()
            .parse()
            .map_err(|_| Error::from(Misuse::UrlSyntax))?;
        Ok(self.shared.uri.get_or_init(|| uri).clone())
    }
}

impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Url {}

impl Hash for Url {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for Url {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&crate::http::Uri> for Url {
    type Error = Error;

    /// # Errors
    /// The errors of [`Self::parse`].
    fn try_from(uri: &crate::http::Uri) -> Result<Self, Error> {
        Self::parse(&uri.to_string())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Url {
    /// Shows the URL without the query, which may contain a state or a code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ellipsis = if self.query().is_some() { "?.." } else { "" };
        write!(f, "Url({}{}{ellipsis})", self.origin(), self.path())
    }
}

/// The characters of RFC 3986. A parser of the URL Standard leaves each of them unchanged, except an
/// apostrophe in a query, which it escapes.
pub(crate) const fn is_plain(byte: u8) -> bool {
    // Ranges instead of a search in a list, because every URL is checked here.
    matches!(byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#'..=b';' | b'=' | b'?' | b'@' | b'[' | b']' | b'_' | b'|' | b'~')
}

/// The text before the first of these bytes, and the text from it on. Checks byte by byte, because for short texts that
/// is faster than setting up a search.
fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    text.split_at_checked(text.bytes().position(|b| b == byte)?)
}

fn split_port(authority: &str) -> Option<(&str, &str)> {
    if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        Some((authority.get(..end)?, authority.get(end..)?))
    } else {
        Some(split_at_byte(authority, b':').unwrap_or((authority, "")))
    }
}

fn is_host(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix('[') {
        // Only the canonical spelling is accepted, so that equal addresses have equal texts.
        let address = rest.strip_suffix(']').unwrap_or_default();
        return ipv6::is_canonical(address);
    }
    let labels_are_plain = name.len() <= 253
        && name.as_bytes().split(|&b| b == b'.').all(|label| {
            let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.iter().all(is_plain)
        });
    // A last label of digits makes the URL Standard read the host as IPv4: `127.1`, `0x7f.1`.
    let last = name.rsplit('.').next().unwrap_or_default();
    let reads_as_number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    labels_are_plain && (!reads_as_number || name.parse::<Ipv4Addr>().is_ok())
}

fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
            is_number && digits.parse::<u16>().is_ok()
        }
    }
}

/// A path that begins with a slash, without `.` and `..` (RFC 3986 section 5.2.4). Percent-encoded dot segments are
/// kept, so that they are refused later.
pub(crate) fn without_dot_segments(path: &str) -> String {
    let path_segments = path.split('/').skip(1);
    let ends_in_folder = matches!(path.rsplit('/').next(), Some("." | ".."));
    let mut segments = Vec::new();
    for segment in path_segments {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if ends_in_folder { "/" } else { "" };
    [
        "/",
        &segments.join("/"),
        if segments.is_empty() { "" } else { end },
    ]
    .concat()
}

/// The text of a URL without its fragment, which is never sent (RFC 9110 section 7.1).
pub fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

fn has_dot_segment(path: &str) -> bool {
    let may_be_dot = |b: u8| matches!(b, b'.' | b'%');
    path.bytes().any(may_be_dot)
        && path.split('/').any(|segment| {
            let after = after_dot(segment);
            after.is_some_and(|rest| rest.is_empty() || after_dot(rest) == Some(""))
        })
}

/// The text after a dot, plain or escaped.
fn after_dot(text: &str) -> Option<&str> {
    let escaped = || text.get(..3).filter(|e| e.eq_ignore_ascii_case("%2e"));
    let dot = if text.starts_with('.') {
        "."
    } else {
        escaped()?
    };
    text.get(dot.len()..)
}

/// Whether two hexadecimal digits follow each percent sign (RFC 3986 section 2.1).
pub(crate) fn escapes_are_whole(tail: &str) -> bool {
    tail.split('%').skip(1).all(|escaped| {
        escaped
            .as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
