//! One renewal, from its beginning to its end.

use std::sync::Arc;
use std::time::Duration;

use super::landing::Landing;
use super::record::{Attempt, Ended, Record};
use super::sending::Verdict;
use super::sight::Sight;
use super::suspicion::Suspicion;
use super::{Entry, Event, Keeper, Lease, Place, Saved, Step, Unsaved};
use crate::error::{Cause, Error, Kind, Loss, Misuse};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// The pauses between looks at a record that another worker is about to renew.
const LOOK_SHORTEST: u64 = 25;
const LOOK_LONGEST: u64 = 1000;

/// So often a renewal may find that another has saved.
const CONFLICTS: u32 = 8;

pub(super) type Outcome = Result<Arc<Tokens>, Error>;

/// Where a renewal stands: each state but the first names what was asked of the host.
#[derive(Debug)]
pub(super) enum Work {
    Begun,
    /// The record, before there is a lease.
    Looking {
        looks: u32,
    },
    Leasing {
        looks: u32,
    },
    /// For another to finish.
    Waiting {
        looks: u32,
    },
    /// The record, with the lease in hand.
    Checking,
    /// Give back the lease, and wait for whoever may know more.
    Yielding,
    /// That the refresh token is on its way.
    Marking(Attempt),
    Flying {
        /// The store is silent, and was not asked.
        is_alone: bool,
    },
    /// The new tokens.
    Landing(Box<Landing>),
    /// What is stored instead, after a conflict.
    Colliding(Box<Landing>),
    /// Until the store may have come back.
    Circling(Box<Landing>),
    /// Until this is looked at, for the store has said too often that another has saved.
    Contended(Box<Self>),
    /// Whether the store still has what it had, though it takes nothing.
    Stranded(Error),
    /// What came after a person has logged out.
    TakingBack(Outcome),
    /// Whether another has newer tokens than the ones that were refused.
    Doubting(Error),
    /// That a failed attempt came to nothing.
    Closing(Outcome),
    /// That the server has refused the token, and not said that the grant is over.
    Suspecting(Error),
    /// What is stored instead, after a conflict.
    Suspected(Error),
    /// That the grant is over.
    Ending(Error),
    Releasing(Outcome),
    /// What the tokens of a new login take the place of.
    Entering,
    /// The tokens of the login of this name, and the record they are stored as.
    Settling(String, Box<Record>),
}

impl Work {
    /// Whether tokens that could not be stored before are on their way.
    pub(super) const fn lands_late(&self) -> bool {
        match self {
            Self::Landing(landing) | Self::Colliding(landing) | Self::Circling(landing) => {
                landing.is_late
            }
            Self::Contended(next) => next.lands_late(),
            _ => false,
        }
    }
}

impl Keeper {
    /// Takes the next step of the renewal under way. [`Event::Begin`] comes first; each later event
    /// answers the step before it.
    ///
    /// [`Step::Over`] ends it: with `misuse.out_of_order` for an event that answers nothing.
    pub fn resume(&mut self, at: Moment, event: Event) -> Step {
        let mut step = self.next(&at, event);
        while self.place == Place::Here {
            let answer = match step {
                // Nothing else writes here: what is known is what is stored.
                Step::Load => Event::Loaded(None),
                Step::Lease { .. } => Event::Leased(Lease::Won),
                Step::Save { version, .. } if version == self.version => {
                    Event::Saved(Saved::At(version + 1))
                }
                Step::Save { .. } => Event::Saved(Saved::Conflict),
                step => return step,
            };
            step = self.next(&at, answer);
        }
        step
    }

