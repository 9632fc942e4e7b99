//! Encryption of signed authorization responses (JARM).
//!
//! JARM sections 2.2 and 3, RFC 7516 section 5.1

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Encrypter as _;
use oauth_core::error::{Error, Misuse};
use oauth_core::jose::{Enc, JweAlg, PublicJwk};
use oauth_crypto::PublicKeyEncrypter;
use serde_json::json;

use super::Twin;
use super::authority::Authority;

/// A client's registered key and algorithms (`authorization_encrypted_response_alg`,
/// `authorization_encrypted_response_enc`).
pub(super) struct ResponseKey {
    key: PublicJwk,
    alg: JweAlg,
    enc: Enc,
}

impl ResponseKey {
    /// Encrypts the text as a JWE.
    fn sealed(&self, text: &str) -> Option<String> {
        let wrapped = PublicKeyEncrypter
            .wrap(self.alg, self.enc, &self.key)
            .ok()?;
        let mut header = json!({
            "alg": self.alg.as_str(),
            "enc": self.enc.as_str(),
            "cty": "JWT",
        });
        if let Some(epk) = &wrapped.ephemeral_key {
            header["epk"] = json!({
                "kty": "EC",
                "crv": epk.curve.as_str(),
                "x": URL_SAFE_NO_PAD.encode(&epk.x),
                "y": URL_SAFE_NO_PAD.encode(&epk.y),
            });
        }
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let (key, additional) = (&wrapped.content_key, header.as_bytes());
        let sealed = PublicKeyEncrypter.encrypt(self.enc, key, additional, text.as_bytes());
        let sealed = sealed.ok()?;
        let parts = [
            &wrapped.encrypted_key,
            &sealed.iv,
            &sealed.ciphertext,
            &sealed.tag,
        ];
        let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part));
        Some(format!("{header}.{}", parts.join(".")))
    }
}

/// A signed response as this server sends it; `None` if it cannot be encrypted.
pub(super) fn sealed(authority: &Authority, jwt: String) -> Option<String> {
    match &authority.response_key {
        Some(key) => key.sealed(&jwt),
        None => Some(jwt),
    }
}

impl Twin {
    /// Has the FAPI twin encrypt its signed responses from now on, as for a client registered with
    /// `authorization_encrypted_response_alg` and `authorization_encrypted_response_enc`, to this public JWK (RSA or
    /// EC). Each response has a new content key, so that equal requests no longer get equal responses.
    ///
    /// # Errors
    /// If it is not a public key that this algorithm can encrypt to.
    pub fn encrypt_responses(&mut self, jwk: &str, alg: JweAlg, enc: Enc) -> Result<(), Error> {
        let key = PublicJwk::parse(jwk)?;
        let is_public = alg.has_ephemeral_key() || alg.is_rsa();
        let key = ResponseKey { key, alg, enc };
        if !is_public || key.sealed("").is_none() {
            return Err(Misuse::KeyAlgorithm.into());
        }
        let document = &mut self.authority.rules.metadata.1;
        document["authorization_encryption_alg_values_supported"] = json!([alg.as_str()]);
        document["authorization_encryption_enc_values_supported"] = json!([enc.as_str()]);
        self.authority.response_key = Some(key);
        Ok(())
    }
}
