//! `grant_type=authorization_code`: the code from an authorization response.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3>, RFC 7636 section 4.5
//!
//! The ID token of the response is verified in `flow/redeem.rs`.

use super::Grant;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::pkce::CodeVerifier;
use crate::quirk::Quirk;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;

/// A code from a callback that passed every check of its flow.
#[derive(Debug, Clone)]
pub struct AuthorizationCode {
    pub(crate) code: Secret<String>,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) code_verifier: Option<CodeVerifier>,
    pub(crate) scope: Scope,
}

impl Grant for AuthorizationCode {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "authorization_code"
    }

    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        let rules = cx.server.rules();
        form.push("code", self.code.expose());
        if !rules.has(&Quirk::OmitRedirectUri) {
            form.push("redirect_uri", self.redirect_uri.as_str());
        }
        form.push_some(
            "code_verifier",
            self.code_verifier.as_ref().map(CodeVerifier::expose),
        );
        Ok(())
    }

    /// "The client MUST NOT use the authorization code more than once" (RFC 6749 section 4.1.2)
    fn can_repeat(&self) -> bool {
        false
    }

    /// What was requested at the authorization; the code represents all of it.
    fn default_granted_scope<'a>(&'a self, _: &'a Scope) -> &'a Scope {
        &self.scope
    }
}
