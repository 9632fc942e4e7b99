//! Sealed records of a store, in the one form that every host writes: a sealed record of one opens in another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse, ValidationFailure};
use oauth_core::flow::keeper::GrantSummary;
use oauth_core::moment::UnixTime;
use serde::{Deserialize, Serialize};

use crate::key::{Key, NONCE, TAG_BYTES};

const FORMAT: &str = "oauth-core sealed 2";

/// The format of earlier versions, bound only to the name.
const FIRST_FORMAT: &str = "oauth-core sealed 1";

/// The endpoint in errors of stores.
const ENDPOINT: &str = "store";

/// A sealed record, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRecord {
    format: String,
    key: String,
    /// The version it was saved over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<u64>,
    sealed: String,
}

/// An opened record.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenedRecord {
    /// The record's name, unless it was sealed in the first format.
    pub name: Option<String>,
    /// The record itself.
    pub record: Secret<String>,
}

impl SealedRecord {
    /// Reads what is stored; `None` if it does not claim to be sealed.
    pub fn read(text: &Secret<String>) -> Option<Self> {
        let record: Option<Self> = serde_json::from_str(text.expose()).ok();
        record.filter(|record| record.format == FORMAT || record.format == FIRST_FORMAT)
    }

    /// The id of the key that it names.
    pub fn key_id(&self) -> &str {
        &self.key
    }

    /// Whether it can be what was saved as this version: it was sealed to be saved over a lower one.
    pub fn can_be(&self, version: u64) -> bool {
        match (self.format.as_str(), self.over) {
            (FIRST_FORMAT, None) => true,
            (FORMAT, Some(over)) => over < version,
            _ => false,
        }
    }

    /// Opens it with its key; `stored` is its name in the store.
    ///
    /// # Errors
    /// `stored.sealed` if it was changed, or moved from another name or version, or if another key sealed it.
    pub fn open(&self, key: &Key, stored: &str, version: u64) -> Result<OpenedRecord, Error> {
        self.opened(key, stored, version).ok_or_else(changed_error)
    }

    fn opened(&self, key: &Key, stored: &str, version: u64) -> Option<OpenedRecord> {
        let bound = match self.over {
            _ if !self.can_be(version) => return None,
            None => format!("{FIRST_FORMAT}\n{stored}").into_bytes(),
            Some(over) => bound_to(stored, over),
        };
        let sealed = URL_SAFE_NO_PAD.decode(&self.sealed).ok()?;
        let text = key.open(&bound, &sealed)?;
        let text = std::str::from_utf8(text.expose()).ok()?;
        if self.over.is_none() {
            return Some(OpenedRecord {
                name: None,
                record: Secret::new(text.to_owned()),
            });
        }
        let (name, record) = text.split_once('\0')?;
        Some(OpenedRecord {
            name: Some(name.to_owned()),
            record: Secret::new(record.to_owned()),
        })
    }
}

/// Seals a record of this name, to be saved over a version under `stored`, its name in the store. Never use a nonce
/// twice; it must be random.
///
/// # Errors
/// `stored.malformed` if it is too large to seal.
pub fn seal_record(
    key: &Key,
    nonce: [u8; NONCE],
    (name, stored): (&str, &str),
    record: &Secret<String>,
    over: u64,
) -> Result<Secret<String>, Error> {
    let malformed = |detail: &str| {
        let error = Error::from(Misuse::StoredForm).at_endpoint(ENDPOINT);
        error.about(detail)
    };
    // Room for all of it, so that no copy of the record is left behind by growing.
    let mut text = Vec::with_capacity(name.len() + 1 + record.expose().len() + TAG_BYTES);
    text.extend_from_slice(name.as_bytes());
    text.push(0);
    text.extend_from_slice(record.expose().as_bytes());
    let sealed = key
        .seal(nonce, &bound_to(stored, over), text)
        .map_err(|_| malformed("the record is too large to seal"))?;
    let sealed = SealedRecord {
        format: FORMAT.to_owned(),
        key: key.id().to_owned(),
        over: Some(over),
        sealed: URL_SAFE_NO_PAD.encode(sealed),
    };
    let text = serde_json::to_string(&sealed).map_err(|_| malformed("the record"))?;
    Ok(Secret::new(text))
}

/// The times in a record itself at which its grant is due, and at which it expires: a store does not return the times
/// with which it was saved.
pub fn record_times(record: &Secret<String>) -> (Option<UnixTime>, Option<UnixTime>) {
    #[derive(Deserialize)]
    struct Ending {
        until: UnixTime,
    }
    match GrantSummary::read(record) {
        Ok(summary) => (summary.due, summary.until),
        Err(_) => {
            let ending: Option<Ending> = serde_json::from_str(record.expose()).ok();
            (None, ending.map(|ending| ending.until))
        }
    }
}

/// The error `stored.sealed` with this detail.
pub fn seal_error(detail: &str) -> Error {
    let error = Error::from(ValidationFailure::StoredSealed);
    error.at_endpoint(ENDPOINT).about(detail)
}

/// The error `stored.sealed` for a record that was not sealed under this name.
pub fn changed_error() -> Error {
    seal_error("it was changed, or moved to this name")
}

/// `stored.sealed`: there is no key of this id, which comes from the store; `reason` says which keys were searched.
pub fn without_key(id: &str, reason: MissingKey) -> Error {
    let id: String = id.chars().take(20).collect();
    seal_error(&match reason {
        MissingKey::Given => format!("the key {id} is not given"),
        MissingKey::Known => format!("no key source has the key {id}"),
    })
}

/// Why there is no key for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKey {
    /// The key is not among those that were given.
    Given,
    /// The key source that was asked knows no key of this id.
    Known,
}

/// The associated data of a sealed record: no format and no number contains a line break, so no two inputs are the same.
fn bound_to(stored: &str, over: u64) -> Vec<u8> {
    format!("{FORMAT}\n{over}\n{stored}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Result<SealedRecord, Error> {
        let (key, record) = (Key::new([2; 32]), Secret::new("text".to_owned()));
        let text = seal_record(&key, [9; NONCE], ("ann", "hidden"), &record, 7)?;
        SealedRecord::read(&text).ok_or_else(changed_error)
    }

    #[test]
    fn record_opens_only_with_its_key_name_and_version() -> Result<(), Error> {
        let (key, sealed) = (Key::new([2; 32]), sealed()?);
        let opened = sealed.open(&key, "hidden", 8)?;
        assert_eq!(opened.name.as_deref(), Some("ann"));
        assert_eq!(opened.record.expose(), "text");
        for (key, stored, version) in [
            ([2; 32], "hidden", 7),
            ([2; 32], "ann", 8),
            ([1; 32], "hidden", 8),
        ] {
            let error = sealed.open(&Key::new(key), stored, version).err();
            assert_eq!(error.map(|error| error.code()), Some("stored.sealed"));
        }
        assert!(sealed.can_be(8) && !sealed.can_be(7));
        Ok(())
    }

    #[test]
    fn unsealed_text_is_not_read_as_a_sealed_record() {
        for text in [
            "",
            "{}",
            "text",
            r#"{"format":"oauth-core sealed 3","key":"k","sealed":""}"#,
        ] {
            assert!(
                SealedRecord::read(&Secret::new(text.to_owned())).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn record_expiry_is_read() {
        let times = |text: &str| record_times(&Secret::new(text.to_owned()));
        assert_eq!(
            times(r#"{"until":9}"#),
            (None, Some(UnixTime::from_secs(9)))
        );
        assert_eq!(times("text"), (None, None));
    }
}
