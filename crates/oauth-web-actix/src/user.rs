//! The extractor: a handler that takes a [`User`] requires someone to be signed in.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use oauth_web::{PageRequirements, Session};
use oauth_web_tower::{Host, Outcome, SessionSource};

use crate::convert::{plain, refusal, response, to_site_request};
use crate::rejection::SignInReason;

/// The user who is signed in. A handler that takes a `User` is only called if there is one: people are sent to sign in,
/// and scripts get an error. `Option<User>` is for pages that everyone may see.
#[derive(Debug, Clone)]
pub struct User {
    session: Arc<Session>,
    host: Host,
}

/// What the middleware stores in the request's extensions: the session, if any, and the host, with which a handler can
/// require a step-up.
#[derive(Debug, Clone)]
pub(crate) struct RequestSession {
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) host: Host,
}

impl User {
    /// The session.
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The source of this user's tokens, which are kept fresh; once their grant has ended, the session ends as well.
    ///
    /// # Errors
    /// The errors of [`Host::source`].
    pub async fn source(&self) -> Result<SessionSource, oauth_core::Error> {
        self.host.source(Arc::clone(&self.session)).await
    }

    /// The user who is signed in and meets this requirement (RFC 9470), such as a second factor.
    ///
    /// # Errors
    /// The response to send instead; 500 without [`SignIn`](crate::SignIn) around the application.
    pub async fn having(request: &HttpRequest, need: PageRequirements) -> Result<Self, Error> {
        Self::extract(request.clone(), Some(need)).await
    }

    async fn extract(request: HttpRequest, need: Option<PageRequirements>) -> Result<Self, Error> {
        let failed = || refusal(plain(StatusCode::INTERNAL_SERVER_ERROR));
        let visited = request.extensions().get::<RequestSession>().cloned();
        let RequestSession { session, host } = visited.ok_or_else(failed)?;
        let need = match (session, need) {
            (Some(session), None) => return Ok(Self { session, host }),
            (None, None) => {
                return Err(refusal(SignInReason::NotSignedIn.response()));
            }
            (_, Some(need)) => need,
        };
        let visit = host.site().challenge(to_site_request(&request), need);
        match host.drive(visit).await {
            Ok(Outcome::Pass(Some(session))) => Ok(Self { session, host }),
            Ok(Outcome::Respond(reply)) => Err(refusal(response(reply))),
            Ok(Outcome::Pass(None) | Outcome::Forward(_)) | Err(_) => Err(failed()),
        }
    }
}

impl Deref for User {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl FromRequest for User {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Self::extract(request.clone(), None))
    }
}
