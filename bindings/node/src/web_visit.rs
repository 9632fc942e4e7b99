//! Sign-in for web applications: a site handles each HTTP request as one visit.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use napi::Result;
use napi::bindgen_prelude::{Either, Env, Function, Object};
use napi_derive::napi;
use oauth_core::Client;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_web::{
    Admission, Identity, LogEntry, MAX_FORM, Provider, ProviderQuery, Reply, Request, Session,
};
use oauth_web_tower::{Host, Outcome};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{fail, invalid};
use crate::js_callbacks::{JsImplementation, NativeAsk};
use crate::runtime::{at_once_or_promise, promise};
use crate::tokens::NativeTokens;
use crate::web_begun::{Begun, begin, clock};
use crate::web_forward::{NativeForward, NativeStream};

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
    /// The visit to proceed with.
    begun: Arc<Mutex<Option<Begun>>>,
}

impl NativeSite {
    pub(crate) fn new(host: Host, admit: Option<Arc<JsImplementation>>) -> Self {
        let begun = Arc::default();
        let Some(application) = admit.clone() else {
            return Self { host, admit, begun };
        };
        let host = host.connect(move |provider| {
            let application = Arc::clone(&application);
            async move { client(&application, &provider).await }
        });
        Self { host, admit, begun }
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

    /// The function that begins the visit of a request. It returns the session if a user is signed in and there is nothing
    /// else to do or to return, as for most requests; otherwise null, and [`proceed`](Self::proceed) must be called next.
    /// A plain function, because calling one takes half as long as calling a method.
    ///
    /// Its arguments are the time in milliseconds since 1970; the head of the request, see `web_begun.rs`; the body, if the site
    /// reads it; and the page's other requirements.
    #[napi(
        ts_return_type = "(at: number, head: string, form?: Uint8Array, need?: NativeWebNeed) => string | null"
    )]
    pub fn beginner<'env>(&self, env: &'env Env) -> Result<Function<'env, (), Option<String>>> {
        let (site, begun) = (self.host.site().clone(), Arc::clone(&self.begun));
        env.create_function_from_closure("begin", move |arguments| {
            let (at, form, need) = (arguments.get(0)?, arguments.get(2)?, arguments.get(3)?);
            let visit = begin(&site, arguments.get(1)?, form, need, at)?;
            if let Some(session) = visit.session() {
                return visible_session_json(session).map(Some).map_err(fail);
            }
            *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit);
            Ok(None)
        })
    }

    /// Continues the visit that has just begun: synchronously, if that needs neither the application nor a server nor a
    /// store. The application's functions are called with `id`.
    #[napi(ts_return_type = "NativeVisited | Promise<NativeVisited>")]
    pub fn proceed<'env>(
        &self,
        env: &'env Env,
        id: String,
    ) -> Result<Either<NativeVisited, Object<'env>>> {
        let begun = take(&self.begun).ok_or_else(|| fail(Misuse::OutOfOrder.into()))?;
        let notes = Arc::new(Mutex::new(begun.notes));
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let host = self.host(id, Arc::clone(&notes), Arc::clone(&failure));
        let host = host.clock(clock(begun.at));
        at_once_or_promise(env, async move {
            let outcome = host.drive_from(begun.visit, begun.step?).await?;
            // Without a decision of the application, this is an error rather than a refusal.
            if let Some(error) = take(&failure) {
                return Err(error);
            }
            native_visit(&host, begun.own, outcome, take(&notes))
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
    /// The host of one visit, with its own log entries, and its own id for calls to the application.
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
                call_admit(&admit, id, &identity)
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
                call_provider(&find, id, &query)
                    .await
                    .inspect_err(|error| failed(error.clone()))
            }
        })
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
async fn call_provider(
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
async fn call_admit(
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

fn native_visit(
    host: &Host,
    request: Option<Request>,
    outcome: Outcome,
    notes: Vec<LogEntry>,
) -> std::result::Result<NativeVisited, Error> {
    let notes = notes
        .into_iter()
        .map(|note| (note.code.to_owned(), note.detail, note.is_site_fault));
    let ended = match outcome {
        Outcome::Respond(reply) => visited_of(reply),
        Outcome::Forward(forward) => NativeVisited {
            forward: Some(NativeForward::new(
                host.clone(),
                request.ok_or(Misuse::OutOfOrder)?,
                *forward,
            )),
            ..NativeVisited::default()
        },
        Outcome::Pass(Some(session)) => visited_with_session(host, session)?,
        Outcome::Pass(None) => NativeVisited::default(),
    };
    Ok(NativeVisited {
        notes: notes.collect(),
        ..ended
    })
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

/// The part of a session that the application may see: without the ID token, which is meant for the provider only.
#[derive(Serialize)]
struct VisibleSession<'a> {
    identity: &'a Identity,
    local: &'a Map<String, Value>,
    started_at: UnixTime,
    until: UnixTime,
    scope: &'a str,
    tenant: Option<&'a str>,
}

fn visible_session_json(session: &Session) -> std::result::Result<String, Error> {
    json(&VisibleSession {
        identity: &session.identity,
        local: &session.local,
        started_at: session.started_at,
        until: session.until,
        scope: &session.scope,
        tenant: session.tenant.as_deref(),
    })
}

fn visited_with_session(
    host: &Host,
    session: Arc<Session>,
) -> std::result::Result<NativeVisited, Error> {
    let grant = session.grant();
    Ok(NativeVisited {
        session: Some(visible_session_json(&session)?),
        grant: grant.and_then(|grant| grant.subject().map(str::to_owned)),
        held: session.has_tokens().then(|| NativeWebSession {
            host: host.clone(),
            session,
        }),
        ..NativeVisited::default()
    })
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
