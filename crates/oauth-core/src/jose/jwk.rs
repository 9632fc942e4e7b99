//! Public keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2). The members that say what a key is for (`use`,
//! `key_ops`, `alg`, `kid`) are read in `key_set.rs`.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{Alg, Curve, JweAlg};
use crate::base64::{self, Alphabet};
use crate::error::{Error, Misuse};
use crate::json::{self, Json, Object};
use crate::json::{Map, Value};
#[cfg(feature = "sha2")]
use crate::secret::Secret;

/// The public half of a key, with only the members that define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    /// The members in lexical order, as thumbprints require (RFC 7638 section 3.2).
    members: Vec<(&'static str, String)>,
    alg_family: Family,
    derived: DerivedValue,
}

/// A value that a host derived from a key, such as its parsed form. It does not affect equality.
#[derive(Clone, Default)]
struct DerivedValue(OnceLock<Arc<dyn Any + Send + Sync>>);

impl fmt::Debug for DerivedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "yes" } else { "no" })
    }
}

impl PartialEq for DerivedValue {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for DerivedValue {}

/// The kind of a key, which determines its algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    P256,
    P384,
    P521,
    Ed25519,
    /// Only for key agreement.
    X25519,
    Rsa,
}

/// The longest public exponent of an RSA key, in bytes.
const MAX_EXPONENT: usize = 8;
/// Members that only a private or a symmetric key has (RFC 7518 sections 6.2.2, 6.3.2, 6.4).
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicJwk {
    /// Reads a key. Members other than those that define it, such as `kid`, are left out.
    ///
    /// # Errors
    /// `key.malformed` if it is not a public key of a kind that signs; a private key is refused, too.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match json::parse(text) {
            Ok(Json::Object(object)) => Self::read(&object),
            _ => Err(Misuse::KeyMalformed.into()),
        }
    }

    pub(crate) fn read(object: &Object<'_>) -> Result<Self, Error> {
        let key = Self::read_any(object)?;
        match key.alg_family {
            Family::X25519 => Err(Error::from(Misuse::KeyMalformed).about("OKP X25519")),
            _ => Ok(key),
        }
    }

    /// Reads a key of any kind, including one that only encrypts.
    pub(super) fn read_any(object: &Object<'_>) -> Result<Self, Error> {
        let malformed_key = |reason: &str| Error::from(Misuse::KeyMalformed).about(reason);
        if let Some(name) = PRIVATE_MEMBERS
            .iter()
            .find(|name| object.get(name).is_some())
        {
            return Err(malformed_key(&format!(
                "{name}: only the public half belongs here"
            )));
        }
        let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
        let number = |name: &'static str, bytes: Option<usize>| {
            let decoded = base64::decode(text(name), Alphabet::UrlSafe).unwrap_or_default();
            let zeros = decoded.iter().take_while(|byte| **byte == 0).count();
            match (bytes, decoded.get(zeros..)) {
                (Some(bytes), _) if decoded.len() == bytes => Ok((name, text(name).to_owned())),
                // "the minimum number of octets" (RFC 7518 section 2): without the leading zeros that some servers
                // write, a key has one thumbprint, and every verifier can read it.
                (None, Some(significant @ [_, ..])) => Ok((name, base64::url_safe(significant))),
                _ => Err(malformed_key(name)),
            }
        };
        let member = |name: &'static str| (name, text(name).to_owned());
        let (members, alg_family) = match (text("kty"), text("crv")) {
            ("EC", crv @ ("P-256" | "P-384" | "P-521")) => {
                let (family, bytes) = match crv {
                    "P-256" => (Family::P256, 32),
                    "P-384" => (Family::P384, 48),
                    _ => (Family::P521, 66),
                };
                let (x, y) = (number("x", Some(bytes))?, number("y", Some(bytes))?);
                (vec![member("crv"), member("kty"), x, y], family)
            }
            ("OKP", crv @ ("Ed25519" | "X25519")) => {
                let family = match crv {
                    "Ed25519" => Family::Ed25519,
                    _ => Family::X25519,
                };
                let x = number("x", Some(32))?;
                (vec![member("crv"), member("kty"), x], family)
            }
            ("RSA", _) => {
                let (e, n) = (number("e", None)?, number("n", None)?);
                (vec![e, member("kty"), n], Family::Rsa)
            }
            (kty, crv) => return Err(malformed_key(&format!("{kty} {crv}"))),
        };
        let key = Self {
            members,
            alg_family,
            derived: DerivedValue::default(),
        };
        if key.has_acceptable_numbers() {
            Ok(key)
        } else {
            Err(malformed_key(
                "an RSA key has 2048 to 8192 bits, an odd modulus, and an odd exponent above 1 of at most 8 bytes",
            ))
        }
    }

    /// Whether a signature by this algorithm can be made with such a key.
    pub const fn fits(&self, alg: Alg) -> bool {
        matches!(
            (self.alg_family, alg),
            (Family::P256, Alg::Es256)
                | (Family::P384, Alg::Es384)
                | (Family::P521, Alg::Es512)
                | (Family::Ed25519, Alg::EdDsa | Alg::Ed25519)
                | (
                    Family::Rsa,
                    Alg::Ps256 | Alg::Ps384 | Alg::Ps512 | Alg::Rs256 | Alg::Rs384 | Alg::Rs512
                )
        )
    }

    pub(super) const fn is_rsa(&self) -> bool {
        matches!(self.alg_family, Family::Rsa)
    }

    /// Whether keys of this kind can sign.
    pub(super) fn can_sign(&self) -> bool {
        self.alg_family != Family::X25519
    }

    /// Whether keys of this kind can be encrypted to.
    pub(super) fn can_encrypt(&self) -> bool {
        self.alg_family != Family::Ed25519
    }

    /// Whether a content's key can be encrypted to such a key by this algorithm, or agreed on.
    pub(super) const fn fits_encryption(&self, alg: JweAlg) -> bool {
        match self.alg_family {
            Family::Rsa => alg.is_rsa(),
            Family::Ed25519 => false,
            _ => alg.has_ephemeral_key(),
        }
    }

    /// The curve of a key that can be used for key agreement.
    pub const fn curve(&self) -> Option<Curve> {
        match self.alg_family {
            Family::P256 => Some(Curve::P256),
            Family::P384 => Some(Curve::P384),
            Family::P521 => Some(Curve::P521),
            Family::X25519 => Some(Curve::X25519),
            Family::Ed25519 | Family::Rsa => None,
        }
    }

    /// The bytes of one of the key's members, such as `x` or `n`.
    pub fn bytes(&self, member: &str) -> Option<Vec<u8>> {
        let (_, text) = self.members.iter().find(|(name, _)| *name == member)?;
        base64::decode(text, Alphabet::UrlSafe)
    }

    /// The value that the host derives from the key for verification. It is computed once and kept with the key,
    /// because parsing a key can take as long as verifying a signature. `None` if it was made with another type.
    pub fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let prepared_key = self.derived.0.get_or_init(|| Arc::new(make()));
        prepared_key.downcast_ref()
    }

    /// Whether the numbers of the key are acceptable: an RSA key has at least 2048 bits (RFC 7518 section 3.3, FAPI
    /// 2.0 Security Profile section 5.4.1) and here at most 8192, an odd modulus, and an odd exponent above one. A
    /// long exponent would make verifying as slow as signing.
    fn has_acceptable_numbers(&self) -> bool {
        if self.alg_family != Family::Rsa {
            return true;
        }
        let (n, e) = (
            self.bytes("n").unwrap_or_default(),
            self.bytes("e").unwrap_or_default(),
        );
        let first = n
            .first()
            .map_or(0, |byte| 8 - byte.leading_zeros() as usize);
        let bits = n.len().saturating_sub(1) * 8 + first;
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        (2048..=8192).contains(&bits)
            && is_odd(&n)
            && is_odd(&e)
            && e != [1]
            && e.len() <= MAX_EXPONENT
    }

    /// The key as the text of a JWK.
    pub fn to_json(&self) -> String {
        json::value_text(&self.to_value())
    }

    /// The key as JSON.
    pub fn to_value(&self) -> Value {
        let members = self.members.iter();
        let members =
            members.map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        Value::Object(Map::from_iter(members))
    }

    /// The key's thumbprint as a URI (RFC 9278 section 3).
    #[cfg(feature = "sha2")]
    pub fn thumbprint_uri(&self) -> String {
        format!(
            "urn:ietf:params:oauth:jwk-thumbprint:sha-256:{}",
            self.thumbprint()
        )
    }

    /// The key's SHA-256 thumbprint in base64url (RFC 7638).
    #[cfg(feature = "sha2")]
    pub fn thumbprint(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let members = self.members.iter();
        let members: Vec<_> = members
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        base64::url_safe(Sha256::digest(format!("{{{}}}", members.join(","))))
    }
}

