//! What the server posts once a person has answered (CIBA Core sections 10.2 and 10.3).

use oauth_core::Secret;
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::redeem::Login;

use super::arguments;
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Judges a ping, which the server posts once the person has answered (CIBA Core section 10.2).
    ///
    /// If it is good, ask for the tokens, once. Answer 204, or what the error says.
    ///
    /// `ciba.notifier` for one without the token of its request, `ciba.unknown_request` for one of another request,
    /// `reply.*` for what cannot be read.
    pub struct VerifyPing {
        /// The server's name for the request that waits.
        pub auth_req_id: Secret<String>,
        /// What the server has to authenticate with.
        pub client_notification_token: Secret<String>,
        /// The value of the Authorization header that came.
        pub authorization: Option<Secret<String>>,
        /// What was posted.
        pub body: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let awaited = AwaitedRequest {
            auth_req_id: self.auth_req_id,
            client_notification_token: self.client_notification_token,
            token_request: oauth_core::grant::TokenRequest::new(),
        };
        let authorization = self.authorization.map(|value| value.expose().clone());
        let body = self.body.expose().clone().into();
        Ok(Machine::new(client.core().verify_ping(awaited, authorization, body)))
    }
}

arguments! {
    /// Takes the tokens that the server has pushed once the person has answered (CIBA Core section 10.3.1).
    ///
    /// The ID token is verified: it has to vouch for the request, the access token and the refresh token. Answer 204,
    /// or what the error says.
    ///
    /// `ciba.*` for a notification that is not this request's, `token.*`, `id_token.*`, `jws.*` and `jwt.*`.
    pub struct TakePushed {
        /// The server's name for the request that waits.
        pub auth_req_id: Secret<String>,
        /// What the server has to authenticate with.
        pub client_notification_token: Secret<String>,
        /// The value of the Authorization header that came.
        pub authorization: Option<Secret<String>>,
        /// What was posted.
        pub body: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let awaited = AwaitedRequest {
            auth_req_id: self.auth_req_id,
            client_notification_token: self.client_notification_token,
            token_request: self.request.to_core()?,
        };
        let authorization = self.authorization.map(|value| value.expose().clone());
        let body = self.body.expose().clone().into();
        let pushed = client.core().take_pushed(awaited, authorization, body);
        Ok(Machine::of::<_, Login>(pushed))
    }
}
