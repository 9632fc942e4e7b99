//! A pending authorization: the values to store between the authorization request and its callback. The callback is
//! checked in this order: state, context and user, issuer, error, code. The token may be for fewer resources than were
//! authorized (RFC 8707 section 2.2); a refresh is checked in `token/authorized_resources.rs`.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::callback::Callback;
use super::{AuthorizationWarning, CallbackContext, ResponseMode, ResponseType, jarm};
use crate::authorization_details;
use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, ExchangeExt as _, Ready};
use crate::flow::redeem::{Expected, HybridResponse, Redemption};
use crate::grant::{AuthorizationCode, TokenRequest};
use crate::json::{self, JsonForm as _};
use crate::json_form;
use crate::moment::UnixTime;
use crate::pkce::CodeVerifier;
use crate::quirk::Quirk;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::authorized_resources::AuthorizedResources;
use crate::token::step_up_requirement::StepUp;

/// A flow between the authorization URL and its callback: issuer, redirect URI, state, nonce
/// and code verifier, bound together and used once.
///
/// Keep it where only the browser that started the flow can reach it (a sealed cookie, a server
/// session), never in the URL.
#[derive(Debug)]
pub struct PendingAuthorization {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) issuer_required: bool,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) state: Secret<String>,
    pub(crate) nonce: Option<Secret<String>>,
    pub(crate) code_verifier: Option<CodeVerifier>,
    pub(crate) token_request: TokenRequest,
    /// The authorized resources; set only if the token is requested for a subset.
    pub(crate) resources: AuthorizedResources,
    pub(crate) response_type: ResponseType,
    pub(crate) response_mode: ResponseMode,
    pub(crate) started_at: UnixTime,
    /// `max_age` of the request in seconds: the ID token must satisfy it.
    pub(crate) max_age: Option<u64>,
    /// The step-up that an API requires.
    pub(crate) step_up: Option<StepUp>,
    /// The number of consecutive step-up logins before this one.
    pub(crate) step_ups_before: u64,
    /// The warnings of the request. They are not stored.
    pub(crate) warnings: &'static [AuthorizationWarning],
    /// The context in which the flow was begun, and the user who began it.
    pub(crate) context: Option<String>,
    pub(crate) user: Option<Secret<String>>,
    /// Where the callback arrived. It is not stored.
    pub(crate) callback_context: CallbackContext,
}

