//! Sign-in for web applications: each request is a visit.

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
    Access, Admission, Identity, LogEntry, MAX_FORM, Need, Provider, ProviderQuery, Reply, Request,
    Session,
};
use oauth_web_tower::{Host, Outcome};

use crate::error::invalid;
use crate::js_callbacks::{Foreign, NativeAsk};
use crate::runtime::{at_once_or_promise, millis, promise};
use crate::tokens::NativeTokens;
use crate::web_forward::{NativeForward, NativeStream};

/// A request, as the person's browser sent it.
#[napi(object, object_to_js = false)]
pub struct NativeWebRequest {
    /// The id of the visit, with which the `admit` function is called.
    pub id: String,
    /// The method.
    pub method: String,
    /// The `Host`.
    pub host: String,
    /// Path and query, as in the address bar.
    pub target: String,
    /// Names and values by turns, with line breaks between, a name as often as it came: one string crosses in a fraction of
    /// the time of a list of pairs.
    pub headers: String,
    /// The body, where the site reads it.
    pub form: Option<Uint8Array>,
    /// `open`, `silent` or `signed_in`.
    pub access: String,
    /// The page's other requirements.
    pub need: Option<NativeWebNeed>,
    /// The time, in milliseconds since 1970: one that a test has set is that of the visit.
    pub at: f64,
}

/// The requirements of a page for its visitor's login.
#[napi(object, object_to_js = false)]
pub struct NativeWebNeed {
    /// Ways to authenticate, best first.
    pub acr: Option<Vec<String>>,
    /// The greatest age of the login, in seconds.
    pub max_age: Option<f64>,
    /// The scopes that are needed.
    pub scope: Option<Vec<String>>,
    /// The tenant whose users are admitted.
    pub tenant: Option<String>,
}

/// How a visit ended.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeVisited {
    /// The status to send; absent where it is the application's turn.
    pub status: Option<u32>,
    /// Names and values to send.
    pub headers: Option<Vec<(String, String)>>,
    /// The body to send.
    pub body: Option<String>,
    /// The problem, as JSON.
    pub problem: Option<String>,
    /// The identity of the person who was signed out, as JSON.
    pub signed_out: Option<String>,
    /// The session of the person who is signed in, as JSON.
    pub session: Option<String>,
    /// The key of the grant whose tokens are in the store.
    pub grant: Option<String>,
    /// The session, where it has tokens.
    pub held: Option<NativeWebSession>,
    /// The body to send, in place of a string.
    pub stream: Option<NativeStream>,
    /// A call to be forwarded to an API.
    pub forward: Option<NativeForward>,
    /// For the log: codes and details.
    pub notes: Vec<(String, String)>,
}

/// A session that has tokens.
#[napi]
pub struct NativeWebSession {
    host: Host,
    session: Arc<Session>,
}

#[napi]
impl NativeWebSession {
    /// The access token that is in its cookie.
    #[napi(getter)]
    pub fn tokens(&self) -> Option<NativeTokens> {
        let tokens = self.session.tokens()?;
        Some(NativeTokens(Arc::clone(tokens)))
    }

    /// Ends it, wherever it is used, and its grant.
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
    admit: Option<Arc<Foreign>>,
}

