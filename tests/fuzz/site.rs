//! A site with signed-in users, and the result of a request to it.

use std::sync::OnceLock;

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use oauth_core::Moment;
use oauth_core::moment::UnixTime;
use oauth_core::url::Url;
use oauth_web::{
    Access, Admission, Config, Event, Identity, Provider, Request, SessionStorage, Site, Step, Upstream,
    Visit, testing_key,
};

use crate::NOW;

/// The origin of the site.
pub const ORIGIN: &str = "https://shop.localhost";
/// The URL of the API to which the site forwards calls.
pub const API: &str = "https://api.example/v1";

/// How a request ended.
#[derive(Debug)]
pub enum End {
    /// Passed to the application, with or without a user.
    Passed { is_signed_in: bool },
    /// A response of the site.
    Replied,
    /// A call to an API, at this URL.
    Forwarded(String),
}

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let provider = Provider::new("as", crate::client().clone()).expect("a provider");
        let origin = Url::parse(ORIGIN).expect("a URL");
        let mut config = Config::new(origin, oauth_seal::Keys::new(testing_key()), provider);
        config.keep = SessionStorage::AccessToken;
        config.api = vec![Upstream::new("shop", Url::parse(API).expect("a URL"))];
        Site::new(config).expect("a site")
    })
}

/// The session cookie of a signed-in user.
pub fn session_cookie() -> &'static str {
    static COOKIE: OnceLock<String> = OnceLock::new();
    COOKIE.get_or_init(|| {
        let identity = serde_json::json!({
            "provider": "as", "issuer": "https://as.example", "subject": "ann",
        });
        let identity: Identity = serde_json::from_value(identity).expect("an identity");
        let VisitResult(_, headers) = drive(site().testing(identity));
        let cookies = headers.get_all(SET_COOKIE).iter();
        let cookies = cookies.filter_map(|line| line.to_str().ok()?.split(';').next());
        cookies.collect::<Vec<_>>().join("; ")
    })
}

struct VisitResult(End, HeaderMap);

/// Runs a visit that needs nothing outside of the process.
fn drive(mut visit: Visit) -> VisitResult {
    let at = Moment::fixed(UnixTime::from_secs(NOW), [5; 32]);
    let mut event = Event::Begin;
    loop {
        event = match visit.resume(&at, event).expect("the host answers in turn") {
            Step::Admit(_) => Event::Admitted(Admission::default()),
            Step::Provider(_) => Event::Provider(None),
            Step::Respond(reply) => return VisitResult(End::Replied, reply.headers),
            Step::Forward(forward) => {
                let url = forward.url.as_str().to_owned();
                return VisitResult(End::Forwarded(url), HeaderMap::new());
            }
            Step::Pass(session) => {
                let is_signed_in = session.is_some();
                return VisitResult(End::Passed { is_signed_in }, HeaderMap::new());
            }
            // The network is down.
            Step::Run(_) => Event::Failed(oauth_core::Error::lost(
                oauth_core::error::Cause::unsent("there is no network here"),
            )),
            step => unreachable!("{step:?}"),
        };
    }
}

/// A request of a script on a page of the site, which is not redirected.
pub fn visit(target: &str, cookies: &str) -> Option<End> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("x-csrf-protection", "1"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(COOKIE, HeaderValue::from_str(cookies).ok()?);
    let request = Request {
        method: Method::GET,
        host: "shop.localhost".to_owned(),
        target: target.to_owned(),
        headers,
        form: None,
    };
    let VisitResult(end, headers) = drive(site().visit(request, Access::Open));
    if let Some(target) = headers.get(LOCATION) {
        let target = target.to_str().expect("a URL is ASCII");
        let base = url::Url::parse(ORIGIN).expect("a URL");
        let target = base.join(target).expect("a URL");
        let to = target.origin().ascii_serialization();
        assert!(to == ORIGIN || to == "https://as.example", "{target}");
    }
    Some(end)
}
