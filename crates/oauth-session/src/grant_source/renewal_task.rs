//! The task of one renewal, which carries out the steps of the keeper.

use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Entry, Event, GrantStatus, Lease, Step};
use tokio::sync::watch;
use tokio::time::Instant;

use super::active::ActiveGuard;
use super::upkeep::look_after;
use super::{Inner, Outcome, Renewal, Shared, SharedRenewal, State, task_stopped};
use crate::clock::{self, now};
use crate::fault_points;
use crate::hold::STORE_TIMEOUT;
use crate::observe::GrantEvent;
use crate::store::{RecordTimes, Store};

/// Spawns a renewal. No lock may be held: a runtime that is shut down drops the task at once, and its
/// drop takes the lock.
pub(super) fn spawn(runtime: &tokio::runtime::Handle, task: Option<RenewalTask>) {
    if let Some(task) = task {
        let guard = ActiveGuard::new(&task.session);
        runtime.spawn(async move {
            let _guard = guard;
            let session = Arc::clone(&task.session);
            task.run().await;
            Arc::clone(&session).save_later().await;
            look_after(&tokio::runtime::Handle::current(), &session);
        });
    }
}

/// A renewal under way. Dropping it publishes its outcome, also after a panic or a shutdown of the runtime.
pub(super) struct RenewalTask {
    session: Arc<Inner>,
    pub(super) renewal: SharedRenewal,
    outcome: Option<Outcome>,
}

impl RenewalTask {
    pub(super) fn new(session: Arc<Inner>, state: &mut State) -> Self {
        let renewal = SharedRenewal::new(Renewal {
            outcome: watch::Sender::new(None),
            since: Instant::now(),
        });
        state.renewal = Some(Arc::clone(&renewal));
        Self {
            session,
            renewal,
            outcome: None,
        }
    }

    async fn run(mut self) {
        let (mut event, mut is_new) = (Event::Begin, false);
        let mut permit = self.session.renewal_limits.permit();
        // Until the tokens are adopted.
        let mut local_use = None;
        loop {
            let at = match clock::moment() {
                Ok(at) => at,
                Err(error) => {
                    self.outcome = Some(Err(error));
                    return;
                }
            };
            let step = self.session.state().keeper.resume(&at, event);
            event = match step {
                Step::Run(exchange) => {
                    if self.session.shared.is_none() && local_use.is_none() {
                        local_use = Some(Arc::clone(&self.session.local_use).lock_owned().await);
                    }
                    fault_points::crash_at("session.run");
                    let outcome = self.session.run(exchange).await;
                    fault_points::crash_at("session.completed");
                    is_new = outcome.is_ok();
                    Event::Completed(outcome)
                }
                Step::Wait(pause) => {
                    permit.step_aside();
                    tokio::time::sleep(pause).await;
                    Event::Elapsed
                }
                Step::Done(outcome) => {
                    self.outcome = Some(outcome);
                    break;
                }
                step => {
                    let takes = matches!(&step, Step::Lease { ttl, .. } if !ttl.is_zero());
                    if takes {
                        permit.acquire().await;
                    }
                    self.session.store_step(step).await
                }
            };
        }
        drop(local_use);
        self.notify(is_new);
        if let (true, Some(Ok(tokens)), Some(hook)) =
            (is_new, &self.outcome, self.session.on_tokens.get())
        {
            // The keeper has the tokens already: only those that waited for them get the error.
            if let Err(error) = hook(tokens) {
                self.outcome = Some(Err(error));
            }
        }
    }

    fn notify(&self, is_new: bool) {
        let Some(outcome) = &self.outcome else { return };
        let (status, reported, last_error, is_stored) = {
            let mut state = self.session.state();
            let status = state.keeper.status();
            let reported = std::mem::replace(&mut state.reported, status);
            let last_error = state.keeper.last_error().cloned();
            (status, reported, last_error, state.keeper.is_stored())
        };
        // A caller whose token is valid gets no error.
        let error = outcome.as_ref().err().or(last_error.as_ref());
        match (status, error) {
            (GrantStatus::Ended, Some(error)) if reported != status => {
                self.session.notify(&GrantEvent::Ended(error));
            }
            (GrantStatus::Suspect, Some(error)) if reported != status => {
                self.session.notify(&GrantEvent::Suspect(error));
            }
            _ => {
                if let Err(error) = outcome {
                    self.session.notify(&GrantEvent::Failed(error));
                }
            }
        }
        if is_new && outcome.is_ok() {
            if !is_stored {
                self.session.notify(&GrantEvent::Unsaved);
            }
            self.session.notify(&GrantEvent::Renewed);
        }
    }
}

