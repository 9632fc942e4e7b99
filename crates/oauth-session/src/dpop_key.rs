//! A DPoP key that workers share through a store (RFC 9449).
//!
//! Tokens are bound to a key, so workers that share a grant must share its key. The first worker that needs the key
//! generates it. It has its own record beside the grants, stored as durably as they are, and sealed if they are sealed
//! (`SealedStore`). Without sealing, the private key is stored in plain text, like refresh tokens.

use oauth_core::Secret;
use oauth_core::dpop::DpopKey;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::jose::Alg;
use oauth_crypto::DpopKey as StoredKey;
use serde::{Deserialize, Serialize};

use crate::store::{DPOP_KEYS, ENDPOINT, Entry, RecordTimes, SaveOutcome, Store};

/// The longest name of a key, in bytes.
const MAX_NAME: usize = 48;
/// The format of the record.
const RECORD_VERSION: u32 = 1;
/// The number of attempts to save against concurrent workers.
const MAX_SAVE_ATTEMPTS: usize = 16;

/// The stored form of a key.
#[derive(Serialize, Deserialize)]
struct KeyRecord<S> {
    version: u32,
    alg: S,
    /// The private key as PKCS#8 in PEM.
    private_key: S,
}

/// Loads the key of this name from the store, or generates and stores one for this algorithm. If several workers
/// generate one at once, all get the one that was stored first.
///
/// ```
/// use oauth_core::jose::Alg;
/// use oauth_core::{Client, Error};
/// use oauth_session::{Store, dpop_key};
///
/// /// A client whose tokens, and the names of whose grants, are bound to the key that all workers share.
/// async fn bound(client: Client, store: &dyn Store) -> Result<Client, Error> {
///     let key = dpop_key::open(store, "api", Alg::Es256).await?;
///     Ok(client.with_dpop(key))
/// }
/// ```
///
/// # Errors
/// `argument.invalid` for a name that is empty, longer than 48 bytes, or contains a control character;
/// `key.algorithm` for an algorithm with a shared secret, and if the stored key is for another algorithm: give a
/// new key a new name. `stored.malformed`, and those of [`Store::load`] and [`Store::save`].
pub async fn open<S: Store + ?Sized>(store: &S, name: &str, alg: Alg) -> Result<DpopKey, Error> {
    private(store, name, alg).await?.to_core()
}

/// Loads or generates the key like [`open`], and returns its private half too, for a program that passes it on.
///
/// # Errors
/// The errors of [`open`].
pub async fn private<S: Store + ?Sized>(
    store: &S,
    name: &str,
    alg: Alg,
) -> Result<StoredKey, Error> {
    let record = record_of(name)?;
    let mut new_key = None;
    for _ in 0..MAX_SAVE_ATTEMPTS {
        let entry = store.load(&record).await?;
        let version = entry.as_ref().map_or(0, |entry| entry.version);
        if let Some(entry) = entry.filter(|entry| !entry.is_removed()) {
            return read(&entry, alg);
        }
        // Generate a key once, because an RSA key takes long.
        let (key, text) = match new_key.take() {
            Some(new_key) => new_key,
            None => make(alg)?,
        };
        // Return only a stored key: tokens bound to another one would be lost with this process.
        match store
            .save(&record, &text, version, RecordTimes::NONE)
            .await?
        {
            SaveOutcome::At(_) => return Ok(key),
            SaveOutcome::Conflict => new_key = Some((key, text)),
        }
    }
    let cause =
        Cause::unsent_as("every save conflicted with another writer's").because(Loss::Contended);
    Err(Error::lost(cause).at_endpoint(ENDPOINT))
}

/// Removes the key of this name, such as after a leak, and returns whether there was one. Refresh tokens bound to it
/// can no longer be used, unless their client authenticates.
///
/// # Errors
/// The errors of the name in [`open`], and of [`Store::remove`].
pub async fn remove<S: Store + ?Sized>(store: &S, name: &str) -> Result<bool, Error> {
    store.remove(&record_of(name)?).await
}

/// The name of the record.
fn record_of(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        Err(Error::from(Misuse::ArgumentInvalid).about("the name of the DPoP key"))
    } else {
        Ok(format!("{DPOP_KEYS}{name}"))
    }
}

fn make(alg: Alg) -> Result<(StoredKey, Secret<String>), Error> {
    let key = StoredKey::generate(alg)?;
    let pem = key.to_pem()?;
    let stored = KeyRecord {
        version: RECORD_VERSION,
        alg: alg.as_str(),
        private_key: &pem,
    };
    let text = serde_json::to_string(&stored).map_err(|_| malformed("key"))?;
    Ok((key, Secret::new(text)))
}

fn read(entry: &Entry, alg: Alg) -> Result<StoredKey, Error> {
    let stored: KeyRecord<String> =
        serde_json::from_str(entry.record.expose()).map_err(|_| malformed("key"))?;
    let pem = Secret::new(stored.private_key);
    if stored.version != RECORD_VERSION {
        return Err(malformed("version"));
    }
    if stored.alg != alg.as_str() {
        let detail = format!("the stored key is for {}", stored.alg);
        return Err(Error::from(Misuse::KeyAlgorithm).about(&detail));
    }
    StoredKey::read(pem.expose(), Some(alg)).map_err(|_| malformed("key"))
}

fn malformed(detail: &str) -> Error {
    Error::from(Misuse::StoredForm)
        .at_endpoint(ENDPOINT)
        .about(detail)
}
