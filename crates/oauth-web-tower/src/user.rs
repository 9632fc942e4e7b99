//! Extractors of axum: a handler that takes a [`User`] requires someone to be signed in.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use oauth_web::{PageRequirements, Session};

use oauth_core::error::Error;

use crate::host::Host;
use crate::rejection::Rejection;
use crate::tokens::SessionSource;
use crate::visit_driver::Outcome;
use crate::visited::RequestSession;

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

    /// The user who is signed in and meets this requirement, for your own extractors and middleware.
    ///
    /// # Errors
    /// The response to send instead.
    pub async fn having(parts: &Parts, need: PageRequirements) -> Result<Self, Rejection> {
        Self::from_parts(parts, Some(need)).await
    }

    fn new(session: Arc<Session>, visited: &RequestSession) -> Self {
        let host = visited.host.clone();
        Self { session, host }
    }

    async fn from_parts(parts: &Parts, need: Option<PageRequirements>) -> Result<Self, Rejection> {
        let visited = parts
            .extensions
            .get::<RequestSession>()
            .ok_or(Rejection::Setup)?;
        if let (Some(session), None) = (&visited.session, &need) {
            return Ok(Self::new(Arc::clone(session), visited));
        }
        match visited.require(parts, need).await {
            Ok(Outcome::Pass(Some(session))) => Ok(Self::new(session, visited)),
            Ok(Outcome::Respond(reply)) => Err(Rejection::Reply(Box::new(reply))),
            Ok(Outcome::Pass(None) | Outcome::Forward(_)) | Err(_) => Err(Rejection::Setup),
        }
    }
}

/// The user who is signed in and meets the requirement of `N` ([`HandlerRequirement`]).
#[derive(Debug)]
pub struct StepUp<N>(User, PhantomData<fn() -> N>);

/// What a handler requires in addition to a signed-in user, as a type for [`StepUp`].
///
/// ```
/// use oauth_web::Need;
/// use oauth_web_tower::{Needs, StepUp};
///
/// struct Mfa;
///
/// impl Needs for Mfa {
///     fn need() -> Need {
///         PageRequirements::acr(["mfa"])
///     }
/// }
///
/// async fn pay(user: StepUp<Mfa>) -> String {
///     user.identity.subject.clone()
/// }
/// ```
pub trait HandlerRequirement {
    /// The requirement for the session (RFC 9470).
    fn need() -> PageRequirements;
}

impl<N> Deref for StepUp<N> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl<S: Sync, N: HandlerRequirement> FromRequestParts<S> for StepUp<N> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let user = User::having(parts, N::need()).await?;
        Ok(Self(user, PhantomData))
    }
}

impl Deref for User {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_parts(parts, None).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let visited = parts.extensions.get::<RequestSession>();
        Ok(visited.and_then(|visited| Some(Self::new(visited.session.clone()?, visited))))
    }
}
