//! What a connection does when a challenge says that the API's metadata may have changed (RFC 9728 section 5.2).

use std::time::Duration;

use super::{ConnectRequest, Connection};
use crate::flow::resource_discovery::ResourceDiscoveryRequest;
use crate::moment::UnixTime;
use crate::protected_resource_metadata::ProtectedResourceMetadata;

/// The minimum time between two fetches of metadata: every refused token may come with a challenge, and each would cost
/// a request.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The longer interval after the metadata has changed, so that an API cannot send the user through one sign-in after
/// another by naming new servers.
const MIN_CHANGE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The number of replaced grants that are remembered.
const MAX_REPLACED_GRANTS: usize = 8;

/// The consequence of the API's new metadata for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rediscovery {
    /// The metadata is that of the connection.
    Same,
    /// The metadata has changed, and still names the server of the connection: connect again with its client.
    Changed,
    /// The metadata no longer names the server of the connection: connect again without its client, its tokens and
    /// their scope, which another server does not know.
    Moved,
}

/// When the metadata of an API may be fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RediscoveryLimit(Option<UnixTime>);

impl RediscoveryLimit {
    /// Whether the metadata may be fetched now, for this connection.
    pub fn allows(&self, connection: &Connection, now: UnixTime) -> bool {
        let is_recent = now.since(connection.found_at) < MIN_FETCH_INTERVAL;
        !is_recent && self.0.is_none_or(|until| now >= until)
    }

    /// Records that the metadata is about to be fetched.
    pub const fn fetching(&mut self, now: UnixTime) {
        self.0 = Some(now.after(MIN_FETCH_INTERVAL));
    }

    /// Records that the metadata had changed.
    pub const fn note_change(&mut self, now: UnixTime) {
        self.0 = Some(now.after(MIN_CHANGE_INTERVAL));
    }
}

impl ConnectRequest {
    /// The request for the API's metadata alone, for [`crate::discover_resource`]: at the URL of its
    /// [challenge](Self::challenge), if there is one.
    pub fn metadata(&self) -> ResourceDiscoveryRequest {
        self.discovery.clone()
    }
}

impl Connection {
    /// The consequence of this metadata of the API, fetched because a challenge named it, for the connection.
    pub fn rediscovery(&self, metadata: &ProtectedResourceMetadata) -> Rediscovery {
        if !metadata
            .authorization_servers
            .contains(self.server.issuer())
        {
            return Rediscovery::Moved;
        }
        if metadata.metadata == self.resource.metadata {
            Rediscovery::Same
        } else {
            Rediscovery::Changed
        }
    }

    /// Whether the grant of this connection is of no use once `next` has replaced the connection: `next` has another
    /// server or client, and only this connection uses the grant, because the client belongs to it or requests tokens
    /// only for this API.
    pub fn is_replaced_by(&self, next: &Self, request: &ConnectRequest) -> bool {
        let is_for_this_resource_only = self.resource.resource == *request.resource();
        let is_only_user_of_grant = self.registration.is_some()
            || (self.resource_value.is_none() && is_for_this_resource_only);
        let is_same_client = self.server.issuer() == next.server.issuer()
            && self.client.client_id() == next.client.client_id();
        // The same client may be used elsewhere, where its grant is still needed.
        is_only_user_of_grant && !is_same_client
    }

    /// The connection that replaces others, whose grants have these names in the store; `own_grant` is the name of its
    /// own, which an earlier connection to the same server may have had too.
    #[must_use]
    pub fn replacing(mut self, grants: impl IntoIterator<Item = String>, own_grant: &str) -> Self {
        for grant in grants {
            if !self.replaced_grants.contains(&grant) {
                self.replaced_grants.push(grant);
            }
        }
        self.replaced_grants.retain(|grant| grant != own_grant);
        // The oldest are dropped.
        let excess = self
            .replaced_grants
            .len()
            .saturating_sub(MAX_REPLACED_GRANTS);
        self.replaced_grants.drain(..excess);
        self
    }
}
