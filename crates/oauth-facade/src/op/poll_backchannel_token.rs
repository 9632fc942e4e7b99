//! Polls for tokens until the user has answered on another device (CIBA Core section 10.1).

use oauth_core::Secret;
use oauth_core::grant;
use oauth_core::moment::UnixTime;

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::polling::PollSchedule;
use crate::request::TokenRequest;

arguments! {
    /// Waits until the user has answered a backchannel request, and signs the user in (CIBA Core section 10.1).
    ///
    /// The server is polled at its interval until the request expires; after its notification (ping), leave out
    /// `expires_at`: then it is asked once. Scope and resources are those of the request. The ID token is verified.
    ///
    /// `denied.access_denied` if the user refuses, `denied.expired_token` if the user has not answered in time, other
    /// `denied.*`, `id_token.*`, `jws.*` and `jwt.*`.
    pub struct PollBackchannelToken {
        /// The server's id of the request.
        pub auth_req_id: Secret<String>,
        /// When the request expires. Without it, the server is asked once.
        pub expires_at: Option<UnixTime>,
        /// How many seconds to wait between two polls: 5 unless the server says otherwise.
        pub interval: Option<u64>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let grant = grant::Ciba::new(self.auth_req_id);
        let schedule = match self.expires_at {
            Some(expires_at) => PollSchedule::until(expires_at, self.interval),
            None => PollSchedule::without_waiting(),
        };
        schedule.sign_in(client, grant, &self.request)
    }
}
