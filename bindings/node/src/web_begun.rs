//! The beginning of a visit: the head of its request is parsed, and its first step taken.

use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use oauth_core::Moment;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_web::{Access, Event, LogEntry, PageRequirements, Request, Session, Site, Step, Visit};

use crate::error::{fail, invalid};
use crate::runtime::{catch_panic, millis};

/// The requirements of a page for the user's login.
#[napi(object, object_to_js = false)]
pub(crate) struct NativeWebNeed {
    /// Authentication context classes (`acr_values`), best first.
    pub acr: Option<Vec<String>>,
    /// The maximum age of the login, in seconds.
    pub max_age: Option<f64>,
    /// The required scope.
    pub scope: Option<Vec<String>>,
    /// The tenant whose users are admitted.
    pub tenant: Option<String>,
}

/// A visit after its first step.
pub(crate) struct Begun {
    pub(crate) visit: Visit,
    pub(crate) step: std::result::Result<Step, Error>,
    pub(crate) notes: Vec<LogEntry>,
    /// The request, if it is for one of the site's own pages: only these forward calls.
    pub(crate) own: Option<Request>,
    pub(crate) at: f64,
}

impl Begun {
    /// The session, if that is the outcome, without tokens and log entries.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.step {
            Ok(Step::Pass(Some(session))) if self.notes.is_empty() => {
                Some(session.as_ref()).filter(|session| !session.has_tokens())
            }
            _ => None,
        }
    }
}

/// Begins a visit with this head, at this time.
pub(crate) fn begin(
    site: &Site,
    head: String,
    form: Option<Uint8Array>,
    page_need: Option<NativeWebNeed>,
    at: f64,
) -> Result<Begun> {
    let Head { request, access } = head_of(head, form)?;
    let path = request.target.split('?').next().unwrap_or_default();
    let own = site.owns(path).then(|| request.clone());
    let mut visit = match (access, page_need) {
        (None, _) => site.tokens_over(request),
        (Some(_), Some(page_need)) => site.challenge(request, page_requirements(page_need)?),
        (Some(access), None) => site.visit(request, access),
    };
    let moment = clock(at)().map_err(fail)?;
    let step = catch_panic(|| visit.resume(&moment, Event::Begin))?;
    Ok(Begun {
        notes: visit.notes(),
        visit,
        step,
        own,
        at,
    })
}

/// The input with which a visit begins. Without `access`, the grant of the user has ended.
struct Head {
    request: Request,
    access: Option<Access>,
}

/// Parses the head of a request: one line each for the access (`open`, `silent`, `signed_in`, or `over` once the grant has
/// ended), the method, the host or nothing, the target, and then for the names and values of the header fields in turn. One
/// string crosses in a fraction of the time of an object. Malformed fields are dropped: no browser sends them, and Node.js
/// would not have accepted them.
fn head_of(text: String, form: Option<Uint8Array>) -> Result<Head> {
    // The values of the fields share its memory.
    let bytes = Bytes::from(text);
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("the request is not text"))?;
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let access = match line() {
        "open" => Some(Access::Open),
        "silent" => Some(Access::Silent),
        "signed_in" => Some(Access::SignedIn),
        "over" => None,
        _ => return Err(invalid("access must be open, silent or signed_in")),
    };
    let method = Method::from_bytes(line().as_bytes())
        .map_err(|_| invalid("method is not a valid HTTP method"))?;
    let (mut host, target) = (line(), line());
    // As many as browsers send, without growing.
    let mut headers = HeaderMap::with_capacity(20);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => {
                if host.is_empty() && name == HOST {
                    host = value;
                }
                if let Some(value) = field(&bytes, value) {
                    headers.append(name, value);
                }
            }
            // HTTP/2 has this in place of `Host`.
            Err(_) if host.is_empty() && name == ":authority" => host = value,
            Err(_) => {}
        }
    }
    let request = Request {
        method,
        host: host.to_owned(),
        target: target.to_owned(),
        headers,
        form: form.map(|form| Bytes::from(form.to_vec())),
    };
    Ok(Head { request, access })
}

/// Encodes a field value, a part of `all`: Node.js decodes its bytes as Latin-1.
fn field(all: &Bytes, value: &str) -> Option<HeaderValue> {
    if value.is_ascii() {
        return HeaderValue::from_maybe_shared(all.slice_ref(value.as_bytes())).ok();
    }
    let bytes: Option<Vec<u8>> = value.chars().map(|byte| u8::try_from(byte).ok()).collect();
    let bytes = bytes.unwrap_or_else(|| value.as_bytes().to_vec());
    HeaderValue::from_bytes(&bytes).ok()
}

/// A clock that continues from JavaScript's time.
pub(crate) fn clock(
    at: f64,
) -> impl Fn() -> std::result::Result<Moment, Error> + Send + Sync + 'static {
    let (at, since) = (millis(at), Instant::now());
    move || {
        let now = UnixTime::from_secs(0).after(at.saturating_add(since.elapsed()));
        Ok(Moment::system()?.at_time(now))
    }
}

fn page_requirements(input: NativeWebNeed) -> Result<PageRequirements> {
    let mut requirements = PageRequirements::acr(input.acr.unwrap_or_default());
    requirements.scope = input.scope.unwrap_or_default();
    requirements.tenant = input.tenant;
    requirements.max_age = match input.max_age {
        None => None,
        Some(age) if age.is_finite() && age >= 0.0 => Some(age as u64),
        Some(_) => return Err(invalid("maxAge must be a number of seconds")),
    };
    Ok(requirements)
}
