//! The simulated store and driver of a session, which lose, delay and repeat calls.

use std::time::Duration;

use bytes::Bytes;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Boxed, Exchange as _, Input, Step as Move};
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
use oauth_core::moment::Moment;
use oauth_core::{Secret, Tokens};
use oauth_session::TokenDriver;
use oauth_session::store::{Answer, RecordTimes};

use super::super::fake_store::FakeStore as _;
use super::super::net::{REFUSALS, refusal, status};
use super::super::save_rules::Replaced;
use super::super::simulation::millis;
use super::caller;
use super::simulation::{Shared, Simulation, lock};

/// The timeout of a store of this crate, in milliseconds.
const STORE_TIMEOUT: u64 = 2000;

/// The connection of one session to the simulation.
#[derive(Clone)]
pub(super) struct SessionLink {
    pub(super) sim: Shared,
    pub(super) member: usize,
    pub(super) worker: usize,
    pub(super) grant: usize,
}

enum StoreFate {
    Done,
    Refused,
    Lost,
    Mute,
    Late,
    /// No answer at all.
    Never,
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

impl SessionLink {
    fn draw_store_fate(&self) -> (StoreFate, u64, u64) {
        let mut sim = lock(&self.sim);
        let odds = sim.setup.odds;
        sim.tick(self.worker);
        let is_down = !sim.calm && sim.store_down_until > sim.now;
        let fate = match () {
            () if is_down && sim.rng.chance(5000) => StoreFate::Refused,
            () if is_down => StoreFate::Lost,
            () if sim.fault_occurs(odds.store_fails) => StoreFate::Refused,
            () if sim.fault_occurs(odds.store_reply_lost) => StoreFate::Mute,
            () if sim.fault_occurs(odds.store_late) && sim.rng.chance(1000) => StoreFate::Never,
            () if sim.fault_occurs(odds.store_late) => StoreFate::Late,
            () => StoreFate::Done,
        };
        sim.report.store_faults += u64::from(!matches!(fate, StoreFate::Done));
        let way = match sim.rng.index(10) {
            0 => sim.rng.between(20, 900),
            _ => sim.rng.between(1, 20),
        };
        (fate, way, sim.rng.between(1, 20))
    }

    /// Sends every call of the store.
    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Simulation) -> T + Send + 'static,
    ) -> Result<T, Error> {
        caller::log_in_concurrently(self).await;
        let (fate, way, back) = self.draw_store_fate();
        let pending = PendingStoreCall(self);
        match fate {
            StoreFate::Done => {
                sleep(way).await;
                let reply = self.act(act);
                sleep(back).await;
                pending.mark_delivered();
                return Ok(reply);
            }
            StoreFate::Refused => sleep(way).await,
            StoreFate::Lost => sleep(STORE_TIMEOUT).await,
            StoreFate::Mute => {
                sleep(way).await;
                drop(self.act(act));
                sleep(STORE_TIMEOUT).await;
            }
            StoreFate::Late => {
                self.act(|sim| {
                    let after = STORE_TIMEOUT + sim.rng.between(1, 8000);
                    sim.later(after, |sim| drop(act(sim)));
                });
                sleep(STORE_TIMEOUT).await;
            }
            StoreFate::Never => std::future::pending::<()>().await,
        }
        Err(Error::lost(Cause::unknown("the store does not answer")))
    }

    pub(super) fn act<T>(&self, act: impl FnOnce(&mut Simulation) -> T) -> T {
        let mut sim = lock(&self.sim);
        sim.tick(self.worker);
        act(&mut sim)
    }

    /// Notes the version of the record that the session has read or saved.
    fn note_version(&self, version: u64) {
        self.act(|sim| {
            let now = sim.now;
            let session = &mut sim.members[self.member];
            (session.known_version, session.seen_at) = (version, now);
        });
    }
}

/// A call of the store that the session waits for. Dropping it means that the session has given up: the call counts as
/// failed.
struct PendingStoreCall<'a>(&'a SessionLink);

impl PendingStoreCall<'_> {
    fn mark_delivered(self) {
        let link = self.0;
        link.act(|sim| sim.members[link.member].is_silent = false);
        std::mem::forget(self);
    }
}

impl Drop for PendingStoreCall<'_> {
    fn drop(&mut self) {
        let link = self.0;
        link.act(|sim| {
            let session = &mut sim.members[link.member];
            session.is_silent = true;
            session.fails += 1;
        });
    }
}

/// The store as one session reaches it.
pub(super) struct Store(pub(super) SessionLink);

