//! Grants: one file for each grant type, with the parameters it sends.

mod authorization_code;
mod ciba;
mod client_credentials;
mod device_code;
mod extension;
mod id_jag;
mod jwt_bearer;
mod password;
mod refresh_token;
mod resource_indicator;
mod saml_bearer;
pub(crate) mod token_exchange;
mod token_request;

use std::borrow::Cow;

use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::token::{RefreshToken, TokenType};

pub use crate::extension_grant::{
    ExtensionGrantClient, ExtensionGrantDefinition, ExtensionGrantParameter, ExtensionGrantRefresh,
};
pub use authorization_code::AuthorizationCode;
pub use ciba::Ciba;
pub use client_credentials::ClientCredentials;
pub use device_code::DeviceCode;
pub use extension::Extension;
pub use id_jag::IdentitySubject;
pub(crate) use id_jag::{IdJag, has_ended};
pub use jwt_bearer::JwtBearer;
pub use password::Password;
pub use refresh_token::Refresh;
pub(crate) use refresh_token::unreported_scopes;
pub(crate) use resource_indicator::check_resource;
pub use saml_bearer::SamlBearer;
pub use token_exchange::{TokenExchange, token_type};
pub use token_request::TokenRequest;

/// One grant type (RFC 6749 section 1.3).
pub trait Grant {
    /// The value of `grant_type`.
    fn grant_type(&self) -> &str;

    /// A fixed name for the grant, by which a server's quirks can select other credentials
    /// ([`Quirk::BodyCredentials`](crate::quirk::Quirk::BodyCredentials)).
    fn purpose(&self) -> &'static str;

    /// Writes the parameters of the token request, except `grant_type`, the scope, and those of the client.
    ///
    /// # Errors
    /// An error of [`Kind::Misuse`](crate::error::Kind::Misuse) if a parameter must not be sent.
    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error>;

    /// The scope to send if this one was `requested`; an empty one is left out.
    ///
    /// # Errors
    /// `scope.exceeds_grant`.
    fn scope<'a>(&'a self, _: &Context<'_>, requested: &'a Scope) -> Result<Cow<'a, Scope>, Error> {
        Ok(Cow::Borrowed(requested))
    }

    /// The scope that counts as granted if the response names none and this one was `requested`.
    fn default_granted_scope<'a>(&'a self, requested: &'a Scope) -> &'a Scope {
        requested
    }

    /// The refresh token that stays valid if the server sends no new one.
    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    /// Called with the outcome of the request.
    fn note_outcome(&self, _: &Context<'_>, _: Result<(), &Error>) {}

    /// Whether the grant returns tokens of a user, not the client's own.
    fn is_user_grant(&self) -> bool {
        true
    }

    /// Whether the grant accepts tokens of this type: by default bearer tokens. A token bound to the client's DPoP key
    /// is accepted in any case.
    fn accepts(&self, token_type: &TokenType) -> bool {
        *token_type == TokenType::Bearer
    }

    /// Whether the response names the type of the issued token (RFC 8693 section 2.2.1).
    fn returns_issued_token_type(&self) -> bool {
        false
    }

    /// Whether the request may be sent again after an error.
    fn can_repeat(&self) -> bool {
        true
    }

    /// Whether the request names the client.
    fn names_client(&self) -> bool {
        true
    }

    /// Whether a refresh token in the response is kept with the tokens.
    fn keeps_refresh_token(&self) -> bool {
        true
    }

    /// Whether only clients that authenticate may use the grant.
    fn is_for_confidential_clients(&self) -> bool {
        false
    }
}

/// Writes the scope to ask for, separated as the server expects it; an empty one requests nothing in particular and is
/// left out.
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
