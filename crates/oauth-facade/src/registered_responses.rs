//! The registered signing and encryption of responses, as plain values.

#[cfg(test)]
mod tests;

use oauth_core::error::{Error, Misuse};
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_core::request_encryption::RequestEncryption;
use oauth_core::request_signing::RequestSigning;
use oauth_core::{Client, Secret};
use oauth_crypto::{ClientKeys, DecryptionKey, KeyError, PublicKeyEncrypter};

/// How a client is registered, by the names of its metadata (OpenID Connect Dynamic Client Registration
/// section 2).
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// `userinfo_signed_response_alg`: UserInfo in plain JSON is then refused.
    pub userinfo_signed_response_alg: Option<String>,
    /// `id_token_encrypted_response_alg`: a plain ID token is then refused.
    pub id_token_encrypted_response_alg: Option<String>,
    /// `id_token_encrypted_response_enc`; `A128CBC-HS256` by default.
    pub id_token_encrypted_response_enc: Option<String>,
    /// `userinfo_encrypted_response_alg`: UserInfo that is not encrypted is then refused.
    pub userinfo_encrypted_response_alg: Option<String>,
    /// `userinfo_encrypted_response_enc`; `A128CBC-HS256` by default.
    pub userinfo_encrypted_response_enc: Option<String>,
    /// How access tokens are encrypted for the APIs of this client, by the name of their `alg` (RFC 9068 section 4): a
    /// plain one is then refused. No client metadata specifies this; it is in the server's documentation.
    pub access_token_encryption_alg: Option<String>,
    /// The name of their `enc`; `A128CBC-HS256` by default.
    pub access_token_encryption_enc: Option<String>,
    /// `authorization_signed_response_alg` (JARM section 3): authorization responses signed by other algorithms are
    /// then refused, if signed ones are requested.
    pub authorization_signed_response_alg: Option<String>,
    /// `authorization_encrypted_response_alg`: a signed response that is not encrypted is then refused.
    pub authorization_encrypted_response_alg: Option<String>,
    /// `authorization_encrypted_response_enc`; `A128CBC-HS256` by default.
    pub authorization_encrypted_response_enc: Option<String>,
    /// `request_object_signing_alg` (RFC 9101 section 10.2): every authorization request is then signed.
    pub request_object_signing_alg: Option<String>,
    /// The private key that signs the requests, in PEM or as a JWK; the one of `private_key_jwt` if none is given.
    pub request_object_signing_key: Option<Secret<String>>,
    /// `request_object_encryption_alg`: every authorization request is then encrypted as well, to a key of the server.
    pub request_object_encryption_alg: Option<String>,
    /// `request_object_encryption_enc`; `A128CBC-HS256` by default.
    pub request_object_encryption_enc: Option<String>,
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 section 3.4).
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The thumbprint of the certificate that the host presents (`x5t#S256`), to which tokens are then bound.
    pub certificate_thumbprint: Option<String>,
    /// The keys that decrypt, newest first: private ones in PEM or as a JWK, shared ones as a JWK. If the algorithm
    /// needs a shared key and none of these fits, it is derived from the client secret (OpenID Connect Core section
    /// 10.2).
    pub decryption_keys: Vec<Secret<String>>,
}

impl Registration {
    /// Configures the client as it is registered.
    ///
    /// # Errors
    /// `key.algorithm` for an unknown name and if none of the keys fits, `key.malformed`,
    /// `arguments.inconsistent` for encryption without keys or an `enc` without its `alg`.
    pub(crate) fn apply(&self, mut client: Client) -> Result<Client, Error> {
        if let Some(name) = &self.userinfo_signed_response_alg {
            client = client.with_userinfo_algs([alg(name)?]);
        }
        let secret = client.auth().client_secret();
        let id_token = self.encryption(
            secret.as_ref(),
            self.id_token_encrypted_response_alg.as_deref(),
            self.id_token_encrypted_response_enc.as_deref(),
        );
        if let Some(encryption) = id_token? {
            client = client.with_id_token_encryption(encryption);
        }
        let userinfo = self.encryption(
            secret.as_ref(),
            self.userinfo_encrypted_response_alg.as_deref(),
            self.userinfo_encrypted_response_enc.as_deref(),
        );
        if let Some(encryption) = userinfo? {
            client = client.with_userinfo_encryption(encryption);
        }
        // That keys are derived from the client secret is a rule for clients, not for APIs.
        let access_token = self.encryption(
            None,
            self.access_token_encryption_alg.as_deref(),
            self.access_token_encryption_enc.as_deref(),
        );
        if let Some(encryption) = access_token? {
            client = client.with_access_token_encryption(encryption);
        }
        if let Some(name) = &self.authorization_signed_response_alg {
            client = client.with_authorization_algs([alg(name)?]);
        }
        let response = self.encryption(
            secret.as_ref(),
            self.authorization_encrypted_response_alg.as_deref(),
            self.authorization_encrypted_response_enc.as_deref(),
        );
        if let Some(encryption) = response? {
            client = client.with_authorization_encryption(encryption);
        }
        if let Some(signing) = self.request_signing(&client)? {
            client = client.with_request_signing(signing);
        }
        if let Some(encryption) = self.request_encryption()? {
            client = client.with_request_encryption(encryption);
        }
        if self.tls_client_certificate_bound_access_tokens {
            client = client.with_certificate_bound_tokens();
        }
        if let Some(thumbprint) = &self.certificate_thumbprint {
            client = client.with_presented_certificate(thumbprint);
        }
        Ok(client)
    }

