//! Visits and renewals in progress.

use oauth_core::Tokens;
use oauth_core::exchange::{Boxed, Input};
use oauth_core::flow::keeper::LeaseExtension;
use oauth_web::{RunOutput, Session, Visit};

use super::store_requests::StoreReply;
use super::tab::Tab;

/// A visit or renewal that a worker has begun.
pub(super) struct Task {
    pub(super) worker: usize,
    pub(super) work: Work,
}

pub(super) enum Work {
    Visit(Box<Visiting>),
    Renewal(Box<Renewing>),
}

pub(super) struct Visiting {
    pub(super) visit: Visit,
    pub(super) tab: Tab,
    pub(super) exchange: Option<Boxed<RunOutput>>,
    /// The time of its start.
    pub(super) began: u64,
    /// The session whose cookie was sent.
    pub(super) sent: Option<String>,
    /// The login that its code belongs to.
    pub(super) login: Option<usize>,
    /// The session that it has created.
    pub(super) begun: Option<String>,
    /// The logins whose records it has removed from the store; their tokens are revoked next.
    pub(super) cleared: Vec<usize>,
    /// The session of the user who was passed to the application, and waits for a token.
    pub(super) session: Option<Session>,
    /// Whether it ends the session because its tokens have ended.
    pub(super) is_over: bool,
    /// Whether the store or the provider has ever failed to answer it.
    pub(super) has_failed: bool,
    /// The keys that a flawed host removes only at the end.
    pub(super) put_off: Vec<String>,
}

pub(super) struct Renewing {
    /// The session whose grant it is.
    pub(super) key: String,
    pub(super) record: String,
    pub(super) exchange: Option<Boxed<Tokens>>,
    pub(super) holder: String,
    /// The time until which it believes to have the lease.
    pub(super) leased_until: u64,
    /// Whether its token request is on its way.
    pub(super) is_sent: bool,
    pub(super) extension: Option<LeaseExtension>,
    /// Whether the store has ever failed to answer it.
    pub(super) has_failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyArrives {
    Yes,
    No,
}

pub(super) enum Answer {
    Begin,
    StoreReply(StoreReply),
    Net(Input),
    Elapsed,
    Admitted,
}
