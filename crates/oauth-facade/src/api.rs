//! Calls to an API with another language's HTTP client: which token to attach, when to send, and what to do with the
//! reply.

#[cfg(feature = "connect")]
mod step_up;

use std::time::Duration;

use bytes::Bytes;
use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::SigningJob;
use oauth_core::flow::resource::{self, Allowance, Clock, Event, OnRateLimit, TokenOwner};
use oauth_core::http::{HeaderValue, Method, StatusCode};
use oauth_core::protected_resource_metadata::ResourceIdentifier;
#[cfg(feature = "connect")]
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::{Url, without_fragment};
use oauth_core::{Tokens, danger};

use crate::resource::{Attachment, Resource, headers};
use crate::server::Server;

/// An API: where tokens may be sent, whose token a route needs, and its rate limits. Clones
/// share the limits.
#[derive(Debug, Clone)]
pub struct Api {
    pub(crate) core: resource::Api,
    #[cfg(feature = "connect")]
    on_step_up: OnStepUp,
}

/// How to handle a reply that requires a step-up (RFC 9470).
#[cfg(feature = "connect")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum OnStepUp {
    /// The reply is returned to the caller.
    #[default]
    HandBack,
    /// The source can ask the user.
    Ask,
}

impl From<resource::Api> for Api {
    fn from(core: resource::Api) -> Self {
        Self {
            core,
            #[cfg(feature = "connect")]
            on_step_up: OnStepUp::default(),
        }
    }
}

/// Which rate limit is kept without waiting for the API to enforce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimitChoice {
    /// None: limits are learnt from replies.
    #[default]
    Nothing,
    /// The allowance that the preset documents.
    Documented,
    /// This allowance.
    Allowance(Allowance),
}

impl Server {
    /// The API of this server's preset, or the one at `origins`. `owners` says whose sources are available: only
    /// [`TokenOwner::Any`] for one source that serves all routes.
    ///
    /// # Errors
    /// `url.*`, `provider.*`, `resource.no_token_source`; `api.rate_limit_undocumented` if the documented allowance should be kept, and
    /// none is documented.
    pub fn api(
        &self,
        origins: Option<&[String]>,
        owners: &[TokenOwner],
        keeping: RateLimitChoice,
    ) -> Result<Api, Error> {
        let mut api = resource::Api::new(self.resource(origins)?.core().clone());
        let mut documented = None;
        #[cfg(feature = "providers")]
        if let Some(provider) = self.provider() {
            let preset = provider.api()?;
            api = api
                .with_routes(provider.routes())
                .with_limiter(preset.limiter().clone())
                .with_expired_token_replies(provider.expired_token_replies()?)?;
            documented = provider.rate_limit().and_then(|limit| limit.allowance);
        }
        let allowance = match keeping {
            RateLimitChoice::Nothing => None,
            RateLimitChoice::Allowance(allowance) => Some(allowance),
            RateLimitChoice::Documented => Some(
                documented
                    .take()
                    .ok_or_else(|| Error::from(Misuse::RateLimitUndocumented))?,
            ),
        };
        if let Some(allowance) = allowance {
            api = api.keeping(allowance);
        }
        api.with_owners(owners.iter().copied()).map(Api::from)
    }
}

impl Api {
    /// An API at these origins, with one source for all of it and no preset.
    ///
    /// # Errors
    /// `url.*`.
    pub fn new(origins: &[String], transport: crate::Transport) -> Result<Self, Error> {
        let resource = crate::Resource::new(origins, transport)?;
        Ok(resource::Api::new(resource.core().clone()).into())
    }

    /// The API below this URL, with one source for all of it: the token may be sent there, and nowhere else on the
    /// origin.
    ///
    /// # Errors
    /// `url.*`.
    pub fn beneath(url: &str, transport: crate::Transport) -> Result<Self, Error> {
        let resource = match transport {
            crate::Transport::Https => ResourceIdentifier::parse(url)?,
            crate::Transport::LoopbackHttp => danger::loopback_resource_identifier(url)?,
        };
        Ok(resource::Api::new(resource::Resource::beneath(&resource)).into())
    }

    /// Replaces the preset's rules for responses that report an expired token: a JSON list, see
    /// [`resource::ExpiredTokenReply::from_json`].
    ///
    /// # Errors
    /// `misuse.setup`, naming what is wrong with them.
    #[cfg(feature = "ended-tokens")]
    pub fn with_expired_token_replies(mut self, rules: &str) -> Result<Self, Error> {
        let rules = resource::ExpiredTokenReply::from_json(rules)?;
        self.core = self.core.with_expired_token_replies(rules)?;
        Ok(self)
    }

    /// Limits the calls to this allowance.
    #[must_use]
    pub fn keeping(mut self, allowance: Allowance) -> Self {
        self.core = self.core.keeping(allowance);
        self
    }

