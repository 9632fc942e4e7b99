//! `POST {revocation_endpoint}`: ask the server to forget one token.
//!
//! RFC 7009 <https://www.rfc-editor.org/rfc/rfc7009#section-2>

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Response;

use super::{Draft, Endpoint, refusal};
use crate::error::Error;
use crate::form::Form;
use crate::moment::Moment;
use crate::secret::Secret;
use crate::server::{EndpointKind, Server};
use crate::token::{TokenKind, Tokens};

/// Asks the server to forget one token.
///
/// `Ok` means the token is unusable, or never was usable: the server answers both alike.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// The token to be forgotten.
    pub token: Secret<String>,
    /// Which kind it is, to save the server a search.
    pub hint: Option<TokenKind>,
}

impl Revocation {
    /// Of the refresh token, with which the server forgets the access tokens too ("SHOULD also
    /// invalidate all access tokens based on the same authorization grant", section 2.1), or else of
    /// that one.
    pub fn of(tokens: &Tokens) -> Self {
        match &tokens.refresh_token {
            Some(token) => Self {
                token: token.secret().clone(),
                hint: Some(TokenKind::Refresh),
            },
            None => Self {
                token: tokens.access_token.clone(),
                hint: Some(TokenKind::Access),
            },
        }
    }
}

impl Endpoint for Revocation {
    const NAME: &'static str = "revocation";
    type Output = ();

    fn draft(&self, server: &Server) -> Result<Draft, Error> {
        let mut form = Form::new();
        form.push("token", self.token.expose());
        form.push_some("token_type_hint", self.hint.map(TokenKind::as_str));
        Ok(Draft::post(
            server.endpoint(EndpointKind::Revocation)?,
            Self::NAME,
            form,
        ))
    }

    fn read(&self, server: &Server, at: &Moment, reply: &Response<Bytes>) -> Result<(), Error> {
        // "The content of the response body is ignored by the client" (2.2). Servers that say 204
        // mean the same.
        if reply.status().is_success() {
            return Ok(());
        }
        // On 503 the token still exists (2.2.1); the error keeps Retry-After as advice.
        Err(refusal(server, at, reply))
    }
}
