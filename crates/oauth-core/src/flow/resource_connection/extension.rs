//! The authorization extensions that an MCP client declares when it initializes.

use super::GrantChoice;

/// An extension of the protocol's authorization, to be declared only if it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extension {
    /// Programs that act for themselves.
    ClientCredentials,
    /// Organizations whose identity provider decides.
    EnterpriseManaged,
}

impl Extension {
    /// The extension's key among the `extensions` of the client's capabilities.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::ClientCredentials => "io.modelcontextprotocol/oauth-client-credentials",
            Self::EnterpriseManaged => "io.modelcontextprotocol/enterprise-managed-authorization",
        }
    }
}

impl GrantChoice {
    /// The extension by which tokens are requested with this grant: a client of the protocol declares it, and no other,
    /// when it initializes. None if a user signs in, as the protocol itself describes.
    pub const fn extension(self) -> Option<Extension> {
        match self {
            Self::AuthorizationCode => None,
            Self::ClientCredentials => Some(Extension::ClientCredentials),
            Self::IdentityAssertion => Some(Extension::EnterpriseManaged),
        }
    }
}
