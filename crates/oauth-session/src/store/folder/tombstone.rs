//! The tombstone of a removed record: a small file with its version, for workers that still have it.

use oauth_core::Secret;
use oauth_core::error::Error;

use super::{Folder, Locked, decoded as named};
use crate::store::file::{Kept, RECORD, decoded, encoded};
use crate::store::{Times, is_forgotten, malformed, next};

/// The ending of such a file.
const REMOVED: &str = "removed";

/// The tombstone of a record, if it was removed.
pub(in crate::store) struct Removed(Option<Kept>);

impl Removed {
    /// Whichever came later. Both are there if a process was killed in between.
    pub(in crate::store) fn newer_than(self, stored: Option<Kept>) -> Option<Kept> {
        let version = |kept: &Option<Kept>| kept.as_ref().map_or(0, |kept| kept.entry.version);
        match version(&self.0) > version(&stored) {
            true => self.0,
            false => stored,
        }
    }
}

impl Locked<'_> {
    pub(in crate::store) fn removed(&self) -> Result<Removed, Error> {
        let bytes = self.read(REMOVED)?;
        let kept = bytes.map(|bytes| decoded(&bytes, &self.name(REMOVED)));
        Ok(Removed(kept.transpose()?))
    }

    /// The record that was at this version is about to be removed; the version of that.
    pub(in crate::store) fn mark_removed(&self, version: u64) -> Result<u64, Error> {
        let next = next(version).ok_or_else(|| malformed("version"))?;
        self.write(
            REMOVED,
            &encoded(&Secret::new(String::new()), next, Times::NONE)?,
        )?;
        Ok(next)
    }

    /// A record that its remover did not live to remove must not come back once nobody says that it
    /// was.
    fn remove_older(&self, version: u64) -> Result<(), Error> {
        let record = self.read(RECORD)?;
        let record = record.and_then(|bytes| decoded(&bytes, &self.name(RECORD)).ok());
        if record.is_some_and(|kept| kept.entry.version < version) {
            self.remove(RECORD)?;
        }
        Ok(())
    }

    /// There is a record again.
    pub(in crate::store) fn unmark_removed(&self) -> Result<(), Error> {
        self.remove(REMOVED).map(drop)
    }
}

impl Folder {
    /// Clears away what was removed so long ago that nobody needs to know.
    pub(in crate::store) fn forget_removed(&self) -> Result<(), Error> {
        for name in self.names()? {
            let Some((key, _)) = named(&name).filter(|(_, ending)| ending == REMOVED) else {
                continue;
            };
            let Some(locked) = self.try_lock(&key)? else {
                continue;
            };
            // One that cannot be read is for those who ask for it.
            let removed = locked.removed().ok().and_then(|removed| removed.0);
            let version = removed.map_or(0, |kept| kept.entry.version);
            if version > 0 && is_forgotten(version) {
                locked.remove_older(version)?;
                locked.unmark_removed()?;
            }
        }
        Ok(())
    }
}
