//! [`RequestSession`] and [`User`]: what an application learns about a request that was passed on to it.

use std::ops::Deref;
use std::sync::Arc;

use http::StatusCode;
use oauth_core::error::Error;
use oauth_web::{Access, PageRequirements, Request, Session};

use crate::answer::{Answer, answer, empty};
use crate::host::Host;
use crate::rejection::{PageReplacement, Rejection};
use crate::tokens::SessionSource;
use crate::visit_driver::Outcome;

/// In the extensions of a forwarded request: the session, and the means to require a step-up.
#[derive(Debug, Clone)]
pub struct RequestSession {
    /// The session, if a user is signed in.
    pub session: Option<Arc<Session>>,
    host: Host,
    /// The target as it was received: routers remove the part that they have matched.
    target: String,
}

impl RequestSession {
    pub(crate) const fn new(session: Option<Arc<Session>>, host: Host, target: String) -> Self {
        Self {
            session,
            host,
            target,
        }
    }

    /// The user, if signed in.
    pub fn user(&self) -> Option<User> {
        self.session.clone().map(|session| self.user_of(session))
    }

    fn user_of(&self, session: Arc<Session>) -> User {
        let host = self.host.clone();
        User { session, host }
    }

    /// The user of the request that was passed on, if signed in and if the requirements are met, for adapters. It does
    /// not matter whether a router has changed the target of `request`.
    ///
    /// # Errors
    /// The response to send instead of calling the handler.
    pub async fn required(
        &self,
        request: Request,
        need: Option<PageRequirements>,
    ) -> Result<User, Rejection> {
        if let (Some(user), None) = (self.user(), &need) {
            return Ok(user);
        }
        let (site, request) = (self.host.site(), self.as_it_came(request));
        let visit = match need {
            Some(need) => site.challenge(request, need),
            None => site.visit(request, Access::SignedIn),
        };
        match self.host.drive(visit).await {
            Ok(Outcome::Pass(Some(session))) => Ok(self.user_of(session)),
            Ok(Outcome::Respond(reply)) => Err(Rejection::Reply(Box::new(reply))),
            Ok(Outcome::Pass(None) | Outcome::Forward(_)) | Err(_) => Err(Rejection::Setup),
        }
    }

    /// The response that replaces the page of this request, for adapters; `None` if the page remains.
    pub async fn instead(
        &self,
        replacement: Option<PageReplacement>,
        request: Request,
    ) -> Option<Answer> {
        match replacement? {
            PageReplacement::SignIn => Some(self.required(request, None).await.err()?.answer()),
            PageReplacement::SignInAgain => Some(self.sign_in_again(request).await),
        }
    }

    /// The response that replaces a page, after a call has shown that the user's grant has ended. It ends the session,
    /// and redirects pages to sign in; scripts get a 401.
    pub async fn sign_in_again(&self, request: Request) -> Answer {
        match self.host.tokens_over(self.as_it_came(request)).await {
            Ok(reply) => answer(reply),
            Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn as_it_came(&self, request: Request) -> Request {
        let target = self.target.clone();
        Request { target, ..request }
    }
}

/// The user who is signed in. A handler that takes a `User` is only called if there is one: people are sent to sign in,
/// and scripts get an error. `Option<User>` is for pages that everyone may see.
#[derive(Debug, Clone)]
pub struct User {
    session: Arc<Session>,
    host: Host,
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
    pub async fn source(&self) -> Result<SessionSource, Error> {
        self.host.source(Arc::clone(&self.session)).await
    }
}

impl Deref for User {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
