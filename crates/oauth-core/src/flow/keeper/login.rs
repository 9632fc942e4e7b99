//! Saves the tokens of a new login, which replace those of the grant. The login itself is in `flow/authorization.rs`.

use std::sync::Arc;

use super::reconcile::version;
use super::record::Record;
use super::state::State;
use super::{Entry, Keeper, Step, Unsaved};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, Misuse};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// The tokens of a new login.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// Its id, which the record carries as long as its tokens come from this login.
    pub(super) id: String,
    pub(super) tokens: Arc<Tokens>,
    /// Whether a save of it was requested and never answered: it may be stored already, and others may
    /// have renewed it.
    pub(super) is_tried: bool,
    /// Whether it may be a copy of tokens that are stored already, or were replaced there.
    pub(super) is_copy: bool,
    /// The login that was stored before that.
    pub(super) over: Option<String>,
    /// The version of the record that the host had read before: a removal after that ends this login, too.
    pub(super) seen: Option<u64>,
}

impl Login {
    pub(super) const fn new(id: String, tokens: Arc<Tokens>) -> Self {
        Self {
            id,
            tokens,
            is_tried: false,
            is_copy: false,
            over: None,
            seen: None,
        }
    }

    /// Whether the record was removed after the host had read it.
    fn is_removed_since(&self, entry: Option<&Entry>) -> bool {
        let is_gone = entry.is_none_or(Entry::is_removed);
        is_gone && self.seen.is_some_and(|seen| seen != version(entry))
    }

    pub(super) fn record(&self, until: Option<UnixTime>) -> Record {
        Record {
            until,
            login: Some(self.id.clone()),
            renewals: Some(0),
            ..Record::of(Arc::clone(&self.tokens))
        }
    }
}

impl Keeper {
    /// Takes the tokens of a new login like [`replace`](Self::replace), for a host that has read the record at the version
    /// `seen`, 0 if there was none. They are not stored over a removal after that: the user has logged out meanwhile, so
    /// they are revoked, and callers get `grant.no_refresh_token`.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn replace_seen(&mut self, at: &Moment, tokens: Tokens, seen: u64) -> Result<(), Error> {
        self.replace(at, tokens)?;
        if let Unsaved::Login(login) = &mut self.unsaved {
            login.seen = Some(seen);
        }
        Ok(())
    }

    /// Saves a login over whatever is stored, unless it may be stored already: its renewals by other
    /// workers are newer, and so is a later login.
    pub(super) fn save_login(&mut self, at: &Moment, entry: Option<Entry>) -> Step {
        let Unsaved::Login(login) = &mut self.unsaved else {
            return Step::Done(Err(Misuse::OutOfOrder.into()));
        };
        let version = version(entry.as_ref());
        if !IS_BROWSER_BUILD && login.is_removed_since(entry.as_ref()) {
            let unwanted = Arc::clone(&login.tokens);
            self.unsaved = Unsaved::Nothing;
            self.adopt(at, Record::default(), version);
            let error =
                Error::from(Misuse::NoRefreshToken).about("the user has logged out meanwhile");
            self.pause_briefly(at, &error);
            return self.revoke_unwanted(&unwanted, Err(error));
        }
        let is_removed = entry.as_ref().is_some_and(Entry::is_removed);
        // A record that cannot be read is replaced like any other.
        let stored = entry.filter(|entry| !entry.is_removed());
        let stored = stored
            .and_then(|entry| Record::read(entry.record.expose(), &self.config, &self.id).ok());
        let over = stored.as_ref().and_then(|stored| stored.login.clone());
        // A version that is not higher than at the attempt does not show whether a later save succeeded.
        let is_newer = version > self.version;
        let received = stored.as_ref().and_then(Record::received_at);
        let is_old = received.is_some_and(|received| received >= login.tokens.received_at);
        let is_replaced = login.is_tried && is_newer && (is_removed || over != login.over);
        if is_replaced || (login.is_copy && is_old) {
            self.unsaved = Unsaved::Nothing;
            self.adopt(at, stored.unwrap_or_default(), version);
            return self.finish_stored(at);
        }
        login.over = over;
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
            Unsaved::Login(login) if login.id != id => self.load(State::LoadBeforeLogin),
            _ => {
                self.unsaved = Unsaved::Nothing;
                self.finish_stored(at)
            }
        }
    }

    /// A save of this login was requested, and never answered.
    pub(super) fn note_login_tried(&mut self, id: &str) {
        if let Unsaved::Login(login) = &mut self.unsaved
            && login.id == id
        {
            login.is_tried = true;
        }
    }

    /// Ends the renewal after the tokens were stored: returns them, unless they have become stale.
    fn finish_stored(&mut self, at: &Moment) -> Step {
        match self
            .good(at.now())
            .filter(|_| at.now() < self.deadlines.stale_at)
        {
            Some(tokens) => self.finish(at, Ok(tokens)),
            None if !self.has_waiters => self.finish(at, Err(Misuse::NoRefreshToken.into())),
            None => self.load(State::LoadBeforeLease { attempts: 0 }),
        }
    }
}
