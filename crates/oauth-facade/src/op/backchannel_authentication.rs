//! A person is asked on a device of theirs: `POST {backchannel_authentication_endpoint}` (CIBA Core section 7).

use oauth_core::Secret;
use oauth_core::endpoint::backchannel_authentication::{self as core, Delivery, Hint, Repeat};
use oauth_core::moment::UnixTime;

use super::{arguments, outcome};
use crate::machine::Machine;
use crate::request::TokenRequest;

arguments! {
    /// Asks the server to ask a person on a device of theirs (CIBA Core section 7).
    ///
    /// The person is named in exactly one way. Start one only for a person who is known to you and expects it, and
    /// one at a time. The request is signed where the client signs its requests and the server takes such.
    ///
    /// `ciba.pending` while this client asks the person just that (RFC 10027 section 6.1.15), other `ciba.*` for what must not be asked, `endpoint.missing` if the server does not offer it,
    /// `client_auth.secret_missing` for a public client, `denied.*` if it refuses, `lost.*` if no answer arrives.
    pub struct BackchannelAuthentication {
        /// What the person is called at the server.
        pub login_hint: Option<String>,
        /// A token of somebody else that names the person.
        pub login_hint_token: Option<Secret<String>>,
        /// An ID token of the person that this server gave before.
        pub id_token_hint: Option<Secret<String>>,
        /// A short text that both devices show, by which the person tells this request from any other.
        pub binding_message: Option<String>,
        /// A code that the person has with the server and entered here.
        pub user_code: Option<Secret<String>>,
        /// For how many seconds the person should be able to answer.
        pub requested_expiry: Option<u64>,
        /// How the person should authenticate, in order of preference.
        pub acr_values: Vec<String>,
        /// How this client is registered to learn of the answer: by asking, unless you say.
        pub delivery: Option<Delivery>,
        /// Whether the person may be asked what this client is asking them already: refused unless you say, allowed.
        pub repeat: Option<Repeat>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let hint = Hint::of(self.login_hint, self.login_hint_token, self.id_token_hint)?;
        let mut ask = core::BackchannelAuthentication::new(hint, self.request.to_core()?)?
            .acr_values(self.acr_values)
            .delivery(self.delivery.unwrap_or_default())
            .repeat(self.repeat.unwrap_or_default());
        if let Some(text) = self.binding_message {
            ask = ask.binding_message(text)?;
        }
        if let Some(code) = self.user_code {
            ask = ask.user_code(code);
        }
        if let Some(seconds) = self.requested_expiry {
            ask = ask.requested_expiry(seconds);
        }
        let begun = client.core().authenticate_backchannel(ask);
        Ok(Machine::of::<_, BackchannelRequest>(begun))
    }
}

outcome! {
    /// A request that a person is asked about, and what to ask the token endpoint with (CIBA Core section 7.3).
    pub struct BackchannelRequest from core::BackchannelRequest {
        /// The server's name for the request. It is nothing to show.
        pub auth_req_id: Secret<String>,
        /// For how many seconds the person may answer, from when this came.
        pub expires_in: u64,
        /// When the request ends.
        pub expires_at: UnixTime,
        /// How many seconds to wait between two questions.
        pub interval: u64,
        /// What the person sees on their device as well: show it beside what they are asked for.
        pub binding_message: Option<String>,
        /// With which the server will authenticate its notification.
        pub client_notification_token: Option<Secret<String>>,
    }
}
