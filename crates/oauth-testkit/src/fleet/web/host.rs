//! The hosts, which run the steps of visits and keepers.

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::error::{Advice, Error};
use oauth_core::exchange::Input;
use oauth_core::flow::keeper::{self, Decision, Lease};
use oauth_core::moment::Moment;
use oauth_web::{Admission, Event as VisitEvent, Reply, Session, Step};

use super::rules::session_key;
use super::state::{Event, Simulation, Slot};
use super::store_requests::Order;
use super::tab::{Sender, ShownPage, new_session_cookie};
use super::task::{Answer, Renewing, ReplyArrives, Task, Visiting, Work};
use super::{Breach, WebFlaw, WebRule};

impl Simulation {
    /// Delivers an answer to a task.
    pub(super) fn proceed(&mut self, id: u64, outcome: Answer) -> Result<(), Breach> {
        let Some(task) = self.tasks.remove(&id) else {
            return Ok(());
        };
        let worker = task.worker;
        match task.work {
            Work::Visit(visiting) => self.visit(id, worker, visiting, outcome),
            Work::Renewal(renewing) => self.renew(id, worker, renewing, outcome),
        }
    }

    fn insert_task(&mut self, id: u64, worker: usize, work: Work) {
        self.tasks.insert(id, Task { worker, work });
    }

    fn visit(
        &mut self,
        id: u64,
        worker: usize,
        mut visiting: Box<Visiting>,
        outcome: Answer,
    ) -> Result<(), Breach> {
        let event = match outcome {
            Answer::Begin => VisitEvent::Begin,
            Answer::StoreReply(stored) => stored.of_visit(),
            Answer::Elapsed => VisitEvent::Elapsed,
            Answer::Admitted => VisitEvent::Admitted(Admission::default()),
            Answer::Net(input) => {
                let Some(mut exchange) = visiting.exchange.take() else {
                    return broken_simulation("an answer to the wrong task");
                };
                // The visit stays registered, so that a lost reply is attributed to it.
                self.insert_task(id, worker, Work::Visit(visiting));
                let landed = self.drive_exchange(id, &mut exchange, input);
                let Some(task) = self.tasks.remove(&id) else {
                    return Ok(());
                };
                let Work::Visit(mut visiting) = task.work else {
                    return broken_simulation("a visit has become a renewal");
                };
                return match landed {
                    Some(landed) => {
                        self.resume(id, worker, visiting, VisitEvent::Completed(landed))
                    }
                    None => {
                        visiting.exchange = Some(exchange);
                        self.insert_task(id, worker, Work::Visit(visiting));
                        Ok(())
                    }
                };
            }
        };
        self.resume(id, worker, visiting, event)
    }

