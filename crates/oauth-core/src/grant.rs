//! What can be exchanged for tokens: one file per grant type, each the parameters it sends.

mod authorization_code;
mod client_credentials;
mod extension;
mod parameters;
mod password;
mod refresh_token;

use crate::endpoint::Context;
use crate::error::Error;
use crate::form::Form;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::token::{RefreshToken, TokenType};

pub use authorization_code::AuthorizationCode;
pub use client_credentials::ClientCredentials;
pub use extension::Extension;
pub use parameters::TokenParameters;
pub(crate) use parameters::check_resource;
pub use password::Password;
pub use refresh_token::Refresh;
pub(crate) use refresh_token::unnamed;

/// One grant type (RFC 6749 section 1.3).
pub trait Grant {
    /// The value of `grant_type`.
    fn grant_type(&self) -> &str;

    /// A fixed name for the grant, by which a server's quirks can ask for other credentials.
    fn purpose(&self) -> &'static str;

    /// Writes the parameters of the token request, but for `grant_type` and the client's own.
    ///
    /// # Errors
    /// `scope.exceeds_grant` and other misuse.
    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error>;

    /// The scope that counts as granted when the server says nothing.
    fn scope(&self) -> &Scope;

    /// The refresh token that stays good when the server sends no new one.
    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    /// Whether tokens of this type are what the grant asks for: bearer tokens. One that is bound to the
    /// client's DPoP key is taken whatever this says.
    fn accepts(&self, token_type: &TokenType) -> bool {
        *token_type == TokenType::Bearer
    }

    /// Whether it may be sent again after an error.
    fn can_repeat(&self) -> bool {
        true
    }

    /// Whether only clients that authenticate may use it.
    fn is_for_confidential_clients(&self) -> bool {
        false
    }
}

/// Writes the scope to ask for, separated as the server wants it; an empty one asks for nothing
/// in particular and is left out.
pub(crate) fn push_scope(form: &mut Form, scope: &Scope, rules: &Rules) {
    match rules.scope_delimiter() {
        _ if scope.is_empty() => {}
        ' ' => form.push("scope", scope.as_str()),
        delimiter => {
            let names = scope
                .as_str()
                .replace(' ', delimiter.encode_utf8(&mut [0; 4]));
            form.push("scope", &names);
        }
    }
}
