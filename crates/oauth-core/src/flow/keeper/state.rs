//! The states of a renewal.

use std::sync::Arc;

use super::commit::UnsavedTokens;
use super::record::{InFlightMarker, Record};
use crate::error::Error;
use crate::token::Tokens;

pub(super) type Outcome = Result<Arc<Tokens>, Error>;

/// Where a renewal stands: each state but the first names what was asked of the host.
#[derive(Debug)]
pub(super) enum State {
    Begun,
    /// The record, before there is a lease.
    LoadBeforeLease {
        looks: u32,
    },
    AcquireLease {
        looks: u32,
    },
    /// For another to finish.
    WaitForHolder {
        looks: u32,
    },
    /// The record, with the lease in hand.
    LoadUnderLease,
    /// Give back the lease, and wait for whoever may know more.
    ReleaseAndWait,
    /// That the refresh token is on its way.
    SaveMarker(InFlightMarker),
    RunRequest {
        /// The store is silent, and was not asked.
        without_store: bool,
    },
    /// The new tokens.
    SaveTokens(Box<UnsavedTokens>),
    /// What is stored instead, after a conflict.
    ResolveConflict(Box<UnsavedTokens>),
    /// Until the store may have come back.
    RetrySave(Box<UnsavedTokens>),
    /// Until this is looked at, for the store has said too often that another has saved.
    PauseAfterConflict(Box<Self>),
    /// Whether the store still has what it had, though it takes nothing.
    CheckStoreForUnsaved(Error),
    /// What came after a person has logged out.
    RevokeUnwanted(Outcome),
    /// Whether another has newer tokens than the ones that were refused.
    RecheckStore(Error),
    /// That a failed attempt came to nothing.
    SaveFailure(Outcome),
    /// That the server has refused the token, and not said that the grant is over.
    SaveSuspicion(Error),
    /// What is stored instead, after a conflict.
    ResolveSuspicionConflict(Error),
    /// That the grant is over.
    SaveGrantEnd(Error),
    ReleaseLease(Outcome),
    /// What the tokens of a new login take the place of.
    LoadBeforeLogin,
    /// The tokens of the login of this name, and the record they are stored as.
    SaveLogin(String, Box<Record>),
}

impl State {
    /// Whether tokens that could not be stored before are on their way.
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
