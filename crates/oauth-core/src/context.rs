//! The [`Context`] passed to implementations of endpoints and grants.

use crate::client_config::ClientConfig;
use crate::client_id::ClientId;
use crate::moment::Moment;
use crate::server::Server;

/// The values that an endpoint or a grant can read: the moment, the server and the calling client.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The time of the step, and its source of randomness.
    pub at: &'a Moment,
    /// The server that is called.
    pub server: &'a Server,
    /// The client that calls.
    pub client_id: &'a ClientId,
    pub(crate) identity: &'a ClientConfig,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(identity: &'a ClientConfig, at: &'a Moment) -> Self {
        Self {
            at,
            server: &identity.server,
            client_id: &identity.client_id,
            identity,
        }
    }
}
