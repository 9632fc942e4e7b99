//! DPoP (RFC 9449): keys, proofs, and the nonces that servers require in them.
//!
//! RFC 9449 <https://www.rfc-editor.org/rfc/rfc9449#section-4.2>
//!
//! The nonce of a successful response (section 8.2) is kept in `call/sent.rs` and `flow/resource/request/retry.rs`. The
//! retry after `use_dpop_nonce` is in `call.rs` (authorization server, section 8) and in
//! `flow/resource/request/retry.rs` (resource server, section 9). An API verifies proofs (section 4.3) in
//! `dpop/proof_verification.rs`, and compares `cnf.jkt` of a token with the key of the proof (section 7) in
//! `token/access_token.rs`.

mod clock_skew;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
mod proof_verification;
#[cfg(all(test, feature = "sha2"))]
mod tests;
mod verified_proof;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "sha2")]
use crate::base64::{self, Alphabet};
use crate::crypto::SigningKey;
use crate::error::{Error, Misuse, ProtocolViolation};
use crate::http::{HeaderMap, HeaderName};
#[cfg(feature = "sha2")]
use crate::jose;
use crate::jose::PublicJwk;
#[cfg(feature = "sha2")]
use crate::json::{self, Members};
#[cfg(feature = "sha2")]
use crate::moment::{Moment, UnixTime};
#[cfg(feature = "sha2")]
use crate::secret::Secret;
use crate::url::Url;

pub(crate) use clock_skew::{INVALID_PROOF, ServerClocks};
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
pub use proof_verification::DpopNonceKey;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
pub(crate) use proof_verification::{ProofChecks, ProvenRequest, UnverifiedProof};
pub use verified_proof::VerifiedDpopProof;

/// The name of the header field for proofs, in lower case.
pub const DPOP: &str = "dpop";
/// The name of the header field for nonces, in lower case.
pub const DPOP_NONCE: &str = "dpop-nonce";
pub(crate) const PROOF_FIELD: HeaderName = HeaderName::from_static(DPOP);
pub(crate) const NONCE_FIELD: HeaderName = HeaderName::from_static(DPOP_NONCE);

/// The error by which a server requires a proof with its nonce (sections 8 and 9).
pub(crate) const USE_NONCE: &str = "use_dpop_nonce";

/// The longest nonce that is stored, in bytes.
const MAX_NONCE: usize = 1024;
/// The largest number of nonces that are stored.
const MAX_NONCES: usize = 64;

/// A key to which tokens are bound: each request carries its public half in a proof. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DpopKey(Arc<KeyWithHeader>);

/// The key, and the encoded header of its proofs, which is the same in all of them.
#[derive(Debug)]
struct KeyWithHeader {
    key: SigningKey,
    public: PublicJwk,
    /// The header of its proofs in base64url, and the dot after it.
    #[cfg(feature = "sha2")]
    header: String,
    #[cfg(feature = "sha2")]
    thumbprint: String,
}

impl DpopKey {
    /// Combines a signing key with its public half.
    ///
    /// # Errors
    /// `key.algorithm` if the public key does not fit the algorithm.
    pub fn new(key: SigningKey, public: PublicJwk) -> Result<Self, Error> {
        if !public.fits(key.alg()) {
            return Err(Error::from(Misuse::KeyAlgorithm).about(key.alg().as_str()));
        }
        Ok(Self(Arc::new(KeyWithHeader {
            #[cfg(feature = "sha2")]
            header: header(&key, &public),
            #[cfg(feature = "sha2")]
            thumbprint: public.thumbprint(),
            key,
            public,
        })))
    }

    /// Checks that the key's algorithm is accepted.
    ///
    /// # Errors
    /// `key.algorithm` if it is not one of the accepted algorithms, if these are known (sections 5.1 and 7.1).
    pub(crate) fn check_algorithm(&self, accepted: Option<&[String]>) -> Result<(), Error> {
        let alg = self.0.key.alg().as_str();
        match accepted {
            Some(accepted) if !accepted.iter().any(|name| name == alg) => {
                let detail = format!("{alg}; the server accepts {} for DPoP", accepted.join(" "));
                Err(Error::from(Misuse::KeyAlgorithm).about(&detail))
            }
            _ => Ok(()),
        }
    }

