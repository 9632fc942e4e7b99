//! A code for another device: `POST {device_authorization_endpoint}` (RFC 8628 section 3.1).

use oauth_core::Secret;
use oauth_core::endpoint::device_authorization as core;
use oauth_core::exchange::ExchangeExt as _;
use oauth_core::moment::UnixTime;

use super::{arguments, outcome};
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Requests a code that the person enters on another device (RFC 8628).
    ///
    /// Without a scope, the server grants its default. `endpoint.missing` if the server does not offer
    /// it, `reply.shape` if its response is malformed, `denied.*` if it refuses, `lost.*` if no
    /// answer arrives.
    pub struct DeviceAuthorization {
        /// What the person agrees to, for the prompt, such as "sign in to example-cli on build-7".
        pub purpose: Option<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let ask = core::DeviceAuthorization::new(self.request.to_core()?);
        let purpose = self.purpose.unwrap_or_default();
        let code = client.core().call(ask);
        let code = code.and_then(move |_, code| Ok(DeviceCode::of(code, &purpose)));
        Ok(Machine::of::<_, DeviceCode>(code))
    }
}

outcome! {
    /// What to show to the person, and what the token endpoint is polled with (RFC 8628 section 3.2).
    pub struct DeviceCode {
        /// What the token endpoint is polled with. Do not show it.
        pub device_code: Secret<String>,
        /// The code that the person enters.
        pub user_code: String,
        /// The page where the person enters it.
        pub verification_uri: String,
        /// The same with the code in it, for a QR code; show the code as well. Only if it has the same
        /// origin.
        pub verification_uri_complete: Option<String>,
        /// How long both codes are valid, in seconds from the response.
        pub expires_in: u64,
        /// When both codes expire: remove the prompt then, and request new ones only if the person wants to.
        pub expires_at: UnixTime,
        /// How many seconds to wait between two polls.
        pub interval: u64,
        /// The prompt for the person: what the code is for, where to enter it, and not to enter one that somebody else
        /// has sent. In English.
        pub prompt: String,
    }
}

impl DeviceCode {
    /// What the core says, with a prompt for this purpose.
    pub fn of(code: core::DeviceCode, purpose: &str) -> Self {
        let text = |url: &oauth_core::url::Url| url.as_str().to_owned();
        Self {
            prompt: code.prompt(purpose),
            expires_at: code.expires_at,
            verification_uri: text(&code.verification_uri),
            verification_uri_complete: code.verification_uri_complete.as_ref().map(text),
            device_code: code.device_code,
            user_code: code.user_code,
            expires_in: code.expires_in,
            interval: code.interval,
        }
    }
}
