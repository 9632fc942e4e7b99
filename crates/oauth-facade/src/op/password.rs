//! Tokens for a person's password: `grant_type=password` (RFC 6749 section 4.3).

use oauth_core::{Secret, danger};

use super::arguments;
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Asks for tokens with a person's password (RFC 6749 section 4.3).
    ///
    /// For servers that offer nothing better: the client sees the password. Without a scope, the server gives what
    /// it gives by itself. `denied.invalid_grant` for a wrong password, `lost.*` if no answer arrives.
    pub struct Password {
        /// Who the person is.
        pub username: String,
        /// The password.
        pub password: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let Self { username, password, request } = self;
        client.token(danger::password(username, password), &request)
    }
}
