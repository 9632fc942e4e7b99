//! Strict parser of the compact serialization of JWS (RFC 7515 section 7.1). The algorithms are
//! in `jose.rs`, and which key fits which is in `jwk.rs` and `key_set.rs`.

use bytes::Bytes;

use super::Alg;
use crate::base64::{self, Alphabet};
use crate::error::{Error, Kind, ProtocolViolation, ValidationFailure};
use crate::json::{self, Json, Object};
use crate::secret::Secret;

/// The largest token that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 256 << 10;

/// The header members of RFC 7515, RFC 7518 and RFC 7519: none of them may be listed as critical.
const REGISTERED: [&str; 23] = [
    "alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "enc",
    "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "iss", "sub", "aud",
];

/// A parsed JWS. It does not record whether its signature has been verified; its owner does.
#[derive(Clone)]
pub(crate) struct Jws {
    pub(crate) alg: Alg,
    /// The name of the key: untrusted text, used only for a comparison.
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) signing_input: Bytes,
    pub(crate) signature: Bytes,
    payload: Vec<u8>,
}

impl Jws {
    /// Parses a token. Keys in its header (`jwk`, `jku`, `x5c`, `x5u`) are ignored.
    ///
    /// # Errors
    /// `jws.malformed`, `jws.duplicate_member`, `jws.unsupported_crit`; `jws.alg_not_allowed` for an
    /// algorithm that is not one of `allowed_algs`.
    pub(crate) fn parse(token: &str, allowed_algs: &[Alg]) -> Result<Self, Error> {
        let malformed = || Error::from(ProtocolViolation::JwsMalformed);
        if token.len() > MAX_BYTES {
            return Err(malformed());
        }
        let (signing_input, _) = token.rsplit_once('.').ok_or_else(malformed)?;
        let mut parts = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        let decode = |part: &str| base64::decode(part, Alphabet::UrlSafe).ok_or_else(malformed);
        let (header_bytes, payload_bytes) = (decode(header)?, decode(payload)?);
        let signature = decode(signature)?;
        let header_text = std::str::from_utf8(&header_bytes).map_err(|_| malformed())?;
        let Json::Object(members) = json::parse(header_text).map_err(as_jws)? else {
            return Err(malformed());
        };
        let text = |name: &str| match members.get(name) {
            // `null` is not treated as absent here, because a `kid` "MUST be a case-sensitive string" (section 4.1.4).
            None if !members.has(name) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_ref())),
            _ => Err(malformed().about(name)),
        };
        let name = text("alg")?.ok_or_else(|| malformed().about("alg"))?;
        let refused = || alg_refused(name, allowed_algs);
        let alg = Alg::from_name(name).ok_or_else(refused)?;
        if !allowed_algs.contains(&alg) {
            return Err(refused());
        }
        critical(&members, ProtocolViolation::JwsMalformed)?;
        // An unencoded payload (RFC 7797), whether or not it is listed as critical, as section 6 requires.
        if members.has("b64") && !matches!(members.get("b64"), Some(Json::Bool(true))) {
            return Err(Error::from(ProtocolViolation::JwsCrit).about("b64"));
        }
        Ok(Self {
            alg,
            kid: text("kid")?.map(str::to_owned),
            typ: text("typ")?.map(str::to_owned),
            signing_input: Bytes::copy_from_slice(signing_input.as_bytes()),
            signature: signature.into(),
            payload: payload_bytes,
        })
    }

    /// The error of a token whose algorithm is not one of these.
    pub(crate) fn alg_refused(&self, allowed_algs: &[Alg]) -> Error {
        alg_refused(self.alg.as_str(), allowed_algs)
    }

    /// The signed payload. Nothing in it may be trusted before the signature is verified.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The token, as it was signed.
    pub(crate) fn compact(&self) -> Secret<String> {
        let input = std::str::from_utf8(&self.signing_input).unwrap_or_default();
        super::compact(input, &self.signature)
    }

    /// Checks that `typ` is one of these, or absent: that this is not a token of another kind (RFC 8725 section 3.11).
    ///
    /// # Errors
    /// `jwt.typ`
    pub(crate) fn check_type(&self, accepted_types: &[&str]) -> Result<(), Error> {
        if self.has_type(accepted_types) {
            Ok(())
        } else {
            let typ = self.typ.as_deref().unwrap_or_default();
            Err(Error::from(ValidationFailure::JwtType).about(typ))
        }
    }

    /// Whether `typ` is one of these, or absent. A name without a slash is an abbreviation of `application/` with that
    /// name (RFC 7515 section 4.1.9), in any case.
    pub(crate) fn has_type(&self, accepted_types: &[&str]) -> bool {
        let Some(typ) = &self.typ else {
            return true;
        };
        let media_type = typ.to_ascii_lowercase();
        let media_type = media_type
            .strip_prefix("application/")
            .unwrap_or(&media_type);
        accepted_types.contains(&media_type)
    }
}

