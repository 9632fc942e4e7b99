//! One exchange: six inputs, five kinds of step.

use oauth_facade::{
    Cause, ErasedStep, Error, Loss, Moment, Outgoing, Record, Reply, UnixTime, VerificationJob,
    VerificationKey,
};
use wasm_bindgen::prelude::*;

use crate::client::Authorization;
use crate::error::fail;
use crate::server::Server;
use crate::tokens::Tokens;

/// An exchange. `now` is the page's clock, in seconds.
#[wasm_bindgen]
pub struct NativeExchange(oauth_facade::ErasedExchange);

/// The current step of an exchange.
#[wasm_bindgen]
pub struct Step(ErasedStep);

impl NativeExchange {
    pub(crate) const fn of(exchange: oauth_facade::ErasedExchange) -> Self {
        Self(exchange)
    }
}

#[wasm_bindgen]
impl NativeExchange {
    /// The first step.
    pub fn begin(&mut self, now: f64) -> Result<Step, JsValue> {
        to_js_step(self.0.begin(&moment(now)))
    }

    /// Continues with a response; `headers` are names and values in turn.
    pub fn reply(
        &mut self,
        now: f64,
        status: u16,
        headers: Vec<String>,
        body: Vec<u8>,
    ) -> Result<Step, JsValue> {
        let headers = headers.chunks_exact(2);
        let headers = headers.map(|pair| (pair[0].clone(), pair[1].clone().into_bytes()));
        let reply = Reply {
            status,
            headers: headers.collect(),
            body,
        };
        to_js_step(self.0.reply(&moment(now), reply))
    }

    /// Continues without a response: none arrived, or not in time.
    pub fn lost(&mut self, now: f64, reason: &str, late: bool) -> Result<Step, JsValue> {
        let cause = Cause::unknown_as(reason);
        let cause = if late {
            cause.because(Loss::Timeout)
        } else {
            cause
        };
        to_js_step(self.0.lost(&moment(now), cause))
    }

    /// Continues after a response that exceeded the size limit.
    #[wasm_bindgen(js_name = tooLarge)]
    pub fn too_large(&mut self, now: f64) -> Result<Step, JsValue> {
        to_js_step(self.0.lost(&moment(now), Cause::too_large()))
    }

    /// Continues with the result of a verification.
    pub fn verified(&mut self, now: f64, is_valid: bool) -> Result<Step, JsValue> {
        to_js_step(self.0.verified(&moment(now), is_valid))
    }

    /// Continues with the signature, made by WebCrypto.
    pub fn signed(&mut self, now: f64, signature: Vec<u8>) -> Result<Step, JsValue> {
        to_js_step(self.0.signed(&moment(now), signature))
    }

    /// Continues after the pause.
    pub fn elapsed(&mut self, now: f64) -> Result<Step, JsValue> {
        to_js_step(self.0.elapsed(&moment(now)))
    }
}

#[wasm_bindgen]
impl Step {
    /// `send`, `sleep`, `sign`, `verify` or `done`.
    #[wasm_bindgen(getter)]
    pub fn kind(&self) -> String {
        let kind = match &self.0 {
            ErasedStep::Send(_) => "send",
            ErasedStep::Sleep(_) => "sleep",
            ErasedStep::Sign(_) => "sign",
            ErasedStep::Verify(_) => "verify",
            ErasedStep::Done(_) => "done",
        };
        kind.to_owned()
    }

    /// The method of the request to send.
    #[wasm_bindgen(getter)]
    pub fn method(&self) -> Option<String> {
        self.request().map(|request| request.method.clone())
    }

    /// The URL of the request.
    #[wasm_bindgen(getter)]
    pub fn url(&self) -> Option<String> {
        self.request().map(|request| request.url.clone())
    }

    /// The header fields of the request: names and values in turn.
    #[wasm_bindgen(getter)]
    pub fn headers(&self) -> Vec<String> {
        let headers = self.request().map(|request| request.headers.iter());
        let pairs = headers.into_iter().flatten();
        pairs
            .flat_map(|(name, value)| [name.clone(), value.clone()])
            .collect()
    }

