//! The vocabulary between a keeper and its host: decisions, steps and events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::exchange::Boxed;
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::Tokens;

/// The result of [`Keeper::ask`](super::Keeper::ask): the caller uses a token, waits, or renews.
///
/// A caller that drops [`UseAndRenew`](Self::UseAndRenew) or [`Renew`](Self::Renew) leaves the keeper busy
/// with a renewal that no host runs.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// Use these: they are valid.
    UseToken(Arc<Tokens>),
    /// Use these, and renew them in the background: call [`Keeper::resume`](super::Keeper::resume) with
    /// [`Event::Begin`].
    UseAndRenew(Arc<Tokens>),
    /// Renew, for this caller and all that join in the meantime: call
    /// [`Keeper::resume`](super::Keeper::resume) with
    /// [`Event::Begin`].
    Renew,
    /// Another caller renews: wait for its outcome.
    Wait,
    /// There is no token; the error contains the reason.
    Fail(Error),
}

/// Whether a grant is valid. One that never existed, or was removed, counts as valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GrantStatus {
    /// The grant is valid according to what is known.
    #[default]
    Good,
    /// The server refuses its refresh token without saying that the grant has ended: the user has to log in, and the
    /// token is tried again at intervals.
    Suspect,
    /// The grant has ended for all workers: the user has to log in.
    Ended,
}

/// The next task of the host.
#[must_use]
pub enum Step {
    /// Read the record. Report the result with [`Event::Loaded`].
    Load,
    /// Acquire the lease for this holder; with a `ttl` of zero: release it. Report the result with [`Event::Leased`].
    Lease {
        /// The holder: no other worker uses this name.
        holder: String,
        /// For how long; zero releases the lease.
        ttl: Duration,
    },
    /// Save the record if the stored one is still at this version; 0 is the version of an absent one. Report the result
    /// with [`Event::Saved`].
    Save {
        /// The record to save.
        record: Secret<String>,
        /// The version it replaces.
        version: u64,
        /// When the grant should be renewed, for a store that can find records by this time: the expiry of the access
        /// token, or when it was received if its lifetime is unknown; with
        /// [`Policy::keep_alive`](super::Policy::keep_alive), when the refresh token has to be used before it expires,
        /// if that is known. `None` for a grant that has ended, or has no refresh token: it need not be renewed before
        /// a caller asks.
        due: Option<UnixTime>,
        /// When the record expires, for a store that supports expiry: see
        /// [`Keeper::until`](super::Keeper::until).
        until: Option<UnixTime>,
    },
    /// Run this exchange. Report the result with [`Event::Completed`], even if all callers were cancelled.
    ///
    /// The exchange requests tokens; or it revokes tokens that were received after a logout, and returns an error in
    /// any case.
    Run(Boxed<Tokens>),
    /// Wait this long, then report [`Event::Elapsed`].
    Wait(Duration),
    /// The renewal is done: the outcome for every caller that waited.
    Done(Result<Arc<Tokens>, Error>),
}

/// The result of a task.
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed over once, and not kept"
)]
#[derive(Debug)]
pub enum Event {
    /// The first event of a renewal.
    Begin,
    /// The record, if there is one.
    Loaded(Option<Entry>),
    /// The result of [`Step::Lease`].
    Leased(Lease),
    /// The outcome of the exchange of [`Step::Run`].
    Completed(Result<Tokens, Error>),
    /// The result of [`Step::Save`].
    Saved(SaveOutcome),
    /// The pause has ended.
    Elapsed,
    /// The store failed: the step may or may not have taken effect.
    Failed(Error),
}

/// A record as it is stored.
///
/// An empty record is a tombstone: the grant was removed, because the user has logged out. A tombstone is saved like
/// any other record, so that every worker that still has the tokens learns of the removal, and a store may delete it
/// after 30 days. An absent record was never saved, or is lost: a worker that has it restores it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Higher with every save, and never used twice for one key, even if the record was removed or lost in between; 1
    /// or more.
    pub version: u64,
    /// The record that was saved.
    pub record: Secret<String>,
}

impl Entry {
    /// Whether this is the tombstone of a removed record.
    pub fn is_removed(&self) -> bool {
        self.record.expose().is_empty()
    }
}

/// The result of a lease request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The requesting holder has it; or, after a `ttl` of zero, has released it.
    Won,
    /// Another holder has it, for this long from now.
    Held(Duration),
}

/// The result of saving a record in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The record was saved, at this version.
    At(u64),
    /// The record was not saved: the stored one is at another version.
    Conflict,
}

/// The lease to extend while a request runs, see
/// [`Keeper::lease_extension`](super::Keeper::lease_extension).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseExtension {
    /// The holder that has it.
    pub holder: String,
    /// The duration of each extension.
    pub ttl: Duration,
    /// How long to wait before each extension.
    pub every: Duration,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load => f.write_str("Load"),
            Self::Lease { holder, ttl } => f
                .debug_struct("Lease")
                .field("holder", holder)
                .field("ttl", ttl)
                .finish(),
            Self::Save { version, .. } => f
                .debug_struct("Save")
                .field("version", version)
                .finish_non_exhaustive(),
            Self::Run(_) => f.write_str("Run(..)"),
            Self::Wait(pause) => f.debug_tuple("Wait").field(pause).finish(),
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
        }
    }
}
