//! [`AuthorizationRequest`]: the parameters that a caller sets for an authorization request. The others, such
//! as `dpop_jkt` (RFC 9449 section 10), are added in `prepare.rs`. `Url::with_query` in `url.rs` keeps the query that
//! the endpoint already has (RFC 6749 section 3.1).

use std::fmt;

use super::step_up_request::StepUpRequirements;
use super::{ResponseMode, ResponseType};
use crate::authorization_details::AuthorizationDetails;
use crate::error::Error;
use crate::grant::TokenRequest;
use crate::json::{Map, Value, map_text};
use crate::pkce::PkceRequirement;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::url::Url;

/// The parameters of an authorization request.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthorizationRequest {
    /// The redirect URI, exactly as registered.
    pub redirect_uri: RedirectUri,
    /// The token request. Scope, resources, audiences and authorization details are requested here;
    /// resources, audiences and the other parameters are sent again when the code is redeemed.
    pub token_request: TokenRequest,
    /// The response type: what the authorization response contains.
    pub response_type: ResponseType,
    /// How the response is returned.
    pub response_mode: ResponseMode,
    /// Further parameters, such as `display` or `domain_hint`. None may have the name of a
    /// parameter that this crate writes.
    pub extra: Vec<(String, String)>,
    /// Whether the server must announce that it supports PKCE.
    pub pkce_requirement: PkceRequirement,
    /// Whether the request is pushed to the server before the user goes there (RFC 9126).
    pub push: Push,
    /// The URL from which the server fetches the signed request (RFC 9101 section 5.2).
    pub request_uri: Option<Url>,
    /// Refuse a callback without `iss` even if the server promises none (FAPI 2.0).
    pub issuer_required: bool,
    /// The context in which the flow begins, such as a tool and a tenant: its callback must arrive in the same one, see
    /// [`PendingAuthorization::with_callback_context`](super::PendingAuthorization::with_callback_context).
    pub context: Option<String>,
    /// The user or session that begins the flow, as the application names it: its callback must arrive there.
    pub user: Option<Secret<String>>,
    pub(crate) pkce: Pkce,
    /// The step-up that an API requires.
    pub(super) step_up: Option<Box<StepUpRequirements>>,
}

/// Whether a login by a code on another device loses nothing by this parameter of an authorization request: the device
/// grant has parameters for what the tokens are for (RFC 8628 section 3.1), and a mere hint may be left out. How the
/// user has to sign in (`acr_values`, `max_age`, `prompt`, `claims`) cannot be requested there.
pub fn has_place_in_device_grant(parameter: &str) -> bool {
    const PLACES: [&str; 6] = [
        "scope",
        "resource",
        "audience",
        "authorization_details",
        "login_hint",
        "ui_locales",
    ];
    PLACES.contains(&parameter)
}

/// Whether an authorization request is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Push {
    /// If the server requires it.
    #[default]
    WhereRequired,
    /// Always.
    Always,
}

impl Push {
    /// `where_required` or `always`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhereRequired => "where_required",
            Self::Always => "always",
        }
    }
}

