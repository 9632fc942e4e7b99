//! The authorization request (RFC 6749 section 4.1.1).

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::flow::authorization::{
    self as core, AuthorizationRequest, Push, ResponseMode, ResponseType,
};
use oauth_core::json;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_core::{PendingAuthorization, Scope, Secret, Tokens};

use super::{Kind, Outcome, arguments};
use crate::arg::JsonText;
use crate::client::Client;
use crate::erased_exchange::ErasedExchange;
use crate::output::Record;
use crate::request::TokenRequest;

arguments! {
    /// Begins an authorization (RFC 6749 section 4.1.1): the URL to which to send the user, and the flow to keep until
    /// the callback.
    ///
    /// State, nonce (with `openid`) and PKCE are always sent. If the server or the profile requires it, or `push` says
    /// so, the request is pushed to the server first (RFC 9126), and it is signed (RFC 9101). `redirect_uri.*`,
    /// `scope.syntax`, `resource.syntax`, `form.*`, `pkce.*`, `profile.forbidden` and `authorization_details.malformed`
    /// for an invalid request, `step_up.*` for a step-up that cannot succeed, `endpoint.missing` for a server without
    /// such an endpoint.
    pub struct Authorize {
        /// The redirect URI, exactly as registered.
        pub redirect_uri: String,
        /// The scope to request.
        pub scope: Scope,
        /// The response type: a code, or a code and an ID token; the ID token is verified before the code is sent
        /// (OpenID Connect Core section 3.3).
        pub response_type: Option<ResponseType>,
        /// The response mode: by default the query, or the fragment if the response has an ID token; with
        /// `form_post` the callback is the posted form. With `jwt` and its variants the response is signed (JARM).
        pub response_mode: Option<ResponseMode>,
        /// The resources the tokens are for, as absolute URIs (RFC 8707).
        pub resource: Vec<String>,
        /// The audiences, for servers that use this parameter.
        pub audience: Vec<String>,
        /// The `authorization_details`: a list of objects, each with a `type` (RFC 9396).
        pub authorization_details: Option<JsonText>,
        /// The requested `acr` values, best first.
        pub acr_values: Vec<String>,
        /// The user must have authenticated within this many seconds; with 0, the user authenticates now.
        pub max_age: Option<u64>,
        /// Whether the user is prompted: `none`, or any of `login`, `consent`, `select_account` and `create`,
        /// separated by spaces.
        pub prompt: Option<String>,
        /// A hint about the user who is about to sign in.
        pub login_hint: Option<String>,
        /// The ID token of the user who is expected to be signed in. It becomes part of the URL, unless the request is
        /// pushed.
        pub id_token_hint: Option<Secret<String>>,
        /// Languages for the server's pages, best first (BCP 47).
        pub ui_locales: Vec<String>,
        /// Individual claims, as an object with the members `userinfo` and `id_token` (OpenID Connect Core section
        /// 5.5).
        pub claims: Option<JsonText>,
        /// Whether the request is pushed to the server first (RFC 9126): by default only if that is required; with
        /// `always`, always.
        pub push: Option<Push>,
        /// An `https` URL of your own from which the server fetches the signed request (RFC 9101 section 5.2):
        /// serve `request_object` there, as `application/oauth-authz-req+jwt`, before you send the user to the server.
        pub request_uri: Option<String>,
        /// The step-up that an API requires (RFC 9470): it is requested instead of `acr_values`, `max_age` and
        /// `claims`, with the scope of `tokens`.
        pub step_up: Option<JsonText>,
        /// The tokens that were not sufficient for the API.
        pub tokens: Option<Arc<Tokens>>,
        /// The context in which the flow begins, such as a tool and a tenant: its callback must arrive in the same
        /// context. It is not sent.
        pub context: Option<String>,
        /// The user or session that begins the flow, as you name it: its callback must arrive there. It is not sent.
        pub user: Option<Secret<String>>,
        /// Further parameters of this request, which the provider documents.
        pub extra: Vec<(String, Secret<String>)>,
        /// Further parameters of the token request, which the provider documents.
        pub token_extra: Vec<(String, Secret<String>)>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        begin(client, self.to_core()?)
    }
}

#[cfg(feature = "sha2")]
fn begin(client: &Client, request: AuthorizationRequest) -> Result<ErasedExchange, Error> {
    let begin = client.core().begin_authorization(request);
    Ok(ErasedExchange::with_record::<_, StartedAuthorization>(
        begin,
    ))
}

