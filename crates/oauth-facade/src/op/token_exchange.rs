//! Token exchange: `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693).

use oauth_core::{Secret, grant};

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Exchanges a token for another one (RFC 8693): as its subject, or with an actor who acts for it.
    ///
    /// Types are access_token, refresh_token, id_token, saml1, saml2, jwt, id-jag, or any URI. The type of the
    /// issued token is in the member issued_token_type of the tokens' other members; a token whose token_type is N_A is
    /// not an access token.
    ///
    /// `token_exchange.malformed` for an invalid request, `denied.invalid_target` for a resource or audience that
    /// the server does not know, other `denied.*` if it refuses, `lost.*` if no reply arrives.
    pub struct TokenExchange {
        /// The token to exchange.
        pub subject_token: Secret<String>,
        /// The type of the subject token: access_token, refresh_token, id_token, saml1, saml2, jwt, id-jag, or any URI.
        pub subject_token_type: String,
        /// The token of the actor, who acts for the subject.
        pub actor_token: Option<Secret<String>>,
        /// The type of the actor token, as for the subject token.
        pub actor_token_type: Option<String>,
        /// The requested type of token, as for the subject token; by default the server chooses.
        pub requested_token_type: Option<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let grant = grant::TokenExchange::new(self.subject_token, &self.subject_token_type)?;
        let mut grant = grant.actor(self.actor_token, self.actor_token_type.as_deref())?;
        if let Some(name) = &self.requested_token_type {
            grant = grant.requested_token_type(name)?;
        }
        client.token(grant, &self.request)
    }
}
