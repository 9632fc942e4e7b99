//! What a caller is told.

use std::sync::Arc;

use super::work::Work;
use super::{Keeper, Place, Turn, Unsaved, Upkeep};
use crate::error::{Cause, Error, Misuse};
use crate::moment::UnixTime;
use crate::token::Tokens;

impl Keeper {
    /// One caller asks for a token, knowing perhaps of one that a resource server refused.
    pub fn ask(&mut self, now: UnixTime, refused: Option<&Tokens>) -> Turn {
        if self.is_nobodys() {
            let why = "a person's grant in a store has a subject: say whose it is";
            return Turn::GiveUp(Error::from(Misuse::Setup).about(why));
        }
        if let Some(refused) = refused {
            self.refuse(refused);
        }
        match self.still_good(now) {
            Some(tokens) if now < self.times.ahead && self.is_stored() => Turn::HandOut(tokens),
            Some(tokens) if now < self.times.stale => {
                match self.is_busy() || self.is_drained || self.trouble.holds(now) {
                    true => Turn::HandOut(tokens),
                    false => self.begin(Turn::HandOutAndRenew(tokens)),
                }
            }
            _ if self.is_busy() => {
                self.is_wanted = true;
                Turn::Follow
            }
            held if self.is_drained => held.map_or(Turn::GiveUp(drained()), Turn::HandOut),
            held => self.renew(now, held),
        }
    }

    /// Stale, or none at all; `held` may do if nothing better is to be had.
    fn renew(&mut self, now: UnixTime, held: Option<Arc<Tokens>>) -> Turn {
        if let (Place::Here, Some(ended)) = (self.place, &self.record.ended) {
            let why = self.trouble.error().cloned();
            return Turn::GiveUp(why.unwrap_or_else(|| ended.error()));
        }
        if let Some(error) = self.in_vain(now) {
            return Turn::GiveUp(error);
        }
        match (self.trouble.holds(now), self.trouble.bars(now), held) {
            (true, _, Some(tokens)) => Turn::HandOut(tokens),
            (_, Some(error), None) => Turn::GiveUp(error),
            _ => self.begin(Turn::Renew),
        }
    }

    /// Why a refused token is not renewed now: each one that took its place was refused as well.
    pub(super) fn in_vain(&self, now: UnixTime) -> Option<Error> {
        let rest = self
            .record
            .refusals
            .hold(now)
            .filter(|_| self.is_refused())?;
        let why = "every new token is refused: the next one is asked for after a pause";
        Some(Error::lost(Cause::unsent(why)).pausing(rest))
    }

    /// What a caller may have who does not want to wait any longer for the renewal under way: the token
    /// at hand, as long as it is good.
    pub fn still_good(&self, now: UnixTime) -> Option<Arc<Tokens>> {
        self.good(now).filter(|_| !self.is_kept_back())
    }

    /// Forgets exactly this token: one that has taken its place meanwhile lives on.
    pub fn refuse(&mut self, refused: &Tokens) {
        let is_ours = self
            .record
            .tokens
            .as_ref()
            .is_some_and(|tokens| tokens.access_token.matches(refused.access_token.expose()));
        // One that is not known here may be the one in the store.
        if is_ours || !self.is_refused() {
            self.refused = Some(refused.access_token.clone());
        }
    }

    fn begin(&mut self, turn: Turn) -> Turn {
        self.work = Some(Work::Begun);
        self.is_wanted = true;
        turn
    }

    /// A person's, and does not say whose.
    fn is_nobodys(&self) -> bool {
        let is_persons = matches!(self.upkeep, Upkeep::Refresh);
        is_persons && self.place == Place::Store && self.id.subject.is_none()
    }

    /// Whether the tokens have to be stored before anyone sees them.
    fn is_kept_back(&self) -> bool {
        match &self.unsaved {
            Unsaved::Nothing => false,
            Unsaved::Landed { is_given_up, .. } => !is_given_up,
            // What is on its way into the store may be what the login will take the place of.
            Unsaved::Login(_) => self.work.as_ref().is_some_and(Work::lands_late),
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        let tokens = self.record.tokens.as_ref();
        self.refused.as_ref().is_some_and(|refused| {
            tokens.is_some_and(|tokens| tokens.access_token.matches(refused.expose()))
        })
    }

    /// The tokens, unless they are over or refused.
    pub(super) fn good(&self, now: UnixTime) -> Option<Arc<Tokens>> {
        let is_good = now < self.times.end && !self.is_refused();
        self.record.tokens.clone().filter(|_| is_good)
    }
}

/// What is told to those who come when the host is about to end.
pub(super) fn drained() -> Error {
    Error::lost(Cause::unsent("this worker is ending and renews no more"))
}
