//! Authorization responses that are signed JWTs (JARM). Their response modes (section 2.3) are in `response_mode.rs`;
//! encrypted ones (section 2.2) are decrypted in `jose/encryption.rs`.
//!
//! JWT Secured Authorization Response Mode <https://openid.net/specs/oauth-v2-jarm.html#section-2.4>

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::callback::Callback;
use super::pending::PendingAuthorization;
use crate::client_config::ClientConfig;
use crate::error::Error;
use crate::exchange::{Exchange, ExchangeExt as _};
use crate::flow::redeem::Redemption;
use crate::flow::verification::Verification;
use crate::form::Pairs;
use crate::jose::claims::{malformed_claim, read_unverified};
use crate::jose::{Alg, CLOCK_SKEW, Claims, Jws, Validity, decrypt_if_encrypted};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::id_token;

/// The parameter that holds the JWT.
pub(super) const PARAMETER: &str = "response";

/// The claims of the JWT itself, which are not parameters of the response.
const JWT_CLAIMS: [&str; 6] = ["aud", "exp", "iat", "jti", "nbf", "sub"];

/// The verification of a response: its signature with the keys of the expected issuer, its claims, and then the flow's
/// own checks of its parameters.
pub(super) fn redemption(
    config: Arc<ClientConfig>,
    pending: PendingAuthorization,
    response: Secret<String>,
) -> impl Exchange<Output = Redemption> + Send + use<> {
    let allowed = allowed_algs(&config);
    let encryption = config.authorization_encryption.clone();
    let signature = Verification::new(Arc::clone(&config), response, allowed);
    // "obtains the key ... based on the iss" only once that is known to be the expected one (section 2.4, steps 3
    // and 7).
    let signature = signature.encrypted(encryption).issuer_first();
    signature.and_then(move |at, jws| {
        let read = || {
            let claims = check(&config, &jws, at.now())?;
            pending.check_callback(&config, &Callback::from_pairs(parameters(&claims)?)?)
        };
        read().map_err(|error| error.at_endpoint("authorization"))
    })
}

/// The claims, once issuer, audience and times are checked. "aud, exp, iss ... MUST" be present (section 2.1).
fn check(config: &ClientConfig, jws: &Jws, now: UnixTime) -> Result<Claims, Error> {
    // The standard names no type, but a token of another kind names its own.
    jws.check_type(&["jwt"])?;
    let claims = Claims::parse(jws.payload())?;
    id_token::issuer(&config.server, &claims)?;
    // "aud ... the client_id of the client the response is intended for" (section 2.1): of one client.
    claims.check_sole_audience(config.client_id.as_str())?;
    Claims::require_claim("exp", claims.time("exp")?)?;
    let validity = Validity {
        now,
        clock_skew: CLOCK_SKEW,
    };
    validity.check_present(&claims)?;
    Ok(claims)
}

/// The parameters of the response, as if it had been unsigned.
fn parameters(claims: &Claims) -> Result<Pairs<'_>, Error> {
    let mut pairs = Pairs::new();
    for name in Callback::RESPONSE_PARAMETERS
        .into_iter()
        .filter(|name| !JWT_CLAIMS.contains(name))
    {
        if let Some(value) = claims.as_map().get(name) {
            let text = value.as_str().ok_or_else(|| malformed_claim(name))?;
            pairs.push((name.into(), text.into()));
        }
    }
    Ok(pairs)
}

/// `authorization_signed_response_alg`, or the default: "If omitted, the default is RS256" (section
/// 3).
pub(super) fn allowed_algs(config: &ClientConfig) -> Vec<Alg> {
    let member = "authorization_signing_alg_values_supported";
    id_token::accepted_algs(config, config.authorization_algs.as_deref(), member)
}

/// The unverified state of a response: use it only to find the flow.
pub(super) fn claimed_state(
    config: Option<&ClientConfig>,
    response: &str,
) -> Option<Secret<String>> {
    unverified_claim(config, response, "state")
}

/// Whether a response, which is not verified yet, reports an error.
pub(crate) fn claims_error(config: &ClientConfig, response: &str) -> bool {
    unverified_claim(Some(config), response, "error").is_some()
}

fn unverified_claim(
    config: Option<&ClientConfig>,
    response: &str,
    name: &str,
) -> Option<Secret<String>> {
    let encryption = config.and_then(|config| config.authorization_encryption.as_deref());
    let signed = decrypt_if_encrypted(response.into(), encryption).ok()?;
    let claims = read_unverified(signed.expose()).ok()?;
    claims.text(name).ok().flatten().map(Secret::from)
}

/// Whether the response is encrypted, judging by its form.
pub(super) fn is_encrypted(response: &str) -> bool {
    response.split('.').take(6).count() == 5
}
