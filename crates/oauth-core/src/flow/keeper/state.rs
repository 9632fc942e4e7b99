//! The states of a renewal. What each does with its event is in `transitions.rs`.

use std::sync::Arc;

use super::commit::PendingSave;
use super::record::{InFlightMarker, Record};
use crate::error::Error;
use crate::token::Tokens;

pub(super) type Outcome = Result<Arc<Tokens>, Error>;

/// The state of a renewal: the step that the host is carrying out, and its purpose. The table of transitions is in the
/// documentation of [`flow::keeper`](super).
#[derive(Debug)]
pub(super) enum State {
    /// A renewal was decided; the host has not begun it yet.
    Begun,
    /// Loads the record, without a lease.
    LoadBeforeLease { attempts: u32 },
    /// Takes the lease.
    AcquireLease { attempts: u32 },
    /// Waits for the worker that holds the lease.
    WaitForHolder { attempts: u32 },
    /// Loads the record again, under the lease.
    LoadUnderLease,
    /// Releases the lease, and waits: the worker that sent the token may know whether it was used.
    ReleaseAndWait,
    /// Saves the in-flight marker, before the refresh token is sent.
    SaveMarker(InFlightMarker),
    /// Runs the token request.
    RunRequest {
        /// The store does not respond, so there is neither a lease nor a marker.
        without_store: bool,
    },
    /// Saves the new tokens.
    SaveTokens(Box<PendingSave>),
    /// Loads the record that another worker has saved instead of the new tokens.
    ResolveConflict(Box<PendingSave>),
    /// Waits before the next save of the new tokens.
    RetrySave(Box<PendingSave>),
    /// Waits before this state loads the record, because there were several conflicts.
    PauseAfterConflict(Box<Self>),
    /// Loads the record to see whether the store, which accepts no saves, still has the predecessor of
    /// unsaved tokens.
    CheckStoreForUnsaved(Error),
    /// Revokes tokens that were received after a logout.
    RevokeUnwanted(Outcome),
    /// Loads the record after `invalid_grant`: another worker may have stored newer tokens.
    RecheckStore(Error),
    /// Saves the record of a failed attempt: without its marker, with the pause that the server required.
    SaveFailure(Outcome),
    /// Saves the server's refusal of the refresh token, which did not end the grant.
    SaveUnconfirmedRefusal(Error),
    /// Loads the record that another worker has saved instead of the refusal.
    ResolveRefusalConflict(Error),
    /// Saves that the grant has ended.
    SaveGrantEnd(Error),
    /// Releases the lease: no caller waits for the renewal, and it is no longer due.
    ReleaseUnneeded,
    /// Releases the lease; then the renewal is done.
    ReleaseLease(Outcome),
    /// Loads the record that a new login replaces.
    LoadBeforeLogin,
    /// Saves the login with this id, as this record.
    SaveLogin(String, Box<Record>),
}

impl State {
    /// Whether this saves tokens that an earlier renewal could not save.
    pub(super) const fn saves_deferred(&self) -> bool {
        match self {
            Self::SaveTokens(unsaved)
            | Self::ResolveConflict(unsaved)
            | Self::RetrySave(unsaved) => unsaved.is_deferred,
            Self::PauseAfterConflict(next) => next.saves_deferred(),
            _ => false,
        }
    }
}
