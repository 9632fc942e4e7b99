//! The worker model: it carries each step of a keeper to the store or the network, and the answer back.
//!
//! This is the loop of a real host, cut into messages so that a worker can die or be suspended between
//! any two of them.

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::error::{Cause, Delivery, Error};
use oauth_core::exchange::{Exchange as _, Input, Step as Move};
use oauth_core::flow::keeper::{Event, Lease, LeaseExtension, SaveOutcome, Step, Upkeep};

use super::simulation::{Scheduled, Simulation, millis, window};
use super::slot::{Flight, LeaseTerm, Message, Order, Outcome, Slot};
use super::{Breach, Flaw, Rule};

impl Simulation {
    pub(super) fn slot(&mut self, worker: usize, grant: usize) -> &mut Slot {
        &mut self.workers[worker].slots[grant]
    }

    pub(super) fn deliver(
        &mut self,
        worker: usize,
        epoch: u32,
        grant: usize,
        message: Message,
    ) -> Result<(), Breach> {
        let (odds, calm) = (self.setup.odds, self.calm);
        let worker_state = &mut self.workers[worker];
        if !worker_state.is_up || worker_state.epoch != epoch {
            return Ok(());
        }
        if worker_state.asleep_until > self.now {
            worker_state.inbox.push((grant, message));
            return Ok(());
        }
        if !calm && self.rng.chance(odds.crash) {
            self.crash(worker);
            return Ok(());
        }
        if !calm && self.rng.chance(odds.pause) {
            self.pause(worker);
            self.workers[worker].inbox.push((grant, message));
            return Ok(());
        }
        if !calm
            && self.workers[worker].slots[grant].keeper.is_busy()
            && self.rng.chance(odds.abandon)
        {
            self.abandon(worker, grant);
        }
        if !calm
            && !self.setup.is_client_grant
            && self.workers[worker].slots[grant].keeper.is_busy()
            && self.rng.chance(odds.login_during_renewal)
        {
            self.log_in_at(worker, grant)?;
        }
        match message {
            Message::Ask(caller) => self.request_token(caller),
            Message::Use(caller) => self.use_token(caller),
            Message::Cancel(caller) => self.cancel(caller),
            Message::Begin(round)
            | Message::Act(round, _)
            | Message::Launch(round)
            | Message::Extend(round, _)
                if round != self.slot(worker, grant).round =>
            {
                Ok(())
            }
            Message::Begin(_) => self.feed(worker, grant, Event::Begin),
            Message::Act(_, step) => self.act(worker, grant, step),
            Message::Launch(_) => self.launch(worker, grant),
            Message::Extend(_, extension) => {
                self.extend(worker, grant, extension);
                Ok(())
            }
            Message::Impatient(caller) => self.lose_patience(caller),
            Message::StoreAnswered { call, event, until } => {
                if self.slot(worker, grant).call != Some(call) {
                    return Ok(());
                }
                self.handle_event(worker, grant, event, until)
            }
            Message::Net { send, input } => self.net(worker, grant, send, input),
            Message::Answer(callers, outcome) => {
                for caller in callers {
                    match &outcome {
                        Ok(tokens) => self.hand_out(caller, tokens)?,
                        Err(error) => self.refuse(caller, error)?,
                    }
                }
                Ok(())
            }
            Message::Login(tokens) => self.bring(worker, grant, tokens),
            Message::RetrySave => {
                if self.slot(worker, grant).keeper.save_again() {
                    self.note_for(worker, grant, |_| "saves again".to_owned());
                    self.begin(worker, grant);
                }
                Ok(())
            }
            Message::Upkeep => {
                self.upkeep(worker, grant);
                Ok(())
            }
        }
    }

    pub(super) fn crash(&mut self, worker: usize) {
        let asleep = self.rng.between(100, 60_000);
        let worker_state = &mut self.workers[worker];
        worker_state.epoch += 1;
        worker_state.is_up = false;
        worker_state.inbox.clear();
        self.report.crashes += 1;
        for caller in &mut self.callers {
            if caller.worker == worker {
                caller.close();
            }
        }
        let client = self.fresh_client(worker, self.workers[worker].epoch);
        self.workers[worker].slots = self.empty_slots(&client);
        self.workers[worker].client = client;
        self.record_in_transcript(|| format!("worker {worker} dies"));
        self.post(asleep, Scheduled::Restart(worker));
    }

    pub(super) fn restart(&mut self, worker: usize) {
        let worker_state = &mut self.workers[worker];
        worker_state.is_up = true;
        worker_state.asleep_until = 0;
        self.record_in_transcript(|| format!("worker {worker} is back, without state"));
        self.begin_with_copies(worker);
    }

