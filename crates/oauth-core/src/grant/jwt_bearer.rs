//! `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer`: a JWT assertion names the subject of the token. An
//! assertion that the client signs itself is made in `assertion.rs`.
//!
//! RFC 7523 <https://www.rfc-editor.org/rfc/rfc7523#section-2.1>, RFC 7521 section 4.1

use super::Grant;
use crate::context::Context;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::scope::Scope;
use crate::secret::Secret;

/// A JWT that the server accepts as an authorization grant: one that the client has signed itself
/// ([`Client::tokens_for_own_assertion`](crate::Client::tokens_for_own_assertion)), or one that another party issued.
#[derive(Debug, Clone)]
pub struct JwtBearer {
    assertion: Secret<String>,
    claimed_scope: Scope,
}

impl JwtBearer {
    /// A JWT in compact serialization, sent as it is.
    ///
    /// # Errors
    /// `client_auth.assertion_malformed` if it is not a JWT.
    pub fn new(assertion: impl Into<Secret<String>>) -> Result<Self, Error> {
        let assertion = assertion.into();
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let text = assertion.expose();
        // Three parts, or the five of an encrypted one; the server checks their content.
        let is_compact = matches!(text.split('.').count(), 3 | 5)
            && text.bytes().all(|b| is_part(b) || b == b'.')
            && !text.starts_with('.');
        if is_compact {
            Ok(Self {
                assertion,
                claimed_scope: Scope::none(),
            })
        } else {
            Err(Misuse::AssertionMalformed.into())
        }
    }

    /// The scope that a claim of the assertion requests, and no parameter.
    #[must_use]
    pub(crate) fn claiming(mut self, scope: Scope) -> Self {
        self.claimed_scope = scope;
        self
    }
}

impl Grant for JwtBearer {
    fn grant_type(&self) -> &'static str {
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    }

    fn purpose(&self) -> &'static str {
        "jwt_bearer"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("assertion", self.assertion.expose());
        Ok(())
    }

    fn default_granted_scope<'a>(&'a self, requested: &'a Scope) -> &'a Scope {
        if requested.is_empty() {
            &self.claimed_scope
        } else {
            requested
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::error_code;

    #[test]
    fn text_that_is_not_a_jwt_is_refused_before_sending() {
        for text in ["", "a", "a.b", "a.b.c.d", "a.b.c\n", ".b.c", "{\"a\":1}"] {
            let refused = error_code(JwtBearer::new(text).map(drop));
            assert_eq!(refused, Err("client_auth.assertion_malformed"), "{text:?}");
        }
        for text in ["a.b.c", "a.b.", "a..c.d.e"] {
            assert!(JwtBearer::new(text).is_ok(), "{text:?}");
        }
    }
}
