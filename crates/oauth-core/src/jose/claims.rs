//! The claims of a JWT whose signature was verified (RFC 7519 section 4).

use std::fmt;

use super::jws::MAX_BYTES;
use crate::base64::{self, Alphabet};
use crate::error::{Error, Kind, ProtocolViolation, ValidationFailure};
use crate::json::{self, Json, Map, Object, Value};
use crate::moment::UnixTime;

/// The claims of a verified token. `Debug` shows only names, because the values are personal data.
#[derive(Clone, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the claims from the payload of a JWT.
    ///
    /// # Errors
    /// `jwt.malformed` if it is not a JSON object, `jwt.duplicate_member`.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::from(ProtocolViolation::JwtMalformed);
        let text = std::str::from_utf8(payload).map_err(|_| malformed())?;
        match json::parse(text) {
            Ok(Json::Object(object)) => Ok(Self(object.to_map())),
            Ok(_) => Err(malformed()),
            Err(error)
                if matches!(
                    error.kind(),
                    Kind::Malformed(ProtocolViolation::ReplyDuplicate)
                ) =>
            {
                let name = error.detail().unwrap_or_default().to_owned();
                Err(Error::from(ProtocolViolation::JwtDuplicate).about(&name))
            }
            Err(_) => Err(malformed()),
        }
    }

    /// The claims that a server sent outside a JWT, as an introspection response does.
    #[cfg(feature = "sha2")]
    pub(crate) const fn from_map(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub(crate) fn from_object(object: &Object<'_>) -> Self {
        Self(object.to_map())
    }

    /// Claims that were verified before, and stored as JSON.
    ///
    /// # Errors
    /// `jwt.malformed`, `jwt.duplicate_member`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::parse(text.as_bytes())
    }

    /// The claim of this name; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .get(name)
            .filter(|value| !matches!(value, Value::Null))
    }

    /// All claims.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// All claims, owned.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// The claims as JSON, to store or to pass on.
    pub fn to_json(&self) -> String {
        json::map_text(&self.0)
    }

    /// The claim of this name as a string.
    ///
    /// # Errors
    /// `jwt.malformed_claim` if it is something else, including `null`.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(malformed_claim(name)),
        }
    }

    /// Checks that a claim has the same value as in another token, whose value is the expected one.
    ///
    /// # Errors
    /// `jwt.malformed_claim`, and this failure, with both values.
    pub(crate) fn check_same_text(
        &self,
        name: &str,
        expected: &Self,
        failure: ValidationFailure,
    ) -> Result<(), Error> {
        let (claim, expected) = (self.text(name)?, expected.text(name)?);
        if claim == expected {
            return Ok(());
        }
        Err(Self::mismatch(failure, claim, expected))
    }

    /// An error with this failure, which names the claim's value and the expected value.
    pub(crate) fn mismatch(
        failure: ValidationFailure,
        claim: Option<&str>,
        expected: Option<&str>,
    ) -> Error {
        let (claim, expected) = (claim.unwrap_or("none"), expected.unwrap_or("none"));
        let detail = ["it names ", claim, ", expected ", expected].concat();
        Error::from(failure).about(&detail)
    }

    /// A `NumericDate`: seconds since the epoch, whose fraction is dropped (RFC 7519 section 2). A time before 1970 is
    /// returned as 1970, one beyond the range as the largest.
    ///
    /// # Errors
    /// `jwt.malformed_claim` if it is not a number.
    pub fn time(&self, name: &str) -> Result<Option<UnixTime>, Error> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let time = numeric_date(value);
        time.map(Some).ok_or_else(|| malformed_claim(name))
    }

    /// `may_act`: the claims that identify the party that may act for the subject, such as `sub` and `iss` (RFC 8693
    /// section 4.4). The claims only identify that party: an `exp` or `aud` among them has no effect on the token. A
    /// value that is not an object identifies no party, and counts as absent.
    pub fn may_act(&self) -> Option<&Map<String, Value>> {
        self.get("may_act").and_then(Value::as_object)
    }

    /// `aud`: one string or a list of strings (RFC 7519 section 4.1.3).
    ///
    /// # Errors
    /// `jwt.malformed_claim`.
    pub fn audience(&self) -> Result<Vec<&str>, Error> {
        self.texts("aud")
    }

    /// The claim of this name as one string, or a list of strings.
    ///
    /// # Errors
    /// `jwt.malformed_claim`.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, Error> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(list)) => {
                let texts = list
                    .iter()
                    .map(|value| value.as_str().ok_or_else(|| malformed_claim(name)));
                texts.collect()
            }
            Some(_) => Err(malformed_claim(name)),
        }
    }

    /// Checks that `iss` is this issuer.
    ///
    /// # Errors
    /// `jwt.missing_claim`, `jwt.malformed_claim`, `jwt.issuer`.
    pub(crate) fn check_issuer(&self, issuer: &str) -> Result<(), Error> {
        let iss = Self::require_claim("iss", self.text("iss")?)?;
        if iss == issuer {
            return Ok(());
        }
        let detail = format!("it names {iss}, expected {issuer}");
        Err(Error::from(ValidationFailure::JwtIssuer).about(&detail))
    }

    /// Checks that `aud` contains this recipient.
    ///
    /// # Errors
    /// `jwt.missing_claim`, `jwt.malformed_claim`, `jwt.audience`.
    pub(crate) fn check_audience(&self, recipient: &str) -> Result<(), Error> {
        Self::require_claim("aud", self.get("aud"))?;
        let audience = self.audience()?;
        if audience.contains(&recipient) {
            return Ok(());
        }
        let detail = format!("it names {}, expected {recipient}", audience.join(" "));
        Err(Error::from(ValidationFailure::JwtAudience).about(&detail))
    }

    /// Checks that `aud` is this recipient alone.
    ///
    /// # Errors
    /// The errors of [`Self::check_audience`]; `jwt.untrusted_audience`.
    pub(crate) fn check_sole_audience(&self, recipient: &str) -> Result<(), Error> {
        self.check_audience(recipient)?;
        match self.audience()?.len() {
            1 => Ok(()),
            _ => Err(ValidationFailure::JwtUntrustedAudience.into()),
        }
    }

    /// Refuses a token that claims to be of one of these kinds, in claims of these names.
    ///
    /// # Errors
    /// `jwt.unexpected_claim`
    pub(crate) fn refuse_kinds(&self, kinds: &[(&str, &[&str])]) -> Result<(), Error> {
        for (name, kinds) in kinds {
            if matches!(self.get(name), Some(Value::String(kind)) if kinds.contains(&kind.as_str()))
            {
                return Err(Error::from(ValidationFailure::JwtUnexpectedClaim).about(name));
            }
        }
        Ok(())
    }

    pub(crate) fn require_claim<T>(name: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| Error::from(ValidationFailure::JwtClaimMissing).about(name))
    }
}