    fn pause(&mut self, worker: usize) {
        let spans = [millis(self.setup.policy.lease), window(&self.setup)];
        let span = 3 * self.rng.pick(&spans);
        let span = self.rng.between(100, span);
        self.workers[worker].asleep_until = self.now + span;
        self.report.pauses += 1;
        self.record_in_transcript(|| format!("worker {worker} is suspended for {span} ms"));
        self.post(span, Scheduled::Wake(worker));
    }

    /// Wakes a suspended worker, which gets the messages that arrived meanwhile, in order.
    pub(super) fn wake(&mut self, worker: usize) {
        if !self.is_awake(worker) {
            return;
        }
        self.workers[worker].awake_since = self.now;
        self.record_in_transcript(|| format!("worker {worker} goes on"));
        for (grant, message) in std::mem::take(&mut self.workers[worker].inbox) {
            self.notify(0, worker, grant, message);
        }
    }

    fn handle_event(
        &mut self,
        worker: usize,
        grant: usize,
        event: Event,
        until: Option<u64>,
    ) -> Result<(), Breach> {
        let (now, lease) = (self.now, millis(self.setup.policy.lease));
        let slot = self.slot(worker, grant);
        slot.call = None;
        slot.is_silent = matches!(event, Event::Failed(_));
        match &event {
            Event::Loaded(_) | Event::Saved(SaveOutcome::At(_)) => slot.is_behind = false,
            Event::Saved(SaveOutcome::Conflict) => slot.is_behind = true,
            _ => {}
        }
        match &event {
            // The worker still knows records that the store has lost.
            Event::Loaded(Some(entry)) => {
                (slot.known_version, slot.seen_at) = (slot.known_version.max(entry.version), now);
            }
            Event::Loaded(None) => slot.seen_at = now,
            Event::Saved(SaveOutcome::At(at)) => (slot.known_version, slot.seen_at) = (*at, now),
            Event::Leased(Lease::Won) => {
                slot.lease = until.map(|until| LeaseTerm::new(until.saturating_sub(lease), until));
            }
            Event::Failed(_) => slot.store_failures += 1,
            _ => {}
        }
        self.feed(worker, grant, event)
    }

    /// Passes an event to the keeper.
    fn feed(&mut self, worker: usize, grant: usize, event: Event) -> Result<(), Breach> {
        self.note_for(worker, grant, |ledger| {
            format!("<- {}", ledger.event(&event))
        });
        self.trace_event(worker, &event);
        let at = self.moment(worker);
        let step = self.slot(worker, grant).keeper.resume(&at, event);
        self.note_for(worker, grant, |ledger| format!("-> {}", ledger.step(&step)));
        if let Step::Done(outcome) = step {
            return self.finish(worker, grant, outcome);
        }
        let after = self.rng.between(0, 3);
        let slot = self.slot(worker, grant);
        slot.is_flying = matches!(step, Step::Run(_));
        let round = slot.round;
        self.notify(after, worker, grant, Message::Act(round, step));
        Ok(())
    }

    fn finish(&mut self, worker: usize, grant: usize, outcome: Outcome) -> Result<(), Breach> {
        let slot = self.slot(worker, grant);
        slot.leader = None;
        slot.lease = None;
        let callers = std::mem::take(&mut slot.waiting);
        self.check_landing(worker, grant)?;
        match &outcome {
            Ok(tokens) if !callers.is_empty() => self.check_hand_out(worker, grant, tokens)?,
            Ok(_) => {}
            Err(error) => self.check_refusal(worker, grant, error, !callers.is_empty())?,
        }
        self.notify(0, worker, grant, Message::Answer(callers, outcome));
        let now = self.clock(worker);
        if let Some(pause) = self.slot(worker, grant).keeper.retry_after(now) {
            self.notify(millis(pause), worker, grant, Message::RetrySave);
        }
        self.schedule_upkeep(worker, grant);
        Ok(())
    }

    /// Schedules the upkeep of the grant without a caller.
    fn schedule_upkeep(&mut self, worker: usize, grant: usize) {
        let now = self.clock(worker);
        let slot = self.slot(worker, grant);
        let wait = slot.keeper.upkeep_after(now);
        if let (Some(wait), false) = (wait, slot.is_upkeep_scheduled) {
            slot.is_upkeep_scheduled = true;
            self.notify(millis(wait), worker, grant, Message::Upkeep);
        }
    }