impl oauth_session::Store for Store {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        let (line, key) = (&self.0, key.to_owned());
        Box::pin(async move {
            let member = line.member;
            let entry = line.call(move |sim| {
                let entry = sim.store.load(&key);
                let version = entry.as_ref().map_or(0, |entry| entry.version);
                sim.note_for(member, || format!("loads version {version}"));
                entry
            });
            let entry = entry.await?;
            let seen = |entry: &Entry| entry.version;
            line.note_version(entry.as_ref().map_or(0, seen));
            Ok(entry)
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        _: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let (line, key, record) = (&self.0, key.to_owned(), record.clone());
        let SessionLink {
            member,
            worker,
            grant,
            ..
        } = *line;
        Box::pin(async move {
            let saved = line.call(move |sim| {
                let saved = sim.store.save(&key, &record, version);
                if let SaveOutcome::At(version) = saved {
                    let writer = (worker, number(member), sim.now);
                    let stored =
                        sim.ledger
                            .store(writer, grant, record.expose(), version, Replaced::Newest);
                    sim.record_breach(stored);
                }
                sim.note_for(member, || format!("saves over {version}: {saved:?}"));
                saved
            });
            let saved = saved.await?;
            if let SaveOutcome::At(version) = saved {
                line.note_version(version);
            }
            Ok(saved)
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let (line, key, holder) = (&self.0, key.to_owned(), holder.to_owned());
        let member = line.member;
        if ttl.is_zero() {
            line.act(|sim| {
                let (worker, grant) = (line.worker, line.grant);
                sim.members[member].lease = None;
                sim.ledger.give_back(worker, number(member), grant);
            });
        }
        Box::pin(async move {
            let name = holder.clone();
            let leased = line.call(move |sim| {
                let now = Duration::from_millis(sim.now);
                (sim.store.lease(now, &key, &holder, ttl), sim.now)
            });
            let (lease, since) = leased.await?;
            if lease == Lease::Won && !ttl.is_zero() {
                let until = since + millis(ttl);
                line.act(|sim| sim.members[member].record_lease(name, since, until));
            }
            Ok(lease)
        })
    }
}

/// The ledger's epoch of a session: its lifetime, which ends with all its state.
pub(super) fn number(member: usize) -> u32 {
    u32::try_from(member).unwrap_or(u32::MAX)
}

/// The driver with which one session reaches the server.
pub(super) struct Driver(pub(super) SessionLink);

impl TokenDriver for Driver {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            caller::log_in_concurrently(&self.0).await;
            let result = self.0.send(exchange).await;
            if let Ok(tokens) = &result {
                self.0.act(|sim| sim.fetched(self.0.member, tokens));
            }
            caller::log_in_concurrently(&self.0).await;
            result
        })
    }

    fn longest(&self) -> Duration {
        self.0.act(|sim| sim.setup.policy.longest_request)
    }
}

/// A request under way. Dropping it means that its outcome is unknown.
struct InFlightRequest<'a> {
    line: &'a SessionLink,
    send: usize,
    /// The request, which stays in flight even if its sender no longer waits.
    request: Option<http::Request<Bytes>>,
}

