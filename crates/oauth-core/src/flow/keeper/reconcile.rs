//! Reconciles the stored record with the one known to this worker. Whether a refresh may be sent again after a lost one
//! is decided in `send_decision.rs`; what follows `invalid_grant`, in `recheck` of `commit.rs`.

use std::time::Duration;

use super::commit::PendingSave;
use super::record::Record;
use super::{Entry, Keeper, Step, Storage};
use crate::error::{Cause, Error, Misuse};
use crate::moment::Moment;
use crate::token::Tokens;

/// How long a removed record certainly leaves a tombstone: stores keep it for 30 days. Within that time, an absent
/// record was lost and not removed.
const CERTAIN_TOMBSTONE_LIFETIME: Duration = Duration::from_secs(29 * 24 * 3600);

/// How the stored record compares with the known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reconciliation {
    /// The store has the record that this worker has.
    Unchanged,
    /// The store had something else, which was adopted.
    Adopted,
    /// The store has lost a record that this worker still has: it is at this version, 0
    /// if there is no record. A replica took over, a backup was restored, or memory ran out.
    StoreLost(u64),
}

impl Keeper {
    /// Adopts the stored record, if it is newer than the known one.
    pub(super) fn reconcile(
        &mut self,
        at: &Moment,
        entry: Option<Entry>,
    ) -> Result<Reconciliation, Error> {
        if self.storage == Storage::Local {
            return Ok(Reconciliation::Unchanged);
        }
        let version = version(entry.as_ref());
        if version == self.version {
            self.version_seen_at = at.now();
            return Ok(Reconciliation::Unchanged);
        }
        let stored = self.parse_entry(entry)?;
        if self.supersedes(at, &self.record, &stored, version) {
            return Ok(Reconciliation::StoreLost(version));
        }
        if let Some(pause) = &stored.pause {
            let now = at.now();
            self.backoff.set(now, pause.end(now), &pause.error(now));
        }
        self.adopt(at, stored, version);
        Ok(Reconciliation::Adopted)
    }

    /// The reason why nothing is sent now, if there is one: the host is shutting down, every new token was refused, the
    /// server refused this refresh token recently, it asked this or another worker for a pause, or the client's breaker
    /// is open.
    pub(super) fn reason_not_to_send(&mut self, at: &Moment) -> Option<Error> {
        if self.is_drained {
            return Some(Misuse::SourceClosed.into());
        }
        // Another worker may have renewed it, and received the refused token again.
        if let Some(error) = self.repeated_refusals(at.now()) {
            return Some(error);
        }
        // This worker's clock has been set back.
        self.unconfirmed_refusal_seen = self.unconfirmed_refusal_seen.min(at.now());
        if let Some(error) = self.unconfirmed_refusal_error(at.now()) {
            self.pause_briefly(at, &error);
            return Some(error);
        }
        if self.record.pause.is_some()
            && let Some(error) = self.backoff.error_while_active(at.now())
        {
            return Some(error);
        }
        let error = self.config.shared.breaker.error_while_open(at.now())?;
        self.pause_briefly(at, &error);
        Some(error)
    }

    /// The tokens of this entry, which no worker is using: for a host that holds the lease, to use the refresh token
    /// outside a renewal. `None` if the entry has none, or the grant has ended.
    ///
    /// # Errors
    /// `lost.unsent` if a worker that has since crashed may have used the refresh token; `stored.*`.
    pub fn settled_tokens(&self, entry: Entry) -> Result<Option<Tokens>, Error> {
        let stored = self.parse_entry(Some(entry))?;
        if stored.in_flight.is_some() {
            let reason = "a renewal that did not end may have used the refresh token";
            return Err(Error::lost(Cause::unsent_as(reason)));
        }
        let tokens = stored.tokens.filter(|_| stored.ended.is_none());
        Ok(tokens.as_deref().cloned())
    }

    /// Parses an entry; an absent or removed one is an empty record.
    pub(super) fn parse_entry(&self, entry: Option<Entry>) -> Result<Record, Error> {
        match entry.filter(|entry| !entry.is_removed()) {
            Some(entry) => Record::read(entry.record.expose(), &self.config, &self.id),
            None => Ok(Record::default()),
        }
    }

    /// Whether `known_record` is newer than what the store has at this version: it is a later renewal of the same login, or the
    /// store is known to have had a higher version. Another login is compared by the time of its tokens: a store that
    /// restarts its versions after a removal must not lose a login.
    pub(super) fn supersedes(
        &self,
        at: &Moment,
        known_record: &Record,
        stored: &Record,
        version: u64,
    ) -> bool {
        let is_lost = version < self.version
            && known_record.tokens.is_some()
            && match version {
                0 => at.now().since(self.version_seen_at) < CERTAIN_TOMBSTONE_LIFETIME,
                _ => {
                    stored.login == known_record.login
                        || known_record.received_at() > stored.received_at()
                }
            };
        is_lost || known_record.is_later_than(stored)
    }

    /// Saves the lost record again.
    pub(super) fn restore_lost(&mut self, version: u64) -> Step {
        let record = self.record.clone();
        self.save_tokens(Box::new(PendingSave::deferred(None, record, version, true)))
    }
}

/// The version of an entry; 0 if there is none.
pub(super) fn version(entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| entry.version)
}
