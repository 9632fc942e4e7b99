//! Why a handler does not answer a request.

use std::fmt;

use http::StatusCode;
use oauth_core::error::{Advice, Error};
use oauth_web::Reply;

use crate::answer::{Answer, answer, empty};

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
    /// No one is signed in. Used by adapters whose extractor cannot tell whether the page is public.
    SignedOut,
    /// The application is not wrapped in the layer or middleware that signs users in, or there is no clock.
    Setup,
    /// A call with the user's token has failed.
    Call(Box<Error>),
}

/// What takes the place of a page of the application, once an adapter has its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageReplacement {
    /// No one is signed in: the way to the provider, or a 401 for a script.
    SignIn,
    /// The user's grant has ended, and with it the session: the same.
    SignInAgain,
}

impl Rejection {
    /// What takes the place of the page that was rejected, for adapters; `None` if its response remains.
    pub fn replacement(&self) -> Option<PageReplacement> {
        match self {
            Self::SignedOut => Some(PageReplacement::SignIn),
            _ => self
                .is_grant_ended()
                .then_some(PageReplacement::SignInAgain),
        }
    }

    /// Whether a call has found that the user's grant has ended.
    pub fn is_grant_ended(&self) -> bool {
        matches!(self, Self::Call(error) if error.advice() == Advice::Reauthorize)
    }

    /// The response, unless its [`replacement`](Self::replacement) is sent.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Reply(reply) => answer((**reply).clone()),
            Self::SignedOut => empty(StatusCode::UNAUTHORIZED),
            Self::Call(_) if self.is_grant_ended() => empty(StatusCode::UNAUTHORIZED),
            Self::Setup | Self::Call(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(_) | Self::SignedOut => f.write_str("the user has to sign in"),
            Self::Setup => f.write_str("the application is not behind SignIn"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Call(Box::new(error))
    }
}
