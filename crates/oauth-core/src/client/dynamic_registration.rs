//! Dynamic registration (RFC 7591, RFC 7592): registers a client, and makes a [`Client`] of the response or of a client
//! ID metadata document. The registered properties are set in `registered_properties.rs`.

#[cfg(test)]
mod tests;

use super::Client;
use crate::call::Call;
use crate::client_auth::{ClientAuth, Credentials};
use crate::client_id_metadata_document::{self, ClientIdMetadataDocument};
use crate::client_metadata::ClientMetadata;
use crate::endpoint::Endpoint;
use crate::endpoint::client_configuration::{
    DeleteRegistration, ReadRegistration, UpdateRegistration,
};
use crate::endpoint::registration::Registration;
use crate::error::{Error, Misuse};
use crate::exchange::Exchange;
use crate::flow::resource_connection::{ClientChoice, ConnectRequest, Connection};
use crate::jose::Alg;
use crate::registered_client::RegisteredClient;
use crate::server::Server;

/// Registers a client at a server, which issues it an id (RFC 7591 section 3). Store the result
/// ([`RegisteredClient::to_json`]) before it is used: its secrets exist nowhere else.
///
/// ```
/// use oauth_core::client_auth::Credentials;
/// use oauth_core::endpoint::registration::Registration;
/// use oauth_core::redirect_uri::RedirectUri;
/// use oauth_core::server::Server;
/// use oauth_core::{Client, ClientMetadata, Error, RegisteredClient, register};
///
/// # fn run<E: oauth_core::Exchange>(_: E) -> Result<E::Output, Error> { unimplemented!() }
/// # fn example(server: Server) -> Result<(), Error> {
/// let callback = RedirectUri::parse("http://127.0.0.1/callback")?;
/// let mut metadata = ClientMetadata::with_redirect_uris([callback]);
/// metadata.client_name = Some("App".to_owned());
/// metadata.token_endpoint_auth_method = Some("none".to_owned());
/// // With a driver, such as that of `oauth-reqwest`.
/// let registered = run(register(server.clone(), Registration::new(metadata)))?;
/// let stored = registered.to_json();
///
/// let registered = RegisteredClient::from_json(stored.expose(), &server)?;
/// let client = Client::registered(server, &registered, Credentials::default())?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The errors of [`ClientMetadata::check`], and `endpoint.missing`; from the steps: `denied.invalid_redirect_uri`,
/// `denied.invalid_client_metadata` and the other `denied.*`, `registration.*`.
pub fn register(
    server: Server,
    request: Registration,
) -> impl Exchange<Output = RegisteredClient> + Send + use<> {
    anonymous(server, request)
}

/// Reads the registration of a client (RFC 7592 section 2.1). The result replaces what was stored.
///
/// # Errors
/// `registration.not_managed`, `stored.issuer`; from the steps: `denied.invalid_token` if the server no longer knows
/// the client, the other `denied.*`, `registration.*`.
pub fn read_registration(
    server: Server,
    client: RegisteredClient,
) -> impl Exchange<Output = RegisteredClient> + Send + use<> {
    anonymous(server, ReadRegistration::new(client))
}

/// Replaces the registration of a client (RFC 7592 section 2.2): `metadata` is the complete registration. The result replaces what was
/// stored.
///
/// # Errors
/// The errors of [`register`] and [`read_registration`].
pub fn update_registration(
    server: Server,
    client: RegisteredClient,
    metadata: ClientMetadata,
) -> impl Exchange<Output = RegisteredClient> + Send + use<> {
    anonymous(server, UpdateRegistration::new(client, metadata))
}

/// Deletes a client at its server, with its grants and tokens (RFC 7592 section 2.3). Its secrets are erased with the
/// exchange. The caller must delete the stored record.
///
/// # Errors
/// The errors of [`read_registration`].
pub fn delete_registration(
    server: Server,
    client: RegisteredClient,
) -> impl Exchange<Output = ()> + Send + use<> {
    anonymous(server, DeleteRegistration::new(client))
}

fn anonymous<E: Endpoint>(server: Server, endpoint: E) -> Call<E> {
    Client::unregistered(server).call(endpoint)
}

impl Client {
    /// Creates a client as it was registered: with its id, its redirect URIs, the algorithm of its ID tokens, and
    /// authenticated by its registered method. A key or a certificate comes from `credentials`, a secret from the
    /// registration.
    ///
    /// # Errors
    /// `stored.issuer` for a client of another server, `client_auth.no_usable_method`, `key.algorithm`.
    pub fn registered(
        server: Server,
        client: &RegisteredClient,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        client.check_server(&server)?;
        let auth = client.auth(credentials)?;
        let new_client = Self::new(server, client.client_id.clone(), auth)?;
        new_client.with_metadata(&client.metadata)
    }

    /// Creates a client whose id is the URL of its metadata document: a public one, or one that
    /// authenticates with the key or certificate in `credentials`, as the document says.
    ///
    /// # Errors
    /// `client_id_metadata.not_supported` if the server does not accept such ids,
    /// `client_auth.no_usable_method`, `key.algorithm`.
    pub fn with_metadata_document(
        server: Server,
        document: &ClientIdMetadataDocument,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        client_id_metadata_document::check_supported(&server)?;
        let auth = credentials.for_method(document.metadata().auth_method())?;
        let new_client = Self::new(server, document.url().clone().into(), auth)?;
        new_client.with_metadata(document.metadata())
    }

    fn with_metadata(self, metadata: &ClientMetadata) -> Result<Self, Error> {
        let client = self.with_redirect_uris(metadata.redirect_uris.iter().cloned());
        let client = match metadata.tls_client_certificate_bound_access_tokens {
            Some(true) => client.with_certificate_bound_tokens(),
            _ => client,
        };
        match metadata.id_token_signed_response_alg.as_deref() {
            None => Ok(client),
            Some(name) => {
                let alg = Alg::from_name(name);
                let alg = alg.ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))?;
                Ok(client.with_id_token_algs([alg]))
            }
        }
    }
}

impl ConnectRequest {
    /// The client, whose tokens are bound to the certificate of the request, if it has one, or if the server binds them to
    /// the certificate that is presented.
    pub fn bound(&self, client: Client) -> Client {
        let client = match &self.certificate {
            Some(certificate) => client.with_known_certificate(certificate.clone()),
            None => client,
        };
        match &self.presented_certificate {
            Some(thumbprint) => client.with_presented_certificate(thumbprint),
            None => client,
        }
    }
}

impl Connection {
    /// The client for this connection. A dynamically registered client authenticates as registered, with the secret of
    /// its registration; `auth` applies to a client that was registered by hand or has a metadata document.
    ///
    /// # Errors
    /// `connect.no_client` if there is none yet; `client_auth.*`.
    pub fn client(&self, auth: ClientAuth) -> Result<Client, Error> {
        let server = self.server.clone();
        match (&self.client, &self.registration) {
            (_, Some(registration)) => {
                Client::registered(server, registration, Credentials::default())
            }
            (ClientChoice::Registered(client), None) => {
                Client::new(server, client.client_id.clone(), auth)
            }
            (ClientChoice::MetadataDocument(id), None) => Client::new(server, id.clone(), auth),
            (ClientChoice::Register(_) | ClientChoice::Ask, None) => {
                Err(Misuse::ConnectClient.into())
            }
        }
    }
}