    fn next(&mut self, at: &Moment, event: Event) -> Step {
        let Some(work) = self.work.take() else {
            return Step::Over(Err(Misuse::Over.into()));
        };
        match (work, event) {
            (Work::Begun, Event::Begin) => {
                self.ticket = at.ticket();
                self.setbacks = 0;
                match (self.unlanded(), self.good(at.now())) {
                    (Some(landing), _) => self.land(landing),
                    // A person has logged in between the asking and this.
                    (None, Some(tokens)) if self.is_stored() && at.now() < self.times.ahead => {
                        self.over(at, Ok(tokens))
                    }
                    _ if self.is_stored() => self.load(Work::Looking { looks: 0 }),
                    _ => self.load(Work::Entering),
                }
            }
            (Work::Entering, Event::Loaded(entry)) => self.enter(at, entry),
            (Work::Settling(id, record), Event::Saved(Saved::At(version))) => {
                self.entered(at, &id, *record, version)
            }
            (Work::Settling(..), Event::Saved(Saved::Conflict)) => self.contend(at, Work::Entering),
            (Work::Looking { looks }, Event::Loaded(entry)) => self.look(at, looks, entry),
            (Work::Leasing { .. }, Event::Leased(Lease::Won)) => self.load(Work::Checking),
            (Work::Leasing { looks }, Event::Leased(Lease::Held(rest))) => {
                self.stand_by(at, looks, rest)
            }
            (Work::Waiting { looks }, Event::Elapsed) => self.load(Work::Looking { looks }),
            (Work::Checking, Event::Loaded(entry)) => self.check(at, entry),
            (Work::Yielding, Event::Leased(_) | Event::Failed(_)) => {
                // A store that is late must not give back the next lease in place of this one.
                self.ticket = at.ticket();
                self.wait(at, u32::MAX)
            }
            (Work::Marking(attempt), Event::Saved(Saved::At(version))) => {
                self.version = version;
                self.record.ended = None;
                self.record.pause = None;
                self.record.suspicion = self.record.suspicion.take().map(Suspicion::tried);
                self.marked(at, attempt)
            }
            // Somebody acted after his lease was over, or a person logged in.
            (Work::Marking(_), Event::Saved(Saved::Conflict)) => self.contend(at, Work::Checking),
            // The mark may be there: it is known to mean nothing.
            (Work::Marking(attempt), Event::Failed(error)) => {
                self.settle(attempt.id, true);
                self.fail(at, error)
            }
            (Work::Flying { is_alone }, Event::Flown(Ok(tokens))) => {
                self.arrive(at, tokens, is_alone)
            }
            (Work::Flying { .. }, Event::Flown(Err(error))) => self.miss(at, error),
            (Work::Landing(landing), Event::Saved(Saved::At(version))) => {
                self.landed(at, landing, version)
            }
            (Work::Landing(landing), Event::Saved(Saved::Conflict)) => {
                self.contend(at, Work::Colliding(landing))
            }
            (Work::Contended(next), Event::Elapsed) => self.load(*next),
            (Work::Colliding(landing), Event::Loaded(entry)) => self.collide(at, landing, entry),
            (Work::Circling(landing), Event::Elapsed) => self.land(landing),
            (Work::Landing(landing) | Work::Colliding(landing), Event::Failed(error)) => {
                self.circle(at, landing, &error)
            }
            (Work::Stranded(error), event) => self.stranded(at, error, event),
            (Work::TakingBack(outcome), Event::Flown(_)) => self.release(outcome),
            (Work::Doubting(error), Event::Loaded(entry)) => self.doubt(at, error, entry),
            (Work::Closing(outcome), Event::Saved(saved)) => {
                if let Saved::At(version) = saved {
                    self.version = version;
                }
                self.release(outcome)
            }
            (Work::Closing(outcome), Event::Failed(_)) => self.release(outcome),
            (Work::Suspecting(error), Event::Saved(Saved::At(version))) => {
                self.version = version;
                self.told(at, error)
            }
            (Work::Suspecting(error), Event::Saved(Saved::Conflict)) => {
                self.contend(at, Work::Suspected(error))
            }
            (Work::Suspected(error), Event::Loaded(entry)) => self.suspected_anew(at, error, entry),
            (Work::Ending(error), Event::Saved(Saved::At(version))) => {
                self.version = version;
                self.release(Err(error))
            }
            // Somebody knew better.
            (Work::Ending(error), Event::Saved(Saved::Conflict)) => {
                self.contend(at, Work::Doubting(error))
            }
            (Work::Ending(error), Event::Failed(_)) => self.release(Err(error)),
            // A lease that could not be given back ends by itself.
            (Work::Releasing(outcome), Event::Leased(_) | Event::Failed(_)) => {
                self.over(at, outcome)
            }
            // A store that answers, and refuses, is a fault that somebody must mend.
            (
                Work::Looking { .. } | Work::Leasing { .. } | Work::Checking,
                Event::Failed(error),
            ) if matches!(error.kind(), Kind::Lost(_)) && self.flies_alone(at.now()) => {
                self.us.shared.breaker.pass(at);
                self.fly(at.now(), true)
            }
            // A lease may have been given: nobody should wait for its end.
            (Work::Leasing { .. } | Work::Checking, Event::Failed(error)) => self.fail(at, error),
            // As below.
            (Work::Suspecting(_) | Work::Suspected(_), Event::Failed(error)) => {
                self.fail(at, error)
            }
            // Another may have newer tokens: nobody is told to log in before that is known.
            (Work::Doubting(_), Event::Failed(error)) => {
                self.settle(self.ticket.clone(), false);
                self.fail(at, error)
            }
            (Work::Settling(id, _), Event::Failed(error)) => {
                self.tried(&id);
                let outcome = self.failed(at, error);
                self.over(at, outcome)
            }
            (Work::Looking { .. } | Work::Entering, Event::Failed(error)) => {
                let outcome = self.failed(at, error);
                self.over(at, outcome)
            }
            (work, _) => {
                self.abandoned(at, work);
                Step::Over(Err(Misuse::OutOfOrder.into()))
            }
        }
    }

