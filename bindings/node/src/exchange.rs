//! Conversations: step by step for a driver in JavaScript, or run to the end by the native one.

use std::sync::Arc;

use bytes::Bytes;
use napi::Result;
use napi::bindgen_prelude::{Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::moment::{Moment, UnixTime};
use oauth_facade::{Machine, Record, Reply, Turn};
use tokio::sync::Notify;

use crate::error::{fail, invalid, late, overdue};
use crate::network::NativeNetwork;
use crate::runtime::{driver, millis, promise};
use crate::server::NativeServer;
use crate::tokens::NativeTokens;
use crate::value;

/// What to do next; which members there are depends on `kind`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeStep {
    /// `send`, `sleep`, `sign` or `done`.
    pub kind: &'static str,
    /// Of a request.
    pub method: Option<String>,
    /// Of a request.
    pub url: Option<String>,
    /// Of a request.
    pub headers: Option<Vec<(String, String)>>,
    /// Of a request.
    pub body: Option<Uint8Array>,
    /// Of a pause.
    pub ms: Option<f64>,
    /// The host's name of the key.
    pub key_id: Option<String>,
    /// The JWS algorithm.
    pub alg: Option<&'static str>,
    /// What to sign.
    pub signing_input: Option<Uint8Array>,
    /// The output, if it is tokens.
    pub tokens: Option<NativeTokens>,
    /// The members of the output as a JSON array, if it is another record.
    pub members: Option<String>,
    /// The output, if it is a server.
    pub server: Option<NativeServer>,
}

/// The time and the random bytes of a step, brought along by the host.
#[napi(object, object_to_js = false)]
pub struct NativeMoment {
    /// Unix seconds.
    pub now: f64,
    /// 32 bytes.
    pub seed: Uint8Array,
}

/// One conversation.
#[napi]
pub struct NativeExchange {
    machine: Option<Machine>,
    stop: Arc<Notify>,
}

impl NativeExchange {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine: Some(machine),
            stop: Arc::default(),
        }
    }

    fn step(
        &mut self,
        at: Option<NativeMoment>,
        answer: impl FnOnce(&mut Machine, &Moment) -> std::result::Result<Turn, Error>,
    ) -> Result<NativeStep> {
        let machine = self.machine.as_mut();
        let machine = machine.ok_or_else(|| fail(Misuse::Over.into()))?;
        answer(machine, &moment(at)?).map(step).map_err(fail)
    }
}

#[napi]
impl NativeExchange {
    /// The first step. `at`, here and below, is the host's own moment, if it has one.
    #[napi]
    pub fn begin(&mut self, at: Option<NativeMoment>) -> Result<NativeStep> {
        self.step(at, Machine::begin)
    }

