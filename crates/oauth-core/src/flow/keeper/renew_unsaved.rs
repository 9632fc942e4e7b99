//! Renewal of tokens that the store fails to save.
//!
//! Only this worker has their refresh token, so no lease is needed to send it, and waiting for the store would only end
//! a valid grant. This applies as long as the store has their predecessor, and has rejected each save with an error: a
//! save whose result is unknown may still take effect, and then others may send its refresh token.

use std::sync::Arc;

use super::commit::PendingSave;
use super::reconcile::version;
use super::record::InFlightMarker;
use super::send_decision::SendDecision;
use super::{Event, Keeper, Step, UnsavedState};
use crate::error::{Error, Misuse};
use crate::moment::Moment;
use crate::token::Tokens;

impl Keeper {
    /// Whether only this worker has these tokens and a caller needs new ones.
    pub(super) fn may_renew_from_unsaved(&self, at: &Moment, unsaved: &PendingSave) -> bool {
        // Restored tokens have no parent: others may have them as well. Others may also have a refresh token that was
        // not rotated.
        let is_replaced =
            |parent: &Arc<Tokens>| match (&parent.refresh_token, unsaved.refresh_token()) {
                (Some(before), Some(after)) => !before.secret().matches(after.secret().expose()),
                (before, _) => before.is_none(),
            };
        let is_rotated = unsaved.parent.as_ref().is_some_and(is_replaced);
        let is_known_only_here = self.is_renewed_without_refresh_token()
            || (is_rotated
                && !unsaved.may_be_stored
                && matches!(self.unsaved, UnsavedState::Renewed { .. }));
        let is_needed =
            self.has_waiters && !self.is_drained && self.valid_tokens(at.now()).is_none();
        unsaved.is_deferred && is_known_only_here && is_needed
    }

    /// Continues once the record has been requested again, after the store rejected every save with `error`.
    pub(super) fn renew_unsaved(&mut self, at: &Moment, error: Error, event: Event) -> Step {
        let may_send = match event {
            Event::Loaded(entry) if version(entry.as_ref()) != self.version => {
                return match self.unsaved_tokens() {
                    Some(unsaved) => self.resolve_conflict(at, unsaved, entry),
                    // The user has logged in in the meantime.
                    None => self.fail(at, error),
                };
            }
            Event::Loaded(_) => true,
            Event::Failed(_) => self.may_send_without_store(at.now()),
            _ => return Step::Done(Err(Misuse::OutOfOrder.into())),
        };
        if let Some(ended) = self.ended_error(at) {
            return self.release(Err(ended));
        }
        if let Some(reason) = self.reason_not_to_send(at) {
            return self.release(Err(reason));
        }
        match self.send_decision(at.now()) {
            SendDecision::Send { marked } if may_send => {
                self.note_request(at);
                // No other worker could read the marker, but this worker needs it after a lost reply.
                self.record.in_flight = marked.then(|| InFlightMarker {
                    id: self.renewal_id.clone(),
                    at: at.now(),
                    window: Some(self.policy.attempt_window().as_secs()),
                });
                self.send(at.now(), true)
            }
            _ => self.fail(at, error),
        }
    }
}
