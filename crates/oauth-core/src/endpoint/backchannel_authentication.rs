//! `POST {backchannel_authentication_endpoint}`: asks the server to authenticate a user on another device.
//!
//! CIBA Core <https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#auth_request>,
//! reply section 7.3

use std::time::Duration;

pub use crate::duplicate_backchannel_request::DuplicatePolicy;

use super::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, Misuse, printable};
use crate::form::Form;
use crate::grant::{TokenRequest, push_scope};
use crate::json::Json;
use crate::moment::UnixTime;
use crate::quirk::Rules;
use crate::secret::Secret;
use crate::server::EndpointKind;

/// How long to wait between two token requests if the server does not say, in seconds (section 7.3).
const DEFAULT_INTERVAL_SECONDS: u64 = 5;
/// The longest message that both devices show, in characters: it must be readable at a glance.
const MAX_BINDING_MESSAGE: usize = 100;

/// The hint that identifies the user. A request contains exactly one (section 7.1).
#[derive(Debug, Clone)]
pub enum Hint {
    /// The user's name at the server, such as a telephone number or a user name.
    Login(String),
    /// A token of another issuer that identifies the user.
    LoginToken(Secret<String>),
    /// An ID token that the server has issued before.
    IdToken(Secret<String>),
}

impl Hint {
    /// Selects the only hint that is present. An empty text is no hint: a parameter without a value counts as omitted
    /// (RFC 6749 section 3.1).
    ///
    /// # Errors
    /// `ciba.hint` if none is present, or more than one (CIBA Core section 7.1).
    pub fn only_one_of(
        login_hint: Option<String>,
        login_hint_token: Option<Secret<String>>,
        id_token_hint: Option<Secret<String>>,
    ) -> Result<Self, Error> {
        let login = login_hint.filter(|text| !text.is_empty()).map(Self::Login);
        let token = |hint: Option<Secret<String>>| hint.filter(|token| !token.expose().is_empty());
        let mut hints = login
            .into_iter()
            .chain(token(login_hint_token).map(Self::LoginToken))
            .chain(token(id_token_hint).map(Self::IdToken));
        match (hints.next(), hints.next()) {
            (Some(hint), None) => Ok(hint),
            _ => Err(Misuse::CibaHint.into()),
        }
    }
}

/// A backchannel authentication request.
///
/// Start one only for a user who is known to you and expects it: unexpected requests are used to wear users down until
/// they agree (RFC 10027). While one is pending, a second identical one of the same client is refused
/// (`ciba.duplicate_request`), unless [`Self::repeat`] allows it.
#[derive(Debug, Clone)]
pub struct BackchannelAuthentication {
    hint: Hint,
    token_request: TokenRequest,
    binding_message: Option<String>,
    user_code: Option<Secret<String>>,
    requested_expiry: Option<u64>,
    acr_values: Vec<String>,
    token_delivery_mode: TokenDeliveryMode,
    pub(crate) repeat: DuplicatePolicy,
}

/// How a client learns that the user has approved or declined (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenDeliveryMode {
    /// The client polls the token endpoint.
    #[default]
    Poll,
    /// The server notifies the client, which then sends one token request.
    Ping,
    /// The server pushes the tokens to the client. FAPI forbids this.
    Push,
}

/// The server's response: the pending request, with which the client polls the token endpoint.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackchannelAuthenticationResponse {
    /// The server's identifier of the request. Never show it.
    pub auth_req_id: Secret<String>,
    /// The number of seconds from the response within which the user must approve or decline.
    pub expires_in: u64,
    /// When the request expires.
    pub expires_at: UnixTime,
    /// How many seconds to wait between two token requests: at least one.
    pub interval: u64,
    /// The binding message, which the user's device also shows: show it with the prompt.
    pub binding_message: Option<String>,
    /// The token with which the server will authenticate its notification.
    pub client_notification_token: Option<Secret<String>>,
}

impl TokenDeliveryMode {
    /// `poll`, `ping` or `push`, as in the client's registration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Ping => "ping",
            Self::Push => "push",
        }
    }
}

impl BackchannelAuthentication {
    /// A request to this user for these tokens. Its scope must contain `openid`.
    ///
    /// # Errors
    /// `ciba.openid_scope`.
    pub fn new(hint: Hint, token_request: impl Into<TokenRequest>) -> Result<Self, Error> {
        let token_request = token_request.into();
        if !token_request.scope.contains("openid") {
            return Err(Misuse::CibaScope.into());
        }
        Ok(Self {
            hint,
            token_request,
            binding_message: None,
            user_code: None,
            requested_expiry: None,
            acr_values: Vec::new(),
            token_delivery_mode: TokenDeliveryMode::Poll,
            repeat: DuplicatePolicy::Refused,
        })
    }

    /// Sets a short text that both devices show, by which the user recognizes this request.
    ///
    /// # Errors
    /// `ciba.binding_message` if it is empty, of more than a hundred characters, or with control characters or
    /// invisible formatting characters.
    pub fn binding_message(mut self, text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let is_plain = !text.trim().is_empty() && printable(&text) == text;
        if !is_plain || text.chars().count() > MAX_BINDING_MESSAGE {
            return Err(Misuse::CibaBindingMessage.into());
        }
        self.binding_message = Some(text);
        Ok(self)
    }

    /// Sets the `user_code` that the user entered for this request. Never store it.
    #[must_use]
    pub fn user_code(mut self, code: impl Into<Secret<String>>) -> Self {
        self.user_code = Some(code.into());
        self
    }

