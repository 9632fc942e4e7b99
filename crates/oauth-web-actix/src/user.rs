//! The extractor: a handler that takes a [`User`] requires someone to be signed in.

use std::fmt;
use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use oauth_core::Error;
use oauth_web::PageRequirements;
use oauth_web_tower::{Rejection as Reason, RequestSession};

use crate::convert::{response, site_request};

/// The user who is signed in. A handler that takes a `User` is only called if there is one: people are sent to sign in,
/// and scripts get an error. `Option<User>` is for pages that everyone may see.
#[derive(Debug, Clone)]
pub struct User(oauth_web_tower::User);

impl User {
    /// The user who is signed in and meets this requirement (RFC 9470), such as a second factor.
    ///
    /// # Errors
    /// The response to send instead; 500 without [`sign_in`](crate::sign_in()) around the application.
    pub async fn having(request: &HttpRequest, need: PageRequirements) -> Result<Self, Rejection> {
        let visited = visited(request)?;
        let user = visited.required(site_request(request), Some(need)).await;
        user.map(Self).map_err(Rejection)
    }
}

impl Deref for User {
    type Target = oauth_web_tower::User;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for User {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // The page may be for everyone (`Option<User>`): no one is sent to sign in before that is known.
        let signed_out = Rejection(Reason::SignedOut);
        let user = visited(request).map(|visited| visited.user().map(Self));
        ready(user.and_then(|user| user.ok_or(signed_out)))
    }
}

fn visited(request: &HttpRequest) -> Result<RequestSession, Rejection> {
    let visited = request.extensions().get().cloned();
    visited.ok_or(Rejection(Reason::Setup))
}

/// The response that is sent instead of calling the handler, or instead of its own: the error of a handler that calls an
/// API with a user's token. If the grant has ended (advice `reauthorize`), the user is led to sign in again, and a script
/// gets a 401; any other error is a 500.
///
/// ```
/// use oauth_session::TokenSource as _;
/// use oauth_web_actix::{Rejection, User};
///
/// async fn orders(user: User) -> Result<String, Rejection> {
///     let tokens = user.source().await?.token(None).await?;
///     Ok(format!("what {} allows", tokens.scope.as_str()))
/// }
/// ```
#[derive(Debug)]
pub struct Rejection(pub(crate) Reason);

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = response(self.0.answer());
        response.extensions_mut().insert(self.0.replacement());
        response
    }
}
