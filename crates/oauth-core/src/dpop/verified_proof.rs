//! [`VerifiedDpopProof`]: what an API learns from a DPoP proof. The checks are in `proof_verification.rs`.

use crate::moment::UnixTime;

/// The DPoP proof of a request to an API, which has been verified (RFC 9449 section 4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDpopProof {
    pub(super) jkt: String,
    pub(super) replay_key: String,
    pub(super) forget_at: UnixTime,
    pub(super) next_nonce: Option<String>,
}

impl VerifiedDpopProof {
    /// The thumbprint of the proof's key, to which the token is bound (`cnf.jkt`).
    pub fn jkt(&self) -> &str {
        &self.jkt
    }

    /// What identifies this proof: a hash of its key, its target URI and its `jti`. For [`ReplayProtection::Caller`]: insert it into
    /// your store if it is not there yet, in one atomic step, and refuse the request if it was.
    ///
    /// [`ReplayProtection::Caller`]: crate::token::logout_token::ReplayProtection::Caller
    pub fn replay_key(&self) -> &str {
        &self.replay_key
    }

    /// The time from which [`Self::replay_key`] need not be remembered, because the proof is then refused for its age.
    pub const fn forget_at(&self) -> UnixTime {
        self.forget_at
    }

    /// The nonce to send with the response, in `DPoP-Nonce`, because that of the proof expires soon (section 8.2).
    /// `None` if the client needs no other one yet, or none at all.
    pub fn next_nonce(&self) -> Option<&str> {
        self.next_nonce.as_deref()
    }
}
