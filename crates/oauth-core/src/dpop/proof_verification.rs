//! Verification of the DPoP proof that a request to an API carries. The signature is verified by the host, the key to
//! which the token is bound is compared in `token/access_token.rs`, and the request is read in
//! `flow/access_token/received_request.rs`.
//!
//! RFC 9449 <https://www.rfc-editor.org/rfc/rfc9449#section-4.3>

mod nonce_key;
mod target_uri;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::{VerifiedDpopProof, hash};
use crate::base64::{self, Alphabet};
use crate::error::{Error, Misuse, ValidationFailure};
use crate::exchange::{VerificationJob, VerificationKey};
use crate::jose::{Alg, Claims, Jws, PublicJwk, Validity};
use crate::json::{self, Json, Object};
use crate::moment::UnixTime;
use crate::replay_cache::{DpopProofs, ReplayProtection};
use crate::secret::Secret;

use nonce_key::NonceAge;

pub use nonce_key::DpopNonceKey;

/// The longest proof that is read, in bytes. One with an RSA key of 8192 bits has 4 KiB.
const MAX_PROOF: usize = 16 << 10;
/// The default maximum age of a proof.
const MAX_AGE: Duration = Duration::from_secs(60);
/// The largest maximum age of a proof that can be set: each proof is remembered for as long.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(300);

/// What a proof must contain.
#[derive(Debug, Clone)]
pub(crate) struct ProofChecks {
    max_age: Duration,
    pub(crate) nonce_key: Option<DpopNonceKey>,
    pub(crate) replay: ReplayProtection,
}

/// The request that a proof must be for.
#[derive(Debug)]
pub(crate) struct ProvenRequest<'a> {
    pub(crate) method: &'a str,
    /// The target URI, as text of the application.
    pub(crate) url: &'a str,
    pub(crate) token: &'a Secret<String>,
}

/// A proof whose claims are valid, and whose signature is not verified yet.
pub(crate) struct UnverifiedProof {
    jws: Jws,
    key: Arc<PublicJwk>,
    proof: VerifiedDpopProof,
}

impl Default for ProofChecks {
    fn default() -> Self {
        Self {
            max_age: MAX_AGE,
            nonce_key: None,
            replay: ReplayProtection::default(),
        }
    }
}

impl ProofChecks {
    pub(crate) fn set_max_age(&mut self, age: Duration) {
        self.max_age = age.min(LONGEST_MAX_AGE);
    }

    /// Checks everything but the signature of the one proof in these fields, and whether it was used before. The
    /// accepted algorithms are all asymmetric.
    ///
    /// # Errors
    /// `dpop_proof.*`; `url.syntax` if the request's URL is not absolute.
    pub(crate) fn check(
        &self,
        fields: &[String],
        request: &ProvenRequest<'_>,
        algs: &[Alg],
        validity: &Validity,
    ) -> Result<UnverifiedProof, Error> {
        let target = target_uri::normalized(request.url)
            .ok_or_else(|| Error::from(Misuse::UrlSyntax).about("the URL of the request"))?;
        let parsed = Parsed::read(only_field(fields)?, algs)?;
        let key = parsed.key()?;
        let claims = Claims::parse(parsed.jws.payload()).map_err(|error| malformed(&error))?;
        let required = |name: &str| {
            let claim = claims.text(name).map_err(|error| malformed(&error))?;
            claim.ok_or_else(|| Error::from(ValidationFailure::ProofClaimMissing).about(name))
        };
        let (jti, htm, htu) = (required("jti")?, required("htm")?, required("htu")?);
        if jti.is_empty() {
            return Err(Error::from(ValidationFailure::ProofMalformed).about("jti"));
        }
        let issued = claims.time("iat").map_err(|error| malformed(&error))?;
        let issued =
            issued.ok_or_else(|| Error::from(ValidationFailure::ProofClaimMissing).about("iat"))?;
        check_same(ValidationFailure::ProofMethod, htm, request.method)?;
        let normalized_htu = target_uri::normalized(htu);
        let normalized_htu = normalized_htu
            .as_deref()
            .unwrap_or("not an absolute http or https URI");
        check_same(ValidationFailure::ProofTarget, normalized_htu, &target)?;
        let expected_hash = base64::url_safe(hash(request.token));
        let token_hash = claims.text("ath").map_err(|error| malformed(&error))?;
        if token_hash != Some(&expected_hash) {
            let detail =
                token_hash.map_or("there is none", |_| "it is the hash of a different text");
            return Err(Error::from(ValidationFailure::ProofTokenHash).about(detail));
        }
        let latest = self.check_time(&claims, issued, validity)?;
        let next_nonce = self.check_nonce(&claims, validity.now)?;
        let jkt = key.thumbprint();
        // "in the context of the target URI" (section 11.1). The key counts as well, so that no client can use up the
        // `jti` of another client.
        let replay_key = base64::sha256_of_parts([jkt.as_str(), &target, jti]);
        Ok(UnverifiedProof {
            jws: parsed.jws,
            key: Arc::new(key),
            proof: VerifiedDpopProof {
                jkt,
                replay_key,
                forget_at: latest.after(Duration::from_secs(1)),
                next_nonce,
                replay_refusal: None,
            },
        })
    }

