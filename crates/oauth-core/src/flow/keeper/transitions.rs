//! The transitions of a renewal: [`Keeper::resume`] and what each state does with its event. The table
//! is in the documentation of [`flow::keeper`](super). Which worker gets to refresh is decided in `lease.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::commit::PendingSave;
use super::lease::MIN_POLL_MILLIS;
use super::record::{GrantEnd, Record};
use super::state::{Outcome, State};
use super::unconfirmed_refusal::UnconfirmedRefusal;
use super::{Event, Keeper, Lease, SaveOutcome, Step, Storage, UnsavedState};
use crate::error::{Cause, Error, Kind, Loss, Misuse};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::token::Tokens;

/// The number of save conflicts that a renewal tolerates.
const MAX_CONFLICTS: u32 = 8;

impl Keeper {
    /// Takes the next step of the renewal under way. [`Event::Begin`] comes first; each later event reports the result
    /// of the step before it.
    ///
    /// [`Step::Done`] ends it: with `misuse.out_of_order` for an event that belongs to no step.
    pub fn resume(&mut self, at: &Moment, event: Event) -> Step {
        let mut step = self.next(at, event);
        while self.storage == Storage::Local {
            let local_event = match step {
                // No other worker writes: the known record is the stored one.
                Step::Load => Event::Loaded(None),
                Step::Lease { .. } => Event::Leased(Lease::Won),
                Step::Save { version, .. } if version == self.version => {
                    Event::Saved(SaveOutcome::At(version + 1))
                }
                Step::Save { .. } => Event::Saved(SaveOutcome::Conflict),
                step => return step,
            };
            step = self.next(at, local_event);
        }
        step
    }

