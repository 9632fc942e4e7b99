//! The parameters of a token request, as plain values.

use oauth_core::error::Error;
use oauth_core::grant;
use oauth_core::{Scope, Secret};

use crate::arg::JsonText;
use crate::op::arguments;

arguments! {
    /// What to request. It also identifies a grant in a store: a request for something else never gets its tokens.
    pub struct TokenRequest {
        /// The scope to request.
        pub scope: Scope,
        /// The resources the tokens are for, as absolute URIs (RFC 8707).
        pub resource: Vec<String>,
        /// The audiences, for servers that use this parameter.
        pub audience: Vec<String>,
        /// Parameters that the provider documents.
        pub extra: Vec<(String, Secret<String>)>,
        /// The `authorization_details`: a list of objects, each with a `type` (RFC 9396).
        pub authorization_details: Option<JsonText>,
    }
}

impl TokenRequest {
    /// A request for this scope, and nothing else.
    pub fn for_scope(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }

    /// The request as a type of the core.
    ///
    /// # Errors
    /// `resource.syntax`; `authorization_details.malformed`; `form.reserved_parameter` for a name that the protocol uses,
    /// and for `authorization_details` that are given twice.
    pub fn to_core(&self) -> Result<grant::TokenRequest, Error> {
        let all = grant::TokenRequest::from(self.scope.clone());
        let all = self
            .resource
            .iter()
            .try_fold(all, |all, uri| all.resource(uri))?;
        let all = self
            .audience
            .iter()
            .fold(all, |all, name| all.audience(name));
        let all = match &self.authorization_details {
            Some(JsonText(text)) => all.extra("authorization_details", text.as_str())?,
            None => all,
        };
        let mut extra = self.extra.iter();
        extra.try_fold(all, |all, (name, value)| {
            all.extra(name.clone(), value.clone())
        })
    }
}
