//! What the store has, beside what is known here.

use std::time::Duration;

use super::commit::UnsavedTokens;
use super::decision::drained;
use super::record::Record;
use super::{Entry, Keeper, Step, Storage};
use crate::error::Error;
use crate::moment::Moment;

/// For how long it is certain that a record which is not there was not removed: the mark that a
/// removal leaves stays for 30 days.
const REMOVAL_SHOWS: Duration = Duration::from_secs(29 * 24 * 3600);

/// What a look at the store has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reconciled {
    /// What is known already.
    Unchanged,
    /// Something else, which is known now.
    Adopted,
    /// Less than what was there before, and is known here: it stands at this version, 0 if there is
    /// nothing. A replica took over, a backup was restored, memory ran out.
    StoreLost(u64),
}

impl Keeper {
    /// Takes over what is stored, if it is newer than what is known.
    pub(super) fn reconcile(
        &mut self,
        at: &Moment,
        entry: Option<Entry>,
    ) -> Result<Reconciled, Error> {
        if self.storage == Storage::Local {
            return Ok(Reconciled::Unchanged);
        }
        let version = version(entry.as_ref());
        if version == self.version {
            self.seen = at.now();
            return Ok(Reconciled::Unchanged);
        }
        let stored = self.parse_entry(entry)?;
        if self.supersedes(at, &self.record, &stored, version) {
            return Ok(Reconciled::StoreLost(version));
        }
        if let Some(pause) = &stored.pause {
            let now = at.now();
            self.backoff.set(now, pause.end(now), &pause.error(now));
        }
        self.adopt(at, stored, version);
        Ok(Reconciled::Adopted)
    }

    /// Why nothing is sent now: the host is about to end, or the server has asked for a pause, us or
    /// another worker, or it has refused the token not long ago, or it serves no grant of this client, or
    /// each new token was refused.
    pub(super) fn held_back(&mut self, at: &Moment) -> Option<Error> {
        if self.is_drained {
            return Some(drained());
        }
        // Others may have renewed it, and been given the very token that was refused.
        if let Some(error) = self.repeated_refusals(at.now()) {
            return Some(error);
        }
        // Our clock was set back.
        self.suspected_at = self.suspected_at.min(at.now());
        if let Some(error) = self.suspicion_error(at.now()) {
            self.pause_briefly(at, &error);
            return Some(error);
        }
        if self.record.pause.is_some()
            && let Some(error) = self.backoff.error_while_active(at.now())
        {
            return Some(error);
        }
        let error = self.us.shared.breaker.told(at.now())?;
        self.pause_briefly(at, &error);
        Some(error)
    }

    /// A record that was removed is an empty one.
    pub(super) fn parse_entry(&self, entry: Option<Entry>) -> Result<Record, Error> {
        match entry.filter(|entry| !entry.is_removed()) {
            Some(entry) => Record::read(entry.record.expose(), &self.us, &self.id),
            None => Ok(Record::default()),
        }
    }

    /// Whether `ours` is newer than what the store has at this version: it grew out of that, or that is
    /// older than what the store is known to have had. A login of somebody else counts by the time of
    /// its tokens: a store that counts anew after a removal must not cost anyone a login.
    pub(super) fn supersedes(
        &self,
        at: &Moment,
        ours: &Record,
        stored: &Record,
        version: u64,
    ) -> bool {
        let received = |record: &Record| record.tokens.as_ref().map(|tokens| tokens.received_at);
        let is_lost = version < self.version
            && ours.tokens.is_some()
            && match version {
                0 => at.now().since(self.seen) < REMOVAL_SHOWS,
                _ => stored.login == ours.login || received(ours) > received(stored),
            };
        is_lost || ours.is_later_than(stored)
    }

    /// Stores again what the store has lost.
    pub(super) fn restore_lost(&mut self, version: u64) -> Step {
        let record = self.record.clone();
        self.save_tokens(Box::new(UnsavedTokens::deferred(
            None, record, version, true,
        )))
    }
}

/// 0 is the version of a record that is not there.
pub(super) fn version(entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| entry.version)
}
