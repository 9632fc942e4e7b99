//! The audience of an ID token: `aud` and `azp` (OpenID Connect Core section 3.1.3.7).
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>, items 3 to 5 and 8

use super::IdTokenChecks;
use crate::client_config::ClientConfig;
use crate::error::{Error, ValidationFailure};
use crate::jose::{Alg, Claims};

impl IdTokenChecks {
    /// "MUST be rejected if ... it does not list the Client as a valid audience, or if it contains additional
    /// audiences not trusted by the Client" (item 3).
    pub(super) fn audience(
        &self,
        config: &ClientConfig,
        claims: &Claims,
        alg: Alg,
    ) -> Result<(), Error> {
        let client_id = config.client_id.as_str();
        let audience = claims.audience()?;
        if claims.as_map().get("aud").is_none() {
            return Err(Error::from(ValidationFailure::JwtClaimMissing).about("aud"));
        }
        let refuse = |failure: ValidationFailure, member: &str| {
            let mut expected = client_id.to_owned();
            for client_id in &self.client_ids {
                expected = format!("{expected} or {client_id}");
            }
            let detail = format!("it names {member}, expected {expected}");
            Err(Error::from(failure).about(&detail))
        };
        let is_own_client_id = |member: &str| {
            member == client_id || self.client_ids.iter().any(|own_id| own_id == member)
        };
        if !audience.iter().any(|member| is_own_client_id(member)) {
            return refuse(ValidationFailure::JwtAudience, &audience.join(" "));
        }
        let is_trusted = |member: &&str| {
            let mut trusted = self
                .trusted_audiences
                .iter()
                .chain(&config.trusted_audiences);
            is_own_client_id(member) || trusted.any(|trusted| trusted == *member)
        };
        let is_for_it_alone = audience.iter().all(|member| *member == client_id);
        // A signature with a shared secret proves nothing to several audiences (item 8), only to the client that has
        // the secret.
        if !audience.iter().all(is_trusted) || !is_for_it_alone && alg.is_symmetric() {
            return refuse(ValidationFailure::JwtUntrustedAudience, &audience.join(" "));
        }
        let is_for_several = audience
            .iter()
            .any(|member| Some(member) != audience.first());
        match claims.text("azp")? {
            Some(azp) if !is_own_client_id(azp) => refuse(ValidationFailure::IdTokenAzp, azp),
            None if is_for_several => Err(ValidationFailure::IdTokenAzpMissing.into()),
            _ => Ok(()),
        }
    }
}
