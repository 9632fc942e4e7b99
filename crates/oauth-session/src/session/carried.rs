//! A renewal on its way: a task that does what the keeper says.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Check, Error, Kind};
use oauth_core::flow::keeper::{Entry, Event, Lease, Standing, Step};
use tokio::sync::watch;
use tokio::time::Instant;

use super::at_work::Working;
use super::{Flight, Inner, Outcome, Renewal, Shared, State, never_landed};
use crate::clock::{self, now};
use crate::faults;
use crate::observe::Notice;
use crate::store::Store;

/// How long a store may take for an answer. Those of this crate give up sooner, and a lease is hardly
/// longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Spawned under no lock: a runtime that is closed drops the task on the spot, and its drop locks.
pub(super) fn start(runtime: &tokio::runtime::Handle, carried: Option<Carried>) {
    if let Some(carried) = carried {
        let working = Working::new(&carried.us);
        runtime.spawn(async move {
            let _working = working;
            let us = Arc::clone(&carried.us);
            carried.carry().await;
            us.tend().await;
        });
    }
}

/// A renewal under way. It lands when this is dropped, be it by a panic or by the end of a runtime.
pub(super) struct Carried {
    us: Arc<Inner>,
    pub(super) flight: Flight,
    outcome: Option<Outcome>,
}

impl Carried {
    pub(super) fn new(us: Arc<Inner>, state: &mut State) -> Self {
        let flight = Flight::new(Renewal {
            outcome: watch::Sender::new(None),
            since: Instant::now(),
        });
        state.flight = Some(Arc::clone(&flight));
        Self {
            us,
            flight,
            outcome: None,
        }
    }

    async fn carry(mut self) {
        let (mut event, mut is_new) = (Event::Begin, false);
        // One turn, however often the lease is asked for.
        let mut pace = self.us.pace.clone();
        loop {
            let at = match clock::moment() {
                Ok(at) => at,
                Err(error) => {
                    self.outcome = Some(Err(error));
                    return;
                }
            };
            let step = self.us.state().keeper.resume(at, event);
            event = match step {
                Step::Run(exchange) => {
                    faults::at("session.run");
                    let outcome = self.us.run(exchange).await;
                    faults::at("session.flown");
                    is_new = outcome.is_ok();
                    Event::Completed(outcome)
                }
                Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Event::Elapsed
                }
                Step::Done(outcome) => {
                    self.outcome = Some(outcome);
                    break;
                }
                step => {
                    let takes = matches!(&step, Step::Lease { ttl, .. } if !ttl.is_zero());
                    if takes && let Some(pace) = pace.take() {
                        pace.turn().await;
                    }
                    self.us.stored(step).await
                }
            };
        }
        self.tell(is_new);
        if let (true, Some(Ok(tokens)), Some(hook)) =
            (is_new, &self.outcome, self.us.on_tokens.get())
        {
            hook(tokens);
        }
    }

    fn tell(&self, is_new: bool) {
        let Some(outcome) = &self.outcome else { return };
        let (standing, told, trouble, is_stored) = {
            let mut state = self.us.state();
            let standing = state.keeper.standing();
            let told = std::mem::replace(&mut state.told, standing);
            let trouble = state.keeper.trouble().cloned();
            (standing, told, trouble, state.keeper.is_stored())
        };
        // A caller whose token is good hears of no error.
        let error = outcome.as_ref().err().or(trouble.as_ref());
        match (standing, error) {
            (Standing::Ended, Some(error)) if told != standing => {
                self.us.tell(&Notice::Ended(error));
            }
            (Standing::Suspect, Some(error)) if told != standing => {
                self.us.tell(&Notice::Suspect(error));
            }
            _ => {
                if let Err(error) = outcome {
                    self.us.tell(&Notice::Failed(error));
                }
            }
        }
        if is_new && outcome.is_ok() {
            if !is_stored {
                self.us.tell(&Notice::Unsaved);
            }
            self.us.tell(&Notice::Renewed);
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(never_landed()));
        let mut state = self.us.state();
        if state.keeper.is_busy()
            && let Ok(at) = clock::moment()
        {
            state.keeper.abandon(at);
        }
        state.flight = None;
        self.us.publish(&state);
        drop(state);
        self.flight.outcome.send_replace(Some(outcome));
    }
}

/// Who tries to store what the store has not got yet. Another may take over when this is dropped.
struct Tending<'a>(&'a Inner);

impl Drop for Tending<'_> {
    fn drop(&mut self) {
        self.0.state().is_tended = false;
    }
}

impl Inner {
    /// Tries to store what the store has not got yet until it has it, whether or not anybody asks:
    /// nobody else can have it.
    async fn tend(self: Arc<Self>) {
        {
            let mut state = self.state();
            if state.keeper.is_stored() || std::mem::replace(&mut state.is_tended, true) {
                return;
            }
        }
        let _tending = Tending(&self);
        loop {
            let Ok(now) = now() else { return };
            let pause = {
                let mut state = self.state();
                match state.keeper.retry_after(now) {
                    Some(pause) => pause,
                    // Whoever is at it now tends it after that.
                    // It must see at its end that nobody does so yet.
                    None => {
                        state.is_tended = false;
                        return;
                    }
                }
            };
            tokio::time::sleep(pause).await;
            let carried = {
                let mut state = self.state();
                match state.keeper.save_again() {
                    true => Carried::new(Arc::clone(&self), &mut state),
                    false => continue,
                }
            };
            carried.carry().await;
            if self.state().keeper.is_stored() {
                self.tell(&Notice::StoredLate);
            }
        }
    }

    /// The record. One that no key opens would stand in the way of every login for ever, so a login
    /// takes its place: it is told as one that nobody can read.
    async fn load(&self, store: &dyn Store, key: &str) -> Result<Option<Entry>, Error> {
        let sealed = match store.load(key).await {
            Err(error) if matches!(error.kind(), Kind::Untrusted(Check::StoredSealed)) => error,
            loaded => return loaded,
        };
        if !self.state().keeper.is_saving_login() {
            return Err(sealed);
        }
        store.remove(key).await?;
        let removed = store.load(key).await?;
        Ok(removed.map(|Entry { version, .. }| {
            let record = Secret::from("sealed with another key");
            Entry { version, record }
        }))
    }

    /// Does what a step asks of the store.
    async fn stored(&self, step: Step) -> Event {
        let Some(Shared { store, key }) = &self.shared else {
            // A keeper that is not shared asks no store.
            return Event::Failed(Error::lost(Cause::unsent("there is no store")));
        };
        let asked = async {
            match step {
                Step::Load => self.load(&**store, key).await.map(Event::Loaded),
                Step::Lease { holder, ttl } => {
                    let leased = store.lease(key, &holder, ttl).await;
                    if let Ok(Lease::Held(left)) = leased {
                        self.tell(&Notice::Waits(left));
                    }
                    leased.map(Event::Leased)
                }
                Step::Save {
                    record,
                    version,
                    due,
                } => {
                    faults::at("session.save");
                    let saved = store.save(key, &record, version, due).await;
                    faults::at("session.saved");
                    saved.map(Event::Saved)
                }
                Step::Run(_) | Step::Wait(_) | Step::Done(_) => Ok(Event::Elapsed),
            }
        };
        let late = |_| {
            Err(Error::lost(Cause::unknown(
                "the store gave no answer in time",
            )))
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer
            .unwrap_or_else(late)
            .unwrap_or_else(|error| Event::Failed(error.at_endpoint("store")))
    }
}
