//! Verification of logout tokens (OpenID Connect Back-Channel Logout section 2.6).

use std::time::Duration;

use oauth_core::Secret;
use oauth_core::extra::Extra;
use oauth_core::moment::UnixTime;
use oauth_core::token::logout_token::{self, LogoutTokenChecks, ReplayProtection};

use super::{arguments, outcome};
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Verifies a logout token that the server has posted (OpenID Connect Back-Channel Logout section 2.6).
    ///
    /// End the session of this issuer that it names by sid, and those of its subject whose login had no sid; if it
    /// names no sid, end all sessions of its subject. Respond with 200, or 400 after an error, with Cache-Control:
    /// no-store.
    ///
    /// logout_token.replayed for a token that was received before, jwe.*, jws.*, jwt.* and logout_token.event for
    /// anything but a logout token of this server for this client, encrypted as its ID tokens are; lost.* and others if
    /// it could not be verified.
    pub struct VerifyLogoutToken {
        /// The value of logout_token in the posted form.
        pub token: Secret<String>,
        /// Where received tokens are remembered against replay: "process", in this client, by default, or
        /// "caller": then refuse a token whose issuer and jti are in your store, and keep them until forget_at.
        pub replay: Option<ReplayProtection>,
        /// Accepts a token without exp, from servers older than that rule, if it was issued at most this many seconds
        /// ago.
        pub max_age_without_expiry: Option<u64>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let mut checks = LogoutTokenChecks::default();
        checks.replay = self.replay.unwrap_or_default();
        checks.max_age_without_expiry = self.max_age_without_expiry.map(Duration::from_secs);
        let exchange = client.core().verify_logout_token(self.token, checks);
        Ok(ErasedExchange::with_record::<_, LogoutToken>(exchange))
    }
}

outcome! {
    /// The claims of a verified logout token (OpenID Connect Back-Channel Logout section 2.4).
    pub struct LogoutToken {
        /// The issuer.
        pub issuer: String,
        /// The subject that was signed out.
        pub subject: Option<String>,
        /// The session that has ended: the sid of the ID token of its login.
        pub sid: Option<String>,
        /// The id of this token: jti.
        pub jti: String,
        /// When the logout token was issued.
        pub issued_at: UnixTime,
        /// When jti may be forgotten: from then on the token is refused because of its age.
        pub forget_at: UnixTime,
        /// All claims.
        pub claims: Extra,
    }
}

impl From<logout_token::LogoutToken> for LogoutToken {
    fn from(token: logout_token::LogoutToken) -> Self {
        Self {
            issuer: token.issuer().to_owned(),
            subject: token.subject().map(str::to_owned),
            sid: token.sid().map(str::to_owned),
            jti: token.jti().to_owned(),
            issued_at: token.issued_at(),
            forget_at: token.forget_at(),
            claims: Extra::from(token.claims().as_map().clone()),
        }
    }
}
