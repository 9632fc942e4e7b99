//! Sign-in for web applications: a site handles each HTTP request as one visit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use napi::Result;
use napi::bindgen_prelude::{Either, Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Moment};
use oauth_web::{
    Access, Admission, Identity, LogEntry, MAX_FORM, PageRequirements, Provider, ProviderQuery,
    Reply, Request, Session,
};
use oauth_web_tower::{Host, Outcome};

use crate::error::invalid;
use crate::js_callbacks::{JsImplementation, NativeAsk};
use crate::runtime::{at_once_or_promise, millis, promise};
use crate::tokens::NativeTokens;
use crate::web_forward::{NativeForward, NativeStream};

/// A request, as the user's browser sent it.
#[napi(object, object_to_js = false)]
pub struct NativeWebRequest {
    /// The id of the visit, with which the `admit` function is called.
    pub id: String,
    /// The method.
    pub method: String,
    /// The `Host` field.
    pub host: String,
    /// Path and query, as the browser shows them.
    pub target: String,
    /// The header fields: names and values alternating, separated by line breaks. One string crosses in a fraction of the
    /// time of a list of pairs.
    pub headers: String,
    /// The body, if the site reads it.
    pub form: Option<Uint8Array>,
    /// `open`, `silent` or `signed_in`.
    pub access: String,
    /// The page's other requirements.
    pub need: Option<NativeWebNeed>,
    /// The time, in milliseconds since 1970; tests may set it.
    pub at: f64,
}

/// The requirements of a page for the user's login.
#[napi(object, object_to_js = false)]
pub struct NativeWebNeed {
    /// Authentication context classes (`acr_values`), best first.
    pub acr: Option<Vec<String>>,
    /// The maximum age of the login, in seconds.
    pub max_age: Option<f64>,
    /// The required scope.
    pub scope: Option<Vec<String>>,
    /// The tenant whose users are admitted.
    pub tenant: Option<String>,
}

/// The outcome of a visit.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeVisited {
    /// The status to send; absent if the application handles the request.
    pub status: Option<u32>,
    /// Names and values to send.
    pub headers: Option<Vec<(String, String)>>,
    /// The body to send.
    pub body: Option<String>,
    /// The problem, as JSON.
    pub problem: Option<String>,
    /// The identity of the user who was signed out, as JSON.
    pub signed_out: Option<String>,
    /// The session of the signed-in user, as JSON.
    pub session: Option<String>,
    /// The key of the grant whose tokens are in the store.
    pub grant: Option<String>,
    /// The session, if it has tokens.
    pub held: Option<NativeWebSession>,
    /// The body to send as a stream, instead of `body`.
    pub stream: Option<NativeStream>,
    /// A call to be forwarded to an API.
    pub forward: Option<NativeForward>,
    /// The codes and details of log entries, and whether each shows a fault of the site.
    pub notes: Vec<(String, String, bool)>,
}

/// A session that has tokens.
#[napi]
pub struct NativeWebSession {
    host: Host,
    session: Arc<Session>,
}

#[napi]
impl NativeWebSession {
    /// The tokens in the session's cookie.
    #[napi(getter)]
    pub fn tokens(&self) -> Option<NativeTokens> {
        let tokens = self.session.tokens()?;
        Some(NativeTokens(Arc::clone(tokens)))
    }

    /// Ends the session on all devices that share it, and its grant.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn end<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let (host, session) = (self.host.clone(), Arc::clone(&self.session));
        promise(env, async move {
            host.drive(host.site().end(session)).await?;
            Ok(())
        })
    }
}

/// A site: sign-in for a web application.
#[napi]
pub struct NativeSite {
    host: Host,
    admit: Option<Arc<JsImplementation>>,
}

impl NativeSite {
    pub(crate) fn new(host: Host, admit: Option<Arc<JsImplementation>>) -> Self {
        let Some(application) = admit.clone() else {
            return Self { host, admit };
        };
        let host = host.connect(move |provider| {
            let application = Arc::clone(&application);
            async move { client(&application, &provider).await }
        });
        Self { host, admit }
    }
}

#[napi]
impl NativeSite {
    /// Whether the site has a page at this path.
    #[napi]
    pub fn owns(&self, path: String) -> bool {
        self.host.site().owns(&path)
    }

    /// The most bytes that the site reads from the body of such a request; 0 if it does not read the body.
    #[napi]
    pub fn form_limit(&self, method: String, path: String) -> u32 {
        let reads = Method::from_bytes(method.as_bytes())
            .is_ok_and(|method| self.host.site().reads_form(&method, &path));
        let limit = u32::try_from(MAX_FORM).unwrap_or(u32::MAX);
        if reads { limit } else { 0 }
    }

