//! The authorization code flow: the authorization request, and the check of its response.
//!
//! RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9207 (issuer in the callback), RFC 9700 section 2.1.

mod callback;
mod conversation;
mod entropy;
mod pending;
#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::fmt;

use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse};
use crate::form::{self, Form};
use crate::grant::{TokenRequest, check_resource};
use crate::issuer::RedirectUri;
use crate::json::form::json_words;
use crate::moment::UnixTime;
use crate::pkce::{ChallengeMethod, PkceRequirement};
use crate::quirk::Quirk;
use crate::scope::Scope;
use crate::server::{EndpointKind, Flag};
use crate::url::Url;

pub use callback::{Callback, check_issuers};
pub use conversation::Authorization;
pub(crate) use conversation::Begin;
pub(crate) use entropy::FlowEntropy;
pub use entropy::HostGeneratedValues;
pub use pending::Pending;

/// How the server hands over its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    #[default]
    Query,
    /// In the fragment, for pages that read it with a script.
    Fragment,
    /// In a form posted to the redirect URI; the callback is then the form's body.
    FormPost,
}

json_words! { ResponseMode { "query" = Query, "fragment" = Fragment, "form_post" = FormPost } }

impl ResponseMode {
    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = [Self::Query, Self::Fragment, Self::FormPost].into_iter();
        all.find(|mode| mode.as_str() == name)
    }

    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }
}

/// What the authorization response brings (OAuth 2.0 Multiple Response Type Encoding Practices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseType {
    /// A code; everything else comes from the token endpoint.
    #[default]
    Code,
    /// A code and, beside it, an ID token that vouches for it (OpenID Connect Core section 3.3). It is
    /// verified before the code is sent.
    CodeIdToken,
}

json_words! { ResponseType { "code" = Code, "code id_token" = CodeIdToken } }

impl ResponseType {
    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = [Self::Code, Self::CodeIdToken].into_iter();
        all.find(|kind| kind.as_str() == name)
    }

    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodeIdToken => "code id_token",
        }
    }

    /// Where the answer stands if the request does not say: "the default Response Mode ... is the fragment
    /// encoding" as soon as a token is in it (Multiple Response Type Encoding Practices section 5).
    pub const fn default_mode(self) -> ResponseMode {
        match self {
            Self::Code => ResponseMode::Query,
            Self::CodeIdToken => ResponseMode::Fragment,
        }
    }
}

/// What to ask the person for.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthorizationRequest {
    /// Where to come back to; exactly as registered.
    pub redirect_uri: RedirectUri,
    /// What the tokens are for. Scope, resources and audiences are asked for here; resources, audiences and
    /// the other parameters again when the code is redeemed.
    pub token_request: TokenRequest,
    /// What the answer brings.
    pub response_type: ResponseType,
    /// How the answer comes back.
    pub response_mode: ResponseMode,
    /// Parameters of the provider's own, such as `prompt` or `audience`. None may have the name
    /// of a protocol parameter.
    pub extra: Vec<(String, String)>,
    /// Whether the server must say that it supports PKCE.
    pub pkce_requirement: PkceRequirement,
    /// Whether the request is handed over before the person is sent to the server (RFC 9126).
    pub push: Push,
    /// Refuse a callback without `iss` even if the server promises none (FAPI 2.0).
    pub issuer_required: bool,
    pub(crate) pkce: Pkce,
}

/// Whether an authorization request is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Push {
    /// Where the server requires it.
    #[default]
    WhereRequired,
    /// Always.
    Always,
}

/// Whether a challenge is sent. Only [`crate::danger`] chooses anything but `S256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pkce {
    S256,
    Plain,
    Off,
}

impl AuthorizationRequest {
    /// A request for the server's default scope.
    pub const fn new(redirect_uri: RedirectUri) -> Self {
        Self {
            redirect_uri,
            token_request: TokenRequest::new(),
            response_type: ResponseType::Code,
            response_mode: ResponseMode::Query,
            extra: Vec::new(),
            pkce_requirement: PkceRequirement::Usual,
            push: Push::WhereRequired,
            issuer_required: false,
            pkce: Pkce::S256,
        }
    }