    /// The body of the request.
    #[wasm_bindgen(getter)]
    pub fn body(&self) -> Vec<u8> {
        let body = self.request().map(|request| request.body.to_vec());
        body.unwrap_or_default()
    }

    /// The bytes to sign with the page's DPoP key, for a proof.
    #[wasm_bindgen(getter, js_name = signingInput)]
    pub fn signing_input(&self) -> Vec<u8> {
        match &self.0 {
            ErasedStep::Sign(job) => job.signing_input.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The verification. For a signature: its algorithm, its key as a JWK, and the signed text; for a hash: its
    /// name, the value to hash, and the claimed half. Empty for a signature with a shared secret, because a page
    /// has none.
    #[wasm_bindgen(getter)]
    pub fn job(&self) -> Vec<String> {
        match &self.0 {
            ErasedStep::Verify(VerificationJob::Signature {
                alg,
                key: VerificationKey::Public(key),
                signing_input,
                ..
            }) => vec![
                (*alg).to_owned(),
                key.to_json(),
                String::from_utf8_lossy(signing_input).into_owned(),
            ],
            ErasedStep::Verify(VerificationJob::HalfHash { hash, value, half }) => {
                vec![(*hash).to_owned(), value.expose().clone(), half.clone()]
            }
            _ => Vec::new(),
        }
    }

    /// The signature to verify; nothing for a hash.
    #[wasm_bindgen(getter)]
    pub fn signature(&self) -> Option<Vec<u8>> {
        match &self.0 {
            ErasedStep::Verify(VerificationJob::Signature { signature, .. }) => {
                Some(signature.to_vec())
            }
            _ => None,
        }
    }

    /// The verified claims of the resulting ID token, or the UserInfo claims, as JSON.
    #[wasm_bindgen(getter)]
    pub fn claims(&self) -> Option<String> {
        match &self.0 {
            ErasedStep::Done(Record::Login(login)) => login
                .id_token
                .as_ref()
                .map(|id_token| id_token.claims().to_json()),
            ErasedStep::Done(record) => record.json(),
            _ => None,
        }
    }

    /// The pause before the next step, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn millis(&self) -> f64 {
        match &self.0 {
            ErasedStep::Sleep(pause) => pause.as_secs_f64() * 1e3,
            _ => 0.0,
        }
    }

    /// The resulting authorization.
    pub fn authorization(self) -> Option<Authorization> {
        match self.record()? {
            Record::Authorization(begun) => Some(Authorization::of(*begun)),
            _ => None,
        }
    }

    /// The resulting tokens.
    pub fn tokens(self) -> Option<Tokens> {
        match self.record()? {
            Record::Tokens(tokens) => Some(Tokens::of(std::sync::Arc::unwrap_or_clone(tokens))),
            Record::Login(login) => Some(Tokens::of(login.tokens)),
            _ => None,
        }
    }

    /// The resulting server.
    pub fn server(self) -> Option<Server> {
        match self.record()? {
            Record::Server(server) => Some(Server::of(*server)),
            _ => None,
        }
    }

    fn record(self) -> Option<Record> {
        match self.0 {
            ErasedStep::Done(record) => Some(record),
            ErasedStep::Send(_)
            | ErasedStep::Sleep(_)
            | ErasedStep::Sign(_)
            | ErasedStep::Verify(_) => None,
        }
    }

    const fn request(&self) -> Option<&Outgoing> {
        match &self.0 {
            ErasedStep::Send(request) => Some(request),
            _ => None,
        }
    }
}

/// Random bytes from WebCrypto, from which the `jti` of proofs is derived.
fn moment(now: f64) -> Moment {
    Moment::fixed(time(now), seed())
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill(bytes: &mut [u8]);
}

pub(crate) fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    fill(&mut seed);
    seed
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a clock before 1970 is 1970"
)]
pub(crate) fn time(now: f64) -> UnixTime {
    UnixTime::from_secs(now as u64)
}

fn to_js_step(turn: Result<ErasedStep, Error>) -> Result<Step, JsValue> {
    turn.map(Step).map_err(fail)
}
