//! The tombstone of a removed record: a small file with the version of the removal. It tells workers that still have
//! the tokens in memory that the record was removed, and not lost.

use oauth_core::Secret;
use oauth_core::error::Error;

use super::{Folder, LockedKey, parse_file_name};
use crate::store::file::{RECORD_EXTENSION, RecordFile, decode_file, encode_file};
use crate::store::{RecordTimes, is_forgotten, malformed, next_version};

/// The extension of a tombstone's file.
const REMOVED: &str = "removed";

/// The tombstone of a record; none if the record was not removed.
pub(in crate::store) struct Tombstone(Option<RecordFile>);

impl Tombstone {
    /// The tombstone or the stored record, whichever has the higher version. Both exist if a process was killed while
    /// it removed or saved the record.
    pub(in crate::store) fn newer_than(self, stored: Option<RecordFile>) -> Option<RecordFile> {
        let version = |record_file: &Option<RecordFile>| {
            record_file
                .as_ref()
                .map_or(0, |record_file| record_file.entry.version)
        };
        if version(&self.0) > version(&stored) {
            self.0
        } else {
            stored
        }
    }
}

impl LockedKey<'_> {
    /// Reads the tombstone.
    pub(in crate::store) fn read_tombstone(&self) -> Result<Tombstone, Error> {
        let bytes = self.read(REMOVED)?;
        let record_file = bytes.map(|bytes| decode_file(&bytes, &self.name(REMOVED)));
        Ok(Tombstone(record_file.transpose()?))
    }

    /// Writes the tombstone of the record at `version`, before the record is deleted. Returns the tombstone's version.
    pub(in crate::store) fn mark_removed(&self, version: u64) -> Result<u64, Error> {
        let next = next_version(version).ok_or_else(|| malformed("version"))?;
        self.write(
            REMOVED,
            &encode_file(&Secret::new(String::new()), next, RecordTimes::NONE)?,
        )?;
        Ok(next)
    }

    /// Deletes a record older than its tombstone: the process that removed it was killed half-way, and without the
    /// tombstone the record would reappear.
    fn remove_older(&self, version: u64) -> Result<(), Error> {
        let record = self.read(RECORD_EXTENSION)?;
        let record =
            record.and_then(|bytes| decode_file(&bytes, &self.name(RECORD_EXTENSION)).ok());
        if record.is_some_and(|record_file| record_file.entry.version < version) {
            self.remove(RECORD_EXTENSION)?;
        }
        Ok(())
    }

    /// Deletes the tombstone: a new record was saved, or the tombstone has expired.
    pub(in crate::store) fn unmark_removed(&self) -> Result<(), Error> {
        self.remove(REMOVED).map(drop)
    }
}

impl Folder {
    /// Deletes expired tombstones, and what is left of their records.
    pub(in crate::store) fn forget_removed(&self) -> Result<(), Error> {
        for name in self.names()? {
            let Some((key, _)) = parse_file_name(&name).filter(|(_, ending)| ending == REMOVED)
            else {
                continue;
            };
            let Some(locked) = self.try_lock(&key)? else {
                continue;
            };
            // A tombstone that cannot be read is kept: the error is returned to the worker that loads this record.
            let tombstone = locked
                .read_tombstone()
                .ok()
                .and_then(|tombstone| tombstone.0);
            let version = tombstone.map_or(0, |record_file| record_file.entry.version);
            if version > 0 && is_forgotten(version) {
                locked.remove_older(version)?;
                locked.unmark_removed()?;
            }
        }
        Ok(())
    }
}
