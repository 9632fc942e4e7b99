//! The refresh token, and the other secrets that renew a grant. The request is in `grant/refresh_token.rs`; when it is
//! sent, and by which worker, is decided in `flow/keeper/`.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::authorized_resources::AuthorizedResources;
use super::step_up_requirement::StepUpLogin;
use crate::certificate::KnownCertificate;
use crate::client_config::Binding;
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;

/// What kind of secret renews the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renews {
    /// A refresh token.
    AsRefreshToken,
    /// The access token itself, with this lifetime in seconds, if known.
    ByItself(Option<u64>),
}

/// A refresh token, with the scope for which it was granted, and the server and client to which it belongs.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub(crate) secret: Secret<String>,
    pub(crate) scope: Scope,
    /// The scope that the login requested.
    pub(crate) requested: Scope,
    /// The resources that the authorization asked for.
    pub(crate) resources: AuthorizedResources,
    /// The newest ID token of the grant: a refresh must not return one of another user.
    pub(crate) id_token: Option<Secret<String>>,
    /// The step-up for which the login was made, if any.
    pub(crate) answered: Option<Arc<StepUpLogin>>,
    /// The thumbprint of the DPoP key to which the token is bound, for a client that does not authenticate.
    pub(crate) dpop_jkt: Option<Arc<str>>,
    /// The certificate with which the token came, if it is known: for a client that does not authenticate, the token is
    /// bound to it.
    pub(crate) certificate: KnownCertificate,
    /// When the token expires, if it is not used before.
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) renews: Renews,
    /// When the user's authorization ends.
    pub(crate) authorization_expires_at: Option<UnixTime>,
    pub(crate) binding: Arc<Binding>,
}

impl RefreshToken {
    /// The token itself.
    pub const fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    /// The scope for which it was granted.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The scope that the login requested, if known: a refresh may request this too, and the server decides.
    pub const fn requested(&self) -> &Scope {
        &self.requested
    }

    /// The resources that the authorization asked for: a refresh may ask for some of them and for no others (RFC 8707
    /// section 2.2). Empty if it named none, or if they are not known.
    pub fn resources(&self) -> &[String] {
        self.resources.as_slice()
    }

    /// When the token expires if it is not used before, if the server said so: `refresh_token_timeout`
    /// (draft-ietf-oauth-refresh-token-expiration-03 section 6.1), never later than the authorization. It may become
    /// invalid earlier, at any time.
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }
}
