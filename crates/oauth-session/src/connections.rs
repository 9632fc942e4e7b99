//! Connections to APIs that a program has used (`oauth_core::flow::resource_connection`), kept in a store beside the
//! grants: the issuer of an API's tokens, and the client that was registered there.
//!
//! Such a record contains the secrets of a registered client. It is stored as durably as grants, and sealed if they are
//! sealed (`SealedStore`).

use oauth_core::error::Error;
use oauth_core::flow::resource_connection::Connection;

use crate::store::{CONNECTIONS, RecordTimes, SaveOutcome, Store};

/// A connection, at the version of its record; 0 without one.
#[derive(Debug, Clone)]
pub struct StoredConnection {
    /// The connection; `None` if there is no record, or it was written by a later release.
    pub connection: Option<Connection>,
    /// The version for [`save`].
    pub version: u64,
}

/// Loads the connection of this name.
///
/// # Errors
/// The errors of [`Store::load`].
pub async fn load<S: Store + ?Sized>(store: &S, key: &str) -> Result<StoredConnection, Error> {
    let entry = store.load(&record_of(key)).await?;
    let text = entry.as_ref().filter(|entry| !entry.is_removed());
    Ok(StoredConnection {
        // If it cannot be read, the API is connected again from its URL.
        connection: text.and_then(|entry| Connection::from_json(entry.record.expose()).ok()),
        version: entry.map_or(0, |entry| entry.version),
    })
}

/// Saves a connection over the version that was loaded, and returns the new version; `None` if another worker has saved
/// one in the meantime, which the caller should load.
///
/// # Errors
/// `connect.no_client` for a connection without a client; those of [`Store::save`].
pub async fn save<S: Store + ?Sized>(
    store: &S,
    key: &str,
    connection: &Connection,
    version: u64,
) -> Result<Option<u64>, Error> {
    let text = connection.to_json()?;
    match store
        .save(&record_of(key), &text, version, RecordTimes::NONE)
        .await?
    {
        SaveOutcome::At(version) => Ok(Some(version)),
        SaveOutcome::Conflict => Ok(None),
    }
}

/// Removes a connection, and returns whether there was one.
///
/// # Errors
/// The errors of [`Store::remove`].
pub async fn remove<S: Store + ?Sized>(store: &S, key: &str) -> Result<bool, Error> {
    store.remove(&record_of(key)).await
}

fn record_of(key: &str) -> String {
    format!("{CONNECTIONS}{key}")
}
