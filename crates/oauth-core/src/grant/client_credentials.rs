//! `grant_type=client_credentials`: the client acts for itself.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use super::{Grant, push_scope};
use crate::endpoint::Context;
use crate::error::Error;
use crate::form::Form;
use crate::scope::Scope;

/// The client acts for itself.
#[derive(Debug, Clone, Default)]
pub struct ClientCredentials {
    /// What to ask for; empty leaves it to the server.
    pub scope: Scope,
}

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "client_credentials"
    }

    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        let rules = cx.server.rules();
        push_scope(form, &self.scope, rules);
        Ok(())
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// "The client credentials grant type MUST only be used by confidential clients" (4.4)
    fn is_for_confidential_clients(&self) -> bool {
        true
    }
}