    /// The API as this client calls it: with DPoP proofs, if its tokens are bound to a key (RFC 9449 section 7).
    ///
    /// # Errors
    /// `misuse.setup` if another client with another key calls it.
    #[cfg(feature = "sha2")]
    pub fn with_client(mut self, client: &crate::Client) -> Result<Self, Error> {
        let Some(key) = client.core().dpop_key() else {
            return Ok(self);
        };
        let jkt = key.thumbprint();
        if self
            .core
            .dpop_jkt()
            .is_some_and(|other_jkt| other_jkt != jkt)
        {
            let reason = "one API is called with the tokens of one DPoP key";
            return Err(Error::from(Misuse::Setup).about(reason));
        }
        self.core = self.core.with_dpop(client.core())?;
        Ok(self)
    }

    /// Adds proofs of the key to which the API's tokens will be bound.
    #[must_use]
    pub fn with_proofs(mut self, proofs: resource::Proofs) -> Self {
        self.core = self.core.with_proofs(proofs);
        self
    }

    /// Shares the other API's knowledge of the limits, from now on.
    #[must_use]
    pub fn sharing(mut self, other: &Self) -> Self {
        self.core = self.core.with_limiter(other.core.limiter().clone());
        self
    }

    /// The rules for Rust code, such as a native client.
    pub const fn core(&self) -> &resource::Api {
        &self.core
    }

    /// Whether the rules read reply headers of this name; the others need not be passed to [`ApiCall::reply`].
    pub fn reads(&self, name: &[u8]) -> bool {
        self.core.reads(name)
    }

    /// The owner of the token for a request to this URL: `application`, `user` or `any`.
    ///
    /// # Errors
    /// `url.*`, `resource.*`.
    pub fn owner(&self, url: &str) -> Result<&'static str, Error> {
        let url = Url::parse(without_fragment(url))?;
        self.core.resource().check(&url)?;
        self.core.owner(&url).map(TokenOwner::as_str)
    }
}

/// A request, and its options.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// The HTTP method; empty means `GET`.
    pub method: &'a str,
    /// The parts of the request that the rules read. For a body that streams, see [`Self::body_repeat`].
    pub request: Attachment<'a>,
    /// Whether the body can be sent again.
    pub body_repeat: BodyRepeat,
    /// How a pause that the API requires is handled.
    pub on_rate_limit: OnRateLimit,
    /// Whether the core or the HTTP client follows redirects.
    pub redirects: Redirects,
}

/// Whether a body can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyRepeat {
    /// The body can be sent again.
    #[default]
    Possible,
    /// The body cannot be sent again, because it is a stream.
    Impossible,
}

/// Whether the core or the HTTP client follows redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// The core follows redirects: within the origin, if the request can be repeated.
    #[default]
    Here,
    /// The host follows them; it must not send the token to another origin.
    Host,
}

