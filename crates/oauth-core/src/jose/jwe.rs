//! Strict parser of the compact serialization of JWE (RFC 7516 section 7.1). No algorithms are implemented here.
//!
//! The content of a JWE is decrypted but not verified, because anyone can encrypt to a public key. So it is passed on
//! as the text of a token, which still has to be verified.

#[cfg(test)]
mod tests;

use super::decrypter::{Curve, DecryptionJob, EphemeralKey};
use super::jwe_alg::{Enc, JweAlg};
use super::jws::{MAX_BYTES, critical};
use crate::base64::{self, Alphabet};
use crate::error::{Error, Kind, ProtocolViolation, ValidationFailure};
use crate::json::{self, Json, Object, Value};

/// The largest header, encoded.
const MAX_HEADER: usize = 16 << 10;
/// The largest encrypted key, encoded: that of an RSA key of 8192 bits.
const MAX_KEY: usize = 1366;
/// The largest initialization vector or authentication tag, encoded.
const MAX_FIXED: usize = 64;
/// The largest `apu` or `apv`, encoded.
const MAX_PARTY: usize = 1024;

/// The algorithms of the client's registration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegisteredAlgs<'a> {
    pub(crate) alg: JweAlg,
    pub(crate) encs: &'a [Enc],
}

/// A parsed JWE.
#[derive(Debug)]
pub(crate) struct Jwe {
    /// The name of the key: untrusted text, used only for a comparison.
    pub(crate) kid: Option<String>,
    /// The claims that the header repeats, for those who cannot decrypt (RFC 7519 section 5.3).
    pub(crate) replicated_claims: Vec<(&'static str, Value)>,
    pub(crate) job: DecryptionJob,
}

/// How many parts a token in compact serialization has.
pub(crate) fn count_parts(token: &str) -> usize {
    1 + token.matches('.').count()
}

/// Whether a string has the form of a JWE.
pub(crate) fn has_form(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    count_parts(text) == 5 && text.bytes().all(is_allowed)
}

impl Jwe {
    /// Parses a token. Reads only the header members that the registered algorithms need.
    ///
    /// # Errors
    /// `jwe.malformed`, `jws.duplicate_member`, `jws.unsupported_crit`, `jwe.compression`; `jwe.alg_not_allowed` for
    /// algorithms that are not registered; `jwe.decryption` for parts without the length that the algorithm requires.
    pub(crate) fn parse(token: &str, registered: RegisteredAlgs<'_>) -> Result<Self, Error> {
        let malformed = || Error::from(ProtocolViolation::JweMalformed);
        if token.len() > MAX_BYTES {
            return Err(malformed());
        }
        let mut split = token.splitn(6, '.');
        let mut next = || split.next().ok_or_else(malformed);
        let (header, key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if next().is_ok() {
            return Err(malformed());
        }
        let decode = |part: &str, max_length: usize| {
            if part.len() <= max_length {
                base64::decode(part, Alphabet::UrlSafe).ok_or_else(malformed)
            } else {
                Err(malformed())
            }
        };
        let header_bytes = decode(header, MAX_HEADER)?;
        let header_text = std::str::from_utf8(&header_bytes).map_err(|_| malformed())?;
        let Json::Object(members) = json::parse(header_text).map_err(as_jwe)? else {
            return Err(malformed());
        };
        let text = |name: &str| match members.get(name) {
            None if !members.has(name) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_ref())),
            _ => Err(malformed().about(name)),
        };
        let (alg, enc) = match_algorithms(text("alg")?, text("enc")?, registered)?;
        // Compressed content is refused (RFC 7516 section 4.1.3): it can expand without a limit.
        if members.has("zip") {
            return Err(ProtocolViolation::JweCompression.into());
        }
        critical(&members, ProtocolViolation::JweMalformed)?;
        let bytes = |name: &str, max_length: usize| match text(name)? {
            None => Ok(Vec::new()),
            Some(text) => decode(text, max_length).map_err(|error| error.about(name)),
        };
        let ephemeral_key = match (alg.has_ephemeral_key(), members.get("epk")) {
            (false, _) => None,
            (true, Some(Json::Object(epk))) => {
                Some(ephemeral_key(epk).ok_or_else(|| malformed().about("epk"))?)
            }
            (true, _) => return Err(malformed().about("epk")),
        };
        let job = DecryptionJob {
            alg,
            enc,
            ephemeral_key,
            apu: bytes("apu", MAX_PARTY)?,
            apv: bytes("apv", MAX_PARTY)?,
            key_iv: bytes("iv", MAX_FIXED)?,
            key_tag: bytes("tag", MAX_FIXED)?,
            encrypted_key: decode(key, MAX_KEY)?,
            additional_data: header.as_bytes().to_vec(),
            iv: decode(iv, MAX_FIXED)?,
            ciphertext: decode(ciphertext, MAX_BYTES)?,
            tag: decode(tag, MAX_FIXED)?,
        };
        let kid = text("kid")?.map(str::to_owned);
        let replicated_claims = ["iss", "sub", "aud"].into_iter();
        let replicated_claims = replicated_claims
            .filter_map(|name| Some((name, members.get(name)?.to_value())))
            .collect();
        if job.has_lengths() {
            Ok(Self {
                kid,
                replicated_claims,
                job,
            })
        } else {
            Err(ValidationFailure::JweDecryption.into())
        }
    }
}

