//! The registry of the sessions of this process that renew, or have unsaved tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::flow::keeper::GrantOwner;

use super::{GrantSource, Inner, task_stopped};
use crate::runtime;

/// The sessions that are renewing, or have unsaved tokens.
///
/// The child of a fork begins with an empty registry: its parent's threads do not exist there, and may
/// have held the lock.
static ACTIVE: ArcSwapOption<ActiveSessions> = ArcSwapOption::const_empty();

struct ActiveSessions {
    pid: u32,
    sessions: Mutex<Grants>,
}

#[derive(Default)]
struct Grants {
    next: u64,
    by_number: BTreeMap<u64, Arc<Inner>>,
}

impl ActiveSessions {
    fn for_process() -> Arc<Self> {
        let pid = std::process::id();
        loop {
            let registry = ACTIVE.load_full();
            if let Some(own_registry) = registry.as_ref().filter(|registry| registry.pid == pid) {
                return Arc::clone(own_registry);
            }
            let own_registry = Arc::new(Self {
                pid,
                sessions: Mutex::default(),
            });
            let previous = ACTIVE.compare_and_swap(&registry, Some(Arc::clone(&own_registry)));
            let is_swapped = match (previous.as_ref(), &registry) {
                (None, None) => true,
                (Some(previous), Some(registry)) => Arc::ptr_eq(previous, registry),
                _ => false,
            };
            if is_swapped {
                // Leak the parent's registry: its destructors could wait for threads that do not exist in the child.
                std::mem::forget(registry);
                return own_registry;
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Grants> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a session in the registry until this is dropped.
pub(super) struct ActiveGuard {
    registry: Arc<ActiveSessions>,
    number: u64,
}

impl ActiveGuard {
    pub(super) fn new(session: &Arc<Inner>) -> Self {
        let registry = ActiveSessions::for_process();
        let mut sessions = registry.sessions();
        sessions.next += 1;
        let number = sessions.next;
        sessions.by_number.insert(number, Arc::clone(session));
        drop(sessions);
        Self { registry, number }
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        let ended = self.registry.sessions().by_number.remove(&self.number);
        // Dropped outside the lock, because this may be the last handle of the session.
        drop(ended);
    }
}

/// Shuts down gracefully all sessions of this process that are renewing, or have unsaved tokens: see
/// [`GrantSource::drain`]. For a program that ends and does not know its sessions; idle ones are not
/// affected.
///
/// # Errors
/// `lost.timeout` if that has not been done within `limit`.
pub async fn drain_all(limit: Duration) -> Result<(), Error> {
    // Checked first, because the timer needs a runtime too.
    runtime::current()?;
    let drain_rounds = async {
        loop {
            let active: Vec<_> = ActiveSessions::for_process()
                .sessions()
                .by_number
                .values()
                .cloned()
                .collect();
            let sessions: Vec<_> = active
                .into_iter()
                .filter(|session| session.has_work())
                .collect();
            if sessions.is_empty() {
                return Ok(());
            }
            drain_each(sessions.into_iter().map(GrantSource), limit).await?;
        }
    };
    tokio::time::timeout(limit, drain_rounds)
        .await
        .unwrap_or_else(|_| Err(timeout("a renewal did not finish in time")))
}

/// Drains these, all at once.
pub(crate) async fn drain_each(
    sessions: impl Iterator<Item = GrantSource>,
    limit: Duration,
) -> Result<(), Error> {
    let runtime = runtime::current()?;
    let drain = |session: GrantSource| async move { session.drain(limit).await };
    let drain_futures: Vec<_> = sessions
        .map(|session| runtime.spawn(drain(session)))
        .collect();
    for drained in drain_futures {
        drained.await.unwrap_or_else(|_| Err(task_stopped()))?;
    }
    Ok(())
}

impl Inner {
    /// Whether the end of the process would lose something, or cut off what is about to be stored.
    fn has_work(&self) -> bool {
        let is_renewing = {
            let state = self.state();
            let must_finish =
                self.shared.is_some() || state.keeper.id().owner != GrantOwner::Client;
            must_finish && state.renewal.is_some()
        };
        is_renewing || self.has_unsaved_grant()
    }

    /// Whether the store lacks the newest tokens, and they could not be requested again, as those of the client itself can.
    pub(super) fn has_unsaved_grant(&self) -> bool {
        let state = self.state();
        !state.keeper.is_stored() && state.keeper.id().owner != GrantOwner::Client
    }
}

pub(super) fn timeout(operation: &'static str) -> Error {
    let timeout = Cause::unknown(operation);
    Error::lost(timeout.because(Loss::Timeout))
}
