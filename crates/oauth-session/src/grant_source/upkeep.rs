//! Upkeep of a session whose token no caller requests: keeps an idle grant alive, and gives notice before an
//! authorization ends.

use std::sync::{Arc, Weak};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::keeper::Upkeep;

use super::renewal_task::{RenewalTask, spawn};
use super::{GrantSource, Inner, SharedRenewal, wait_for_outcome};
use crate::clock;
use crate::observe::GrantEvent;
use crate::runtime;
use crate::store::Store;

/// The longest sleep, because the machine's clock may be set, or stop while the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The only upkeep task of a session; another may replace it when this is dropped. It keeps no session alive
/// that no caller holds.
struct UpkeepTask(Weak<Inner>);

impl Drop for UpkeepTask {
    fn drop(&mut self) {
        if let Some(session) = self.0.upgrade() {
            session.state().is_looked_after = false;
        }
    }
}

/// Starts the upkeep task of the session, if the session needs one and none is running.
pub(super) fn look_after(runtime: &tokio::runtime::Handle, session: &Arc<Inner>) {
    let Ok(now) = clock::now() else { return };
    {
        let mut state = session.state();
        if session.cached.get().is_none() {
            session.publish(&state);
        }
        if state.is_looked_after || state.keeper.upkeep_after(now).is_none() {
            return;
        }
        state.is_looked_after = true;
    }
    let task = UpkeepTask(Arc::downgrade(session));
    runtime.spawn(async move {
        while let Some(pause) = task.pause() {
            tokio::time::sleep(pause).await;
            let Some(session) = task.0.upgrade() else {
                return;
            };
            if let Some(renewal) = session.upkeep() {
                drop(session);
                // The grant's observer gets the error.
                let _ = wait_for_outcome(&renewal).await;
            }
        }
    });
}

impl UpkeepTask {
    /// The time until the next upkeep; `None` if there is nothing more to do.
    fn pause(&self) -> Option<Duration> {
        let session = self.0.upgrade()?;
        let now = clock::now().ok()?;
        let mut state = session.state();
        let pause = state.keeper.upkeep_after(now);
        // A renewal may be running. Its task calls `look_after` at its end, which requires the cleared flag.
        state.is_looked_after = pause.is_some();
        Some(pause?.min(LONGEST_SLEEP))
    }
}

impl Inner {
    /// Publishes the token of a new session. If the session needs upkeep, the first caller does not use the cached
    /// token, so that the upkeep runs on the runtime of that caller.
    pub(super) fn publish_at_first(&self) {
        let state = self.state();
        let is_tended = |now| state.keeper.upkeep_after(now).is_some();
        if !clock::now().is_ok_and(is_tended) {
            self.publish(&state);
        }
    }

    /// Performs the upkeep that is due now; returns the renewal, if there is one.
    fn upkeep(self: &Arc<Self>) -> Option<SharedRenewal> {
        let runtime = runtime::current().ok()?;
        loop {
            let now = clock::now().ok()?;
            let (new_tokens, task) = {
                let mut state = self.state();
                match state.keeper.upkeep(now)? {
                    Upkeep::Renew => (None, Some(RenewalTask::new(Arc::clone(self), &mut state))),
                    Upkeep::AuthorizationEnds(end) => (Some(end), None),
                    _ => return None,
                }
            };
            match (new_tokens, task) {
                (Some(end), _) => self.notify(&GrantEvent::AuthorizationEnds(end)),
                (None, task) => {
                    let renewal = task.as_ref().map(|task| Arc::clone(&task.renewal));
                    spawn(&runtime, task);
                    return renewal;
                }
            }
        }
    }
}

impl GrantSource {
    /// Keeps the grant of this record alive if that is due; returns whether it was renewed.
    pub(crate) async fn keep_alive(&self, store: &dyn Store, key: &str) -> Result<bool, Error> {
        self.refresh_from(store, key).await?;
        match self.0.upkeep() {
            Some(renewal) => wait_for_outcome(&renewal).await.map(|_| true),
            None => {
                look_after(&runtime::current()?, &self.0);
                Ok(false)
            }
        }
    }
}
