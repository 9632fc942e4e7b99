//! Forgetting a token: `POST {revocation_endpoint}` (RFC 7009 section 2).

use oauth_core::Secret;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;

use super::arguments;
use crate::machine::Machine;

arguments! {
    /// Asks the server to forget a token (RFC 7009).
    ///
    /// A token that the server does not know is no error. `endpoint.missing` if the server does not offer
    /// it, `denied.*` if it refuses, `lost.*` if no answer arrives.
    pub struct Revoke {
        /// The token to be forgotten.
        pub token: Secret<String>,
        /// Which kind it is, to save the server a search.
        pub hint: Option<TokenKind>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let Self { token, hint } = self;
        Ok(Machine::new(client.core().revoke(Revocation::new(token).hint(hint))))
    }
}
