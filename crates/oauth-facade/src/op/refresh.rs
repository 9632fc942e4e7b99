//! Refresh: `grant_type=refresh_token` (RFC 6749 section 6).

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::error::Misuse;
use oauth_core::grant;

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Refreshes tokens: redeems their refresh token for new ones (RFC 6749 section 6).
    ///
    /// Without a scope, the whole granted scope is requested. Many servers replace the refresh token: store the result,
    /// and let only one worker refresh at a time, as a source of the client does. `grant.no_refresh_token` if there is
    /// none, `scope.exceeds_grant` for more than was granted, `denied.*` with the advice `reauthorize` once the grant
    /// has ended, `lost.*` if no reply arrives.
    pub struct Refresh {
        /// The tokens to refresh.
        pub tokens: Arc<Tokens>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let Self { tokens, request } = self;
        let token = tokens.refresh_token.clone().ok_or(Misuse::NoRefreshToken)?;
        client.token(grant::Refresh::new(token), &request)
    }
}
