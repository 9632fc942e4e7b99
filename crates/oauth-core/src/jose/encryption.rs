//! The registered encryption of responses to a client, and their decryption.

use std::fmt;
use std::sync::Arc;

use super::claims::{Claims, read_unverified};
use super::decrypter::Decrypter;
use super::jwe::{self, Jwe, RegisteredAlgs};
use super::jwe_alg::{Enc, JweAlg};
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::json::Value;
use crate::secret::Secret;

/// The registered encryption of responses to a client, and the keys that decrypt them:
/// `id_token_encrypted_response_alg` and `id_token_encrypted_response_enc` (OpenID Connect Dynamic Client Registration
/// section 2), and their equivalents for other responses.
#[derive(Clone)]
pub struct ResponseEncryption {
    alg: JweAlg,
    encs: Vec<Enc>,
    keys: Vec<Arc<dyn Decrypter>>,
}

impl ResponseEncryption {
    /// Encryption by `alg` to this key. The content is encrypted by `A128CBC-HS256`, the default
    /// of registrations, unless [`Self::encs`] sets others.
    pub fn new(alg: JweAlg, key: impl Decrypter + 'static) -> Self {
        Self {
            alg,
            encs: vec![Enc::A128CbcHs256],
            keys: Vec::new(),
        }
        .key(key)
    }

    /// Adds another key, such as the previous one: if there are several, those with the token's `kid` are tried, or all
    /// of them if none has it.
    #[must_use]
    pub fn key(mut self, key: impl Decrypter + 'static) -> Self {
        self.keys.push(Arc::new(key));
        self
    }

    /// Sets the algorithms by which the content may be encrypted.
    #[must_use]
    pub fn encs(mut self, encs: impl IntoIterator<Item = Enc>) -> Self {
        self.encs = encs.into_iter().collect();
        self
    }

    /// How the content's key is conveyed.
    pub const fn alg(&self) -> JweAlg {
        self.alg
    }

    /// How the content may be encrypted.
    pub fn agreed_encs(&self) -> impl Iterator<Item = Enc> {
        self.encs.iter().copied()
    }

    /// Decrypts a token in compact serialization. The result is decrypted but not verified: anyone who knows the public
    /// key could have written it. The signature of a signed token still has to be verified, as
    /// [`crate::Client::verify_signature`] does.
    ///
    /// # Errors
    /// `jwe.*`, `jws.duplicate_member`, `jws.unsupported_crit`; `jwt.malformed` if it is not a string.
    pub fn decrypt(&self, token: &str) -> Result<Secret<String>, Error> {
        let registered = RegisteredAlgs {
            alg: self.alg,
            encs: &self.encs,
        };
        let Jwe {
            kid,
            replicated_claims,
            job,
        } = Jwe::parse(token, registered)?;
        let is_named = |key: &&Arc<dyn Decrypter>| kid.is_some() && key.key_id() == kid.as_deref();
        let matching_keys: Vec<_> = self.keys.iter().filter(is_named).collect();
        let keys = if matching_keys.is_empty() {
            self.keys.iter().collect()
        } else {
            matching_keys
        };
        let mut opened = keys.iter().map(|key| key.decrypt(&job));
        let plaintext = opened
            .find_map(Result::ok)
            .ok_or(ValidationFailure::JweDecryption)?;
        let text = std::str::from_utf8(plaintext.expose())
            .map_err(|_| Error::from(ProtocolViolation::JwtMalformed))?;
        // A token nested in another encrypted token is refused: no provider issues one, and nesting would let an
        // attacker waste CPU time.
        if jwe::has_form(text) {
            return Err(ProtocolViolation::JweNesting.into());
        }
        check_replicated_claims(&replicated_claims, text)?;
        Ok(Secret::from(text))
    }
}

/// "the application receiving them SHOULD verify that their values are identical" (RFC 7519 section 5.3). Content that
/// has no claims is refused where it is read.
fn check_replicated_claims(
    replicated_claims: &[(&'static str, Value)],
    content: &str,
) -> Result<(), Error> {
    if replicated_claims.is_empty() {
        return Ok(());
    }
    let claims = read_unverified(content).or_else(|_| Claims::from_json(content));
    let Ok(claims) = claims else {
        return Ok(());
    };
    match replicated_claims
        .iter()
        .find(|(name, value)| claims.get(name) != Some(value))
    {
        Some((name, _)) => Err(Error::from(ProtocolViolation::JweMalformed).about(name)),
        None => Ok(()),
    }
}

/// Decrypts tokens. A trait, so that builds in which no client registers encryption, such as web pages, do not link the
/// code.
pub(crate) trait DecryptJwe: fmt::Debug + Send + Sync {
    /// See [`ResponseEncryption::decrypt`].
    fn decrypt_compact(&self, token: &str) -> Result<Secret<String>, Error>;
}

impl DecryptJwe for ResponseEncryption {
    fn decrypt_compact(&self, token: &str) -> Result<Secret<String>, Error> {
        self.decrypt(token)
    }
}

impl fmt::Debug for ResponseEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseEncryption")
            .field("alg", &self.alg)
            .field("encs", &self.encs)
            .finish_non_exhaustive()
    }
}

/// The signed token: decrypted if the client registered encryption, otherwise as received. If encryption is registered,
/// a token that is not encrypted, or is encrypted differently, is refused, because an attacker could omit the
/// encryption (RFC 9068 section 4).
///
/// # Errors
/// `jwe.*`, `jws.duplicate_member`, `jws.unsupported_crit`, `jwt.malformed`.
pub(crate) fn decrypt_if_encrypted(
    token: Secret<String>,
    encryption: Option<&dyn DecryptJwe>,
) -> Result<Secret<String>, Error> {
    match (encryption, jwe::count_parts(token.expose())) {
        (None, 5) => Err(ValidationFailure::JweUnexpected.into()),
        (None, _) => Ok(token),
        (Some(_), 3) => Err(ValidationFailure::JweMissing.into()),
        (Some(encryption), _) => encryption.decrypt_compact(token.expose()),
    }
}