    /// Sets the number of seconds within which the user should be able to approve or decline.
    #[must_use]
    pub const fn requested_expiry(mut self, seconds: u64) -> Self {
        self.requested_expiry = Some(seconds);
        self
    }

    /// Sets how the user should authenticate, in order of preference.
    #[must_use]
    pub fn acr_values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the delivery mode with which the client is registered: [`TokenDeliveryMode::Poll`] by default.
    #[must_use]
    pub const fn token_delivery_mode(mut self, token_delivery_mode: TokenDeliveryMode) -> Self {
        self.token_delivery_mode = token_delivery_mode;
        self
    }

    /// Sets whether the user may be asked again while the same request is still pending: [`DuplicatePolicy::Refused`]
    /// by default (RFC 10027 section 6.1.15).
    #[must_use]
    pub const fn repeat(mut self, repeat: DuplicatePolicy) -> Self {
        self.repeat = repeat;
        self
    }

    /// The hash of user and purpose.
    #[cfg(feature = "sha2")]
    pub(crate) fn duplicate_key(&self, rules: &Rules) -> Result<String, Error> {
        let mut purpose = Form::new();
        push_scope(&mut purpose, &self.token_request.scope, rules);
        self.token_request.fill(&mut purpose, rules)?;
        let (kind, user) = match &self.hint {
            Hint::Login(text) => ("login_hint", text),
            Hint::LoginToken(token) => ("login_hint_token", token.expose()),
            Hint::IdToken(token) => ("id_token_hint", token.expose()),
        };
        Ok(crate::base64::sha256_of_parts([
            kind,
            user,
            purpose.as_str(),
        ]))
    }

    /// Whether the server sends a notification, and so needs a token with which to authenticate it.
    pub(crate) const fn is_notified(&self) -> bool {
        !matches!(self.token_delivery_mode, TokenDeliveryMode::Poll)
    }

    /// The parameters, without those that identify the client.
    pub(crate) fn form(
        &self,
        rules: &Rules,
        notification_token: Option<&Secret<String>>,
    ) -> Result<Form, Error> {
        let mut form = Form::new();
        push_scope(&mut form, &self.token_request.scope, rules);
        match &self.hint {
            Hint::Login(text) => form.push("login_hint", text),
            Hint::LoginToken(token) => form.push("login_hint_token", token.expose()),
            Hint::IdToken(token) => form.push("id_token_hint", token.expose()),
        }
        form.push_some("binding_message", self.binding_message.as_deref());
        form.push_some("user_code", self.user_code.as_ref().map(exposed));
        let seconds = self.requested_expiry.map(|seconds| seconds.to_string());
        form.push_some("requested_expiry", seconds.as_deref());
        if !self.acr_values.is_empty() {
            form.push("acr_values", &self.acr_values.join(" "));
        }
        let token = notification_token.map(exposed);
        form.push_some("client_notification_token", token);
        self.token_request.fill(&mut form, rules)?;
        Ok(form)
    }
}

fn exposed(secret: &Secret<String>) -> &str {
    secret.expose()
}

/// The request as it is sent: its parameters, or the signed request that holds them.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) request: BackchannelAuthentication,
    /// The notification token, if the server sends a notification.
    pub(crate) notification_token: Option<Secret<String>>,
    pub(crate) signed: Option<Secret<String>>,
}

impl Endpoint for Sent {
    const NAME: &'static str = "backchannel_authentication";
    type Output = BackchannelAuthenticationResponse;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let form = match &self.signed {
            // "authentication request parameters MUST NOT be present outside of the JWT" (section 7.1.1)
            Some(signed) => {
                let mut form = Form::new();
                form.push("request", signed.expose());
                form
            }
            None => self
                .request
                .form(cx.server.rules(), self.notification_token.as_ref())?,
        };
        let kind = EndpointKind::BackchannelAuthentication;
        let mut request = EndpointRequest::post(kind, Self::NAME, form);
        request.auth = Auth::ConfidentialClient {
            purpose: Self::NAME,
        };
        Ok(request)
    }

    fn read(
        &self,
        cx: &Context<'_>,
        reply: Reply<'_>,
    ) -> Result<BackchannelAuthenticationResponse, Error> {
        let object = reply.object()?;
        let id = object.get("auth_req_id").and_then(Json::as_str);
        let is_valid = |id: &&str| !id.is_empty() && id.bytes().all(|b| (0x20..=0x7e).contains(&b));
        let id = id
            .filter(is_valid)
            .ok_or_else(|| reply.malformed("auth_req_id"))?;
        let expires_in = reply.seconds(&object, "expires_in")?;
        // "a positive integer value" (CIBA Core section 7.3)
        let expires_in = expires_in.filter(|seconds| *seconds > 0);
        let expires_in = expires_in.ok_or_else(|| reply.malformed("expires_in"))?;
        let interval = reply.interval_seconds(&object, "interval")?;
        Ok(BackchannelAuthenticationResponse {
            auth_req_id: id.into(),
            expires_in,
            expires_at: cx.at.now().after(Duration::from_secs(expires_in)),
            interval: interval
                .unwrap_or(DEFAULT_INTERVAL_SECONDS)
                .clamp(1, expires_in.max(1)),
            binding_message: self.request.binding_message.clone(),
            client_notification_token: self.notification_token.clone(),
        })
    }
}