impl InFlightRequest<'_> {
    fn ends(&self, input: &Input) {
        self.line.act(|sim| {
            if !sim.ledger.is_closed(self.send) {
                sim.ledger.close(self.send, input);
            }
        });
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        self.ends(&Input::Lost(Cause::unknown("its sender has given up")));
        let (send, request) = (self.send, self.request.take());
        self.line.act(|sim| match request {
            Some(request) if sim.rng.chance(5000) => {
                let after = sim.rng.between(1, 100);
                sim.later(after, move |sim| drop(sim.process(send, request, Copy::No)));
            }
            Some(_) => sim.ledger.never_arrives(send),
            None => {}
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    No,
    Yes,
}

enum Net {
    Good,
    Unsent,
    LostRequest,
    LostReply,
    Late,
    Twice,
    Busy,
    Refusal,
    Gateway,
}

impl SessionLink {
    async fn send(&self, mut exchange: Boxed<Tokens>) -> Result<Tokens, Error> {
        let at = self.act(|sim| sim.moment(self.worker));
        let mut request = match exchange.resume(&at, Input::Begin)? {
            Move::Send(request) => request,
            _ => return Err(Error::lost(Cause::unsent("an unexpected first move"))),
        };
        let (send, net, way, request_timeout) = self.act(|sim| {
            sim.certificates.present(self.worker, &mut request);
            let send = sim.check_send(self.member, &request);
            let net = sim.net();
            let timeout = millis(sim.setup.policy.longest_request);
            let way = match sim.rng.index(10) {
                0 => sim.rng.between(100, timeout / 2),
                _ => sim.rng.between(5, 100),
            };
            (send, net, way, timeout)
        });
        let mut sent = InFlightRequest {
            line: self,
            send,
            request: Some(request),
        };
        let input = self.travel(&mut sent, net, way, request_timeout).await;
        sent.ends(&input);
        let at = self.act(|sim| sim.moment(self.worker));
        match exchange.resume(&at, input)? {
            Move::Done(tokens) => Ok(tokens),
            _ => Err(Error::lost(Cause::unknown("an unexpected last move"))),
        }
    }

    async fn travel(
        &self,
        sent: &mut InFlightRequest<'_>,
        net: Net,
        way: u64,
        timeout: u64,
    ) -> Input {
        let send = sent.send;
        let lost = || Input::Lost(Cause::unknown("no answer in time"));
        match net {
            Net::Unsent => {
                sent.request = None;
                self.act(|sim| sim.ledger.never_arrives(send));
                sleep(way).await;
                return Input::Lost(Cause::unsent("no connection"));
            }
            Net::LostRequest => {
                sent.request = None;
                self.act(|sim| sim.ledger.never_arrives(send));
                sleep(timeout).await;
                return lost();
            }
            Net::Late => {
                let request = sent.request.take();
                self.act(|sim| {
                    let after = timeout + sim.rng.between(1, 10_000);
                    sim.later(after, move |sim| {
                        if let Some(request) = request {
                            drop(sim.process(send, request, Copy::No));
                        }
                    });
                });
                sleep(timeout).await;
                return lost();
            }
            _ => {}
        }
        sleep(way).await;
        let Some(request) = sent.request.take() else {
            return lost();
        };
        let reply = self.act(|sim| {
            let is_down = !sim.calm && sim.server_down_until > sim.now;
            match net {
                _ if is_down => sim.busy_response(send),
                Net::Busy => sim.busy_response(send),
                Net::Refusal => sim.refuse(send),
                Net::Gateway => sim.gateway_timeout(send, request),
                Net::Twice => {
                    let (after, copy) = (sim.rng.between(1, 2000), request.clone());
                    sim.later(after, move |sim| drop(sim.process(send, copy, Copy::Yes)));
                    sim.process(send, request, Copy::No)
                }
                _ => sim.process(send, request, Copy::No),
            }
        });
        if matches!(net, Net::LostReply) {
            sleep(timeout - way).await;
            return lost();
        }
        sleep(way.min(100)).await;
        Input::Reply(reply)
    }
}

impl Simulation {
    fn net(&mut self) -> Net {
        let odds = self.setup.odds;
        let net = match () {
            () if self.fault_occurs(odds.unsent) => Net::Unsent,
            () if self.fault_occurs(odds.lost_request) => Net::LostRequest,
            () if self.fault_occurs(odds.lost_reply) => Net::LostReply,
            () if self.fault_occurs(odds.late_request) => Net::Late,
            () if self.fault_occurs(odds.duplicated_request) => Net::Twice,
            () if self.fault_occurs(odds.busy) => Net::Busy,
            () if self.fault_occurs(odds.refusal) && !self.setup.is_client_grant => Net::Refusal,
            () if self.fault_occurs(odds.gateway) => Net::Gateway,
            () => Net::Good,
        };
        self.report.network_faults += u64::from(!matches!(net, Net::Good));
        net
    }

    /// The server itself responds that it is busy and has done nothing.
    fn busy_response(&mut self, send: usize) -> http::Response<Bytes> {
        self.ledger.refused(send, false);
        let pause = self.rng.pick(&[None, None, Some(1), Some(7), Some(40)]);
        status(429, pause)
    }

    /// The server refuses a valid token without ending the grant.
    fn refuse(&mut self, send: usize) -> http::Response<Bytes> {
        self.ledger.refused(send, false);
        self.ledger.refused_in_words(send);
        self.report.suspects += 1;
        refusal(self.rng.pick(&REFUSALS))
    }

    fn gateway_timeout(
        &mut self,
        send: usize,
        request: http::Request<Bytes>,
    ) -> http::Response<Bytes> {
        if self.rng.chance(5000) {
            drop(self.process(send, request, Copy::No));
        } else {
            self.ledger.refused(send, false);
        }
        status(self.rng.pick(&[502, 503, 504]), None)
    }

    /// The server processes a request.
    pub(super) fn process(
        &mut self,
        send: usize,
        request: http::Request<Bytes>,
        copy: Copy,
    ) -> http::Response<Bytes> {
        let before = self.twin.counters().reuse_events;
        let at = Moment::fixed(self.time(), [0; 32]);
        let reply = self.twin.answer(&at, request.clone());
        let is_continued = self.certificates.note(&request, &reply);
        self.report.continued_over_certificates += u64::from(is_continued);
        self.report.token_requests += 1;
        let is_copy = copy == Copy::Yes;
        self.ledger.processed(send, &reply, is_copy);
        let code = reply.status().as_u16();
        self.record_in_transcript(|| format!("server: request {send} ({copy:?} copy): {code}"));
        if self.twin.counters().reuse_events > before {
            let result = self.check_reuse(send, copy);
            self.record_breach(result);
        }
        reply
    }
}