    /// Checks when the proof was made; returns the last moment at which it is accepted.
    fn check_time(
        &self,
        claims: &Claims,
        issued: UnixTime,
        validity: &Validity,
    ) -> Result<UnixTime, Error> {
        let Validity { now, clock_skew } = *validity;
        let latest = issued.after(self.max_age).after(clock_skew);
        if now > latest || issued > now.after(clock_skew) {
            let from = now.before(self.max_age).before(clock_skew).as_secs();
            let (iat, until) = (issued.as_secs(), now.after(clock_skew).as_secs());
            let detail = format!("iat is {iat}, expected {from} to {until}");
            return Err(Error::from(ValidationFailure::ProofTime).about(&detail));
        }
        // Optional in a proof, but honoured if present (RFC 7519 sections 4.1.4 and 4.1.5).
        let time = |name| claims.time(name).map_err(|error| malformed(&error));
        let is_over = time("exp")?.is_some_and(|expires| now >= expires.after(clock_skew));
        let is_early = time("nbf")?.is_some_and(|begins| begins > now.after(clock_skew));
        if is_over || is_early {
            Err(Error::from(ValidationFailure::ProofTime).about("by exp or nbf"))
        } else {
            Ok(latest)
        }
    }

    /// Checks the nonce, if the API requires one; returns the next one for the client, if it should get one.
    fn check_nonce(&self, claims: &Claims, now: UnixTime) -> Result<Option<String>, Error> {
        let Some(key) = &self.nonce_key else {
            return Ok(None);
        };
        let nonce = claims.text("nonce").map_err(|error| malformed(&error))?;
        match nonce.and_then(|nonce| key.age(nonce, now)) {
            Some(NonceAge::Recent) => Ok(None),
            Some(NonceAge::Old) => Ok(Some(key.nonce(now))),
            None => {
                let detail = nonce.map_or("there is none", |_| "it is unknown or has expired");
                Err(Error::from(ValidationFailure::ProofNonce).about(detail))
            }
        }
    }

    /// Remembers a verified proof, unless the caller does.
    ///
    /// # Errors
    /// `dpop_proof.replayed` if it was remembered before; `dpop_proof.iat` if it has expired since it was checked,
    /// because it would be forgotten immediately.
    pub(crate) fn remember(
        &self,
        proof: &VerifiedDpopProof,
        proofs: &DpopProofs,
        now: UnixTime,
    ) -> Result<(), Error> {
        if now >= proof.forget_at {
            let detail = "it has expired while the token was verified";
            return Err(Error::from(ValidationFailure::ProofTime).about(detail));
        }
        if self.replay == ReplayProtection::Caller {
            return Ok(());
        }
        let key = proof.replay_key.clone();
        if proofs.remember(key, proof.forget_at, now) {
            Ok(())
        } else {
            Err(ValidationFailure::ProofReplayed.into())
        }
    }
}

