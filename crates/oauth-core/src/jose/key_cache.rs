//! The cache of a server's keys, shared by all clones of a client. Keys are fetched when needed, cached for as long as
//! the response allows, and fetched again for an unknown `kid`, at a limited rate.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::KeySet;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::json;
use crate::json_form;
use crate::moment::UnixTime;

/// How long keys are cached if the server states no lifetime (OpenID Connect Core section 10.1.1 leaves it open).
const DEFAULT_AGE: Duration = Duration::from_secs(15 * 60);
/// The minimum cache time, even if the server states a shorter one, so that not every login fetches keys.
const MIN_AGE: Duration = Duration::from_secs(60);
/// The maximum cache time, even if the server states a longer one or cannot be reached, so that a withdrawn key is
/// dropped.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The minimum pause between two fetches for an unknown `kid`, because anyone can forge such tokens.
const MIN_REFETCH_PAUSE: Duration = Duration::from_secs(60);
/// How long a verification waits for the fetch of another one.
const MAX_FETCH_WAIT: Duration = Duration::from_secs(10);

/// The cached keys and their age.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    fresh_until: Option<UnixTime>,
    fetched_at: Option<UnixTime>,
    /// When keys were last fetched before they expired.
    refetched_at: Option<UnixTime>,
    /// Whether that fetch is still under way.
    is_refetching: bool,
}

/// The action for a token that no cached key has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnknownKey {
    /// Fetch keys, on behalf of all verifications for a minute.
    Fetch,
    /// Wait: another verification is fetching them.
    Wait,
    /// Give up: the keys have just been fetched.
    GiveUp,
}

/// The state of the cached keys.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Keys that are not too old.
    Fresh(Arc<KeySet>),
    /// No keys, or expired ones, which are used if no newer ones can be fetched.
    Stale(Option<Arc<KeySet>>),
}

impl KeyCache {
    pub(crate) fn lookup(&self, now: UnixTime) -> Lookup {
        let state = self.state();
        // A clock that has been set back must not keep keys forever.
        let is_clock_plausible = state
            .fetched_at
            .is_some_and(|fetched_at| fetched_at <= now.after(MIN_REFETCH_PAUSE));
        match (&state.set, state.fresh_until) {
            (Some(set), Some(until)) if now < until && is_clock_plausible => {
                Lookup::Fresh(Arc::clone(set))
            }
            (set, _) => {
                let is_usable = state
                    .fetched_at
                    .is_some_and(|fetched_at| now < fetched_at.after(MAX_AGE));
                Lookup::Stale(set.clone().filter(|_| is_usable))
            }
        }
    }

    /// The keys, even if expired.
    pub(crate) fn cached_keys(&self) -> Option<Arc<KeySet>> {
        self.state().set.clone()
    }

    /// The action for a token that none of the keys has signed: keys may be fetched before they expire.
    pub(crate) fn on_unknown_key(&self, now: UnixTime) -> OnUnknownKey {
        let mut state = self.state();
        let recent_refetch = state.refetched_at.filter(|refetched_at| {
            *refetched_at <= now && now < refetched_at.after(MIN_REFETCH_PAUSE)
        });
        match recent_refetch {
            None => {
                state.refetched_at = Some(now);
                state.is_refetching = true;
                OnUnknownKey::Fetch
            }
            // The verification that began the request may have been dropped.
            Some(refetched_at)
                if state.is_refetching && now < refetched_at.after(MAX_FETCH_WAIT) =>
            {
                OnUnknownKey::Wait
            }
            Some(_) => OnUnknownKey::GiveUp,
        }
    }

    /// Records that a fetch failed, so that no verification waits for it.
    pub(crate) fn fetch_failed(&self) {
        self.state().is_refetching = false;
    }

    /// Caches the fetched keys for the lifetime that the server states, within bounds.
    pub(crate) fn store_keys(&self, now: UnixTime, set: Arc<KeySet>, max_age: Option<Duration>) {
        let age = max_age.map_or(DEFAULT_AGE, |age| age.clamp(MIN_AGE, MAX_AGE));
        let mut state = self.state();
        state.set = Some(set);
        state.fetched_at = Some(now);
        state.is_refetching = false;
        state.fresh_until = Some(now.after(age));
    }

    /// The cached keys as JSON, to store: the keys, their issuer, and how long they are valid.
    pub(crate) fn export(&self, issuer: &str) -> Option<String> {
        let state = self.state();
        Some(json::to_text(&Stored {
            version: 1,
            issuer: issuer.to_owned(),
            fetched_at: state.fetched_at?,
            fresh_until: state.fresh_until?,
            keys: state.set.as_deref()?.clone(),
        }))
    }

    /// Imports what was exported, unless newer keys are cached.
    ///
    /// # Errors
    /// `stored.malformed`; `stored.issuer` for the keys of another server.
    pub(crate) fn import(&self, issuer: &str, text: &str) -> Result<(), Error> {
        let stored: Stored = json::from_text(text).ok_or(Misuse::StoredForm)?;
        if stored.version != 1 {
            return Err(Misuse::StoredForm.into());
        }
        if stored.issuer != issuer {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        let mut state = self.state();
        if state
            .fetched_at
            .is_none_or(|cached_at| cached_at < stored.fetched_at)
        {
            state.set = Some(Arc::new(stored.keys));
            state.fetched_at = Some(stored.fetched_at);
            state.fresh_until = Some(stored.fresh_until.min(stored.fetched_at.after(MAX_AGE)));
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored form of the cached keys.
struct Stored {
    version: u32,
    issuer: String,
    fetched_at: UnixTime,
    fresh_until: UnixTime,
    keys: KeySet,
}

json_form! { Stored { version, issuer, fetched_at, fresh_until, keys } }
