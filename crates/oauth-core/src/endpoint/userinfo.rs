//! `GET {userinfo_endpoint}`: what the server tells about the user who signed in.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#UserInfo>

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::http::StatusCode;
use crate::jose::Claims;
use crate::server::EndpointKind;
use crate::token::Tokens;

/// Asks about the user of a sign-in. Signed and encrypted responses are refused by their content type.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UserInfo {
    /// The tokens of the sign-in: their access token goes with the request, in its header.
    pub tokens: Arc<Tokens>,
    /// The `sub` of the verified ID token, which the response has to repeat (section 5.3.2).
    pub subject: String,
}

impl UserInfo {
    /// About the user whom the ID token calls `subject`.
    pub fn new(tokens: impl Into<Arc<Tokens>>, subject: impl Into<String>) -> Self {
        Self {
            tokens: tokens.into(),
            subject: subject.into(),
        }
    }
}

impl Endpoint for UserInfo {
    const NAME: &'static str = "userinfo";
    type Output = Claims;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let request = EndpointRequest::get(EndpointKind::Userinfo);
        Ok(request.auth(Auth::Token(Arc::clone(&self.tokens))))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Claims, Error> {
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let claims = Claims::of(&reply.object_of(ProtocolViolation::UserinfoShape)?);
        let subject = claims.text("sub").ok().flatten();
        let subject =
            subject.ok_or_else(|| Error::from(ProtocolViolation::UserinfoShape).about("sub"))?;
        // "If they do not match, the UserInfo Response values MUST NOT be used."
        if subject == self.subject {
            Ok(claims)
        } else {
            Err(ValidationFailure::UserinfoSubject.into())
        }
    }
}