impl PendingAuthorization {
    /// The issuer to which the user was sent.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The redirect URI at which the callback must arrive.
    pub const fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }

    /// When the flow started, for callers that expire old flows.
    pub const fn started_at(&self) -> UnixTime {
        self.started_at
    }

    /// The `state` parameter of the request. It identifies the flow if several are pending in one
    /// session.
    pub const fn state(&self) -> &Secret<String> {
        &self.state
    }

    /// The `nonce` that the ID Token must repeat (OpenID Connect Core section 3.1.2.1), if the
    /// scope contains `openid`.
    pub const fn nonce(&self) -> Option<&Secret<String>> {
        self.nonce.as_ref()
    }

    /// Whether a callback carries this flow's state. If it does not, reject it and
    /// keep the flow: anyone can forge a callback, and even an error response must not end a flow.
    ///
    /// The state of a signed response (JARM) is read before its signature is verified. An encrypted response is
    /// assumed to belong to this flow: [`Client::recognizes`](crate::Client::recognizes) decrypts it.
    pub fn recognizes(&self, callback: &str) -> bool {
        self.recognizes_with(None, callback)
    }

    /// Whether a callback carries this flow's state ([`recognizes`](Self::recognizes)), for a client that may have the
    /// keys of encrypted responses.
    pub(crate) fn recognizes_with(&self, config: Option<&ClientConfig>, callback: &str) -> bool {
        let Ok(callback) = self.read(callback) else {
            return false;
        };
        match callback.response().filter(|_| self.response_mode.is_jwt()) {
            None => callback.has_state(&self.state),
            Some(response) if config.is_none() && jarm::is_encrypted(response) => true,
            Some(response) => {
                let state = jarm::claimed_state(config, response);
                state.is_some_and(|state| self.state.matches(state.expose()))
            }
        }
    }

    /// Sets the context in which the callback arrived, as the application determined it. A flow that was begun in a
    /// context, or by a user, can be redeemed only there: `callback.context` and `callback.user` are the errors for any
    /// other context or user, and for none.
    #[must_use]
    pub fn with_callback_context(mut self, callback_context: CallbackContext) -> Self {
        self.callback_context = callback_context;
        self
    }

    /// The context in which the flow was begun.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The warnings of the request: problems that are known when it is made. They are not stored.
    pub const fn warnings(&self) -> &[AuthorizationWarning] {
        self.warnings
    }

    fn read<'a>(&self, callback: &'a str) -> Result<Callback<'a>, Error> {
        let response_part = self.response_mode.location(self.response_type);
        Callback::read(callback, &self.redirect_uri, response_part)
    }

    /// Requests a token for only these of the requested resources when the code is redeemed (RFC 8707 section 2.2):
    /// tokens for the others can be requested with the refresh token.
    ///
    /// # Errors
    /// `resource.exceeds_grant` for one that the authorization did not request.
    pub fn for_resources<'a>(
        mut self,
        resources: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let authorized = self.resources();
        let mut narrowed = self.token_request.without(&["resource"]);
        for uri in resources {
            let requested = self.token_request.values_of("resource").map(Secret::expose);
            if !requested
                .chain(authorized.as_slice())
                .any(|resource| resource == uri)
            {
                return Err(Error::from(Misuse::ResourceExceeds).about(uri));
            }
            narrowed = narrowed.resource(uri)?;
        }
        self.token_request = narrowed;
        self.resources = authorized;
        Ok(self)
    }

    /// The resources that the authorization requested.
    fn resources(&self) -> AuthorizedResources {
        if self.resources.is_absent() {
            AuthorizedResources::from_parameters(self.token_request.values_of("resource"))
        } else {
            self.resources.clone()
        }
    }

    /// The flow as JSON. It contains the verifier: store it where secrets belong.
    pub fn to_json(&self) -> Secret<String> {
        let stored = Stored {
            version: 1,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            issuer_required: self.issuer_required,
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.expose().clone(),
            nonce: self.nonce.as_ref().map(|nonce| nonce.expose().clone()),
            code_verifier: self
                .code_verifier
                .as_ref()
                .map(|verifier| verifier.expose().to_owned()),
            scope: self.token_request.scope.clone(),
            parameters: self.token_request.stored_pairs(),
            resources: self.resources.clone(),
            response_type: (self.response_type != ResponseType::default())
                .then_some(self.response_type),
            response_mode: self.response_mode,
            started_at: self.started_at,
            max_age: self.max_age,
            step_up: self.step_up.clone(),
            step_ups_before: (self.step_ups_before > 0).then_some(self.step_ups_before),
            context: self.context.clone(),
            user: self.user.as_ref().map(|user| user.expose().clone()),
        };
        Secret::new(json::to_text(&stored))
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// `stored.malformed`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let stored: Stored = json::from_text(text).ok_or(Misuse::StoredForm)?;
        // Without its nonce, a sign-in could not recognize its own ID token.
        let has_nonce = stored
            .nonce
            .as_deref()
            .is_some_and(|nonce| !nonce.is_empty());
        let is_bound = has_nonce || !stored.scope.contains("openid");
        // A response must not be accepted in a part of the callback where none was requested.
        let response_type = stored.response_type.unwrap_or_default();
        let is_response_mode_valid = response_type == ResponseType::Code
            || has_nonce && stored.response_mode.location(response_type) != ResponseMode::Query;
        if stored.version != 1 || stored.state.is_empty() || !is_bound || !is_response_mode_valid {
            return Err(Misuse::StoredForm.into());
        }
        let code_verifier = stored
            .code_verifier
            .as_deref()
            .map(CodeVerifier::parse)
            .transpose()?;
        let token_request = TokenRequest::from_stored(stored.scope, stored.parameters)?;
        Ok(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            issuer_required: stored.issuer_required,
            redirect_uri: stored.redirect_uri,
            state: Secret::new(stored.state),
            nonce: stored.nonce.map(Secret::new),
            code_verifier,
            token_request,
            resources: stored.resources,
            response_type,
            response_mode: stored.response_mode,
            started_at: stored.started_at,
            max_age: stored.max_age,
            step_up: stored.step_up,
            step_ups_before: stored.step_ups_before.unwrap_or_default(),
            warnings: &[],
            context: stored.context,
            user: stored.user.map(Secret::new),
            callback_context: CallbackContext::default(),
        })
    }

    /// Checks a callback; returns its code and the parameters of the token request. No check can be skipped, and the
    /// flow is consumed even if a check fails.
    pub(crate) fn accept(
        self,
        config: &Arc<ClientConfig>,
        callback: &str,
    ) -> Result<Boxed<Redemption>, Error> {
        if self.issuer != config.server.issuer().as_str()
            || self.client_id != config.client_id.as_str()
        {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        let callback = self.read(callback)?;
        if !self.response_mode.is_jwt() {
            if callback.response().is_some() && callback.is_plain() {
                return Err(ProtocolViolation::CallbackMixed.into());
            }
            return Ok(Ready::new(self.check_callback(config, &callback)?).boxed());
        }
        // "the client ... MUST process the transmitted parameters only if they are in the JWT": a mix of both is
        // an attack.
        let response = match callback.response() {
            Some(_) if callback.is_plain() => return Err(ProtocolViolation::CallbackMixed.into()),
            Some(response) => response.into(),
            None => {
                let missing = Error::from(ProtocolViolation::CallbackNoResponse);
                // The error is unverified, but the user should see it.
                return Err(match callback.claimed_error() {
                    Some(error) => missing.about(&format!("it says error={error}")),
                    None => missing,
                });
            }
        };
        Ok(jarm::redemption(Arc::clone(config), self, response).boxed())
    }

    pub(super) fn check_callback(
        self,
        config: &ClientConfig,
        callback: &Callback<'_>,
    ) -> Result<Redemption, Error> {
        if callback.is_empty() {
            // The callback has neither code nor error, so there is nothing to verify: report what
            // is missing.
            return Err(ProtocolViolation::CallbackNoCode.into());
        }
        if !callback.has_state(&self.state) {
            return Err(ValidationFailure::CallbackState.into());
        }
        self.callback_context
            .check(self.context.as_deref(), self.user.as_ref())?;
        let rules = config.server.rules();
        let error = callback.claimed_error();
        // A forged error costs only this flow, which anyone who can reach the browser can end; a forged code
        // costs more.
        let may_omit_issuer = error.is_some() && rules.has(&Quirk::ErrorsWithoutIssuer);
        // The ID token that accompanies a code names the issuer as well, and is verified before the code is sent: a server need
        // not name it twice (RFC 9207 section 2.4).
        let is_issuer_in_id_token =
            self.response_type == ResponseType::CodeIdToken && callback.id_token().is_ok();
        let is_required = self.issuer_required && !may_omit_issuer && !is_issuer_in_id_token;
        callback
            .check_issuer(config.server.issuer(), rules, is_required)
            .map_err(|untrusted| match error {
                // The error is unverified, but the user should see it.
                Some(error) => untrusted.about(&format!("it says error={error}")),
                None => untrusted,
            })?;
        if let Some(refusal) = callback.refusal() {
            return Err(refusal.into());
        }
        let code = callback.code().ok_or(ProtocolViolation::CallbackNoCode)?;
        let is_code =
            |c: char| !c.is_control() && (c.is_ascii() || !config.server.rules().is_strict());
        if !code.chars().all(is_code) {
            return Err(Error::from(ProtocolViolation::CallbackEncoding).about("code"));
        }
        let code: Secret<String> = code.into();
        let resources = self.resources();
        let hybrid_response = match self.response_type {
            ResponseType::Code => None,
            ResponseType::CodeIdToken => Some(HybridResponse {
                id_token: callback.id_token()?,
                code: code.clone(),
                state: self.state,
            }),
        };
        let details = self.token_request.requested_details()?;
        // The code represents the permissions as well, and the server may have enriched them.
        let mut token_request = self
            .token_request
            .without(&[authorization_details::PARAMETER]);
        let code = AuthorizationCode {
            code,
            redirect_uri: self.redirect_uri,
            code_verifier: self.code_verifier,
            // The code represents the scope, which is not sent again.
            scope: std::mem::take(&mut token_request.scope),
        };
        let is_openid = code.scope.contains("openid");
        let expected = (is_openid || self.nonce.is_some()).then_some(Expected {
            nonce: self.nonce,
            requested_at: self.started_at,
            max_age: self.max_age.map(Duration::from_secs),
            hybrid_response,
        });
        Ok(Redemption {
            code,
            token_request,
            resources,
            details,
            step_up: self.step_up,
            step_ups_before: self.step_ups_before,
            expected,
        })
    }
}

struct Stored {
    version: u32,
    issuer: String,
    client_id: String,
    issuer_required: bool,
    redirect_uri: RedirectUri,
    state: String,
    nonce: Option<String>,
    code_verifier: Option<String>,
    scope: Scope,
    parameters: Vec<(String, String)>,
    resources: AuthorizedResources,
    response_type: Option<ResponseType>,
    response_mode: ResponseMode,
    started_at: UnixTime,
    max_age: Option<u64>,
    step_up: Option<StepUp>,
    step_ups_before: Option<u64>,
    context: Option<String>,
    user: Option<String>,
}

json_form! { Stored {
    version, issuer, client_id, issuer_required, redirect_uri, state, nonce, code_verifier, scope,
    parameters: skip, resources: native, response_type: skip, response_mode, started_at, max_age: skip, step_up: skip,
    step_ups_before: skip,
    context: skip, user: skip,
} }