    /// How authorization requests are signed, if they are.
    fn request_signing(&self, client: &Client) -> Result<Option<RequestSigning>, Error> {
        let setup = |reason: &str| Error::from(Misuse::ArgumentsInconsistent).about(reason);
        let Some(name) = &self.request_object_signing_alg else {
            return match self.request_object_signing_key {
                Some(_) => Err(setup("a key for request objects without their alg")),
                None => Ok(None),
            };
        };
        let alg = alg(name)?;
        let key = match &self.request_object_signing_key {
            Some(text) => {
                let keys = ClientKeys::read([text.expose().as_str()])?;
                let assertion = keys.client_assertion(client.server(), Some(alg))?;
                assertion.key().clone()
            }
            None => {
                let client_key = client.auth().signing_key().cloned();
                client_key.ok_or_else(|| setup("request objects need a key that signs them"))?
            }
        };
        if key.alg() == alg {
            Ok(Some(RequestSigning::new(key)))
        } else {
            Err(Error::from(Misuse::KeyAlgorithm).about(name))
        }
    }

    /// How authorization requests are encrypted after signing, if they are.
    fn request_encryption(&self) -> Result<Option<RequestEncryption>, Error> {
        let enc = self.request_object_encryption_enc.as_deref();
        match &self.request_object_encryption_alg {
            Some(name) => {
                let alg = jwe_alg(name)?;
                let encryption = RequestEncryption::new(alg, PublicKeyEncrypter)?;
                Ok(Some(encryption.enc(enc_or_default(enc)?)))
            }
            None if enc.is_some() => {
                let reason = "a request_object_encryption_enc without its alg";
                Err(Error::from(Misuse::ArgumentsInconsistent).about(reason))
            }
            None => Ok(None),
        }
    }

    fn encryption(
        &self,
        secret: Option<&Secret<String>>,
        alg: Option<&str>,
        enc: Option<&str>,
    ) -> Result<Option<ResponseEncryption>, Error> {
        let setup = |reason: &str| Error::from(Misuse::ArgumentsInconsistent).about(reason);
        let Some(name) = alg else {
            return match enc {
                Some(_) => Err(setup("an enc without its alg")),
                None => Ok(None),
            };
        };
        let (alg, enc) = (jwe_alg(name)?, enc_or_default(enc)?);
        let mut encryption: Option<ResponseEncryption> = None;
        for text in &self.decryption_keys {
            // There may be keys for other algorithms besides it.
            let key = match DecryptionKey::read(text.expose(), alg) {
                Err(KeyError::Algorithm) => continue,
                key => key?,
            };
            encryption = Some(match encryption {
                Some(encryption) => encryption.key(key),
                None => ResponseEncryption::new(alg, key),
            });
        }
        let of_secret = || {
            let key = DecryptionKey::from_client_secret(secret?.expose(), alg, enc).ok()?;
            Some(ResponseEncryption::new(alg, key))
        };
        match encryption.or_else(of_secret) {
            Some(encryption) => Ok(Some(encryption.encs([enc]))),
            None if self.decryption_keys.is_empty() => {
                Err(setup("what is encrypted needs decryption keys"))
            }
            None => Err(unknown(name)),
        }
    }
}

fn jwe_alg(name: &str) -> Result<JweAlg, Error> {
    JweAlg::from_name(name).ok_or_else(|| unknown(name))
}

/// The algorithm of this name, or `A128CBC-HS256` by default (OpenID Connect Dynamic Client Registration section 2).
fn enc_or_default(name: Option<&str>) -> Result<Enc, Error> {
    match name {
        None => Ok(Enc::A128CbcHs256),
        Some(name) => Enc::from_name(name).ok_or_else(|| unknown(name)),
    }
}

fn unknown(name: &str) -> Error {
    Error::from(Misuse::KeyAlgorithm).about(name)
}

fn alg(name: &str) -> Result<Alg, Error> {
    Alg::from_name(name).ok_or_else(|| unknown(name))
}
