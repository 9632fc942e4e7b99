//! CIBA ping and push notifications, which the server posts once a user has answered (CIBA Core sections 10.2 and
//! 10.3). They are checked in `flow/backchannel.rs` of oauth-core.

use oauth_core::Secret;
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::redeem::Login;

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Verifies a ping, which the server posts once the user has answered (CIBA Core section 10.2).
    ///
    /// If it is valid, request the tokens once. Respond with 204, or with the response in the error.
    ///
    /// `ciba.client_notification_token` for a ping without the token of its request, `ciba.unknown_request` for a ping
    /// about another request, `reply.*` for a malformed one.
    pub struct VerifyPing {
        /// The server's id of the pending request.
        pub auth_req_id: Secret<String>,
        /// The token with which the server must authenticate.
        pub client_notification_token: Secret<String>,
        /// The value of the notification's Authorization header.
        pub authorization: Option<Secret<String>>,
        /// The body of the notification.
        pub body: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let awaited = AwaitedRequest {
            auth_req_id: self.auth_req_id,
            client_notification_token: self.client_notification_token,
            token_request: oauth_core::grant::TokenRequest::new(),
        };
        let authorization = self.authorization.map(|value| value.expose().clone());
        let body = self.body.expose().clone().into();
        Ok(ErasedExchange::new(client.core().verify_ping(awaited, authorization, body)))
    }
}

arguments! {
    /// Accepts the tokens that the server has pushed once the user has answered (CIBA Core section 10.3.1).
    ///
    /// The ID token is verified: it must be bound to the request, the access token and the refresh token. Respond with
    /// 204, or with the response in the error.
    ///
    /// `ciba.*` for a notification about another request, `token.*`, `id_token.*`, `jws.*` and `jwt.*`.
    pub struct AcceptPush {
        /// The server's id of the pending request.
        pub auth_req_id: Secret<String>,
        /// The token with which the server must authenticate.
        pub client_notification_token: Secret<String>,
        /// The value of the notification's Authorization header.
        pub authorization: Option<Secret<String>>,
        /// The body of the notification.
        pub body: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let awaited = AwaitedRequest {
            auth_req_id: self.auth_req_id,
            client_notification_token: self.client_notification_token,
            token_request: self.request.to_core()?,
        };
        let authorization = self.authorization.map(|value| value.expose().clone());
        let body = self.body.expose().clone().into();
        let pushed = client.core().accept_push(awaited, authorization, body);
        Ok(ErasedExchange::with_record::<_, Login>(pushed))
    }
}
