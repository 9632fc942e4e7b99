//! Requests to APIs: which token to attach, when to send, and what to do about the response.

use std::time::Duration;

use oauth_facade::{
    ApiCall, Attachment, BodyRepeat, CallStep, Clock, Error, Moment, OnRateLimit, RateLimitChoice,
    TokenOwner,
};
use wasm_bindgen::prelude::*;

use crate::client::Client;
use crate::error::fail;
use crate::exchange::{seed, time};
use crate::server::{Server, transport};
use crate::tokens::Tokens;

/// An API; its requests share the known state of its rate limits.
#[wasm_bindgen]
pub struct Api(oauth_facade::Api);

/// One request, with all its repetitions. `now` is the page's clock and `elapsed` its monotonic one,
/// both in seconds. Each step is `wait`, `token`, `renew`, `sign`, `send`, `done` or `done_refused`.
#[wasm_bindgen]
pub struct Call {
    call: ApiCall,
    millis: f64,
    authorization: String,
    dpop: Option<String>,
    signing_input: Vec<u8>,
}

#[wasm_bindgen]
impl Api {
    /// The API at these origins: scheme, host and port.
    #[wasm_bindgen(constructor)]
    pub fn new(origins: Vec<String>, loopback: bool) -> Result<Self, JsValue> {
        oauth_facade::Api::new(&origins, transport(loopback))
            .map(Self)
            .map_err(fail)
    }

    /// The same API, called with tokens of this client, which proves possession of the key that they are bound to.
    pub fn of(server: &Server, client: &Client, origins: Vec<String>) -> Result<Self, JsValue> {
        let api = server
            .0
            .api(Some(&origins), &[TokenOwner::Any], RateLimitChoice::Nothing);
        api.and_then(|api| api.with_client(&client.0))
            .map(Self)
            .map_err(fail)
    }

    /// A request. `headers` are names and values in turn; `longest` is in milliseconds.
    pub fn call(
        &self,
        method: &str,
        url: &str,
        headers: Vec<String>,
        is_stream: bool,
        on_rate_limit: &str,
        longest: f64,
    ) -> Result<Call, JsValue> {
        let call = oauth_facade::Call {
            method,
            request: Attachment {
                url,
                headers: &pairs(headers),
                body: None,
            },
            body_repeat: if is_stream {
                BodyRepeat::Impossible
            } else {
                BodyRepeat::Possible
            },
            on_rate_limit: match on_rate_limit {
                "wait" => OnRateLimit::Wait {
                    longest: seconds(longest / 1e3),
                },
                "pass" => OnRateLimit::Pass,
                _ => OnRateLimit::Error,
            },
            ..oauth_facade::Call::default()
        };
        let call = ApiCall::new(&self.0, &call).map_err(fail)?;
        Ok(Call {
            call,
            millis: 0.0,
            authorization: String::new(),
            dpop: None,
            signing_input: Vec::new(),
        })
    }
}

#[wasm_bindgen]
impl Call {
    /// Begins.
    pub fn begin(&mut self, now: f64, elapsed: f64) -> Result<String, JsValue> {
        let step = self.call.begin(&clock(now, elapsed));
        self.step(step)
    }

    /// Continues after the pause.
    pub fn elapsed(&mut self, now: f64, elapsed: f64) -> Result<String, JsValue> {
        let step = self.call.elapsed(&clock(now, elapsed));
        self.step(step)
    }

    /// Continues with the token that the step `token` or `renew` requested.
    pub fn token(&mut self, now: f64, elapsed: f64, tokens: &Tokens) -> Result<String, JsValue> {
        let step = self.call.token(&clock(now, elapsed), &tokens.0);
        self.step(step)
    }

    /// Continues with the signature, made by WebCrypto.
    pub fn signed(
        &mut self,
        now: f64,
        elapsed: f64,
        signature: Vec<u8>,
    ) -> Result<String, JsValue> {
        let step = self.call.signed(&clock(now, elapsed), signature);
        self.step(step)
    }

    /// Continues with the status and the header fields of the response; `headers` are names and values in turn.
    pub fn reply(
        &mut self,
        now: f64,
        elapsed: f64,
        status: u16,
        headers: Vec<String>,
    ) -> Result<String, JsValue> {
        let step = self
            .call
            .reply(&clock(now, elapsed), status, &pairs(headers));
        self.step(step)
    }

    /// The pause before the next step, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn millis(&self) -> f64 {
        self.millis
    }

    /// The value of the `Authorization` header to send.
    #[wasm_bindgen(getter)]
    pub fn authorization(&self) -> String {
        self.authorization.clone()
    }

    /// The value of the `DPoP` header to send, where the token is bound to a key.
    #[wasm_bindgen(getter)]
    pub fn dpop(&self) -> Option<String> {
        self.dpop.clone()
    }

    /// The bytes to sign.
    #[wasm_bindgen(getter, js_name = signingInput)]
    pub fn signing_input(&self) -> Vec<u8> {
        self.signing_input.clone()
    }

    fn step(&mut self, step: Result<CallStep, Error>) -> Result<String, JsValue> {
        let kind = match step.map_err(fail)? {
            CallStep::Wait(pause) => {
                self.millis = pause.as_secs_f64() * 1e3;
                "wait"
            }
            CallStep::Token(_) => "token",
            CallStep::Renew(_) => "renew",
            CallStep::Sign(job) => {
                self.signing_input = job.signing_input.to_vec();
                "sign"
            }
            CallStep::Send {
                authorization,
                dpop,
                ..
            } => {
                // In a page, a request always carries a token.
                (self.authorization, self.dpop) = (authorization.unwrap_or_default(), dpop);
                "send"
            }
            // `Peek` and `StepUp` do not happen: an API of a page has neither rules nor a source that steps up.
            CallStep::Done | CallStep::Peek(_) | CallStep::StepUp(_) => "done",
            CallStep::DoneRefused => "done_refused",
        };
        Ok(kind.to_owned())
    }
}

fn clock(now: f64, elapsed: f64) -> Clock {
    Clock {
        moment: Moment::fixed(time(now), seed()),
        elapsed: seconds(elapsed),
    }
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

fn pairs(flat: Vec<String>) -> Vec<(String, String)> {
    let mut items = flat.into_iter();
    std::iter::from_fn(|| items.next().zip(items.next())).collect()
}
