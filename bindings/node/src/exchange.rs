//! Exchanges with an authorization server: step by step for a driver in JavaScript, or run by the native driver.

use std::ops::ControlFlow;
use std::sync::Arc;

use napi::Result;
use napi::bindgen_prelude::{Either, Either3, Either4, Env, Object, Uint8Array, Uint8ArraySlice};
use napi_derive::napi;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::exchange::READ;
use oauth_core::moment::{Moment, UnixTime};
use oauth_facade::{ErasedExchange, ErasedStep, Outgoing, Record, Reply};
use tokio_util::sync::CancellationToken;

use crate::assertion_callback;
use crate::authorization::NativeAuthorization;
use crate::error::{call_timed_out, fail, invalid, overdue};
use crate::held_key::NativeSigner;
use crate::network::NativeNetwork;
use crate::runtime::{catch_panic, driver, millis, promise};
use crate::server::NativeServer;
use crate::tokens::token_texts;
use crate::value;

/// The next step, in compact form: a request as one string, a pause in milliseconds,
/// something to sign, or the result; tokens in the form of [`token_texts`].
///
/// A request is its method, its URL, and names and values in turn, each on a line of its own; an empty
/// line; and the body.
pub(crate) type NativeStep = Either4<String, f64, NativeSigning, NativeOutcome>;

/// Something to sign.
#[napi(object, object_from_js = false)]
pub struct NativeSigning {
    /// The id of the key, for its holder.
    pub key_id: String,
    /// The JWS algorithm.
    pub alg: &'static str,
    /// The bytes to sign.
    pub signing_input: Uint8Array,
    /// The signer, if the application holds the key.
    pub signer: Option<NativeSigner>,
}

/// The result of an exchange; at most one member is set.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeOutcome {
    /// Tokens, in the form of [`tokens::token_texts`](crate::tokens::token_texts).
    pub tokens: Option<Vec<String>>,
    /// The verified claims of an ID token, as a JSON object.
    pub claims: Option<String>,
    /// The members of another record, as a JSON array.
    pub members: Option<String>,
    /// An authorization that has begun.
    pub authorization: Option<NativeAuthorization>,
    /// A server.
    pub server: Option<NativeServer>,
}

/// The time and the random bytes of a step, supplied by the host.
#[napi(object, object_to_js = false)]
pub struct NativeMoment {
    /// The time in Unix seconds.
    pub now: f64,
    /// 32 random bytes.
    pub seed: Uint8Array,
}

/// One exchange.
#[napi]
pub struct NativeExchange {
    exchange: Option<ErasedExchange>,
    stop: CancellationToken,
}

impl NativeExchange {
    pub(crate) fn new(exchange: ErasedExchange) -> Self {
        Self {
            exchange: Some(exchange),
            stop: CancellationToken::new(),
        }
    }

    fn step(
        &mut self,
        at: Option<NativeMoment>,
        answer: impl FnOnce(&mut ErasedExchange, &Moment) -> std::result::Result<ErasedStep, Error>,
    ) -> Result<NativeStep> {
        let exchange = self.exchange.as_mut();
        let exchange = exchange.ok_or_else(|| fail(Misuse::Over.into()))?;
        // Kept after its end: the exchange itself refuses further input, with an error that names its endpoint.
        step_to_js(answer(exchange, &moment(at)?).map_err(fail)?)
    }
}

#[napi]
impl NativeExchange {
    /// The first step. `at`, here and below, is the host's own moment, if it has one.
    #[napi]
    pub fn begin(&mut self, at: Option<NativeMoment>) -> Result<NativeStep> {
        self.step(at, ErasedExchange::begin)
    }

    /// Continues with the response. `fields` are the header fields of [`read_fields`]: names and values alternating,
    /// separated by line breaks.
    #[napi]
    pub fn reply(
        &mut self,
        at: Option<NativeMoment>,
        status: u16,
        fields: String,
        body: Either<String, Uint8ArraySlice<'_>>,
    ) -> Result<NativeStep> {
        let mut headers = Vec::new();
        let mut fields = fields.split('\n');
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            headers.push((name.to_owned(), latin1(value)));
        }
        let body = match body {
            Either::A(text) => text.into_bytes(),
            Either::B(bytes) => bytes.to_vec(),
        };
        let reply = Reply {
            status,
            headers,
            body,
        };
        self.step(at, |exchange, at| exchange.reply(at, reply))
    }

    /// Continues without a response. `delivery` is `unsent`, `unknown` or `too_large`; `loss` is the reason, if known.
    #[napi]
    pub fn lost(
        &mut self,
        at: Option<NativeMoment>,
        reason: String,
        delivery: String,
        loss: Option<String>,
    ) -> Result<NativeStep> {
        let cause = match delivery.as_str() {
            "unsent" => Cause::unsent(reason),
            "unknown" => Cause::unknown(reason),
            "too_large" => Cause::too_large(),
            _ => return Err(invalid("delivery must be unsent, unknown or too_large")),
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
                    "loss must be dns, connect, tls, proxy, timeout or closed",
                ));
            }
        };
        self.step(at, |exchange, at| exchange.lost(at, cause))
    }

    /// Continues after the pause.
    #[napi]
    pub fn elapsed(&mut self, at: Option<NativeMoment>) -> Result<NativeStep> {
        self.step(at, ErasedExchange::elapsed)
    }

    /// Continues with the signature.
    #[napi]
    pub fn signed(
        &mut self,
        at: Option<NativeMoment>,
        signature: Uint8ArraySlice<'_>,
    ) -> Result<NativeStep> {
        let signature = signature.to_vec();
        self.step(at, |exchange, at| exchange.signed(at, signature))
    }

    /// Runs the exchange to its end over this network or the system's, within `total_timeout` milliseconds if given;
    /// `timeout` limits each request.
    #[napi(ts_return_type = "Promise<NativeOutcome>")]
    pub fn run<'env>(
        &mut self,
        env: &'env Env,
        timeout: Option<f64>,
        total_timeout: Option<f64>,
        network: Option<&NativeNetwork>,
    ) -> Result<Object<'env>> {
        let exchange = self.exchange.take();
        let exchange = exchange.ok_or_else(|| fail(Misuse::Over.into()))?;
        let stop = self.stop.clone();
        let timeout = timeout.map(millis);
        let network = network.map(|network| Arc::clone(&network.0));
        promise(env, async move {
            let driver = match network {
                Some(network) => network.driver(timeout)?,
                None => driver(timeout)?,
            };
            let run = assertion_callback::until(&stop, driver.run(exchange));
            let record = tokio::select! {
                record = run => record?,
                () = stop.cancelled() => return Err(overdue("the caller gave up")),
                () = elapsed(total_timeout) => return Err(call_timed_out()),
            };
            Ok(done_outcome(record))
        })
    }

    /// Cancels the exchange: a request in progress is aborted.
    #[napi]
    pub fn cancel(&mut self) {
        self.exchange = None;
        self.stop.cancel();
    }
}

