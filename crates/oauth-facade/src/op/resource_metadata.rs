//! Protected resource metadata: `GET {origin}/.well-known/oauth-protected-resource{path}` (RFC 9728 section 3).

use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::jose::KeySet;
use oauth_core::json::{self, Json};
use oauth_core::protected_resource_metadata::{self as core, ResourceIdentifier, ResourceMatch};
use oauth_core::url::Transport;
use oauth_core::{Scope, danger, discover_resource};

use super::{arguments, outcome};
use crate::arg::JsonText;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Fetches the metadata of a protected resource (RFC 9728): who issues its tokens, and which kind it accepts.
    ///
    /// Nothing of the client is sent. `resource_metadata.url` if a challenge names a URL that is not on the resource's
    /// own origin, `resource_metadata.resource` if the response is about another resource, `resource_metadata.*` and
    /// `reply.*` if it is malformed, `resource.syntax` for an invalid resource identifier, `denied.*` if there is no
    /// metadata, `lost.*` if no reply arrives.
    pub struct ResourceMetadata {
        /// The identifier of the resource: the https URL at which it is used.
        pub resource: String,
        /// The `WWW-Authenticate` values of the resource's response, which may name the URL of the metadata.
        pub challenges: Vec<String>,
        /// Which resource the metadata may describe: only the `identical` one, or also a `parent` of it on its origin,
        /// as servers of the Model Context Protocol do.
        pub matching: Option<ResourceMatch>,
        /// The issuers that are trusted to sign metadata (section 2.2), each with its JWK Set. Values that a trusted
        /// issuer has signed take precedence over unsigned ones; all other signatures are ignored. `jwks.malformed` for
        /// an invalid JWK Set.
        pub signers: Option<JsonText>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let request = self.to_core(client.core().server().transport())?;
        Ok(ErasedExchange::with_record::<_, ProtectedResourceMetadata>(discover_resource(request)))
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
        if let Some(JsonText(text)) = &self.signers {
            for (issuer, keys) in signers(text)? {
                request = request.trust(issuer, keys);
            }
        }
        Ok(request.matching(self.matching.unwrap_or_default()))
    }
}

/// The issuers that are trusted to sign metadata, with their keys: a JSON object of JWK Sets.
///
/// # Errors
/// `form.malformed_parameter`, `jwks.malformed`.
pub(crate) fn signers(text: &str) -> Result<Vec<(String, KeySet)>, Error> {
    let Ok(Json::Object(signers)) = json::parse(text) else {
        return Err(Error::from(Misuse::ParameterValue).about("signers"));
    };
    let signer = |(issuer, keys): (&str, &Json<'_>)| {
        let keys = KeySet::parse(&json::value_text(&keys.to_value()))?;
        Ok((issuer.to_owned(), keys))
    };
    signers.iter().map(signer).collect()
}

outcome! {
    /// The metadata of a protected resource (RFC 9728 section 2).
    pub struct ProtectedResourceMetadata {
        /// The identifier of the resource: the `resource` for which to request tokens.
        pub resource: String,
        /// The issuers of the servers that issue tokens for it. A resource may name any server: use only those to which
        /// you trust your users to sign in.
        pub authorization_servers: Vec<String>,
        /// The scopes that the resource uses; empty if it lists none.
        pub scopes_supported: Scope,
        /// Whether the resource accepts only tokens bound to a DPoP key.
        pub requires_dpop: bool,
        /// Whether the resource accepts only tokens bound to a certificate.
        pub requires_mtls: bool,
        /// The algorithms of DPoP proofs that the resource accepts; empty if it lists none.
        pub dpop_algs: Vec<String>,
        /// The one of the `signers` that signed the values; absent if none did.
        pub signed_by: Option<String>,
        /// All metadata, including members that no standard defines.
        pub metadata: Extra,
    }
}

impl From<core::ProtectedResourceMetadata> for ProtectedResourceMetadata {
    fn from(resource: core::ProtectedResourceMetadata) -> Self {
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
