//! A token that is only parsed for inspection, and not verified.

use std::fmt;

use super::Claims;
use super::jws::{MAX_BYTES, as_jws};
use crate::base64::{self, Alphabet};
use crate::error::{Error, ProtocolViolation};
use crate::json::{self, Json, Map, Value};

/// The unverified content of a token (RFC 7515 section 3.1, RFC 7516 section 3.1). No signature, time or audience has
/// been checked: anyone could have written it, and nothing in it may be trusted. This type is for tools that show
/// tokens; to sign a user in, or to accept a request, a token has to be verified.
///
/// `Debug` shows only names.
///
/// The claims are read by name:
///
/// ```
/// # use oauth_core::error::Error;
/// use oauth_core::jose::Unverified;
///
/// # fn f(token: &str) -> Result<(), Error> {
/// let seen = Unverified::parse(token)?;
/// let claimed = seen.claims().and_then(|claims| claims.get("sub"));
/// # let _ = claimed;
/// # Ok(())
/// # }
/// ```
///
/// There is no method `subject`, because an unverified subject must not be used:
///
/// ```compile_fail,E0599
/// # use oauth_core::error::Error;
/// use oauth_core::jose::Unverified;
///
/// # fn f(token: &str) -> Result<(), Error> {
/// let seen = Unverified::parse(token)?;
/// let subject = seen.subject();
/// # let _ = subject;
/// # Ok(())
/// # }
/// ```
///
/// An [`IdToken`] or a [`VerifiedAccessToken`] cannot be created from it, from its claims, or from JSON: where one of
/// them is required, an unverified token cannot be passed.
///
/// ```
/// use oauth_core::token::access_token::VerifiedAccessToken;
/// use oauth_core::token::id_token::IdToken;
///
/// fn sign_in(who: &IdToken) -> &str {
///     who.subject()
/// }
/// fn accept(caller: &VerifiedAccessToken) -> &str {
///     caller.subject()
/// }
/// # let _ = (sign_in, accept);
/// ```
///
/// ```compile_fail,E0308
/// # use oauth_core::jose::Unverified;
/// # use oauth_core::token::id_token::IdToken;
/// # fn sign_in(who: &IdToken) -> &str { who.subject() }
/// # fn f(seen: &Unverified) {
/// sign_in(seen);
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use oauth_core::jose::Unverified;
/// # use oauth_core::token::access_token::VerifiedAccessToken;
/// # fn accept(caller: &VerifiedAccessToken) -> &str { caller.subject() }
/// # fn f(seen: &Unverified) {
/// accept(seen);
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use oauth_core::jose::Unverified;
/// # use oauth_core::token::id_token::IdToken;
/// # fn f(seen: Unverified) {
/// let who: IdToken = seen.into();
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use oauth_core::token::id_token::IdToken;
/// # fn f(text: &str) -> Result<(), serde_json::Error> {
/// let who: IdToken = serde_json::from_str(text)?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use oauth_core::token::access_token::VerifiedAccessToken;
/// # fn f(text: &str) -> Result<(), serde_json::Error> {
/// let caller: VerifiedAccessToken = serde_json::from_str(text)?;
/// # Ok(())
/// # }
/// ```
///
/// [`IdToken`]: crate::token::id_token::IdToken
/// [`VerifiedAccessToken`]: crate::token::access_token::VerifiedAccessToken
#[derive(Clone)]
pub struct Unverified {
    header: Map<String, Value>,
    claims: Option<Claims>,
}

impl Unverified {
    /// Parses a JWT in compact serialization: three parts if it is signed, five if it is encrypted. A
    /// header that asks for an unknown or a forbidden algorithm is shown like any other.
    ///
    /// # Errors
    /// `jws.malformed` for any other form, or more than 256 KiB; `jws.duplicate_member`,
    /// `jwt.malformed`, `jwt.duplicate_member`.
    pub fn parse(token: &str) -> Result<Self, Error> {
        let malformed = || Error::from(ProtocolViolation::JwsMalformed);
        if token.len() > MAX_BYTES {
            return Err(malformed());
        }
        let decode = |part: &str| base64::decode(part, Alphabet::UrlSafe).ok_or_else(malformed);
        let parts: Vec<_> = token.splitn(6, '.').collect();
        let (header, payload) = match parts.as_slice() {
            [header, payload, signature] => {
                decode(signature)?;
                (header, Some(decode(payload)?))
            }
            [header, rest @ ..] if rest.len() == 4 => {
                for part in rest {
                    decode(part)?;
                }
                (header, None)
            }
            _ => return Err(malformed()),
        };
        let header = decode(header)?;
        let header = std::str::from_utf8(&header).map_err(|_| malformed())?;
        let Json::Object(header) = json::parse(header).map_err(as_jws)? else {
            return Err(malformed());
        };
        Ok(Self {
            header: header.to_map(),
            claims: payload.map(|payload| Claims::parse(&payload)).transpose()?,
        })
    }

    /// The header.
    pub const fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The token's claims, which may be false; `None` for an encrypted token.
    pub const fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header.keys().collect::<Vec<_>>())
            .field("claims", &self.claims)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!(
            "{}.{}.AA",
            base64::url_safe(header),
            base64::url_safe(payload)
        )
    }

    #[test]
    fn any_well_formed_token_is_parsed_without_verification() -> Result<(), Error> {
        // An algorithm that every check refuses, and an unknown extension.
        let header = r#"{"alg":"none","crit":["x"]}"#;
        let shown = Unverified::parse(&token(header, r#"{"sub":"alice"}"#))?;
        assert_eq!(shown.header().get("alg"), Some(&"none".into()));
        let claims = shown.claims().map(|claims| claims.text("sub"));
        assert!(matches!(claims, Some(Ok(Some("alice")))));
        assert!(!format!("{shown:?}").contains("alice"));
        Ok(())
    }

    #[test]
    fn encrypted_token_yields_only_its_header() -> Result<(), Error> {
        let header = base64::url_safe(r#"{"alg":"dir","enc":"A128GCM"}"#);
        let shown = Unverified::parse(&format!("{header}..AA.AA.AA"))?;
        assert_eq!(shown.header().get("enc"), Some(&"A128GCM".into()));
        assert!(shown.claims().is_none());
        Ok(())
    }

    #[test]
    fn malformed_token_is_refused() {
        let [header, payload] = [r#"{"alg":"ES256"}"#, "{}"];
        let complete = token(header, payload);
        for (text, code) in [
            (String::new(), "jws.malformed"),
            ("abc".to_owned(), "jws.malformed"),
            ("a.b".to_owned(), "jws.malformed"),
            (format!("{complete}.AA"), "jws.malformed"),
            (format!("{complete}.AA.AA.AA"), "jws.malformed"),
            (format!("{complete}!"), "jws.malformed"),
            (token("[]", payload), "jws.malformed"),
            (token(r#"{"a":1,"a":2}"#, payload), "jws.duplicate_member"),
            (token(header, "text"), "jwt.malformed"),
            (token(header, r#"{"a":1,"a":2}"#), "jwt.duplicate_member"),
            (token(header, &" ".repeat(MAX_BYTES)), "jws.malformed"),
        ] {
            let refused = Unverified::parse(&text).map(drop);
            assert_eq!(refused.map_err(|error| error.code()), Err(code));
        }
    }
}
