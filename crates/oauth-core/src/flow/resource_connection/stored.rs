//! The stored form of a connection, so that the next run does not repeat discovery.

use super::{BoundClient, ClientChoice, Connection, GrantChoice};
use crate::address::RequestAddressPolicy;
use crate::client_id::ClientId;
use crate::error::{Error, Misuse};
use crate::issuer::Issuer;
use crate::json::storage_form::json_words;
use crate::json::{self, Json, Map, Value};
use crate::json_form;
use crate::moment::UnixTime;
use crate::protected_resource_metadata::{
    ProtectedResourceMetadata, ResourceIdentifier, ResourceMatch,
};
use crate::quirk::Rules;
use crate::registered_client::RegisteredClient;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::Server;
use crate::url::Transport;

/// How long stored metadata of an API and its server is used, in seconds.
const MAX_AGE_SECONDS: u64 = 24 * 60 * 60;

/// The version of the stored form.
const STORED_VERSION: u64 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientOrigin {
    Registered,
    MetadataDocument,
}

json_words! { ClientOrigin { "registered" = Registered, "metadata_document" = MetadataDocument } }
json_words! { GrantChoice {
    "authorization_code" = AuthorizationCode,
    "client_credentials" = ClientCredentials,
    "identity_assertion" = IdentityAssertion,
} }

struct Stored {
    version: u64,
    found_at: UnixTime,
    resource: String,
    resource_metadata: Map<String, Value>,
    issuer: String,
    server_metadata: Map<String, Value>,
    rules: Rules,
    loopback: bool,
    /// Whether the requests to the server go only to public addresses.
    public: bool,
    grant: GrantChoice,
    scope: Option<Scope>,
    client: ClientOrigin,
    client_id: String,
    registration: Option<Secret<String>>,
    resource_value: Option<String>,
    replaced_grants: Vec<String>,
    /// The issuer that signed the API's metadata, if the caller trusts it.
    signed_by: Option<String>,
}

json_form! { Stored {
    version, found_at, resource, resource_metadata, issuer, server_metadata, rules: default, loopback: skip, public: skip, grant, scope: skip,
    client, client_id, registration: skip, resource_value: skip,
    replaced_grants: skip, signed_by: skip
} }

impl Connection {
    /// The connection as JSON, to store. It contains the secrets of a registered client.
    ///
    /// # Errors
    /// `connect.no_client` if there is no client yet.
    pub fn to_json(&self) -> Result<Secret<String>, Error> {
        let (client, client_id) = match &self.client {
            ClientChoice::Registered(client) => (ClientOrigin::Registered, &client.client_id),
            ClientChoice::MetadataDocument(id) => (ClientOrigin::MetadataDocument, id),
            ClientChoice::Register(_) | ClientChoice::Ask => {
                return Err(Misuse::ConnectClient.into());
            }
        };
        let registration = self.registration.as_ref();
        let stored = Stored {
            version: STORED_VERSION,
            found_at: self.found_at,
            resource: self.resource.resource.as_str().to_owned(),
            resource_metadata: self.resource.metadata.clone(),
            issuer: self.server.issuer().as_str().to_owned(),
            server_metadata: self.server.metadata().clone(),
            rules: self.server.rules().clone(),
            loopback: self.server.transport() == Transport::LoopbackHttp,
            public: self.server.address_policy() == RequestAddressPolicy::PublicOnly,
            grant: self.grant,
            scope: self.scope.clone(),
            client,
            client_id: client_id.as_str().to_owned(),
            registration: registration.map(RegisteredClient::to_json),
            resource_value: self.resource_value.clone(),
            replaced_grants: self.replaced_grants.clone(),
            signed_by: self.resource.signed_by.clone(),
        };
        Ok(Secret::new(json::to_text(&stored)))
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// `stored.malformed`, naming the member; those of reading metadata.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let stored = Stored::parse(text)?;
        let transport = stored.transport();
        let resource = ResourceIdentifier::parse_over(&stored.resource, transport)?;
        let resource = ProtectedResourceMetadata::read_over(
            &resource,
            stored.resource_metadata,
            ResourceMatch::Identical,
            transport,
        )?;
        let resource = ProtectedResourceMetadata {
            signed_by: stored.signed_by,
            ..resource
        };
        let issuer = Issuer::parse_over(&stored.issuer, transport)?;
        let metadata = json::map_text(&stored.server_metadata);
        let Ok(Json::Object(metadata)) = json::parse(&metadata) else {
            return Err(malformed("server_metadata"));
        };
        let server = Server::read_over(&issuer, &metadata, stored.rules.clone(), transport)?;
        let server = server.with_address_policy(if stored.public {
            RequestAddressPolicy::PublicOnly
        } else {
            RequestAddressPolicy::Any
        });
        let server = server.with_configured_origin(Some(resource.resource.url().clone()));
        let registration = stored.registration.as_ref();
        let registration =
            registration.map(|text| RegisteredClient::from_json(text.expose(), &server));
        let client_id = ClientId::new(stored.client_id);
        Ok(Self {
            resource,
            server,
            client: match stored.client {
                ClientOrigin::Registered => {
                    ClientChoice::Registered(BoundClient { issuer, client_id })
                }
                ClientOrigin::MetadataDocument => ClientChoice::MetadataDocument(client_id),
            },
            registration: registration.transpose()?,
            grant: stored.grant,
            scope: stored.scope,
            resource_value: stored.resource_value,
            found_at: stored.found_at,
            replaced_grants: stored.replaced_grants,
        })
    }

    /// Whether the connection is recent enough to be used: it is at most a day old, and the client's secret is still
    /// valid. After that, connect again, with the client
    /// ([`ConnectRequest::registered`](super::ConnectRequest::registered)).
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        let registration = self.registration.as_ref();
        let has_expired = registration.is_some_and(|client| client.is_secret_expired(now));
        now.since(self.found_at).as_secs() < MAX_AGE_SECONDS && !has_expired
    }
}

impl Stored {
    fn parse(text: &str) -> Result<Self, Error> {
        let stored: Self = json::from_text(text).ok_or_else(|| Error::from(Misuse::StoredForm))?;
        match stored.version {
            STORED_VERSION => Ok(stored),
            _ => Err(malformed("version")),
        }
    }

    const fn transport(&self) -> Transport {
        if self.loopback {
            Transport::LoopbackHttp
        } else {
            Transport::Https
        }
    }
}

fn malformed(member: &str) -> Error {
    Error::from(Misuse::StoredForm).about(member)
}
