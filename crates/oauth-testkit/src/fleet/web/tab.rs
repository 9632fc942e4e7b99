//! Browsers, their cookies, and the requests of their tabs.

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oauth_web::{Reply, Request};

pub(super) const SESSION_COOKIE: &str = "__Host-Http-oauth-session";

/// A browser with its user and cookies.
pub(super) struct Browser {
    pub(super) person: usize,
    /// The number of its session at the provider.
    pub(super) sid: Option<u64>,
    pub(super) jar: Jar,
    /// The copy of its cookies, if one was made.
    pub(super) copy: Option<Jar>,
    /// The result of its last page.
    pub(super) last_page: Option<ShownPage>,
}

/// Cookies: name, value, and expiration time in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Jar(Vec<(String, String, u64)>);

/// The result of a page in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShownPage {
    /// The application's page, for this user.
    Page(usize),
    /// The application's public page, without a user.
    Home,
    /// A different response.
    Status(u16),
    /// No response, because the worker died.
    Nothing,
}

/// A request from a browser or from the provider.
#[derive(Clone)]
pub(super) struct Tab {
    pub(super) from: Sender,
    pub(super) target: String,
    pub(super) kind: RequestKind,
    pub(super) hops: u32,
    /// The request, once it has been sent.
    pub(super) request: Option<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Browser(usize),
    /// The holder of cookies copied from this browser.
    Copy(usize),
    /// The provider, about this session; `tries` counts its attempts.
    Provider {
        person: usize,
        sid: u64,
        tries: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A URL is opened directly.
    Typed,
    /// A link on a page of the site is clicked.
    Click,
    /// A script calls `fetch`.
    Fetch,
    /// The browser returns from the provider.
    FromProvider,
    /// A logout token is posted.
    Post,
}

impl Browser {
    pub(super) fn new(person: usize) -> Self {
        Self {
            person,
            sid: None,
            jar: Jar::default(),
            copy: None,
            last_page: None,
        }
    }
}

impl Jar {
    pub(super) fn cookie_header(&self, now: u64) -> Option<String> {
        let current = self.0.iter().filter(|(_, _, until)| now < *until);
        let pairs: Vec<_> = current
            .map(|(name, value, _)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(super) fn session_cookie(&self, now: u64) -> Option<&str> {
        let mut cookies = self.0.iter();
        cookies
            .find(|(name, _, until)| name == SESSION_COOKIE && now < *until)
            .map(|(_, value, _)| value.as_str())
    }

    pub(super) fn store_cookies(&mut self, now: u64, reply: &Reply) {
        for (name, value, age) in cookies(reply) {
            self.0.retain(|(cookie_name, _, _)| *cookie_name != name);
            if age > 0 {
                self.0.push((name, value, now + age));
            }
        }
    }
}

/// The cookies that a reply sets: name, value, and lifetime in seconds.
fn cookies(reply: &Reply) -> Vec<(String, String, u64)> {
    let lines = reply.headers.get_all(SET_COOKIE).iter();
    let read = lines.filter_map(|line| {
        let mut parts = line.to_str().ok()?.split("; ");
        let (name, value) = parts.next()?.split_once('=')?;
        let age = parts.find_map(|part| part.strip_prefix("Max-Age="))?;
        Some((name.to_owned(), value.to_owned(), age.parse().ok()?))
    });
    read.collect()
}

/// The session cookie that a reply sets, if any.
pub(super) fn new_session_cookie(reply: &Reply) -> Option<String> {
    let mut all = cookies(reply).into_iter();
    all.find(|(name, _, age)| name == SESSION_COOKIE && *age > 0)
        .map(|(_, value, _)| value)
}

impl Tab {
    pub(super) fn new(from: Sender, target: &str, kind: RequestKind) -> Self {
        Self {
            from,
            target: target.to_owned(),
            kind,
            hops: 0,
            request: None,
        }
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn request(&self, cookies: Option<String>, form: Option<Bytes>) -> Request {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(cookies) = cookies {
            put(COOKIE, &cookies);
        }
        let (site, mode, dest) = match self.kind {
            RequestKind::Typed => ("none", "navigate", "document"),
            RequestKind::Click => ("same-origin", "navigate", "document"),
            RequestKind::Fetch => ("same-origin", "cors", "empty"),
            RequestKind::FromProvider => ("cross-site", "navigate", "document"),
            RequestKind::Post => ("", "", ""),
        };
        if self.kind != RequestKind::Post {
            put(HeaderName::from_static("sec-fetch-site"), site);
            put(HeaderName::from_static("sec-fetch-mode"), mode);
            put(HeaderName::from_static("sec-fetch-dest"), dest);
        }
        Request {
            method: match self.kind {
                RequestKind::Post => Method::POST,
                _ => Method::GET,
            },
            host: "shop.example".to_owned(),
            target: self.target.clone(),
            headers,
            form,
        }
    }
}

impl RequestKind {
    /// The kind of navigation after a redirect by the site itself.
    pub(super) const fn after_redirect(self) -> Self {
        match self {
            Self::FromProvider => Self::FromProvider,
            _ => Self::Click,
        }
    }
}

/// The value of a query parameter of a URL.
pub(super) fn query_parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    let mut pairs = pairs.into_iter();
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}
