//! APIs that serve requests without a token and publish nothing about authorization.

use crate::error::{Error, Kind, Misuse};
use crate::exchange::{Exchange, Input, Step};
use crate::flow::resource_discovery::ResourceDiscovery;
use crate::moment::Moment;
use crate::protected_resource_metadata::ProtectedResourceMetadata;

/// The discovery of the API's metadata, when the API's response to a request without a token is known.
pub(super) struct MetadataDiscovery {
    pub(super) discovery: ResourceDiscovery,
    pub(super) is_served: bool,
}

impl Exchange for MetadataDiscovery {
    type Output = ProtectedResourceMetadata;

    /// If there is no metadata and requests without a token are served, there is nothing to authorize: "Authorization
    /// is OPTIONAL for MCP implementations."
    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Self::Output>, Error> {
        let step = self.discovery.resume(at, input);
        step.map_err(|error| match error.kind() {
            Kind::Denied(_) if self.is_served => Misuse::ConnectOpen.into(),
            _ => error,
        })
    }
}
