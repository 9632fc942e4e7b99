//! Whether the tokens of an API are bound to a key (RFC 9449), and of which algorithm that key is.

use super::{ConnectRequest, Connection};
use crate::dpop::DpopKey;
use crate::error::{Error, Misuse};
use crate::jose::Alg;

/// The algorithms of keys that are made for an API, best first.
const PREFERRED: [Alg; 8] = [
    Alg::Es256,
    Alg::EdDsa,
    Alg::Ed25519,
    Alg::Es384,
    Alg::Es512,
    Alg::Ps256,
    Alg::Ps384,
    Alg::Ps512,
];

/// What a server says of the proofs that it takes (RFC 9449 section 5.1).
const SERVER_ALGS: &str = "dpop_signing_alg_values_supported";

impl ConnectRequest {
    /// Registers the client for tokens that are bound to its DPoP key (RFC 9449 section 5.2), whatever the API demands,
    /// if it registers itself.
    #[must_use]
    pub fn dpop_bound(mut self) -> Self {
        if let Some(registration) = &mut self.registration {
            registration.metadata.dpop_bound_access_tokens = Some(true);
        }
        self
    }
}

impl Connection {
    /// Of which algorithm a key has to be, where tokens have to be bound to one: because the API takes no others
    /// (`dpop_bound_access_tokens_required`, RFC 9728 section 2), or because that is what the client is registered for.
    /// Of those that the API and its server take it is the first of ours.
    ///
    /// # Errors
    /// `key.algorithm` if they take none of them.
    pub fn dpop_alg(&self) -> Result<Option<Alg>, Error> {
        let registered = self.registration.as_ref();
        let registered = registered.and_then(|client| client.metadata.dpop_bound_access_tokens);
        if !self.resource.requires_dpop && registered != Some(true) {
            return Ok(None);
        }
        let server = self.server.named_list(SERVER_ALGS);
        let lists = [self.resource.dpop_algs.as_deref(), server.as_deref()];
        let is_taken = |alg: &Alg| {
            let mut lists = lists.iter().flatten();
            lists.all(|list| list.iter().any(|name| name == alg.as_str()))
        };
        let ours = PREFERRED.into_iter().find(is_taken);
        let none = || {
            let both: Vec<_> = lists.iter().flatten().map(|list| list.join(" ")).collect();
            let detail = format!("accepted for DPoP are {}", both.join(", and "));
            Error::from(Misuse::KeyAlgorithm).about(&detail)
        };
        ours.map(Some).ok_or_else(none)
    }

    /// Whether the API takes proofs of this key.
    ///
    /// # Errors
    /// `key.algorithm`.
    pub fn check_dpop_key(&self, key: &DpopKey) -> Result<(), Error> {
        key.check(self.resource.dpop_algs.as_deref())
    }
}
