//! The lifetimes of tokens and approvals, and their members in token responses.

use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::Twin;
use super::authority::{Authority, Grant, plus};

impl Twin {
    /// Sets the lifetime of new access tokens, and their `expires_in` if the system has one.
    pub fn set_access_token_lifetime(&mut self, seconds: u64) {
        self.authority.rules.access_lifetime = Some(seconds);
    }

    /// Leaves `expires_in` out from now on, although tokens expire: only a 401 shows it.
    pub fn hide_access_token_lifetime(&mut self) {
        self.authority.rules.reply.expires_in = false;
    }

    /// Refuses every access token at the API from now on, new ones as well: a 401 that a refresh does not cure.
    pub fn refuse_access_tokens(&mut self) {
        self.authority.rules.refuses_access_tokens = true;
    }

    /// Expires refresh tokens that are unused for this long, and announces that in token responses.
    pub fn set_refresh_token_timeout(&mut self, seconds: u64) {
        self.authority.rules.refresh_lifetime = Some(seconds);
        self.authority.rules.reply.refresh_token_timeout = true;
    }

    /// Ends a user's approval after this time, with all tokens issued for it, no matter how often they are refreshed.
    /// Token responses announce it (`authorization_expires_in`, draft-ietf-oauth-refresh-token-expiration).
    pub fn set_authorization_lifetime(&mut self, seconds: u64) {
        self.authority.rules.authorization_lifetime = Some(seconds);
    }
}

/// Limits the lifetime of a grant to that of its approval.
pub(super) fn limit_to_approval(authority: &Authority, at: UnixTime, grant: &mut Grant) {
    let has_subject = grant.subject.is_some();
    if let Some(seconds) = authority
        .rules
        .authorization_lifetime
        .filter(|_| has_subject)
    {
        grant.ends.get_or_insert(plus(at, seconds));
    }
}

/// The earlier of the two.
pub(super) fn earlier(one: Option<UnixTime>, other: Option<UnixTime>) -> Option<UnixTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Adds `authorization_expires_in` to a token response.
pub(super) fn add_to_response(at: UnixTime, grant: &Grant, reply: &mut Value) {
    if let Some(ends) = grant.ends {
        reply["authorization_expires_in"] = ends.since(at).as_secs().into();
    }
}
