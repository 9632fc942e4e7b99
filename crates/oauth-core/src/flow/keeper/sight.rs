//! What the store has, beside what is known here.

use std::time::Duration;

use super::asking::drained;
use super::landing::Landing;
use super::record::Record;
use super::{Entry, Keeper, Place, Step};
use crate::error::Error;
use crate::moment::Moment;

/// For how long it is certain that a record which is not there was not removed: the mark that a
/// removal leaves stays for 30 days.
const REMOVAL_SHOWS: Duration = Duration::from_secs(29 * 24 * 3600);

/// What a look at the store has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// What is known already.
    Known,
    /// Something else, which is known now.
    Taken,
    /// Less than what was there before, and is known here: it stands at this version, 0 if there is
    /// nothing. A replica took over, a backup was restored, memory ran out.
    Lost(u64),
}

impl Keeper {
    /// Takes over what is stored, if it is newer than what is known.
    pub(super) fn read(&mut self, at: &Moment, entry: Option<Entry>) -> Result<Sight, Error> {
        if self.place == Place::Here {
            return Ok(Sight::Known);
        }
        let version = version(entry.as_ref());
        if version == self.version {
            self.seen = at.now();
            return Ok(Sight::Known);
        }
        let stored = self.stored(entry)?;
        if self.outlives(at, &self.record, &stored, version) {
            return Ok(Sight::Lost(version));
        }
        if let Some(pause) = &stored.pause {
            let now = at.now();
            self.trouble.hold(now, pause.end(now), &pause.error(now));
        }
        self.know(at, stored, version);
        Ok(Sight::Taken)
    }

    /// Why nothing is sent now: the host is about to end, or the server has asked for a pause, us or
    /// another worker, or it has refused the token not long ago, or it serves no grant of this client, or
    /// each new token was refused.
    pub(super) fn held_back(&mut self, at: &Moment) -> Option<Error> {
        if self.is_drained {
            return Some(drained());
        }
        // Others may have renewed it, and been given the very token that was refused.
        if let Some(error) = self.in_vain(at.now()) {
            return Some(error);
        }
        // Our clock was set back.
        self.suspected_at = self.suspected_at.min(at.now());
        if let Some(error) = self.suspect(at.now()) {
            self.rest(at, &error);
            return Some(error);
        }
        if self.record.pause.is_some()
            && let Some(error) = self.trouble.told(at.now())
        {
            return Some(error);
        }
        let error = self.us.shared.breaker.told(at.now())?;
        self.rest(at, &error);
        Some(error)
    }

    /// A record that was removed is an empty one.
    pub(super) fn stored(&self, entry: Option<Entry>) -> Result<Record, Error> {
        match entry.filter(|entry| !entry.is_removed()) {
            Some(entry) => Record::read(entry.record.expose(), &self.us, &self.id),
            None => Ok(Record::default()),
        }
    }

    /// Whether `ours` is newer than what the store has at this version: it grew out of that, or that is
    /// older than what the store is known to have had. A login of somebody else counts by the time of
    /// its tokens: a store that counts anew after a removal must not cost anyone a login.
    pub(super) fn outlives(
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
    pub(super) fn put_back(&mut self, version: u64) -> Step {
        let record = self.record.clone();
        self.land(Box::new(Landing::late(None, record, version, true)))
    }
}

/// 0 is the version of a record that is not there.
pub(super) fn version(entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| entry.version)
}
