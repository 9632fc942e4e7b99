//! The replay cache: remembers received tokens for as long as they could be accepted again. Which logout tokens are
//! recorded, and for how long, is in `token/logout_token.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::moment::UnixTime;

/// The largest number of tokens that are remembered. Beyond it, the one that expires first is forgotten, because
/// refusing a new logout would be worse than processing an old one twice.
const CAPACITY: usize = 10_000;

/// The tokens by issuer and `jti`, each with the time until which it is remembered.
#[derive(Debug, Default)]
pub(crate) struct ReplayCache(Mutex<State>);

type Name = (String, String);

#[derive(Debug, Default)]
struct State {
    expiry_of: BTreeMap<Arc<Name>, UnixTime>,
    by_end: BTreeSet<(UnixTime, Arc<Name>)>,
}

impl ReplayCache {
    /// Remembers a token until this time. `false` if it is already remembered.
    pub(crate) fn remember(
        &self,
        issuer: &str,
        jti: &str,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> bool {
        let name = Arc::new((issuer.to_owned(), jti.to_owned()));
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

impl State {
    fn forget_first(&mut self) {
        if let Some((_, name)) = self.by_end.pop_first() {
            self.expiry_of.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn a_name_is_known_until_its_end_and_at_its_issuer() {
        let replays = ReplayCache::default();
        assert!(replays.remember("a", "1", at(100), at(0)));
        assert!(!replays.remember("a", "1", at(100), at(99)));
        assert!(replays.remember("b", "1", at(100), at(99)));
        assert!(replays.remember("a", "1", at(200), at(100)));
        assert!(!replays.remember("a", "1", at(200), at(100)));
    }

    #[test]
    fn of_too_many_the_one_that_ends_first_is_forgotten() {
        let replays = ReplayCache::default();
        let count = CAPACITY as u64;
        for number in 0..=count {
            assert!(replays.remember("a", &number.to_string(), at(1000 + number), at(0)));
        }
        assert_eq!(
            replays.0.lock().map(|state| state.by_end.len()).ok(),
            Some(CAPACITY)
        );
        assert!(!replays.remember("a", &count.to_string(), at(9999), at(0)));
        assert!(!replays.remember("a", "1", at(9999), at(0)));
        assert!(replays.remember("a", "0", at(9999), at(0)));
    }
}
