//! Validates and serializes the parameters of an authorization request (RFC 6749 section 4.1.1), and decides whether it
//! must be pushed (`require_pushed_authorization_requests`, RFC 9126 section 5). `begin.rs` sends it. PKCE follows
//! the server's `code_challenge_methods_supported`, see `pkce.rs`; for the Model Context Protocol a server that lists
//! no methods is refused in `flow/resource_connection.rs`.

use super::request::{AuthorizationRequest, Pkce, Push};
use super::{CallbackContext, FlowEntropy, PendingAuthorization, ResponseMode, ResponseType};
use crate::authorization_details::{self, AuthorizationDetails};
use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse};
use crate::form::{self, Form};
use crate::grant::check_resource;
use crate::json::{self, Json};
use crate::moment::UnixTime;
use crate::pkce::{ChallengeMethod, PkceRequirement};
use crate::quirk::Quirk;
use crate::security_profile::{Requirement, SecurityProfile};
use crate::server::{EndpointKind, FlagDefault};
use crate::token::authorized_resources::AuthorizedResources;

/// A request whose parameters are complete, before it is decided how they are delivered.
pub(super) struct PreparedRequest {
    pub(super) form: Form,
    pub(super) pending: PendingAuthorization,
}

impl AuthorizationRequest {
    /// Whether the request is pushed to the server first.
    pub(super) fn is_pushed(&self, config: &ClientConfig) -> bool {
        let required = "require_pushed_authorization_requests";
        let kind = EndpointKind::PushedAuthorizationRequest;
        let is_required = |profile: SecurityProfile| {
            let is_offered = || config.server.endpoint(kind).is_ok();
            profile.requires(Requirement::Pushed)
                || profile.requires(Requirement::PushedWhereOffered) && is_offered()
        };
        self.push == Push::Always
            || config.server.flag(required, FlagDefault::False)
            || config.profile.is_some_and(is_required)
    }