    fn resume(
        &mut self,
        id: u64,
        worker: usize,
        mut visiting: Box<Visiting>,
        event: VisitEvent,
    ) -> Result<(), Breach> {
        let at = self.moment_for(&visiting);
        let step = visiting.visit.resume(&at, event);
        for note in visiting.visit.notes() {
            self.record_in_transcript(|| format!("{id}: {}: {}", note.code, note.detail));
        }
        let step = step.map_err(|error| Breach(WebRule::Answered, error.to_string()))?;
        let order = match step {
            Step::Respond(reply) => return self.respond(worker, *visiting, &reply),
            Step::Pass(session) => return self.pass(id, worker, visiting, session),
            Step::Forward(_) => {
                return broken_simulation("a call is passed on though there is no API");
            }
            Step::Connect(_) => return broken_simulation("a client is made though there is one"),
            Step::Provider(_) => {
                return broken_simulation("a provider is looked up though there is one");
            }
            Step::Run(exchange) => {
                visiting.exchange = Some(exchange);
                if self.flaw == Some(WebFlaw::GrantKept) && visiting.tab.path() == "/auth/logout" {
                    let lost = oauth_core::error::Cause::unsent("this host revokes nothing");
                    return self.resume(
                        id,
                        worker,
                        visiting,
                        VisitEvent::Completed(Err(Error::lost(lost))),
                    );
                }
                self.insert_task(id, worker, Work::Visit(visiting));
                self.schedule_answer(id, 1, Answer::Net(Input::Begin));
                return Ok(());
            }
            Step::Wait(pause) => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.insert_task(id, worker, Work::Visit(visiting));
                self.schedule_answer(id, pause, Answer::Elapsed);
                return Ok(());
            }
            Step::Admit(_) => {
                self.insert_task(id, worker, Work::Visit(visiting));
                self.schedule_answer(id, 1, Answer::Admitted);
                return Ok(());
            }
            Step::Load { key } => Order::Load(key),
            Step::Lease { key, holder, ttl } => Order::Lease(key, holder, ttl),
            Step::Save {
                key,
                record,
                version,
                ..
            } => Order::Save(key, record, version),
            Step::Remove { key } => {
                if self.forgets(&visiting, &key) {
                    return self.resume(id, worker, visiting, VisitEvent::Removed);
                }
                if self.removes_session_last(&visiting, &key) {
                    visiting.put_off.push(key);
                    return self.resume(id, worker, visiting, VisitEvent::Removed);
                }
                Order::Remove(key)
            }
        };
        self.insert_task(id, worker, Work::Visit(visiting));
        self.send_order(id, order);
        Ok(())
    }

    fn moment_for(&mut self, visiting: &Visiting) -> Moment {
        match (self.flaw, visiting.tab.from, visiting.login) {
            (Some(WebFlaw::SameHandle), Sender::Browser(browser), Some(_)) => {
                let seed = [u8::try_from(browser).unwrap_or_default(); 32];
                Moment::fixed(self.unix_time(), seed)
            }
            _ => self.moment(),
        }
    }

    /// The flaw of a host that ends sessions, and leaves their grants.
    fn forgets(&self, visiting: &Visiting, key: &str) -> bool {
        self.flaw == Some(WebFlaw::GrantKept)
            && visiting.sent.as_deref() != Some(key)
            && visiting.tab.path() == "/auth/logout"
    }

    /// The flaw of a host that removes a session when all else is done.
    fn removes_session_last(&self, visiting: &Visiting, key: &str) -> bool {
        self.flaw == Some(WebFlaw::SessionLast) && visiting.sent.as_deref() == Some(key)
    }

    /// The site answers by itself.
    fn respond(
        &mut self,
        worker: usize,
        mut visiting: Visiting,
        reply: &Reply,
    ) -> Result<(), Breach> {
        for key in std::mem::take(&mut visiting.put_off) {
            self.execute_order(0, Order::Remove(key), ReplyArrives::No);
        }
        if let (Some(value), Some(key)) = (new_session_cookie(reply), &visiting.begun) {
            self.ledger.note_cookie(value, key);
        }
        let status = reply.status.as_u16();
        let path = visiting.tab.path().to_owned();
        self.record_in_transcript(|| format!("worker {worker} answers {path} with {status}"));
        self.record_visit(&visiting, status);
        self.handle_reply(&visiting.tab, reply)
    }

    /// The request was passed to the application: its page requests a token.
    fn pass(
        &mut self,
        id: u64,
        worker: usize,
        mut visiting: Box<Visiting>,
        session: Option<Arc<Session>>,
    ) -> Result<(), Breach> {
        let Some(session) = session else {
            if visiting.tab.path() != "/" {
                return broken_simulation(
                    "nobody is passed on to a page for those who are signed in",
                );
            }
            if let Sender::Browser(browser) = visiting.tab.from {
                self.browsers[browser].last_page = Some(ShownPage::Home);
            }
            return Ok(());
        };
        self.check_pass(&visiting, &session)?;
        self.report.passed += 1;
        visiting.session = Some((*session).clone());
        let key = session_key(&session).unwrap_or_default();
        let now = self.unix_time();
        if !self.workers[worker].grants.contains_key(&key) {
            let keeper = self.workers[worker].grant(&key);
            let slot = Slot {
                keeper,
                waiting: Vec::new(),
            };
            self.workers[worker].grants.insert(key.clone(), slot);
        }
        let Some(slot) = self.workers[worker].grants.get_mut(&key) else {
            return Ok(());
        };
        match slot.keeper.ask(now, None) {
            Decision::UseToken(tokens) => self.show(*visiting, &tokens),
            Decision::UseAndRenew(tokens) => {
                self.begin_renewal(worker, key);
                self.show(*visiting, &tokens)
            }
            Decision::Renew => {
                slot.waiting.push(id);
                self.insert_task(id, worker, Work::Visit(visiting));
                self.begin_renewal(worker, key);
                Ok(())
            }
            Decision::Wait => {
                slot.waiting.push(id);
                self.insert_task(id, worker, Work::Visit(visiting));
                Ok(())
            }
            Decision::Fail(error) => self.without_token(id, worker, visiting, &error),
        }
    }

    /// The page is shown.
    fn show(&mut self, visiting: Visiting, tokens: &Tokens) -> Result<(), Breach> {
        let Some(session) = &visiting.session else {
            return broken_simulation("a token for nobody");
        };
        self.check_token(session, tokens)?;
        self.report.tokens += 1;
        if let Sender::Browser(browser) = visiting.tab.from {
            let person = session.identity.subject.strip_prefix("person-");
            let person = person.and_then(|person| person.parse().ok());
            self.browsers[browser].last_page = person.map(ShownPage::Page);
        }
        Ok(())
    }

    /// There is no token: the session has ended if its grant has.
    fn without_token(
        &mut self,
        id: u64,
        worker: usize,
        mut visiting: Box<Visiting>,
        error: &Error,
    ) -> Result<(), Breach> {
        let request = visiting.tab.request.clone();
        let (Advice::Reauthorize, Some(request)) = (error.advice(), request) else {
            self.record_in_transcript(|| format!("{id} gets no token: {error}"));
            if let Sender::Browser(browser) = visiting.tab.from {
                self.browsers[browser].last_page = Some(ShownPage::Status(502));
            }
            return Ok(());
        };
        self.record_in_transcript(|| format!("{id}: the tokens are over: {error}"));
        visiting.visit = self.workers[worker].site.tokens_over(request);
        visiting.is_over = true;
        self.insert_task(id, worker, Work::Visit(visiting));
        self.schedule_answer(id, 1, Answer::Begin);
        Ok(())
    }

    fn begin_renewal(&mut self, worker: usize, key: String) {
        let Some(slot) = self.workers[worker].grants.get(&key) else {
            return;
        };
        let renewing = Renewing {
            record: slot.keeper.key(),
            key,
            exchange: None,
            holder: String::new(),
            leased_until: 0,
            is_sent: false,
            extension: None,
            has_failed: false,
        };
        self.start_task(worker, Work::Renewal(Box::new(renewing)));
    }

    fn renew(
        &mut self,
        id: u64,
        worker: usize,
        mut renewing: Box<Renewing>,
        outcome: Answer,
    ) -> Result<(), Breach> {
        let event = match outcome {
            Answer::Begin => keeper::Event::Begin,
            Answer::Elapsed => keeper::Event::Elapsed,
            Answer::Admitted => return broken_simulation("a renewal admits nobody"),
            Answer::StoreReply(stored) => stored.of_keeper(),
            Answer::Net(input) => {
                let Some(mut exchange) = renewing.exchange.take() else {
                    return broken_simulation("an answer to the wrong task");
                };
                if matches!(input, Input::Begin) && !renewing.is_sent {
                    renewing.is_sent = true;
                    self.ledger.begin_flight(&renewing, id, self.now)?;
                }
                let record = renewing.record.clone();
                self.insert_task(id, worker, Work::Renewal(renewing));
                let landed = self.drive_exchange(id, &mut exchange, input);
                let Some(task) = self.tasks.remove(&id) else {
                    return Ok(());
                };
                let Work::Renewal(back) = task.work else {
                    return broken_simulation("a renewal has become a visit");
                };
                renewing = back;
                match landed {
                    None => {
                        renewing.exchange = Some(exchange);
                        self.insert_task(id, worker, Work::Renewal(renewing));
                        return Ok(());
                    }
                    Some(landed) => {
                        if let Some(flights) = self.ledger.flights.get_mut(&record) {
                            flights.remove(&id);
                        }
                        renewing.is_sent = false;
                        self.report.renewals += u64::from(landed.is_ok());
                        keeper::Event::Completed(landed)
                    }
                }
            }
        };
        self.step(id, worker, renewing, event)
    }

    fn step(
        &mut self,
        id: u64,
        worker: usize,
        mut renewing: Box<Renewing>,
        event: keeper::Event,
    ) -> Result<(), Breach> {
        let at = self.moment();
        let Some(slot) = self.workers[worker].grants.get_mut(&renewing.key) else {
            return Ok(());
        };
        let record = renewing.record.clone();
        let step = slot.keeper.resume(&at, event);
        let extension = slot.keeper.lease_extension();
        self.record_in_transcript(|| format!("{id}: {step:?}"));
        let order = match step {
            keeper::Step::Done(outcome) => {
                return self.note_renewal(worker, &renewing.key, outcome);
            }
            keeper::Step::Run(exchange) => {
                renewing.exchange = Some(exchange);
                if let Some(extension) = &extension {
                    let every = u64::try_from(extension.every.as_millis()).unwrap_or(u64::MAX);
                    self.schedule(every, Event::Extend(id));
                }
                renewing.extension = extension;
                self.insert_task(id, worker, Work::Renewal(renewing));
                self.schedule_answer(id, 1, Answer::Net(Input::Begin));
                return Ok(());
            }
            keeper::Step::Wait(pause) => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.insert_task(id, worker, Work::Renewal(renewing));
                self.schedule_answer(id, pause, Answer::Elapsed);
                return Ok(());
            }
            keeper::Step::Load => Order::Load(record),
            keeper::Step::Save {
                record: text,
                version,
                ..
            } => Order::Save(record, text, version),
            keeper::Step::Lease { holder, ttl } => {
                renewing.holder.clone_from(&holder);
                // Counted from when it was asked for: no store's runs out before.
                renewing.leased_until = self.now + u64::try_from(ttl.as_millis()).unwrap_or(0);
                Order::Lease(record, holder, ttl)
            }
        };
        self.insert_task(id, worker, Work::Renewal(renewing));
        self.send_order(id, order);
        Ok(())
    }

    /// The request still runs: its lease is extended, and again after a while.
    pub(super) fn extend(&mut self, id: u64) {
        let Some(Work::Renewal(renewing)) = self.tasks.get(&id).map(|task| &task.work) else {
            return;
        };
        let Some(extension) = renewing
            .extension
            .clone()
            .filter(|_| renewing.exchange.is_some())
        else {
            return;
        };
        let record = renewing.record.clone();
        let every = u64::try_from(extension.every.as_millis()).unwrap_or(u64::MAX);
        let delay = self.rng.between(1, 15);
        let order = Order::Extend(record, extension.holder, extension.ttl);
        let fails = self.odds.store_fails + self.odds.store_silent;
        if !self.rng.chance(fails) {
            self.schedule(delay, Event::Store(id, order, ReplyArrives::No));
        }
        self.schedule(every, Event::Extend(id));
    }

    /// The lease of a request under way was extended, or was another worker's.
    pub(super) fn note_extension(&mut self, id: u64, lease: Lease, ttl: std::time::Duration) {
        let until = self.now + u64::try_from(ttl.as_millis()).unwrap_or_default();
        let Some(Work::Renewal(renewing)) = self.tasks.get(&id).map(|task| &task.work) else {
            return;
        };
        let flights = self.ledger.flights.get_mut(&renewing.record);
        if let (Lease::Won, Some(flight)) = (lease, flights.and_then(|all| all.get_mut(&id))) {
            *flight = until;
        }
    }

    /// Records the end of a renewal, for all tasks that waited for it.
    fn note_renewal(
        &mut self,
        worker: usize,
        key: &str,
        outcome: Result<Arc<Tokens>, Error>,
    ) -> Result<(), Breach> {
        let Some(slot) = self.workers[worker].grants.get_mut(key) else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut slot.waiting);
        // Its tokens are stored by now, or belong to no session.
        if !slot.keeper.is_busy() && slot.keeper.is_stored() && self.rng.chance(3_000) {
            self.workers[worker].grants.remove(key);
        }
        for id in waiting {
            let Some(task) = self.tasks.remove(&id) else {
                continue;
            };
            let Work::Visit(visiting) = task.work else {
                continue;
            };
            match &outcome {
                Ok(tokens) => self.show(*visiting, tokens)?,
                Err(error) => self.without_token(id, worker, visiting, error)?,
            }
        }
        Ok(())
    }
}

fn broken_simulation<T>(text: &str) -> Result<T, Breach> {
    Err(Breach(WebRule::Answered, text.to_owned()))
}
