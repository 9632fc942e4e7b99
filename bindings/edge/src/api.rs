//! Requests to APIs: which token to attach, when to send, and what to do about the response.

use js_sys::{Array, Object, Uint8Array};
use oauth_core::error::{Error, Misuse};
use oauth_facade::{
    Allowance, Api, ApiCall, Attachment, BodyRepeat, Call, CallStep, Clock, OnRateLimit,
    RateLimitChoice,
};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::client::{NativeClient, owner};
use crate::error::{fail, invalid};
use crate::held_key;
use crate::moment::clock;
use crate::plain::{member, millis, object, read, to_millis, with};
use crate::server::{NativeServer, transport};
use crate::tokens::NativeTokens;

/// A rate limit: this many requests in this many seconds.
#[derive(Deserialize)]
struct AllowanceArguments {
    requests: u32,
    seconds: u32,
}

fn allowance(value: &JsValue) -> Result<Option<Allowance>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    let allowed: AllowanceArguments = read(value, "the allowance must be { requests, seconds }")?;
    Ok(Some(Allowance::new(allowed.requests, allowed.seconds)))
}

/// An API; all callers share the known state of its rate limits.
#[wasm_bindgen]
pub struct NativeApi(Api);

#[wasm_bindgen]
impl NativeApi {
    /// The API of a server's preset, or an API of that server at other origins.
    #[wasm_bindgen(js_name = ofServer)]
    pub fn of_server(
        server: &NativeServer,
        origins: Option<Vec<String>>,
        owners: Vec<String>,
        is_documented: bool,
        allowed: &JsValue,
    ) -> Result<Self, JsValue> {
        let owners = owners.iter().map(|name| owner(name));
        let owners = owners.collect::<Result<Vec<_>, _>>()?;
        let keeping = match (is_documented, allowance(allowed)?) {
            (true, _) => RateLimitChoice::Documented,
            (false, Some(allowance)) => RateLimitChoice::Allowance(allowance),
            (false, None) => RateLimitChoice::Nothing,
        };
        let api = server.0.api(origins.as_deref(), &owners, keeping);
        api.map(Self).map_err(fail)
    }

    /// An API of which only the origins are known.
    pub fn at(origins: Vec<String>, loopback: bool, allowed: &JsValue) -> Result<Self, JsValue> {
        let api = Api::new(&origins, transport(loopback)).map_err(fail)?;
        Ok(Self(match allowance(allowed)? {
            Some(allowance) => api.keeping(allowance),
            None => api,
        }))
    }

    /// An API beneath this URL, and nothing else of its origin.
    pub fn beneath(url: &str, loopback: bool) -> Result<Self, JsValue> {
        Api::beneath(url, transport(loopback))
            .map(Self)
            .map_err(fail)
    }

    /// The same API, as this client calls it.
    #[wasm_bindgen(js_name = calledBy)]
    pub fn called_by(&self, client: &NativeClient) -> Result<Self, JsValue> {
        let api = self.0.clone().with_client(client.facade());
        api.map(Self).map_err(fail)
    }

    /// The same API, with rules that recognize the responses which report an expired token: a JSON list.
    #[wasm_bindgen(js_name = withExpiredTokenReplies)]
    pub fn with_expired_token_replies(&self, rules: &str) -> Result<Self, JsValue> {
        let api = self.0.clone().with_expired_token_replies(rules);
        api.map(Self).map_err(fail)
    }

    /// The owner of the token that a request to this URL carries.
    pub fn owner(&self, url: &str) -> Result<String, JsValue> {
        self.0.owner(url).map(str::to_owned).map_err(fail)
    }

