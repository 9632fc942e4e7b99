//! Sign-in for web applications: each request is a visit, driven by JavaScript.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use js_sys::{Object, Uint8Array};
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::ExchangeExt as _;
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
use oauth_core::{Client, Secret};
use oauth_facade::{ErasedExchange, Record};
use oauth_web::{
    Access, Admission, Connect, Event, Forward, PageRequirements, Reply, Request, RunOutput,
    Session, Site, Step, Visit,
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::api::NativeApi;
use crate::error::{NativeFailure, fail, invalid};
use crate::exchange::NativeExchange;
use crate::moment::current_moment;
use crate::plain::{member, millis, object, read, to_millis, to_u64, unix_millis, with};
use crate::site::NativeSiteSetup;
use crate::tokens::NativeTokens;

/// The result of a visit's exchange, shared with the exchange that JavaScript drives.
#[derive(Clone, Default)]
pub(crate) struct SharedOutcome(Arc<Mutex<Option<Result<RunOutput, Error>>>>);

impl SharedOutcome {
    fn record(&self, outcome: Result<RunOutput, Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    pub(crate) fn failed(&self, error: Error) {
        self.record(Err(error));
    }

    /// The result; an error if the driver dropped the exchange before its end.
    fn take_result(&self) -> Result<RunOutput, Error> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = || Error::lost(Cause::unknown("the exchange was given up"));
        held.take().unwrap_or_else(|| Err(dropped()))
    }
}

/// A request, and the page's access rule.
#[derive(Deserialize)]
struct VisitRequest {
    method: String,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    access: String,
}

/// The requirements of a page for the user's login.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NeedInput {
    acr: Option<Vec<String>>,
    max_age: Option<f64>,
    scope: Option<Vec<String>>,
    tenant: Option<String>,
}

pub(crate) fn request(visit_object: &JsValue) -> Result<(Request, Access), JsValue> {
    let form = member(visit_object, "form").and_then(|form| form.dyn_into::<Uint8Array>().ok());
    let plain = Object::assign(&Object::new(), visit_object.unchecked_ref());
    let plain = with(plain, "form", JsValue::UNDEFINED);
    let visit_object: VisitRequest = read(
        &plain,
        "the request must be { method, host, target, headers }",
    )?;
    let access = match visit_object.access.as_str() {
        // Its tokens have ended, so the access rule of the page does not matter.
        "open" | "over" => Access::Open,
        "silent" => Access::Silent,
        "signed_in" => Access::SignedIn,
        _ => return Err(invalid("access must be open, silent or signed_in")),
    };
    let request = Request {
        method: Method::from_bytes(visit_object.method.as_bytes())
            .map_err(|_| invalid("method is not a valid HTTP method"))?,
        host: visit_object.host,
        target: visit_object.target,
        headers: fields(&visit_object.headers),
        form: form.map(|form| Bytes::from(form.to_vec())),
    };
    Ok((request, access))
}

pub(crate) fn requirements(need_object: &JsValue) -> Result<Option<PageRequirements>, JsValue> {
    let Some(need_object) = member(need_object, "need") else {
        return Ok(None);
    };
    let need_object: NeedInput = read(
        &need_object,
        "the requirements of a page must be acr, maxAge, scope and tenant",
    )?;
    let mut needed = PageRequirements::acr(need_object.acr.unwrap_or_default());
    needed.scope = need_object.scope.unwrap_or_default();
    needed.tenant = need_object.tenant;
    needed.max_age = match need_object.max_age {
        None => None,
        Some(age) if age.is_finite() && age >= 0.0 => Some(to_u64(age)),
        Some(_) => return Err(invalid("maxAge must be a number of seconds")),
    };
    Ok(Some(needed))
}

/// Invalid header fields are omitted: no browser sends them.
fn fields(pairs: &[(String, String)]) -> HeaderMap {
    let fields = pairs.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        // Bytes are read as the characters of Latin-1.
        let bytes: Option<Vec<u8>> = value.chars().map(|byte| u8::try_from(byte).ok()).collect();
        let bytes = bytes.unwrap_or_else(|| value.as_bytes().to_vec());
        Some((name, HeaderValue::from_bytes(&bytes).ok()?))
    });
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, value);
    }
    map
}

