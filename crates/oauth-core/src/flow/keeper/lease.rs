//! Which worker refreshes: the one that wins the lease of the grant's record. The record is read before the lease is
//! requested, and again under it, because another worker may have renewed the tokens in between.
//!
//! Which caller of this worker begins a renewal is decided in `decision.rs`; whether the refresh token may be sent under
//! the lease, in `send_decision.rs`. While a request runs, the host extends the lease (`grant_source/request.rs` in
//! oauth-session).

use std::time::Duration;

use super::reconcile::Reconciliation;
use super::send_decision::SendDecision;
use super::state::{Outcome, State};
use super::{Entry, Keeper, LeaseExtension, Step, Storage};
use crate::error::{Cause, Error};
use crate::moment::Moment;

/// The shortest and longest pause between two loads of the record while another worker renews, in milliseconds.
pub(super) const MIN_POLL_MILLIS: u64 = 25;
const MAX_POLL_MILLIS: u64 = 1000;

impl Keeper {
    /// Adopts newer tokens from the record, if there are any; otherwise requests the lease.
    pub(super) fn read_before_lease(
        &mut self,
        at: &Moment,
        attempts: u32,
        entry: Option<Entry>,
    ) -> Step {
        // Unsaved local tokens supersede the record.
        if let Some(unsaved) = self.unsaved_tokens() {
            return self.resolve_conflict(at, unsaved, entry);
        }
        let before = self.record.tokens.clone();
        match self.reconcile(at, entry) {
            Ok(Reconciliation::StoreLost(version)) => return self.restore_lost(version),
            Ok(Reconciliation::Unchanged | Reconciliation::Adopted) => {}
            Err(error) => return self.finish(at, Err(error)),
        }
        if let Some(error) = self.ended_error(at) {
            return self.finish(at, Err(error));
        }
        if let Some(tokens) = self.newer_tokens(before.as_ref(), at.now()) {
            self.backoff.clear();
            return self.finish(at, Ok(tokens));
        }
        if let Some(outcome) = self.outcome_if_unneeded(at.now()) {
            return self.finish(at, outcome);
        }
        if let Some(error) = self.reason_not_to_send(at) {
            let outcome = self.valid_tokens(at.now()).ok_or(error);
            return self.finish(at, outcome);
        }
        if let Err(error) = self.exchange() {
            self.pause_briefly(at, &error);
            let outcome = self.valid_tokens(at.now()).ok_or(error);
            return self.finish(at, outcome);
        }
        self.state = Some(State::AcquireLease { attempts });
        Step::Lease {
            holder: self.renewal_id.clone(),
            ttl: self.policy.lease,
        }
    }

    /// Another worker holds the lease: returns the current token unless it is stale; otherwise
    /// loads the record again after a pause.
    pub(super) fn wait_for_holder(&mut self, at: &Moment, attempts: u32, rest: Duration) -> Step {
        if let Some(tokens) = self
            .valid_tokens(at.now())
            .filter(|_| !self.is_stale(at.now()))
        {
            let busy = Error::lost(Cause::unsent_as("another worker renews the token"));
            let retry_at = at.now().after(Duration::from_secs(1));
            self.backoff.set_soft(at.now(), retry_at, &busy);
            return self.finish(at, Ok(tokens));
        }
        match self.wait(at, attempts) {
            Step::Wait(pause) => Step::Wait(pause.min(rest.max(Duration::from_millis(1)))),
            step => step,
        }
    }

    /// Pauses before the record is loaded again, longer with each attempt.
    pub(super) fn wait(&mut self, at: &Moment, attempts: u32) -> Step {
        self.state = Some(State::WaitForHolder {
            attempts: attempts.saturating_add(1),
        });
        let pause = (MIN_POLL_MILLIS << attempts.min(6)).min(MAX_POLL_MILLIS);
        Step::Wait(Duration::from_millis(pause / 2 + at.jitter_input() % pause))
    }

    /// Adopts newer tokens from the record, which another worker may have saved before this one got the lease;
    /// otherwise acts on the [`SendDecision`].
    pub(super) fn read_under_lease(&mut self, at: &Moment, entry: Option<Entry>) -> Step {
        let before = self.record.tokens.clone();
        match self.reconcile(at, entry) {
            Ok(Reconciliation::StoreLost(version)) => return self.restore_lost(version),
            Ok(Reconciliation::Unchanged | Reconciliation::Adopted) => {}
            Err(error) => return self.release(Err(error)),
        }
        if let Some(error) = self.ended_error(at) {
            return self.release(Err(error));
        }
        if let Some(tokens) = self.newer_tokens(before.as_ref(), at.now()) {
            self.backoff.clear();
            return self.release(Ok(tokens));
        }
        if self.outcome_if_unneeded(at.now()).is_some() {
            return self.release_into(State::ReleaseUnneeded);
        }
        if let Some(error) = self.reason_not_to_send(at) {
            let outcome = self.valid_tokens(at.now()).ok_or(error);
            return self.release(outcome);
        }
        // This worker's clock has been set back.
        self.marker_seen = self.marker_seen.min(at.now());
        match self.send_decision(at.now()) {
            SendDecision::Send { marked: false } => {
                self.note_request(at);
                self.send(at.now(), false)
            }
            SendDecision::Send { marked: true } => {
                self.note_request(at);
                self.save_marker(at)
            }
            SendDecision::Hold => self.wait_for_lost_outcome(at),
            SendDecision::End(ended) => {
                let error = ended.error();
                self.end_grant(ended, error)
            }
            SendDecision::Fail(error) => {
                self.pause_briefly(at, &error);
                let outcome = self.valid_tokens(at.now()).ok_or(error);
                self.release(outcome)
            }
        }
    }

    /// Releases the lease, and then ends the renewal with this outcome.
    pub(super) fn release(&mut self, outcome: Outcome) -> Step {
        self.release_into(State::ReleaseLease(outcome))
    }

    /// Releases the lease, and waits for the result in this state.
    pub(super) fn release_into(&mut self, state: State) -> Step {
        self.state = Some(state);
        Step::Lease {
            holder: self.renewal_id.clone(),
            ttl: Duration::ZERO,
        }
    }

    /// The lease to extend repeatedly while the request of [`Step::Run`] runs: call this right after that step. `None`
    /// if no lease is held.
    ///
    /// The outcome of an extension does not matter: a lost lease costs a second request if that does no harm, and new
    /// tokens are saved by version. A host that cannot extend leases may ignore this.
    pub fn lease_extension(&self) -> Option<LeaseExtension> {
        let is_leased = matches!(
            self.state,
            Some(State::RunRequest {
                without_store: false
            })
        );
        let holder = self.renewal_id.clone();
        (is_leased && self.storage == Storage::Shared).then(|| self.lease_for(holder))
    }

    /// The lease of a host that uses the refresh token outside a renewal, under this name: as long as that of a renewal,
    /// to be extended as often.
    pub fn lease_for(&self, holder: String) -> LeaseExtension {
        let ttl = self.policy.lease;
        LeaseExtension {
            holder,
            ttl,
            every: (ttl * 3 / 10).max(Duration::from_millis(1)),
        }
    }
}