impl Drop for RenewalTask {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(task_stopped()));
        let mut state = self.session.state();
        if state.keeper.is_busy()
            && let Ok(at) = clock::moment()
        {
            state.keeper.abandon(&at);
        }
        state.renewal = None;
        self.session.publish(&state);
        drop(state);
        self.renewal.outcome.send_replace(Some(outcome));
    }
}

/// A guard for the one task that retries saving unsaved tokens; another task may take over when it is dropped.
struct DeferredSaveGuard<'a>(&'a Inner);

impl Drop for DeferredSaveGuard<'_> {
    fn drop(&mut self) {
        self.0.state().is_saving_later = false;
    }
}

impl Inner {
    /// Retries the save of unsaved tokens until they are stored, even without a caller, because no other worker has
    /// them.
    async fn save_later(self: Arc<Self>) {
        {
            let mut state = self.state();
            if state.keeper.is_stored() || std::mem::replace(&mut state.is_saving_later, true) {
                return;
            }
        }
        let _saving = DeferredSaveGuard(&self);
        loop {
            let Ok(now) = now() else { return };
            let pause = {
                let mut state = self.state();
                match state.keeper.retry_after(now) {
                    Some(pause) => pause,
                    // A renewal is running. Its task calls `save_later` at its end, which requires the cleared flag.
                    None => {
                        state.is_saving_later = false;
                        return;
                    }
                }
            };
            tokio::time::sleep(pause).await;
            let task = {
                let mut state = self.state();
                if state.keeper.save_again() {
                    RenewalTask::new(Arc::clone(&self), &mut state)
                } else {
                    continue;
                }
            };
            task.run().await;
            if self.state().keeper.is_stored() {
                self.notify(&GrantEvent::StoredLate);
            }
        }
    }

    /// Loads the record. A record that the store cannot read, or that no key decrypts, would block every login, so a
    /// login removes it and passes on an unreadable record in its place, which the keeper replaces.
    async fn load(&self, store: &dyn Store, key: &str) -> Result<Option<Entry>, Error> {
        let unreadable = match store.load(key).await {
            Err(error) if error.is_unreadable_record() => error,
            loaded => return loaded,
        };
        if !self.state().keeper.is_saving_login() {
            return Err(unreadable);
        }
        store.remove(key).await?;
        let tombstone = store.load(key).await?;
        Ok(tombstone.map(|Entry { version, .. }| {
            let record = Secret::from("unreadable");
            Entry { version, record }
        }))
    }

    /// Performs a store step: load, lease or save.
    async fn store_step(&self, step: Step) -> Event {
        let Some(Shared { store, key }) = &self.shared else {
            // A keeper without a store has no such steps.
            return Event::Failed(Error::lost(Cause::unsent("there is no store")));
        };
        let store_call = async {
            match step {
                Step::Load => self.load(&**store, key).await.map(Event::Loaded),
                Step::Lease { holder, ttl } => {
                    let leased = store.lease(key, &holder, ttl).await;
                    if let Ok(Lease::Held(remaining)) = leased {
                        self.notify(&GrantEvent::Waits(remaining));
                    }
                    leased.map(Event::Leased)
                }
                Step::Save {
                    record,
                    version,
                    due,
                    until,
                } => {
                    fault_points::crash_at("session.save");
                    let save_result = store
                        .save(key, &record, version, RecordTimes { due, until })
                        .await;
                    fault_points::crash_at("session.saved");
                    save_result.map(Event::Saved)
                }
                Step::Run(_) | Step::Wait(_) | Step::Done(_) => Ok(Event::Elapsed),
            }
        };
        let timed_out = |_| {
            Err(Error::lost(Cause::unknown(
                "the store did not answer in time",
            )))
        };
        let result = tokio::time::timeout(STORE_TIMEOUT, store_call).await;
        result
            .unwrap_or_else(timed_out)
            .unwrap_or_else(|error| Event::Failed(error.at_endpoint("store")))
    }
}
