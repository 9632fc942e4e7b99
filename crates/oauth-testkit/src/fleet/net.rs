//! The simulated network between workers, store and server: it loses, delays and repeats messages.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::Input;
use oauth_core::flow::keeper::{Event, Lease, SaveOutcome};

use super::simulation::{Scheduled, Simulation, millis};
use super::slot::{Message, Order};
use super::{Breach, Flaw};

/// The timeout of a call of the store, in milliseconds.
const STORE_TIMEOUT: u64 = 2000;

/// The maximum delay of a request after its sender has given up on it, in milliseconds.
const MAX_LATENESS_MS: u64 = 13_000;

/// The fate of an order to the store.
enum StoreFate {
    Done,
    Refused,
    /// It never arrives.
    Lost,
    /// It is carried out, and the answer is lost.
    ReplyLost,
    Late,
}

impl Simulation {
    /// Sends the order to the store; the keeper waits for the answer.
    pub(super) fn send_order(&mut self, worker: usize, grant: usize, order: Order) {
        let call = self.ledger.call();
        self.slot(worker, grant).call = Some(call);
        let failure = self.call_store(worker, grant, order, call).1;
        let error = Error::lost(Cause::unknown("the store does not answer"));
        let event = Event::Failed(error);
        let message = Message::StoreAnswered {
            call,
            event,
            until: None,
        };
        self.notify(failure, worker, grant, message);
    }

    /// Draws whether the order is executed and answered, and the time after which the worker gives up.
    pub(super) fn call_store(
        &mut self,
        worker: usize,
        grant: usize,
        order: Order,
        call: u64,
    ) -> (bool, u64) {
        let odds = self.setup.odds;
        let is_down = self.store_down_until > self.now;
        let fate = match () {
            () if self.calm => StoreFate::Done,
            () if is_down && self.rng.chance(5000) => StoreFate::Refused,
            () if is_down => StoreFate::Lost,
            () if self.rng.chance(odds.store_fails) => StoreFate::Refused,
            () if self.rng.chance(odds.store_reply_lost) => StoreFate::ReplyLost,
            () if self.rng.chance(odds.store_late) => StoreFate::Late,
            () => StoreFate::Done,
        };
        let delay = match self.rng.index(10) {
            0 => self.rng.between(20, 900),
            _ => self.rng.between(1, 20),
        };
        let mut failure = STORE_TIMEOUT;
        let (arrival, reply_arrives) = match fate {
            StoreFate::Done => (Some(delay), true),
            StoreFate::Refused => {
                failure = delay;
                (None, false)
            }
            StoreFate::Lost => (None, false),
            StoreFate::ReplyLost => (Some(delay), false),
            StoreFate::Late => (Some(STORE_TIMEOUT + self.rng.between(1, 8000)), false),
        };
        if !reply_arrives {
            self.report.store_faults += 1;
        }
        if let Some(after) = arrival {
            let epoch = self.workers[worker].epoch;
            let event = Scheduled::Store {
                worker,
                epoch,
                grant,
                call,
                order,
                reply_arrives,
            };
            self.post(after, event);
        }
        (reply_arrives, failure)
    }

