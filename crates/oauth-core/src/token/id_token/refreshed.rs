//! The rules for the ID token of a refresh (OpenID Connect Core section 12.2). The rules that every ID token has to meet
//! are in `token/id_token.rs`.

use super::{IdTokenChecks, allowed_algs};
use crate::client_config::ClientConfig;
use crate::context::Context;
use crate::error::{Error, ValidationFailure};
use crate::jose::claims::read_unverified;
use crate::jose::{Claims, Jws, decrypt_if_encrypted};
use crate::quirk::Quirk;
use crate::secret::Secret;
use crate::token::Warning;

/// Checks that an ID token from a refresh matches the one before: the same user, server and client, by the rules of
/// section 12.2. The token came directly from the token endpoint, so the TLS certificate replaces the check of its
/// signature (section 3.1.3.7, item 6), and a refresh needs no other request. Returns the token to keep, decrypted if
/// encryption is registered.
///
/// The token's times are compared with each other; if they contradict the local clock, that is only a warning, because
/// an error would lose the new refresh token in the same reply.
///
/// # Errors
/// `jwe.*`, `jws.*`, `jwt.*`, `id_token.*`
pub(crate) fn check_refreshed_id_token(
    cx: &Context<'_>,
    earlier: &Secret<String>,
    token: Secret<String>,
    warnings: &mut Vec<Warning>,
) -> Result<Secret<String>, Error> {
    let encryption = cx.identity.id_token_encryption.as_deref();
    let token = match encryption {
        Some(_) => decrypt_if_encrypted(token, encryption)
            .map_err(|error| error.at_endpoint("id_token"))?,
        None => token,
    };
    // An encrypted stored token, or one from another source, cannot be compared.
    let (Ok(original), false) = (
        read_unverified(earlier.expose()),
        is_encrypted(token.expose()),
    ) else {
        return Ok(token);
    };
    let checks = IdTokenChecks {
        original: Some(original),
        ..IdTokenChecks::default()
    };
    let jws = Jws::parse(token.expose(), &allowed_algs(cx.identity))?;
    let now = cx.at.now();
    let issued = Claims::parse(jws.payload()).and_then(|claims| claims.time("iat"));
    let issued = issued.ok().flatten();
    let checked = checks.check(cx.identity, token, &jws, issued.unwrap_or(now));
    let (id_token, _) = checked.map_err(|error| error.at_endpoint("id_token"))?;
    if checks.check_times(&id_token.claims, now).is_err() {
        warnings.push(Warning::IdTokenTimes);
    }
    Ok(id_token.text)
}

fn is_encrypted(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 4
}

impl IdTokenChecks {
    /// Compares the claims with those of the ID token before, if there is one.
    pub(super) fn check_refreshed(
        &self,
        config: &ClientConfig,
        claims: &Claims,
    ) -> Result<(), Error> {
        let Some(original) = &self.original else {
            return Ok(());
        };
        claims.check_same_text("iss", original, ValidationFailure::JwtIssuer)?;
        // Errors do not contain the subject, because it identifies a user.
        if original.text("sub")? != claims.text("sub")? {
            return Err(ValidationFailure::IdTokenSubjectChanged.into());
        }
        let client_audience = |claims: &Claims| {
            claims.audience().map(|mut names| {
                names.sort_unstable();
                names.dedup();
                names.join(" ")
            })
        };
        let (expected, audience) = (client_audience(original)?, client_audience(claims)?);
        if audience != expected {
            let failure = ValidationFailure::IdTokenAudienceChanged;
            return Err(Claims::mismatch(failure, Some(&audience), Some(&expected)));
        }
        claims.check_same_text("azp", original, ValidationFailure::IdTokenAzp)?;
        // "it SHOULD NOT have a nonce Claim ... if it is present, its value MUST be the same"
        let nonce = claims.text("nonce")?;
        if nonce.is_some() && original.text("nonce")? != nonce {
            return Err(ValidationFailure::IdTokenNonce.into());
        }
        // "its value MUST represent the time of the original authentication"
        let may_follow_last_login = config.server.rules().has(&Quirk::AuthTimeOfLastLogin);
        match (original.time("auth_time")?, claims.time("auth_time")?) {
            (Some(original_time), Some(now)) if now > original_time && may_follow_last_login => {
                Ok(())
            }
            (Some(original_time), Some(now)) if original_time != now => {
                let (now, original_time) = (
                    now.as_secs().to_string(),
                    original_time.as_secs().to_string(),
                );
                let failure = ValidationFailure::IdTokenAuthTimeChanged;
                Err(Claims::mismatch(failure, Some(&now), Some(&original_time)))
            }
            _ => Ok(()),
        }
    }
}
