//! `grant_type=refresh_token`: a new access token for an old grant.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-6>

use super::{Grant, push_scope};
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::token::RefreshToken;

/// A refresh token to be spent.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The token.
    pub token: RefreshToken,
    /// A narrower scope than the grant's; empty asks for all of it.
    pub scope: Scope,
}

/// Names that people ask for at a login and that servers leave out of what they grant.
const UNNAMED: [&str; 2] = ["openid", "offline_access"];

impl Grant for Refresh {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "refresh_token"
    }

    fn fill(&self, form: &mut Form, rules: &Rules) -> Result<(), Error> {
        form.push("refresh_token", self.token.secret().expose());
        // "MUST NOT include any scope not originally granted" (6)
        let original = self.token.scope();
        // A token from elsewhere may come without its scope: then only the server knows.
        let is_granted = |name: &str| UNNAMED.contains(&name) || original.contains(name);
        if !original.is_empty()
            && !original.covers(&self.scope)
            && !self.scope.iter().all(is_granted)
        {
            return Err(Misuse::ScopeExceeds.into());
        }
        push_scope(form, &self.scope, rules);
        Ok(())
    }

    fn scope(&self) -> &Scope {
        if self.scope.is_empty() {
            self.token.scope()
        } else {
            &self.scope
        }
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        Some(&self.token)
    }
}
