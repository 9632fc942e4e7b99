//! `GET /access_token` and `GET /refresh_access_token`: renewal of access tokens without a refresh token, as at Meta.
//! A short-lived token is exchanged with the client's secret for a long-lived one, which can be renewed once it is a
//! day old.

use oauth_core::moment::UnixTime;
use serde_json::json;

use super::authority::{Authority, plus};
use super::wire::{self, ReceivedRequest, Reply};

/// The path at which a short-lived token is exchanged.
pub(super) const EXCHANGE_PATH: &str = "/access_token";
/// The path at which a long-lived token is renewed.
pub(super) const RENEWAL_PATH: &str = "/refresh_access_token";

/// The lifetime of a long-lived token, in seconds: 60 days.
const LONG_LIVED_SECONDS: u64 = 60 * 24 * 3600;
/// The age from which it can be renewed, in seconds.
const MIN_RENEWAL_AGE_SECONDS: u64 = 24 * 3600;

impl super::Twin {
    /// Issues no refresh tokens from now on, as a server that renews access tokens with themselves.
    pub fn withhold_refresh_tokens(&mut self) {
        self.authority.rules.reply.refresh_token = false;
    }
}

pub(super) fn renew(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    let parameter_value = |name: &str| request.query(name).unwrap_or_default();
    let is_exchange = request.path == EXCHANGE_PATH;
    let (grant_type, parameter) = if is_exchange {
        ("exchange_token", "short_lived_token")
    } else {
        ("refresh_token", "access_token")
    };
    if parameter_value("grant_type") != grant_type {
        return refused(100, "unexpected grant_type");
    }
    if is_exchange
        && (parameter_value("client_id") != authority.rules.client_id
            || parameter_value("client_secret") != authority.rules.client_secret)
    {
        return refused(101, "the client's secret is wrong");
    }
    let token = parameter_value(parameter).to_owned();
    let Some(grant) = authority.access(at, &token).cloned() else {
        return refused(190, "the token has expired");
    };
    let (issued, end) = authority.access_times(&token).unwrap_or((at, None));
    let is_long_lived = end.is_some_and(|end| end.since(issued).as_secs() >= LONG_LIVED_SECONDS);
    if is_exchange == is_long_lived || !is_exchange && at < plus(issued, MIN_RENEWAL_AGE_SECONDS) {
        return refused(100, "this token cannot be renewed here, or not yet");
    }
    let lifetime = authority.rules.access_lifetime.replace(LONG_LIVED_SECONDS);
    let reply = authority.issue(at, grant, false);
    authority.rules.access_lifetime = lifetime;
    authority.counters.renewals += 1;
    wire::unstored(200, &reply)
}

/// An error response in the form of Meta's API.
fn refused(code: u16, message: &str) -> Reply {
    let error = json!({ "message": message, "type": "OAuthException", "code": code });
    wire::unstored(400, &json!({ "error": error }))
}