    /// Handles a request: synchronously, if that needs neither the application nor a server nor a store. If a user is signed in,
    /// and there is nothing else to return, returns only the session.
    #[napi(ts_return_type = "string | NativeVisited | Promise<string | NativeVisited>")]
    pub fn visit<'env>(
        &self,
        env: &'env Env,
        visit_request: NativeWebRequest,
    ) -> Result<Either<CompactVisited, Object<'env>>> {
        let has_grant_ended = visit_request.access == "over";
        let access = match visit_request.access.as_str() {
            "open" | "over" => Access::Open,
            "silent" => Access::Silent,
            "signed_in" => Access::SignedIn,
            _ => return Err(invalid("access must be open, silent or signed_in")),
        };
        let id = visit_request.id;
        let need = visit_request.need.map(page_requirements).transpose()?;
        let request = Request {
            method: Method::from_bytes(visit_request.method.as_bytes())
                .map_err(|_| invalid("method is not a valid HTTP method"))?,
            host: visit_request.host,
            target: visit_request.target,
            headers: fields(&visit_request.headers),
            form: visit_request.form.map(|form| Bytes::from(form.to_vec())),
        };
        let (site, seen) = (self.host.site(), request.clone());
        let visit = match need {
            _ if has_grant_ended => site.tokens_over(request),
            Some(need) => site.challenge(request, need),
            None => site.visit(request, access),
        };
        let notes: Arc<Mutex<Vec<LogEntry>>> = Arc::default();
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let host = self.host(id, Arc::clone(&notes), Arc::clone(&failure));
        let host = host.clock(clock(visit_request.at));
        at_once_or_promise(env, async move {
            let outcome = host.drive(visit).await?;
            // Without a decision of the application, this is an error rather than a refusal.
            if let Some(error) = take(&failure) {
                return Err(error);
            }
            Ok(compact(native_visit(&host, seen, outcome, take(&notes))))
        })
    }

    /// Waits until the client of a provider is known; asks the application for it if necessary.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn connect<'env>(&self, env: &'env Env, provider: String, at: f64) -> Result<Object<'env>> {
        let host = self.host.clone().clock(clock(at));
        promise(env, async move {
            host.drive(host.site().connect(&provider)).await?;
            Ok(())
        })
    }

    /// Signs a user in for a test: the response sets the cookies.
    #[napi(ts_return_type = "Promise<NativeVisited>")]
    pub fn testing<'env>(
        &self,
        env: &'env Env,
        identity: String,
        id: String,
    ) -> Result<Object<'env>> {
        let identity: Identity = serde_json::from_str(&identity)
            .map_err(|_| invalid("the identity to sign in is malformed"))?;
        let visit = self.host.site().testing(identity);
        let host = self.host(id, Arc::default(), Arc::default());
        promise(env, async move {
            match host.drive(visit).await? {
                Outcome::Respond(reply) => Ok(visited_of(reply)),
                Outcome::Pass(_) | Outcome::Forward(_) => Err(Misuse::OutOfOrder.into()),
            }
        })
    }
}

impl NativeSite {
    /// The host of one visit, with its own log entries, and its own id for calls of the application.
    fn host(
        &self,
        id: String,
        notes: Arc<Mutex<Vec<LogEntry>>>,
        failure: Arc<Mutex<Option<Error>>>,
    ) -> Host {
        let host = self.host.clone().log(move |note| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.push(note);
        });
        let Some(application) = self.admit.clone() else {
            return host;
        };
        let failed = move |error: Error| {
            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = Some(error);
        };
        let (finder, finder_id, finder_failed) =
            (Arc::clone(&application), id.clone(), failed.clone());
        host.admit(move |identity| {
            let (admit, id, failed) = (Arc::clone(&application), id.clone(), failed.clone());
            async move {
                admission(&admit, id, &identity)
                    .await
                    .unwrap_or_else(|error| {
                        failed(error);
                        Admission::Refused(String::new())
                    })
            }
        })
        .providers(move |query| {
            let (find, id, failed) = (
                Arc::clone(&finder),
                finder_id.clone(),
                finder_failed.clone(),
            );
            async move {
                found(&find, id, &query)
                    .await
                    .inspect_err(|error| failed(error.clone()))
            }
        })
    }
}

/// A clock that continues from JavaScript's time.
fn clock(at: f64) -> impl Fn() -> std::result::Result<Moment, Error> + Send + Sync + 'static {
    let (at, since) = (millis(at), Instant::now());
    move || {
        let now = UnixTime::from_secs(0).after(at.saturating_add(since.elapsed()));
        Ok(Moment::system()?.at_time(now))
    }
}

/// The client of a provider, from the application's `client` function.
pub(crate) async fn client(
    application: &JsImplementation,
    provider: &str,
) -> std::result::Result<Client, Error> {
    let answer = application
        .ask(crate::js_callbacks::ask("client", provider))
        .await?;
    let client = answer.provider.and_then(|provider| provider.client);
    client.ok_or_else(|| {
        Error::from(Misuse::ApplicationFunction).about("client must return a Client")
    })
}