impl UnverifiedProof {
    /// The verification of the signature with the proof's own key.
    pub(crate) fn job(&self) -> VerificationJob {
        VerificationJob::Signature {
            alg: self.jws.alg.as_str(),
            key: VerificationKey::Public(Arc::clone(&self.key)),
            signing_input: self.jws.signing_input.clone(),
            signature: self.jws.signature.clone(),
        }
    }

    /// The proof, once its signature has been verified.
    pub(crate) fn verified(self) -> VerifiedDpopProof {
        self.proof
    }
}

/// A proof whose form, type and algorithm are right.
struct Parsed {
    header: Vec<u8>,
    jws: Jws,
}

impl Parsed {
    /// Parses a proof, and checks its header.
    ///
    /// # Errors
    /// `dpop_proof.malformed`, `dpop_proof.alg`, `dpop_proof.typ`.
    fn read(proof: &str, algs: &[Alg]) -> Result<Self, Error> {
        if proof.len() > MAX_PROOF {
            let detail = format!("{} bytes, at most {MAX_PROOF}", proof.len());
            return Err(Error::from(ValidationFailure::ProofMalformed).about(&detail));
        }
        let jws = Jws::parse(proof, algs).map_err(|error| {
            if error.code() == ValidationFailure::JwsAlg.code() {
                about_same(ValidationFailure::ProofAlg, &error)
            } else {
                malformed(&error)
            }
        })?;
        // "The dpop+jwt type value", which the abbreviated media type application/dpop+jwt is.
        if jws.typ.is_none() || !jws.has_type(&["dpop+jwt"]) {
            let typ = jws.typ.as_deref().unwrap_or("none");
            let detail = format!("it is {typ}, expected dpop+jwt");
            return Err(Error::from(ValidationFailure::ProofType).about(&detail));
        }
        let header = proof.split('.').next().unwrap_or_default();
        Ok(Self {
            header: base64::decode(header, Alphabet::UrlSafe).unwrap_or_default(),
            jws,
        })
    }

    /// The key in the header, which must fit the algorithm. A private key is refused by [`PublicJwk::read`] (section
    /// 4.3, item 7).
    fn key(&self) -> Result<PublicJwk, Error> {
        let text = std::str::from_utf8(&self.header).unwrap_or_default();
        let header = match json::parse(text).map_err(|error| malformed(&error))? {
            Json::Object(header) => header,
            _ => Object::default(),
        };
        let Some(Json::Object(jwk)) = header.get("jwk") else {
            return Err(
                Error::from(ValidationFailure::ProofKey).about("the header has no jwk object")
            );
        };
        let key = PublicJwk::read(jwk);
        let key = key.map_err(|error| about_same(ValidationFailure::ProofKey, &error))?;
        if key.fits(self.jws.alg) {
            Ok(key)
        } else {
            let alg = self.jws.alg.as_str();
            Err(Error::from(ValidationFailure::ProofKey)
                .about(&format!("it does not fit {alg}, the proof's alg")))
        }
    }
}

/// The only proof in these fields. A server that joins equal fields puts commas between them (RFC 9110 section 5.3),
/// which no proof contains.
fn only_field(fields: &[String]) -> Result<&str, Error> {
    let mut proofs = fields.iter().flat_map(|field| field.split(','));
    match (proofs.next(), proofs.next()) {
        (Some(proof), None) => Ok(proof.trim_matches([' ', '\t'])),
        (None, _) => Err(ValidationFailure::ProofMissing.into()),
        (Some(_), Some(_)) => Err(ValidationFailure::ProofDuplicate.into()),
    }
}

fn check_same(failure: ValidationFailure, named: &str, expected: &str) -> Result<(), Error> {
    if named == expected {
        Ok(())
    } else {
        Err(Error::from(failure).about(&format!("it is {named}, expected {expected}")))
    }
}

/// The failure with the details of another error.
fn about_same(failure: ValidationFailure, error: &Error) -> Error {
    Error::from(failure).about(error.detail().unwrap_or_default())
}

/// A proof that cannot be read, with the error of its JWS or JWT.
fn malformed(error: &Error) -> Error {
    let detail = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.code()),
        None => error.code().to_owned(),
    };
    Error::from(ValidationFailure::ProofMalformed).about(&detail)
}
