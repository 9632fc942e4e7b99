//! The cache of introspection responses.
//!
//! RFC 7662 <https://www.rfc-editor.org/rfc/rfc7662#section-4>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::endpoint::introspection::ActiveToken;
use crate::moment::UnixTime;

/// How long the response that a token is not active is cached: long enough to save requests for a client that sends an
/// invalid token again and again, short enough for a token that the server accepts a moment later.
const MAX_INACTIVE_AGE: Duration = Duration::from_secs(5);

/// The hash under which the response about a token is cached, so that the token itself is not kept.
pub(super) type TokenHash = [u8; 32];

/// The server's response; `None` if the token is not active.
pub(super) type IntrospectionResult = Option<Arc<ActiveToken>>;

/// The cached introspection response of a token, or the verification that requests it.
#[derive(Debug)]
pub(super) enum Lookup {
    Cached(IntrospectionResult),
    /// Another verification is introspecting the token.
    Pending,
    /// The calling verification has to introspect the token.
    Missing(LookupPermit),
}

/// The permit to introspect a token. Dropping it returns it.
#[derive(Debug)]
pub(super) struct LookupPermit {
    cache: Arc<IntrospectionCache>,
    token: TokenHash,
}

impl Drop for LookupPermit {
    fn drop(&mut self) {
        self.cache.lock().pending.remove(&self.token);
    }
}

/// Introspection responses by the hash of the token. All clones of a verifier share them.
#[derive(Debug)]
pub(super) struct IntrospectionCache {
    max_age: Duration,
    max_entries: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<TokenHash, Entry>,
    by_end: BTreeSet<(UnixTime, TokenHash)>,
    /// The tokens about which a request is under way.
    pending: BTreeSet<TokenHash>,
}

#[derive(Debug)]
struct Entry {
    response: IntrospectionResult,
    received_at: UnixTime,
    usable_until: UnixTime,
}

pub(super) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

impl IntrospectionCache {
    pub(super) fn new(max_age: Duration, entries: usize) -> Self {
        Self {
            max_age,
            max_entries: entries,
            state: Mutex::default(),
        }
    }

    /// Looks up the response of a token. If none is cached, the first verification introspects it, and the
    /// others wait for its response. Without a cache, each verification introspects it.
    pub(super) fn look_up(self: &Arc<Self>, token: TokenHash, now: UnixTime) -> Lookup {
        let is_disabled = self.max_entries == 0 || self.max_age.is_zero();
        let mut state = self.lock();
        if let Some(response) = state.get(&token, now) {
            return Lookup::Cached(response);
        }
        if !is_disabled && !state.pending.insert(token) {
            return Lookup::Pending;
        }
        Lookup::Missing(LookupPermit {
            cache: Arc::clone(self),
            token,
        })
    }