    fn next(&mut self, at: &Moment, event: Event) -> Step {
        let Some(state) = self.state.take() else {
            return Step::Done(Err(Misuse::Over.into()));
        };
        match (state, event) {
            (State::Begun, Event::Begin) => {
                if let Err(error) = self.new_renewal_id(at) {
                    return self.done(Err(error));
                }
                self.restarts = 0;
                match (self.unsaved_tokens(), self.valid_tokens(at.now())) {
                    (Some(unsaved), _) => self.save_tokens(unsaved),
                    // The user has logged in since the caller asked.
                    (None, Some(tokens))
                        if self.is_stored()
                            && !self.is_due(at.now())
                            && !self.keeps_alive(at.now()) =>
                    {
                        self.finish(at, Ok(tokens))
                    }
                    _ if self.is_stored() => self.load(State::LoadBeforeLease { attempts: 0 }),
                    _ => self.load(State::LoadBeforeLogin),
                }
            }
            (State::LoadBeforeLogin, Event::Loaded(entry)) => self.save_login(at, entry),
            (State::SaveLogin(id, record), Event::Saved(SaveOutcome::At(version))) => {
                self.login_saved(at, &id, *record, version)
            }
            (State::SaveLogin(..), Event::Saved(SaveOutcome::Conflict)) => {
                self.restart_after_conflict(at, State::LoadBeforeLogin)
            }
            (State::LoadBeforeLease { attempts }, Event::Loaded(entry)) => {
                self.read_before_lease(at, attempts, entry)
            }
            (State::AcquireLease { .. }, Event::Leased(Lease::Won)) => {
                self.load(State::LoadUnderLease)
            }
            (State::AcquireLease { attempts }, Event::Leased(Lease::Held(rest))) => {
                self.wait_for_holder(at, attempts, rest)
            }
            (State::WaitForHolder { attempts }, Event::Elapsed) => {
                self.load(State::LoadBeforeLease { attempts })
            }
            (State::LoadUnderLease, Event::Loaded(entry)) => self.read_under_lease(at, entry),
            (State::ReleaseAndWait, Event::Leased(_) | Event::Failed(_)) => {
                // A delayed release must not release the next lease in place of this one.
                match self.new_renewal_id(at) {
                    Ok(()) => self.wait(at, u32::MAX),
                    Err(error) => self.done(Err(error)),
                }
            }
            (State::SaveMarker(marker), Event::Saved(SaveOutcome::At(version))) => {
                self.version = version;
                self.record.ended = None;
                self.record.pause = None;
                let refusal = self.record.unconfirmed_refusal.take();
                self.record.unconfirmed_refusal = refusal.map(UnconfirmedRefusal::with_no_pause);
                self.marker_saved(at, marker)
            }
            // Another worker wrote after its lease expired, or the user logged in.
            (State::SaveMarker(_), Event::Saved(SaveOutcome::Conflict)) => {
                self.restart_after_conflict(at, State::LoadUnderLease)
            }
            // The marker may be stored, although nothing was sent.
            (State::SaveMarker(marker), Event::Failed(error)) => {
                self.remember_finished(marker.id, true);
                self.fail(at, error)
            }
            (State::RunRequest { without_store }, Event::Completed(Ok(tokens))) => {
                self.tokens_received(at, tokens, without_store)
            }
            (State::RunRequest { .. }, Event::Completed(Err(error))) => {
                self.request_failed(at, error)
            }
            (State::SaveTokens(unsaved), Event::Saved(SaveOutcome::At(version))) => {
                self.tokens_saved(at, unsaved, version)
            }
            (State::SaveTokens(unsaved), Event::Saved(SaveOutcome::Conflict)) => {
                self.restart_after_conflict(at, State::ResolveConflict(unsaved))
            }
            (State::PauseAfterConflict(next), Event::Elapsed) => self.load(*next),
            (State::ResolveConflict(unsaved), Event::Loaded(entry)) => {
                self.resolve_conflict(at, unsaved, entry)
            }
            (State::RetrySave(unsaved), Event::Elapsed) => self.save_tokens(unsaved),
            (
                State::SaveTokens(unsaved) | State::ResolveConflict(unsaved),
                Event::Failed(error),
            ) => self.retry_save(at, unsaved, &error),
            (State::CheckStoreForUnsaved(error), event) => self.renew_unsaved(at, error, event),
            (State::RevokeUnwanted(outcome), Event::Completed(_)) => self.release(outcome),
            (State::RecheckStore(error), Event::Loaded(entry)) => self.recheck(at, error, entry),
            (State::SaveFailure(outcome), Event::Saved(saved)) => {
                if let SaveOutcome::At(version) = saved {
                    self.version = version;
                }
                self.release(outcome)
            }
            (State::SaveFailure(outcome), Event::Failed(_)) => self.release(outcome),
            (State::SaveUnconfirmedRefusal(error), Event::Saved(SaveOutcome::At(version))) => {
                self.version = version;
                self.unconfirmed_refusal_saved(at, error)
            }
            (State::SaveUnconfirmedRefusal(error), Event::Saved(SaveOutcome::Conflict)) => {
                self.restart_after_conflict(at, State::ResolveRefusalConflict(error))
            }
            (State::ResolveRefusalConflict(error), Event::Loaded(entry)) => {
                self.resolve_refusal_conflict(at, error, entry)
            }
            (State::SaveGrantEnd(error), Event::Saved(SaveOutcome::At(version))) => {
                self.version = version;
                self.release(Err(error))
            }
            // Another worker has saved something newer.
            (State::SaveGrantEnd(error), Event::Saved(SaveOutcome::Conflict)) => {
                self.restart_after_conflict(at, State::RecheckStore(error))
            }
            (State::SaveGrantEnd(error), Event::Failed(_)) => self.release(Err(error)),
            (State::ReleaseUnneeded, Event::Leased(_) | Event::Failed(_)) => {
                match self.outcome_if_unneeded(at.now()) {
                    Some(outcome) => self.finish(at, outcome),
                    None => self.load(State::LoadBeforeLease { attempts: 0 }),
                }
            }
            // A lease that could not be released expires on its own.
            (State::ReleaseLease(outcome), Event::Leased(_) | Event::Failed(_)) => {
                self.finish(at, outcome)
            }
            // Only if the store did not respond; a store that refuses has a fault that an operator must fix.
            (
                State::LoadBeforeLease { .. } | State::AcquireLease { .. } | State::LoadUnderLease,
                Event::Failed(error),
            ) if matches!(error.kind(), Kind::Lost(_)) && self.may_send_without_store(at.now()) => {
                self.note_request(at);
                self.send(at.now(), true)
            }
            // The lease may have been granted: others should not have to wait for its expiry.
            (State::AcquireLease { .. } | State::LoadUnderLease, Event::Failed(error)) => {
                self.fail(at, error)
            }
            // No user is asked to log in before the store has recorded the reason for all workers.
            (
                State::SaveUnconfirmedRefusal(_) | State::ResolveRefusalConflict(_),
                Event::Failed(error),
            ) => self.fail(at, error),
            // Another worker may have newer tokens: no user is asked to log in before that is known.
            (State::RecheckStore(_), Event::Failed(error)) => {
                self.remember_finished(self.renewal_id.clone(), false);
                self.fail(at, error)
            }
            (State::SaveLogin(id, _), Event::Failed(error)) => {
                self.note_unanswered_login_save(&id);
                self.note_late_login();
                let outcome = self.failure_outcome(at, error);
                self.finish(at, outcome)
            }
            (State::LoadBeforeLease { .. } | State::LoadBeforeLogin, Event::Failed(error)) => {
                self.note_late_login();
                let outcome = self.failure_outcome(at, error);
                self.finish(at, outcome)
            }
            (state, _) => {
                self.clean_up(at, state);
                Step::Done(Err(Misuse::OutOfOrder.into()))
            }
        }
    }