    /// Asks for this scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.token_request.scope = scope;
        self
    }

    /// Asks for an answer of this type, in its default mode.
    #[must_use]
    pub const fn response_type(mut self, response_type: ResponseType) -> Self {
        self.response_type = response_type;
        self.response_mode = response_type.default_mode();
        self
    }

    /// Has the answer come back like this.
    #[must_use]
    pub const fn response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = mode;
        self
    }

    /// Asks for a token for this resource (RFC 8707), beside those named before.
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn resource(mut self, uri: &str) -> Result<Self, Error> {
        self.token_request = self.token_request.resource(uri)?;
        Ok(self)
    }

    /// Asks for a token for this audience, beside those named before.
    #[must_use]
    pub fn audience(mut self, name: &str) -> Self {
        self.token_request = self.token_request.audience(name);
        self
    }

    /// Asks for all of this, in place of what was named before.
    #[must_use]
    pub fn requesting(mut self, token_request: impl Into<TokenRequest>) -> Self {
        self.token_request = token_request.into();
        self
    }

    /// Adds a parameter of the provider's own.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// The URL to open, and what to keep until the person comes back.
    pub(crate) fn start(
        self,
        config: &ClientConfig,
        now: UnixTime,
        entropy: &FlowEntropy<'_>,
    ) -> Result<(Url, Pending), Error> {
        // The person would only be shown the server's error page.
        if self.is_pushed(config) {
            return Err(Misuse::PushRequired.into());
        }
        let Prepared { form, pending } = self.prepare(config, now, entropy)?;
        let endpoint = config.server.endpoint(EndpointKind::Authorization)?;
        Ok((endpoint.with_query(&form), pending))
    }

    /// Whether the server gets the request before the person does.
    fn is_pushed(&self, config: &ClientConfig) -> bool {
        let required = "require_pushed_authorization_requests";
        self.push == Push::Always || config.server.flag(required, Flag::False)
    }

    /// Every parameter of the request, and what to keep until the person comes back.
    fn prepare(
        self,
        config: &ClientConfig,
        now: UnixTime,
        entropy: &FlowEntropy<'_>,
    ) -> Result<Prepared, Error> {
        // The person would only be shown the server's error page.
        if config
            .server
            .flag("require_signed_request_object", Flag::False)
        {
            return Err(Misuse::RequestObjectRequired.into());
        }
        let endpoint = config.server.endpoint(EndpointKind::Authorization)?;
        if !config.allows(&self.redirect_uri) {
            return Err(Misuse::RedirectUriUnregistered.into());
        }
        self.check_response_type()?;
        let method = self.challenge_method(config)?;
        let proof = method
            .map(|method| Ok::<_, Error>((method, entropy.proof(method)?)))
            .transpose()?;
        let state = entropy.state()?;
        // The nonce binds an ID Token to this flow; without openid there is none to bind.
        let nonce = self
            .token_request
            .scope
            .contains("openid")
            .then(|| entropy.nonce())
            .transpose()?;
        let mut form = Form::new();
        form.push("response_type", self.response_type.as_str());
        form.push(
            config.server.rules().client_id_parameter(),
            config.client_id.as_str(),
        );
        form.push("redirect_uri", self.redirect_uri.as_str());
        crate::grant::push_scope(&mut form, &self.token_request.scope, config.server.rules());
        form.push("state", state.expose());
        form.push_some("nonce", nonce.as_ref().map(|nonce| nonce.expose().as_str()));
        if let Some((method, (_, challenge))) = &proof {
            form.push("code_challenge", challenge);
            form.push("code_challenge_method", method.as_str());
            let is_hashed = *method == ChallengeMethod::S256;
            if is_hashed && config.server.rules().has(&Quirk::ChallengeAsVerifier) {
                form.push("code_verifier", challenge);
            }
        }
        if self.response_mode != self.response_type.default_mode() {
            form.push("response_mode", self.response_mode.as_str());
        }
        for (name, value) in self.token_request.iter() {
            if TARGETS.contains(&name) {
                check_extra(config, name, value.expose())?;
                form.push_repeated(name, value.expose());
            }
        }
        let mut max_age = None;
        for (name, value) in &self.extra {
            check_extra(config, name, value)?;
            if name == "max_age" {
                let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
                let seconds = value.parse().ok().filter(|_| is_number);
                let wrong = || Error::from(Misuse::ParameterValue).about(name);
                max_age = Some(seconds.ok_or_else(wrong)?);
            }
            if name == "resource" {
                check_resource(value)?;
            }
            form.push(name, value);
        }
        for (name, _) in form::parse(endpoint.query().unwrap_or_default()).unwrap_or_default() {
            // "Request and response parameters MUST NOT be included more than once" (3.1)
            if form.names(&name) {
                return Err(Error::from(Misuse::ParameterTwice).about(&name));
            }
        }
        form.check()?;
        let pending = Pending {
            issuer: config.server.issuer().as_str().to_owned(),
            client_id: config.client_id.as_str().to_owned(),
            issuer_required: self.issuer_required
                || config.server.authorization_response_iss_supported(),
            redirect_uri: self.redirect_uri,
            state,
            nonce,
            code_verifier: proof.map(|(_, (verifier, _))| verifier),
            token_request: self.token_request,
            response_type: self.response_type,
            response_mode: self.response_mode,
            started_at: now,
            max_age,
        };
        Ok(Prepared { form, pending })
    }

    /// A token in the answer is an ID token, and stays out of the query: that is logged, and sent on as a
    /// referrer ("the query encoding MUST NOT be used", Multiple Response Type Encoding Practices section 5).
    fn check_response_type(&self) -> Result<(), Error> {
        if self.response_type == ResponseType::Code {
            return Ok(());
        }
        let wrong = |name| Err(Error::from(Misuse::ParameterValue).about(name));
        if !self.token_request.scope.contains("openid") {
            return wrong("response_type, which needs the scope openid");
        }
        if self.response_mode == ResponseMode::Query {
            return wrong("response_mode");
        }
        Ok(())
    }

    /// Whether a login with PKCE is known to fail, and one without has other credentials. Who demands that
    /// PKCE is advertised demands PKCE.
    fn is_known_to_break(&self, config: &ClientConfig) -> bool {
        self.pkce_requirement == PkceRequirement::Usual
            && config.auth.is_confidential()
            && config.server.rules().has(&Quirk::WithoutPkce)
    }

    /// How the challenge is made, or none at all.
    fn challenge_method(&self, config: &ClientConfig) -> Result<Option<ChallengeMethod>, Error> {
        match self.pkce {
            Pkce::Off => Ok(None),
            Pkce::Plain => Ok(Some(ChallengeMethod::Plain)),
            Pkce::S256 if self.is_known_to_break(config) => Ok(None),
            Pkce::S256 => {
                let supported = config.server.code_challenge_methods();
                ChallengeMethod::choose(supported.as_deref(), self.pkce_requirement).map(Some)
            }
        }
    }
}