/// One request, to be answered or passed on. Each method continues with the result of a step, and returns the next.
#[wasm_bindgen]
pub struct NativeVisit {
    site: Site,
    visit: Visit,
    request: Option<Request>,
    flight: SharedOutcome,
    connect: Option<Connect>,
    notes: Vec<(String, String, bool)>,
}

impl NativeVisit {
    pub(crate) fn new(site: &Site, visit: Visit, request: Option<Request>) -> Self {
        Self {
            site: site.clone(),
            visit,
            request,
            flight: SharedOutcome::default(),
            connect: None,
            notes: Vec::new(),
        }
    }

    fn client_ready(&mut self, client: Result<Client, Error>) -> Result<Object, JsValue> {
        if let Some(connect) = self.connect.take() {
            self.site.connected(&current_moment(), &connect, client);
        }
        self.resume(Event::Connecting)
    }

    fn resume(&mut self, event: Event) -> Result<Object, JsValue> {
        let step = self.visit.resume(&current_moment(), event);
        let notes = self.visit.notes().into_iter();
        self.notes
            .extend(notes.map(|note| (note.code.to_owned(), note.detail, note.is_site_fault)));
        let kind = |kind: &str| ("kind", json!(kind));
        Ok(match step.map_err(fail)? {
            Step::Load { key } => object(&[kind("load"), ("key", json!(key))]),
            Step::Lease { key, holder, ttl } => object(&[
                kind("lease"),
                ("key", json!(key)),
                ("holder", json!(holder)),
                ("ms", json!(to_millis(ttl))),
            ]),
            Step::Save {
                key,
                record,
                version,
                due,
                until,
            } => object(&[
                kind("save"),
                ("key", json!(key)),
                ("record", json!(record.expose())),
                ("version", json!(version)),
                ("due", json!(due.map(unix_millis))),
                ("until", json!(until.map(unix_millis))),
            ]),
            Step::Remove { key } => object(&[kind("remove"), ("key", json!(key))]),
            Step::Wait(pause) => object(&[kind("wait"), ("ms", json!(to_millis(pause)))]),
            Step::Admit(identity) => object(&[
                kind("admit"),
                ("record", json!(json!(identity).to_string())),
            ]),
            Step::Connect(connect) => {
                let step = object(&[kind("connect"), ("id", json!(connect.provider))]);
                self.connect = Some(connect);
                step
            }
            Step::Provider(query) => {
                let query_json = json!({
                    "id": query.id, "issuer": query.issuer, "tenant": query.tenant, "host": query.host, "path": query.path,
                });
                object(&[kind("provider"), ("record", json!(query_json.to_string()))])
            }
            Step::Run(exchange) => {
                let flight = self.flight.clone();
                let result = exchange.and_then(move |_, landed| {
                    flight.record(Ok(landed));
                    Ok(Record::Nothing)
                });
                let native_exchange =
                    NativeExchange::of_visit(ErasedExchange::new(result), self.flight.clone());
                with(object(&[kind("run")]), "exchange", native_exchange)
            }
            Step::Respond(reply) => self.end(&reply_members(&reply), None),
            Step::Pass(None) => self.end(&[], None),
            Step::Pass(Some(session)) => {
                let ended = self.end(&session_members(&session), None);
                let held = NativeWebSession {
                    site: self.site.clone(),
                    session,
                };
                with(ended, "held", held)
            }
            Step::Forward(forward) => self.end(&[], Some(*forward)),
        })
    }

    fn end(&mut self, members: &[(&str, Value)], forward: Option<Forward>) -> Object {
        let notes = ("notes", json!(std::mem::take(&mut self.notes)));
        let ended = object(&[members, &[notes]].concat());
        let ended = match forward {
            None => ended,
            Some(forward) => {
                let (site, request) = (self.site.clone(), self.request.clone());
                let forward = NativeForward {
                    site,
                    request,
                    forward,
                };
                with(ended, "forward", forward)
            }
        };
        with(object(&[("kind", json!("end"))]), "told", ended)
    }
}

#[wasm_bindgen]
impl NativeVisit {
    /// The first step.
    pub fn begin(&mut self) -> Result<Object, JsValue> {
        self.resume(Event::Begin)
    }

