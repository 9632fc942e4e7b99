//! The store in the keyring of the operating system, for the processes of one user.

#[cfg(feature = "seal")]
mod key;

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use keyring_core::{CredentialStore, Entry as Item, Error as KeyringError};
use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};

use super::file::{RecordFile, decode_file, encode_file, run_blocking};
use super::folder::{Folder, LockedKey};
use super::{
    Access, Answer, ENDPOINT, Entry, Lease, RecordTimes, SaveOutcome, Store, malformed, millis,
    next_version,
};

/// The timeout of a connection to the keyring.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Records in the operating system's keyring: the Secret Service (GNOME, KDE, and others) on Linux
/// and the BSDs, the keychain on macOS, the credential manager on Windows.
///
/// A keyring can only set and read a secret: it has neither a conditional write nor a lease. Both are implemented here,
/// as in [`FileStore`](super::FileStore), in a folder of small files: a lock is held there while a record is compared
/// and set, and leases are stored there. So all processes that share records must name the same folder and the same
/// service. The folder holds no secrets.
///
/// A record has the contents that `FileStore` writes into a file, under the name of the service and the key. Some
/// keyrings accept no large secrets, that of Windows at most 2560 bytes, which many tokens exceed: the error is then
/// `store.setup`, and nothing is stored. One key in the keyring (`seal_key`), and files sealed with it (`SealedStore`),
/// work everywhere.
///
/// Keyrings cannot be listed, so this store has neither [`scan`](Store::scan) nor [`due`](Store::due).
///
/// If no keyring can be reached within 5 s, the error is `store.setup`. A locked keyring may prompt the user to unlock
/// it. The call waits until then; calls of other processes for the same record fail with `lost` after some seconds.
#[derive(Clone)]
pub struct KeyringStore {
    folder: Arc<Folder>,
    keyring: Arc<Keyring>,
    service: Arc<str>,
}

struct Keyring {
    /// The keyring, if it is not that of the platform.
    custom: Option<Arc<CredentialStore>>,
    open: Mutex<Option<Arc<CredentialStore>>>,
}

impl KeyringStore {
    /// Uses the platform's keyring, and this folder for locks and leases, which is created (0700) if it does not exist.
    /// Whether there is a keyring is only checked later.
    ///
    /// # Errors
    /// `store.setup` if others may write to the folder, or it cannot be opened.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open(folder.into(), None)
    }

    /// Opens a store over any keyring that `keyring-core` supports, with this folder for locks and leases, like
    /// [`new`](Self::new).
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_keyring(
        keyring: Arc<CredentialStore>,
        folder: impl Into<PathBuf>,
    ) -> Result<Self, Error> {
        Self::open(folder.into(), Some(keyring))
    }

    fn open(folder: PathBuf, custom: Option<Arc<CredentialStore>>) -> Result<Self, Error> {
        let folder = Folder::open(folder, Access::Owner)?;
        folder.sweep()?;
        Ok(Self {
            folder: Arc::new(folder),
            keyring: Arc::new(Keyring {
                custom,
                open: Mutex::default(),
            }),
            service: "oauth-core".into(),
        })
    }

    /// Stores under the name of this service, instead of `oauth-core`.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<Arc<str>>) -> Self {
        self.service = service.into();
        self
    }

    /// Runs `work` with a key's item under the key's lock.
    fn with_item<T, F>(
        &self,
        key: &str,
        work: F,
    ) -> impl Future<Output = Result<T, Error>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&LockedKey<'_>, &Item) -> Result<T, Error> + Send + 'static,
    {
        let (store, key) = (self.clone(), key.to_owned());
        run_blocking(move || {
            let locked = store.folder.lock(&key)?;
            let keyring = store.keyring.get()?;
            let item = keyring
                .build(&store.service, &key, None)
                .map_err(keyring_error)?;
            let result = work(&locked, &item);
            if result.is_err() {
                // The connection to the keyring may be broken.
                store.keyring.forget();
            }
            result
        })
    }
}

impl Keyring {
    fn get(&self) -> Result<Arc<CredentialStore>, Error> {
        if let Some(custom) = &self.custom {
            return Ok(Arc::clone(custom));
        }
        let mut opened = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyring) = &*opened {
            return Ok(Arc::clone(keyring));
        }
        Ok(Arc::clone(opened.insert(open_keyring()?)))
    }

    fn forget(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The platform's keyring, if it answers.
fn open_keyring() -> Result<Arc<CredentialStore>, Error> {
    let unreachable_keyring =
        |reason: &str| setup_error(&format!("no keyring can be reached: {reason}"));
    let (sender, receiver) = sync_channel(1);
    // In a thread with a timeout, because a bus may accept the connection and never answer.
    let thread = thread::Builder::new().name("oauth-keyring".to_owned());
    thread
        .spawn(move || sender.send(platform_keyring()))
        .map_err(|error| unreachable_keyring(&error.to_string()))?;
    let result = receiver.recv_timeout(CONNECT_TIMEOUT);
    result
        .map_err(|_| unreachable_keyring("it gives no answer"))?
        .map_err(|error| match error {
            KeyringError::PlatformFailure(error) | KeyringError::NoStorageAccess(error) => {
                unreachable_keyring(&error.to_string())
            }
            error => keyring_error(error),
        })
}

#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))]
fn platform_keyring() -> Result<Arc<CredentialStore>, KeyringError> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn platform_keyring() -> Result<Arc<CredentialStore>, KeyringError> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(windows)]
fn platform_keyring() -> Result<Arc<CredentialStore>, KeyringError> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "macos",
    windows
)))]
fn platform_keyring() -> Result<Arc<CredentialStore>, KeyringError> {
    Err(KeyringError::NotSupportedByStore(
        "no keyring is known here".to_owned(),
    ))
}

