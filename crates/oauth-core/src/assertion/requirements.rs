//! What one server expects of the assertions that its clients sign themselves, beyond RFC 7523: the claims of such an
//! assertion are in `assertion.rs`.

use super::{Assertion, Content, is_reserved};
use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::jose::Alg;
use crate::scope::Scope;
use crate::value::Value;

/// What one server documents about the assertions that its clients sign themselves to obtain tokens, beyond RFC 7523.
/// [`Server::with_assertion_requirements`](crate::server::Server::with_assertion_requirements) sets it, and
/// [`Client::tokens_for_own_assertion`](crate::Client::tokens_for_own_assertion) checks assertions by it before anything is sent.
///
/// ```
/// use oauth_core::assertion::AssertionRequirements;
///
/// let requirements = AssertionRequirements::new()
///     .audience("https://api.acme.example/token")
///     .lifetime(45)
///     .claim("subject_type", ["user", "company"])?;
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssertionRequirements {
    audience: Option<String>,
    lifetime: Option<u32>,
    algs: Vec<Alg>,
    is_key_named: bool,
    scope_claim: Option<Scope>,
    claims: Vec<(String, Vec<String>)>,
}

impl AssertionRequirements {
    /// Nothing beyond RFC 7523.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the audience, where it is not the issuer of the server.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets the default validity of an assertion, in seconds; a caller can override it.
    #[must_use]
    pub fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime = Some(seconds);
        self
    }

    /// Allows only these algorithms.
    #[must_use]
    pub fn algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        self.algs = algs.into_iter().collect();
        self
    }

    /// Requires that the header names the key (`kid`).
    #[must_use]
    pub fn named_key(mut self) -> Self {
        self.is_key_named = true;
        self
    }

    /// Sends the requested scope as the claim `scope` and not as a parameter; `default` where none is requested.
    #[must_use]
    pub fn scope_claim(mut self, default: Scope) -> Self {
        self.scope_claim = Some(default);
        self
    }

    /// Requires a claim that the caller sets: to one of these values, or to any if none is listed.
    ///
    /// # Errors
    /// `assertion.claim` for a name that callers cannot set.
    pub fn claim(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Error> {
        if is_reserved(name) {
            return Err(Error::from(Misuse::AssertionClaim).about(name));
        }
        let values = values.into_iter().map(Into::into);
        self.claims.push((name.to_owned(), values.collect()));
        Ok(self)
    }

    /// An assertion with the audience and the lifetime that the server expects. `audience` is used if the requirements
    /// name none.
    pub(crate) fn assertion(
        &self,
        key: SigningKey,
        issuer: String,
        subject: String,
        audience: &str,
    ) -> Result<Assertion, Error> {
        let audience = self.audience.as_deref().unwrap_or(audience);
        let assertion = Assertion::new(key, issuer, subject, audience)?;
        Ok(match self.lifetime {
            Some(seconds) => assertion.lifetime(seconds),
            None => assertion,
        })
    }

    /// Checks an assertion, and moves the requested scope into it where it belongs there. One that the caller
    /// writes itself is its own affair.
    pub(crate) fn apply(&self, assertion: &mut Assertion, scope: &mut Scope) -> Result<(), Error> {
        let wrong = |about: &str| Err(Error::from(Misuse::AssertionClaim).about(about));
        let Content::Claims(claims) = &mut assertion.content else {
            return Ok(());
        };
        let alg = assertion.key.alg();
        if !self.algs.is_empty() && !self.algs.contains(&alg) {
            return Err(Error::from(Misuse::KeyAlgorithm).about(alg.as_str()));
        }
        if self.is_key_named && assertion.key.id().is_empty() {
            return wrong("kid");
        }
        if let Some(default) = &self.scope_claim {
            let requested_scope = std::mem::take(scope);
            let scope = if requested_scope.is_empty() {
                default
            } else {
                &requested_scope
            };
            if claims.extra_claims.get("scope").is_none() && !scope.is_empty() {
                let scope = Value::from(scope.as_str());
                claims.extra_claims.insert("scope".to_owned(), scope);
            }
        }
        for (name, values) in &self.claims {
            let Some(value) = claims.extra_claims.get(name) else {
                return wrong(name);
            };
            let is_listed = |text: &str| values.iter().any(|allowed| allowed == text);
            if !values.is_empty() && !value.as_str().is_some_and(is_listed) {
                return wrong(&format!("{name}: {}", values.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::crypto::Signer;
    use crate::error::Cause;
    use crate::testing::error_code;

    struct Zeros;

    impl Signer for Zeros {
        fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
            Ok(Bytes::new())
        }
    }

    fn key() -> SigningKey {
        SigningKey::local("", Alg::Es256, Arc::new(Zeros))
    }

    #[test]
    fn requirements_are_not_applied_to_a_raw_assertion() {
        let demanding = AssertionRequirements::new()
            .named_key()
            .algs([Alg::Rs256])
            .scope_claim(Scope::parse("a").unwrap());
        let mut scope = Scope::parse("b").unwrap();
        let mut raw = Assertion::of_text(key(), |_| (String::new(), String::new()));
        assert_eq!(error_code(demanding.apply(&mut raw, &mut scope)), Ok(()));
        assert_eq!(scope.as_str(), "b");
        let mut assertion = Assertion::new(key(), "i", "s", "a").unwrap();
        let refused = demanding.apply(&mut assertion, &mut scope);
        assert_eq!(error_code(refused), Err("key.algorithm"));
    }

    #[test]
    fn reserved_claim_names_cannot_be_required() {
        for name in ["", "aud", "jti"] {
            let refused = AssertionRequirements::new().claim(name, ["x"]);
            assert_eq!(
                error_code(refused.map(drop)),
                Err("assertion.claim"),
                "{name}"
            );
        }
    }
}