/// A request whose parameters are known, on whichever way they go.
struct Prepared {
    form: Form,
    pending: Pending,
}

impl fmt::Debug for AuthorizationRequest {
    /// Of the provider's own parameters the names only: an `id_token_hint` is a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri)
            .field("asked", &self.token_request)
            .field(
                "extra",
                &self.extra.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// The parameters of a token request that are asked for at the authorization, too.
const TARGETS: [&str; 2] = ["resource", "audience"];

/// Parameters this crate writes itself, or that must not be in a front-channel request.
const RESERVED: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "request",
    "request_uri",
    "iss",
    "error",
];

/// Parameters of other requests, whose values must never be in a URL.
const SECRETS: &[&str] = &[
    "client_secret",
    "client_assertion",
    "code",
    "code_verifier",
    "access_token",
    "refresh_token",
    "token",
    "password",
    "assertion",
    "subject_token",
    "actor_token",
    "device_code",
];

fn check_extra(config: &ClientConfig, name: &str, value: &str) -> Result<(), Error> {
    let holds_secret = config
        .auth
        .secret()
        .is_some_and(|secret| !secret.is_empty() && value.contains(secret));
    if SECRETS.contains(&name) || holds_secret {
        // UserTesting's portal shows just this; a URL ends up in histories and logs.
        return Err(Error::from(Misuse::SecretInUrl).about(name));
    }
    let own_id = config.server.rules().client_id_parameter();
    if RESERVED.contains(&name) || name == own_id || name.is_empty() {
        return Err(Error::from(Misuse::ParameterReserved).about(name));
    }
    Ok(())
}
