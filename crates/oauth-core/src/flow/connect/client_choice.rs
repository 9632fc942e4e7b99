//! Selects the client to use at a server (Model Context Protocol, "Client Registration").

use crate::client_id::ClientId;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::issuer::Issuer;
use crate::registered_client::RegisteredClient;
use crate::server::{EndpointKind, Flag, Server};
use crate::url::Url;

/// By which grant tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GrantChoice {
    /// A person signs in, with PKCE.
    #[default]
    AuthorizationCode,
    /// The client acts for itself, with credentials that were registered by hand.
    ClientCredentials,
    /// The identity provider of an organization vouches for the person (ID-JAG), who is sent nowhere.
    IdentityAssertion,
}

/// A client that is registered at one server only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundClient {
    /// The server.
    pub issuer: Issuer,
    /// Its id there.
    pub client_id: ClientId,
}

/// The client registrations that a program can use.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientCandidates {
    /// The one that was registered by hand for this API. It is used or nothing: where the API names another server,
    /// that is an error, and its credentials are not tried there.
    pub preregistered: Option<BoundClient>,
    /// Those of earlier registrations. Each is used at its own server alone.
    pub registered: Vec<BoundClient>,
    /// The URL of the program's client metadata document, which is its client id at every server that supports that.
    pub metadata_document: Option<ClientId>,
    /// Whether the program registers itself.
    pub dynamic_registration: DynamicRegistration,
}

/// Whether a program registers itself with servers that it meets (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DynamicRegistration {
    /// It does where nothing else is possible.
    #[default]
    WhereNeeded,
    /// It never does.
    Never,
}

/// Which client requests the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientChoice {
    /// One that this server knows.
    Registered(BoundClient),
    /// One whose metadata document the server fetches. It is the same everywhere; its tokens are not.
    MetadataDocument(ClientId),
    /// One that the caller registers first at this endpoint, and keeps by its issuer.
    Register(Url),
    /// None is known: the user has to enter a client id.
    Ask,
}

impl ClientChoice {
    /// Whether it is the client of this registration.
    pub(super) fn is(&self, known: &RegisteredClient, server: &Server) -> bool {
        match self {
            Self::Registered(client) => {
                client.client_id == known.client_id && known.issuer() == server.issuer().as_str()
            }
            Self::MetadataDocument(_) | Self::Register(_) | Self::Ask => false,
        }
    }
}

impl ClientCandidates {
    /// The client that was registered by hand for this API.
    pub fn preregistered(issuer: Issuer, client_id: ClientId) -> Self {
        Self {
            preregistered: Some(BoundClient { issuer, client_id }),
            ..Self::default()
        }
    }

    /// Whether an earlier registration is this server's.
    pub(super) fn is_known_at(&self, issuer: &Issuer) -> bool {
        self.registered
            .iter()
            .any(|client| client.issuer == *issuer)
    }

    /// Which client this server is asked as: registered by hand, registered before, by its document where the server
    /// takes such, to be registered now, or to be asked for.
    ///
    /// # Errors
    /// `connect.issuer` for one that was registered by hand elsewhere; `client_auth.no_usable_method` where a client
    /// acts for itself and none was registered by hand.
    pub fn choose(&self, grant: GrantChoice, server: &Server) -> Result<ClientChoice, Error> {
        if let Some(client) = &self.preregistered {
            if client.issuer == *server.issuer() {
                return Ok(ClientChoice::Registered(client.clone()));
            }
            let both = format!(
                "it is known at {}, not at {}",
                client.issuer,
                server.issuer()
            );
            return Err(Error::from(ValidationFailure::ConnectIssuer).about(&both));
        }
        if grant == GrantChoice::ClientCredentials {
            // "pre-registered": a client that anybody may become proves nothing about who acts.
            let why = "a client that was registered by hand";
            return Err(Error::from(Misuse::NoUsableMethod).about(why));
        }
        let mut known = self.registered.iter();
        if let Some(client) = known.find(|client| client.issuer == *server.issuer()) {
            return Ok(ClientChoice::Registered(client.clone()));
        }
        if let Some(id) = &self.metadata_document
            && server.flag("client_id_metadata_document_supported", Flag::False)
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
