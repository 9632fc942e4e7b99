//! Converts requests and bodies between tower and oauth-web.

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Limited};
use oauth_web::PageRequirements;

use crate::rejection::Rejection;
use crate::visited::{RequestSession, User};

/// The body of a response: the application's, an API's, or the site's own.
pub type GuardedBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// In the extensions of a response of the application: a call has found that the user's grant has ended (advice
/// `reauthorize`), so the layer sends the user to sign in, and answers a script with 401. [`Rejection`] says so for
/// handlers of axum.
#[derive(Debug, Clone, Copy)]
pub struct GrantEnded;

impl RequestSession {
    /// The user, if signed in and the requirements are met.
    ///
    /// # Errors
    /// The response to send instead.
    pub async fn require(
        &self,
        parts: &Parts,
        need: Option<PageRequirements>,
    ) -> Result<User, Rejection> {
        self.required(site_request(parts), need).await
    }
}

/// Converts a request.
pub(crate) fn site_request(parts: &Parts) -> oauth_web::Request {
    let Parts {
        method, headers, ..
    } = parts;
    oauth_web::Request::new(method.clone(), &parts.uri, headers.clone())
}

/// Reads a body of at most this many bytes.
pub(crate) async fn read<B>(body: Option<B>, most: usize) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = body.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    let read = Limited::new(body, most).collect().await;
    read.map_or(Err(StatusCode::PAYLOAD_TOO_LARGE), |read: Collected<_>| {
        Ok(read.to_bytes())
    })
}

/// A body of any kind.
pub(crate) fn boxed<R>(body: R) -> GuardedBody
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}