/// Whether a PKCE challenge is sent. Only [`crate::danger`] sets anything but `S256`.
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
            request_uri: None,
            issuer_required: false,
            context: None,
            user: None,
            pkce: Pkce::S256,
            step_up: None,
        }
    }

    /// Requests this scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.token_request.scope = scope;
        self
    }

    /// Requests a response of this type, in its default mode.
    #[must_use]
    pub const fn response_type(mut self, response_type: ResponseType) -> Self {
        self.response_type = response_type;
        self.response_mode = response_type.default_mode();
        self
    }

    /// Sets the response mode.
    #[must_use]
    pub const fn response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = mode;
        self
    }

    /// Requests a token for this resource (RFC 8707), in addition to those named before.
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn resource(mut self, uri: &str) -> Result<Self, Error> {
        self.token_request = self.token_request.resource(uri)?;
        Ok(self)
    }

    /// Requests a token for this audience, in addition to those named before.
    #[must_use]
    pub fn audience(mut self, name: &str) -> Self {
        self.token_request = self.token_request.audience(name);
        self
    }

    /// Requests these permissions (RFC 9396), instead of those named before. In a URL anyone can change them: push the
    /// request, or sign it, if that matters (section 12).
    #[must_use]
    pub fn authorization_details(mut self, details: &AuthorizationDetails) -> Self {
        self.token_request = self.token_request.authorization_details(details);
        self
    }

    /// Replaces the token request.
    #[must_use]
    pub fn requesting(mut self, token_request: impl Into<TokenRequest>) -> Self {
        self.token_request = token_request.into();
        self
    }

    /// Whether a device authorization request could replace this one, see [`has_place_in_device_grant`].
    pub fn fits_device_grant(&self) -> bool {
        let names = self.extra.iter().map(|(name, _)| name.as_str());
        self.step_up.is_none()
            && self.request_uri.is_none()
            && names.into_iter().all(has_place_in_device_grant)
    }

    /// Pushes the request to the server before the user goes there (RFC 9126), whether the server
    /// requires that or not.
    #[must_use]
    pub const fn pushed(mut self) -> Self {
        self.push = Push::Always;
        self
    }

    /// Sends the signed request by reference (RFC 9101 section 5.2): the server fetches it from this `https`
    /// URL, which must not be guessable. Serve
    /// [`Authorization::request_object`](super::Authorization::request_object) there, as
    /// `application/oauth-authz-req+jwt`, before the user is sent to the server.
    #[must_use]
    pub fn request_uri(mut self, url: Url) -> Self {
        self.request_uri = Some(url);
        self
    }

    /// The requested `acr` values, best first (OpenID Connect Core section 3.1.2.1). The server may ignore them:
    /// check the `acr` of the ID token.
    #[must_use]
    pub fn acr_values<'a>(self, values: impl IntoIterator<Item = &'a str>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        self.extra("acr_values", values.join(" "))
    }

    /// The user must have authenticated within this many seconds; with 0, the user authenticates now. The ID token is
    /// checked against it.
    #[must_use]
    pub fn max_age(self, seconds: u64) -> Self {
        self.extra("max_age", seconds.to_string())
    }

    /// Whether the user is prompted: `none`, or any of `login`, `consent`, `select_account` and `create`, separated
    /// by spaces. `none` together with another value is refused (`form.malformed_parameter`).
    #[must_use]
    pub fn prompt(self, prompt: &str) -> Self {
        self.extra("prompt", prompt)
    }

    /// A hint about the user who is about to sign in.
    #[must_use]
    pub fn login_hint(self, hint: &str) -> Self {
        self.extra("login_hint", hint)
    }

    /// The ID token of the user who is expected to be signed in. It becomes part of the URL, unless the
    /// request is pushed.
    #[must_use]
    pub fn id_token_hint(self, token: &Secret<String>) -> Self {
        self.extra("id_token_hint", token.expose().clone())
    }

    /// Languages for the server's pages, best first (BCP 47).
    #[must_use]
    pub fn ui_locales<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        let tags: Vec<_> = tags.into_iter().collect();
        self.extra("ui_locales", tags.join(" "))
    }

    /// Requests individual claims (OpenID Connect Core section 5.5): an object with the members `userinfo` and
    /// `id_token`.
    #[must_use]
    pub fn claims(self, claims: &Map<String, Value>) -> Self {
        self.extra("claims", map_text(claims))
    }

    /// Begins the flow in this context, such as a tool and a tenant. It is not sent; the callback must arrive
    /// in the same context (draft-ietf-oauth-security-topics-update-03 section 2.2.2).
    #[must_use]
    pub fn in_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Begins the flow for this user or session, as the application names it. It is not sent; the callback must arrive
    /// there (draft-ietf-oauth-security-topics-update-03 section 2.3). PKCE and state do not distinguish users.
    #[must_use]
    pub fn for_user(mut self, user: impl Into<Secret<String>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a further parameter.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for AuthorizationRequest {
    /// Shows only the names of further parameters: an `id_token_hint` is a token.
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