    /// The key that signs the proofs.
    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The key's public half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.0.public
    }

    /// The JWK thumbprint that bound tokens carry (`jkt`, section 6.1).
    #[cfg(feature = "sha2")]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint.clone()
    }

    /// The JWS signing input of a proof.
    #[cfg(feature = "sha2")]
    pub(crate) fn signing_input(&self, proof: &Proof<'_>, at: &Moment) -> Result<String, Error> {
        let mut claims = String::with_capacity(256);
        let mut members = Members::begin(&mut claims);
        if let Some(token) = proof.token {
            push_json_base64url(&hash(token), members.next("ath"));
        }
        members.text("htm", proof.method);
        // HTTP sends "/" for an empty path (RFC 9112 section 3.2.1).
        let path = Some(proof.url.path()).filter(|path| !path.is_empty());
        members.texts("htu", &[proof.url.origin_text(), path.unwrap_or("/")]);
        members.number("iat", proof.issued_at.as_secs());
        push_json_base64url(&at.draw("dpop jti")?, members.next("jti"));
        if let Some(nonce) = &proof.nonce {
            members.text("nonce", nonce);
        }
        members.end();
        let alg = self.signing_key().alg();
        Ok(jose::signing_input_after(&self.0.header, &claims, alg))
    }
}

/// The header of a key's proofs in base64url, and a dot.
#[cfg(feature = "sha2")]
fn header(key: &SigningKey, public: &PublicJwk) -> String {
    let mut header = String::new();
    let mut members = Members::begin(&mut header);
    members.text("alg", key.alg().as_str());
    let jwk = json::value_text(&public.to_value());
    members.next("jwk").push_str(&jwk);
    members.text("typ", "dpop+jwt");
    members.end();
    jose::encoded_header(&header)
}

/// `ath`: "the base64url-encoded SHA-256 hash of the ASCII encoding of the associated access token's
/// value" (section 4.2)
#[cfg(feature = "sha2")]
fn hash(token: &Secret<String>) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(token.expose()).into()
}

/// Appends the bytes as a JSON string in base64url.
#[cfg(feature = "sha2")]
fn push_json_base64url(bytes: &[u8], out: &mut String) {
    out.push('"');
    base64::append(bytes, Alphabet::UrlSafe, out);
    out.push('"');
}

/// The request that a proof is for.
#[cfg(feature = "sha2")]
#[derive(Debug)]
pub(crate) struct Proof<'a> {
    /// `htm`
    pub(crate) method: &'a str,
    /// `htu`, without its query.
    pub(crate) url: &'a Url,
    /// The access token that the request carries (`ath`).
    pub(crate) token: Option<&'a Secret<String>>,
    /// The newest nonce of the server that gets the proof.
    pub(crate) nonce: Option<String>,
    /// The time by the clock of the server that gets the proof.
    pub(crate) issued_at: UnixTime,
}

/// The role of the server that sent a nonce: "nonces will be only accepted by the server that issued them" (section 9),
/// even if both servers have the same origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerRole {
    AuthorizationServer,
    ResourceServer,
}

/// The newest nonce of each server. Bounded: the oldest is dropped first.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    role: ServerRole,
    origin: String,
    nonce: String,
}

impl Nonces {
    /// The newest nonce of this server.
    pub(crate) fn newest_nonce(&self, role: ServerRole, url: &Url) -> Option<String> {
        let origin = url.origin_text();
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries
            .iter()
            .find(|entry| entry.role == role && entry.origin == origin);
        entry.map(|entry| entry.nonce.clone())
    }

    /// The newest nonces of servers in this role, at most `count` of them, with their origins, oldest first.
    pub(crate) fn newest_nonces(&self, role: ServerRole, count: usize) -> Vec<(String, String)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_role = entries.iter().filter(|entry| entry.role == role);
        let skipped = of_role.clone().count().saturating_sub(count);
        let newest = of_role.skip(skipped);
        newest
            .map(|entry| (entry.origin.clone(), entry.nonce.clone()))
            .collect()
    }

    /// Restores a stored nonce, unless a newer one is known.
    pub(crate) fn restore_nonce(&self, role: ServerRole, url: &Url, nonce: &str) {
        if is_nonce(&nonce) && self.newest_nonce(role, url).is_none() {
            self.store_nonce(role, url, nonce);
        }
    }

    /// Stores the nonce of a reply, if there is one.
    pub(crate) fn store_nonce(&self, role: ServerRole, url: &Url, nonce: &str) {
        let origin = url.origin_text();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.role != role || entry.origin != origin);
        if entries.len() >= MAX_NONCES {
            entries.pop_front();
        }
        entries.push_back(Entry {
            role,
            origin: origin.to_owned(),
            nonce: nonce.to_owned(),
        });
    }
}

/// The nonce in a reply. "1*NQCHAR" (section 8.1); an invalid one is ignored.
///
/// # Errors
/// `dpop.duplicate_nonce` if there are several, because it is ambiguous which one to use.
pub(crate) fn nonce_field(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut fields = headers.get_all(NONCE_FIELD).iter();
    let (value, duplicate) = (fields.next(), fields.next());
    if duplicate.is_some() {
        return Err(ProtocolViolation::DpopNonce.into());
    }
    Ok(value.and_then(|field| field.to_str().ok()).filter(is_nonce))
}

fn is_nonce(text: &&str) -> bool {
    let is_char = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= MAX_NONCE && text.bytes().all(is_char)
}
