//! The validity period of a token (RFC 7519 sections 4.1.4 to 4.1.6), with tolerance for clock skew.

use std::time::Duration;

use super::Claims;
use crate::error::{Error, ValidationFailure};
use crate::moment::UnixTime;

/// The default tolerance for clock skew.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The local time, and the tolerated clock skew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) now: UnixTime,
    pub(crate) clock_skew: Duration,
}

impl Validity {
    /// Checks a token that must have `iat` and `exp`, and returns `iat`.
    ///
    /// # Errors
    /// `jwt.missing_claim`, `jwt.malformed_claim`, `jwt.expired`, `jwt.issued_in_future`,
    /// `jwt.not_yet_valid`.
    pub(crate) fn check(&self, claims: &Claims) -> Result<UnixTime, Error> {
        let (expires, issued, begins) = (
            claims.time("exp")?,
            claims.time("iat")?,
            claims.time("nbf")?,
        );
        let expires = Claims::require_claim("exp", expires)?;
        let issued = Claims::require_claim("iat", issued)?;
        self.not_expired(expires)?;
        self.check_issued_at(issued)?;
        self.check_not_before(begins)?;
        Ok(issued)
    }

    /// Checks a token that need not contain these times; those that are present must be valid.
    ///
    /// # Errors
    /// `jwt.malformed_claim`, `jwt.expired`, `jwt.issued_in_future`, `jwt.not_yet_valid`.
    pub(crate) fn check_present(&self, claims: &Claims) -> Result<(), Error> {
        if let Some(expires) = claims.time("exp")? {
            self.not_expired(expires)?;
        }
        if let Some(issued) = claims.time("iat")? {
            self.check_issued_at(issued)?;
        }
        self.check_not_before(claims.time("nbf")?)
    }

    fn check_not_before(&self, begins: Option<UnixTime>) -> Result<(), Error> {
        match begins.filter(|begins| *begins > self.latest_now()) {
            Some(begins) => Err(self.time_error(ValidationFailure::JwtNotYetValid, begins)),
            None => Ok(()),
        }
    }

    /// Checks an expiry, with the clock skew.
    ///
    /// # Errors
    /// `jwt.expired`
    pub(crate) fn not_expired(&self, expires: UnixTime) -> Result<(), Error> {
        if self.now >= expires.after(self.clock_skew) {
            Err(self.time_error(ValidationFailure::JwtExpired, expires))
        } else {
            Ok(())
        }
    }

    /// Checks that the time of issue is not in the future, with the clock skew.
    ///
    /// # Errors
    /// `jwt.issued_in_future`
    pub(crate) fn check_issued_at(&self, issued: UnixTime) -> Result<(), Error> {
        if issued > self.latest_now() {
            Err(self.time_error(ValidationFailure::JwtIssuedInFuture, issued))
        } else {
            Ok(())
        }
    }

    /// The local time plus the tolerated clock skew.
    pub(crate) fn latest_now(&self) -> UnixTime {
        self.now.after(self.clock_skew)
    }

    /// The error of this failure, with both times.
    pub(crate) fn time_error(&self, failure: ValidationFailure, limit: UnixTime) -> Error {
        let (limit, now) = (limit.as_secs(), self.now.as_secs());
        Error::from(failure).about(&format!("{limit} by the token, {now} by this clock"))
    }
}
