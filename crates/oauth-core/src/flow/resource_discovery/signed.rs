//! `signed_metadata`: values signed by an issuer that the caller trusts (RFC 9728 section 2.2).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::exchange::{VerificationJob, VerificationKey};
use crate::jose::{Alg, CLOCK_SKEW, Claims, Jws, KeySet, Validity};
use crate::json::{Map, Value};
use crate::moment::UnixTime;

/// The member that contains the JWT.
const MEMBER: &str = "signed_metadata";

/// The claims of the JWT itself, which are not metadata (RFC 7519 section 4.1).
const OF_THE_TOKEN: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// A document with signed values, whose signature still has to be verified.
pub(super) struct Signed {
    document: Map<String, Value>,
    jws: Jws,
    issuer: String,
    claims: Claims,
    rest: VecDeque<VerificationKey>,
}

/// A document in which the signed values take precedence, and their issuer.
pub(super) struct AcceptedDocument {
    pub(super) document: Map<String, Value>,
    pub(super) issuer: String,
}

impl Signed {
    /// Reads the signed values. `Err` with the document if it has no well-formed and currently valid signed metadata. The
    /// issuer may still be one that is not trusted: then [`next`](Self::next) has no job.
    pub(super) fn new(
        document: Map<String, Value>,
        trusted: &[(String, Arc<KeySet>)],
        now: UnixTime,
    ) -> Result<Box<Self>, Map<String, Value>> {
        let token = document.get(MEMBER).and_then(Value::as_str);
        match token.and_then(|token| Self::read(token, trusted, now)) {
            Some(signed) => Ok(Box::new(Self { document, ..signed })),
            None => Err(document),
        }
    }

    fn read(token: &str, trusted: &[(String, Arc<KeySet>)], now: UnixTime) -> Option<Self> {
        // "digitally signed": with a shared secret, no other party could verify it.
        let algs = Alg::ALL.iter().copied();
        let allowed: Vec<_> = algs.filter(|alg| !alg.is_symmetric()).collect();
        let jws = Jws::parse(token, &allowed).ok()?;
        let claims = Claims::parse(jws.payload()).ok()?;
        // "the JWT MUST contain an iss (issuer) claim denoting the party attesting to the claims"
        let issuer = claims.text("iss").ok().flatten()?.to_owned();
        let clock_skew = CLOCK_SKEW;
        let validity = Validity { now, clock_skew };
        validity.check_present(&claims).ok()?;
        let of_issuer = trusted.iter().filter(|(name, _)| *name == issuer);
        let keys = of_issuer.flat_map(|(_, keys)| keys.candidates(jws.alg, jws.kid.as_deref()));
        let rest = keys.map(VerificationKey::Public).collect();
        Some(Self {
            document: Map::new(),
            jws,
            issuer,
            claims,
            rest,
        })
    }

    /// The verification job with the next key to try.
    pub(super) fn next_job(&mut self) -> Option<VerificationJob> {
        let key = self.rest.pop_front()?;
        Some(VerificationJob::Signature {
            alg: self.jws.alg.as_str(),
            key,
            signing_input: self.jws.signing_input.clone(),
            signature: self.jws.signature.clone(),
        })
    }

    /// The document as if nothing in it were signed.
    pub(super) fn unsigned_document(self) -> Map<String, Value> {
        self.document
    }

    /// "its values take precedence over the corresponding values conveyed using plain JSON elements"
    pub(super) fn verified_document(self) -> AcceptedDocument {
        let mut document = self.document;
        let values = self.claims.as_map().iter();
        // "A signed_metadata value SHOULD NOT appear as a claim in the JWT."
        let values =
            values.filter(|(name, _)| *name != MEMBER && !OF_THE_TOKEN.contains(&name.as_str()));
        for (name, value) in values {
            document.insert(name.clone(), value.clone());
        }
        AcceptedDocument {
            document,
            issuer: self.issuer,
        }
    }
}
