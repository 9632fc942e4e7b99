//! Extractors of axum: a handler that takes a [`User`] requires someone to be signed in.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use oauth_web::{PageRequirements, Session};

use crate::convert::GrantEnded;
use crate::rejection::Rejection;
use crate::visited::{RequestSession, User};

impl User {
    /// The user who is signed in and meets this requirement, for your own extractors and middleware.
    ///
    /// # Errors
    /// The response to send instead.
    pub async fn having(parts: &Parts, need: PageRequirements) -> Result<Self, Rejection> {
        Self::require(parts, Some(need)).await
    }

    async fn require(parts: &Parts, need: Option<PageRequirements>) -> Result<Self, Rejection> {
        let visited = parts
            .extensions
            .get::<RequestSession>()
            .ok_or(Rejection::Setup)?;
        visited.require(parts, need).await
    }
}

/// The user who is signed in and meets the requirement of `N` ([`HandlerRequirement`]).
#[derive(Debug)]
pub struct StepUp<N>(User, PhantomData<fn() -> N>);

/// What a handler requires in addition to a signed-in user, as a type for [`StepUp`].
///
/// ```
/// use oauth_web::PageRequirements;
/// use oauth_web_tower::{HandlerRequirement, StepUp};
///
/// struct Mfa;
///
/// impl HandlerRequirement for Mfa {
///     fn need() -> PageRequirements {
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

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::require(parts, None).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts
            .extensions
            .get::<RequestSession>()
            .and_then(RequestSession::user))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = self.answer().map(Body::new);
        if self.is_grant_ended() {
            response.extensions_mut().insert(GrantEnded);
        }
        response
    }
}
