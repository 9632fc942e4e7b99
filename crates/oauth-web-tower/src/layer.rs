//! The layer: requests in, responses of the site or of the application out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{Response, StatusCode, Uri, request};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use oauth_core::error::Error;
use oauth_web::{Access, Forward, MAX_FORM, Need, Reply, Session};
use tower_layer::Layer;
use tower_service::Service;

use crate::host::Host;
use crate::tokens::{Forwarded, MAX_FORWARDED};
use crate::visit_driver::Outcome;

/// Signs people in before their requests reach the application.
#[derive(Debug, Clone)]
pub struct SignIn {
    host: Host,
    access: Access,
}

/// An application wrapped in [`SignIn`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    sign_in: SignIn,
}

/// The session of a request that was passed on, in its extensions, and what is needed to require more.
#[derive(Debug, Clone)]
pub struct Visited {
    /// The session, if someone is signed in.
    pub session: Option<Arc<Session>>,
    pub(crate) host: Host,
    /// The URI as received, because routers remove the part that they have matched.
    uri: Uri,
}

/// Marks a response of the application, in its extensions: a call has found that the person's grant has ended (advice
/// `reauthorize`), so the layer sends the person to sign in, and a script gets a 401. [`Rejection`](crate::Rejection)
/// sets it for handlers of axum.
#[derive(Debug, Clone, Copy)]
pub struct SignInAgain;

impl SignIn {
    /// Makes every page available to everyone; a handler that requires someone to be signed in takes a `User`.
    pub const fn new(host: Host) -> Self {
        let access = Access::Open;
        Self { host, access }
    }

    /// Sets the access to every page.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

impl<S> Layer<S> for SignIn {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        let sign_in = self.clone();
        Guarded { inner, sign_in }
    }
}

/// The body of a response: the application's, an API's, or the site's own.
pub type GuardedBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl<S, B, R> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<GuardedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The service that is ready is used, and its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let SignIn { host, access } = self.sign_in.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let mut seen = seen(&parts, &parts.uri);
            let mut body = Some(body);
            if host.site().reads_form(&parts.method, parts.uri.path())
                && let Some(form) = body.take()
            {
                match read(form, MAX_FORM).await {
                    Some(form) => seen.form = Some(form),
                    None => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE)),
                }
            }
            let uri = parts.uri.clone();
            let outcome = host.drive(host.site().visit(seen, access)).await;
            Ok(match (outcome, body) {
                (Ok(Outcome::Respond(reply)), _) => response(reply),
                (Ok(Outcome::Forward(forward)), Some(body)) => {
                    match read(body, MAX_FORWARDED).await {
                        Some(body) => {
                            let seen = self::seen(&parts, &parts.uri);
                            forwarded(&host, *forward, body, seen).await
                        }
                        None => plain(StatusCode::PAYLOAD_TOO_LARGE),
                    }
                }
                (Ok(Outcome::Pass(session)), Some(body)) => {
                    let has_tokens = session.as_ref().is_some_and(|session| session.has_tokens());
                    let again = has_tokens.then(|| (host.clone(), self::seen(&parts, &uri)));
                    parts.extensions.insert(Visited { session, host, uri });
                    let request = http::Request::from_parts(parts, body);
                    let page = inner.call(request).await?;
                    match (page.extensions().get::<SignInAgain>(), again) {
                        (Some(SignInAgain), Some((host, request))) => over(&host, request).await,
                        _ => page.map(boxed),
                    }
                }
                (Ok(Outcome::Forward(_) | Outcome::Pass(_)) | Err(_), None) | (Err(_), _) => {
                    plain(StatusCode::INTERNAL_SERVER_ERROR)
                }
            })
        })
    }
}

/// The response of the API.
async fn forwarded(
    host: &Host,
    forward: Forward,
    body: Bytes,
    request: oauth_web::Request,
) -> Response<GuardedBody> {
    match host.forward(request, forward, body).await {
        Ok(Forwarded::Response(response)) => response.map(boxed),
        Ok(Forwarded::Reply(reply)) => response(reply),
        Err(_) => plain(StatusCode::BAD_GATEWAY),
    }
}

/// The response once the grant of a session has ended.
async fn over(host: &Host, request: oauth_web::Request) -> Response<GuardedBody> {
    match host.tokens_over(request).await {
        Ok(reply) => response(reply),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Reads a body of at most this many bytes.
async fn read<B>(body: B, most: usize) -> Option<Bytes>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = Limited::new(body, most).collect().await;
    read.ok().map(Collected::to_bytes)
}

fn boxed<R>(body: R) -> GuardedBody
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}

impl Visited {
    /// The user, if signed in and the requirements are met; otherwise the response to send.
    ///
    /// # Errors
    /// Those of [`Host::drive`].
    pub async fn require(
        &self,
        parts: &request::Parts,
        need: Option<Need>,
    ) -> Result<Outcome, Error> {
        let (site, seen) = (self.host.site(), seen(parts, &self.uri));
        let visit = match need {
            Some(need) => site.challenge(seen, need),
            None => site.visit(seen, Access::SignedIn),
        };
        self.host.drive(visit).await
    }
}

fn seen(parts: &request::Parts, uri: &Uri) -> oauth_web::Request {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    oauth_web::Request {
        method: parts.method.clone(),
        host: host.unwrap_or_default().to_owned(),
        target: target.to_owned(),
        headers: parts.headers.clone(),
        form: None,
    }
}

/// A reply as a response.
pub(crate) fn response(reply: Reply) -> Response<GuardedBody> {
    let mut response = Response::new(boxed(Full::from(reply.body)));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

pub(crate) fn plain(status: StatusCode) -> Response<GuardedBody> {
    let mut response = Response::new(boxed(Full::from(String::new())));
    *response.status_mut() = status;
    response
}
