//! `POST {revocation_endpoint}`: revokes a token.
//!
//! RFC 7009 <https://www.rfc-editor.org/rfc/rfc7009#section-2>. Error responses (section 2.2.1) are read in
//! `endpoint/reply.rs`; their codes, and that a 503 is retried, are in `error/server_error.rs`.

#[cfg(test)]
mod tests;

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::Error;
use crate::form::Form;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::{RefreshToken, TokenKind, Tokens};

/// Revokes one token.
///
/// `Ok` means that the token is no longer valid, or never was: the server's response is the same (section 2.2).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Revocation {
    /// The token to revoke.
    pub token: Secret<String>,
    /// The kind of token, which helps the server to find it (`token_type_hint`).
    pub token_type_hint: Option<TokenKind>,
}

impl Revocation {
    /// A request to revoke this token, of any kind.
    pub fn new(token: impl Into<Secret<String>>) -> Self {
        Self {
            token: token.into(),
            token_type_hint: None,
        }
    }

    /// Sets the kind of the token, or leaves it to the server to find out.
    #[must_use]
    pub fn token_type_hint(mut self, token_type_hint: impl Into<Option<TokenKind>>) -> Self {
        self.token_type_hint = token_type_hint.into();
        self
    }

    /// A request to revoke the refresh token, and with it the access tokens ("SHOULD also
    /// invalidate all access tokens based on the same authorization grant", section 2.1); without a refresh token, the
    /// access token.
    pub fn from_tokens(tokens: &Tokens) -> Self {
        match &tokens.refresh_token {
            Some(token) => Self::from(token),
            None => Self::new(tokens.access_token.clone()).token_type_hint(TokenKind::Access),
        }
    }
}

impl From<&RefreshToken> for Revocation {
    fn from(token: &RefreshToken) -> Self {
        Self::new(token.secret().clone()).token_type_hint(TokenKind::Refresh)
    }
}

impl From<&Tokens> for Revocation {
    fn from(tokens: &Tokens) -> Self {
        Self::from_tokens(tokens)
    }
}

impl Endpoint for Revocation {
    const NAME: &'static str = "revocation";
    type Output = ();

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let mut form = Form::new();
        form.push("token", self.token.expose());
        form.push_some(
            "token_type_hint",
            self.token_type_hint.map(TokenKind::as_str),
        );
        Ok(EndpointRequest::post(
            EndpointKind::Revocation,
            Self::NAME,
            form,
        ))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<(), Error> {
        // "The content of the response body is ignored by the client" (RFC 7009 section 2.2). Some servers return 204.
        if reply.status().is_success() {
            return Ok(());
        }
        // On 503 the token still exists (RFC 7009 section 2.2.1); the error keeps Retry-After as advice.
        Err(reply.oauth_error())
    }
}
