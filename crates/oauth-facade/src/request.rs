//! What is asked for with a request for a token.

use oauth_core::error::Error;
use oauth_core::grant::TokenParameters;
use oauth_core::{Scope, Secret};

/// What to ask for. The same names a grant in a store: who asks for something else never gets its
/// tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// Names separated by spaces; empty leaves it to the server.
    pub scope: String,
    /// The resources the token is for, as absolute URIs (RFC 8707).
    pub resource: Vec<String>,
    /// The audiences, as some servers name it.
    pub audience: Vec<String>,
    /// Parameters that the provider documents. A name may stand several times.
    pub extra: Vec<(String, Secret<String>)>,
}

impl TokenRequest {
    /// For this scope, and nothing else.
    pub fn for_scope(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            ..Self::default()
        }
    }

    /// The scope, as the core says it.
    ///
    /// # Errors
    /// `scope.syntax`.
    pub fn scope(&self) -> Result<Scope, Error> {
        Scope::parse(&self.scope)
    }

    /// What stands beside the scope, as the core says it.
    ///
    /// # Errors
    /// `resource.syntax`; `form.reserved_parameter` for a name that the protocol owns.
    pub fn parameters(&self) -> Result<TokenParameters, Error> {
        let all = TokenParameters::new();
        let all = self
            .resource
            .iter()
            .try_fold(all, |all, uri| all.resource(uri))?;
        let all = self
            .audience
            .iter()
            .fold(all, |all, name| all.audience(name));
        let mut extra = self.extra.iter();
        extra.try_fold(all, |all, (name, value)| {
            all.extra(name.clone(), value.clone())
        })
    }
}
