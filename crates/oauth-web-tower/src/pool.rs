//! The grants of sessions: one source for each in this process, however many requests want its token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::Client;
use oauth_core::flow::keeper::GrantId;
use oauth_reqwest::Driver;
use oauth_session::{Sessions, Store};

/// How many clients are remembered: a site may have one for each tenant. The least recently used gives way.
const CLIENTS: usize = 256;

pub(crate) type Settings = Arc<dyn Fn(Sessions) -> Sessions + Send + Sync>;

/// The grants of each client, most recently used first.
#[derive(Default)]
pub(crate) struct Pool {
    clients: Mutex<Vec<(Name, Sessions)>>,
    settings: Option<Settings>,
}

/// Which client: its issuer and its identifier there.
type Name = (String, String);

impl Pool {
    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            clients: Mutex::default(),
            settings: Some(settings),
        }
    }

    /// The source of this grant. All who get the same one share its renewal.
    pub(crate) fn source(
        &self,
        driver: &Driver,
        client: &Client,
        grant: &GrantId,
        store: &Arc<dyn Store>,
    ) -> oauth_session::Session {
        let name = (
            client.server().issuer().as_str().to_owned(),
            client.client_id().as_str().to_owned(),
        );
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clients.iter().position(|(known, _)| *known == name);
        let sessions = match at {
            Some(at) => clients.remove(at).1,
            None => {
                let sessions = Sessions::new(driver.clone(), client, Arc::clone(store));
                match &self.settings {
                    Some(settings) => settings(sessions),
                    None => sessions,
                }
            }
        };
        clients.insert(0, (name, sessions.clone()));
        let kept = clients.len().min(CLIENTS);
        let left = clients.split_off(kept);
        drop(clients);
        // Dropping them may take a while: not under the lock.
        drop(left);
        sessions.get(grant)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
