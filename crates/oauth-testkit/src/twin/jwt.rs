//! JWTs that clients sign: parsed and verified without the core's own parser.
//!
//! RFC 7515 section 5.2, RFC 7519 section 4.1

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::moment::UnixTime;
use serde_json::Value;

/// The maximum lead of a client's clock, in seconds (FAPI 2.0 Security Profile section 5.3.2.1).
const MAX_CLOCK_LEAD_SECONDS: u64 = 10;
/// The maximum lifetime of a client's JWT, in seconds (FAPI 2.0 Message Signing section 5.3.1).
const MAX_JWT_SECONDS: u64 = 3600;

/// A parsed JWT.
pub(super) struct Jwt {
    pub(super) header: Value,
    pub(super) claims: Value,
    input: String,
    signature: Vec<u8>,
}

impl Jwt {
    pub(super) fn read(token: &str) -> Result<Self, &'static str> {
        const BROKEN: &str = "the JWT cannot be read";
        let (input, signature) = token.rsplit_once('.').ok_or(BROKEN)?;
        let (header, claims) = input.split_once('.').ok_or(BROKEN)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| BROKEN);
        let value = |part: &str| serde_json::from_slice(&bytes(part)?).map_err(|_| BROKEN);
        let jwt = Self {
            header: value(header)?,
            claims: value(claims)?,
            input: input.to_owned(),
            signature: bytes(signature)?,
        };
        if jwt.header.is_object() && jwt.claims.is_object() {
            Ok(jwt)
        } else {
            Err(BROKEN)
        }
    }

    pub(super) fn verified(
        token: &str,
        key: &PublicJwk,
        algs: &[Alg],
    ) -> Result<Self, &'static str> {
        let jwt = Self::read(token)?;
        jwt.check_signature(key, algs)?;
        Ok(jwt)
    }

    /// Verifies its signature with this key, by one of these algorithms.
    pub(super) fn check_signature(
        &self,
        key: &PublicJwk,
        algs: &[Alg],
    ) -> Result<(), &'static str> {
        let alg_name = self.header["alg"].as_str();
        let Some(alg) = algs.iter().find(|alg| Some(alg.as_str()) == alg_name) else {
            return Err("the JWT's algorithm is not accepted");
        };
        let job = VerificationJob::Signature {
            alg: alg.as_str(),
            key: VerificationKey::Public(key.clone().into()),
            signing_input: self.input.clone().into(),
            signature: self.signature.clone().into(),
        };
        if oauth_crypto::verify(&job) {
            Ok(())
        } else {
            Err("the signature is invalid")
        }
    }

    /// A claim that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims[name].as_str()
    }

    /// A claim that is a time.
    fn time(&self, name: &str) -> Result<Option<u64>, &'static str> {
        match &self.claims[name] {
            Value::Null if self.claims.get(name).is_none() => Ok(None),
            value => value
                .as_u64()
                .map(Some)
                .ok_or("a time of the JWT must be a number"),
        }
    }

    /// Checks that it is valid now, and that its lifetime is not too long.
    pub(super) fn check_validity_period(&self, at: UnixTime) -> Result<(), &'static str> {
        let now = at.as_secs();
        let expires = self.time("exp")?.ok_or("the JWT has no exp")?;
        let begins = self.time("nbf")?;
        let issued = self.time("iat")?;
        let latest = begins.max(issued);
        if expires <= now {
            return Err("the JWT has expired");
        }
        if latest.is_some_and(|latest| latest > now.saturating_add(MAX_CLOCK_LEAD_SECONDS)) {
            return Err("the JWT is not valid yet");
        }
        let begins = begins.or(issued).unwrap_or(now);
        if expires.saturating_sub(begins) <= MAX_JWT_SECONDS {
            Ok(())
        } else {
            Err("the JWT is valid for more than an hour")
        }
    }

    /// Checks that its `iat` is within this many seconds of now.
    pub(super) fn check_issued_recently(
        &self,
        at: UnixTime,
        seconds: u64,
    ) -> Result<(), &'static str> {
        let issued = self.time("iat")?.ok_or("the JWT has no iat")?;
        if issued.abs_diff(at.as_secs()) <= seconds {
            Ok(())
        } else {
            Err("the JWT was not issued just now")
        }
    }
}
