//! Tokens that the store does not take, and the next renewal.
//!
//! Their refresh token is nowhere but here, so no lease is needed to send it, and waiting for the store
//! would only end a grant that is good. That holds as long as the store has what they grew out of, and
//! has said of each save that it did nothing: one that was never answered may come about after all, and
//! then others may send what it holds.

use std::sync::Arc;

use super::commit::UnsavedTokens;
use super::reconcile::version;
use super::record::InFlightMarker;
use super::sending::Verdict;
use super::{Event, Keeper, Step, Unsaved, Upkeep};
use crate::error::{Error, Misuse};
use crate::moment::Moment;
use crate::token::Tokens;

impl Keeper {
    /// Whether these are ours alone, and somebody needs the next ones.
    pub(super) fn may_renew_unsaved(&self, at: &Moment, unsaved: &UnsavedTokens) -> bool {
        // What is put back has no parent: others may have it as well, and so they have a refresh token
        // that came of itself.
        let is_new = |parent: &Arc<Tokens>| match (&parent.refresh_token, unsaved.refresh_token()) {
            (Some(before), Some(after)) => !before.secret().matches(after.secret().expose()),
            (before, _) => before.is_none(),
        };
        let is_new = unsaved.parent.as_ref().is_some_and(is_new);
        let is_ours = matches!(self.upkeep, Upkeep::ClientCredentials(_))
            || (is_new
                && !unsaved.may_be_stored
                && matches!(self.unsaved, Unsaved::Renewed { .. }));
        let is_needed = self.has_waiters && !self.is_drained && self.good(at.now()).is_none();
        unsaved.is_deferred && is_ours && is_needed
    }

    /// The store took nothing, for the reason that `error` says, and was asked what it has.
    pub(super) fn renew_unsaved(&mut self, at: &Moment, error: Error, event: Event) -> Step {
        let may_fly = match event {
            Event::Loaded(entry) if version(entry.as_ref()) != self.version => {
                return match self.unsaved_tokens() {
                    Some(unsaved) => self.resolve_conflict(at, unsaved, entry),
                    // A person has logged in meanwhile.
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
        if let Some(held) = self.held_back(at) {
            return self.release(Err(held));
        }
        match self.verdict(at.now()) {
            Verdict::Send { marked } if may_fly => {
                self.us.shared.breaker.pass(at);
                // Nobody else could read a mark, but a lost reply leaves its fate unknown to us too.
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
