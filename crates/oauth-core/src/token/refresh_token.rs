//! The refresh token, and the other secrets that renew a grant.

use std::sync::Arc;

use super::step_up::StepUpLogin;
use crate::client_config::Binding;
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;

/// What a token that renews is beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renews {
    /// A refresh token.
    AsRefreshToken,
    /// The access token itself, of this lifetime in seconds, as far as it is known.
    ByItself(Option<u64>),
}

/// A refresh token, with the scope it was granted for and the server and client it belongs to.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub(crate) secret: Secret<String>,
    pub(crate) scope: Scope,
    /// What the login asked for.
    pub(crate) requested: Scope,
    /// The newest ID token of the grant: a refresh must bring none of another person.
    pub(crate) id_token: Option<Secret<String>>,
    /// What the login was made for beyond the ordinary.
    pub(crate) answered: Option<Arc<StepUpLogin>>,
    /// The thumbprint of the DPoP key that it is bound to, of a client that does not authenticate.
    pub(crate) dpop_jkt: Option<Arc<str>>,
    /// When it ends, if it is not used before.
    pub(crate) use_by: Option<UnixTime>,
    pub(crate) renews: Renews,
    /// When the authorization it stands for ends.
    pub(crate) authorization_until: Option<UnixTime>,
    pub(crate) binding: Arc<Binding>,
}

impl RefreshToken {
    /// The token itself.
    pub const fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    /// The scope it was granted for.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The scope that the login asked for, as far as it is known: a refresh may ask for this too,
    /// and the server decides.
    pub const fn requested(&self) -> &Scope {
        &self.requested
    }

    /// When it ends if nobody uses it before, as far as the server said so: `refresh_token_timeout`
    /// (draft-ietf-oauth-refresh-token-expiration-03 section 6.1), never later than the authorization. It may end
    /// earlier, at any time.
    pub const fn use_by(&self) -> Option<UnixTime> {
        self.use_by
    }
}
