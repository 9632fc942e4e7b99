//! Token revocation: `POST {revocation_endpoint}` (RFC 7009 section 2).

use oauth_core::Secret;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;

use super::arguments;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Revokes a token (RFC 7009).
    ///
    /// An unknown token is not an error. `endpoint.missing` if the server does not offer
    /// it, `denied.*` if it refuses, `lost.*` if no reply arrives.
    pub struct Revoke {
        /// The token to revoke.
        pub token: Secret<String>,
        /// The kind of token, a hint for the server.
        pub token_type_hint: Option<TokenKind>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let Self { token, token_type_hint } = self;
        Ok(ErasedExchange::new(client.core().revoke(Revocation::new(token).token_type_hint(token_type_hint))))
    }
}
