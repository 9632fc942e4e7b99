//! A code for another device: `POST {device_authorization_endpoint}` (RFC 8628 section 3.1).

use oauth_core::Secret;
use oauth_core::endpoint::device_authorization as core;

use super::{arguments, outcome};
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Asks for a code that a person enters on another device (RFC 8628).
    ///
    /// Without a scope, the server gives what it gives by itself. `endpoint.missing` if the server does not offer
    /// it, `reply.shape` if its answer is not what the standard describes, `denied.*` if it refuses, `lost.*` if no
    /// answer arrives.
    pub struct DeviceAuthorization {
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let ask = core::DeviceAuthorization::new(self.request.to_core()?);
        Ok(Machine::of::<_, DeviceCode>(client.core().call(ask)))
    }
}

outcome! {
    /// What to show to the person, and what to ask the token endpoint with meanwhile (RFC 8628 section 3.2).
    pub struct DeviceCode {
        /// What the token endpoint is asked with. It is nothing to show.
        pub device_code: Secret<String>,
        /// What the person enters.
        pub user_code: String,
        /// Where the person enters it.
        pub verification_uri: String,
        /// The same with the code in it, for a QR code; the code is shown all the same.
        pub verification_uri_complete: Option<String>,
        /// For how many seconds both codes are good.
        pub expires_in: u64,
        /// How many seconds to wait between two questions.
        pub interval: u64,
    }
}

impl From<core::DeviceCode> for DeviceCode {
    fn from(code: core::DeviceCode) -> Self {
        let text = |url: &oauth_core::url::Url| url.as_str().to_owned();
        Self {
            verification_uri: text(&code.verification_uri),
            verification_uri_complete: code.verification_uri_complete.as_ref().map(text),
            device_code: code.device_code,
            user_code: code.user_code,
            expires_in: code.expires_in,
            interval: code.interval,
        }
    }
}
