//! A token for the client itself: `grant_type=client_credentials` (RFC 6749 section 4.4).

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Requests a token for the client itself (RFC 6749 section 4.4).
    ///
    /// Without a scope, the server grants its default. `denied.*` if it refuses, `lost.*` if no reply
    /// arrives.
    pub struct ClientCredentials {
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        // A service account uses another grant.
        let tokens = client.core().client_credentials(self.request.to_core()?);
        Ok(ErasedExchange::new(tokens))
    }
}
