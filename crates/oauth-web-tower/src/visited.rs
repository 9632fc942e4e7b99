//! The extensions that the layer adds to a request for the application, and the application to a response for the layer.

use std::sync::Arc;

use http::{Uri, request};
use oauth_core::error::Error;
use oauth_web::{Access, Need, Session};

use crate::convert::seen;
use crate::host::Host;
use crate::visit_driver::Outcome;

/// In the extensions of a request that was passed on: who is signed in, and the way to ask for more.
#[derive(Debug, Clone)]
pub struct Visited {
    /// The session, if somebody is signed in.
    pub session: Option<Arc<Session>>,
    pub(crate) host: Host,
    /// As it came: routers cut off what they have matched.
    pub(crate) uri: Uri,
}

/// In the extensions of a response of the application: a call has found that the user's grant has ended (advice
/// `reauthorize`), so the layer sends the user to sign in, and answers a script with 401.
/// [`Rejection`](crate::Rejection) says so for handlers of axum.
#[derive(Debug, Clone, Copy)]
pub struct SignInAgain;

impl Visited {
    /// The user, if signed in and the requirements are met; otherwise the response to send.
    ///
    /// # Errors
    /// The errors of [`Host::drive`].
    pub async fn require(
        &self,
        parts: &request::Parts,
        need: Option<Need>,
    ) -> Result<Outcome, Error> {
        let (site, seen) = (self.host.site(), seen(parts, &self.uri));
        let visit = match need {
            Some(need) => site.challenge(seen, need),
            None => site.visit(seen, Access::SignedIn),
        };
        self.host.drive(visit).await
    }
}
