//! `grant_type=refresh_token`: a new access token for an existing grant.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-6>. If the response contains no new refresh token, the old
//! one is kept: `endpoint/token.rs`, where the key or certificate that a token is bound to is checked, too (RFC 9449
//! section 5, RFC 8705 section 4). When a token is refreshed, and by which worker, is decided in `flow/keeper/`. That a
//! refresh names only resources of its grant (RFC 8707 section 2.2) is checked in `token/authorized_resources.rs`.

use std::borrow::Cow;

use super::Grant;
use crate::context::Context;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::quirk::{Quirk, Rules};
use crate::scope::Scope;
use crate::token::RefreshToken;

/// The grant that uses a refresh token.
///
/// The requested scope may be narrower than that of the grant, or one that was requested at the login but not granted
/// then; without one, all that was granted is requested.
#[derive(Debug, Clone)]
pub struct Refresh {
    token: RefreshToken,
}

/// Scope names that servers leave out of the granted scope although they were requested at the login: `openid`, which
/// requests an ID token, and `offline_access`, which requests a refresh token.
pub(crate) fn unreported_scopes() -> Scope {
    Scope::collect(["openid", "offline_access"].into_iter())
}

impl Refresh {
    /// The grant with this token.
    pub const fn new(token: RefreshToken) -> Self {
        Self { token }
    }

    /// Whether every requested name was granted at the login, or requested then. The server decides what it grants now.
    fn is_within_login(&self, requested: &Scope, rules: &Rules) -> bool {
        let granted = self.token.scope();
        // A token from another store may have no scope. Then only the server can decide.
        if granted.is_empty() || granted.covers(requested) {
            return true;
        }
        let login_scope = granted
            .union(self.token.requested())
            .union(&unreported_scopes());
        rules.covers_scope(&login_scope, requested)
    }
}

impl Grant for Refresh {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "refresh_token"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("refresh_token", self.token.secret().expose());
        Ok(())
    }

    fn scope<'a>(
        &'a self,
        cx: &Context<'_>,
        requested: &'a Scope,
    ) -> Result<Cow<'a, Scope>, Error> {
        let rules = cx.server.rules();
        // "MUST NOT include any scope not originally granted" (6)
        if !rules.has(&Quirk::RefreshesAnyScope) && !self.is_within_login(requested, rules) {
            return Err(Misuse::ScopeExceeds.into());
        }
        let granted = self.token.scope();
        Ok(match rules.scope_on_refresh() {
            Some(also) if requested.is_empty() && !granted.is_empty() => {
                Cow::Owned(granted.union(also))
            }
            _ => Cow::Borrowed(requested),
        })
    }

    fn default_granted_scope<'a>(&'a self, requested: &'a Scope) -> &'a Scope {
        if requested.is_empty() {
            self.token.scope()
        } else {
            requested
        }
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        Some(&self.token)
    }
}
