//! `grant_type=client_credentials`: a token for the client itself.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use super::Grant;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;

/// The grant for the client's own tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientCredentials;

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "client_credentials"
    }

    fn fill(&self, _: &Context<'_>, _: &mut Form) -> Result<(), Error> {
        Ok(())
    }

    fn is_user_grant(&self) -> bool {
        false
    }

    /// "The client credentials grant type MUST only be used by confidential clients" (RFC 6749 section 4.4)
    fn is_for_confidential_clients(&self) -> bool {
        true
    }
}