    fn upkeep(&mut self, worker: usize, grant: usize) {
        let now = self.clock(worker);
        let slot = self.slot(worker, grant);
        slot.is_upkeep_scheduled = false;
        match slot.keeper.upkeep(now) {
            Some(Upkeep::Renew) => {
                self.report.kept_alive += 1;
                self.note_for(worker, grant, |_| "keeps an idle grant alive".to_owned());
                self.begin(worker, grant);
            }
            _ => self.schedule_upkeep(worker, grant),
        }
    }

    fn act(&mut self, worker: usize, grant: usize, step: Step) -> Result<(), Breach> {
        let flaw = self.setup.flaw;
        match step {
            Step::Load => self.send_order(worker, grant, Order::Load),
            Step::Lease { holder, ttl } => {
                let slot = self.slot(worker, grant);
                slot.holder.clone_from(&holder);
                if ttl.is_zero() {
                    slot.lease = None;
                    let epoch = self.workers[worker].epoch;
                    self.ledger.give_back(worker, epoch, grant);
                } else if flaw == Some(Flaw::NoLease) {
                    let event = Event::Leased(Lease::Won);
                    return self.feed(worker, grant, event);
                }
                self.send_order(worker, grant, Order::Lease(holder, ttl));
            }
            Step::Save {
                record, version, ..
            } => {
                self.send_order(worker, grant, Order::Save(record, version));
            }
            Step::Wait(pause) => {
                self.trace_wait(worker);
                let call = self.ledger.call();
                self.slot(worker, grant).call = Some(call);
                let event = Event::Elapsed;
                let message = Message::StoreAnswered {
                    call,
                    event,
                    until: None,
                };
                self.notify(millis(pause), worker, grant, message);
            }
            Step::Run(exchange) => {
                let flight = Flight {
                    exchange,
                    send: None,
                };
                let slot = self.slot(worker, grant);
                slot.flight = Some(flight);
                let extension = slot.keeper.lease_extension();
                let extension = extension.filter(|_| flaw != Some(Flaw::NoExtension));
                if let Some(extension) = extension {
                    let message = Message::Extend(slot.round, extension.clone());
                    self.notify(millis(extension.every), worker, grant, message);
                }
                let after = self.rng.between(0, 3);
                let round = self.slot(worker, grant).round;
                self.notify(after, worker, grant, Message::Launch(round));
            }
            Step::Done(_) => {}
        }
        Ok(())
    }

    /// Extends the lease if the request still runs, and schedules the next extension.
    fn extend(&mut self, worker: usize, grant: usize, extension: LeaseExtension) {
        let slot = self.slot(worker, grant);
        if slot.flight.is_none() || slot.holder != extension.holder {
            return;
        }
        let (round, every) = (slot.round, millis(extension.every));
        let order = Order::Extend(extension.holder.clone(), extension.ttl);
        let call = self.ledger.call();
        let (is_done, _) = self.call_store(worker, grant, order, call);
        if let (false, Some(lease)) = (is_done, &mut self.slot(worker, grant).lease) {
            lease.is_missed = true;
        }
        self.notify(every, worker, grant, Message::Extend(round, extension));
    }

    /// The store has extended the lease, or has found another holder.
    pub(super) fn extended(
        &mut self,
        worker: usize,
        epoch: u32,
        grant: usize,
        holder: &str,
        lease: Lease,
        ttl: u64,
    ) {
        let until = self.now + ttl;
        self.note_for(worker, grant, |_| {
            format!("the lease is extended: {lease:?}")
        });
        if self.workers[worker].epoch != epoch || self.slot(worker, grant).holder != holder {
            return;
        }
        let slot = self.slot(worker, grant);
        let send = slot.flight.as_ref().and_then(|flight| flight.send);
        match (&mut slot.lease, lease) {
            (Some(held), Lease::Won) => held.until = until,
            (Some(held), Lease::Held(_)) => held.is_missed = true,
            (None, _) => return,
        }
        if let (Some(send), Lease::Won) = (send, lease) {
            self.ledger.sends[send].lease = Some(until);
        }
        self.report.extensions += 1;
    }

    fn launch(&mut self, worker: usize, grant: usize) -> Result<(), Breach> {
        let at = self.moment(worker);
        let Some(flight) = &mut self.slot(worker, grant).flight else {
            return Ok(());
        };
        match flight.exchange.resume(&at, Input::Begin) {
            Ok(Move::Send(request)) => self.send(worker, grant, request),
            Ok(_) => Err(Breach(
                Rule::Answered,
                "an unexpected first move".to_owned(),
            )),
            Err(error) => self.completed(worker, grant, Err(error)),
        }
    }

