//! Saves the tokens of a new login, which replace those of the grant. The login itself is in `flow/authorization.rs`.

use std::sync::Arc;

use super::reconcile::version;
use super::record::Record;
use super::removals::Removals;
use super::state::State;
use super::{Entry, Keeper, Step, Storage, UnsavedState};
use crate::error::{Error, Misuse};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// The tokens of a new login.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// The login's id, which the record contains as long as its tokens come from this login.
    pub(super) id: String,
    pub(super) tokens: Arc<Tokens>,
    /// Whether the result of a save is unknown: the login may be stored already, and others may have renewed it.
    pub(super) may_be_stored: bool,
    /// Whether it may be a copy of tokens that are stored already, or were replaced there.
    pub(super) is_copy: bool,
    /// The login that was stored before that.
    pub(super) replaced_login: Option<String>,
    /// Which removals of the record end this login.
    pub(super) removals: Removals,
}

impl Login {
    pub(super) fn new(id: String, tokens: Arc<Tokens>) -> Self {
        Self {
            id,
            tokens,
            may_be_stored: false,
            is_copy: false,
            replaced_login: None,
            removals: Removals::default(),
        }
    }

    pub(super) fn record(&self, until: Option<UnixTime>) -> Record {
        Record {
            until,
            login: Some(self.id.clone()),
            renewals: Some(0),
            ..Record::from_tokens(Arc::clone(&self.tokens))
        }
    }
}

impl Keeper {
    /// Takes the tokens of a new login like [`replace`](Self::replace), for a host that has read the record at the
    /// version `known_version`, 0 if there was none. They are not stored over a removal after that: the user has logged
    /// out in the meantime, so they are revoked, and callers get `grant.no_refresh_token`.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn replace_at_version(
        &mut self,
        at: &Moment,
        tokens: Tokens,
        known_version: u64,
    ) -> Result<(), Error> {
        self.replace(at, tokens)?;
        if let UnsavedState::Login(login) = &mut self.unsaved {
            login.removals.note_seen(known_version);
        }
        Ok(())
    }

    /// Ends a login that is not stored yet, because the user has logged out, and returns its tokens, which the host
    /// revokes. If it is being saved at this moment, it is revoked by that renewal instead, or the host removes the
    /// record.
    ///
    /// Without a store no login is ever stored: the known one ends, unless a renewal is under way, for which the host
    /// waits first.
    pub fn end_unsaved_login(&mut self, at: &Moment) -> Option<Arc<Tokens>> {
        let is_busy = self.is_busy();
        if self.storage == Storage::Local {
            let ended = self.record.tokens.clone().filter(|_| !is_busy)?;
            // Otherwise callers would get the error of a failed renewal until its pause ends. A pause that the server
            // asked for outlasts the client's own token.
            if !self.is_client_grant() {
                self.backoff.clear();
            }
            self.adopt(at, Record::default(), self.version + 1);
            return Some(ended);
        }
        let UnsavedState::Login(login) = &mut self.unsaved else {
            return None;
        };
        login.removals.note_logout();
        if is_busy {
            return None;
        }
        let tokens = Arc::clone(&login.tokens);
        self.unsaved = UnsavedState::Nothing;
        // The logout reads the store again, and revokes an older login there that this one would have replaced.
        self.adopt(at, Record::default(), 0);
        Some(tokens)
    }

    /// Saves a login over any stored record, unless the login may be stored already: then its renewals by other workers
    /// are newer, and so is a later login. One that had to wait for the store is not saved over a later logout.
    pub(super) fn save_login(&mut self, at: &Moment, entry: Option<Entry>) -> Step {
        let UnsavedState::Login(login) = &mut self.unsaved else {
            return Step::Done(Err(Misuse::OutOfOrder.into()));
        };
        let version = version(entry.as_ref());
        if login.removals.ends_login(&login.tokens, entry.as_ref()) {
            let unwanted = Arc::clone(&login.tokens);
            let stored = self.parse_entry(entry).unwrap_or_default();
            self.unsaved = UnsavedState::Nothing;
            self.adopt(at, stored, version);
            return self.end_unwanted_login(at, &unwanted);
        }
        let is_removed = entry.as_ref().is_some_and(Entry::is_removed);
        // A record that cannot be read is replaced like any other.
        let stored = entry.filter(|entry| !entry.is_removed());
        let stored = stored
            .and_then(|entry| Record::read(entry.record.expose(), &self.config, &self.id).ok());
        let replaced_login = stored.as_ref().and_then(|stored| stored.login.clone());
        // A version that is not higher than at the attempt does not show whether a later save succeeded.
        let is_newer = version > self.version;
        let stored_received_at = stored.as_ref().and_then(Record::received_at);
        let is_stored_as_new = stored_received_at
            .is_some_and(|stored_received_at| stored_received_at >= login.tokens.received_at);
        let is_replaced = login.may_be_stored
            && is_newer
            && (is_removed || replaced_login != login.replaced_login);
        if is_replaced || (login.is_copy && is_stored_as_new) {
            self.unsaved = UnsavedState::Nothing;
            self.adopt(at, stored.unwrap_or_default(), version);
            return self.finish_stored(at);
        }
        login.replaced_login = replaced_login;
        login.removals.note_first_read(version);
        let (record, id) = (login.record(self.until), login.id.clone());
        // Callers get the tokens of the login in the meantime: the known record may be older than the one just
        // read.
        self.adopt(at, record.clone(), version);
        self.save(&record.clone(), State::SaveLogin(id, Box::new(record)))
    }

    pub(super) fn login_saved(
        &mut self,
        at: &Moment,
        id: &str,
        record: Record,
        version: u64,
    ) -> Step {
        // The version belongs to the record that was saved.
        self.adopt(at, record, version);
        self.backoff.clear();
        match &self.unsaved {
            UnsavedState::Login(login) if login.id != id => self.load(State::LoadBeforeLogin),
            UnsavedState::Login(login) if login.removals.is_ended() => {
                let unwanted = Arc::clone(&login.tokens);
                self.unsaved = UnsavedState::Nothing;
                self.adopt(at, Record::default(), version);
                self.end_unwanted_login(at, &unwanted)
            }
            _ => {
                self.unsaved = UnsavedState::Nothing;
                self.finish_stored(at)
            }
        }
    }

    /// Revokes the tokens of a login whose user has logged out while it was being stored.
    fn end_unwanted_login(&mut self, at: &Moment, unwanted: &Tokens) -> Step {
        let error = Error::from(Misuse::NoRefreshToken).about("the user has logged out meanwhile");
        self.pause_briefly(at, &error);
        self.revoke_unwanted(unwanted, Err(error))
    }

    /// Records that a login cannot be saved immediately.
    pub(super) fn note_late_login(&mut self) {
        if let UnsavedState::Login(login) = &mut self.unsaved {
            login.removals.note_late();
        }
    }

    /// Records that the result of a save of this login is unknown.
    pub(super) fn note_unanswered_login_save(&mut self, id: &str) {
        if let UnsavedState::Login(login) = &mut self.unsaved
            && login.id == id
        {
            login.may_be_stored = true;
        }
    }

    /// Ends the renewal after the tokens were stored: returns them, unless they have become stale.
    fn finish_stored(&mut self, at: &Moment) -> Step {
        let tokens = self.valid_tokens(at.now());
        match tokens.filter(|_| !self.is_stale(at.now())) {
            Some(tokens) => self.finish(at, Ok(tokens)),
            None if !self.has_waiters => self.finish(at, Err(Misuse::NoRefreshToken.into())),
            None => self.load(State::LoadBeforeLease { attempts: 0 }),
        }
    }
}
