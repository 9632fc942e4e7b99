//! Backchannel authentication: `POST {backchannel_authentication_endpoint}` (CIBA Core section 7).

use oauth_core::Secret;
use oauth_core::endpoint::backchannel_authentication::{
    self as core, DuplicatePolicy, Hint, TokenDeliveryMode,
};
use oauth_core::moment::UnixTime;

use super::{arguments, outcome};
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Asks the server to authenticate a user on the user's own device (CIBA Core section 7).
    ///
    /// Identify the user by exactly one hint. Begin a request only for a user who is known to you and expects it, and
    /// only one at a time. The request is signed if the client signs its requests and the server supports that.
    ///
    /// `ciba.duplicate_request` while the same request is pending (RFC 10027 section 6.1.15), other `ciba.*` for an
    /// invalid request, `endpoint.missing` if the server does not offer it, `client_auth.required` for a public client,
    /// `denied.*` if it refuses, `lost.*` if no reply arrives.
    pub struct BackchannelAuthentication {
        /// The user's name at the server.
        pub login_hint: Option<String>,
        /// A token of another party that identifies the user.
        pub login_hint_token: Option<Secret<String>>,
        /// An earlier ID token of the user from this server.
        pub id_token_hint: Option<Secret<String>>,
        /// A short text that both devices show, by which the user recognizes this request.
        pub binding_message: Option<String>,
        /// A code known to the user and the server, which the user entered here.
        pub user_code: Option<Secret<String>>,
        /// How long the user should be able to answer, in seconds.
        pub requested_expiry: Option<u64>,
        /// How the user should authenticate: `acr` values in order of preference.
        pub acr_values: Vec<String>,
        /// The registered delivery mode of this client: `poll` by default.
        pub token_delivery_mode: Option<TokenDeliveryMode>,
        /// Whether the same request may be repeated while it is pending: `refused` by default, or `allowed`.
        pub repeat: Option<DuplicatePolicy>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let hint = Hint::only_one_of(self.login_hint, self.login_hint_token, self.id_token_hint)?;
        let mut request = core::BackchannelAuthentication::new(hint, self.request.to_core()?)?
            .acr_values(self.acr_values)
            .token_delivery_mode(self.token_delivery_mode.unwrap_or_default())
            .repeat(self.repeat.unwrap_or_default());
        if let Some(text) = self.binding_message {
            request = request.binding_message(text)?;
        }
        if let Some(code) = self.user_code {
            request = request.user_code(code);
        }
        if let Some(seconds) = self.requested_expiry {
            request = request.requested_expiry(seconds);
        }
        let begun = client.core().authenticate_backchannel(request);
        Ok(ErasedExchange::with_record::<_, BackchannelAuthenticationResponse>(begun))
    }
}

outcome! {
    /// A pending backchannel request, with which the token endpoint is polled (CIBA Core section 7.3).
    pub struct BackchannelAuthenticationResponse from core::BackchannelAuthenticationResponse {
        /// The server's id of the request. Do not show it.
        pub auth_req_id: Secret<String>,
        /// How long the user may answer, in seconds from the response.
        pub expires_in: u64,
        /// When the request expires.
        pub expires_at: UnixTime,
        /// How many seconds to wait between two polls.
        pub interval: u64,
        /// A message that the user's device also shows: show it with the request.
        pub binding_message: Option<String>,
        /// The token with which the server will authenticate its notification.
        pub client_notification_token: Option<Secret<String>>,
    }
}
