//! Exchanges, step by step for the driver in JavaScript.

use js_sys::{Array, Object, Uint8Array};
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::exchange::{READ, VerificationJob, VerificationKey};
use oauth_core::moment::Moment;
use oauth_facade::{ErasedExchange, ErasedStep, Outgoing, Record, Reply, StartedAuthorization};
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::{fail, invalid};
use crate::held_key;
use crate::moment::moment;
use crate::plain::{object, to_millis, with};
use crate::server::NativeServer;
use crate::tokens::token_texts;
use crate::value;
use crate::visit::SharedOutcome;

/// One exchange. A step is encoded compactly: a request as one string, a pause as its milliseconds, and an object for a
/// signature, a verification or the end; tokens as in [`token_texts`].
///
/// A request consists of its method, its URL, and the names and values of its header fields in turn, each on a line of
/// its own; an empty line; and the body.
#[wasm_bindgen]
pub struct NativeExchange {
    exchange: Option<ErasedExchange>,
    /// The result, if the exchange is part of a visit.
    flight: Option<SharedOutcome>,
}

impl NativeExchange {
    pub(crate) const fn new(exchange: ErasedExchange) -> Self {
        Self {
            exchange: Some(exchange),
            flight: None,
        }
    }

    pub(crate) const fn of_visit(exchange: ErasedExchange, flight: SharedOutcome) -> Self {
        Self {
            exchange: Some(exchange),
            flight: Some(flight),
        }
    }

    fn step(
        &mut self,
        at: &JsValue,
        input: impl FnOnce(&mut ErasedExchange, &Moment) -> Result<ErasedStep, Error>,
    ) -> Result<JsValue, JsValue> {
        let exchange = self.exchange.as_mut();
        let exchange = exchange.ok_or_else(|| fail(Misuse::Over.into()))?;
        // Kept after its end: the exchange itself refuses further input, with an error that names its endpoint.
        match input(exchange, &moment(at)?) {
            Ok(next) => step_value(next),
            Err(error) => {
                if let Some(flight) = &self.flight {
                    flight.failed(error.clone());
                }
                Err(fail(error))
            }
        }
    }
}

#[wasm_bindgen]
impl NativeExchange {
    /// The first step. `at`, here and below, is the host's own moment, if it has one.
    pub fn begin(&mut self, at: &JsValue) -> Result<JsValue, JsValue> {
        self.step(at, ErasedExchange::begin)
    }