    pub(super) fn load(&mut self, state: State) -> Step {
        self.state = Some(state);
        Step::Load
    }

    pub(super) fn save(&mut self, record: &Record, state: State) -> Step {
        self.save_over(self.version, record, state)
    }

    pub(super) fn save_over(&mut self, version: u64, record: &Record, state: State) -> Step {
        self.state = Some(state);
        Step::Save {
            record: match self.storage {
                Storage::Shared => record.to_json(&self.config, &self.id),
                // Without a store, the record is never read.
                Storage::Local => Secret::new(String::new()),
            },
            version,
            due: record.due(&self.policy),
            until: record.until,
        }
    }

    /// After a save conflict, loads the record that another worker saved; from the second conflict
    /// on, pauses first. After more than [`MAX_CONFLICTS`] conflicts the renewal ends.
    fn restart_after_conflict(&mut self, at: &Moment, next: State) -> Step {
        self.restarts += 1;
        match self.restarts {
            1 => self.load(next),
            2..=MAX_CONFLICTS => {
                self.state = Some(State::PauseAfterConflict(Box::new(next)));
                let pause = MIN_POLL_MILLIS << (self.restarts - 2);
                Step::Wait(Duration::from_millis(pause / 2 + at.jitter_input() % pause))
            }
            _ => self.too_many_conflicts(at, next),
        }
    }

    fn too_many_conflicts(&mut self, at: &Moment, next: State) -> Step {
        let cause = Cause::unsent_as("every save conflicted with another writer's")
            .because(Loss::Contended);
        let error = Error::lost(cause).at_endpoint("store");
        match next {
            State::ResolveConflict(unsaved) => self.hand_out_unsaved(at, &unsaved, &error),
            State::LoadBeforeLogin => {
                let outcome = self.failure_outcome(at, error);
                self.finish(at, outcome)
            }
            State::RecheckStore(_) => {
                self.remember_finished(self.renewal_id.clone(), false);
                self.fail(at, error)
            }
            _ => self.fail(at, error),
        }
    }

    /// The tokens, if they are not the ones this renewal began with.
    pub(super) fn newer_tokens(
        &self,
        before: Option<&Arc<Tokens>>,
        now: UnixTime,
    ) -> Option<Arc<Tokens>> {
        let tokens = self.valid_tokens(now).filter(|_| !self.is_stale(now))?;
        let is_same =
            before.is_some_and(|before| before.access_token.matches(tokens.access_token.expose()));
        (!is_same).then_some(tokens)
    }

