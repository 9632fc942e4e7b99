//! The simulated store and provider, and the messages lost on the way to them.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Boxed, Input, Step as Move};
use oauth_core::flow::keeper::{Lease, SaveOutcome};

use super::super::fake_store::FakeStore as _;
use super::WebFlaw;
use super::state::{Event, Simulation};
use super::store_requests::{Order, REQUEST_TIMEOUT, STORE_TIMEOUT, StoreReply, short};
use super::task::{Answer, ReplyArrives, Work};

impl Simulation {
    /// Sends a task's request to the store.
    pub(super) fn send_order(&mut self, id: u64, order: Order) {
        if self.flaw == Some(WebFlaw::NoLease) && matches!(order, Order::Lease(..)) {
            return self.schedule_answer(id, 1, Answer::StoreReply(StoreReply::Leased(Lease::Won)));
        }
        let delay = match self.rng.index(20) {
            0 => self.rng.between(20, 900),
            _ => self.rng.between(1, 15),
        };
        let odds = self.odds;
        if self.rng.chance(odds.store_fails) {
            self.fail_order(id, delay);
        } else if self.rng.chance(odds.store_silent) {
            self.schedule(delay, Event::Store(id, order, ReplyArrives::No));
            self.fail_order(id, STORE_TIMEOUT);
        } else if self.rng.chance(odds.store_late) {
            let delay = self.rng.between(STORE_TIMEOUT, 10_000);
            self.schedule(delay, Event::Store(id, order, ReplyArrives::No));
            self.fail_order(id, STORE_TIMEOUT);
        } else {
            self.schedule(delay, Event::Store(id, order, ReplyArrives::Yes));
        }
    }

    fn fail_order(&mut self, id: u64, after: u64) {
        self.report.store_faults += 1;
        if let Some(task) = self.tasks.get_mut(&id) {
            match &mut task.work {
                Work::Visit(visiting) => visiting.has_failed = true,
                Work::Renewal(renewing) => renewing.has_failed = true,
            }
            self.ledger.record_failure(&task.work);
        }
        self.schedule_answer(id, after, Answer::StoreReply(StoreReply::Failed));
    }

    pub(super) fn schedule_answer(&mut self, id: u64, after: u64, answer: Answer) {
        self.schedule(after, Event::Answer(id, answer));
    }

    /// The store executes an order, even if its sender is dead by now.
    pub(super) fn execute_order(&mut self, id: u64, order: Order, reply_arrival: ReplyArrives) {
        let now = Duration::from_millis(self.now);
        let reply = match order {
            Order::Load(key) => StoreReply::Loaded(self.store.load(&key)),
            Order::Lease(key, holder, ttl) => {
                let lease = self.store.lease(now, &key, &holder, ttl);
                if lease == Lease::Won {
                    self.ledger.leased(holder);
                }
                StoreReply::Leased(lease)
            }
            Order::Extend(key, holder, ttl) => {
                let lease = self.store.lease(now, &key, &holder, ttl);
                return self.note_extension(id, lease, ttl);
            }
            Order::Save(key, record, version) => {
                let saved = self.store.save(&key, &record, version);
                if let SaveOutcome::At(_) = saved {
                    self.record_in_transcript(|| format!("{id} has saved {}", short(&key)));
                    self.note_save(id, &key, &record, version);
                }
                StoreReply::Saved(saved)
            }
            Order::Remove(key) => {
                self.record_in_transcript(|| format!("{id} has removed {}", short(&key)));
                if let Some(entry) = self.store.load(&key).filter(|entry| !entry.is_removed()) {
                    let nothing = Secret::new(String::new());
                    self.store.save(&key, &nothing, entry.version);
                    self.note_removal(id, &key);
                }
                StoreReply::Removed
            }
        };
        if reply_arrival == ReplyArrives::Yes {
            let delay = self.rng.between(1, 15);
            self.schedule_answer(id, delay, Answer::StoreReply(reply));
        }
    }

    /// A record was removed. A task that learns of it revokes the tokens in it; otherwise they may be left behind.
    fn note_removal(&mut self, id: u64, key: &str) {
        let login = self.ledger.login_of_grant(key);
        let work = self.tasks.get_mut(&id).map(|task| &mut task.work);
        match work {
            // Store and provider have answered all its requests so far.
            Some(Work::Visit(visiting)) if !visiting.has_failed => {
                visiting.cleared.extend(login);
                self.ledger.removed(key, self.now);
            }
            _ => login
                .into_iter()
                .for_each(|login| self.ledger.excuse_leftover_tokens(login)),
        }
    }

