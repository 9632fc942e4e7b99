//! Client configuration: `GET`, `PUT` and `DELETE {registration_client_uri}` (RFC 7592 section 2).

use oauth_core::endpoint::client_configuration as core;
use oauth_core::{ClientMetadata, Secret, registered_client};

use super::arguments;
use super::register::RegisteredClient;
use crate::arg::JsonText;
use crate::client::Client;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Reads the registration of a client (RFC 7592 section 2.1).
    ///
    /// Store the result in place of the stored client: the server may have changed the registration access
    /// token, the secret, or anything else. `registration.not_managed` if the server issued the client no such token,
    /// `stored.issuer` for a client of another server, `denied.invalid_token` if the server no longer knows the client,
    /// `registration.malformed` if its reply is malformed, `lost.*` if no reply arrives.
    pub struct ReadRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let request = core::ReadRegistration::new(stored_client(client, &self.registered)?);
        Ok(ErasedExchange::with_record::<_, RegisteredClient>(client.core().call(request)))
    }
}

arguments! {
    /// Updates the registration of a client (RFC 7592 section 2.2).
    ///
    /// Store the result in place of the stored client. The metadata is checked first, with `client_metadata.*` for
    /// contradictions. `registration.not_managed`, `stored.issuer` and `denied.*` as for `read_registration`,
    /// `registration.*` and `lost.*` as for `register`.
    pub struct UpdateRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
        /// All metadata of the client: members that are left out are deleted, or get the server's default.
        pub metadata: JsonText,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let metadata = ClientMetadata::from_json(&self.metadata.0)?;
        let registered = stored_client(client, &self.registered)?;
        let request = core::UpdateRegistration::new(registered, metadata);
        Ok(ErasedExchange::with_record::<_, RegisteredClient>(client.core().call(request)))
    }
}

arguments! {
    /// Deletes a client at the server, with its grants and tokens (RFC 7592 section 2.3).
    ///
    /// Delete the stored client, too: it is no longer valid. `registration.not_managed`,
    /// `stored.issuer` and `denied.*` as for `read_registration`, `lost.*` if no reply arrives.
    pub struct DeleteRegistration {
        /// The client, as it was `stored`.
        pub registered: Secret<String>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let request = core::DeleteRegistration::new(stored_client(client, &self.registered)?);
        Ok(ErasedExchange::new(client.core().call(request)))
    }
}

/// The client that a host stored, which must belong to this client's server.
fn stored_client(
    client: &Client,
    stored: &Secret<String>,
) -> Result<registered_client::RegisteredClient, oauth_core::Error> {
    let server = client.core().server();
    registered_client::RegisteredClient::from_json(stored.expose(), server)
}