    /// Executes an order in the store.
    pub(super) fn execute_order(
        &mut self,
        worker: usize,
        epoch: u32,
        grant: usize,
        call: u64,
        order: Order,
        reply_arrives: bool,
    ) -> Result<(), Breach> {
        let key = self.grants[grant].key.clone();
        let now = std::time::Duration::from_millis(self.now);
        let mut until = None;
        let event = match order {
            Order::Load => Event::Loaded(self.store.load(&key).map(|entry| self.loaded(entry))),
            Order::Lease(holder, ttl) => {
                let lease = self.store.lease(now, &key, &holder, ttl);
                if lease == Lease::Won {
                    self.trace_lease(&holder, ttl);
                }
                if lease == Lease::Won && !ttl.is_zero() {
                    self.check_lease(worker, epoch, grant)?;
                    until = Some(self.now + millis(ttl));
                }
                Event::Leased(lease)
            }
            Order::Extend(holder, ttl) => {
                let lease = self.store.lease(now, &key, &holder, ttl);
                if lease == Lease::Won {
                    self.trace_lease(&holder, ttl);
                }
                self.extended(worker, epoch, grant, &holder, lease, millis(ttl));
                return Ok(());
            }
            Order::Save(record, mut version) => {
                if self.setup.flaw == Some(Flaw::NoFencing) {
                    version = self.store.load(&key).map_or(0, |entry| entry.version);
                }
                let over = self.replaced_record(grant);
                let saved = self.store.save(&key, &record, version);
                if let SaveOutcome::At(version) = saved {
                    self.trace_record(record.expose());
                    self.note_nonce(grant, version, record.expose());
                    let (writer, record) = ((worker, epoch, self.now), record.expose());
                    self.ledger.store(writer, grant, record, version, over)?;
                }
                Event::Saved(saved)
            }
        };
        if !reply_arrives {
            let text = self.ledger.event(&event);
            self.note_for(worker, grant, |_| format!("unheard: {text}"));
            return Ok(());
        }
        let after = self.rng.between(1, 20);
        let message = Message::StoreAnswered { call, event, until };
        self.post(
            after,
            Scheduled::Message {
                worker,
                epoch,
                grant,
                message,
            },
        );
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        worker: usize,
        grant: usize,
        mut request: http::Request<Bytes>,
    ) -> Result<(), Breach> {
        self.certificates.present(worker, &mut request);
        self.check_proof(worker, grant, &request)?;
        let send = self.check_send(worker, grant, &request)?;
        if let Some(flight) = &mut self.slot(worker, grant).flight {
            flight.send = Some(send);
        }
        let timeout = millis(self.setup.policy.longest_request);
        let (odds, calm) = (self.setup.odds, self.calm);
        let mut hits = |odds: u32| !calm && self.rng.chance(odds);
        let (mut reply_arrives, mut is_twice, mut is_late) = (true, false, false);
        let mut is_sent = true;
        if hits(odds.unsent) {
            is_sent = false;
        } else if hits(odds.lost_request) {
            self.report.network_faults += 1;
            self.note_for(worker, grant, |_| "the request is lost".to_owned());
            let lost = Input::Lost(Cause::unknown("no answer in time"));
            self.notify(timeout, worker, grant, Message::Net { send, input: lost });
            self.ledger.never_arrives(send);
            return Ok(());
        } else if hits(odds.lost_reply) {
            reply_arrives = false;
        } else if hits(odds.late_request) {
            (reply_arrives, is_late) = (false, true);
        } else if hits(odds.duplicated_request) {
            is_twice = true;
        }
        if !is_sent {
            self.report.network_faults += 1;
            let after = self.rng.between(1, 500);
            let lost = Input::Lost(Cause::unsent("no connection"));
            self.notify(after, worker, grant, Message::Net { send, input: lost });
            self.ledger.never_arrives(send);
            return Ok(());
        }
        self.report.network_faults += u64::from(!reply_arrives || is_twice);
        let delay = match (is_late, self.rng.index(10)) {
            (true, _) => timeout + self.rng.between(1, MAX_LATENESS_MS),
            (false, 0) => self.rng.between(100, timeout / 2),
            (false, _) => self.rng.between(5, 100),
        };
        if is_twice {
            let after = delay + self.rng.between(1, timeout / 2);
            let event = Scheduled::Arrival {
                send,
                request: request.clone(),
                reply_arrives: false,
                is_copy: true,
            };
            self.post(after, event);
        }
        let event = Scheduled::Arrival {
            send,
            request,
            reply_arrives,
            is_copy: false,
        };
        self.post(delay, event);
        let lost = Input::Lost(Cause::unknown("no answer in time"));
        self.notify(timeout, worker, grant, Message::Net { send, input: lost });
        Ok(())
    }

