//! The response that axum sends in place of a handler's.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use oauth_core::error::{Advice, Error};
use oauth_web::Reply;

use crate::convert::{plain, response};
use crate::visited::GrantEnded;

/// The response that is sent instead of calling the handler, or instead of its own: the error of a handler that calls
/// an API with a user's token. If the grant has ended (advice `reauthorize`), the user is sent to sign in again, and a
/// script gets a 401; any other error is a 500.
///
/// ```
/// use oauth_session::TokenSource as _;
/// use oauth_web_tower::{Rejection, User};
///
/// async fn orders(user: User) -> Result<String, Rejection> {
///     let tokens = user.source().await?.token(None).await?;
///     Ok(format!("what {} allows", tokens.scope.as_str()))
/// }
/// ```
#[derive(Debug)]
pub enum Rejection {
    /// The site's answer.
    Reply(Box<Reply>),
    /// There is no [`SignIn`](crate::SignIn) layer around the route, or no clock.
    Setup,
    /// A call with the user's token has failed.
    Call(Box<Error>),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Call(Box::new(error))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let failed = || plain(StatusCode::INTERNAL_SERVER_ERROR).map(Body::new);
        match self {
            Self::Reply(reply) => response(*reply).map(Body::new),
            Self::Call(error) if error.advice() == Advice::Reauthorize => {
                let mut response = plain(StatusCode::UNAUTHORIZED).map(Body::new);
                response.extensions_mut().insert(GrantEnded);
                response
            }
            Self::Setup | Self::Call(_) => failed(),
        }
    }
}
