//! The layer: requests in, responses of the site or of the application out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use oauth_web::{Access, Forward, MAX_FORM};
use tower_layer::Layer;
use tower_service::Service;

use crate::convert::{GuardedBody, boxed, plain, read, response, to_site_request};
use crate::host::Host;
use crate::tokens::{Forwarded, MAX_FORWARDED};
use crate::visit_driver::Outcome;
use crate::visited::{GrantEnded, RequestSession};

/// Signs people in before their requests reach the application.
#[derive(Debug, Clone)]
pub struct SignIn {
    host: Host,
    access: Access,
}

/// An application wrapped in [`SignIn`].
#[derive(Debug, Clone)]
pub struct SignInService<S> {
    inner: S,
    sign_in: SignIn,
}

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
    type Service = SignInService<S>;

    fn layer(&self, inner: S) -> SignInService<S> {
        let sign_in = self.clone();
        SignInService { inner, sign_in }
    }
}

impl<S, B, R> Service<http::Request<B>> for SignInService<S>
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
            let mut request = to_site_request(&parts, &parts.uri);
            let mut body = Some(body);
            if host.site().reads_form(&parts.method, parts.uri.path())
                && let Some(form) = body.take()
            {
                match read(form, MAX_FORM).await {
                    Some(form) => request.form = Some(form),
                    None => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE)),
                }
            }
            let uri = parts.uri.clone();
            let outcome = host.drive(host.site().visit(request, access)).await;
            Ok(match (outcome, body) {
                (Ok(Outcome::Respond(reply)), _) => response(reply),
                (Ok(Outcome::Forward(forward)), Some(body)) => {
                    match read(body, MAX_FORWARDED).await {
                        Some(body) => {
                            let request = to_site_request(&parts, &parts.uri);
                            forwarded(&host, *forward, body, request).await
                        }
                        None => plain(StatusCode::PAYLOAD_TOO_LARGE),
                    }
                }
                (Ok(Outcome::Pass(session)), Some(body)) => {
                    let has_tokens = session.as_ref().is_some_and(|session| session.has_tokens());
                    let retry_context =
                        has_tokens.then(|| (host.clone(), to_site_request(&parts, &uri)));
                    parts
                        .extensions
                        .insert(RequestSession { session, host, uri });
                    let request = http::Request::from_parts(parts, body);
                    let page = inner.call(request).await?;
                    match (page.extensions().get::<GrantEnded>(), retry_context) {
                        (Some(GrantEnded), Some((host, request))) => over(&host, request).await,
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