fn alg_refused(name: &str, allowed_algs: &[Alg]) -> Error {
    let allowed_algs: Vec<_> = allowed_algs.iter().map(|alg| alg.as_str()).collect();
    let detail = format!("{name}, allowed: {}", allowed_algs.join(" "));
    Error::from(ValidationFailure::JwsAlg).about(&detail)
}

/// Refuses critical extensions, because none is supported here (RFC 7515 section 4.1.11).
pub(super) fn critical(members: &Object<'_>, malformed: ProtocolViolation) -> Result<(), Error> {
    let malformed = || Error::from(malformed).about("crit");
    let Some(crit) = members.get("crit") else {
        // `null` is not treated as absent here: the sender marked something as critical.
        return if members.has("crit") {
            Err(malformed())
        } else {
            Ok(())
        };
    };
    let names = match crit {
        Json::Array(names) if !names.is_empty() => names,
        _ => return Err(malformed()),
    };
    let mut unknown = None;
    for name in names {
        match name {
            Json::String(name) if !REGISTERED.contains(&name.as_ref()) => {
                unknown.get_or_insert(name.as_ref());
            }
            _ => return Err(malformed()),
        }
    }
    Err(Error::from(ProtocolViolation::JwsCrit).about(unknown.unwrap_or_default()))
}

/// Converts a JSON error of a reply into the error of a token.
pub(super) fn as_jws(error: Error) -> Error {
    let violation = if matches!(
        error.kind(),
        Kind::Malformed(ProtocolViolation::ReplyDuplicate)
    ) {
        ProtocolViolation::JwsDuplicate
    } else {
        ProtocolViolation::JwsMalformed
    };
    Error::from(violation).about(error.detail().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::error_code;

    /// RFC 7797 section 6: only a verifier that supports `b64` can read such a payload.
    #[test]
    fn unencoded_payload_is_refused_even_if_b64_is_not_listed_as_critical() {
        let parse = |extra_members: &str| {
            let header = format!(r#"{{"alg":"RS256"{extra_members}}}"#);
            let token = format!("{}.e30.AA", base64::url_safe(header));
            error_code(Jws::parse(&token, &[Alg::Rs256]).map(drop))
        };
        assert_eq!(parse(r#","b64":true"#), Ok(()));
        for b64 in ["false", "null", "0", r#""false""#] {
            let extra_members = format!(r#","b64":{b64}"#);
            assert_eq!(parse(&extra_members), Err("jws.unsupported_crit"), "{b64}");
        }
    }

    #[test]
    fn null_header_members_are_refused() {
        let parse = |header: &str| {
            let token = format!("{}.e30.AA", base64::url_safe(header));
            error_code(Jws::parse(&token, &[Alg::Rs256]).map(drop))
        };
        assert_eq!(parse(r#"{"alg":"RS256"}"#), Ok(()));
        for header in [
            r#"{"alg":null}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","typ":null}"#,
        ] {
            assert_eq!(parse(header), Err("jws.malformed"), "{header}");
        }
    }
}
