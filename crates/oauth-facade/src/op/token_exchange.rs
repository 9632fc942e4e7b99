//! One token for another: `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693).

use oauth_core::{Secret, grant};

use super::arguments;
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Exchanges a token for another one (RFC 8693): as its subject, or with an actor who acts for it.
    ///
    /// Types are access_token, refresh_token, id_token, saml1, saml2, jwt, id-jag, or any URI. Of which type the
    /// token is that was issued, stands in the member issued_token_type of the tokens' own members; one whose
    /// token_type is N_A is nothing to call an API with.
    ///
    /// `token_exchange.malformed` for what must not be sent, `denied.invalid_target` for a resource or audience that
    /// the server does not know, other `denied.*` if it refuses, `lost.*` if no answer arrives.
    pub struct TokenExchange {
        /// The token to be exchanged.
        pub subject_token: Secret<String>,
        /// Its type.
        pub subject_token_type: String,
        /// The token of who acts for the subject.
        pub actor_token: Option<Secret<String>>,
        /// Its type.
        pub actor_token_type: Option<String>,
        /// The type that is wanted; without it, what the server gives by itself.
        pub requested_token_type: Option<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let grant = grant::TokenExchange::new(self.subject_token, &self.subject_token_type)?;
        let mut grant = grant.actor(self.actor_token, self.actor_token_type.as_deref())?;
        if let Some(name) = &self.requested_token_type {
            grant = grant.requested_token_type(name)?;
        }
        client.token(grant, &self.request)
    }
}
