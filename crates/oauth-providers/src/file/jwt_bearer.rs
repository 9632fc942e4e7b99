//! `[jwt_bearer]`: what the provider expects of the JWTs that its clients sign themselves to obtain tokens, beyond RFC
//! 7523.

use std::collections::BTreeMap;

use oauth_core::assertion::AssertionRequirements;
use oauth_core::jose::Alg;
use oauth_core::{Error, Scope};
use serde::Deserialize;

use super::File;
use crate::template::provider_data_error;

/// The description of such a JWT.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    /// The audience, where it is not the issuer.
    audience: Option<String>,
    /// How many seconds it is valid, unless the caller says otherwise.
    lifetime: Option<u32>,
    /// The only algorithms that are accepted.
    #[serde(default)]
    algs: Vec<String>,
    #[serde(default)]
    kid: Kid,
    /// The scope is the claim `scope`, by default this one, and not a parameter.
    scope_claim: Option<Scope>,
    /// The claims that the caller must set.
    #[serde(default)]
    claims: BTreeMap<String, Claim>,
}

/// Whether the header names the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kid {
    #[default]
    Optional,
    Required,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// The description, for display.
    #[serde(default)]
    #[allow(dead_code, reason = "documents the format of the file")]
    description: String,
    /// The possible values; without any, all texts are.
    #[serde(default)]
    values: Vec<String>,
}

impl File {
    /// What the provider expects of assertions.
    ///
    /// # Errors
    /// `provider.data`, naming the member.
    pub(crate) fn assertion_requirements(&self) -> Result<Option<AssertionRequirements>, Error> {
        self.jwt_bearer.as_ref().map(Description::read).transpose()
    }
}

impl Description {
    fn read(&self) -> Result<AssertionRequirements, Error> {
        let mut requirements = AssertionRequirements::new();
        if let Some(audience) = &self.audience {
            if audience.is_empty() {
                return Err(provider_data_error("jwt_bearer.audience: empty"));
            }
            requirements = requirements.audience(audience);
        }
        if let Some(seconds) = self.lifetime {
            if seconds == 0 {
                return Err(provider_data_error("jwt_bearer.lifetime: 0"));
            }
            requirements = requirements.lifetime(seconds);
        }
        let read = |name: &String| {
            let wrong =
                || provider_data_error(&format!("jwt_bearer.algs: no algorithm is called {name}"));
            Alg::from_name(name).ok_or_else(wrong)
        };
        let algs = self.algs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        requirements = requirements.algs(algs);
        if self.kid == Kid::Required {
            requirements = requirements.named_key();
        }
        if let Some(scope) = &self.scope_claim {
            requirements = requirements.scope_claim(scope.clone());
        }
        for (name, claim) in &self.claims {
            let required = requirements.claim(name, &claim.values);
            requirements = required.map_err(|_| {
                provider_data_error(&format!("jwt_bearer.claims.{name}: callers cannot set it"))
            })?;
        }
        Ok(requirements)
    }
}