fn ephemeral_key(object: &Object<'_>) -> Option<EphemeralKey> {
    let text = |name: &str| object.get(name).and_then(Json::as_str);
    let number = |name: &str, bytes: usize| {
        let decoded = base64::decode(text(name)?, Alphabet::UrlSafe)?;
        (decoded.len() == bytes).then_some(decoded)
    };
    if object.get("d").is_some() {
        return None;
    }
    let (curve, bytes) = match (text("kty")?, text("crv")?) {
        ("EC", "P-256") => (Curve::P256, 32),
        ("EC", "P-384") => (Curve::P384, 48),
        ("EC", "P-521") => (Curve::P521, 66),
        ("OKP", "X25519") => {
            let (x, y) = (number("x", 32)?, Vec::new());
            let curve = Curve::X25519;
            return Some(EphemeralKey { curve, x, y });
        }
        _ => return None,
    };
    let (x, y) = (number("x", bytes)?, number("y", bytes)?);
    Some(EphemeralKey { curve, x, y })
}

impl DecryptionJob {
    /// Whether the parts have the lengths that the algorithms require. Decrypters rely on this.
    pub(crate) fn has_lengths(&self) -> bool {
        let wrapped =
            !self.alg.is_gcm_wrapped() || self.key_iv.len() == 12 && self.key_tag.len() == 16;
        wrapped
            && self.encrypted_key.is_empty() == self.alg.is_direct()
            && self.iv.len() == self.enc.iv_bytes()
            && self.tag.len() == self.enc.tag_bytes()
    }
}

fn match_algorithms(
    alg: Option<&str>,
    enc: Option<&str>,
    registered: RegisteredAlgs<'_>,
) -> Result<(JweAlg, Enc), Error> {
    let missing = |name: &str| Error::from(ProtocolViolation::JweMalformed).about(name);
    let (alg, enc) = (
        alg.ok_or_else(|| missing("alg"))?,
        enc.ok_or_else(|| missing("enc"))?,
    );
    let enc_match = registered
        .encs
        .iter()
        .find(|agreed_enc| agreed_enc.as_str() == enc);
    match enc_match {
        Some(agreed_enc) if registered.alg.as_str() == alg => Ok((registered.alg, *agreed_enc)),
        _ => {
            let encs: Vec<_> = registered.encs.iter().map(|enc| enc.as_str()).collect();
            let (agreed_alg, encs) = (registered.alg.as_str(), encs.join(" "));
            let detail = format!("{alg} with {enc}, allowed: {agreed_alg} with {encs}");
            Err(Error::from(ValidationFailure::JweAlg).about(&detail))
        }
    }
}

/// Converts a JSON error of a reply into the error of a token.
fn as_jwe(error: Error) -> Error {
    let violation = if matches!(
        error.kind(),
        Kind::Malformed(ProtocolViolation::ReplyDuplicate)
    ) {
        ProtocolViolation::JwsDuplicate
    } else {
        ProtocolViolation::JweMalformed
    };
    Error::from(violation).about(error.detail().unwrap_or_default())
}
