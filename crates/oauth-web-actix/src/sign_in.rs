//! The middleware: requests in, responses of the site or of the application out.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use oauth_web::{Access, Forward, MAX_FORM};
use oauth_web_tower::{Forwarded, Host, MAX_FORWARDED, Outcome};

use crate::convert::{plain, read, response, streamed, to_site_request};
use crate::rejection::SignInReason;
use crate::user::RequestSession;

/// Signs people in before their requests reach the application.
#[derive(Debug, Clone)]
pub struct SignIn {
    host: Host,
    access: Access,
}

/// An application wrapped in [`SignIn`].
#[derive(Debug)]
pub struct SignInMiddleware<S> {
    inner: Rc<S>,
    sign_in: SignIn,
}

impl SignIn {
    /// Makes every page available to everyone; a handler that requires someone to be signed in takes a
    /// [`User`](crate::User).
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

    /// The response in place of the application's, if the request is not passed on.
    async fn visit(&self, request: &mut ServiceRequest) -> Result<Option<HttpResponse>, Error> {
        let mut site_request = to_site_request(request.request());
        let takes_form = self
            .host
            .site()
            .reads_form(&site_request.method, request.path());
        if takes_form {
            match read(request.extract::<web::Payload>().await?, MAX_FORM).await {
                Ok(form) => site_request.form = Some(form),
                Err(refused) => return Ok(Some(refused)),
            }
        }
        let visit = self.host.site().visit(site_request, self.access);
        Ok(match self.host.drive(visit).await {
            Ok(Outcome::Respond(reply)) => Some(response(reply)),
            Ok(Outcome::Pass(session)) if !takes_form => {
                let host = self.host.clone();
                request
                    .extensions_mut()
                    .insert(RequestSession { session, host });
                None
            }
            Ok(Outcome::Forward(forward)) if !takes_form => {
                let body = request.extract::<web::Payload>().await?;
                Some(match read(body, MAX_FORWARDED).await {
                    Ok(body) => self.forwarded(*forward, body, request.request()).await,
                    Err(refused) => refused,
                })
            }
            Ok(Outcome::Pass(_) | Outcome::Forward(_)) | Err(_) => {
                Some(plain(StatusCode::INTERNAL_SERVER_ERROR))
            }
        })
    }

    /// The response of the API.
    async fn forwarded(
        &self,
        forward: Forward,
        body: bytes::Bytes,
        request: &HttpRequest,
    ) -> HttpResponse {
        match self
            .host
            .forward(to_site_request(request), forward, body)
            .await
        {
            Ok(Forwarded::Response(reply)) => streamed(reply),
            Ok(Forwarded::Reply(reply)) => response(reply),
            Err(_) => plain(StatusCode::BAD_GATEWAY),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for SignIn
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type InitError = ();
    type Transform = SignInMiddleware<S>;
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(SignInMiddleware {
            inner: Rc::new(service),
            sign_in: self.clone(),
        }))
    }
}

impl<S, B> Service<ServiceRequest> for SignInMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let (inner, sign_in) = (Rc::clone(&self.inner), self.sign_in.clone());
        Box::pin(async move {
            Ok(match sign_in.visit(&mut request).await? {
                Some(response) => request.into_response(response).map_into_right_body(),
                None => {
                    let page = inner.call(request).await?;
                    let reason = page.response().extensions().get::<SignInReason>().copied();
                    match reason {
                        Some(reason) => reason.instead(&sign_in.host, page).await,
                        None => page.map_into_left_body(),
                    }
                }
            })
        })
    }
}