impl NativeSite {
    pub(crate) fn new(host: Host, admit: Option<Arc<Foreign>>) -> Self {
        let Some(asked) = admit.clone() else {
            return Self { host, admit };
        };
        let host = host.connect(move |provider| {
            let asked = Arc::clone(&asked);
            async move { client(&asked, &provider).await }
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

    /// How many bytes of the body of such a request the site reads; 0 if it does not read it.
    #[napi]
    pub fn form_limit(&self, method: String, path: String) -> u32 {
        let reads = Method::from_bytes(method.as_bytes())
            .is_ok_and(|method| self.host.site().reads_form(&method, &path));
        let limit = u32::try_from(MAX_FORM).unwrap_or(u32::MAX);
        if reads { limit } else { 0 }
    }

    /// The result of a request: at once, if it needs neither the application nor a server nor a store. If a person is
    /// signed in, and there is nothing else to return, only the session.
    #[napi(ts_return_type = "string | NativeVisited | Promise<string | NativeVisited>")]
    pub fn visit<'env>(
        &self,
        env: &'env Env,
        given: NativeWebRequest,
    ) -> Result<Either<Told, Object<'env>>> {
        let is_over = given.access == "over";
        let access = match given.access.as_str() {
            "open" | "over" => Access::Open,
            "silent" => Access::Silent,
            "signed_in" => Access::SignedIn,
            _ => return Err(invalid("access is open, silent or signed_in")),
        };
        let (id, need) = (given.id, given.need.map(need).transpose()?);
        let request = Request {
            method: Method::from_bytes(given.method.as_bytes())
                .map_err(|_| invalid("method is no HTTP method"))?,
            host: given.host,
            target: given.target,
            headers: fields(&given.headers),
            form: given.form.map(|form| Bytes::from(form.to_vec())),
        };
        let (site, seen) = (self.host.site(), request.clone());
        let visit = match need {
            _ if is_over => site.tokens_over(request),
            Some(need) => site.challenge(request, need),
            None => site.visit(request, access),
        };
        let notes: Arc<Mutex<Vec<LogEntry>>> = Arc::default();
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let host = self.host(id, Arc::clone(&notes), Arc::clone(&failure));
        let host = host.clock(clock(given.at));
        at_once_or_promise(env, async move {
            let outcome = host.drive(visit).await?;
            // The application has not decided: that is no refusal.
            if let Some(error) = taken(&failure) {
                return Err(error);
            }
            Ok(told(native_visit(&host, seen, outcome, taken(&notes))))
        })
    }

    /// Waits until the client of a provider is known, and requests it from the application if necessary.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn connect<'env>(&self, env: &'env Env, provider: String, at: f64) -> Result<Object<'env>> {
        let host = self.host.clone().clock(clock(at));
        promise(env, async move {
            host.drive(host.site().connect(&provider)).await?;
            Ok(())
        })
    }

    /// Signs a person in for a test: the response sets the cookies.
    #[napi(ts_return_type = "Promise<NativeVisited>")]
    pub fn testing<'env>(
        &self,
        env: &'env Env,
        identity: String,
        id: String,
    ) -> Result<Object<'env>> {
        let identity: Identity =
            serde_json::from_str(&identity).map_err(|_| invalid("an identity is somebody"))?;
        let visit = self.host.site().testing(identity);
        let host = self.host(id, Arc::default(), Arc::default());
        promise(env, async move {
            match host.drive(visit).await? {
                Outcome::Respond(reply) => Ok(answered(reply)),
                Outcome::Pass(_) | Outcome::Forward(_) => Err(Misuse::OutOfOrder.into()),
            }
        })
    }
}

impl NativeSite {
    /// The host of one visit, with its own log entries and its own id for calls of the application.
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
        let Some(asked) = self.admit.clone() else {
            return host;
        };
        let failed = move |error: Error| {
            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = Some(error);
        };
        let (finds, named, fails) = (Arc::clone(&asked), id.clone(), failed.clone());
        host.admit(move |identity| {
            let (admit, id, failed) = (Arc::clone(&asked), id.clone(), failed.clone());
            async move {
                self::asked(&admit, id, &identity)
                    .await
                    .unwrap_or_else(|error| {
                        failed(error);
                        Admission::Refused(String::new())
                    })
            }
        })
        .providers(move |ask| {
            let (find, id, failed) = (Arc::clone(&finds), named.clone(), fails.clone());
            async move {
                found(&find, id, &ask)
                    .await
                    .inspect_err(|error| failed(error.clone()))
            }
        })
    }
}

/// JavaScript's clock, from then on.
fn clock(at: f64) -> impl Fn() -> std::result::Result<Moment, Error> + Send + Sync + 'static {
    let (at, since) = (millis(at), Instant::now());
    move || {
        let now = UnixTime::from_secs(0).after(at.saturating_add(since.elapsed()));
        Ok(Moment::system()?.at_time(now))
    }
}

