//! What a server expects of the assertions that its clients sign themselves to obtain tokens (RFC 7523 section 2.1).

#[cfg(not(all(feature = "js", target_family = "wasm")))]
use std::sync::Arc;

use super::Server;
use crate::assertion::Assertion;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::assertion::AssertionRequirements;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::crypto::SigningKey;
use crate::error::Error;
use crate::scope::Scope;

impl Server {
    /// Sets what the server expects of assertions that its clients sign themselves to obtain tokens.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[must_use]
    pub fn with_assertion_requirements(mut self, requirements: AssertionRequirements) -> Self {
        self.assertion_requirements = Some(Arc::new(requirements));
        self
    }

    /// An assertion for this server, signed with `key`: its audience is the server's issuer, and it is valid for 300
    /// seconds, unless the server is known to expect something else. See [`Assertion::new`] for `issuer` and `subject`.
    ///
    /// # Errors
    /// `assertion.claim` if one of them is empty.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    pub fn assertion(
        &self,
        key: SigningKey,
        issuer: impl Into<String>,
        subject: impl Into<String>,
    ) -> Result<Assertion, Error> {
        let audience = self.issuer.as_str();
        match &self.assertion_requirements {
            Some(requirements) => {
                requirements.assertion(key, issuer.into(), subject.into(), audience)
            }
            None => Assertion::new(key, issuer, subject, audience),
        }
    }

    /// Checks an assertion and completes it, as this server expects.
    pub(crate) fn require(
        &self,
        assertion: &mut Assertion,
        scope: &mut Scope,
    ) -> Result<(), Error> {
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        if let Some(requirements) = &self.assertion_requirements {
            return requirements.apply(assertion, scope);
        }
        let _ = (assertion, scope);
        Ok(())
    }
}
