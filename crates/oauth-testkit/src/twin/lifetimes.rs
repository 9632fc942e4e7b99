//! How long what a twin issues is good, and what it says of that.

use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::Twin;
use super::authority::{Authority, Grant, plus};

impl Twin {
    /// The lifetime of access tokens from now on, and their `expires_in` if the system has one.
    pub fn set_access_token_lifetime(&mut self, seconds: u64) {
        self.authority.rules.access_lifetime = Some(seconds);
    }

    /// Names no lifetime from now on, though tokens have one: only a 401 tells.
    pub fn hide_access_token_lifetime(&mut self) {
        self.authority.rules.reply.expires_in = false;
    }

    /// Every access token is refused from now on where it is presented, new ones as well: a 401 that no refresh mends.
    pub fn refuse_access_tokens(&mut self) {
        self.authority.rules.refuses_access_tokens = true;
    }

    /// Refresh tokens that are not used for so long end from now on, and token responses say so.
    pub fn set_refresh_token_timeout(&mut self, seconds: u64) {
        self.authority.rules.refresh_lifetime = Some(seconds);
        self.authority.rules.reply.refresh_token_timeout = true;
    }

    /// A person's approval ends after so long from now on, and all that came from it, however often it is refreshed;
    /// token responses say when (`authorization_expires_in`, draft-ietf-oauth-refresh-token-expiration).
    pub fn set_authorization_lifetime(&mut self, seconds: u64) {
        self.authority.rules.authorization_lifetime = Some(seconds);
    }
}

/// Has a grant end with the approval that it came from.
pub(super) fn limit(authority: &Authority, at: UnixTime, grant: &mut Grant) {
    let is_of_person = grant.subject.is_some();
    if let Some(seconds) = authority
        .rules
        .authorization_lifetime
        .filter(|_| is_of_person)
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

/// Says when the approval ends.
pub(super) fn tell(at: UnixTime, grant: &Grant, reply: &mut Value) {
    if let Some(ends) = grant.ends {
        reply["authorization_expires_in"] = ends.since(at).as_secs().into();
    }
}