/// The client of a provider, of the function that the application has for it.
pub(crate) async fn client(ask: &Foreign, provider: &str) -> std::result::Result<Client, Error> {
    let given = ask
        .ask(crate::js_callbacks::ask("client", provider))
        .await?;
    let client = given.provider.and_then(|provider| provider.client);
    client.ok_or_else(|| Error::from(Misuse::Setup).about("client gives a Client"))
}

fn taken<T: Default>(shared: &Mutex<T>) -> T {
    std::mem::take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Calls the application's function that finds a provider.
async fn found(
    find: &Foreign,
    id: String,
    ask: &ProviderQuery,
) -> std::result::Result<Option<Provider>, Error> {
    let asked = serde_json::json!({
        "id": ask.id, "issuer": ask.issuer, "tenant": ask.tenant, "host": ask.host, "path": ask.path,
    });
    let said = find.ask(NativeAsk {
        verb: "provider",
        key: id,
        record: Some(asked.to_string()),
        ..NativeAsk::default()
    });
    Ok(said.await?.provider)
}

/// Calls the application's function that admits a person.
async fn asked(
    admit: &Foreign,
    id: String,
    identity: &Identity,
) -> std::result::Result<Admission, Error> {
    let said = admit
        .ask(NativeAsk {
            verb: "admit",
            key: id,
            record: Some(json(identity)?),
            ..NativeAsk::default()
        })
        .await?
        .said;
    if let Some(why) = said.refused {
        return Ok(Admission::Refused(why));
    }
    let Some(local) = said.record else {
        return Ok(Admission::default());
    };
    let local = serde_json::from_str(&local).map_err(|why| {
        Error::from(Misuse::Setup)
            .about("admit gives an object, nothing, or a Refuse")
            .caused_by(Cause::unsent(why))
    })?;
    Ok(Admission::Admitted(local))
}

fn json(value: &impl serde::Serialize) -> std::result::Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|why| Error::from(Misuse::Setup).caused_by(Cause::unsent(why)))
}

fn need(given: NativeWebNeed) -> Result<Need> {
    let mut need = Need::acr(given.acr.unwrap_or_default());
    need.scope = given.scope.unwrap_or_default();
    need.tenant = given.tenant;
    need.max_age = match given.max_age {
        None => None,
        Some(age) if age.is_finite() && age >= 0.0 => Some(age as u64),
        Some(_) => return Err(invalid("maxAge is a number of seconds")),
    };
    Ok(need)
}

/// Fields that are none are left out: no browser sends them, and Node would not have read them.
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

/// Node reads bytes as the characters of Latin-1.
fn field(value: &str) -> Option<HeaderValue> {
    if value.is_ascii() {
        return HeaderValue::from_str(value).ok();
    }
    let bytes: Option<Vec<u8>> = value.chars().map(|byte| u8::try_from(byte).ok()).collect();
    let bytes = bytes.unwrap_or_else(|| value.as_bytes().to_vec());
    HeaderValue::from_bytes(&bytes).ok()
}

/// The result of a visit: only the session, as JSON, if a person is signed in and there are neither tokens nor log
/// entries.
type Told = Either<String, NativeVisited>;

fn told(visited: NativeVisited) -> Told {
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
        .map(|note| (note.code.to_owned(), note.detail));
    let ended = match outcome {
        Outcome::Respond(reply) => answered(reply),
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

pub(crate) fn answered(reply: Reply) -> NativeVisited {
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
    // An identity token of the session's is for the provider alone.
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

/// The error of environment variables that are not set.
#[napi]
pub(crate) fn missing_variables_error(names: String) -> String {
    crate::error::text(&Error::from(Misuse::EnvironmentMissing).about(&names))
}

/// The error of settings that lack something, or contradict themselves.
#[napi]
pub(crate) fn web_setup_error(what: String) -> String {
    crate::error::text(&Error::from(Misuse::WebSetup).about(&what))
}
