//! What a keeper says, and what it is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::exchange::Boxed;
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::Tokens;

/// The answer to [`Keeper::ask`](super::Keeper::ask): what the caller is to do.
///
/// Whoever drops [`UseAndRenew`](Self::UseAndRenew) or [`Renew`](Self::Renew) leaves the keeper busy
/// with a renewal that nobody runs.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// Take these: they are good.
    UseToken(Arc<Tokens>),
    /// Take these, and renew them beside: call [`Keeper::resume`](super::Keeper::resume) with
    /// [`Event::Begin`].
    UseAndRenew(Arc<Tokens>),
    /// Renew, for yourself and all who come meanwhile: call
    /// [`Keeper::resume`](super::Keeper::resume) with
    /// [`Event::Begin`].
    Renew,
    /// Another caller renews: wait for the end of that.
    Wait,
    /// There is nothing to be had now; the error says what to do.
    Fail(Error),
}

/// How a grant stands. What was never there, or was removed, is not told apart from what is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing is known against it.
    #[default]
    Good,
    /// The server refuses its refresh token without saying that it is over: a person is told to log
    /// in, and the token is tried again now and then.
    Suspect,
    /// It is over for everyone: a person has to log in.
    Ended,
}

/// What the host is to do next.
#[must_use]
pub enum Step {
    /// Read the record. Answer with [`Event::Loaded`].
    Load,
    /// Take the lease for so long, in this name; for no time at all: give it back. Answer with
    /// [`Event::Leased`].
    Lease {
        /// Who takes it: no other worker has this name.
        holder: String,
        /// For how long.
        ttl: Duration,
    },
    /// Save the record if it is still at this version; 0 is the version of one that is not there.
    /// Answer with [`Event::Saved`].
    Save {
        /// What to save.
        record: Secret<String>,
        /// The version it replaces.
        version: u64,
        /// When it wants to be renewed, for a store that can find records by that: the end of the
        /// access token, or when it was received if nobody knows its end. Nothing for a grant that
        /// is over, or that has no refresh token: nobody has to renew it before it is asked for.
        due: Option<UnixTime>,
    },
    /// Run this. Answer with [`Event::Completed`], also if every caller has gone.
    ///
    /// It asks for tokens; or it revokes some that came after a person had logged out, and leaves an
    /// error behind in any case.
    Run(Boxed<Tokens>),
    /// Wait this long. Answer with [`Event::Elapsed`].
    Wait(Duration),
    /// The end, for everyone who waited.
    Done(Result<Arc<Tokens>, Error>),
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Nothing yet.
    Begin,
    /// The record, or that there is none.
    Loaded(Option<Entry>),
    /// What became of the lease.
    Leased(Lease),
    /// What the exchange left behind.
    Completed(Result<Tokens, Error>),
    /// What became of the record.
    Saved(Saved),
    /// The pause is over.
    Elapsed,
    /// The store gave no answer; what it was asked for may have happened or not.
    Failed(Error),
}

/// A record as it is stored.
///
/// An empty one says that the grant was removed: a person has logged out. It is saved like any other
/// record, so that whoever still has the tokens learns of it, and a store may forget it after 30
/// days. A record that is just not there was never saved, or is lost: those who have it put it back.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Higher with every save, and never the same twice for one key, whatever was removed or lost in
    /// between; 1 or more.
    pub version: u64,
    /// What was saved.
    pub record: Secret<String>,
}

impl Entry {
    /// Whether this is what stands in the place of a record that was removed.
    pub fn is_removed(&self) -> bool {
        self.record.expose().is_empty()
    }
}

/// Who may renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The holder who asked. So it is too for one who gave the lease back.
    Won,
    /// Another, for so long from now.
    Held(Duration),
}

/// Whether a record was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It was, and is now at this version.
    At(u64),
    /// It was not: the record is at another version.
    Conflict,
}

/// The lease to take anew while a request runs, see
/// [`Keeper::lease_extension`](super::Keeper::lease_extension).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseExtension {
    /// Who has it.
    pub holder: String,
    /// For how long it is taken, each time.
    pub ttl: Duration,
    /// How long to wait before each time.
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