    /// A token request reaches the server.
    pub(super) fn receive_token_request(
        &mut self,
        send: usize,
        request: http::Request<Bytes>,
        reply_arrives: bool,
        is_copy: bool,
    ) -> Result<(), Breach> {
        let (odds, calm) = (self.setup.odds, self.calm);
        let is_down = self.server_down_until > self.now;
        let (worker, epoch, grant) = self.ledger.sender(send);
        let reply = if is_down || (!calm && self.rng.chance(odds.busy)) {
            self.ledger.refused(send, is_copy);
            let pause = self.rng.pick(&[None, None, Some(1), Some(7), Some(40)]);
            let code = self.rng.pick(&[429, 503]);
            let mut reply = status(code, pause);
            if code == 503 {
                let json = HeaderValue::from_static("application/json");
                reply.headers_mut().insert(CONTENT_TYPE, json);
                *reply.body_mut() = Bytes::from_static(br#"{"error":"temporarily_unavailable"}"#);
            }
            reply
        } else if !calm && !self.setup.is_client_grant && self.rng.chance(odds.refusal) {
            self.ledger.refused(send, is_copy);
            self.ledger.refused_in_words(send);
            self.report.suspects += 1;
            refusal(self.rng.pick(&REFUSALS))
        } else if !calm && self.rng.chance(odds.gateway) {
            if self.rng.chance(5000) {
                self.process(send, request, is_copy)?;
            } else {
                self.ledger.refused(send, is_copy);
            }
            status(self.rng.pick(&[502, 503, 504]), None)
        } else {
            self.process(send, request, is_copy)?
        };
        self.record_in_transcript(|| {
            let copy = if is_copy { ", a copy," } else { "" };
            format!(
                "server: request {send}{copy} of worker {worker} grant {grant}: {}{}",
                reply.status().as_u16(),
                if reply_arrives { "" } else { ", unheard" },
            )
        });
        if reply_arrives {
            let after = self.rng.between(5, 100);
            let input = Input::Reply(reply);
            let message = Message::Net { send, input };
            self.post(
                after,
                Scheduled::Message {
                    worker,
                    epoch,
                    grant,
                    message,
                },
            );
        }
        Ok(())
    }

    fn process(
        &mut self,
        send: usize,
        request: http::Request<Bytes>,
        is_copy: bool,
    ) -> Result<http::Response<Bytes>, Breach> {
        let before = self.twin.counters().reuse_events;
        let reply = match self.refuses_key(&request) {
            Some(reply) => reply,
            None => self.note_reply(self.known_client(&request)?),
        };
        self.bind(&request, &reply);
        self.report.token_requests += 1;
        self.trace_server(send, reply.status().as_u16());
        let is_reuse = self.twin.counters().reuse_events > before;
        if is_proof_refused(&reply) {
            self.ledger.refused(send, is_copy)
        } else {
            self.ledger.processed(send, &reply, is_copy)
        }
        self.check_reuse(send, is_reuse, is_copy)?;
        Ok(reply)
    }
}

/// Refusals of a refresh token that do not end the grant: the token may still be valid.
pub(super) const REFUSALS: [(u16, &str); 5] = [
    (401, "invalid_client"),
    (403, "unauthorized_client"),
    (400, "consent_required"),
    (400, "token_is_gone"),
    (403, ""),
];

/// Whether the server has only asked for a new proof: with its nonce (RFC 9449 section 8), or with its time.
pub(super) fn is_proof_refused(reply: &http::Response<Bytes>) -> bool {
    let errors = [r#""use_dpop_nonce""#, r#""invalid_dpop_proof""#];
    let body = String::from_utf8_lossy(reply.body());
    reply.status() == 400 && errors.iter().any(|error| body.contains(error))
}

pub(super) fn refusal((code, error_code): (u16, &str)) -> http::Response<Bytes> {
    let mut reply = status(code, None);
    if !error_code.is_empty() {
        let json = HeaderValue::from_static("application/json");
        reply.headers_mut().insert(CONTENT_TYPE, json);
        *reply.body_mut() = Bytes::from(format!(r#"{{"error":"{error_code}"}}"#));
    }
    reply
}

pub(super) fn status(code: u16, pause: Option<u64>) -> http::Response<Bytes> {
    let mut reply = http::Response::new(Bytes::from_static(b"out of order"));
    *reply.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    if let Some(seconds) = pause {
        reply
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}
