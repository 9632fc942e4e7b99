//! About a protected resource: `GET {origin}/.well-known/oauth-protected-resource{path}` (RFC 9728 section 3).

use oauth_core::error::Error;
use oauth_core::extra::Extra;
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::protected_resource::{self as core, ResourceIdentifier, ResourceMatch};
use oauth_core::url::Transport;
use oauth_core::{Scope, danger, discover_resource};

use super::{arguments, outcome};
use crate::machine::Machine;

arguments! {
    /// Asks a protected resource about itself (RFC 9728): which servers issue tokens for it, and of which kind.
    ///
    /// Nothing of the client is sent. `resource_metadata.url` if a challenge leads elsewhere than to the resource's own
    /// origin, `resource_metadata.resource` if the answer is about another resource, `resource_metadata.*` and
    /// `reply.*` if it is not what the standard describes, `resource.syntax` for what cannot be a resource, `denied.*`
    /// if there is no answer to be had, `lost.*` if none arrives.
    pub struct ResourceMetadata {
        /// The identifier of the resource: the https URL at which it is used.
        pub resource: String,
        /// The values of `WWW-Authenticate` of its answer, which may say where the metadata are.
        pub challenges: Vec<String>,
        /// Which resource the answer may be about: the `identical` one alone, or also a `parent` that it lies
        /// beneath on its origin, as servers of the Model Context Protocol name it.
        pub matching: Option<ResourceMatch>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let request = self.to_core(client.core().server().transport())?;
        Ok(Machine::of::<_, ProtectedResource>(discover_resource(request)))
    }
}

impl ResourceMetadata {
    fn to_core(&self, transport: Transport) -> Result<ResourceDiscoveryRequest, Error> {
        let request = match transport {
            Transport::Https => {
                ResourceDiscoveryRequest::new(ResourceIdentifier::parse(&self.resource)?)
            }
            Transport::LoopbackHttp => {
                let resource = danger::loopback_resource_identifier(&self.resource)?;
                danger::loopback_resource_discovery(ResourceDiscoveryRequest::new(resource))
            }
        };
        let fields = self.challenges.iter().map(String::as_bytes);
        let request = request.challenge(fields)?;
        Ok(request.matching(self.matching.unwrap_or_default()))
    }
}

outcome! {
    /// What a protected resource says about itself (RFC 9728 section 2).
    pub struct ProtectedResource {
        /// Whose metadata they are: what tokens are asked for, as their `resource`.
        pub resource: String,
        /// The issuers of the servers that issue tokens for it. Anybody may name any server: ask those alone
        /// that you trust with the people who sign in.
        pub authorization_servers: Vec<String>,
        /// The scopes that it has use for; empty where it does not say.
        pub scopes_supported: Scope,
        /// Whether it takes tokens alone that are bound to a DPoP key.
        pub requires_dpop: bool,
        /// Whether it takes tokens alone that are bound to a certificate.
        pub requires_mtls: bool,
        /// The algorithms by which it takes DPoP proofs; empty where it does not say.
        pub dpop_algs: Vec<String>,
        /// All that was said, members that no standard defines included.
        pub metadata: Extra,
    }
}

impl From<core::ProtectedResource> for ProtectedResource {
    fn from(resource: core::ProtectedResource) -> Self {
        let servers = resource.authorization_servers.iter();
        Self {
            resource: resource.resource.as_str().to_owned(),
            authorization_servers: servers.map(|issuer| issuer.as_str().to_owned()).collect(),
            scopes_supported: resource.scopes_supported.unwrap_or_default(),
            requires_dpop: resource.requires_dpop,
            requires_mtls: resource.requires_mtls,
            dpop_algs: resource.dpop_algs.unwrap_or_default(),
            metadata: Extra::from(resource.metadata),
        }
    }
}
