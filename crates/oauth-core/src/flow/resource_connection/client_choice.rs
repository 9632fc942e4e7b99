//! Selects the client to use at a server (Model Context Protocol, "Client Registration").

use crate::client_id::ClientId;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::issuer::Issuer;
use crate::registered_client::RegisteredClient;
use crate::server::{EndpointKind, FlagDefault, Server};
use crate::url::Url;

/// The grant by which tokens are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GrantChoice {
    /// A user signs in, with PKCE.
    #[default]
    AuthorizationCode,
    /// The client acts for itself, with credentials that were registered by hand.
    ClientCredentials,
    /// The identity provider of an organization issues an assertion about the user (ID-JAG), without a browser.
    IdentityAssertion,
}

/// A client that is registered at one server only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundClient {
    /// The issuer of the server.
    pub issuer: Issuer,
    /// The client's id there.
    pub client_id: ClientId,
}

/// The client registrations that a program can use.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientCandidates {
    /// The client that was registered by hand for this API. If there is one, no other is used: if the API names another
    /// server, that is an error, and the credentials are not tried there.
    pub preregistered: Option<BoundClient>,
    /// The clients of earlier registrations. Each is used only at its own server.
    pub registered: Vec<BoundClient>,
    /// The URL of the program's client metadata document, which is its client id at every server that supports that.
    pub metadata_document: Option<ClientId>,
    /// Whether the program registers itself.
    pub dynamic_registration: DynamicRegistration,
}

/// Whether a program registers itself at unknown servers (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DynamicRegistration {
    /// The program registers itself if nothing else is possible.
    #[default]
    WhereNeeded,
    /// The program never registers itself.
    Never,
}

/// Which client requests the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientChoice {
    /// A client that this server knows.
    Registered(BoundClient),
    /// A client whose metadata document the server fetches. The same client id is used everywhere, but its tokens
    /// differ.
    MetadataDocument(ClientId),
    /// A client that the caller first registers at this endpoint, and stores by its issuer.
    Register(Url),
    /// No client is known: the user has to enter a client id.
    Ask,
}

impl ClientChoice {
    /// The client id, if there is one.
    pub(super) const fn client_id(&self) -> Option<&ClientId> {
        match self {
            Self::Registered(client) => Some(&client.client_id),
            Self::MetadataDocument(id) => Some(id),
            Self::Register(_) | Self::Ask => None,
        }
    }

    /// Whether this is the client of this registration.
    pub(super) fn is_registration(&self, registration: &RegisteredClient, server: &Server) -> bool {
        match self {
            Self::Registered(client) => {
                client.client_id == registration.client_id
                    && registration.issuer() == server.issuer().as_str()
            }
            Self::MetadataDocument(_) | Self::Register(_) | Self::Ask => false,
        }
    }
}

impl ClientCandidates {
    /// Only the client that was registered by hand for this API.
    pub fn preregistered(issuer: Issuer, client_id: ClientId) -> Self {
        Self {
            preregistered: Some(BoundClient { issuer, client_id }),
            ..Self::default()
        }
    }

    /// Whether there is an earlier registration at this server.
    pub(super) fn is_known_at(&self, issuer: &Issuer) -> bool {
        self.registered
            .iter()
            .any(|client| client.issuer == *issuer)
    }

    /// Chooses the client for this server: registered by hand, registered before, by its metadata document if the
    /// server accepts that, to be registered now, or missing, so that the caller must supply one.
    ///
    /// # Errors
    /// `connect.issuer` for a client that was registered by hand elsewhere; `client_auth.no_usable_method` if a client
    /// acts for itself and none was registered by hand.
    pub fn choose(&self, grant: GrantChoice, server: &Server) -> Result<ClientChoice, Error> {
        if let Some(client) = &self.preregistered {
            if client.issuer == *server.issuer() {
                return Ok(ClientChoice::Registered(client.clone()));
            }
            let detail = format!(
                "it is known at {}, not at {}",
                client.issuer,
                server.issuer()
            );
            return Err(Error::from(ValidationFailure::ConnectIssuer).about(&detail));
        }
        if grant == GrantChoice::ClientCredentials {
            // "pre-registered": a client id that anyone can get proves nothing about who acts.
            let reason = "a client that was registered by hand";
            return Err(Error::from(Misuse::NoUsableMethod).about(reason));
        }
        let mut registered = self.registered.iter();
        if let Some(client) = registered.find(|client| client.issuer == *server.issuer()) {
            return Ok(ClientChoice::Registered(client.clone()));
        }
        if let Some(id) = &self.metadata_document
            && server.flag("client_id_metadata_document_supported", FlagDefault::False)
        {
            return Ok(ClientChoice::MetadataDocument(id.clone()));
        }
        Ok(match server.endpoint(EndpointKind::Registration) {
            Ok(url) if self.dynamic_registration == DynamicRegistration::WhereNeeded => {
                ClientChoice::Register(url.clone())
            }
            _ => ClientChoice::Ask,
        })
    }
}
