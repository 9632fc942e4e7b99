//! Protected resource metadata: `GET {origin}/.well-known/oauth-protected-resource{path}` (RFC 9728 section 3).

use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::jose::KeySet;
use oauth_core::json::{self, Json};
use oauth_core::protected_resource::{self as core, ResourceIdentifier, ResourceMatch};
use oauth_core::url::Transport;
use oauth_core::{Scope, danger, discover_resource};

use super::{arguments, outcome};
use crate::arg::JsonText;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Fetches the metadata of a protected resource (RFC 9728): the servers that issue its tokens, and their kind.
    ///
    /// Nothing of the client is sent. `resource_metadata.url` if a challenge leads elsewhere than to the resource's own
    /// origin, `resource_metadata.resource` if the response is about another resource, `resource_metadata.*` and
    /// `reply.*` if it is malformed, `resource.syntax` for an invalid resource identifier, `denied.*`
    /// if there is no metadata, `lost.*` if no answer arrives.
    pub struct ResourceMetadata {
        /// The identifier of the resource: the https URL at which it is used.
        pub resource: String,
        /// The `WWW-Authenticate` values of its response, which may name the URL of the metadata.
        pub challenges: Vec<String>,
        /// Which resource the metadata may be about: the `identical` one alone, or also a `parent` that it lies
        /// beneath on its origin, as servers of the Model Context Protocol name it.
        pub matching: Option<ResourceMatch>,
        /// Who is trusted to sign metadata (section 2.2): issuers, each with its JWK Set. What a trusted issuer has
        /// signed goes before what stands beside it; all other signatures are ignored. `jwks.malformed` for no JWK Set.
        pub signers: Option<JsonText>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let request = self.to_core(client.core().server().transport())?;
        Ok(ErasedExchange::of::<_, ProtectedResource>(discover_resource(request)))
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
        let mut request = request.challenge(fields)?;
        if let Some(JsonText(signers)) = &self.signers {
            let Ok(Json::Object(signers)) = json::parse(signers) else {
                return Err(Error::from(Misuse::ParameterValue).about("signers"));
            };
            for (issuer, keys) in signers.iter() {
                request =
                    request.trust(issuer, KeySet::parse(&json::value_text(&keys.to_value()))?);
            }
        }
        Ok(request.matching(self.matching.unwrap_or_default()))
    }
}

outcome! {
    /// The metadata of a protected resource (RFC 9728 section 2).
    pub struct ProtectedResource {
        /// The identifier of the resource: the `resource` to request tokens for.
        pub resource: String,
        /// The issuers of the servers that issue tokens for it. A resource may name any server: use only those
        /// that you trust with the people who sign in.
        pub authorization_servers: Vec<String>,
        /// The scopes that it uses; empty if it does not say.
        pub scopes_supported: Scope,
        /// Whether it accepts only tokens bound to a DPoP key.
        pub requires_dpop: bool,
        /// Whether it accepts only tokens bound to a certificate.
        pub requires_mtls: bool,
        /// The algorithms of DPoP proofs that it accepts; empty if it does not say.
        pub dpop_algs: Vec<String>,
        /// Which of the `signers` has signed the values; absent if none has.
        pub signed_by: Option<String>,
        /// All metadata, including members that no standard defines.
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
            signed_by: resource.signed_by,
            metadata: Extra::from(resource.metadata),
        }
    }
}