    /// Keeps a response, never beyond the expiry of the token: "the response MUST NOT be cached beyond" its
    /// `exp`.
    pub(super) fn store(&self, token: TokenHash, response: IntrospectionResult, now: UnixTime) {
        let until = match &response {
            Some(active) => {
                let latest = now.after(self.max_age);
                active.expires_at.map_or(latest, |end| end.min(latest))
            }
            None => now.after(self.max_age.min(MAX_INACTIVE_AGE)),
        };
        let is_cacheable =
            until > now && response.as_ref().is_none_or(|active| !active.is_truncated);
        let mut state = self.lock();
        state.forget(&token);
        if is_cacheable {
            let received_at = now;
            state.by_end.insert((until, token));
            state.entries.insert(
                token,
                Entry {
                    response,
                    received_at,
                    usable_until: until,
                },
            );
        }
        // The entry that expires first is dropped first, so that forged tokens do not displace valid ones.
        while state.entries.len() > self.max_entries {
            state.forget_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The response, if it may be used now. `None` if the clock has been set back.
    fn get(&mut self, token: &TokenHash, now: UnixTime) -> Option<IntrospectionResult> {
        let entry = self.entries.get(token)?;
        if entry.received_at <= now && now < entry.usable_until {
            return Some(entry.response.clone());
        }
        self.forget(token);
        None
    }

    fn forget(&mut self, token: &TokenHash) {
        if let Some(entry) = self.entries.remove(token) {
            self.by_end.remove(&(entry.usable_until, *token));
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, token)) = self.by_end.pop_first() {
            self.entries.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn active(end: Option<u64>) -> IntrospectionResult {
        Some(Arc::new(ActiveToken {
            expires_at: end.map(at),
            ..ActiveToken::default()
        }))
    }

    fn has(cache: &IntrospectionCache, token: &str, now: u64) -> bool {
        cache.lock().get(&hash(token), at(now)).is_some()
    }

    #[test]
    fn cached_answer_expires_after_the_maximum_age_or_with_the_token() {
        let cache = IntrospectionCache::new(MINUTE, 10);
        for (token, end, last) in [
            ("no end", None, 159),
            ("long", Some(1000), 159),
            ("short", Some(130), 129),
        ] {
            cache.store(hash(token), active(end), at(100));
            assert!(has(&cache, token, last), "{token}");
            assert!(!has(&cache, token, last + 1), "{token}");
            assert!(!has(&cache, token, last), "it is gone by then");
        }
        cache.store(hash("over"), active(Some(100)), at(100));
        assert!(!has(&cache, "over", 100));
        cache.store(hash("dead"), None, at(100));
        assert!(has(&cache, "dead", 104) && !has(&cache, "dead", 105));
        cache.store(hash("set back"), active(None), at(100));
        assert!(!has(&cache, "set back", 99));
    }

    #[test]
    fn newer_answer_replaces_the_cached_one() {
        let cache = IntrospectionCache::new(MINUTE, 10);
        cache.store(hash("t"), active(None), at(100));
        cache.store(hash("t"), None, at(100));
        let cached = cache.lock().get(&hash("t"), at(101));
        assert_eq!(cached.map(|response| response.is_none()), Some(true));
        assert!(has(&cache, "t", 104) && !has(&cache, "t", 105));
        assert!(!has(&cache, "t", 130), "the old one does not come back");
    }

    #[test]
    fn inactive_tokens_evict_no_active_token_from_a_full_cache() {
        let cache = IntrospectionCache::new(MINUTE, 3);
        for token in ["a", "b"] {
            cache.store(hash(token), active(None), at(100));
        }
        for made_up in 0..100 {
            cache.store(hash(&made_up.to_string()), None, at(100));
        }
        assert!(has(&cache, "a", 101) && has(&cache, "b", 101));
        let state = cache.lock();
        assert_eq!((state.entries.len(), state.by_end.len()), (3, 3));
        let none = IntrospectionCache::new(Duration::ZERO, 3);
        none.store(hash("t"), active(None), at(100));
        assert!(!has(&none, "t", 100));
    }

    fn begin_lookup(look: Lookup) -> Option<LookupPermit> {
        match look {
            Lookup::Missing(claim) => Some(claim),
            Lookup::Cached(_) | Lookup::Pending => None,
        }
    }

    #[test]
    fn concurrent_lookups_of_a_token_share_one_request() {
        let cache = Arc::new(IntrospectionCache::new(MINUTE, 3));
        let look = |token: &str| cache.look_up(hash(token), at(100));
        let claim = begin_lookup(look("t"));
        assert!(claim.is_some(), "nobody asks yet");
        assert!(matches!(look("t"), Lookup::Pending));
        assert!(matches!(look("other"), Lookup::Missing(_)));
        // The request was abandoned.
        drop(claim);
        let claim = begin_lookup(look("t"));
        assert!(claim.is_some(), "somebody else is to ask");
        cache.store(hash("t"), active(None), at(100));
        assert!(matches!(look("t"), Lookup::Cached(Some(_))));
        drop(claim);
        assert!(cache.lock().pending.is_empty());
        for (max_age, entries) in [(Duration::ZERO, 3), (MINUTE, 0)] {
            let cache = Arc::new(IntrospectionCache::new(max_age, entries));
            let first = cache.look_up(hash("t"), at(100));
            let second = cache.look_up(hash("t"), at(100));
            assert!(matches!(
                (first, second),
                (Lookup::Missing(_), Lookup::Missing(_))
            ));
        }
    }
}
