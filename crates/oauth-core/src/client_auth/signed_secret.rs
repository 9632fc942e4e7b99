//! Client secrets that are short-lived JWTs, signed by a key of the host (Sign in with Apple, "Creating a client
//! secret").

use std::borrow::Cow;

use super::{ClientJwt, ClientJwtOutcome, RequestFacts};
use crate::crypto::SigningKey;
use crate::error::Error;
use crate::form::Form;
use crate::jose::{self, Alg};
use crate::json::Members;

/// The claims of the JWT, and the key of the host that signs it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignedSecret {
    /// The `iss` claim: Apple's team id.
    pub issuer: String,
    /// The `aud` claim: `https://appleid.apple.com`.
    pub audience: String,
    /// The `kid` header, and the host's name for the key.
    pub key_id: String,
    /// The lifetime of a secret, in seconds.
    pub lifetime: u32,
}

impl SignedSecret {
    /// Apple's values, with secrets that are valid for five minutes.
    pub fn apple(team_id: impl Into<String>, key_id: impl Into<String>) -> Self {
        Self {
            issuer: team_id.into(),
            audience: "https://appleid.apple.com".to_owned(),
            key_id: key_id.into(),
            lifetime: 300,
        }
    }
}

impl ClientJwt for SignedSecret {
    fn name(&self) -> &'static str {
        "client_secret_post"
    }

    fn make(&self, facts: &RequestFacts<'_>) -> Result<ClientJwtOutcome<'_>, Error> {
        let now = facts.at.now().as_secs();
        let (mut header, mut claims) = (String::new(), String::new());
        let mut members = Members::begin(&mut header);
        members.text("alg", "ES256");
        members.text("kid", &self.key_id);
        members.end();
        let mut members = Members::begin(&mut claims);
        members.text("aud", &self.audience);
        members.number("exp", now.saturating_add(self.lifetime.into()));
        members.number("iat", now);
        members.text("iss", &self.issuer);
        members.text("sub", facts.client_id.as_str());
        members.end();
        let key = SigningKey::host(&self.key_id, Alg::Es256);
        Ok(ClientJwtOutcome::Unsigned(
            Cow::Owned(key),
            jose::signing_input(&header, &claims),
        ))
    }

    /// The JWT takes the place of a client secret, and is not a client assertion.
    fn audience_is_issuer(&self) -> bool {
        true
    }

    fn write(&self, (parameter, id): (&str, &str), jwt: &str, form: &mut Form) {
        form.push(parameter, id);
        form.push("client_secret", jwt);
    }
}
