//! APIs that answer without a token and publish nothing about authorization.

use crate::error::{Error, Kind, Misuse};
use crate::exchange::{Exchange, Input, Step};
use crate::flow::resource_discovery::ResourceDiscovery;
use crate::moment::Moment;
use crate::protected_resource::ProtectedResource;

/// What the API says about itself, where it is known how it has answered a stranger.
pub(super) struct Described {
    pub(super) discovery: ResourceDiscovery,
    pub(super) is_served: bool,
}

impl Exchange for Described {
    type Output = ProtectedResource;

    /// Where there are no metadata and a stranger is served, there is nothing to authorize: "Authorization is OPTIONAL
    /// for MCP implementations."
    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Self::Output>, Error> {
        let step = self.discovery.resume(at, input);
        step.map_err(|error| match error.kind() {
            Kind::Denied(_) if self.is_served => Misuse::ConnectOpen.into(),
            _ => error,
        })
    }
}