fn read(locked: &LockedKey<'_>, item: &Item) -> Result<Option<Entry>, Error> {
    Ok(stored_record(locked, item)?.and_then(RecordFile::unless_expired))
}

/// The stored record, even if it has expired: expired ones are not deleted, because the items of a keyring cannot be
/// listed.
fn stored_record(locked: &LockedKey<'_>, item: &Item) -> Result<Option<RecordFile>, Error> {
    let record = match item.get_secret() {
        Ok(bytes) => Some(decode_file(&Secret::new(bytes), "the keyring")?),
        Err(KeyringError::NoEntry) => None,
        Err(error) => return Err(keyring_error(error)),
    };
    Ok(locked.read_tombstone()?.newer_than(record))
}

fn save(
    locked: &LockedKey<'_>,
    item: &Item,
    record: &Secret<String>,
    version: u64,
    times: RecordTimes,
) -> Result<SaveOutcome, Error> {
    let stored_record = stored_record(locked, item)?;
    // The version of an expired record is not used again.
    let last_version = stored_record
        .as_ref()
        .map_or(0, |stored_record| stored_record.entry.version);
    let current_version = stored_record
        .and_then(RecordFile::unless_expired)
        .map_or(0, |entry| entry.version);
    let Some(next) = next_version(last_version).filter(|_| current_version == version) else {
        return Ok(SaveOutcome::Conflict);
    };
    // A keyring cannot be listed, so the due time is never used.
    let bytes = encode_file(record, next, RecordTimes { due: None, ..times })?;
    item.set_secret(bytes.expose()).map_err(keyring_error)?;
    locked.unmark_removed()?;
    Ok(SaveOutcome::At(next))
}

impl Store for KeyringStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(self.with_item(key, read))
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let record = record.clone();
        Box::pin(self.with_item(key, move |locked, item| {
            save(locked, item, &record, version, times)
        }))
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let (folder, key) = (Arc::clone(&self.folder), key.to_owned());
        let (holder, ttl) = (holder.to_owned(), millis(ttl));
        Box::pin(run_blocking(move || folder.lock(&key)?.lease(&holder, ttl)))
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let removal = self.with_item(key, |locked, item| {
                locked.remove_lease()?;
                // A record that cannot be read is removed too.
                let record = stored_record(locked, item).ok().flatten();
                locked.mark_removed(record.map_or(0, |record| record.entry.version))?;
                match item.delete_credential() {
                    Ok(()) => Ok(true),
                    Err(KeyringError::NoEntry) => Ok(false),
                    Err(error) => Err(keyring_error(error)),
                }
            });
            let existed = removal.await?;
            let folder = Arc::clone(&self.folder);
            run_blocking(move || folder.forget_removed()).await?;
            Ok(existed)
        })
    }
}

fn setup_error(detail: &str) -> Error {
    Error::from(Misuse::StoreSetup)
        .at_endpoint(ENDPOINT)
        .about(detail)
}

/// The source errors are dropped, because some of them contain the secret.
fn keyring_error(error: KeyringError) -> Error {
    let lost_error = |cause: Cause| Error::lost(cause).at_endpoint(ENDPOINT);
    match error {
        KeyringError::PlatformFailure(error) => lost_error(Cause::unknown(error)),
        KeyringError::NoStorageAccess(error) => lost_error(Cause::unsent(error)),
        KeyringError::TooLong(_, limit) => setup_error(&format!(
            "the record is larger than the {limit} bytes that this keyring takes: \
             seal files with a key that is kept there"
        )),
        KeyringError::Ambiguous(_) => malformed("the keyring has it more than once"),
        KeyringError::BadEncoding(_)
        | KeyringError::BadDataFormat(..)
        | KeyringError::BadStoreFormat(_) => malformed("the keyring holds something else"),
        KeyringError::Invalid(attribute, _) => {
            setup_error(&format!("the keyring refuses the {attribute}"))
        }
        _ => setup_error("the keyring cannot do this"),
    }
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringStore")
            .field("folder", &self.folder)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
