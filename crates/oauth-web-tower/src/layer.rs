//! The layer: requests in, responses of the site or of the application out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use oauth_web::Access;
use tower_layer::Layer;
use tower_service::Service;

use crate::convert::{GrantEnded, GuardedBody, boxed, read, site_request};
use crate::host::Host;
use crate::rejection::Rejection;
use crate::serve::Served;

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
            let mut body = Some(body);
            let read = |most| read(body.take(), most);
            let visited = match host.serve(site_request(&parts), access, read).await {
                Served::Answer(answer) => return Ok(answer.map(boxed)),
                Served::Pass(visited) => visited,
            };
            let Some(body) = body else {
                let failed = Rejection::Setup.answer();
                return Ok(failed.map(boxed));
            };
            let has_tokens = visited.session.as_ref().is_some_and(|it| it.has_tokens());
            let again = has_tokens.then(|| (visited.clone(), site_request(&parts)));
            parts.extensions.insert(visited);
            let page = inner.call(http::Request::from_parts(parts, body)).await?;
            Ok(match (page.extensions().get::<GrantEnded>(), again) {
                (Some(GrantEnded), Some((visited, request))) => {
                    visited.sign_in_again(request).await.map(boxed)
                }
                _ => page.map(boxed),
            })
        })
    }
}
