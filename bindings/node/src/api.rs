//! Requests to APIs: which token to attach, when to send, and what to do about the response.

use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use oauth_core::error::{Error, Misuse};
use oauth_facade::{
    Allowance, Api, ApiCall, Attachment, BodyRepeat, Call, CallStep, Clock, OnRateLimit,
    RateLimitChoice, TokenOwner,
};

use crate::client::NativeClient;
use crate::error::{fail, invalid};
use crate::held_key::NativeSigner;
use crate::runtime::millis;
use crate::server::{NativeServer, transport};
use crate::tokens::NativeTokens;

/// A rate limit: this many requests in this many seconds.
#[napi(object, object_to_js = false)]
pub struct NativeAllowance {
    /// The number of requests.
    pub requests: u32,
    /// The length of the window.
    pub seconds: u32,
}

/// The arguments of a call of `fetch`.
#[napi(object, object_to_js = false)]
pub struct NativeRequest {
    /// The method.
    pub method: String,
    /// The request's URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body; absent for a stream, which can be sent only once.
    pub body: Option<Uint8Array>,
    /// `error`, `wait` or `pass`.
    pub on_rate_limit: String,
    /// The longest wait.
    pub longest_wait_ms: f64,
}

/// The next step of a call; which members are set depends on `kind`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeCallStep {
    /// `wait`, `token`, `renew`, `send`, `peek`, `sign`, `step_up`, `done` or `done_refused`.
    pub kind: &'static str,
    /// The length of a wait, in milliseconds.
    pub ms: Option<f64>,
    /// The owner of the required token: `application`, `user` or `any`.
    pub owner: Option<&'static str>,
    /// The URL of the request to send.
    pub url: Option<String>,
    /// The `Authorization` field of the request.
    pub authorization: Option<String>,
    /// The `DPoP` field of the request, if its token is bound to a key.
    pub dpop: Option<String>,
    /// The number of bytes of the body to read.
    pub limit: Option<u32>,
    /// The signer of the required signature.
    pub signer: Option<NativeSigner>,
}

/// An API; all callers share the known state of its rate limits.
#[napi]
pub struct NativeApi(Api);

impl From<Api> for NativeApi {
    fn from(api: Api) -> Self {
        Self(api)
    }
}

#[napi]
impl NativeApi {
    /// The API of a server's preset, or an API of that server at other origins.
    #[napi(factory)]
    pub fn of_server(
        server: &NativeServer,
        origins: Option<Vec<String>>,
        owners: Vec<String>,
        is_documented: bool,
        allowance: Option<NativeAllowance>,
    ) -> Result<Self> {
        let owners = owners.iter().map(|name| owner(name));
        let owners = owners.collect::<Result<Vec<_>>>()?;
        let keeping = match (is_documented, allowance) {
            (true, _) => RateLimitChoice::Documented,
            (false, Some(allowance)) => RateLimitChoice::Allowance(allowance.into()),
            (false, None) => RateLimitChoice::Nothing,
        };
        let api = server.0.api(origins.as_deref(), &owners, keeping);
        api.map(Self).map_err(fail)
    }

    /// An API of which only the origins are known.
    #[napi(factory)]
    pub fn at(
        origins: Vec<String>,
        loopback: bool,
        allowance: Option<NativeAllowance>,
    ) -> Result<Self> {
        let api = Api::new(&origins, transport(loopback)).map_err(fail)?;
        Ok(Self(match allowance {
            Some(allowance) => api.keeping(allowance.into()),
            None => api,
        }))
    }

    /// The same API, as this client calls it: with proofs, if its tokens are bound to a key.
    #[napi]
    pub fn called_by(&self, client: &NativeClient) -> Result<Self> {
        let api = self.0.clone().with_client(client.facade());
        api.map(Self).map_err(fail)
    }

    /// The same API, with rules that recognize the responses which report an expired token: a JSON list.
    #[napi]
    pub fn with_expired_token_replies(&self, rules: String) -> Result<Self> {
        let api = self.0.clone().with_expired_token_replies(&rules);
        api.map(Self).map_err(fail)
    }