    pub(super) fn load(&mut self, work: Work) -> Step {
        self.work = Some(work);
        Step::Load
    }

    pub(super) fn save(&mut self, record: &Record, work: Work) -> Step {
        self.save_over(self.version, record, work)
    }

    pub(super) fn save_over(&mut self, version: u64, record: &Record, work: Work) -> Step {
        self.work = Some(work);
        Step::Save {
            record: record.to_json(&self.us, &self.id),
            version,
            due: record.due(),
        }
    }

    /// Another has saved meanwhile, which is looked at next: after a pause, if it is not the first
    /// time. A store that says nothing else is not asked for ever.
    fn contend(&mut self, at: &Moment, next: Work) -> Step {
        self.setbacks += 1;
        match self.setbacks {
            1 => self.load(next),
            2..=CONFLICTS => {
                self.work = Some(Work::Contended(Box::new(next)));
                let pause = LOOK_SHORTEST << (self.setbacks - 2);
                Step::Wait(Duration::from_millis(pause / 2 + at.dice() % pause))
            }
            _ => self.contended(at, next),
        }
    }

    fn contended(&mut self, at: &Moment, next: Work) -> Step {
        let cause = Cause::unsent("every save met another").because(Loss::Contended);
        let error = Error::lost(cause).at_endpoint("store");
        match next {
            Work::Colliding(landing) => self.hand_out_unsaved(at, &landing, &error),
            Work::Entering => {
                let outcome = self.failed(at, error);
                self.over(at, outcome)
            }
            Work::Doubting(_) => {
                self.settle(self.ticket.clone(), false);
                self.fail(at, error)
            }
            _ => self.fail(at, error),
        }
    }

    /// The tokens, if they are not the ones that brought us here.
    fn changed(&self, before: Option<&Arc<Tokens>>, now: UnixTime) -> Option<Arc<Tokens>> {
        let tokens = self.good(now).filter(|_| now < self.times.stale)?;
        let is_same =
            before.is_some_and(|before| before.access_token.matches(tokens.access_token.expose()));
        (!is_same).then_some(tokens)
    }

    /// The tokens that could not be stored before.
    pub(super) fn unlanded(&self) -> Option<Box<Landing>> {
        let Unsaved::Landed {
            parent,
            is_given_up,
            may_be_stored,
        } = &self.unsaved
        else {
            return None;
        };
        let record = self.record.clone();
        let version = self.version;
        let mut landing = Landing::late(parent.clone(), record, version, *is_given_up);
        landing.may_be_stored = *may_be_stored;
        Some(Box::new(landing))
    }

    fn look(&mut self, at: &Moment, looks: u32, entry: Option<Entry>) -> Step {
        // What landed here and could not be stored is newer than what is stored.
        if let Some(landing) = self.unlanded() {
            return self.collide(at, landing, entry);
        }
        let before = self.record.tokens.clone();
        match self.read(at, entry) {
            Ok(Sight::Lost(version)) => return self.put_back(version),
            Ok(Sight::Known | Sight::Taken) => {}
            Err(error) => return self.over(at, Err(error)),
        }
        if let Some(error) = self.end(at) {
            return self.over(at, Err(error));
        }
        if let Some(tokens) = self.changed(before.as_ref(), at.now()) {
            self.trouble.clear();
            return self.over(at, Ok(tokens));
        }
        if let Some(error) = self.held_back(at) {
            let outcome = self.good(at.now()).ok_or(error);
            return self.over(at, outcome);
        }
        if let Err(error) = self.exchange() {
            self.rest(at, &error);
            let outcome = self.good(at.now()).ok_or(error);
            return self.over(at, outcome);
        }
        self.work = Some(Work::Leasing { looks });
        Step::Lease {
            holder: self.ticket.clone(),
            ttl: self.policy.lease,
        }
    }

    /// Another worker renews: what we have does for now, or we look again soon.
    fn stand_by(&mut self, at: &Moment, looks: u32, rest: Duration) -> Step {
        if let Some(tokens) = self.good(at.now()).filter(|_| at.now() < self.times.stale) {
            let busy = Error::lost(Cause::unsent("another worker renews the token"));
            let soon = at.now().after(Duration::from_secs(1));
            self.trouble.hold_softly(at.now(), soon, &busy);
            return self.over(at, Ok(tokens));
        }
        match self.wait(at, looks) {
            Step::Wait(pause) => Step::Wait(pause.min(rest.max(Duration::from_millis(1)))),
            step => step,
        }
    }

