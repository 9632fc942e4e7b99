//! The checks of a token, one for each rule, with the error codes of the library.
//!
//! Whether a login or an API would accept the token is decided by the library itself: see [`super::keys`]. Here each
//! rule is checked on its own, so that all failures are shown at once.

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::jose::{CLOCK_SKEW, Claims};
use oauth_core::moment::UnixTime;
use oauth_core::token::access_token::AccessTokenProfile;
use serde_json::{Map, Value};

use super::CheckedTokenType;
use super::keys::KeySource;
use crate::time::{relative, rfc3339};

/// The check of the signature.
pub(super) const SIGNATURE: &str = "signature";

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// The finding as text, or the error of the rule.
    pub(super) outcome: Result<String, Error>,
}

/// The requested checks.
pub(super) struct RequestedChecks {
    pub(super) typ: Option<CheckedTokenType>,
    pub(super) issuer: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) profile: AccessTokenProfile,
}

impl RequestedChecks {
    pub(super) fn has_checks(&self) -> bool {
        let texts = [&self.issuer, &self.client_id, &self.nonce];
        let has_text_check = texts.iter().any(|text| text.is_some());
        self.typ.is_some() || has_text_check || !self.audience.is_empty()
    }

    /// The issuer, if the token is verified as a whole; `None` if only its claims are checked.
    pub(super) fn verification_issuer(&self, keys: &KeySource) -> Option<&str> {
        let is_verified =
            !matches!(keys, KeySource::None) || self.typ == Some(CheckedTokenType::AccessToken);
        self.issuer.as_deref().filter(|_| is_verified)
    }

    /// Checks the claims of the token; the times always.
    pub(super) fn check(
        &self,
        header: &Map<String, Value>,
        claims: &Claims,
        now: UnixTime,
    ) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut add = |name, outcome| checks.push(Check { name, outcome });
        let is_id_token = matches!(self.typ, Some(CheckedTokenType::IdToken));
        if is_id_token {
            add("typ", check_typ(header));
        }
        if let Some(issuer) = &self.issuer {
            add(
                "iss",
                equals(claims, "iss", issuer, ValidationFailure::JwtIssuer),
            );
        }
        if is_id_token {
            add("sub", required_text(claims, "sub"));
        }
        if !self.audience.is_empty() {
            let expected: Vec<_> = self.audience.iter().map(String::as_str).collect();
            add("aud", check_audience(claims, &expected));
        }
        if let Some(client_id) = &self.client_id {
            match self.typ {
                // The claim that names it depends on the server: see the verdict of an API.
                Some(CheckedTokenType::AccessToken) => {}
                Some(CheckedTokenType::IdToken) => {
                    add("aud", check_audience(claims, &[client_id]));
                    add("azp", authorized_party(claims, client_id));
                }
                None => add("aud", check_audience(claims, &[client_id])),
            }
        }
        if let Some(nonce) = &self.nonce {
            add(
                "nonce",
                equals(claims, "nonce", nonce, ValidationFailure::IdTokenNonce),
            );
        }
        for name in ["exp", "nbf", "iat"] {
            // The times are optional in a JWT, but required in these two types (OpenID Connect Core section 2, RFC 9068
            // section 2.2).
            let is_needed = self.typ.is_some() && name != "nbf";
            if is_needed || claims.get(name).is_some() {
                add(name, in_time(claims, name, now));
            }
        }
        checks
    }
}

/// Checks `typ` of an ID token's header (RFC 8725 section 3.11).
fn check_typ(header: &Map<String, Value>) -> Result<String, Error> {
    let typ = header.get("typ").and_then(Value::as_str);
    let lower = typ.map(str::to_ascii_lowercase);
    let lower = lower.as_deref();
    let short = lower.map(|name| name.strip_prefix("application/").unwrap_or(name));
    let typ = typ.unwrap_or("not set");
    if [None, Some("jwt"), Some("id_token+jwt")].contains(&short) {
        Ok(typ.to_owned())
    } else {
        Err(Error::from(ValidationFailure::JwtType).about(typ))
    }
}

/// A required claim that is a string.
fn required_text(claims: &Claims, name: &str) -> Result<String, Error> {
    match claims.text(name)? {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(missing(name)),
    }
}

fn equals(
    claims: &Claims,
    name: &str,
    expected: &str,
    failure: ValidationFailure,
) -> Result<String, Error> {
    match claims.text(name)? {
        Some(named) if named == expected => Ok(named.to_owned()),
        Some(named) => Err(mismatch(failure, named, expected)),
        None => Err(missing(name)),
    }
}

/// Checks that the audience contains one of these.
fn check_audience(claims: &Claims, expected: &[&str]) -> Result<String, Error> {
    let audience = claims.audience()?;
    match audience.as_slice() {
        [] => Err(missing("aud")),
        named if named.iter().any(|name| expected.contains(name)) => Ok(named.join(" ")),
        named => Err(mismatch(
            ValidationFailure::JwtAudience,
            &named.join(" "),
            &expected.join(" or "),
        )),
    }
}

/// Checks `azp` (OpenID Connect Core section 3.1.3.7, rules 4 and 5).
fn authorized_party(claims: &Claims, client_id: &str) -> Result<String, Error> {
    match claims.text("azp")? {
        Some(azp) if azp == client_id => Ok(azp.to_owned()),
        Some(azp) => Err(mismatch(ValidationFailure::IdTokenAzp, azp, client_id)),
        None if claims.audience()?.len() > 1 => Err(ValidationFailure::IdTokenAzpMissing.into()),
        None => Ok("not required for a single audience".to_owned()),
    }
}

/// Checks a time, with an allowance for clock skew.
fn in_time(claims: &Claims, name: &str, now: UnixTime) -> Result<String, Error> {
    let at = claims.time(name)?.ok_or_else(|| missing(name))?;
    let failure = match name {
        "exp" if now >= at.after(CLOCK_SKEW) => Some(ValidationFailure::JwtExpired),
        "nbf" if at > now.after(CLOCK_SKEW) => Some(ValidationFailure::JwtNotYetValid),
        "iat" if at > now.after(CLOCK_SKEW) => Some(ValidationFailure::JwtIssuedInFuture),
        _ => None,
    };
    let words = format!("{}, {}", rfc3339(at), relative(at, now));
    match failure {
        None => Ok(words),
        Some(failure) => Err(Error::from(failure).about(&words)),
    }
}

fn missing(name: &str) -> Error {
    Error::from(ValidationFailure::JwtClaimMissing).about(name)
}

pub(super) fn mismatch(failure: ValidationFailure, named: &str, expected: &str) -> Error {
    Error::from(failure).about(&format!("found {named}, expected {expected}"))
}
