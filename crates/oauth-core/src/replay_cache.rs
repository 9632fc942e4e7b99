//! The replay cache: remembers received tokens for as long as they could be accepted again. Which logout tokens are
//! recorded, and for how long, is in `token/logout_token.rs`; which DPoP proofs, in `dpop/proof_verification.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::moment::UnixTime;

/// Where received logout tokens (OpenID Connect Back-Channel Logout section 2.6, step 8) and DPoP proofs (RFC 9449 section
/// 11.1) are remembered, so that each is accepted only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReplayProtection {
    /// In this process, shared by all clones of the client; at most ten thousand tokens, and a hundred thousand proofs,
    /// which suffice for some 800 requests a second: beyond that, those that expire first are forgotten early.
    #[default]
    Process,
    /// By the caller, in a store that several processes share: insert [`issuer`] with [`jti`] of the token if they are
    /// not there yet, in one atomic step, and keep them until [`forget_at`]. Refuse a token whose `jti` was already
    /// there. A proof has a [`replay_key`] instead.
    ///
    /// [`issuer`]: crate::token::logout_token::LogoutToken::issuer
    /// [`jti`]: crate::token::logout_token::LogoutToken::jti
    /// [`forget_at`]: crate::token::logout_token::LogoutToken::forget_at
    /// [`replay_key`]: crate::dpop::VerifiedDpopProof::replay_key
    Caller,
}

impl ReplayProtection {
    /// `process` or `caller`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Caller => "caller",
        }
    }
}

/// The logout tokens by issuer and `jti`. Beyond this number the one that expires first is forgotten, because refusing a
/// new logout would be worse than processing an old one twice.
pub(crate) type LogoutTokens = ReplayCache<(String, String), 10_000>;

/// The DPoP proofs by their hash. Beyond this number the one that expires first is forgotten: it has the least time left
/// for a replay, and if new ones were refused, one client with a valid token could keep out all others.
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
pub(crate) type DpopProofs = ReplayCache<String, 100_000>;

/// Names, each with the time until which it is remembered; at most `CAPACITY` of them.
#[derive(Debug)]
pub(crate) struct ReplayCache<N, const CAPACITY: usize>(Mutex<State<N>>);

#[derive(Debug)]
struct State<N> {
    expiry_of: BTreeMap<Arc<N>, UnixTime>,
    by_end: BTreeSet<(UnixTime, Arc<N>)>,
}

impl<N: Ord, const CAPACITY: usize> Default for ReplayCache<N, CAPACITY> {
    fn default() -> Self {
        Self(Mutex::new(State {
            expiry_of: BTreeMap::new(),
            by_end: BTreeSet::new(),
        }))
    }
}

impl<N: Ord, const CAPACITY: usize> ReplayCache<N, CAPACITY> {
    /// Remembers a token until this time. `false` if it is already remembered.
    pub(crate) fn remember(&self, name: N, expires_at: UnixTime, now: UnixTime) -> bool {
        let name = Arc::new(name);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while state.by_end.first().is_some_and(|(end, _)| *end <= now) {
            state.forget_first();
        }
        if state.expiry_of.contains_key(&name) {
            return false;
        }
        if state.expiry_of.len() >= CAPACITY {
            state.forget_first();
        }
        state.expiry_of.insert(Arc::clone(&name), expires_at);
        state.by_end.insert((expires_at, name));
        true
    }
}

impl<N: Ord> State<N> {
    fn forget_first(&mut self) {
        if let Some((_, name)) = self.by_end.pop_first() {
            self.expiry_of.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(issuer: &str, jti: &str) -> (String, String) {
        (issuer.to_owned(), jti.to_owned())
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn name_is_remembered_per_issuer_until_it_expires() {
        let replays = LogoutTokens::default();
        assert!(replays.remember(key_of("a", "1"), at(100), at(0)));
        assert!(!replays.remember(key_of("a", "1"), at(100), at(99)));
        assert!(replays.remember(key_of("b", "1"), at(100), at(99)));
        assert!(replays.remember(key_of("a", "1"), at(200), at(100)));
        assert!(!replays.remember(key_of("a", "1"), at(200), at(100)));
    }

    #[test]
    fn entry_that_expires_first_is_evicted_from_a_full_cache() {
        const CAPACITY: usize = 1_000;
        let replays = ReplayCache::<_, CAPACITY>::default();
        let count = CAPACITY as u64;
        for number in 0..=count {
            assert!(replays.remember(key_of("a", &number.to_string()), at(1000 + number), at(0)));
        }
        assert_eq!(
            replays.0.lock().map(|state| state.by_end.len()).ok(),
            Some(CAPACITY)
        );
        assert!(!replays.remember(key_of("a", &count.to_string()), at(9999), at(0)));
        assert!(!replays.remember(key_of("a", "1"), at(9999), at(0)));
        assert!(replays.remember(key_of("a", "0"), at(9999), at(0)));
    }
}
