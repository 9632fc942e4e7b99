//! What a removed record leaves behind: a small file with its version, for those who still have it.

use oauth_core::Secret;
use oauth_core::error::Error;

use super::{Folder, Locked, decoded as named};
use crate::store::file::{decoded, encoded};
use crate::store::{Entry, is_forgotten, malformed, next};

/// The ending of such a file.
const REMOVED: &str = "removed";

/// That a record was removed, if it was.
pub(in crate::store) struct Removed(Option<Entry>);

impl Removed {
    /// Whichever came later. Both are there if a process was killed in between.
    pub(in crate::store) fn newer_than(self, stored: Option<Entry>) -> Option<Entry> {
        let version = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.version);
        match version(&self.0) > version(&stored) {
            true => self.0,
            false => stored,
        }
    }
}

impl Locked<'_> {
    pub(in crate::store) fn removed(&self) -> Result<Removed, Error> {
        let bytes = self.read(REMOVED)?;
        let entry = bytes.map(|bytes| decoded(&bytes, &self.name(REMOVED)));
        Ok(Removed(entry.transpose()?))
    }

    /// The record that was at this version is about to be removed.
    pub(in crate::store) fn mark_removed(&self, version: u64) -> Result<(), Error> {
        let next = next(version).ok_or_else(|| malformed("version"))?;
        self.write(REMOVED, &encoded(&Secret::new(String::new()), next)?)
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
            if removed.is_some_and(|entry| is_forgotten(entry.version)) {
                locked.unmark_removed()?;
            }
        }
        Ok(())
    }
}