    /// Continues with the record and its version; both absent if there is no record.
    pub fn loaded(
        &mut self,
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<Object, JsValue> {
        let entry = version.zip(record).map(|(version, record)| Entry {
            version: to_u64(version),
            record: Secret::new(record),
        });
        self.resume(Event::Loaded(entry))
    }

    /// Continues with the milliseconds until the other holder's lease ends; 0 if the lease was acquired.
    pub fn leased(&mut self, held_ms: f64) -> Result<Object, JsValue> {
        let held = (held_ms > 0.0).then(|| Lease::Held(millis(held_ms)));
        self.resume(Event::Leased(held.unwrap_or(Lease::Won)))
    }

    /// Continues with the new version; nothing if the stored version was not the expected one.
    pub fn saved(&mut self, version: Option<f64>) -> Result<Object, JsValue> {
        let saved = version.map_or(SaveOutcome::Conflict, |version| {
            SaveOutcome::At(to_u64(version))
        });
        self.resume(Event::Saved(saved))
    }

    /// Continues after the record was removed.
    pub fn removed(&mut self) -> Result<Object, JsValue> {
        self.resume(Event::Removed)
    }

    /// Continues after a failed call of the store.
    pub fn failed(&mut self, reason: &str) -> Result<Object, JsValue> {
        let lost = Error::lost(Cause::unknown(reason.to_owned()));
        self.resume(Event::Failed(oauth_facade::store_error(lost)))
    }

    /// Continues after a failed call of a built-in store.
    #[wasm_bindgen(js_name = failedWith)]
    pub fn failed_with(&mut self, failure: &NativeFailure) -> Result<Object, JsValue> {
        let error = oauth_facade::store_error(failure.0.clone());
        self.resume(Event::Failed(error))
    }

    /// Continues without a store.
    #[wasm_bindgen(js_name = hasNone)]
    pub fn has_none(&mut self) -> Result<Object, JsValue> {
        let none = Error::from(Misuse::NotSupported).at_endpoint("store");
        self.resume(Event::Failed(none))
    }

    /// Continues after the pause.
    pub fn elapsed(&mut self) -> Result<Object, JsValue> {
        self.resume(Event::Elapsed)
    }

    /// Continues after the exchange, whose result is recorded in this visit.
    pub fn landed(&mut self) -> Result<Object, JsValue> {
        let result = self.flight.take_result();
        self.resume(Event::Completed(result))
    }

    /// Admits the user. `local` is the application's part of the session: an object as JSON, or nothing.
    pub fn admitted(&mut self, local: Option<String>) -> Result<Object, JsValue> {
        let local = local.map(|local| serde_json::from_str(&local)).transpose();
        let local =
            local.map_err(|_| invalid("admit must return an object, nothing, or a Refuse"))?;
        let admission = local.map(Admission::Admitted).unwrap_or_default();
        self.resume(Event::Admitted(admission))
    }

    /// Continues with the requested provider, in a setup of its own; nothing if there is no such provider.
    pub fn provided(&mut self, setup: Option<NativeSiteSetup>) -> Result<Object, JsValue> {
        let provider = setup.and_then(|setup| setup.last());
        self.resume(Event::Provider(provider.map(Box::new)))
    }

    /// Continues with the requested client, in a setup of its own.
    pub fn connected(&mut self, setup: NativeSiteSetup) -> Result<Object, JsValue> {
        let client = setup.last().and_then(|provider| provider.client);
        let none = || Error::from(Misuse::ApplicationFunction).about("client must return a Client");
        self.client_ready(client.ok_or_else(none))
    }

    /// Reports that the client is not available, with an error of this code; `retry_after` is in seconds.
    pub fn unconnected(
        &mut self,
        code: &str,
        reason: &str,
        retry_after: Option<f64>,
    ) -> Result<Object, JsValue> {
        let pause = retry_after.and_then(|pause| Duration::try_from_secs_f64(pause).ok());
        self.client_ready(Err(oauth_facade::error_from_code(code, reason, pause)))
    }

    /// Refuses the user.
    pub fn refused(&mut self, reason: String) -> Result<Object, JsValue> {
        self.resume(Event::Admitted(Admission::Refused(reason)))
    }
}

fn head(status: StatusCode, headers: &HeaderMap) -> Vec<(&'static str, Value)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    vec![
        ("status", json!(status.as_u16())),
        ("headers", json!(headers)),
    ]
}