    /// Every parameter of the request, and the pending flow to keep until the callback.
    pub(super) fn prepare(
        self,
        config: &ClientConfig,
        now: UnixTime,
        entropy: &FlowEntropy<'_>,
    ) -> Result<PreparedRequest, Error> {
        // RFC 9101 section 10.5. The user would only see the server's error page.
        let required = "require_signed_request_object";
        if config.request_signing().is_none() && config.server.flag(required, FlagDefault::False) {
            return Err(Misuse::RequestObjectRequired.into());
        }
        let endpoint = config.server.endpoint(EndpointKind::Authorization)?;
        if !config.allows_redirect_uri(&self.redirect_uri) {
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
        #[cfg(feature = "sha2")]
        if let Some(key) = &config.dpop {
            // "the JWK Thumbprint [RFC7638] of the proof-of-possession public key" (RFC 9449 section 10): the code is
            // bound to it.
            form.push("dpop_jkt", &key.thumbprint());
        }
        for (name, value) in self.token_request.iter() {
            if TOKEN_REQUEST_PARAMETERS.contains(&name)
                && config.server.rules().sends_parameter(name)
            {
                check_extra(config, name, value.expose())?;
                form.push_repeated(name, value.expose());
            }
        }
        let mut max_age = None;
        for (name, value) in &self.extra {
            check_extra(config, name, value)?;
            if let Some(seconds) = check_value(name, value)? {
                max_age = Some(seconds);
            }
            form.push(name, value);
        }
        for (name, _) in form::parse(endpoint.query().unwrap_or_default()).unwrap_or_default() {
            // "Request and response parameters MUST NOT be included more than once" (RFC 6749 section 3.1)
            if form.names(&name) {
                return Err(Error::from(Misuse::ParameterTwice).about(&name));
            }
        }
        form.check()?;
        let pending = PendingAuthorization {
            issuer: config.server.issuer().as_str().to_owned(),
            client_id: config.client_id.as_str().to_owned(),
            issuer_required: self.issuer_required
                || config.server.authorization_response_iss_supported(),
            redirect_uri: self.redirect_uri,
            state,
            nonce,
            code_verifier: proof.map(|(_, (verifier, _))| verifier),
            token_request: self.token_request,
            resources: AuthorizedResources::default(),
            response_type: self.response_type,
            response_mode: self.response_mode,
            started_at: now,
            max_age,
            step_ups_before: self
                .step_up
                .as_ref()
                .map_or(0, |requirements| requirements.consecutive_logins(now)),
            step_up: self.step_up.map(|requirements| requirements.required),
            warnings: &[],
            context: self.context,
            user: self.user,
            callback_context: CallbackContext::default(),
        };
        Ok(PreparedRequest { form, pending })
    }

    /// A token in the response is an ID token, and must stay out of the query, which is logged and sent on as a
    /// referrer ("the query encoding MUST NOT be used", Multiple Response Type Encoding Practices section 5).
    fn check_response_type(&self) -> Result<(), Error> {
        if self.response_type == ResponseType::Code {
            return Ok(());
        }
        let invalid = |name| Err(Error::from(Misuse::ParameterValue).about(name));
        if !self.token_request.scope.contains("openid") {
            return invalid("response_type, which needs the scope openid");
        }
        if self.response_mode.location(self.response_type) == ResponseMode::Query {
            return invalid("response_mode");
        }
        Ok(())
    }

    /// Whether a login with PKCE is known to fail at this server, the client has other credentials, and the caller does
    /// not require PKCE to be advertised.
    fn breaks_with_pkce(&self, config: &ClientConfig) -> bool {
        self.pkce_requirement == PkceRequirement::Usual
            && config.auth.is_confidential()
            && config.server.rules().has(&Quirk::WithoutPkce)
    }

    /// The challenge method; `None` without PKCE.
    fn challenge_method(&self, config: &ClientConfig) -> Result<Option<ChallengeMethod>, Error> {
        match self.pkce {
            Pkce::Off => Ok(None),
            Pkce::Plain => Ok(Some(ChallengeMethod::Plain)),
            Pkce::S256 if self.breaks_with_pkce(config) => Ok(None),
            Pkce::S256 => {
                let supported = config.server.code_challenge_methods();
                ChallengeMethod::choose(supported.as_deref(), self.pkce_requirement).map(Some)
            }
        }
    }
}

/// The parameters of a token request that are also requested at the authorization.
const TOKEN_REQUEST_PARAMETERS: [&str; 3] =
    ["resource", "audience", authorization_details::PARAMETER];

/// Parameters this crate writes itself, or that must not be in a front-channel request.
pub(super) const RESERVED: &[&str] = &[
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
    "dpop_jkt",
    "iss",
    "error",
];

/// Parameters of other requests, whose values must never be in a URL.
pub(super) const SECRETS: &[&str] = &[
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
    let contains_secret = config
        .auth
        .secret()
        .is_some_and(|secret| !secret.is_empty() && value.contains(secret));
    if SECRETS.contains(&name) || contains_secret {
        // UserTesting's portal tells users to do this, but a URL ends up in histories and logs.
        return Err(Error::from(Misuse::SecretInUrl).about(name));
    }
    let own_id = config.server.rules().client_id_parameter();
    if RESERVED.contains(&name) || name == own_id || name.is_empty() {
        return Err(Error::from(Misuse::ParameterReserved).about(name));
    }
    Ok(())
}

/// Checks the parameters with a special form. Returns the number of `max_age`.
fn check_value(name: &str, value: &str) -> Result<Option<u64>, Error> {
    let invalid = || Error::from(Misuse::ParameterValue).about(name);
    match name {
        "max_age" => {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let seconds = value.parse().ok().filter(|_| is_number);
            return seconds.map(Some).ok_or_else(invalid);
        }
        // "If this parameter contains none with any other value, an error is returned" (OpenID Connect Core section
        // 3.1.2.1).
        "prompt" if value != "none" && value.split(' ').any(|prompt| prompt == "none") => {
            return Err(invalid());
        }
        "resource" => check_resource(value)?,
        "claims" => match json::parse(value) {
            Ok(Json::Object(_)) => {}
            _ => return Err(invalid()),
        },
        authorization_details::PARAMETER => drop(AuthorizationDetails::parse(value)?),
        _ => {}
    }
    Ok(None)
}