    /// The owner of the token that a request to this URL carries.
    #[napi(ts_return_type = "'application' | 'user' | 'any'")]
    pub fn owner(&self, url: String) -> Result<&'static str> {
        self.0.owner(&url).map_err(fail)
    }

    /// Begins a request.
    #[napi]
    pub fn call(&self, request: NativeRequest) -> Result<NativeCall> {
        let on_rate_limit = match request.on_rate_limit.as_str() {
            "error" => OnRateLimit::Error,
            "wait" => OnRateLimit::Wait {
                longest: millis(request.longest_wait_ms),
            },
            "pass" => OnRateLimit::Pass,
            _ => return Err(invalid("onRateLimit must be error, wait or pass")),
        };
        let call = Call {
            method: &request.method,
            request: Attachment {
                url: &request.url,
                headers: &request.headers,
                body: request.body.as_deref(),
            },
            body_repeat: match request.body {
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
#[napi]
pub struct NativeCall(Option<ApiCall>);

#[napi]
impl NativeCall {
    /// The first step.
    #[napi]
    pub fn begin(&mut self) -> Result<NativeCallStep> {
        self.step(ApiCall::begin)
    }

    /// Continues after the pause.
    #[napi]
    pub fn elapsed(&mut self) -> Result<NativeCallStep> {
        self.step(ApiCall::elapsed)
    }

    /// Continues with the token that the step `token` or `renew` requested.
    #[napi]
    pub fn token(&mut self, tokens: &NativeTokens) -> Result<NativeCallStep> {
        self.step(|call, at| call.token(at, &tokens.0))
    }

    /// Continues without a token, because the API requires no authorization.
    #[napi]
    pub fn unprotected(&mut self) -> Result<NativeCallStep> {
        self.step(ApiCall::unprotected)
    }

    /// Continues with the signature that the step `sign` requested.
    #[napi]
    pub fn signed(&mut self, signature: Uint8Array) -> Result<NativeCallStep> {
        self.step(|call, at| call.signed(at, signature.to_vec()))
    }

    /// Continues with the status and the header fields of the response.
    #[napi]
    pub fn reply(&mut self, status: u16, headers: Vec<(String, String)>) -> Result<NativeCallStep> {
        self.step(|call, at| call.reply(at, status, &headers))
    }

    /// The step-up that the response requires, as JSON, after the step `step_up`.
    #[napi(getter)]
    pub fn required_step_up(&self) -> Option<String> {
        self.0.as_ref()?.step_up_json()
    }

    /// Continues after the step-up.
    #[napi]
    pub fn step_up_done(&mut self) -> Result<NativeCallStep> {
        self.step(ApiCall::resume_after_step_up)
    }

    /// Continues with the beginning of the body; empty if it cannot be read.
    #[napi]
    pub fn body(&mut self, body: Uint8Array) -> Result<NativeCallStep> {
        self.step(|call, at| call.body(at, &body))
    }

    /// Ends the call, and frees its place in the rate limiter's queue.
    #[napi]
    pub fn close(&mut self) {
        self.0 = None;
    }

    fn step(
        &mut self,
        answer: impl FnOnce(&mut ApiCall, &Clock) -> std::result::Result<CallStep, Error>,
    ) -> Result<NativeCallStep> {
        let call = self.0.as_mut().ok_or_else(|| fail(Misuse::Over.into()))?;
        let at = Clock::system().map_err(fail)?;
        answer(call, &at).and_then(step_to_js).map_err(fail)
    }
}

impl From<NativeAllowance> for Allowance {
    fn from(allowance: NativeAllowance) -> Self {
        Self::new(allowance.requests, allowance.seconds)
    }
}

fn owner(name: &str) -> Result<TokenOwner> {
    match name {
        "application" => Ok(TokenOwner::Application),
        "user" => Ok(TokenOwner::User),
        "any" => Ok(TokenOwner::Any),
        _ => Err(invalid("owner must be application, user or any")),
    }
}

fn step_to_js(step: CallStep) -> std::result::Result<NativeCallStep, Error> {
    let step_of_kind = |kind| NativeCallStep {
        kind,
        ..NativeCallStep::default()
    };
    Ok(match step {
        CallStep::Wait(pause) => NativeCallStep {
            ms: Some(pause.as_secs_f64() * 1000.0),
            ..step_of_kind("wait")
        },
        CallStep::Token(owner) => NativeCallStep {
            owner: Some(owner),
            ..step_of_kind("token")
        },
        CallStep::Renew(owner) => NativeCallStep {
            owner: Some(owner),
            ..step_of_kind("renew")
        },
        CallStep::Send {
            url,
            authorization,
            dpop,
        } => NativeCallStep {
            url: Some(url),
            authorization,
            dpop,
            ..step_of_kind("send")
        },
        CallStep::StepUp(owner) => NativeCallStep {
            owner: Some(owner),
            ..step_of_kind("step_up")
        },
        CallStep::Peek(limit) => NativeCallStep {
            limit: u32::try_from(limit).ok(),
            ..step_of_kind("peek")
        },
        CallStep::Done => step_of_kind("done"),
        CallStep::DoneRefused => step_of_kind("done_refused"),
        CallStep::Sign(job) => NativeCallStep {
            signer: Some(NativeSigner::of(&job).ok_or(Misuse::KeyMissing)?),
            ..step_of_kind("sign")
        },
    })
}