/// The SHA-256 thumbprint in base64url of a symmetric key (`oct`, RFC 7638 section 3.2), such as a client secret as a
/// JWK.
///
/// The thumbprint is a secret too: with it, an attacker can guess the key (section 7), so it must not identify the key
/// to anyone who does not have it. A key pair has a [thumbprint](PublicJwk::thumbprint) that may be published.
///
/// # Errors
/// `key.malformed` if it is not a symmetric key.
#[cfg(feature = "sha2")]
pub fn symmetric_thumbprint(jwk: &Secret<String>) -> Result<Secret<String>, Error> {
    use sha2::{Digest as _, Sha256};
    let malformed_key = |reason: &str| Error::from(Misuse::KeyMalformed).about(reason);
    let Ok(Json::Object(object)) = json::parse(jwk.expose()) else {
        return Err(malformed_key("not a JWK"));
    };
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    let is_key = base64::decode(text("k"), Alphabet::UrlSafe).is_some_and(|key| !key.is_empty());
    match text("kty") {
        "oct" if is_key => {
            let members = Secret::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, text("k")));
            Ok(Secret::new(base64::url_safe(Sha256::digest(
                members.expose(),
            ))))
        }
        "oct" => Err(malformed_key("k")),
        _ => Err(malformed_key("kty: not oct")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::error_code;

    #[test]
    fn symmetric_thumbprint_is_computed_and_redacted() {
        let thumbprint = |jwk: &str| symmetric_thumbprint(&Secret::from(jwk));
        // The required members in lexicographic order.
        let key = r#"{"kty":"oct","alg":"HS256","kid":"a","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
        let value = thumbprint(key);
        assert!(!format!("{value:?}").contains("y_x3"));
        let value = value.map(|found| found.expose().clone());
        assert_eq!(
            error_code(value),
            Ok("y_x3gCJnL6oKGBBIXScabduwxTVy2Wd2bzRVEUbdUzc".to_owned())
        );
        for other in [
            "x",
            "[]",
            r#"{"kty":"oct"}"#,
            r#"{"kty":"oct","k":""}"#,
            r#"{"kty":"oct","k":"\"}"}"#,
            r#"{"kty":"oct","k":["AyM1"]}"#,
            P256,
        ] {
            assert_eq!(
                error_code(thumbprint(other).map(drop)),
                Err("key.malformed")
            );
        }
    }

    const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"1","use":"sig",
        "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;

    #[test]
    fn only_the_required_members_of_a_key_are_kept() -> Result<(), Error> {
        let key = PublicJwk::parse(P256)?;
        assert_eq!(
            key.to_value().to_string(),
            r#"{"crv":"P-256","kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#
        );
        assert!(key.fits(Alg::Es256));
        assert!(Alg::ALL.iter().filter(|alg| key.fits(**alg)).count() == 1);
        Ok(())
    }

    #[test]
    fn derived_value_is_computed_once_and_ignored_in_comparisons() -> Result<(), Error> {
        let key = PublicJwk::parse(P256)?;
        assert_eq!(key.derived(|| 7_u8), Some(&7));
        assert_eq!(key.derived(|| 8_u8), Some(&7));
        assert_eq!(key.clone().derived(|| 9_u8), Some(&7));
        assert_eq!(key.derived(|| "another type"), None);
        assert_eq!(key, PublicJwk::parse(P256)?);
        Ok(())
    }

    /// RFC 9449 section 6.1 gives the thumbprint of its example key.
    #[cfg(feature = "sha2")]
    #[test]
    fn thumbprint_matches_the_rfc_example() -> Result<(), Error> {
        let key = PublicJwk::parse(P256)?;
        assert_eq!(
            key.thumbprint(),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
        Ok(())
    }

    #[test]
    fn rsa_modulus_and_exponent_must_be_odd() {
        let key = |last: u8, e: &str| {
            let mut n = [0xff; 256];
            n[255] = last;
            let n = base64::url_safe(n);
            error_code(
                PublicJwk::parse(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)).map(drop),
            )
        };
        assert_eq!(key(0xff, "AQAB"), Ok(()));
        assert_eq!(key(0xfe, "AQAB"), Err("key.malformed"));
        assert_eq!(key(0xff, "Ag"), Err("key.malformed"));
    }

    #[test]
    fn rsa_exponent_is_limited_to_eight_bytes() {
        let n = base64::url_safe([0xff; 256]);
        for (length, expected) in [
            (8, Ok(())),
            (9, Err("key.malformed")),
            (256, Err("key.malformed")),
        ] {
            let e = base64::url_safe(vec![0xff; length]);
            let key = PublicJwk::parse(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#));
            assert_eq!(error_code(key.map(drop)), expected, "{length}");
        }
    }

    /// RFC 7638 section 7: the representation has to be unambiguous, as RFC 7518 section 2 defines it.
    #[cfg(feature = "sha2")]
    #[test]
    fn leading_zeros_of_rsa_numbers_are_ignored() -> Result<(), Error> {
        let key = |n: &[u8], e: &str| {
            let n = base64::url_safe(n);
            PublicJwk::parse(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
        };
        let plain = key(&[0xff; 256], "AQAB")?;
        let mut padded = [0xff; 258];
        (padded[0], padded[1]) = (0, 0);
        for (n, e) in [
            (&padded[..], "AQAB"),
            (&padded[1..], "AAABAAE"),
            (&padded[2..], "AAEAAQ"),
        ] {
            let same = key(n, e)?;
            assert_eq!((&same, same.thumbprint()), (&plain, plain.thumbprint()));
        }
        // They do not make a key larger, and zeros alone are not a valid number.
        let mut small = [0xff; 256];
        small[0] = 0;
        assert_eq!(
            error_code(key(&small, "AQAB").map(drop)),
            Err("key.malformed")
        );
        assert_eq!(
            error_code(key(&[0xff; 256], "AAAA").map(drop)),
            Err("key.malformed")
        );
        Ok(())
    }

    #[test]
    fn private_symmetric_and_malformed_keys_are_refused() {
        let private = P256.replace(r#""kid""#, r#""d":"AA","kid""#);
        for bad in [
            private.as_str(),
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"oct"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"!"}"#,
            r#"{"kty":"RSA","n":"AQAB"}"#,
            "[]",
            "",
        ] {
            assert_eq!(
                error_code(PublicJwk::parse(bad).map(drop)),
                Err("key.malformed"),
                "{bad}"
            );
        }
    }
}
