//! `GET {userinfo_endpoint}`: fetches the claims of the user who signed in. Their `sub` is compared with that of the ID
//! token in `flow/userinfo.rs`.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#UserInfo>

use std::sync::Arc;

use super::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::http::StatusCode;
use crate::jose::Claims;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::Tokens;

/// The media type of a response that is signed, encrypted or both (section 5.3.2).
const JWT: &str = "application/jwt";

/// Requests the claims of the user of a sign-in, in the form for which the client is registered. `flow::userinfo`
/// processes the response further.
#[derive(Debug, Clone)]
pub(crate) struct UserInfo {
    /// The tokens of the sign-in: their access token is sent in the header of the request.
    pub(crate) tokens: Arc<Tokens>,
}

/// The response.
#[derive(Debug)]
pub(crate) enum Response {
    /// A JSON object, which only TLS authenticates.
    Plain(Claims),
    /// A JWT, which still has to be decrypted and verified.
    Jwt(Secret<String>),
}

impl Endpoint for UserInfo {
    const NAME: &'static str = "userinfo";
    type Output = Response;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let request = EndpointRequest::get(EndpointKind::Userinfo);
        let request = request.auth(Auth::Token(Arc::clone(&self.tokens)));
        if !IS_BROWSER_BUILD && let Some(agreed) = &cx.identity.userinfo_algs {
            cx.identity.check_agreed_algs(agreed)?;
        }
        Ok(if cx.identity.has_userinfo_jwt() {
            request.accept(JWT)
        } else {
            request
        })
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Response, Error> {
        let config = cx.identity;
        if config.has_userinfo_jwt() && reply.has_media_type(JWT) {
            return reply
                .token_or(ProtocolViolation::UserinfoShape)
                .map(Response::Jwt);
        }
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let claims = Claims::from_object(&reply.object_or(ProtocolViolation::UserinfoShape)?);
        // "If signed ... and/or encrypted, then the Claims are returned in a JWT" (section 5.3.2).
        match (&config.userinfo_algs, &config.userinfo_encryption) {
            (Some(_), _) => Err(ValidationFailure::UserinfoNotSigned.into()),
            (None, Some(_)) => Err(ValidationFailure::JweMissing.into()),
            (None, None) => Ok(Response::Plain(claims)),
        }
    }
}