    /// Begins a request to this API.
    pub fn call(&self, request: &JsValue) -> Result<NativeCall, JsValue> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RequestArguments {
            method: String,
            url: String,
            headers: Vec<(String, String)>,
            on_rate_limit: String,
            longest_wait_ms: f64,
        }
        let body = member(request, "body").and_then(|body| body.dyn_into::<Uint8Array>().ok());
        let body = body.map(|body| body.to_vec());
        let plain = Object::assign(&Object::new(), request.unchecked_ref());
        let plain = with(plain, "body", JsValue::UNDEFINED);
        let arguments: RequestArguments =
            read(&plain, "the request must be { method, url, headers, body }")?;
        let on_rate_limit = match arguments.on_rate_limit.as_str() {
            "error" => OnRateLimit::Error,
            "wait" => OnRateLimit::Wait {
                longest: millis(arguments.longest_wait_ms),
            },
            "pass" => OnRateLimit::Pass,
            _ => return Err(invalid("onRateLimit must be error, wait or pass")),
        };
        let call = Call {
            method: &arguments.method,
            request: Attachment {
                url: &arguments.url,
                headers: &arguments.headers,
                body: body.as_deref(),
            },
            body_repeat: match body {
                Some(_) => BodyRepeat::Possible,
                None => BodyRepeat::Impossible,
            },
            on_rate_limit,
            ..Call::default()
        };
        let call = ApiCall::new(&self.0, &call).map_err(fail)?;
        Ok(NativeCall(Some(call)))
    }
}

/// One request, with all its repetitions.
#[wasm_bindgen]
pub struct NativeCall(Option<ApiCall>);

#[wasm_bindgen]
impl NativeCall {
    /// Begins.
    pub fn begin(&mut self) -> Result<Object, JsValue> {
        self.step(ApiCall::begin)
    }

    /// Continues after the pause.
    pub fn elapsed(&mut self) -> Result<Object, JsValue> {
        self.step(ApiCall::elapsed)
    }

    /// Continues with the token that the step `token` or `renew` requested.
    pub fn token(&mut self, tokens: &NativeTokens) -> Result<Object, JsValue> {
        self.step(|call, at| call.token(at, &tokens.0))
    }

    /// Continues without a token, because the API requires no authorization.
    pub fn unprotected(&mut self) -> Result<Object, JsValue> {
        self.step(ApiCall::unprotected)
    }

    /// Continues with the signature that the step `sign` requested.
    pub fn signed(&mut self, signature: Vec<u8>) -> Result<Object, JsValue> {
        self.step(|call, at| call.signed(at, signature))
    }

    /// Continues with the status and the header fields of the response.
    pub fn reply(&mut self, status: u16, headers: &Array) -> Result<Object, JsValue> {
        let headers: Vec<(String, String)> = read(headers, "headers must be names and values")?;
        self.step(|call, at| call.reply(at, status, &headers))
    }

    /// Continues with the beginning of the body; empty if it cannot be read.
    pub fn body(&mut self, body: Vec<u8>) -> Result<Object, JsValue> {
        self.step(|call, at| call.body(at, &body))
    }

    /// Ends the call, and frees its place in the rate limiter's queue.
    pub fn close(&mut self) {
        self.0 = None;
    }

    fn step(
        &mut self,
        input: impl FnOnce(&mut ApiCall, &Clock) -> Result<CallStep, Error>,
    ) -> Result<Object, JsValue> {
        let call = self.0.as_mut().ok_or_else(|| fail(Misuse::Over.into()))?;
        input(call, &clock()).and_then(step_object).map_err(fail)
    }
}

/// The next step of a call; which members are set depends on `kind`.
fn step_object(step: CallStep) -> Result<Object, Error> {
    let kind = |kind: &str| ("kind", json!(kind));
    Ok(match step {
        CallStep::Wait(pause) => object(&[kind("wait"), ("ms", json!(to_millis(pause)))]),
        CallStep::Token(owner) => object(&[kind("token"), ("owner", json!(owner))]),
        CallStep::Renew(owner) => object(&[kind("renew"), ("owner", json!(owner))]),
        CallStep::Send {
            url,
            authorization,
            dpop,
        } => object(&[
            kind("send"),
            ("url", json!(url)),
            ("authorization", json!(authorization)),
            ("dpop", json!(dpop)),
        ]),
        CallStep::Peek(limit) => object(&[kind("peek"), ("limit", json!(limit))]),
        // Step-up happens only in sources, which this module does not have.
        CallStep::Done | CallStep::StepUp(_) => object(&[kind("done")]),
        CallStep::DoneRefused => object(&[kind("done_refused")]),
        CallStep::Sign(job) => {
            let signer = held_key::signer(&job).ok_or(Misuse::KeyMissing)?;
            with(object(&[kind("sign")]), "signer", signer)
        }
    })
}
