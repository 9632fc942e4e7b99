//! The refresh token, or the access token that takes its role ([`SelfRenewal`](crate::self_renewal::SelfRenewal)). The
//! request is in `grant/refresh_token.rs`; when it is sent, and by which worker, is decided in `flow/keeper/`. A
//! rotated one (RFC 9700 section 4.14.2) is saved in `flow/keeper/commit.rs`.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::authorized_resources::AuthorizedResources;
use super::step_up_requirement::StepUpLogin;
use super::{TokenType, Tokens};
use crate::certificate::KnownCertificate;
use crate::client_config::Binding;
use crate::extra::Extra;
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;

/// The kind of token that renews the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewalTokenKind {
    /// A refresh token.
    AsRefreshToken,
    /// The access token itself; its lifetime in seconds, if known.
    AsAccessToken(Option<u64>),
}

/// A refresh token, with the scope for which it was granted, and the server and client to which it belongs.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub(crate) secret: Secret<String>,
    pub(crate) scope: Scope,
    /// The scope that the login requested.
    pub(crate) requested: Scope,
    /// The resources that the authorization request named.
    pub(crate) resources: AuthorizedResources,
    /// The newest ID token of the grant: a refresh must not return one of another user.
    pub(crate) id_token: Option<Secret<String>>,
    /// The step-up login from which the tokens come, if any.
    pub(crate) step_up_login: Option<Arc<StepUpLogin>>,
    /// The thumbprint of the DPoP key to which the token is bound, for a client that does not authenticate.
    pub(crate) dpop_jkt: Option<Arc<str>>,
    /// The certificate that was presented when the token was issued, if known. For a public client the token is bound
    /// to it (RFC 8705 section 4).
    pub(crate) certificate: KnownCertificate,
    /// When the unused token expires.
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) renews: RenewalTokenKind,
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

    /// The resources of the authorization: a refresh may request some of them and no others (RFC 8707 section 2.2).
    /// Empty if the authorization named none, or if they are unknown.
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

/// The tokens of a grant that is known only by its refresh token, such as one from another library or a database
/// ([`Client::refresh_token`](crate::Client::refresh_token)). They count as expired, so a source renews them before it
/// returns the first token.
impl From<RefreshToken> for Tokens {
    fn from(refresh: RefreshToken) -> Self {
        let access_token = match refresh.renews {
            RenewalTokenKind::AsRefreshToken => Secret::new(String::new()),
            RenewalTokenKind::AsAccessToken(_) => refresh.secret.clone(),
        };
        Self {
            access_token,
            token_type: TokenType::Bearer,
            received_at: UnixTime::from_secs(0),
            expires_in: Some(0),
            authorization_expires_at: refresh.authorization_expires_at,
            scope: refresh.scope.clone(),
            id_token: refresh.id_token.clone(),
            extra: Extra::default(),
            warnings: Vec::new(),
            step_up_login: refresh.step_up_login.clone(),
            certificate: refresh.certificate.clone(),
            binding: Arc::clone(&refresh.binding),
            refresh_token: Some(refresh),
        }
    }
}
