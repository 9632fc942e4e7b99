//! Selects the authorization server to use, of those that the API names (RFC 9728 section 7.6). That it
//! supports PKCE with S256 is checked in `flow/resource_connection.rs`.

use super::ConnectRequest;
use crate::address::RequestAddressPolicy;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::issuer::Issuer;
use crate::jose::KeySet;
use crate::protected_resource_metadata::ProtectedResourceMetadata;

/// The server to use if the API names several authorization servers that the caller has not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MultipleServersPolicy {
    /// Use the first: "The MCP client is responsible for selecting which authorization server to use", and the API
    /// lists them in its own order. The caller has no credentials that could be sent there.
    #[default]
    First,
    /// Fail with `connect.several_servers`, which names them, so that the caller can choose one and
    /// [allow](ConnectRequest::allow) it.
    Error,
}

impl ConnectRequest {
    /// Allows only these authorization servers (RFC 9728 section 7.6). If the API names several of them, the one at
    /// which a client is known is used, or else the first in this list.
    #[must_use]
    pub fn allow(mut self, issuers: impl IntoIterator<Item = Issuer>) -> Self {
        self.allowed = Some(issuers.into_iter().collect());
        self
    }

    /// Trusts the API metadata that this issuer has signed with these keys (RFC 9728 section 2.2), which then
    /// determines the server: see [`ResourceDiscoveryRequest::trust`]. Unsigned metadata is used as well.
    ///
    /// [`ResourceDiscoveryRequest::trust`]: crate::flow::resource_discovery::ResourceDiscoveryRequest::trust
    #[must_use]
    pub fn trust(mut self, issuer: impl Into<String>, keys: KeySet) -> Self {
        self.discovery = self.discovery.trust(issuer, keys);
        self
    }

    /// Sets what to do if the API names several servers, of which the caller has allowed none and has a client at none.
    #[must_use]
    pub const fn on_several_servers(mut self, several: MultipleServersPolicy) -> Self {
        self.on_several_servers = several;
        self
    }

    /// The server to use among those that the API names: the one at which a client is known, or else the first that is
    /// allowed, or else as set by [`on_several_servers`](Self::on_several_servers).
    ///
    /// # Errors
    /// `connect.issuer` if the client was registered by hand at another one: its credentials are not tried elsewhere.
    /// `connect.server_not_allowed`, `connect.several_servers`, `resource_metadata.no_authorization_server`.
    pub(super) fn select_server(
        &self,
        resource: &ProtectedResourceMetadata,
    ) -> Result<Issuer, Error> {
        let servers = &resource.authorization_servers;
        if servers.is_empty() {
            return Err(ProtocolViolation::ResourceMetadataNoServer.into());
        }
        let list = || {
            let issuers = servers.iter().map(Issuer::as_str);
            issuers.collect::<Vec<_>>().join(" ")
        };
        let candidates: Vec<_> = match &self.allowed {
            Some(allowed) => allowed
                .iter()
                .filter(|issuer| servers.contains(issuer))
                .collect(),
            None => servers.iter().collect(),
        };
        if let Some(client) = &self.clients.preregistered {
            return if candidates.contains(&&client.issuer) {
                Ok(client.issuer.clone())
            } else {
                let detail = format!("it is known at {}, the API names {}", client.issuer, list());
                Err(Error::from(ValidationFailure::ConnectIssuer).about(&detail))
            };
        }
        let mut issuers = candidates.iter();
        if let Some(known_issuer) = issuers.find(|issuer| self.clients.is_known_at(issuer)) {
            return Ok((*known_issuer).clone());
        }
        match (candidates.as_slice(), self.on_several_servers) {
            ([], _) => Err(Error::from(Misuse::ConnectServer).about(&list())),
            ([_, _, ..], MultipleServersPolicy::Error) if self.allowed.is_none() => {
                Err(Error::from(Misuse::ConnectSeveralServers).about(&list()))
            }
            ([first, ..], _) => Ok((*first).clone()),
        }
    }

    /// Any address if the caller named the server, by a list or a registration; public ones if only the API did.
    pub(super) fn address_policy(&self, issuer: &Issuer) -> RequestAddressPolicy {
        let client = self.clients.preregistered.iter();
        let client = client.map(|client| &client.issuer);
        let mut acceptable = self.allowed.iter().flatten().chain(client);
        if acceptable.any(|named| named == issuer) {
            RequestAddressPolicy::Any
        } else {
            RequestAddressPolicy::PublicOnly
        }
    }
}
