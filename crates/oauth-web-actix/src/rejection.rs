//! The response that replaces a page's own response if the user has to sign in.

use std::fmt;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use oauth_core::error::{Advice, Error};
use oauth_web::Access;
use oauth_web_tower::{Host, Outcome};

use crate::convert::{plain, response, to_site_request};

/// Marks the response of a page that the site's answer replaces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SignInReason {
    /// The page requires someone to be signed in, and no one is. A page may also be for everyone (`Option<User>`), so
    /// no one is sent to sign in before this is known.
    NotSignedIn,
    /// A call has found that the user's grant has ended.
    GrantEnded,
}

impl SignInReason {
    pub(crate) fn response(self) -> HttpResponse {
        let mut response = plain(StatusCode::UNAUTHORIZED);
        response.extensions_mut().insert(self);
        response
    }

    /// The site's answer in place of this page.
    pub(crate) async fn instead<B>(
        self,
        host: &Host,
        page: ServiceResponse<B>,
    ) -> ServiceResponse<EitherBody<B, BoxBody>> {
        let request = page.request().clone();
        let reply = match self {
            Self::GrantEnded => host.tokens_over(to_site_request(&request)).await.ok(),
            Self::NotSignedIn => {
                let visit = host
                    .site()
                    .visit(to_site_request(&request), Access::SignedIn);
                match host.drive(visit).await {
                    Ok(Outcome::Respond(reply)) => Some(reply),
                    Ok(Outcome::Pass(_) | Outcome::Forward(_)) | Err(_) => None,
                }
            }
        };
        let replacement = reply.map_or_else(|| plain(StatusCode::INTERNAL_SERVER_ERROR), response);
        ServiceResponse::new(request, replacement.map_into_right_body())
    }
}

/// The error of a handler that calls an API with a user's token: if the grant has ended (advice `reauthorize`), the
/// user is led to sign in again, and a script gets a 401; any other error is a 500.
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
pub struct Rejection(Box<Error>);

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        match self.0.advice() {
            Advice::Reauthorize => StatusCode::UNAUTHORIZED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self.0.advice() {
            Advice::Reauthorize => SignInReason::GrantEnded.response(),
            _ => plain(self.status_code()),
        }
    }
}
