//! How the server signs and encrypts its responses to the client, as the client is registered:
//! `[profile.NAME.registered]`. OpenID Connect Dynamic Client Registration section 2, RFC 9701 section 6.

use std::path::{Path, PathBuf};

use oauth_core::Client;
use oauth_core::endpoint::introspection::SignedResponse;
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_crypto::DecryptionKey;
use serde::{Deserialize, Serialize};

use crate::key_file;
use crate::output::Failure;

/// The members of the client's metadata, by their registered names, and the decryption key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegisteredResponses {
    id_token_signed_response_alg: Option<String>,
    id_token_encrypted_response_alg: Option<String>,
    id_token_encrypted_response_enc: Option<String>,
    userinfo_signed_response_alg: Option<String>,
    userinfo_encrypted_response_alg: Option<String>,
    userinfo_encrypted_response_enc: Option<String>,
    introspection_signed_response_alg: Option<String>,
    introspection_encrypted_response_alg: Option<String>,
    introspection_encrypted_response_enc: Option<String>,
    /// PEM or a JWK: a private key, or a shared one.
    pub(crate) decryption_key_file: Option<PathBuf>,
}

impl RegisteredResponses {
    /// Enforces the registration: a response that is not protected accordingly is refused.
    pub(crate) fn apply(&self, mut client: Client) -> Result<Client, Failure> {
        if let Some(name) = &self.id_token_signed_response_alg {
            client = client.with_id_token_algs([alg(name)?]);
        }
        if let Some(encryption) = self.encryption(
            "id_token",
            self.id_token_encrypted_response_alg.as_deref(),
            self.id_token_encrypted_response_enc.as_deref(),
        )? {
            client = client.with_id_token_encryption(encryption);
        }
        if let Some(name) = &self.userinfo_signed_response_alg {
            client = client.with_userinfo_algs([alg(name)?]);
        }
        if let Some(encryption) = self.encryption(
            "userinfo",
            self.userinfo_encrypted_response_alg.as_deref(),
            self.userinfo_encrypted_response_enc.as_deref(),
        )? {
            client = client.with_userinfo_encryption(encryption);
        }
        // An invalid member is reported by every command.
        self.introspection()?;
        Ok(client)
    }

    /// How an introspection response is protected; `None` for plain JSON.
    pub(crate) fn introspection(&self) -> Result<Option<SignedResponse>, Failure> {
        let encryption = self.encryption(
            "introspection",
            self.introspection_encrypted_response_alg.as_deref(),
            self.introspection_encrypted_response_enc.as_deref(),
        )?;
        let Some(name) = &self.introspection_signed_response_alg else {
            return match encryption {
                None => Ok(None),
                Some(_) => Err(invalid_profile(
                    "introspection_encrypted_response_alg without introspection_signed_response_alg",
                    "an encrypted introspection response is signed first (RFC 9701 section 5)",
                )),
            };
        };
        let mut signed = SignedResponse::default();
        signed.algs = vec![alg(name)?];
        signed.encryption = encryption;
        Ok(Some(signed))
    }

    fn encryption(
        &self,
        response: &str,
        alg: Option<&str>,
        enc: Option<&str>,
    ) -> Result<Option<ResponseEncryption>, Failure> {
        let Some(name) = alg else {
            return match enc {
                None => Ok(None),
                Some(_) => Err(invalid_profile(
                    format_args!("{response}_encrypted_response_enc without its alg"),
                    format_args!("add {response}_encrypted_response_alg"),
                )),
            };
        };
        let alg = JweAlg::from_name(name).ok_or_else(|| unknown(name))?;
        let enc = match enc {
            None => Enc::A128CbcHs256,
            Some(name) => Enc::from_name(name).ok_or_else(|| unknown(name))?,
        };
        let path = self.decryption_key_file.as_deref().ok_or_else(|| {
            invalid_profile(
                format_args!("{response}_encrypted_response_alg without a decryption key"),
                "set decryption_key_file in the same table",
            )
        })?;
        let encryption = ResponseEncryption::new(alg, key(path, alg)?);
        Ok(Some(encryption.encs([enc])))
    }
}

fn key(path: &Path, alg: JweAlg) -> Result<DecryptionKey, Failure> {
    let text = key_file::read_text(path)?;
    DecryptionKey::read(text.expose().trim(), alg)
        .map_err(|error| key_file::unusable_key(path, error))
}

fn alg(name: &str) -> Result<Alg, Failure> {
    Alg::from_name(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    invalid_profile(
        format_args!("unknown algorithm `{}`", name.escape_debug()),
        "use its name in the server's metadata, such as ES256, ECDH-ES or A256GCM",
    )
}

fn invalid_profile(reason: impl std::fmt::Display, hint: impl std::fmt::Display) -> Failure {
    Failure::usage("usage.registered", reason, hint)
}
