//! The facts of a provider file other than its URLs.

pub use oauth_core::flow::resource::{Allowance, ResetUnit, TokenOwner};
use oauth_core::url::Url;
use serde::Deserialize;

/// The source of a fact in a provider file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Source {
    /// The fact, in one sentence.
    pub fact: String,
    /// The document from which it was taken.
    pub from: String,
    /// Whether it was compared with that document when the file was written. Even `true` does not mean that it was
    /// tested with a live server.
    pub checked: bool,
}

/// A name that the provider documents, and its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Documented {
    /// The name, as it is sent.
    pub name: String,
    /// What it means, in a few words.
    pub description: String,
}

/// The endpoint that identifies the user to whom an access token belongs, at a provider without OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityEndpoint {
    /// The URL, which is requested by `GET`.
    pub url: Url,
    /// The member of the response that identifies the user: it is never reassigned.
    pub subject: String,
    /// Claims, each with its member of the response: `("picture", "avatar_url")`.
    pub claims: Vec<(String, String)>,
}

/// The rate limit of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimit {
    /// The documented limit; a provider may document only how it reports "too many".
    pub allowance: Option<Allowance>,
    /// The header of a 429 that says when to retry.
    pub reset_header: String,
    /// What the number in that header means, if it is not `Retry-After`.
    #[serde(default)]
    pub reset_unit: ResetUnit,
}

/// The URL at which the provider publishes its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Discovery {
    /// RFC 8414 section 3.1: `oauth-authorization-server`, put before the issuer's path.
    AuthorizationServerInserted,
    /// `oauth-authorization-server` after the issuer's path, which is not in any standard.
    AuthorizationServerAppended,
    /// OpenID Connect Discovery section 4: `openid-configuration` after the issuer's path.
    OpenidAppended,
}

/// The authentication method of a client with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Post,
    Basic,
    None,
}
