//! Whether a token request is sent, and which.

use std::sync::Arc;
use std::time::Duration;

use super::record::{Attempt, Ended, Record};
use super::suspicion::Suspicion;
use super::timely::Timely;
use super::work::Work;
use super::{GrantId, Keeper, Place, Reuse, Step, Upkeep};
use crate::call::Call;
use crate::endpoint::token::Token;
use crate::error::{Cause, Error, Misuse};
use crate::exchange::{Boxed, ExchangeExt as _};
use crate::grant::{ClientCredentials, Refresh};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::token::Tokens;

/// What may be done with the lease in hand.
pub(super) enum Verdict {
    Fly {
        marked: bool,
    },
    /// Others may come back with the answer.
    Hold,
    End(Ended),
    Fail(Error),
}

impl Keeper {
    /// Of an attempt of ours that is over: whether it surely came to nothing.
    pub(super) fn settled(&self) -> Option<bool> {
        let attempt = self.record.attempt.as_ref()?;
        let settled = self.settled.iter().find(|ours| ours.id == attempt.id)?;
        Some(settled.is_unspent)
    }

    pub(super) fn verdict(&self, now: UnixTime) -> Verdict {
        if let Err(error) = self.exchange() {
            return Verdict::Fail(error);
        }
        if matches!(self.upkeep, Upkeep::ClientCredentials(_)) || self.tolerates() {
            return Verdict::Fly { marked: false };
        }
        let Some(attempt) = &self.record.attempt else {
            return Verdict::Fly { marked: true };
        };
        let is_settled = match self.settled() {
            Some(true) => return Verdict::Fly { marked: true },
            Some(false) => true,
            // The clock of whoever sent it may have been ahead by any time, and cannot be asked
            // any more.
            None => {
                let window = attempt.window(self.policy.attempt_window());
                now >= attempt.at.min(self.attempt_seen).after(window)
            }
        };
        match (self.good(now).is_some() || !is_settled, self.policy.reuse) {
            (true, _) => Verdict::Hold,
            (false, Reuse::Revokes) => Verdict::End(Ended::OutcomeUnknown),
            (false, _) => Verdict::Fly { marked: true },
        }
    }

    /// Whether a refresh token may be sent twice. A server that was seen to leave one as it is may
    /// replace the next: that counts only where nobody knows better.
    pub(super) fn tolerates(&self) -> bool {
        match self.policy.reuse {
            Reuse::Tolerated => true,
            Reuse::Unknown => self.record.rotates == Some(false),
            Reuse::Revokes => false,
        }
    }

    /// The fate of the refresh token is not known: the access token does until its end, and after
    /// that we wait for whoever may know more.
    pub(super) fn hold(&mut self, at: &Moment) -> Step {
        if let Some(tokens) = self.good(at.now()) {
            let lost = Cause::unknown("the fate of the last refresh is not known");
            let error = Error::lost(lost);
            self.trouble.hold_softly(at.now(), self.times.end, &error);
            return self.release(Ok(tokens));
        }
        self.give_back(Work::Yielding)
    }

    pub(super) fn exchange(&self) -> Result<Boxed<Tokens>, Error> {
        let us = Arc::clone(&self.us);
        let also = self.id.parameters.clone();
        match &self.upkeep {
            Upkeep::ClientCredentials(scope) => {
                let grant = ClientCredentials {
                    scope: scope.clone(),
                };
                Ok(Call::new(us, Token::new(grant).with(also)).boxed())
            }
            Upkeep::Refresh => {
                let tokens = self.record.tokens.as_ref();
                let token = tokens.and_then(|tokens| tokens.refresh_token.clone());
                let grant = Refresh {
                    token: token.ok_or(Misuse::NoRefreshToken)?,
                    scope: Scope::none(),
                };
                Ok(Call::new(us, Token::new(grant).with(also)).boxed())
            }
        }
    }

    /// Stores that the token is on its way.
    pub(super) fn mark(&mut self, at: &Moment) -> Step {
        let attempt = Attempt {
            id: self.ticket.clone(),
            at: at.now(),
            window: Some(self.policy.attempt_window().as_secs()),
        };
        let marked = Record {
            attempt: Some(attempt.clone()),
            ended: None,
            pause: None,
            suspicion: self.record.suspicion.clone().map(Suspicion::tried),
            ..self.record.clone()
        };
        self.save(&marked, Work::Marking(attempt))
    }

    /// The mark is stored. A host or store that took a whole lease for that may take as long to send,
    /// and by then others count the attempt as over: it begins again, once. So does one whose clock was
    /// set back meanwhile, for nobody knows how long it took.
    pub(super) fn marked(&mut self, at: &Moment, attempt: Attempt) -> Step {
        let (id, since) = (attempt.id.clone(), attempt.at);
        self.record.attempt = Some(attempt);
        if at.now() < since || at.now() > self.latest(since) {
            self.settle(id, true);
            self.setbacks += 1;
            if self.setbacks == 1 {
                return self.give_back(Work::Yielding);
            }
            self.record.attempt = None;
            let outcome = self.failed(at, Timely::late());
            let record = self.record.clone();
            return self.save(&record, Work::Closing(outcome));
        }
        self.fly(since, false)
    }

    /// No request is begun after this, by an attempt that began at `since`: one that is begun by then
    /// has arrived, or never will, when others count the attempt as over.
    fn latest(&self, since: UnixTime) -> UnixTime {
        since.after(self.policy.lease.max(Duration::from_secs(1)))
    }

    /// An exchange that keeps to the times of an attempt that began at `since`. In the driver it may
    /// wait for its turn for half the time it has, so that there is time left for the answer.
    fn timely(&self, exchange: Boxed<Tokens>, since: UnixTime) -> Boxed<Tokens> {
        let latest = self.latest(since);
        let turn = latest.after(self.policy.longest_request / 2);
        Timely::new(exchange, since, latest, turn).boxed()
    }

    /// Whether a renewal goes on though the store is silent: callers need it now, and nothing is lost
    /// by it. So it is with the client's own token, and where the server was seen to leave refresh
    /// tokens as they are; where it replaces them, another worker may have used ours up long ago.
    pub(super) fn flies_alone(&self, now: UnixTime) -> bool {
        let is_kept = self.tolerates() && self.record.rotates == Some(false);
        self.place == Place::Store
            && !self.is_drained
            && (matches!(self.upkeep, Upkeep::ClientCredentials(_)) || is_kept)
            && self.good(now).is_none()
            && self.record.ended.is_none()
            && self.suspect(now).is_none()
            && !self.trouble.holds(now)
            && self.us.shared.breaker.told(now).is_none()
            && self.exchange().is_ok()
    }

    /// What tells this grant from others of the client: those without a store have no other name than
    /// their login.
    pub(super) fn name(&self) -> String {
        let GrantId { subject, scope, .. } = &self.id;
        let login = self.record.login.clone();
        login.unwrap_or_else(|| format!("{subject:?} {scope}"))
    }

    pub(super) fn fly(&mut self, since: UnixTime, is_alone: bool) -> Step {
        match self.exchange() {
            Ok(exchange) => {
                self.work = Some(Work::Flying { is_alone });
                Step::Run(match self.place {
                    Place::Here => exchange,
                    Place::Store => self.timely(exchange, since),
                })
            }
            Err(error) => self.release(Err(error)),
        }
    }
}
