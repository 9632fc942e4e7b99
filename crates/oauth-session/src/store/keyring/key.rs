//! A sealing key in the keyring, for records that are stored elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use zeroize::Zeroize as _;

use super::KeyringStore;
use crate::store::seal::Key;
use crate::store::{ENDPOINT, RecordTimes, Store as _, malformed};

impl KeyringStore {
    /// The key in the keyring under this name, to seal records that are too large for a keyring, or have to be listed.
    /// If there is none, it is generated at random and stored: several concurrent callers all get the one that was
    /// stored. Requires the feature `seal`.
    ///
    /// If the keyring loses the key, everything sealed with it is lost too.
    ///
    /// # Errors
    /// `store.setup` if no keyring can be reached; `stored.malformed` if it has something else under this name; those
    /// of the methods of [`Store`](crate::Store).
    pub async fn seal_key(&self, name: &str) -> Result<Key, Error> {
        loop {
            let entry = self.load(name).await?;
            if let Some(entry) = entry.as_ref().filter(|entry| !entry.is_removed()) {
                let key = Key::parse(&entry.record);
                return key.map_err(|_| malformed("the keyring has something else than a key"));
            }
            // If several callers find no key, one of them saves; all use the stored key.
            let version = entry.map_or(0, |entry| entry.version);
            self.save(name, &generate_key()?, version, RecordTimes::NONE)
                .await?;
        }
    }
}

fn generate_key() -> Result<Secret<String>, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::from(Misuse::NoRandomness).at_endpoint(ENDPOINT))?;
    let text = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
    bytes.zeroize();
    Ok(text)
}