    /// The tokens that could not be saved before.
    pub(super) fn unsaved_tokens(&self) -> Option<Box<PendingSave>> {
        let UnsavedState::Renewed {
            parent,
            is_given_up,
            may_be_stored,
        } = &self.unsaved
        else {
            return None;
        };
        let record = self.record.clone();
        let version = self.version;
        let mut unsaved = PendingSave::deferred(parent.clone(), record, version, *is_given_up);
        unsaved.may_be_stored = *may_be_stored;
        Some(Box::new(unsaved))
    }

    /// The error of a grant that has ended, as the record says; the user may log in elsewhere.
    pub(super) fn ended_error(&mut self, at: &Moment) -> Option<Error> {
        let ended = self.record.ended.as_ref()?;
        if *ended == GrantEnd::OutcomeUnknown && self.marker_is_unspent() == Some(true) {
            return None;
        }
        let error = ended.error();
        self.pause_briefly(at, &error);
        Some(error)
    }

    /// Pauses for a second when this worker can do nothing more. It then reads the store again, because another worker
    /// may have acted.
    pub(super) fn pause_briefly(&mut self, at: &Moment, error: &Error) {
        let soon = at.now().after(Duration::from_secs(1));
        self.backoff.set(at.now(), soon, error);
    }

    /// The outcome after a failure: the token, until it expires.
    pub(super) fn failure_outcome(&mut self, at: &Moment, error: Error) -> Outcome {
        let error = self.backoff.record_failure(at, error);
        self.valid_tokens(at.now()).ok_or(error)
    }

    pub(super) fn fail(&mut self, at: &Moment, error: Error) -> Step {
        let outcome = self.failure_outcome(at, error);
        self.release(outcome)
    }

    pub(super) fn finish(&mut self, at: &Moment, outcome: Outcome) -> Step {
        // The token was refused while this was under way: the waiting callers would get it again.
        if let (Ok(tokens), Some(refused)) = (&outcome, &self.refused)
            && tokens.access_token.matches(refused.expose())
        {
            return match self.new_renewal_id(at) {
                Ok(()) => self.load(State::LoadBeforeLease { attempts: 0 }),
                Err(error) => self.done(Err(error)),
            };
        }
        // The user may have logged in in the meantime.
        self.adopt_login(at);
        self.done(outcome)
    }

    fn done(&mut self, outcome: Outcome) -> Step {
        self.has_waiters = false;
        Step::Done(outcome)
    }

    fn new_renewal_id(&mut self, at: &Moment) -> Result<(), Error> {
        self.renewal_id = at.ticket()?;
        Ok(())
    }

    /// Cleans up an abandoned renewal.
    pub(super) fn clean_up(&mut self, at: &Moment, state: State) {
        match state {
            // The marker may be stored, although nothing was sent.
            State::SaveMarker(marker) => self.remember_finished(marker.id, true),
            State::RunRequest { .. } => self.remember_finished(self.renewal_id.clone(), false),
            State::SaveTokens(mut unsaved)
            | State::ResolveConflict(mut unsaved)
            | State::RetrySave(mut unsaved) => {
                unsaved.may_be_stored = true;
                // Only deferred tokens can have been returned unsaved before.
                let is_given_up = unsaved.is_deferred
                    && matches!(
                        self.unsaved,
                        UnsavedState::Renewed {
                            is_given_up: true,
                            ..
                        }
                    );
                self.keep_unsaved(at, &unsaved, is_given_up);
            }
            State::SaveLogin(id, _) => self.note_unanswered_login_save(&id),
            State::PauseAfterConflict(next) => return self.clean_up(at, *next),
            _ => {}
        }
        // Its record may be removed before the next attempt.
        self.note_late_login();
        self.adopt_login(at);
        self.has_waiters = false;
    }
}
