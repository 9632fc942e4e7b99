//! The deadlines of a grant: when to refresh its access token ahead of time, when the token is stale, when it expires,
//! and when to exchange an idle refresh token.

use std::time::Duration;

use super::policy::Policy;
use super::upkeep::keep_alive;
use crate::jose::CLOCK_SKEW;
use crate::moment::{Moment, UnixTime};
use crate::self_renewal::SelfRenewal;
use crate::token::Tokens;

/// The deadlines of one access token and its refresh token, by this worker's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Before this time the age of the token is unknown: the clock that received it was ahead by more than clocks differ
    /// from each other, or ours has been set back since.
    pub(super) age_known_from: UnixTime,
    /// From this time on, the access token is returned and refreshed in the background.
    pub(super) refresh_at: UnixTime,
    /// From this time on it is stale: callers wait for the next one.
    pub(super) stale_at: UnixTime,
    /// From this time on the server refuses it.
    pub(super) expires_at: UnixTime,
    /// From this time on the refresh token is used even if no caller asks, so that it does not expire unused.
    pub(super) keep_alive_at: Option<UnixTime>,
}

impl Deadlines {
    /// A token without a lifetime lasts until a resource server refuses it.
    pub(super) fn new(
        tokens: &Tokens,
        policy: &Policy,
        renewal: Option<&SelfRenewal>,
        at: &Moment,
    ) -> Self {
        let never = UnixTime::from_secs(u64::MAX);
        let age_known_from = tokens.received_at.before(CLOCK_SKEW);
        let keep_alive_at = keep_alive(tokens, policy).map(|(latest, spread)| {
            // The clock of the worker that received it may be ahead of ours.
            let ahead = tokens.received_at.since(at.now());
            let jitter = at.jitter_input() % (spread.as_secs() + 1);
            latest.before(ahead + Duration::from_secs(jitter))
        });
        // An expired token cannot be renewed, so there must be time for many attempts.
        let renew_at = renewal.map_or(never, |renewal| {
            renewal.from(tokens.received_at, tokens.expires_in)
        });
        let end = tokens.expires_at();
        let Some(lifetime) = end.map(|end| end.since(tokens.received_at)) else {
            return Self {
                age_known_from,
                refresh_at: renew_at,
                stale_at: never,
                expires_at: never,
                keep_alive_at,
            };
        };
        // The clock has whole seconds. A token with a lifetime of 0 would be renewed on every call.
        let lifetime = lifetime.max(Duration::from_secs(1));
        let expires_at = tokens.received_at.after(lifetime);
        // The clock of the worker that received it may be ahead of ours.
        let expires_at = expires_at.min(at.now().after(lifetime));
        let stale_at = expires_at.before(policy.leeway.min(lifetime / 10));
        let ahead = policy.ahead.min(lifetime / 5);
        let jitter = at.jitter_input() % (ahead.as_secs() / 2 + 1);
        Self {
            age_known_from,
            refresh_at: stale_at
                .before(ahead + Duration::from_secs(jitter))
                .min(renew_at),
            stale_at,
            expires_at,
            keep_alive_at,
        }
    }
}
