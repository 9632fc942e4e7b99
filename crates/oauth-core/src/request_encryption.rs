//! The encryption of a client's authorization requests to the server (RFC 9101 section 4).
//!
//! The requests themselves are made in `flow/authorization/request_object.rs`.

use std::fmt;
use std::sync::Arc;

use crate::base64::{self, Alphabet};
use crate::crypto::Encrypter;
use crate::error::{Cause, Error, Misuse, ValidationFailure};
use crate::jose::{Enc, EphemeralKey, JweAlg, KeySet};
use crate::json::Members;
use crate::secret::Secret;
use crate::server::Server;

/// How a client encrypts its authorization requests, which it signs first: `request_object_encryption_alg` and
/// `request_object_encryption_enc` of its registration (OpenID Connect Dynamic Client Registration section 2).
#[derive(Clone)]
pub struct RequestEncryption {
    alg: JweAlg,
    enc: Enc,
    encrypter: Arc<dyn Encrypter>,
}

impl RequestEncryption {
    /// Encryption by `alg` to a suitable key from the server's key set. The content is encrypted by `A128CBC-HS256`,
    /// the default of registrations, unless [`Self::enc`] sets another algorithm.
    ///
    /// # Errors
    /// `key.algorithm` for an algorithm with a shared key.
    pub fn new(alg: JweAlg, encrypter: impl Encrypter + 'static) -> Result<Self, Error> {
        if !alg.has_ephemeral_key() && !alg.is_rsa() {
            return Err(Error::from(Misuse::KeyAlgorithm).about(alg.as_str()));
        }
        Ok(Self {
            alg,
            enc: Enc::A128CbcHs256,
            encrypter: Arc::new(encrypter),
        })
    }

    /// Sets the algorithm that encrypts the content.
    #[must_use]
    pub const fn enc(mut self, enc: Enc) -> Self {
        self.enc = enc;
        self
    }

    /// The JWE, in compact serialization.
    fn encrypt_jws(&self, keys: &KeySet, jws: &str) -> Result<Secret<String>, Error> {
        let no_key = || Error::from(ValidationFailure::JweNoKey).about(self.alg.as_str());
        let (key, kid) = keys.encryption_key(self.alg).ok_or_else(no_key)?;
        let not_encrypted = |_| Error::lost(Cause::unsent_as("the request cannot be encrypted"));
        let wrapped_key = self.encrypter.wrap(self.alg, self.enc, key);
        let wrapped_key = wrapped_key.map_err(not_encrypted)?;
        let header = self.header(kid, wrapped_key.ephemeral_key.as_ref());
        let header = base64::url_safe(header);
        let sealed = self.encrypter.encrypt(
            self.enc,
            &wrapped_key.content_key,
            header.as_bytes(),
            jws.as_bytes(),
        );
        let sealed = sealed.map_err(not_encrypted)?;
        let mut text = header;
        for part in [
            &wrapped_key.encrypted_key,
            &sealed.iv,
            &sealed.ciphertext,
            &sealed.tag,
        ] {
            text.push('.');
            base64::append(part, Alphabet::UrlSafe, &mut text);
        }
        Ok(Secret::new(text))
    }

    fn header(&self, kid: Option<&str>, ephemeral: Option<&EphemeralKey>) -> String {
        let mut header = String::new();
        let mut members = Members::begin(&mut header);
        members.text("alg", self.alg.as_str());
        // "the value of this Header Parameter MUST be "JWT" in the case of a Nested JWT" (RFC 7519 section 5.2)
        members.text("cty", "JWT");
        members.text("enc", self.enc.as_str());
        if let Some(epk) = ephemeral {
            let mut jwk = String::new();
            let mut jwk_members = Members::begin(&mut jwk);
            jwk_members.text("crv", epk.curve.as_str());
            jwk_members.text("kty", if epk.y.is_empty() { "OKP" } else { "EC" });
            jwk_members.text("x", &base64::url_safe(&epk.x));
            if !epk.y.is_empty() {
                jwk_members.text("y", &base64::url_safe(&epk.y));
            }
            jwk_members.end();
            members.next("epk").push_str(&jwk);
        }
        if let Some(kid) = kid {
            members.text("kid", kid);
        }
        members.end();
        header
    }
}

/// Encrypts requests. A trait, so that builds in which no client registers encryption, such as web pages, do not link
/// the code.
pub(crate) trait EncryptJwe: fmt::Debug + Send + Sync {
    /// Checks that the server accepts the algorithms.
    ///
    /// # Errors
    /// `key.algorithm` for algorithms that the server does not accept.
    fn check(&self, server: &Server) -> Result<(), Error>;

    /// The signed request, encrypted to one of these keys.
    ///
    /// # Errors
    /// `jwe.no_matching_key`, `lost.unsent`.
    fn seal(&self, keys: &KeySet, jws: &str) -> Result<Secret<String>, Error>;
}

impl EncryptJwe for RequestEncryption {
    fn check(&self, server: &Server) -> Result<(), Error> {
        for (member, chosen_alg) in [
            (
                "request_object_encryption_alg_values_supported",
                self.alg.as_str(),
            ),
            (
                "request_object_encryption_enc_values_supported",
                self.enc.as_str(),
            ),
        ] {
            match server.named_list(member) {
                Some(accepted_algs) if !accepted_algs.iter().any(|name| name == chosen_alg) => {
                    let detail = format!(
                        "{chosen_alg}; the server accepts {}",
                        accepted_algs.join(" ")
                    );
                    return Err(Error::from(Misuse::KeyAlgorithm).about(&detail));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn seal(&self, keys: &KeySet, jws: &str) -> Result<Secret<String>, Error> {
        self.encrypt_jws(keys, jws)
    }
}

impl fmt::Debug for RequestEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestEncryption")
            .field("alg", &self.alg)
            .field("enc", &self.enc)
            .finish_non_exhaustive()
    }
}
