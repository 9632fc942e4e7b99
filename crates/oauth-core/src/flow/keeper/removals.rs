//! Decides whether a removal of the record, by a logout, also ends a login that is not stored yet: it does if it came
//! after the login. In a page there is nothing to wait for between a login and its save, so a browser build has only
//! stubs.

use super::Entry;
use crate::token::Tokens;

#[cfg(not(all(feature = "js", target_family = "wasm")))]
use super::reconcile::version;

/// What is known about the record that a login will replace, and about its removals.
#[derive(Debug, Clone, Copy, Default)]
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub(super) struct Removals {
    /// The version that the host had read before the login.
    seen: Option<u64>,
    /// The version that was first read to save the login.
    first_read: Option<u64>,
    /// Whether the record could not be read immediately: it may have been removed in the meantime.
    is_late: bool,
    /// Whether the user has logged out of this very login.
    is_ended: bool,
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl Removals {
    pub(super) const fn note_seen(&mut self, version: u64) {
        self.seen = Some(version);
    }

    pub(super) fn note_first_read(&mut self, version: u64) {
        self.first_read.get_or_insert(version);
    }

    pub(super) const fn note_late(&mut self) {
        self.is_late = true;
    }

    pub(super) const fn note_logout(&mut self) {
        self.is_ended = true;
    }

    /// Whether the user has logged out of this very login.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the login with these tokens has ended, according to the record.
    pub(super) fn ends_login(&self, tokens: &Tokens, entry: Option<&Entry>) -> bool {
        let is_gone = entry.is_none_or(Entry::is_removed);
        let is_later = |tombstone: &Entry| match self.first_read {
            Some(version) => tombstone.version > version,
            None => self.is_late && tombstone.saved_at() > tokens.received_at,
        };
        self.is_ended
            || (is_gone && self.seen.is_some_and(|seen| seen != version(entry)))
            || entry.is_some_and(|entry| entry.is_removed() && is_later(entry))
    }
}

#[derive(Debug, Clone, Copy, Default)]
#[cfg(all(feature = "js", target_family = "wasm"))]
pub(super) struct Removals;

#[cfg(all(feature = "js", target_family = "wasm"))]
impl Removals {
    pub(super) const fn note_seen(&mut self, _: u64) {}
    pub(super) const fn note_first_read(&mut self, _: u64) {}
    pub(super) const fn note_late(&mut self) {}
    pub(super) const fn note_logout(&mut self) {}
    pub(super) const fn is_ended(&self) -> bool {
        false
    }
    pub(super) const fn ends_login(&self, _: &Tokens, _: Option<&Entry>) -> bool {
        false
    }
}