    /// Continues with a response. `fields` are the header fields that [`read_fields`] lists: names and values in turn,
    /// separated by line breaks.
    pub fn reply(
        &mut self,
        at: &JsValue,
        status: u16,
        fields: &str,
        body: &JsValue,
    ) -> Result<JsValue, JsValue> {
        let mut headers = Vec::new();
        let mut fields = fields.split('\n');
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            headers.push((name.to_owned(), latin1(value)));
        }
        let body = match (body.as_string(), body.dyn_ref::<Uint8Array>()) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(bytes)) => bytes.to_vec(),
            (None, None) => return Err(invalid("the body must be a string or bytes")),
        };
        let reply = Reply {
            status,
            headers,
            body,
        };
        self.step(at, |exchange, at| exchange.reply(at, reply))
    }

    /// Continues without a response. `delivery` is `unsent`, `unknown` or `too_large`; `loss` is the reason, if known.
    pub fn lost(
        &mut self,
        at: &JsValue,
        reason: String,
        delivery: &str,
        loss: Option<String>,
    ) -> Result<JsValue, JsValue> {
        let cause = match delivery {
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
    pub fn elapsed(&mut self, at: &JsValue) -> Result<JsValue, JsValue> {
        self.step(at, ErasedExchange::elapsed)
    }

    /// Continues with the signature.
    pub fn signed(&mut self, at: &JsValue, signature: Vec<u8>) -> Result<JsValue, JsValue> {
        self.step(at, |exchange, at| exchange.signed(at, signature))
    }

    /// Continues with the result of a verification.
    pub fn verified(&mut self, at: &JsValue, is_valid: bool) -> Result<JsValue, JsValue> {
        self.step(at, |exchange, at| exchange.verified(at, is_valid))
    }

    /// Drops the exchange.
    pub fn cancel(&mut self) {
        self.exchange = None;
    }
}

fn step_value(next: ErasedStep) -> Result<JsValue, JsValue> {
    Ok(match next {
        ErasedStep::Send(request) => serialize_request(&request)?.into(),
        ErasedStep::Sleep(pause) => to_millis(pause).into(),
        ErasedStep::Sign(job) => {
            let signing = object(&[("keyId", json!(job.key_id)), ("alg", json!(job.alg))]);
            let signing = with(signing, "signingInput", bytes(&job.signing_input));
            match held_key::signer(&job) {
                Some(signer) => with(signing, "signer", signer).into(),
                None => signing.into(),
            }
        }
        ErasedStep::Verify(job) => verifying(&job).into(),
        ErasedStep::Done(record) => done_object(record).into(),
    })
}

fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// A verification. For a signature: its algorithm, its key as a JWK or the bytes of a secret, the signed bytes and the
/// signature. For a hash: its name, the value to hash, and the claimed half.
fn verifying(job: &VerificationJob) -> Object {
    match job {
        VerificationJob::Signature {
            alg,
            key,
            signing_input,
            signature,
        } => {
            let members = [("job", json!("signature")), ("verifies", json!(alg))];
            let job = match key {
                VerificationKey::Public(key) => {
                    let [job, alg] = members;
                    object(&[job, alg, ("jwk", json!(key.to_json()))])
                }
                VerificationKey::Secret(secret) => {
                    with(object(&members), "secret", bytes(secret.expose()))
                }
                _ => object(&members),
            };
            let job = with(job, "input", bytes(signing_input));
            with(job, "signature", bytes(signature))
        }
        VerificationJob::HalfHash { hash, value, half } => object(&[
            ("job", json!("half_hash")),
            ("hash", json!(hash)),
            ("value", json!(value.expose())),
            ("half", json!(half)),
        ]),
    }
}

/// A request as one string. Header fields cannot contain line breaks, and all bodies are UTF-8.
fn serialize_request(request: &Outgoing) -> Result<String, JsValue> {
    let body = std::str::from_utf8(&request.body);
    let body = body.map_err(|_| invalid("the body of the request is not UTF-8"))?;
    let mut text = String::new();
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

/// The result of an exchange: at most one member, or tokens and claims.
fn done_object(record: Record) -> Object {
    let texts = |texts: Vec<String>| texts.into_iter().map(JsValue::from).collect::<Array>();
    match record {
        Record::Tokens(tokens) => with(Object::new(), "tokens", texts(token_texts(&tokens))),
        Record::Login(login) => {
            let claims = login.id_token.as_ref();
            let claims = claims.map(|token| token.claims().to_json());
            let end = object(&[("claims", json!(claims))]);
            with(end, "tokens", texts(token_texts(&login.tokens)))
        }
        Record::Plain(_, members) => object(&[("members", json!(value::members(members)))]),
        Record::Authorization(begun) => with(Object::new(), "authorization", authorization(*begun)),
        Record::Server(server) => with(Object::new(), "server", NativeServer(*server)),
        Record::Nothing => Object::new(),
    }
}

/// An authorization that has begun: the URL to open, and the flow to store until the callback.
pub(crate) fn authorization(begun: StartedAuthorization) -> Object {
    let warnings = begun.pending.warnings().iter();
    let warnings: Vec<_> = warnings.map(|warning| warning.code()).collect();
    object(&[
        ("warnings", json!(warnings)),
        ("url", json!(begun.url)),
        ("flow", json!(begun.pending.to_json().expose())),
        ("expiresIn", json!(begun.expires_in)),
        (
            "requestObject",
            json!(begun.request_object.as_ref().map(|object| object.expose())),
        ),
    ])
}

/// The header fields of a response that exchanges read.
#[wasm_bindgen(js_name = readFields)]
pub fn read_fields() -> Vec<String> {
    let fields = READ.into_iter();
    fields.map(|name| name.as_str().to_owned()).collect()
}

/// Encodes a field value from `fetch`, which has one character for each byte. Other characters cannot have been
/// received over HTTP, and are refused later.
pub(crate) fn latin1(value: &str) -> Vec<u8> {
    let bytes = value.chars();
    bytes.map(|c| u8::try_from(c).unwrap_or(b'\0')).collect()
}