/// The claims of a token that this client only forwards: nothing in it may be trusted.
///
/// # Errors
/// `jws.malformed` if it is not a JWS in compact serialization; `jwt.malformed`, `jwt.duplicate_member`.
pub(crate) fn read_unverified(token: &str) -> Result<Claims, Error> {
    let malformed = || Error::from(ProtocolViolation::JwsMalformed);
    let parts: Vec<_> = token.split('.').take(4).collect();
    let decoded: Option<Vec<_>> = parts
        .iter()
        .map(|part| base64::decode(part, Alphabet::UrlSafe))
        .collect();
    match decoded.as_deref() {
        Some([_, payload, _]) if token.len() <= MAX_BYTES => Claims::parse(payload),
        _ => Err(malformed()),
    }
}

/// The time that a number represents, as [`Claims::time`] reads it; `None` if it is not a number, or beyond the range.
pub(crate) fn numeric_date(value: &Value) -> Option<UnixTime> {
    let Value::Number(number) = value else {
        return None;
    };
    // A negative integer is a float in serde_json, but not in the browser build's type.
    let float = || number.as_f64().or(number.as_i64().map(|_| 0.0));
    // The cast saturates. A number beyond the range of f64 was read as `f64::MAX`, and is refused.
    let in_range = || float().filter(|float| float.abs() < f64::MAX);
    let seconds = number
        .as_u64()
        .or_else(|| in_range().map(|float| float as u64));
    seconds.map(UnixTime::from_secs)
}

pub(crate) fn malformed_claim(name: &str) -> Error {
    Error::from(ProtocolViolation::JwtClaim).about(name)
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
