//! The keys of a server, as all clones of a client know them: fetched when they are needed, kept for as long
//! as the server says, and fetched again for a key that nobody knows, but not at an attacker's pace.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::KeySet;
use crate::moment::UnixTime;

/// How long keys are kept where the server does not say (OpenID Connect Core section 10.1.1 leaves it open).
const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);
/// However short the server says, so that not each login fetches them.
const MIN_AGE: Duration = Duration::from_secs(60);
/// However long the server says, so that a key that was withdrawn is forgotten.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// Between two fetches for the sake of a token that no known key has signed: anybody can make up such tokens.
const COOLDOWN: Duration = Duration::from_secs(60);

/// Keys, with their age.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    fresh_until: Option<UnixTime>,
    fetched_at: Option<UnixTime>,
    /// When keys were last fetched before their time.
    forced_at: Option<UnixTime>,
}

/// What is known.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Keys that are not too old.
    Fresh(Arc<KeySet>),
    /// None, or such that are too old; those will do if no others are to be had.
    Stale(Option<Arc<KeySet>>),
}

impl KeyCache {
    pub(crate) fn lookup(&self, now: UnixTime) -> Lookup {
        let state = self.state();
        // A clock that was set back must not keep keys for ever.
        let is_sane = state.fetched_at.is_some_and(|at| at <= now.after(COOLDOWN));
        match (&state.set, state.fresh_until) {
            (Some(set), Some(until)) if now < until && is_sane => Lookup::Fresh(Arc::clone(set)),
            (set, _) => Lookup::Stale(set.clone()),
        }
    }

    /// The keys, however old.
    pub(crate) fn known(&self) -> Option<Arc<KeySet>> {
        self.state().set.clone()
    }

    /// Whether keys may be fetched before their time, for a token that none of them has signed. If so, it
    /// counts as done.
    pub(crate) fn may_refetch(&self, now: UnixTime) -> bool {
        let mut state = self.state();
        let may = state
            .forced_at
            .is_none_or(|at| now >= at.after(COOLDOWN) || now < at);
        if may {
            state.forced_at = Some(now);
        }
        may
    }

    /// Keeps what was fetched, for as long as the server says, within bounds.
    pub(crate) fn keep(&self, now: UnixTime, set: Arc<KeySet>, max_age: Option<Duration>) {
        let age = max_age.map_or(DEFAULT_AGE, |age| age.clamp(MIN_AGE, MAX_AGE));
        let mut state = self.state();
        state.set = Some(set);
        state.fetched_at = Some(now);
        state.fresh_until = Some(now.after(age));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