    fn net(
        &mut self,
        worker: usize,
        grant: usize,
        send: usize,
        input: Input,
    ) -> Result<(), Breach> {
        let at = self.moment(worker);
        if self.ledger.is_closed(send) {
            return Ok(());
        }
        let slot = self.slot(worker, grant);
        let mut flight = match slot.flight.take() {
            Some(flight) if flight.send == Some(send) => flight,
            other => {
                slot.flight = other;
                return Err(Breach(
                    Rule::Kept,
                    format!("worker {worker} has abandoned a request under way"),
                ));
            }
        };
        self.ledger.close(send, &input);
        let result = match flight.exchange.resume(&at, input) {
            Ok(Move::Done(tokens)) => Ok(tokens),
            // The request is repeated with the nonce that the server requires.
            Ok(Move::Send(request)) => {
                let slot = self.slot(worker, grant);
                slot.flight = Some(flight);
                if let Some(lease) = &mut slot.lease {
                    lease.sends -= 1;
                }
                return self.send(worker, grant, request);
            }
            Ok(_) => return Err(Breach(Rule::Answered, "an unexpected last move".to_owned())),
            Err(error) => Err(error),
        };
        self.completed(worker, grant, result)
    }

    fn completed(
        &mut self,
        worker: usize,
        grant: usize,
        mut result: Result<Tokens, Error>,
    ) -> Result<(), Breach> {
        let flaw = self.setup.flaw;
        let slot = self.slot(worker, grant);
        slot.flight = None;
        if let Ok(tokens) = &result {
            let refresh = tokens.refresh_token.as_ref();
            let refresh = refresh.map(|token| token.secret().expose().clone());
            slot.unstored_tokens = Some((tokens.access_token.expose().clone(), refresh));
            slot.store_failures = 0;
            self.report.renewals += 1;
        }
        match (&result, flaw) {
            (Ok(tokens), Some(Flaw::SaveAfterHandOut)) => {
                let tokens = Arc::new(tokens.clone());
                let callers = std::mem::take(&mut self.slot(worker, grant).waiting);
                if !callers.is_empty() {
                    self.check_hand_out(worker, grant, &tokens)?;
                }
                self.notify(0, worker, grant, Message::Answer(callers, Ok(tokens)));
            }
            (Err(error), Some(Flaw::RetryLostReply))
                if error
                    .cause()
                    .is_some_and(|cause| cause.delivery() == Delivery::Unknown) =>
            {
                result = Err(Error::lost(Cause::unsent("a lie")));
            }
            _ => {}
        }
        self.feed(worker, grant, Event::Completed(result))
    }

    /// The renewal's task is dropped, but the process continues.
    fn abandon(&mut self, worker: usize, grant: usize) {
        let at = self.moment(worker);
        self.note_for(worker, grant, |_| "the renewal is abandoned".to_owned());
        self.report.abandoned += 1;
        let slot = self.slot(worker, grant);
        slot.keeper.abandon(&at);
        slot.call = None;
        slot.leader = None;
        slot.round += 1;
        let flight = slot.flight.take();
        if std::mem::take(&mut slot.is_flying) {
            let epoch = self.workers[worker].epoch;
            self.ledger.forget(worker, epoch);
        }
        if let Some(send) = flight.and_then(|flight| flight.send) {
            let lost = Input::Lost(Cause::unknown("its sender has given up"));
            self.ledger.close(send, &lost);
        }
        let callers = std::mem::take(&mut self.slot(worker, grant).waiting);
        let lost = Error::lost(Cause::unknown("the renewal was abandoned"));
        self.notify(0, worker, grant, Message::Answer(callers, Err(lost)));
    }

    /// [`Flaw::DropOnCancel`](super::Flaw): drops the request with the caller that began it.
    pub(super) fn drop_request_of_caller(&mut self, worker: usize, grant: usize) {
        let at = self.moment(worker);
        let slot = self.slot(worker, grant);
        if slot.flight.take().is_none() {
            return;
        }
        slot.keeper.abandon(&at);
        slot.lease = None;
        slot.leader = None;
        let holder = slot.holder.clone();
        let callers = std::mem::take(&mut slot.waiting);
        let epoch = self.workers[worker].epoch;
        self.ledger.give_back(worker, epoch, grant);
        self.send_order(
            worker,
            grant,
            Order::Lease(holder, std::time::Duration::ZERO),
        );
        self.slot(worker, grant).call = None;
        for caller in callers {
            self.notify(0, worker, grant, Message::Ask(caller));
        }
    }
}
