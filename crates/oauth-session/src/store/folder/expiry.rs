//! Deletes expired records, a few whenever a new one is created.

use std::sync::atomic::Ordering;

use oauth_core::error::Error;

use super::Folder;
use crate::store::file::{RECORD_EXTENSION, RecordFile, decode_file};

/// The number of records checked each time: as many records expire as are created, so all are checked in turn.
const LOOKED_AT: usize = 16;

impl Folder {
    /// Deletes expired ones among the next records in the order of their names.
    pub(in crate::store) fn sweep_ended(&self) -> Result<(), Error> {
        let keys = self.keys(RECORD_EXTENSION)?;
        if keys.is_empty() {
            return Ok(());
        }
        let start = self.swept.fetch_add(LOOKED_AT, Ordering::Relaxed) % keys.len();
        let looked_at = keys.iter().cycle().skip(start);
        for key in looked_at.take(LOOKED_AT.min(keys.len())) {
            // Files are replaced as a whole, so no lock is needed to read one. An unreadable one is reported when it is
            // loaded.
            let bytes = self.read(key, RECORD_EXTENSION).ok().flatten();
            let record = bytes.and_then(|bytes| decode_file(&bytes, RECORD_EXTENSION).ok());
            if !record.is_some_and(|record| record.times.is_over()) {
                continue;
            }
            let Some(locked) = self.try_lock(key)? else {
                continue;
            };
            // It may have been saved again before the lock was taken.
            let bytes = locked.read(RECORD_EXTENSION)?;
            let record = bytes
                .map(|bytes| decode_file(&bytes, RECORD_EXTENSION))
                .transpose()?;
            if record.is_some_and(|record: RecordFile| record.times.is_over()) {
                locked.remove(RECORD_EXTENSION)?;
            }
        }
        Ok(())
    }
}