    fn wait(&mut self, at: &Moment, looks: u32) -> Step {
        self.work = Some(Work::Waiting {
            looks: looks.saturating_add(1),
        });
        let pause = (LOOK_SHORTEST << looks.min(6)).min(LOOK_LONGEST);
        Step::Wait(Duration::from_millis(pause / 2 + at.dice() % pause))
    }

    fn check(&mut self, at: &Moment, entry: Option<Entry>) -> Step {
        let before = self.record.tokens.clone();
        match self.read(at, entry) {
            Ok(Sight::Lost(version)) => return self.put_back(version),
            Ok(Sight::Known | Sight::Taken) => {}
            Err(error) => return self.release(Err(error)),
        }
        if let Some(error) = self.end(at) {
            return self.release(Err(error));
        }
        if let Some(tokens) = self.changed(before.as_ref(), at.now()) {
            self.trouble.clear();
            return self.release(Ok(tokens));
        }
        if let Some(error) = self.held_back(at) {
            let outcome = self.good(at.now()).ok_or(error);
            return self.release(outcome);
        }
        // Our clock was set back.
        self.attempt_seen = self.attempt_seen.min(at.now());
        match self.verdict(at.now()) {
            Verdict::Fly { marked: false } => {
                self.us.shared.breaker.pass(at);
                self.fly(at.now(), false)
            }
            Verdict::Fly { marked: true } => {
                self.us.shared.breaker.pass(at);
                self.mark(at)
            }
            Verdict::Hold => self.hold(at),
            Verdict::End(ended) => {
                let error = ended.error();
                self.close(ended, error)
            }
            Verdict::Fail(error) => {
                self.rest(at, &error);
                let outcome = self.good(at.now()).ok_or(error);
                self.release(outcome)
            }
        }
    }

    /// The grant is over, as the record says; a person may log in elsewhere.
    pub(super) fn end(&mut self, at: &Moment) -> Option<Error> {
        let ended = self.record.ended.as_ref()?;
        if *ended == Ended::OutcomeUnknown && self.settled() == Some(true) {
            return None;
        }
        let error = ended.error();
        self.rest(at, &error);
        Some(error)
    }

    /// Nothing can be done here; the store is asked again soon, for others may do something.
    pub(super) fn rest(&mut self, at: &Moment, error: &Error) {
        let soon = at.now().after(Duration::from_secs(1));
        self.trouble.hold(at.now(), soon, error);
    }

    /// What is left after a failure: the token, as long as it lives.
    pub(super) fn failed(&mut self, at: &Moment, error: Error) -> Outcome {
        let error = self.trouble.note(at, error);
        self.good(at.now()).ok_or(error)
    }

    pub(super) fn fail(&mut self, at: &Moment, error: Error) -> Step {
        let outcome = self.failed(at, error);
        self.release(outcome)
    }

    pub(super) fn release(&mut self, outcome: Outcome) -> Step {
        self.give_back(Work::Releasing(outcome))
    }

    pub(super) fn give_back(&mut self, work: Work) -> Step {
        self.work = Some(work);
        Step::Lease {
            holder: self.ticket.clone(),
            ttl: Duration::ZERO,
        }
    }

    pub(super) fn over(&mut self, at: &Moment, outcome: Outcome) -> Step {
        // Somebody tried the token while this was under way: those who wait would get it again.
        if let (Ok(tokens), Some(refused)) = (&outcome, &self.refused)
            && tokens.access_token.matches(refused.expose())
        {
            self.ticket = at.ticket();
            return self.load(Work::Looking { looks: 0 });
        }
        // A person has logged in meanwhile.
        self.log_in(at);
        self.is_wanted = false;
        Step::Over(outcome)
    }

    /// Nobody goes on with this.
    pub(super) fn abandoned(&mut self, at: &Moment, work: Work) {
        match work {
            // The mark may be there: it is known to mean nothing.
            Work::Marking(attempt) => self.settle(attempt.id, true),
            Work::Flying { .. } => self.settle(self.ticket.clone(), false),
            Work::Landing(mut landing)
            | Work::Colliding(mut landing)
            | Work::Circling(mut landing) => {
                landing.may_be_stored = true;
                // Only a late one is what has been given up before.
                let is_given_up = landing.is_late
                    && matches!(
                        self.unsaved,
                        Unsaved::Landed {
                            is_given_up: true,
                            ..
                        }
                    );
                self.keep_back(at, &landing, is_given_up);
            }
            Work::Settling(id, _) => self.tried(&id),
            Work::Contended(next) => return self.abandoned(at, *next),
            _ => {}
        }
        self.log_in(at);
        self.is_wanted = false;
    }
}