fn take<T: Default>(shared: &Mutex<T>) -> T {
    std::mem::take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Calls the application's `provider` function.
async fn found(
    find: &JsImplementation,
    id: String,
    query: &ProviderQuery,
) -> std::result::Result<Option<Provider>, Error> {
    let query = serde_json::json!({
        "id": query.id, "issuer": query.issuer, "tenant": query.tenant, "host": query.host, "path": query.path,
    });
    let answer = find.ask(NativeAsk {
        verb: "provider",
        key: id,
        record: Some(query.to_string()),
        ..NativeAsk::default()
    });
    Ok(answer.await?.provider)
}

/// Calls the application's `admit` function.
async fn admission(
    admit: &JsImplementation,
    id: String,
    identity: &Identity,
) -> std::result::Result<Admission, Error> {
    let answer = admit
        .ask(NativeAsk {
            verb: "admit",
            key: id,
            record: Some(json(identity)?),
            ..NativeAsk::default()
        })
        .await?
        .said;
    if let Some(reason) = answer.refused {
        return Ok(Admission::Refused(reason));
    }
    let Some(local) = answer.record else {
        return Ok(Admission::default());
    };
    let local = serde_json::from_str(&local).map_err(|error| {
        Error::from(Misuse::ApplicationFunction)
            .about("admit must return an object, nothing, or a Refuse")
            .caused_by(Cause::unsent(error))
    })?;
    Ok(Admission::Admitted(local))
}

fn json(value: &impl serde::Serialize) -> std::result::Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::from(Misuse::Setup).caused_by(Cause::unsent(error)))
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

/// Parses header fields. Malformed ones are dropped: no browser sends them, and Node.js would not have accepted them.
fn fields(text: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    let mut lines = text.split('\n');
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), field(value)) {
            map.append(name, value);
        }
    }
    map
}

/// Encodes a field value: Node.js decodes its bytes as Latin-1.
fn field(value: &str) -> Option<HeaderValue> {
    if value.is_ascii() {
        return HeaderValue::from_str(value).ok();
    }
    let bytes: Option<Vec<u8>> = value.chars().map(|byte| u8::try_from(byte).ok()).collect();
    let bytes = bytes.unwrap_or_else(|| value.as_bytes().to_vec());
    HeaderValue::from_bytes(&bytes).ok()
}

/// The outcome of a visit: only the session, as JSON, if a user is signed in and there are neither tokens nor log entries.
type CompactVisited = Either<String, NativeVisited>;

fn compact(visited: NativeVisited) -> CompactVisited {
    match visited {
        NativeVisited {
            session: Some(session),
            grant: None,
            held: None,
            notes,
            ..
        } if notes.is_empty() => Either::A(session),
        visited => Either::B(visited),
    }
}

fn native_visit(
    host: &Host,
    request: Request,
    outcome: Outcome,
    notes: Vec<LogEntry>,
) -> NativeVisited {
    let notes = notes
        .into_iter()
        .map(|note| (note.code.to_owned(), note.detail, note.is_site_fault));
    let ended = match outcome {
        Outcome::Respond(reply) => visited_of(reply),
        Outcome::Forward(forward) => NativeVisited {
            forward: Some(NativeForward::new(host.clone(), request, *forward)),
            ..NativeVisited::default()
        },
        Outcome::Pass(session) => session
            .map(|session| passed(host, session))
            .unwrap_or_default(),
    };
    NativeVisited {
        notes: notes.collect(),
        ..ended
    }
}

impl NativeVisited {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = headers.iter();
        Self {
            status: Some(status.as_u16().into()),
            headers: Some(
                headers
                    .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                    .collect(),
            ),
            ..Self::default()
        }
    }
}

pub(crate) fn visited_of(reply: Reply) -> NativeVisited {
    NativeVisited {
        signed_out: reply
            .signed_out
            .map(|identity| serde_json::json!(identity).to_string()),
        problem: reply.problem.map(|problem| {
            serde_json::json!({
                "code": problem.code,
                "title": problem.title,
                "detail": problem.detail,
                "signIn": problem.sign_in,
            })
            .to_string()
        }),
        body: Some(reply.body),
        ..NativeVisited::of(reply.status, &reply.headers)
    }
}

fn passed(host: &Host, session: Arc<Session>) -> NativeVisited {
    // The ID token is left out: it is meant for the provider only.
    let shown = serde_json::json!({
        "identity": session.identity,
        "local": session.local,
        "started_at": session.started_at,
        "until": session.until,
        "scope": session.scope,
        "tenant": session.tenant,
    });
    let grant = session.grant();
    let has_tokens = grant.is_some() || session.tokens().is_some();
    NativeVisited {
        session: Some(shown.to_string()),
        grant: grant.and_then(|grant| grant.subject().map(str::to_owned)),
        held: has_tokens.then(|| NativeWebSession {
            host: host.clone(),
            session,
        }),
        ..NativeVisited::default()
    }
}

/// The text of the error for missing environment variables.
#[napi]
pub(crate) fn missing_variables_error(names: String) -> String {
    crate::error::text(&Error::from(Misuse::EnvironmentMissing).about(&names))
}

/// The text of the error for incomplete or contradictory settings.
#[napi]
pub(crate) fn web_setup_error(what: String) -> String {
    crate::error::text(&Error::from(Misuse::WebSetup).about(&what))
}
