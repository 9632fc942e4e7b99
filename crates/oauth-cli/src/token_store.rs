//! The user's token store: a database, or files, which are plain or sealed with a key in the keyring of
//! the operating system.
//!
//! Keyrings cannot list their entries, and some are too small for many tokens, so only the key is stored
//! there, and the sealed records in files.

use std::path::PathBuf;
use std::sync::Arc;

use oauth_core::error::Error;
use oauth_session::Store;
use oauth_session::blocking::wait;
use oauth_session::store::{Entry, FileStore, is_grant};

use crate::output::Failure;
use crate::profile;

/// The store with the records of this user.
pub(crate) struct TokenStore {
    /// The store without sealing: a record that cannot be decrypted can be removed through it.
    unsealed: Arc<dyn Store>,
    store: Arc<dyn Store>,
}

impl TokenStore {
    /// Files that only this user may read.
    pub(crate) fn files() -> Result<Self, Failure> {
        Ok(Self::plain(FileStore::new(folder()?.join("grants"))?))
    }

    /// A database that only this user may read.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Result<Self, Failure> {
        use oauth_session::store::SqliteStore;
        Ok(Self::plain(SqliteStore::new(folder()?.join("grants.db"))?))
    }

    #[cfg(not(feature = "sqlite"))]
    pub(crate) fn sqlite() -> Result<Self, Failure> {
        Err(Failure::usage(
            "usage.store",
            "this build does not support SQLite",
            "build it with the feature `sqlite`, or set store = \"file\" in the profile",
        ))
    }

    fn plain(store: impl Store + 'static) -> Self {
        let store: Arc<dyn Store> = Arc::new(store);
        Self {
            unsealed: Arc::clone(&store),
            store,
        }
    }

    /// Files sealed with a key in the keyring.
    #[cfg(feature = "keyring")]
    pub(crate) fn sealed() -> Result<Self, Failure> {
        use oauth_session::store::KeyringStore;
        use oauth_session::store::seal::{Keys, SealedStore};
        let files = FileStore::new(folder()?.join("sealed"))?;
        let keyring = KeyringStore::new(folder()?.join("keyring"))?.with_service("oauth");
        let keys = Keys::new(wait(keyring.seal_key("seal"))??);
        Ok(Self {
            store: Arc::new(SealedStore::new(files.clone(), keys)),
            unsealed: Arc::new(files),
        })
    }

    #[cfg(not(feature = "keyring"))]
    pub(crate) fn sealed() -> Result<Self, Failure> {
        Err(Failure::usage(
            "usage.store",
            "this build does not support the keyring",
            "build it with the feature `keyring`, or set store = \"file\" in the profile",
        ))
    }

    /// Whether a profile has ever used a database.
    pub(crate) fn has_database() -> Result<bool, Failure> {
        Ok(folder()?.join("grants.db").is_file())
    }

    /// Whether a profile has ever used sealed files.
    pub(crate) fn has_sealed_files() -> Result<bool, Failure> {
        Ok(folder()?.join("sealed").is_dir())
    }

    /// The store that sessions share.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// The names of all grants, sorted.
    pub(crate) fn keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = wait(self.unsealed.scan(cursor.as_deref()))??;
            keys.extend(page.keys.into_iter().filter(|key| is_grant(key)));
            cursor = page.next;
            if cursor.is_none() {
                keys.sort();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    /// One record, if it is there and not removed.
    pub(crate) fn load(&self, key: &str) -> Result<Option<Entry>, Error> {
        let entry = wait(self.store.load(key))??;
        Ok(entry.filter(|entry| !entry.is_removed()))
    }

    /// Removes a record, regardless of what is in it; returns whether there was one.
    pub(crate) fn remove(&self, key: &str) -> Result<bool, Error> {
        wait(self.unsealed.remove(key))?
    }
}

/// Tokens are state, not configuration (XDG Base Directory Specification).
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let local = || profile::nonempty_variable("LOCALAPPDATA").filter(|_| cfg!(windows));
    let state = profile::base_directory("XDG_STATE_HOME");
    let state = state.or_else(|| local().map(PathBuf::from));
    let state = state.or_else(|| Some(profile::home()?.join(".local").join("state")));
    let state = state.ok_or_else(|| {
        Failure::usage(
            "usage.store",
            "no home directory for the token store",
            "set XDG_STATE_HOME to an absolute path, or use --no-store",
        )
    })?;
    Ok(state.join("oauth"))
}