/// The next task of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStep {
    /// Wait, then call [`ApiCall::elapsed`].
    Wait(Duration),
    /// Get a token of this owner (`application`, `user` or `any`), then call [`ApiCall::token`]. A source whose API
    /// requires no authorization has none (`connect.not_protected`): then call [`ApiCall::unprotected`].
    Token(&'static str),
    /// Get a token of this owner to replace the refused one, then continue as after [`Token`](Self::Token). If no token
    /// was sent, report that to the source first.
    Renew(&'static str),
    /// Sign this with a key of the host, then call [`ApiCall::signed`].
    Sign(SigningJob),
    /// The reply requires a token with more authority than this owner's. Ask the user for the [step-up](ApiCall::step_up_json),
    /// then call [`ApiCall::resume_after_step_up`].
    StepUp(&'static str),
    /// Send the request to this URL with this `Authorization`, then call [`ApiCall::reply`].
    Send {
        /// The URL.
        url: String,
        /// The value of the header; `None` for an API that requires no authorization.
        authorization: Option<String>,
        /// The value of `DPoP`, if the token is bound to a key.
        dpop: Option<String>,
    },
    /// Read up to this many bytes of the body, and keep it readable for the caller; then call
    /// [`ApiCall::body`], with `None` if that is not possible.
    Peek(usize),
    /// Return the reply to the caller.
    Done,
    /// Return the reply to the caller, and discard the token that it refused.
    DoneRefused,
}

/// One request to an API: [`resource::ResourceRequest`] with strings in and out.
#[derive(Debug)]
pub struct ApiCall {
    request: resource::ResourceRequest,
    #[cfg(feature = "connect")]
    on_step_up: OnStepUp,
    #[cfg(feature = "connect")]
    required_step_up: Option<StepUpRequirements>,
}

/// The step-up that a reply requires, and the request to send after it.
#[cfg(feature = "connect")]
#[derive(Debug)]
struct StepUpRequirements {
    step_up: StepUp,
    retry: resource::ResourceRequest,
}

impl ApiCall {
    /// Creates the call for a request.
    ///
    /// # Errors
    /// `http.header_value` for a method or a header that no request can have.
    pub fn new(api: &Api, call: &Call<'_>) -> Result<Self, Error> {
        let method = match call.method {
            "" => Method::GET,
            method => Method::from_bytes(method.as_bytes())
                .map_err(|_| Error::from(Misuse::HeaderValue).about("method"))?,
        };
        let mut request = resource::ResourceRequest::new(&api.core, method, call.request.url)
            .headers(headers(call.request.headers, Resource::field)?)
            .on_rate_limit(call.on_rate_limit);
        if let Some(body) = call.request.body {
            request = request.body(Bytes::copy_from_slice(body));
        }
        if call.body_repeat == BodyRepeat::Impossible {
            request = request.body_once();
        }
        if call.redirects == Redirects::Host {
            request = request.without_redirects();
        }
        Ok(Self {
            request,
            #[cfg(feature = "connect")]
            on_step_up: api.on_step_up,
            #[cfg(feature = "connect")]
            required_step_up: None,
        })
    }

    /// Begins the call.
    ///
    /// # Errors
    /// The errors of [`resource::ResourceRequest::resume`], here and in the following methods.
    pub fn begin(&mut self, at: &Clock) -> Result<CallStep, Error> {
        self.resume(at, Event::Begin)
    }

    /// Continues after the pause.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn elapsed(&mut self, at: &Clock) -> Result<CallStep, Error> {
        self.resume(at, Event::Elapsed)
    }

    /// Continues with the requested token.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn token(&mut self, at: &Clock, tokens: &Tokens) -> Result<CallStep, Error> {
        self.resume(at, Event::Token(tokens))
    }

    /// Continues without a token, because the API requires no authorization.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn unprotected(&mut self, at: &Clock) -> Result<CallStep, Error> {
        self.resume(at, Event::NoToken(Misuse::ConnectOpen.into()))
    }

    /// Continues with the requested signature, in the form of JWS (RFC 7518 section 3).
    ///
    /// # Errors
    /// The errors of [`Self::begin`], and `client_auth.signature_length`.
    pub fn signed(&mut self, at: &Clock, signature: Vec<u8>) -> Result<CallStep, Error> {
        self.resume(at, Event::Signed(signature.into()))
    }

    /// Continues with the head of the reply. Only those header fields that are [read](Api::reads) have to be passed;
    /// one whose value is not plain text is ignored.
    ///
    /// # Errors
    /// The errors of [`Self::begin`], and `http.header_value` for a status that no HTTP client could
    /// have received.
    pub fn reply(
        &mut self,
        at: &Clock,
        status: u16,
        fields: &[(String, String)],
    ) -> Result<CallStep, Error> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| Error::from(Misuse::HeaderValue).about("status"))?;
        let plain = |(_, value): &&(String, String)| {
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        let fields = headers(fields.iter().filter(plain), |name| self.request.field(name))?;
        let step = self.resume(at, Event::Reply(status, &fields))?;
        #[cfg(feature = "connect")]
        if step == CallStep::Done && self.take_step_up(status, &fields) {
            let owner = self.request.owner()?;
            return Ok(CallStep::StepUp(owner.as_str()));
        }
        Ok(step)
    }

    /// Continues with the requested beginning of the body.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn body(&mut self, at: &Clock, body: &[u8]) -> Result<CallStep, Error> {
        self.resume(at, Event::Body(body))
    }

    fn resume(&mut self, at: &Clock, event: Event<'_>) -> Result<CallStep, Error> {
        Ok(match self.request.resume(at, event)? {
            resource::Step::Wait(pause) => CallStep::Wait(pause),
            resource::Step::Token(owner) => CallStep::Token(owner.as_str()),
            resource::Step::Renew(owner) => CallStep::Renew(owner.as_str()),
            resource::Step::Sign(job) => CallStep::Sign(job),
            resource::Step::Send {
                url,
                authorization,
                dpop,
            } => CallStep::Send {
                url: url.as_str().to_owned(),
                authorization: authorization.as_ref().map(text).transpose()?,
                dpop: dpop.as_ref().map(text).transpose()?,
            },
            resource::Step::Peek(limit) => CallStep::Peek(limit),
            resource::Step::Done => CallStep::Done,
            resource::Step::DoneRefused => CallStep::DoneRefused,
        })
    }
}

fn text(value: &HeaderValue) -> Result<String, Error> {
    let text = value.to_str().map_err(|_| Misuse::HeaderValue)?;
    Ok(text.to_owned())
}
