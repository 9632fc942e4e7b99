//! Tokens for a user's password: `grant_type=password` (RFC 6749 section 4.3).

use oauth_core::{Secret, danger};

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Requests tokens with a user's password (RFC 6749 section 4.3).
    ///
    /// For servers that support nothing better: the client sees the password. Without a scope, the server grants
    /// its default. `denied.invalid_grant` for a wrong password, `lost.*` if no reply arrives.
    pub struct Password {
        /// The user name.
        pub username: String,
        /// The password.
        pub password: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let Self { username, password, request } = self;
        client.token(danger::password(username, password), &request)
    }
}
