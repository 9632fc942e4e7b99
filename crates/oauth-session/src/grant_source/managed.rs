//! The parts of a session that [`Grants`](crate::Grants) and its logout use.

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::error::Error;

use super::{GrantSource, Inner, PoolLogout};
use crate::observe::GrantEvent;
use crate::renewal_limits::RenewalLimits;
use crate::runtime;
use crate::store::{Entry, Store};

impl GrantSource {
    /// Makes this a source of a pool, with the limits of its renewals. Has no effect on a session that callers already
    /// use.
    pub(crate) fn in_pool(mut self, log_out: PoolLogout, limits: RenewalLimits) -> Self {
        if let Some(session) = Arc::get_mut(&mut self.0) {
            session.pool_logout = Some(log_out);
            session.renewal_limits = limits;
        }
        self
    }

    /// Whether no caller holds the session, and its tokens are stored. A task that renews or saves holds it too; one
    /// whose runtime has ended does not, and may leave tokens that only this session has.
    pub(crate) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.state().keeper.is_stored()
    }

    /// Adopts the tokens of a new login like [`log_in`](Self::log_in), unless the record was removed after it was read at
    /// this version.
    pub(crate) async fn log_in_at_version(
        &self,
        tokens: Tokens,
        known_version: u64,
    ) -> Result<(), Error> {
        let (at, runtime) = (crate::clock::moment()?, runtime::current()?);
        self.0
            .state()
            .keeper
            .replace_at_version(&at, tokens, known_version)?;
        self.store_login(at.now(), &runtime).await
    }

    /// Ends a login that is not stored yet, and returns its tokens, to be revoked.
    pub(crate) fn end_unsaved_login(&self) -> Result<Option<Arc<Tokens>>, Error> {
        let at = crate::clock::moment()?;
        let mut state = self.0.state();
        let ended = state.keeper.end_unsaved_login(&at);
        self.0.publish(&state);
        Ok(ended)
    }

    /// Whether the store has the newest tokens.
    pub(crate) fn is_stored(&self) -> bool {
        self.0.state().keeper.is_stored()
    }

    /// Adopts this record.
    pub(crate) fn adopt(&self, entry: Entry) -> Result<(), Error> {
        let at = crate::clock::moment()?;
        let mut state = self.0.state();
        let learned = state.keeper.learn(&at, entry);
        self.0.publish(&state);
        learned
    }

    /// Adopts the current record of the store.
    pub(crate) async fn refresh_from(&self, store: &dyn Store, key: &str) -> Result<(), Error> {
        match store.load(key).await? {
            Some(entry) => self.adopt(entry),
            None => Ok(()),
        }
    }
}

impl Inner {
    pub(super) fn notify(&self, notice: &GrantEvent<'_>) {
        if let Some(observer) = self.observer.get() {
            let key = self.shared.as_ref().map(|shared| shared.key.as_str());
            observer.observe(key, notice);
        }
    }
}