    fn note_save(&mut self, id: u64, key: &str, record: &Secret<String>, version: u64) {
        let now = self.now;
        if record.expose().contains("\"since\"") {
            self.ledger.list(key, record.expose(), now);
        }
        if let Some(task) = self.tasks.get_mut(&id)
            && let Work::Visit(visiting) = &mut task.work
            && version == 0
            && record.expose().contains("\"started_at\"")
            && let Some(login) = visiting.login
        {
            let grant = self.workers[task.worker].grant(key).key();
            visiting.begun = Some(key.to_owned());
            self.ledger.began(key, grant, login, now);
        }
    }

    /// Drives an exchange; returns its outcome once it is finished.
    pub(super) fn drive_exchange<T: Send + 'static>(
        &mut self,
        id: u64,
        exchange: &mut Boxed<T>,
        input: Input,
    ) -> Option<Result<T, Error>> {
        let at = self.moment();
        match oauth_core::Exchange::resume(exchange, &at, input) {
            Ok(Move::Send(request)) => self.send(id, request),
            Ok(Move::Sleep(pause)) => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.schedule_answer(id, pause, Answer::Net(Input::Elapsed));
            }
            Ok(Move::Verify(job)) => {
                let verified = Input::Verified(oauth_crypto::verify(&job));
                self.schedule_answer(id, 1, Answer::Net(verified));
            }
            Ok(Move::Sign(_)) => {
                let lost = Input::Lost(Cause::unsent("this worker holds no keys"));
                self.schedule_answer(id, 1, Answer::Net(lost));
            }
            Ok(Move::Done(output)) => return Some(Ok(output)),
            Err(error) => return Some(Err(error)),
        }
        None
    }

    fn send(&mut self, id: u64, request: http::Request<Bytes>) {
        let delay = match self.rng.index(10) {
            0 => self.rng.between(500, 7_000),
            _ => self.rng.between(5, 200),
        };
        let odds = self.odds;
        let lost = |text| Answer::Net(Input::Lost(Cause::unknown(text)));
        if self.rng.chance(odds.unsent) {
            self.lose(id);
            let unsent = Input::Lost(Cause::unsent("there is no connection"));
            self.schedule_answer(id, delay, Answer::Net(unsent));
        } else if self.rng.chance(odds.lost_request) {
            self.lose(id);
            self.schedule_answer(id, REQUEST_TIMEOUT, lost("the request was lost"));
        } else if self.rng.chance(odds.lost_reply) {
            self.lose(id);
            self.schedule(delay, Event::Provider(id, request, ReplyArrives::No));
            self.schedule_answer(id, REQUEST_TIMEOUT, lost("the reply was lost"));
        } else {
            self.schedule(delay, Event::Provider(id, request, ReplyArrives::Yes));
        }
    }

    fn lose(&mut self, id: u64) {
        self.report.network_faults += 1;
        if let Some(task) = self.tasks.get_mut(&id) {
            if let Work::Visit(visiting) = &mut task.work {
                visiting.has_failed = true;
            }
            self.ledger.record_failure(&task.work);
        }
    }

    /// The provider answers a request, even if its sender is dead by now.
    pub(super) fn reach_provider(
        &mut self,
        id: u64,
        request: http::Request<Bytes>,
        reply_arrival: ReplyArrives,
    ) {
        let path = request.uri().path().to_owned();
        let form: Vec<(String, String)> =
            serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
        let login = self.ledger.login_for_form(&form);
        if let Some((person, sid)) = login.and_then(|login| self.ledger.person(login)) {
            self.mention_session(person, sid);
        }
        let at = self.moment();
        let reply: Response<Bytes> = self.twin.answer(&at, request);
        if let (Some(login), "/token") = (login, path.as_str()) {
            self.ledger.issued(login, reply.body());
        }
        let status = reply.status().as_u16();
        self.record_in_transcript(|| format!("the provider answers {path} of {id} with {status}"));
        if reply_arrival == ReplyArrives::Yes {
            let back = self.rng.between(5, 200);
            self.schedule_answer(id, back, Answer::Net(Input::Reply(reply)));
        } else if let Some(login) = login {
            self.ledger.excuse_leftover_tokens(login);
        }
    }
}
