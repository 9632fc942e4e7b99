//! `grant_type=refresh_token`: a new access token for an old grant.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-6>

use super::{Grant, push_scope};
use crate::endpoint::Context;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::quirk::{Quirk, Rules};
use crate::scope::Scope;
use crate::token::RefreshToken;

/// A refresh token to be spent.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The token.
    pub token: RefreshToken,
    /// A narrower scope than the grant's, or what was asked for at the login and not granted then;
    /// empty asks for all that was granted.
    pub scope: Scope,
}

/// Names that people ask for at a login and that servers leave out of what they grant: they ask for
/// an ID Token and for a refresh token.
pub(crate) fn unnamed() -> Scope {
    Scope::collect(["openid", "offline_access"].into_iter())
}

impl Refresh {
    /// Whether all that is asked for was granted at the login, or at least asked for: which of it
    /// the server gives now is the server's to say.
    fn is_within_login(&self, rules: &Rules) -> bool {
        let granted = self.token.scope();
        // A token from elsewhere may come without its scope: then only the server knows.
        if granted.is_empty() || granted.covers(&self.scope) {
            return true;
        }
        let known = granted.union(self.token.requested()).union(&unnamed());
        rules.covers(&known, &self.scope)
    }
}

impl Grant for Refresh {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "refresh_token"
    }

    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        let rules = cx.server.rules();
        form.push("refresh_token", self.token.secret().expose());
        // "MUST NOT include any scope not originally granted" (6)
        if !rules.has(&Quirk::RefreshesAnyScope) && !self.is_within_login(rules) {
            return Err(Misuse::ScopeExceeds.into());
        }
        match rules.scope_on_refresh() {
            Some(also) if self.scope.is_empty() && !self.token.scope().is_empty() => {
                push_scope(form, &self.token.scope().union(also), rules);
            }
            _ => push_scope(form, &self.scope, rules),
        }
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
