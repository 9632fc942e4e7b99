//! What a client is registered with: `GET`, `PUT` and `DELETE {registration_client_uri}` (RFC 7592 section 2).

use oauth_core::endpoint::client_configuration as core;
use oauth_core::{ClientMetadata, Secret, registered_client};

use super::arguments;
use super::register::RegisteredClient;
use crate::arg::JsonText;
use crate::client::Client;
use crate::machine::Machine;

arguments! {
    /// Reads what a client is registered with (RFC 7592 section 2.1).
    ///
    /// Store what comes back in place of what was stored: the server may have changed the registration access
    /// token, the secret, or anything else. `registration.not_managed` if the server gave the client no such
    /// token, `stored.issuer` for a client of another server, `denied.invalid_token` if the server knows the
    /// client no more, `registration.malformed` if its answer is not what the standard describes, `lost.*` if no
    /// answer arrives.
    pub struct ReadRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let ask = core::ReadRegistration::new(known(client, &self.registered)?);
        Ok(Machine::of::<_, RegisteredClient>(client.core().call(ask)))
    }
}

arguments! {
    /// Replaces what a client is registered with (RFC 7592 section 2.2).
    ///
    /// Store what comes back in place of what was stored. The metadata are checked first, with
    /// `client_metadata.*` for what contradicts itself. `registration.not_managed`, `stored.issuer` and `denied.*`
    /// as for `read_registration`, `registration.*` and `lost.*` as for `register`.
    pub struct UpdateRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
        /// All that it is to be registered with: what is left out is given up, or gets the server's default.
        pub metadata: JsonText,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let metadata = ClientMetadata::from_json(&self.metadata.0)?;
        let known = known(client, &self.registered)?;
        let ask = core::UpdateRegistration::new(known, metadata);
        Ok(Machine::of::<_, RegisteredClient>(client.core().call(ask)))
    }
}

arguments! {
    /// Deletes a client at the server, with its grants and tokens (RFC 7592 section 2.3).
    ///
    /// Delete what is stored of it, too: nothing of it is good any more. `registration.not_managed`,
    /// `stored.issuer` and `denied.*` as for `read_registration`, `lost.*` if no answer arrives.
    pub struct DeleteRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let ask = core::DeleteRegistration::new(known(client, &self.registered)?);
        Ok(Machine::new(client.core().call(ask)))
    }
}

/// The client that a host stored, of the server that this one knows.
fn known(
    client: &Client,
    stored: &Secret<String>,
) -> Result<registered_client::RegisteredClient, oauth_core::Error> {
    let server = client.core().server();
    registered_client::RegisteredClient::from_json(stored.expose(), server)
}