fn reply_members(reply: &Reply) -> Vec<(&'static str, Value)> {
    let problem = reply.problem.as_ref().map(|problem| {
        json!({
            "code": problem.code,
            "title": problem.title,
            "detail": problem.detail,
            "signIn": problem.sign_in,
        })
        .to_string()
    });
    let mut members = head(reply.status, &reply.headers);
    let signed_out = reply.signed_out.as_ref();
    let signed_out = signed_out.map(|identity| json!(identity).to_string());
    members.extend([
        ("problem", json!(problem)),
        ("body", json!(reply.body)),
        ("signedOut", json!(signed_out)),
    ]);
    members
}

fn session_members(session: &Session) -> Vec<(&'static str, Value)> {
    // The ID token is left out: it is meant for the provider only.
    let session_json = json!({
        "identity": session.identity,
        "local": session.local,
        "started_at": session.started_at,
        "until": session.until,
        "scope": session.scope,
        "tenant": session.tenant,
    });
    vec![
        ("session", json!(session_json.to_string())),
        ("grant", json!(grant(session))),
    ]
}

fn grant(session: &Session) -> Option<String> {
    let grant = session.grant()?;
    grant.subject().map(str::to_owned)
}

/// A session, which may have tokens.
#[wasm_bindgen]
pub struct NativeWebSession {
    site: Site,
    session: Arc<Session>,
}

#[wasm_bindgen]
impl NativeWebSession {
    /// Whether the session has tokens, in its cookie or in the store.
    #[wasm_bindgen(getter, js_name = hasTokens)]
    pub fn has_tokens(&self) -> bool {
        self.session.grant().is_some() || self.session.tokens().is_some()
    }

    /// The tokens in the session's cookie.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> Option<NativeTokens> {
        let tokens = self.session.tokens()?;
        Some(NativeTokens(Arc::clone(tokens)))
    }

    /// The visit that ends the session everywhere, and its grant.
    pub fn end(&self) -> NativeVisit {
        let visit = self.site.end(Arc::clone(&self.session));
        NativeVisit::new(&self.site, visit, None)
    }
}

/// A call of the browser, to be passed on to an API.
#[wasm_bindgen]
pub struct NativeForward {
    site: Site,
    request: Option<Request>,
    forward: Forward,
}

#[wasm_bindgen]
impl NativeForward {
    /// The method, URL and header fields of the call, the subject of the user's grant, and the provider of the sign-in.
    #[wasm_bindgen(getter)]
    pub fn call(&self) -> Object {
        let Forward {
            method,
            url,
            headers,
            session,
            ..
        } = &self.forward;
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = headers.iter();
        let headers: Vec<_> = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect();
        object(&[
            ("method", json!(method.as_str())),
            ("url", json!(url.as_str())),
            ("headers", json!(headers)),
            ("grant", json!(grant(session))),
            ("provider", json!(session.identity.provider)),
        ])
    }

    /// The API beneath whose URL the token may be shown.
    pub fn api(&self) -> Result<NativeApi, JsValue> {
        let resource = &self.forward.resource;
        // The site's settings allow plain HTTP for this API.
        NativeApi::beneath(resource.as_str(), resource.scheme() == "http")
    }

    /// The header fields of the response that are passed on.
    #[wasm_bindgen(js_name = responseHeaders)]
    pub fn response_headers(&self, header_pairs: &JsValue) -> Result<Object, JsValue> {
        let header_pairs: Vec<(String, String)> =
            read(header_pairs, "headers must be names and values")?;
        let headers = Forward::response_headers(&fields(&header_pairs));
        Ok(object(&head(StatusCode::OK, &headers)))
    }

    /// The visit that ends the session of this request: its tokens have ended.
    #[wasm_bindgen(js_name = tokensOver)]
    pub fn tokens_over(&self) -> Result<NativeVisit, JsValue> {
        let request = self.request.clone();
        let request = request.ok_or_else(|| fail(Misuse::OutOfOrder.into()))?;
        let visit = self.site.tokens_over(request);
        Ok(NativeVisit::new(&self.site, visit, None))
    }
}
