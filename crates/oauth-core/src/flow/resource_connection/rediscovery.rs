//! What a connection does when a challenge says that the API's metadata may have changed (RFC 9728 section 5.2).

use std::time::Duration;

use super::{ConnectRequest, Connection};
use crate::flow::resource_discovery::ResourceDiscoveryRequest;
use crate::moment::UnixTime;
use crate::protected_resource_metadata::ProtectedResourceMetadata;

/// The minimum time between two fetches of metadata, whatever the API says: every token that it refuses may come
/// with a challenge, and each would cost a request.
const BETWEEN: Duration = Duration::from_secs(5 * 60);

/// The longer interval after the metadata has changed, so that an API cannot send the user through one sign-in after
/// another by naming new servers.
const BETWEEN_CHANGES: Duration = Duration::from_secs(60 * 60);

/// How many replaced grants are remembered.
const REPLACED: usize = 8;

/// What new metadata of the API mean for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rediscovery {
    /// They are those of the connection.
    Same,
    /// They are others, and still name the server of the connection: connect again with its client.
    Changed,
    /// They no longer name the server of the connection: connect again without its client, its tokens and their scope,
    /// which the other server knows nothing of.
    Moved,
}

/// When the metadata of an API may be fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RediscoveryLimit(Option<UnixTime>);

impl RediscoveryLimit {
    /// Whether they may be fetched now, for this connection.
    pub fn allows(&self, connection: &Connection, now: UnixTime) -> bool {
        let is_recent = now.since(connection.found_at) < BETWEEN;
        !is_recent && self.0.is_none_or(|until| now >= until)
    }

    /// Notes that they are about to be fetched.
    pub const fn fetching(&mut self, now: UnixTime) {
        self.0 = Some(now.after(BETWEEN));
    }

    /// Notes that they were others.
    pub const fn changed(&mut self, now: UnixTime) {
        self.0 = Some(now.after(BETWEEN_CHANGES));
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
    /// What these metadata of the API, fetched because a challenge named them, mean for the connection.
    pub fn rediscovery(&self, found: &ProtectedResourceMetadata) -> Rediscovery {
        if !found.authorization_servers.contains(self.server.issuer()) {
            return Rediscovery::Moved;
        }
        match found.metadata == self.resource.metadata {
            true => Rediscovery::Same,
            false => Rediscovery::Changed,
        }
    }

    /// Whether the grant of this connection is of no use once `next` has taken its place: `next` has another server or
    /// another client, and nobody but this connection uses the grant, because its client is only its own or requests
    /// tokens for this API alone.
    pub fn is_replaced_by(&self, next: &Self, request: &ConnectRequest) -> bool {
        let is_only_this = self.resource.resource == *request.resource();
        let is_alone =
            self.registration.is_some() || (self.resource_value.is_none() && is_only_this);
        let is_same_client = self.server.issuer() == next.server.issuer()
            && self.client.client_id() == next.client.client_id();
        // The same client may be configured otherwise elsewhere, where its grant goes on.
        is_alone && !is_same_client
    }

    /// The connection that takes the place of others, whose grants have these names in the store; `ours` is the name of
    /// its own, which an earlier connection to the same server may have had too.
    #[must_use]
    pub fn replacing(mut self, grants: impl IntoIterator<Item = String>, ours: &str) -> Self {
        for grant in grants {
            if !self.replaced_grants.contains(&grant) {
                self.replaced_grants.push(grant);
            }
        }
        self.replaced_grants.retain(|grant| grant != ours);
        // The oldest are given up.
        let surplus = self.replaced_grants.len().saturating_sub(REPLACED);
        self.replaced_grants.drain(..surplus);
        self
    }
}
