//! The extensions that the layer adds to a request for the application, and the application to a response for the layer.

use std::sync::Arc;

use http::{Uri, request};
use oauth_core::error::Error;
use oauth_web::{Access, PageRequirements, Session};

use crate::convert::to_site_request;
use crate::host::Host;
use crate::visit_driver::Outcome;

/// In the extensions of a forwarded request: the session, and the means to require a step-up.
#[derive(Debug, Clone)]
pub struct RequestSession {
    /// The session, if a user is signed in.
    pub session: Option<Arc<Session>>,
    pub(crate) host: Host,
    /// As it came: routers cut off what they have matched.
    pub(crate) uri: Uri,
}

/// In the extensions of a response of the application: a call has found that the user's grant has ended (advice
/// `reauthorize`), so the layer sends the user to sign in, and answers a script with 401.
/// [`Rejection`](crate::Rejection) says so for handlers of axum.
#[derive(Debug, Clone, Copy)]
pub struct GrantEnded;

impl RequestSession {
    /// The user, if signed in and the requirements are met; otherwise the response to send.
    ///
    /// # Errors
    /// The errors of [`Host::drive`].
    pub async fn require(
        &self,
        parts: &request::Parts,
        need: Option<PageRequirements>,
    ) -> Result<Outcome, Error> {
        let (site, site_request) = (self.host.site(), to_site_request(parts, &self.uri));
        let visit = match need {
            Some(need) => site.challenge(site_request, need),
            None => site.visit(site_request, Access::SignedIn),
        };
        self.host.drive(visit).await
    }
}
