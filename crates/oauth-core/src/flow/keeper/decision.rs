//! The decision for one caller: use a token, renew it, wait for another caller, or fail. Which worker of several
//! renews is decided by the lease (`lease.rs`).

use std::sync::Arc;

use super::state::State;
use super::{Decision, Entry, Keeper, Storage, UnsavedState};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Cause, Error, Misuse};
use crate::moment::UnixTime;
use crate::token::Tokens;

impl Keeper {
    /// Decides what a caller does next. `refused` is a token that a resource server has refused, if any.
    pub fn ask(&mut self, now: UnixTime, refused: Option<&Tokens>) -> Decision {
        if self.lacks_subject() {
            return Decision::Fail(Misuse::SubjectMissing.into());
        }
        if let Some(refused) = refused {
            self.refuse(refused);
        }
        match self.usable_tokens(now) {
            Some(tokens) if !self.is_due(now) && self.is_stored() => Decision::UseToken(tokens),
            Some(tokens) if !self.is_stale(now) => {
                if self.is_busy() || self.is_drained || self.backoff.is_active(now) {
                    Decision::UseToken(tokens)
                } else {
                    self.begin(Decision::UseAndRenew(tokens))
                }
            }
            _ if self.is_busy() => {
                self.has_waiters = true;
                Decision::Wait
            }
            held if self.is_drained => held.map_or(
                Decision::Fail(Misuse::SourceClosed.into()),
                Decision::UseToken,
            ),
            held => self.renew(now, held),
        }
    }

    /// The token is stale, or there is none: renews it, or falls back to `held`.
    fn renew(&mut self, now: UnixTime, held: Option<Arc<Tokens>>) -> Decision {
        if let (Storage::Local, Some(ended)) = (self.storage, &self.record.ended) {
            let reason = self.backoff.error().cloned();
            return Decision::Fail(reason.unwrap_or_else(|| ended.error()));
        }
        if let Some(error) = self.repeated_refusals(now) {
            return Decision::Fail(error);
        }
        match (
            self.backoff.is_active(now),
            self.backoff.error_without_token(now),
            held,
        ) {
            (true, _, Some(tokens)) => Decision::UseToken(tokens),
            (_, Some(error), None) => Decision::Fail(error),
            _ => self.begin(Decision::Renew),
        }
    }

    /// The error that prevents the renewal of a refused token, if each of its successors was refused as well, or
    /// reported as such by a user who asked for another token.
    pub(super) fn repeated_refusals(&self, now: UnixTime) -> Option<Error> {
        let rest = self
            .record
            .refusals
            .wait_before_renewal(now)
            .filter(|_| self.is_refused())?;
        let reason = "tokens are replaced too often: the next one is asked for after a pause";
        Some(Error::lost(Cause::unsent_as(reason)).pausing(rest))
    }

    /// The token for a caller that stops waiting for the renewal under way: the current one, as long as it is valid.
    pub fn usable_tokens(&self, now: UnixTime) -> Option<Arc<Tokens>> {
        self.valid_tokens(now).filter(|_| !self.is_withheld())
    }

    /// Marks this token, and no other, as refused: its successor stays usable.
    pub fn refuse(&mut self, refused: &Tokens) {
        let is_known_token = self
            .record
            .tokens
            .as_ref()
            .is_some_and(|tokens| tokens.access_token.matches(refused.access_token.expose()));
        // A token that is not known here may be the one in the store.
        if is_known_token || !self.is_refused() {
            self.refused = Some(refused.access_token.clone());
        }
    }

    fn begin(&mut self, decision: Decision) -> Decision {
        self.state = Some(State::Begun);
        self.has_waiters = true;
        decision
    }

    /// Whether this is a user's grant in a store, without a subject to distinguish it from others. A sign-in at an
    /// identity provider is a user's, even if the grant's owner is the client.
    fn lacks_subject(&self) -> bool {
        let is_user_grant = !self.is_client_grant() || self.config.has_sign_in_elsewhere();
        is_user_grant && self.storage == Storage::Shared && self.id.subject().is_none()
    }

    /// Whether the tokens have to be stored before they are returned.
    fn is_withheld(&self) -> bool {
        match &self.unsaved {
            UnsavedState::Nothing => false,
            UnsavedState::Renewed { is_given_up, .. } => !is_given_up,
            // The tokens being saved may be the ones that the login will replace.
            UnsavedState::Login(_) => self.state.as_ref().is_some_and(State::saves_deferred),
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        let tokens = self.record.tokens.as_ref();
        self.refused.as_ref().is_some_and(|refused| {
            tokens.is_some_and(|tokens| tokens.access_token.matches(refused.expose()))
        })
    }

    /// Whether an API accepts the tokens on connections with this worker's certificate (RFC 8705 section 3).
    pub(super) fn fits_certificate(&self) -> bool {
        let tokens = self.record.tokens.as_ref();
        tokens.is_none_or(|tokens| tokens.certificate.is_usable_with(&self.config.certificate))
    }

    /// Whether this entry holds tokens for another worker's certificate while this worker's own tokens are valid. This
    /// worker then keeps its own, or two workers would keep replacing each other's tokens.
    pub(super) fn is_for_another_certificate(
        &self,
        now: UnixTime,
        entry: &Entry,
    ) -> Result<bool, Error> {
        if IS_BROWSER_BUILD
            || !self.config.certificate.is_known()
            || self.valid_tokens(now).is_none()
        {
            return Ok(false);
        }
        let stored = self.parse_entry(Some(entry.clone()))?;
        let tokens = stored.tokens.filter(|_| stored.ended.is_none());
        let own_certificate = &self.config.certificate;
        Ok(tokens.is_some_and(|tokens| !tokens.certificate.is_usable_with(own_certificate)))
    }

    /// Whether the tokens are refreshed, ahead of time or because they are stale.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        now >= self.deadlines.refresh_at || self.is_of_unknown_age(now)
    }

    /// Whether callers wait for the next tokens.
    pub(super) fn is_stale(&self, now: UnixTime) -> bool {
        now >= self.deadlines.stale_at || self.is_of_unknown_age(now)
    }

    /// Whether the tokens were received in the future, so that they may have expired, and can be renewed. One renewal
    /// gives them the right time. If the clock of another worker is ahead by more than their lifetime, it regards those
    /// as expired in turn: renewals for this reason are counted and limited like those of refused tokens.
    pub(super) fn is_of_unknown_age(&self, now: UnixTime) -> bool {
        !IS_BROWSER_BUILD
            && now < self.deadlines.age_known_from
            && self.record.refusals.wait_before_renewal(now).is_none()
            && self.exchange().is_ok()
    }

    /// The tokens, unless they are expired, refused, or bound to the certificate of another worker.
    pub(super) fn valid_tokens(&self, now: UnixTime) -> Option<Arc<Tokens>> {
        let is_valid = now < self.deadlines.expires_at && !self.is_refused();
        let tokens = self.record.tokens.clone();
        tokens.filter(|_| is_valid && self.fits_certificate())
    }
}
