//! What a session does as one of many.

use std::sync::Arc;

use oauth_core::error::Error;

use super::{Inner, Session};
use crate::observe::Notice;
use crate::sessions::Pace;
use crate::store::Store;

impl Session {
    /// Begins its renewals at this pace. For a session that nobody has yet.
    pub(crate) fn paced(mut self, pace: Arc<Pace>) -> Self {
        if let Some(us) = Arc::get_mut(&mut self.0) {
            us.pace = Some(pace);
        }
        self
    }

    /// Whether nobody holds it, and the store has all it knows. A task that renews or stores holds it
    /// too; one whose runtime has ended does no more, and leaves behind what only this session has.
    pub(crate) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.state().keeper.is_stored()
    }

    /// Takes over what the store has by now.
    pub(crate) async fn look(&self, store: &dyn Store, key: &str) -> Result<(), Error> {
        let Some(entry) = store.load(key).await? else {
            return Ok(());
        };
        let at = crate::clock::moment()?;
        let mut state = self.0.state();
        let learnt = state.keeper.learn(at, entry);
        self.0.publish(&state);
        learnt
    }
}

impl Inner {
    pub(super) fn tell(&self, notice: &Notice<'_>) {
        if let Some(observer) = self.observer.get() {
            let key = self.shared.as_ref().map(|shared| shared.key.as_str());
            observer.observe(key, notice);
        }
    }
}
