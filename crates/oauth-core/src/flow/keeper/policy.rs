//! The settings of a keeper: margins before expiry, lease length, and how the server handles a reused refresh token.
//! Which caller starts a renewal is decided in `decision.rs`; which worker may send it, by the lease (`lease.rs`) and
//! in `send_decision.rs`.

use std::time::Duration;

/// Allowance for a request that arrives after its sender gave up on it, and for clocks that differ.
const NETWORK_MARGIN: Duration = Duration::from_secs(15);

/// The settings of a [`Keeper`](super::Keeper).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Policy {
    /// A token this close to its expiry is stale: callers wait for the next one. 30 s, and never more
    /// than a tenth of the lifetime.
    pub leeway: Duration,
    /// This long before that, a token is returned while the next one is fetched in the background: 60 s,
    /// and never more than a fifth of the lifetime. Up to half as much is added as jitter, so that the
    /// workers of a fleet do not renew at once.
    pub ahead: Duration,
    /// How long a lease is taken: 10 s. The host extends it while a request runs, see
    /// [`lease_extension`](super::Keeper::lease_extension), so that others wait for a crashed worker no longer than
    /// this.
    pub lease: Duration,
    /// How long a token request can take, from when the driver gets it until its response has been read
    /// or it is given up: 30 s. Only resending a refresh token that may have been used waits for it. A
    /// host that knows the limit sets it, see
    /// [`with_longest_request`](super::Keeper::with_longest_request).
    pub longest_request: Duration,
    /// What the server does when a refresh token is reused.
    pub reuse: Reuse,
    /// How long before its unused refresh token expires an idle grant is refreshed, if the server states the expiry:
    /// never more than a fifth of that time, and up to half as much earlier, so that the workers of a fleet do not
    /// wake at once. `None` by default: no request is sent for an unused grant. See
    /// [`Keeper::upkeep`](super::Keeper::upkeep).
    pub keep_alive: Option<Duration>,
    /// How long before the end of a user's authorization notice is given: 7 days; at once if less is left.
    pub notice: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            ahead: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            longest_request: Duration::from_secs(30),
            reuse: Reuse::Unknown,
            keep_alive: None,
            notice: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Policy {
    /// How long after its marker the request of an attempt may still arrive: it is begun within one lease
    /// or not at all, given up after the longest request, and the network gets a margin of 15 s.
    pub fn attempt_window(&self) -> Duration {
        let given_up = self.lease.saturating_add(self.longest_request);
        given_up.saturating_add(NETWORK_MARGIN)
    }
}

/// What the server does when a refresh token is reused (RFC 9700 section 4.14.2).
///
/// This matters if the reply to a refresh is lost: the server may have replaced the token, and the replacement is lost
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reuse {
    /// Not known. After a lost reply the token is sent again only when nothing is left to lose: the
    /// access token has expired, and the worker that may still receive the reply has had the time for it,
    /// see [`Policy::attempt_window`]. If the server tolerates reuse, the cost is a delay; if it revokes,
    /// an alarm at the server for a grant that was lost already. A server that has never rotated the token is treated
    /// as [`Tolerated`](Self::Tolerated).
    #[default]
    Unknown,
    /// The server revokes the grant. A refresh token that may have been used is never sent again: the grant ends with
    /// `grant.outcome_unknown`, even if the server had not seen it.
    Revokes,
    /// The old token stays valid, or is accepted again for a grace period: it is resent immediately.
    Tolerated,
}
