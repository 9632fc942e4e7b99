//! The lifetimes in a token response: of the access token, of the unused refresh token, and of the user's
//! authorization.
//!
//! <https://www.rfc-editor.org/rfc/rfc6749#section-5.1>,
//! <https://datatracker.ietf.org/doc/html/draft-ietf-oauth-refresh-token-expiration-03#section-6.1>

use std::time::Duration;

use super::shape_error;
use crate::error::Error;
use crate::json::{Json, Object};
use crate::moment::UnixTime;
use crate::quirk::{Quirk, Rules};
use crate::token::{MAX_LIFETIME, RefreshToken, Warning};

pub(in crate::endpoint) const REFRESH_TOKEN_TIMEOUT: &str = "refresh_token_timeout";
pub(in crate::endpoint) const AUTHORIZATION_EXPIRES_IN: &str = "authorization_expires_in";

/// The expiry times in a response, other than that of the access token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ResponseExpiries {
    /// When the unused refresh token expires (`refresh_token_timeout`).
    pub(super) expires_at: Option<UnixTime>,
    /// When the user's authorization ends (`authorization_expires_in`).
    pub(super) authorization_expires_at: Option<UnixTime>,
}

impl ResponseExpiries {
    pub(super) fn read(
        object: &mut Object<'_>,
        rules: &Rules,
        now: UnixTime,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Error> {
        let mut read_expiry = |member, dialect, warning| {
            let seconds = match object.take(member) {
                Some(value) => lifetime(member, value, rules, now, warning, warnings)?,
                None => dialect_lifetime(object, dialect, now, warning, warnings),
            };
            Ok::<_, Error>(seconds.map(|seconds| now.after(Duration::from_secs(seconds))))
        };
        let expires_at = read_expiry(
            REFRESH_TOKEN_TIMEOUT,
            rules.refresh_token_timeout_member(),
            Warning::MalformedRefreshTokenTimeout,
        )?;
        let authorization_expires_at = read_expiry(
            AUTHORIZATION_EXPIRES_IN,
            rules.authorization_expires_in_member(),
            Warning::MalformedAuthorizationExpiresIn,
        )?;
        // The refresh token timeout "SHALL NOT exceed" the authorization's lifetime. A server that violates this gets a
        // warning, and the earlier time is used.
        if let (Some(idle_expiry), Some(authorization_end)) = (expires_at, authorization_expires_at)
            && idle_expiry > authorization_end
        {
            warnings.push(Warning::RefreshTokenTimeoutExceedsAuthorization);
            return Ok(Self {
                expires_at: Some(authorization_end),
                authorization_expires_at,
            });
        }
        Ok(Self {
            expires_at,
            authorization_expires_at,
        })
    }

    /// The expiry times of a refresh token that was presented and stays valid: those in the response apply to it. If
    /// the response does not name them, the end of the authorization is kept, unless the server has just shown that it
    /// was wrong; the idle expiry is not kept, because the token has just been used.
    pub(super) fn kept_for_same_refresh_token(
        self,
        refresh_token: &RefreshToken,
        now: UnixTime,
    ) -> Self {
        let earlier_end = refresh_token
            .authorization_expires_at
            .filter(|end| now < *end);
        let authorization_expires_at = self.authorization_expires_at.or(earlier_end);
        Self {
            expires_at: match (self.expires_at, authorization_expires_at) {
                (Some(idle_expiry), Some(authorization_end)) => {
                    Some(idle_expiry.min(authorization_end))
                }
                (idle_expiry, _) => idle_expiry,
            },
            authorization_expires_at,
        }
    }
}

/// The lifetime in a proprietary member. Zero means no expiry (Keycloak's offline tokens). A malformed value is only a
/// warning, because no standard defines the member. The member stays in the extra members of the tokens.
fn dialect_lifetime(
    object: &Object<'_>,
    member: Option<&str>,
    now: UnixTime,
    warning: Warning,
    warnings: &mut Vec<Warning>,
) -> Option<u64> {
    let lifetime = seconds(object.get(member?)?).filter(|&seconds| !is_date(seconds, now));
    if lifetime.is_none() {
        warnings.push(warning);
    }
    lifetime
        .filter(|&seconds| seconds > 0)
        .map(|seconds| seconds.min(MAX_LIFETIME))
}

/// The seconds in a member that is a number, or a string if strings are accepted.
fn lifetime(
    member: &str,
    value: Json<'_>,
    rules: &Rules,
    now: UnixTime,
    warning: Warning,
    warnings: &mut Vec<Warning>,
) -> Result<Option<u64>, Error> {
    let seconds = match (&value, rules.is_strict()) {
        (Json::String(_), true) => None,
        _ => seconds(&value),
    };
    match seconds {
        None if rules.is_strict() => Err(shape_error(member)),
        Some(seconds) if !is_date(seconds, now) => Ok(Some(seconds.min(MAX_LIFETIME))),
        _ => {
            warnings.push(warning);
            Ok(None)
        }
    }
}

/// The lifetime in `expires_in`. A value that is too large saturates. A value that is not a number counts as unknown:
/// the expiry is then noticed by a 401, whereas an error would fail the whole login.
pub(super) fn expires_in(
    object: &mut Object<'_>,
    rules: &Rules,
    now: UnixTime,
    warnings: &mut Vec<Warning>,
) -> Result<Option<u64>, Error> {
    let Some(value) = object.take("expires_in") else {
        return Ok(remaining_lifetime(object, rules, now, warnings));
    };
    let warning = Warning::MalformedExpiresIn;
    let lifetime = lifetime("expires_in", value, rules, now, warning, warnings)?;
    let is_forever = rules.has(&Quirk::ZeroLifetimeIsForever);
    Ok(lifetime.filter(|&seconds| seconds > 0 || !is_forever))
}

/// The seconds until the expiry, if the response names a point in time.
fn remaining_lifetime(
    object: &mut Object<'_>,
    rules: &Rules,
    now: UnixTime,
    warnings: &mut Vec<Warning>,
) -> Option<u64> {
    let expires_at = seconds(&object.take(rules.expires_at_member()?)?);
    let expires_at =
        expires_at.filter(|&expires_at| is_date(expires_at, now) && expires_at < MIN_MILLISECONDS);
    if expires_at.is_none() {
        warnings.push(Warning::MalformedExpiresIn);
    }
    expires_at.map(|expires_at| expires_at.saturating_sub(now.as_secs()))
}

/// From this number on, a time is read as milliseconds: as seconds it would be in the year 5138.
const MIN_MILLISECONDS: u64 = 100_000_000_000;

/// Whether a lifetime is really a point in time, in seconds or milliseconds since the epoch: a number that is decades
/// as a lifetime, and within ten years of now as a date.
fn is_date(seconds: u64, now: UnixTime) -> bool {
    const TEN_YEARS: u64 = 10 * 366 * 24 * 3600;
    let is_within_ten_years = |at: u64| at.abs_diff(now.as_secs()) <= TEN_YEARS;
    seconds >= 1_000_000_000
        && (is_within_ten_years(seconds) || is_within_ten_years(seconds / 1000))
}

/// A number of seconds, or a string with one.
pub(in crate::endpoint) fn seconds(value: &Json<'_>) -> Option<u64> {
    match value {
        Json::String(text) => seconds_in_text(text),
        value => value.as_seconds(),
    }
}

/// Parses a number in a string, as Microsoft and PayPal send it.
fn seconds_in_text(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then(|| whole.parse().unwrap_or(u64::MAX))
}