/// The host's own moment, or the system's.
pub(crate) fn moment(given: Option<NativeMoment>) -> Result<Moment> {
    let Some(NativeMoment { now, seed }) = given else {
        return Moment::system().map_err(fail);
    };
    let seed = <[u8; 32]>::try_from(&*seed)
        .map_err(|_| invalid("moment must return { now, seed }, with a seed of 32 bytes"))?;
    if !(now.is_finite() && now >= 0.0) {
        return Err(invalid(
            "the moment's now must be a number of seconds since 1970",
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole seconds are wanted, and the cast saturates"
    )]
    let now = UnixTime::from_secs(now as u64);
    Ok(Moment::fixed(now, seed))
}

async fn elapsed(limit: Option<f64>) {
    match limit {
        Some(limit) => tokio::time::sleep(millis(limit)).await,
        None => std::future::pending().await,
    }
}

fn step_to_js(turn: ErasedStep) -> Result<NativeStep> {
    Ok(match turn {
        ErasedStep::Send(request) => Either4::A(text(&request)?),
        ErasedStep::Sleep(pause) => Either4::B(pause.as_secs_f64() * 1000.0),
        ErasedStep::Sign(job) => Either4::C(NativeSigning {
            signer: NativeSigner::of(&job),
            key_id: job.key_id,
            alg: job.alg,
            signing_input: Uint8Array::from(job.signing_input.to_vec()),
        }),
        // Natively, exchanges verify signatures themselves.
        ErasedStep::Verify(_) => return Err(fail(Misuse::OutOfOrder.into())),
        ErasedStep::Done(record) => Either4::D(done_outcome(record)),
    })
}

/// A request as one string. Header fields cannot contain line breaks, and all bodies are UTF-8.
fn text(request: &Outgoing) -> Result<String> {
    let body = std::str::from_utf8(&request.body);
    let body = body.map_err(|_| invalid("the body of the request is not UTF-8"))?;
    let fields = request.headers.iter();
    let length: usize = fields
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    let first = request.method.len() + request.url.len() + 2;
    let mut text = String::with_capacity(first + length + 1 + body.len());
    let fields = request.headers.iter();
    let lines = [&request.method, &request.url].into_iter();
    for line in lines.chain(fields.flat_map(|(name, value)| [name, value])) {
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(body);
    Ok(text)
}

/// The result of an exchange, or the exchange if it continues. If the result is a plain record, only its members as
/// JSON, without an object around them.
pub(crate) type NativeBegun = Either3<String, NativeOutcome, NativeExchange>;

/// Takes the first step: an exchange that ends with it, such as the verification of a token with cached keys, needs
/// neither another call nor a promise.
pub(crate) fn begun(exchange: ErasedExchange) -> Result<NativeBegun> {
    let at = Moment::system().map_err(fail)?;
    let first = catch_panic(|| exchange.at_once(&at))?;
    Ok(match first.map_err(fail)? {
        ControlFlow::Break(Record::Plain(_, members)) => Either3::A(value::members(&members)),
        ControlFlow::Break(record) => Either3::B(done_outcome(record)),
        ControlFlow::Continue(exchange) => Either3::C(NativeExchange::new(exchange)),
    })
}

fn done_outcome(record: Record) -> NativeOutcome {
    let mut end = NativeOutcome::default();
    match record {
        Record::Tokens(tokens) => end.tokens = Some(token_texts(&tokens)),
        Record::Login(login) => {
            end.claims = login
                .id_token
                .as_ref()
                .map(|token| token.claims().to_json());
            end.tokens = Some(token_texts(&login.tokens));
        }
        Record::Plain(_, members) => end.members = Some(value::members(&members)),
        Record::Authorization(begun) => end.authorization = Some((*begun).into()),
        Record::Server(server) => end.server = Some(NativeServer(*server)),
        Record::Nothing => {}
    }
    end
}

/// The header fields of responses that exchanges read.
#[napi]
pub(crate) fn read_fields() -> Vec<String> {
    let fields = READ.into_iter();
    fields.map(|name| name.as_str().to_owned()).collect()
}

/// Encodes a field value from `fetch`, which has one character for each byte. Other characters cannot have been received
/// over HTTP, and are refused later.
pub(crate) fn latin1(value: &str) -> Vec<u8> {
    value
        .chars()
        .map(|c| u8::try_from(c).unwrap_or(b'\0'))
        .collect()
}