    /// The server answered.
    #[napi]
    pub fn reply(
        &mut self,
        at: Option<NativeMoment>,
        status: u16,
        headers: Vec<(String, String)>,
        body: Uint8Array,
    ) -> Result<NativeStep> {
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name, latin1(&value)));
        let reply = Reply {
            status,
            headers: headers.collect(),
            body: body.to_vec(),
        };
        self.step(at, |machine, at| machine.reply(at, reply))
    }

    /// No answer arrived: `unsent`, `unknown` or `too_large`; and why, where that is known.
    #[napi]
    pub fn lost(
        &mut self,
        at: Option<NativeMoment>,
        reason: String,
        reach: String,
        loss: Option<String>,
    ) -> Result<NativeStep> {
        let cause = match reach.as_str() {
            "unsent" => Cause::unsent(reason),
            "unknown" => Cause::unknown(reason),
            "too_large" => Cause::too_large(),
            _ => return Err(invalid("reach is unsent, unknown or too_large")),
        };
        let cause = match loss.as_deref() {
            None => cause,
            Some("dns") => cause.because(Loss::Dns),
            Some("connect") => cause.because(Loss::Connect),
            Some("tls") => cause.because(Loss::Tls),
            Some("proxy") => cause.because(Loss::Proxy),
            Some("timeout") => cause.because(Loss::Timeout),
            Some("closed") => cause.because(Loss::Closed),
            Some(_) => {
                return Err(invalid(
                    "loss is dns, connect, tls, proxy, timeout or closed",
                ));
            }
        };
        self.step(at, |machine, at| machine.lost(at, cause))
    }

    /// The pause is over.
    #[napi]
    pub fn elapsed(&mut self, at: Option<NativeMoment>) -> Result<NativeStep> {
        self.step(at, Machine::elapsed)
    }

    /// The signature.
    #[napi]
    pub fn signed(
        &mut self,
        at: Option<NativeMoment>,
        signature: Uint8Array,
    ) -> Result<NativeStep> {
        let signature = signature.to_vec();
        self.step(at, |machine, at| machine.signed(at, signature))
    }

    /// Runs it to its end over this network or the system's, within `patience` milliseconds if
    /// given; `timeout` limits each request.
    #[napi(ts_return_type = "Promise<NativeStep>")]
    pub fn run<'env>(
        &mut self,
        env: &'env Env,
        timeout: Option<f64>,
        patience: Option<f64>,
        network: Option<&NativeNetwork>,
    ) -> Result<Object<'env>> {
        let machine = self.machine.take();
        let machine = machine.ok_or_else(|| fail(Misuse::Over.into()))?;
        let stop = Arc::clone(&self.stop);
        let timeout = timeout.map(millis);
        let network = network.map(|network| Arc::clone(&network.0));
        promise(env, async move {
            let driver = match network {
                Some(network) => network.driver(timeout)?,
                None => driver(timeout)?,
            };
            let run = driver.run(machine);
            let record = tokio::select! {
                record = run => record?,
                () = stop.notified() => return Err(overdue("the caller gave up")),
                () = patience_of(patience) => return Err(late()),
            };
            Ok(done(record))
        })
    }

    /// Ends it here: a request under way is cut.
    #[napi]
    pub fn cancel(&mut self) {
        self.machine = None;
        self.stop.notify_one();
    }
}

/// The host's own moment, or the system's.
pub(crate) fn moment(own: Option<NativeMoment>) -> Result<Moment> {
    let Some(NativeMoment { now, seed }) = own else {
        return Moment::system().map_err(fail);
    };
    let seed = <[u8; 32]>::try_from(&*seed)
        .map_err(|_| invalid("a moment is { now, seed }, its seed 32 bytes"))?;
    if !(now.is_finite() && now >= 0.0) {
        return Err(invalid("a moment's now is a number of seconds since 1970"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole seconds are wanted, and the cast saturates"
    )]
    let now = UnixTime::from_secs(now as u64);
    Ok(Moment::fixed(now, seed))
}

async fn patience_of(limit: Option<f64>) {
    match limit {
        Some(limit) => tokio::time::sleep(millis(limit)).await,
        None => std::future::pending().await,
    }
}

fn step(turn: Turn) -> NativeStep {
    match turn {
        Turn::Send(request) => NativeStep {
            kind: "send",
            method: Some(request.method),
            url: Some(request.url),
            headers: Some(request.headers),
            body: Some(array(&request.body)),
            ..NativeStep::default()
        },
        Turn::Sleep(pause) => NativeStep {
            kind: "sleep",
            ms: Some(pause.as_secs_f64() * 1000.0),
            ..NativeStep::default()
        },
        Turn::Sign(job) => NativeStep {
            kind: "sign",
            key_id: Some(job.key_id),
            alg: Some(job.alg),
            signing_input: Some(array(&job.signing_input)),
            ..NativeStep::default()
        },
        Turn::Done(record) => done(record),
    }
}

fn done(record: Record) -> NativeStep {
    let mut step = NativeStep {
        kind: "done",
        ..NativeStep::default()
    };
    match record {
        Record::Tokens(tokens) => step.tokens = Some(NativeTokens(Arc::new(*tokens))),
        Record::Plain(_, members) => step.members = Some(value::members(members)),
        Record::Server(server) => step.server = Some(NativeServer(*server)),
        Record::Nothing => {}
    }
    step
}

fn array(bytes: &Bytes) -> Uint8Array {
    Uint8Array::from(bytes.to_vec())
}

/// A field value as `fetch` tells it, one character for each byte. Whatever else it holds cannot
/// have come from a wire, and is refused further down.
pub(crate) fn latin1(value: &str) -> Vec<u8> {
    value
        .chars()
        .map(|c| u8::try_from(c).unwrap_or(b'\0'))
        .collect()
}