/// Without the hash, the host must generate the values: [`Client::begin_authorization_with`].
#[cfg(not(feature = "sha2"))]
fn begin(_: &Client, _: AuthorizationRequest) -> Result<ErasedExchange, Error> {
    Err(oauth_core::error::Misuse::HostGeneratedValues.into())
}

/// The URL to which to send the user, and the flow to keep in the meantime.
#[derive(Debug)]
pub struct StartedAuthorization {
    /// The URL to open.
    pub url: String,
    /// The flow, to be kept until the callback.
    pub pending: PendingAuthorization,
    /// How long the URL is valid, in seconds, if the server stated it.
    pub expires_in: Option<u64>,
    /// What to serve at the `request_uri`.
    pub request_object: Option<Secret<String>>,
}

impl From<core::Authorization> for StartedAuthorization {
    fn from(begun: core::Authorization) -> Self {
        Self {
            url: begun.url.as_str().to_owned(),
            pending: begun.pending,
            expires_in: begun.expires_in,
            request_object: begun.request_object,
        }
    }
}

impl From<StartedAuthorization> for Record {
    fn from(begun: StartedAuthorization) -> Self {
        Self::Authorization(Box::new(begun))
    }
}

impl Outcome for StartedAuthorization {
    const KIND: Kind = Kind::Authorization;
}

impl Authorize {
    /// A request with only a redirect URI.
    pub fn new(redirect_uri: impl Into<String>) -> Self {
        Self {
            redirect_uri: redirect_uri.into(),
            scope: Scope::none(),
            response_type: None,
            response_mode: None,
            resource: Vec::new(),
            audience: Vec::new(),
            authorization_details: None,
            acr_values: Vec::new(),
            max_age: None,
            prompt: None,
            login_hint: None,
            id_token_hint: None,
            ui_locales: Vec::new(),
            claims: None,
            push: None,
            request_uri: None,
            step_up: None,
            tokens: None,
            context: None,
            user: None,
            extra: Vec::new(),
            token_extra: Vec::new(),
        }
    }

    /// The request as a type of the core.
    pub(crate) fn to_core(&self) -> Result<AuthorizationRequest, Error> {
        let token = TokenRequest {
            scope: self.scope.clone(),
            resource: self.resource.clone(),
            audience: self.audience.clone(),
            extra: self.token_extra.clone(),
            authorization_details: self.authorization_details.clone(),
        };
        let request = AuthorizationRequest::new(RedirectUri::parse(&self.redirect_uri)?);
        let request = request.requesting(token.to_core()?);
        let mut request = request.response_type(self.response_type.unwrap_or_default());
        if let Some(mode) = self.response_mode {
            request = request.response_mode(mode);
        }
        request.context.clone_from(&self.context);
        request.user.clone_from(&self.user);
        request.push = self.push.unwrap_or_default();
        let url = self.request_uri.as_deref().map(Url::parse);
        request.request_uri = url.transpose()?;
        for (name, value) in self.parameters() {
            request = request.extra(name, value);
        }
        for (name, value) in &self.extra {
            request = request.extra(name, value.expose().clone());
        }
        Ok(match &self.step_up {
            None => request,
            Some(text) => {
                let step_up: StepUp = json::from_text(&text.0).ok_or_else(|| {
                    Error::from(oauth_core::error::Misuse::ParameterValue).about("step_up")
                })?;
                let tokens_without_user = || Arc::new(Tokens::bearer(""));
                let tokens = self.tokens.clone().unwrap_or_else(tokens_without_user);
                request.step_up(step_up, &tokens)
            }
        })
    }

    /// The parameters that OpenID Connect Core section 3.1.2.1 defines.
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(" "));
        let hint = self.id_token_hint.as_ref();
        let all = [
            ("acr_values", list(&self.acr_values)),
            ("max_age", self.max_age.map(|seconds| seconds.to_string())),
            ("prompt", self.prompt.clone()),
            ("login_hint", self.login_hint.clone()),
            ("id_token_hint", hint.map(|token| token.expose().clone())),
            ("ui_locales", list(&self.ui_locales)),
            ("claims", self.claims.as_ref().map(|text| text.0.clone())),
        ];
        let parameters = all.into_iter();
        parameters.filter_map(|(name, value)| Some((name, value?)))
    }
}
