//! Tokens once the user has entered the code elsewhere (RFC 8628 section 3.4).

use oauth_core::Secret;
use oauth_core::grant;
use oauth_core::moment::UnixTime;

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::polling::PollSchedule;
use crate::request::TokenRequest;

arguments! {
    /// Waits until the user has entered the code of a device authorization, and signs in (RFC 8628 section 3.4).
    ///
    /// The server is polled at its interval, more slowly if it asks for that or responses are lost, and never after the
    /// code has expired. To stop, cancel the call. Scope and resources are those of the code: with openid the ID token
    /// is verified.
    ///
    /// `denied.access_denied` if the user refuses, `denied.expired_token` if the user has not answered in time, other
    /// `denied.*`, `id_token.*`, `jws.*` and `jwt.*`.
    pub struct PollDeviceToken {
        /// The device code.
        pub device_code: Secret<String>,
        /// When the device code expires.
        pub expires_at: UnixTime,
        /// How many seconds to wait between two polls: 5 unless the server says otherwise.
        pub interval: Option<u64>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let grant = grant::DeviceCode::new(self.device_code);
        let waiting = PollSchedule::until(self.expires_at, self.interval);
        waiting.sign_in(client, grant, &self.request)
    }
}
