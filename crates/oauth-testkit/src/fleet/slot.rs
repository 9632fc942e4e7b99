//! The state that a worker has for each keeper, and the messages to it.

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::exchange::{Boxed, Input};
use oauth_core::flow::keeper::{Event, Keeper, LeaseExtension, Step};
use oauth_core::{Secret, Tokens};

pub(super) type Outcome = Result<Arc<Tokens>, Error>;

/// One keeper, and the state of its host.
pub(super) struct Slot {
    pub(super) keeper: Keeper,
    /// Whether upkeep is scheduled although no caller is asking for a token.
    pub(super) is_upkeep_scheduled: bool,
    /// The callers that wait for the renewal under way.
    pub(super) waiting: Vec<usize>,
    /// The caller that began the renewal.
    pub(super) leader: Option<usize>,
    /// The number of renewals that were abandoned. Messages addressed to an earlier round are discarded.
    pub(super) round: u32,
    /// The number of the call that the keeper waits for: of the store, or of a timer.
    pub(super) call: Option<u64>,
    pub(super) flight: Option<Flight>,
    /// Whether the keeper has returned a token request whose outcome it does not have yet.
    pub(super) is_flying: bool,
    /// The holder's name in the last lease request.
    pub(super) holder: String,
    pub(super) lease: Option<LeaseTerm>,
    /// The newest version of the record this worker has read or saved.
    pub(super) known_version: u64,
    /// When it read or saved that version, in milliseconds.
    pub(super) seen_at: u64,
    /// Whether the store has reported a newer version since then.
    pub(super) is_behind: bool,
    /// Whether the store did not answer the last call.
    pub(super) is_silent: bool,
    /// Whether the last request was sent without the store.
    pub(super) is_alone: bool,
    /// The number of store failures since the last tokens arrived.
    pub(super) store_failures: u32,
    /// The access and the refresh token that only this worker has.
    pub(super) unstored_tokens: Option<(String, Option<String>)>,
    /// The access tokens of logins that were brought here.
    pub(super) logins: Vec<String>,
    /// An access token that was handed out although the store does not have it.
    pub(super) unsaved: Option<String>,
}

/// A token request under way.
pub(super) struct Flight {
    pub(super) exchange: Boxed<Tokens>,
    /// The number in the ledger, once it is sent.
    pub(super) send: Option<usize>,
}

/// A lease, as granted by the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseTerm {
    pub(super) since: u64,
    pub(super) until: u64,
    pub(super) sends: u32,
    /// Whether the store failed to carry out an extension of the lease.
    pub(super) is_missed: bool,
}

impl LeaseTerm {
    pub(super) const fn new(since: u64, until: u64) -> Self {
        Self {
            since,
            until,
            sends: 0,
            is_missed: false,
        }
    }
}

/// A message to a worker.
pub(super) enum Message {
    Ask(usize),
    Use(usize),
    Cancel(usize),
    Begin(u32),
    Act(u32, Step),
    /// The request is sent.
    Launch(u32),
    /// An answer of the store, with the end of a granted lease; or the end of a pause.
    StoreAnswered {
        call: u64,
        event: Event,
        until: Option<u64>,
    },
    Net {
        send: usize,
        input: Input,
    },
    Answer(Vec<usize>, Outcome),
    Login(Tokens),
    /// It is time to retry saving the unsaved tokens.
    RetrySave,
    /// Upkeep of the grant is due although no caller requests a token.
    Upkeep,
    /// The lease has to be extended if the request still runs.
    Extend(u32, LeaseExtension),
    /// A caller that has waited long enough takes the current token if it is valid.
    Impatient(usize),
}

/// An order to the store.
pub(super) enum Order {
    Load,
    Lease(String, std::time::Duration),
    /// Extends the lease while a request runs; no one waits for the answer.
    Extend(String, std::time::Duration),
    Save(Secret<String>, u64),
}

impl Slot {
    pub(super) const fn new(keeper: Keeper) -> Self {
        Self {
            keeper,
            is_upkeep_scheduled: false,
            waiting: Vec::new(),
            leader: None,
            round: 0,
            call: None,
            flight: None,
            is_flying: false,
            holder: String::new(),
            lease: None,
            known_version: 0,
            seen_at: 0,
            is_behind: false,
            is_silent: false,
            is_alone: false,
            store_failures: 0,
            unstored_tokens: None,
            logins: Vec::new(),
            unsaved: None,
        }
    }
}
