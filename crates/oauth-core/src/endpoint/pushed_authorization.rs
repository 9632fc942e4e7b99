//! `POST {pushed_authorization_request_endpoint}`: sends the authorization request to the server before the user goes
//! there.
//!
//! The core never compares the expiry of a `request_uri` with the clock: the host gets `expires_in` as
//! [`Authorization::expires_in`](crate::flow::authorization::Authorization::expires_in), and the server refuses a
//! `request_uri` that has expired. Whether a request is pushed is decided in `flow/authorization/prepare.rs`.
//!
//! RFC 9126 <https://www.rfc-editor.org/rfc/rfc9126#section-2>

use crate::http::StatusCode;

use super::{Context, Endpoint, EndpointRequest, ProofOfPossession, Reply};
use crate::error::Error;
use crate::form::Form;
use crate::json::Json;
use crate::secret::Secret;
use crate::server::EndpointKind;

/// Pushes the parameters of one authorization request.
#[derive(Debug, Clone)]
pub(crate) struct PushedAuthorization {
    /// All parameters except `client_id`, which the client's authentication adds.
    pub(crate) form: Form,
}

/// The reference that replaces the parameters.
#[derive(Debug, Clone)]
pub(crate) struct PushedResponse {
    pub(crate) request_uri: Secret<String>,
    /// The lifetime of the reference in seconds.
    pub(crate) expires_in: u64,
}

impl Endpoint for PushedAuthorization {
    const NAME: &'static str = "pushed_authorization_request";
    type Output = PushedResponse;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let mut form = self.form.clone();
        // "client_id ... REQUIRED" (RFC 6749 section 4.1.1); other methods than Basic write it anyway.
        if cx.identity.basic(Self::NAME).is_some() {
            form.push(
                cx.server.rules().client_id_parameter(),
                cx.client_id.as_str(),
            );
        }
        let kind = EndpointKind::PushedAuthorizationRequest;
        Ok(EndpointRequest::post(kind, Self::NAME, form).proof(ProofOfPossession::Dpop))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<PushedResponse, Error> {
        // "a 201 HTTP status code" (RFC 9126 section 2.2)
        let object = reply.object_with(StatusCode::CREATED)?;
        let uri = object.get("request_uri").and_then(Json::as_str);
        let uri = uri.filter(|uri| !uri.is_empty() && uri.bytes().all(crate::url::is_plain));
        // "a positive integer" (RFC 9126 section 2.2)
        let expires_in = reply.seconds(&object, "expires_in")?;
        let expires_in = expires_in.filter(|seconds| *seconds > 0);
        Ok(PushedResponse {
            request_uri: uri.ok_or_else(|| reply.malformed("request_uri"))?.into(),
            expires_in: expires_in.ok_or_else(|| reply.malformed("expires_in"))?,
        })
    }
}
