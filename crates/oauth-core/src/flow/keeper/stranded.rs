//! Tokens that the store does not take, and the next renewal.
//!
//! Their refresh token is nowhere but here, so no lease is needed to send it, and waiting for the store
//! would only end a grant that is good. That holds as long as the store has what they grew out of, and
//! has said of each save that it did nothing: one that was never answered may come about after all, and
//! then others may send what it holds.

use std::sync::Arc;

use super::landing::Landing;
use super::record::Attempt;
use super::sending::Verdict;
use super::sight::version;
use super::{Event, Keeper, Step, Unsaved, Upkeep};
use crate::error::{Error, Misuse};
use crate::moment::Moment;
use crate::token::Tokens;

impl Keeper {
    /// Whether these are ours alone, and somebody needs the next ones.
    pub(super) fn is_stranded(&self, at: &Moment, landing: &Landing) -> bool {
        // What is put back has no parent: others may have it as well, and so they have a refresh token
        // that came of itself.
        let is_new = |parent: &Arc<Tokens>| match (&parent.refresh_token, landing.refresh_token()) {
            (Some(before), Some(after)) => !before.secret().matches(after.secret().expose()),
            (before, _) => before.is_none(),
        };
        let is_new = landing.parent.as_ref().is_some_and(is_new);
        let is_ours = matches!(self.upkeep, Upkeep::ClientCredentials(_))
            || (is_new && !landing.may_be_stored && matches!(self.unsaved, Unsaved::Landed { .. }));
        let is_needed = self.is_wanted && !self.is_drained && self.good(at.now()).is_none();
        landing.is_late && is_ours && is_needed
    }

    /// The store took nothing, for the reason that `error` says, and was asked what it has.
    pub(super) fn stranded(&mut self, at: &Moment, error: Error, event: Event) -> Step {
        let may_fly = match event {
            Event::Loaded(entry) if version(entry.as_ref()) != self.version => {
                return match self.unlanded() {
                    Some(landing) => self.collide(at, landing, entry),
                    // A person has logged in meanwhile.
                    None => self.fail(at, error),
                };
            }
            Event::Loaded(_) => true,
            Event::Failed(_) => self.flies_alone(at.now()),
            _ => return Step::Over(Err(Misuse::OutOfOrder.into())),
        };
        if let Some(ended) = self.end(at) {
            return self.release(Err(ended));
        }
        if let Some(held) = self.held_back(at) {
            return self.release(Err(held));
        }
        match self.verdict(at.now()) {
            Verdict::Fly { marked } if may_fly => {
                self.us.shared.breaker.pass(at);
                // Nobody else could read a mark, but a lost reply leaves its fate unknown to us too.
                self.record.attempt = marked.then(|| Attempt {
                    id: self.ticket.clone(),
                    at: at.now(),
                    window: Some(self.policy.attempt_window().as_secs()),
                });
                self.fly(at.now(), true)
            }
            _ => self.fail(at, error),
        }
    }
}
