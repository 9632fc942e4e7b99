//! A client secret the client makes itself: a short-lived JWT, signed by a key of the host
//! (Sign in with Apple, "Creating a client secret").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::json;

use crate::error::{Error, Fault};
use crate::exchange::SigningJob;
use crate::identity::ClientId;
use crate::moment::Moment;
use crate::secret::Secret;

/// What stands in the JWT, and which key of the host signs it.
#[derive(Debug, Clone)]
pub struct SignedSecret {
    /// The `iss` claim: Apple's team id.
    pub issuer: String,
    /// The `aud` claim: `https://appleid.apple.com`.
    pub audience: String,
    /// The `kid` header, and the host's name for the key.
    pub key_id: String,
    /// How long a secret lives, in seconds.
    pub lifetime: u32,
}

impl SignedSecret {
    /// Apple's values, with secrets that live for five minutes.
    pub fn apple(team_id: impl Into<String>, key_id: impl Into<String>) -> Self {
        Self {
            issuer: team_id.into(),
            audience: "https://appleid.apple.com".to_owned(),
            key_id: key_id.into(),
            lifetime: 300,
        }
    }

    pub(crate) fn job(&self, id: &ClientId, at: &Moment) -> SigningJob {
        let now = at.now().as_secs();
        let header = json!({ "alg": "ES256", "kid": self.key_id });
        let claims = json!({
            "iss": self.issuer,
            "iat": now,
            "exp": now.saturating_add(self.lifetime.into()),
            "aud": self.audience,
            "sub": id.as_str(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signing_input = format!("{}.{}", part(header), part(claims));
        SigningJob {
            key_id: self.key_id.clone(),
            alg: "ES256",
            signing_input: signing_input.into(),
        }
    }

    /// The finished JWT. An ES256 signature is 64 bytes (RFC 7518 section 3.4).
    pub(crate) fn finish(job: &SigningJob, signature: &Bytes) -> Result<Secret<String>, Error> {
        let input = std::str::from_utf8(&job.signing_input).map_err(|_| Fault::ReplyEncoding)?;
        if signature.len() != 64 {
            return Err(crate::error::Misuse::SignatureLength.into());
        }
        Ok(Secret::new(format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}
