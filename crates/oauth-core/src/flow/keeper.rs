//! The renewal of one grant: which worker renews the tokens, when, what the other callers do in the meantime, and what
//! is stored before tokens are returned. A *renewal* gets a new access token in any way; a *refresh* is a renewal with
//! a refresh token.
//!
//! A [`Keeper`] is a value, like an exchange. Each caller asks it ([`Keeper::ask`]) and gets a
//! [`Decision`]: take a token, wait, or renew. Which caller begins the renewal of a nearly stale token is decided
//! there, in `decision.rs`; which worker may send it, by the lease (`lease.rs`) and in `send_decision.rs`. Renewing is
//! an exchange with a host that has a store and a driver ([`Keeper::resume`]): [`Event::Begin`] first, then the event
//! that reports the result of each [`Step`], until [`Step::Done`]. Any number of hosts may share one store; they see
//! each other only through it.
//!
//! ```text
//!            ask: fresh ──────────────────────────────► UseToken
//!            ask: nearly stale ───────────────────────► UseAndRenew ─┐
//!            ask: stale, refused by a 401, none ──────► Renew ───────┤
//!                                                                    ▼
//!   Load ── another worker's newer token ──► Done(it)              Begin
//!    │
//!    ▼
//!   Lease ── held by another worker ──► Wait ──► Load
//!    │ won
//!    ▼
//!   Load ── newer? ──► release the lease ──► Done(it)
//!    │
//!    ▼
//!   Save(in-flight marker) ──► Run(exchange) ──► Save(new tokens)
//!                                  │                   │
//!                                  │ refused, lost     ▼
//!                                  └──────────► release the lease ──► Done
//! ```
//!
//! # States
//!
//! "Asks for" is the [`Step`] whose event the state waits for; "on loss" is what follows [`Event::Failed`]. A host that
//! stops calls [`Keeper::abandon`], in any state. The last column names tests as `module::test`, in `keeper/tests`.
//!
//! | state | asks for | next | on loss | test |
//! | --- | --- | --- | --- | --- |
//! | `Begun` | | unsaved tokens: `SaveTokens`; unsaved login: `LoadBeforeLogin`; else `LoadBeforeLease` | | `storing::unsaved_tokens_are_stored_by_background_retries`, `storing::login_replaces_the_stored_record` |
//! | `LoadBeforeLease` | `Load` | newer tokens, an ended grant or a pause: done; the store has lost the record: `SaveTokens`; else `AcquireLease` | `RunRequest` if no lease is needed, else done | `renewing::newer_token_of_another_worker_is_used_instead_of_renewing`, `storing::unavailable_store_does_not_withhold_a_valid_token`, `storing::renewal_that_needs_no_lease_continues_without_the_store` |
//! | `AcquireLease` | `Lease` | won: `LoadUnderLease`; held, and the token is not stale: done; held: `WaitForHolder` | `ReleaseLease` | `renewing::valid_token_is_used_while_another_worker_holds_the_lease`, `storing::lease_is_released_if_the_reply_was_lost` |
//! | `WaitForHolder` | `Wait` | `LoadBeforeLease` | | `renewing::worker_waits_and_reloads_while_another_holds_the_lease` |
//! | `LoadUnderLease` | `Load` | newer tokens, a pause: `ReleaseLease`; refresh: `SaveMarker`; client credentials, or reuse is tolerated: `RunRequest`; the fate of the token is not known: `ReleaseAndWait`, or `SaveGrantEnd` where the server revokes on reuse; the store has lost the record: `SaveTokens` | `ReleaseLease` | `renewing::marker_is_saved_before_sending_and_tokens_before_they_are_returned`, `renewing::client_credentials_grant_uses_no_marker`, `failures::other_worker_waits_for_the_longest_request_before_resending`, `failures::lost_reply_with_revoking_reuse_ends_the_grant`, `reconcile::worker_restores_tokens_that_the_store_has_lost` |
//! | `ReleaseAndWait` | `Lease` for no time | `WaitForHolder` | `WaitForHolder` | `failures::other_worker_waits_for_the_longest_request_before_resending` |
//! | `SaveMarker` | `Save` | in time: `RunRequest`; too late: `ReleaseAndWait`, the second time `SaveFailure`; conflict: `LoadUnderLease` | `ReleaseLease`: the marker means nothing to this worker | `renewing::worker_that_finds_another_marker_does_not_send`, `renewing::worker_that_slept_while_saving_its_marker_starts_again`, `renewing::store_too_slow_for_the_marker_is_reported_and_the_marker_removed` |
//! | `RunRequest` | `Run` | tokens: `SaveTokens`; `invalid_grant`: `RecheckStore`; another refusal: `SaveUnconfirmedRefusal`; certainly not processed, or a pause: `SaveFailure`; else `ReleaseLease` | | `failures::ambiguous_error_reply_keeps_the_marker`, `failures::marker_is_removed_if_the_refresh_token_was_not_spent`, `failures::abandoned_request_counts_as_sent_and_abandoned_marker_does_not` |
//! | `SaveTokens` | `Save` | `ReleaseLease`; expired by now, and a caller waits: `LoadBeforeLease`; conflict: `ResolveConflict` | `RetrySave`; after the fifth attempt, returned unsaved: `ReleaseLease` or `CheckStoreForUnsaved` | `storing::tokens_are_returned_after_five_failed_saves_and_stored_later`, `storing::tokens_that_expire_before_they_are_stored_are_renewed` |
//! | `ResolveConflict` | `Load` | still the newest: `SaveTokens`; replaced: `ReleaseLease`; removed: `RevokeUnwanted` | as `SaveTokens` | `renewing::new_tokens_are_saved_even_if_another_worker_removed_the_marker`, `renewing::renewal_sent_before_a_login_elsewhere_does_not_replace_it`, `reconcile::renewal_sent_before_a_logout_is_not_stored_after_it` |
//! | `RetrySave` | `Wait` | `SaveTokens` | | `storing::tokens_are_returned_after_five_failed_saves_and_stored_later` |
//! | `PauseAfterConflict` | `Wait` | the load that it postponed | | `storing::repeated_store_conflicts_are_retried_with_growing_pauses_and_then_reported` |
//! | `CheckStoreForUnsaved` | `Load` | unchanged: `RunRequest`; changed: `ResolveConflict`, at once | `RunRequest` if no lease is needed, else `ReleaseLease` | `renew_unsaved::unsaved_tokens_are_used_for_the_next_refresh_and_saved_later`, `renew_unsaved::record_stored_by_another_worker_takes_precedence_over_unsaved_tokens`, `renew_unsaved::unavailable_store_prevents_a_renewal_of_unsaved_tokens` |
//! | `RevokeUnwanted` | `Run` | `ReleaseLease` | | `logout::tokens_received_after_a_logout_are_revoked` |
//! | `RecheckStore` | `Load` | newer tokens: `ReleaseLease`; else `SaveGrantEnd` | `ReleaseLease` | `failures::invalid_grant_does_not_end_a_grant_renewed_by_another_worker`, `failures::invalid_grant_is_not_reported_while_the_store_is_unavailable` |
//! | `SaveFailure` | `Save` | `ReleaseLease` | `ReleaseLease` | `failures::marker_is_removed_if_the_refresh_token_was_not_spent`, `failures::retry_after_is_shared_with_all_workers_through_the_store` |
//! | `SaveUnconfirmedRefusal` | `Save` | `ReleaseLease`; conflict: `ResolveRefusalConflict` | `ReleaseLease` | `unconfirmed_refusal::other_refusals_are_reported_with_the_servers_error_and_do_not_end_the_grant`, `unconfirmed_refusal::unconfirmed_refusal_is_not_reported_before_it_is_stored` |
//! | `ResolveRefusalConflict` | `Load` | the same refresh token: `SaveUnconfirmedRefusal`; else `ReleaseLease` | `ReleaseLease` | `unconfirmed_refusal::refusal_of_an_already_replaced_token_is_not_recorded` |
//! | `SaveGrantEnd` | `Save` | `ReleaseLease`; conflict: `RecheckStore` | `ReleaseLease` | `failures::invalid_grant_is_stored_and_ends_requests_until_a_login`, `failures::invalid_grant_is_not_reported_if_the_record_changes_before_the_save` |
//! | `ReleaseUnneeded` | `Lease` for no time | done; a caller waits by now: `LoadBeforeLease` | likewise | `upkeep::caller_during_a_keep_alive_gets_a_token_if_another_worker_has_renewed` |
//! | `ReleaseLease` | `Lease` for no time | done | done: the lease expires on its own | `storing::lease_is_released_if_the_reply_was_lost` |
//! | `LoadBeforeLogin` | `Load` | `SaveLogin`; the store has what replaced it: done, or `LoadBeforeLease` if stale; removed since the host read it: `RevokeUnwanted` | done | `login::older_copy_does_not_replace_its_renewed_successor`, `storing::possibly_saved_login_does_not_replace_its_renewed_successor`, `logout::logout_after_the_record_was_read_prevents_the_login_from_being_stored` |
//! | `SaveLogin` | `Save` | done, or `LoadBeforeLease` if stale; a second login, or a conflict: `LoadBeforeLogin` | done: the login may be stored | `login::later_login_is_stored_even_while_the_first_is_being_saved`, `storing::stale_login_is_stored_and_renewed` |
//!
//! # Safety
//!
//! - a record is saved only over the version that was read: a worker that slept through its lease can
//!   neither overwrite what others have stored since, nor send a token that they have sent;
//! - the in-flight marker is saved before the refresh token is sent: after a crash between the two, the next worker
//!   knows that the token may have been used;
//! - no request is sent later than one lease after its marker, and each is given up after the longest
//!   request: once the time for both has passed, the request has arrived or never will. Only sending a
//!   token again waits for that; a lease is short, and extended while the request runs
//!   ([`Keeper::lease_extension`]);
//! - no version is given twice for one key, and a removed record leaves a tombstone: what the store has lost is
//!   restored by any worker that still has it, and what a user has removed is not;
//! - a record names the login it came from, and new tokens replace only the tokens they were issued for:
//!   late ones replace neither a login nor newer tokens;
//! - new tokens are stored before they are returned. If the store keeps failing, they are returned unsaved, because
//!   then no other worker can have them, and stored as soon as possible. If the store can be read but not written, and
//!   still has their predecessors, the next renewal continues from them;
//! - each renewal is counted: an older record of the same login never replaces a later one, even if the store was
//!   restored from a backup.
//!
//! # Load on the server
//!
//! A pause that the server asks for is kept in the record, and honoured by all workers. Once several grants of a client
//! have failed in a row, one of them retries at intervals, and the others in this process wait for the result.

mod backoff;
mod certificates;
mod commit;
mod deadlines;
mod decision;
mod lease;
mod login;
mod policy;
mod reconcile;
mod record;
mod removals;
mod renew_unsaved;
mod send_deadline;
mod send_decision;
mod state;
mod step;
mod summary;
mod transitions;
mod unconfirmed_refusal;
mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_config::ClientConfig;
use crate::error::{Error, ValidationFailure};
use crate::grant::unreported_scopes;
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;

use backoff::Backoff;
use commit::UnsavedState;
use deadlines::Deadlines;
use login::Login;
use record::Record;
use state::State;
use upkeep::UpkeepDone;

pub use policy::{Policy, Reuse};
pub use record::{GrantId, GrantOwner};
pub use step::{Decision, Entry, Event, GrantStatus, Lease, LeaseExtension, SaveOutcome, Step};
pub use summary::GrantSummary;
pub use upkeep::Upkeep;

/// The state machine that renews the tokens of one grant.
pub struct Keeper {
    config: Arc<ClientConfig>,
    id: GrantId,
    policy: Policy,
    storage: Storage,
    record: Record,
    /// The highest version known to have been stored: of `record`, or of its predecessor.
    version: u64,
    /// When that version was last seen in the store.
    version_seen_at: UnixTime,
    /// When the in-flight marker in `record` was first seen, by this worker's clock.
    marker_seen: UnixTime,
    /// When the unconfirmed refusal in `record` was first seen, by this worker's clock.
    unconfirmed_refusal_seen: UnixTime,
    deadlines: Deadlines,
    /// The access token that a resource server refused, even if it has not expired.
    refused: Option<Secret<String>>,
    unsaved: UnsavedState,
    backoff: Backoff,
    /// This worker's last finished attempts: no worker can still receive their replies. More than one, because a store
    /// that failed may hold the marker of any of them.
    finished: VecDeque<FinishedAttempt>,
    /// The id of the renewal under way: the holder of its lease, and the id of its marker.
    renewal_id: String,
    state: Option<State>,
    /// The number of restarts of this renewal.
    restarts: u32,
    /// Whether a caller waits for the outcome of the renewal.
    has_waiters: bool,
    upkeep_done: UpkeepDone,
    /// Whether no new renewal may begin.
    is_drained: bool,
    /// When the next login ends, as the session of a web application does.
    until: Option<UnixTime>,
}

/// Where the keeper's record is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// Only in this value: each step for a store is handled internally.
    Local,
    /// In a store, shared with other workers.
    Shared,
}

/// An attempt of this worker that brought no tokens.
#[derive(Debug, Clone)]
struct FinishedAttempt {
    id: String,
    /// Whether the server certainly did not process the attempt.
    is_unspent: bool,
}

/// How many finished attempts are remembered.
const MAX_FINISHED_ATTEMPTS: usize = 16;

impl Keeper {
    pub(crate) fn new(config: Arc<ClientConfig>, id: GrantId) -> Self {
        let none = UnixTime::from_secs(0);
        Self {
            config,
            id,
            policy: Policy::default(),
            storage: Storage::Local,
            record: Record::default(),
            version: 0,
            version_seen_at: none,
            marker_seen: none,
            unconfirmed_refusal_seen: none,
            deadlines: Deadlines {
                age_known_from: none,
                refresh_at: none,
                stale_at: none,
                expires_at: none,
                keep_alive_at: None,
            },
            refused: None,
            unsaved: UnsavedState::Nothing,
            backoff: Backoff::default(),
            finished: VecDeque::new(),
            renewal_id: String::new(),
            state: None,
            restarts: 0,
            has_waiters: false,
            upkeep_done: UpkeepDone::default(),
            is_drained: false,
            until: None,
        }
    }

    /// Begins with these tokens. If there is a store, they replace its record, unless its tokens were received at the
    /// same time or later: these are then the application's own, older copy. For what is certainly a new login,
    /// [`replace`](Self::replace) does not compare the times.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn with_tokens(mut self, at: &Moment, tokens: Tokens) -> Result<Self, Error> {
        self.replace(at, tokens)?;
        if let UnsavedState::Login(login) = &mut self.unsaved {
            login.is_copy = true;
        }
        Ok(self)
    }

    /// Replaces the policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The longest that a token request may take, from when the driver gets it until its response has
    /// been read. The host must ensure that none takes longer.
    #[must_use]
    pub const fn with_longest_request(mut self, longest: Duration) -> Self {
        self.policy.longest_request = longest;
        self
    }

    /// Shares the grant through a store. A user's grant needs a subject, or [`ask`](Self::ask) fails with
    /// `grant.subject_missing`, because two users would share a record.
    #[must_use]
    pub fn shared(mut self) -> Self {
        // The tokens it began with were local, and have to be saved now. What it has read from the
        // store since it was shared is there already.
        if self.storage == Storage::Local
            && let (Some(id), Some(tokens)) = (&self.record.login, &self.record.tokens)
        {
            let login = Login::new(id.clone(), Arc::clone(tokens));
            let is_copy = true;
            self.unsaved = UnsavedState::Login(Login { is_copy, ..login });
            self.version = 0;
        }
        self.storage = Storage::Shared;
        self
    }

    /// Sets the time at which logins that are saved from now on end, for example that of a web application's session.
    /// The record contains the time, each save by any worker passes it to the store ([`Step::Save`]), and a store that
    /// supports expiry then deletes the record.
    #[must_use]
    pub const fn until(mut self, until: UnixTime) -> Self {
        self.until = Some(until);
        self
    }

    /// The grant whose tokens are renewed.
    pub const fn id(&self) -> &GrantId {
        &self.id
    }

    /// Whether this is the client's own grant.
    const fn is_client_grant(&self) -> bool {
        !IS_BROWSER_BUILD && matches!(self.id.owner, GrantOwner::Client)
    }

    /// The name of the record in a store: a hash of the issuer, the client and the [`GrantId`]. A user's grant and the
    /// client's own never have the same name.
    #[cfg(feature = "sha2")]
    pub fn key(&self) -> String {
        self.id.key(&self.config)
    }

    /// Takes the tokens of a new login. The outcome of a renewal under way is then dropped.
    ///
    /// # Errors
    /// `stored.issuer` for tokens of another server or client.
    pub fn replace(&mut self, at: &Moment, tokens: Tokens) -> Result<(), Error> {
        if tokens.binding != self.config.binding {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        self.unsaved = UnsavedState::Login(Login::new(at.ticket()?, Arc::new(tokens)));
        // A renewal that has not taken its first step can still use the login.
        if matches!(self.state, None | Some(State::Begun)) {
            self.adopt_login(at);
        } else {
            self.note_late_login();
        }
        Ok(())
    }

    /// Adopts a record that the store pushed. One that is not newer than what is known changes nothing; a renewal under
    /// way will read it anyway.
    ///
    /// # Errors
    /// `stored.*` for a record that cannot be read, or belongs to another grant.
    pub fn learn(&mut self, at: &Moment, entry: Entry) -> Result<(), Error> {
        let is_newer = entry.version > self.version;
        let may_adopt = is_newer && self.is_stored() && !self.is_busy();
        if may_adopt && !self.is_for_another_certificate(at.now(), &entry)? {
            self.reconcile(at, Some(entry)).map(drop)
        } else {
            Ok(())
        }
    }

    /// Whether the store has the newest tokens.
    pub const fn is_stored(&self) -> bool {
        matches!(self.unsaved, UnsavedState::Nothing)
    }

    /// How long to wait before unsaved tokens are saved again; `None` if there are none, or a renewal
    /// is under way.
    ///
    /// Unsaved tokens should not wait for the next caller: after each [`Step::Done`] a host waits this
    /// long, calls [`save_again`](Self::save_again), and so on until it is done.
    pub fn retry_after(&self, now: UnixTime) -> Option<Duration> {
        let is_due = !self.is_stored() && !self.is_busy();
        is_due.then(|| self.backoff.remaining(now).max(Duration::from_secs(1)))
    }

    /// Begins to save unsaved tokens: call [`resume`](Self::resume) with [`Event::Begin`]. False if there
    /// are none, or a renewal is under way.
    #[must_use]
    pub fn save_again(&mut self) -> bool {
        let is_due = !self.is_stored() && !self.is_busy();
        if is_due {
            self.state = Some(State::Begun);
        }
        is_due
    }

    /// Begins no renewal from now on: for a host that is shutting down. The current token is returned until it expires,
    /// after which callers get `token_source.closed`; a request that has been sent is completed, and its tokens are
    /// stored.
    pub const fn drain(&mut self) {
        self.is_drained = true;
    }

    /// Whether the record is loaded only to be replaced by a new login: then one that cannot be read may be overwritten
    /// ([`Error::is_unreadable_record`]).
    pub const fn is_saving_login(&self) -> bool {
        matches!(self.state, Some(State::LoadBeforeLogin))
    }

    /// Whether a renewal is under way.
    pub const fn is_busy(&self) -> bool {
        self.state.is_some()
    }

    /// Records that the driver was dropped during a renewal.
    pub fn abandon(&mut self, at: &Moment) {
        if let Some(state) = self.state.take() {
            self.clean_up(at, state);
        }
    }

    /// The tokens that may be returned without calling [`Self::ask`], and when: a clock that shows an earlier time has
    /// been set back.
    pub fn fresh(&self) -> Option<(Arc<Tokens>, Range<UnixTime>)> {
        let is_usable = self.is_stored() && !self.is_refused() && self.fits_certificate();
        let tokens = self.record.tokens.clone().filter(|_| is_usable)?;
        let at = &self.deadlines;
        Some((tokens, at.age_known_from..at.refresh_at))
    }

    /// The newest tokens, valid or not.
    pub const fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.record.tokens.as_ref()
    }

    /// Whether every name of `scope` was granted to its tokens, under any of its names at the server. `openid` and
    /// `offline_access` count as granted: they request more than scope, and few servers name them.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.tokens().is_some_and(|tokens| {
            let granted = tokens.scope.union(&unreported_scopes());
            self.config.server.rules().covers_scope(&granted, scope)
        })
    }

    /// Whether the grant is valid, suspect or ended, according to the record that this worker has read last.
    pub const fn status(&self) -> GrantStatus {
        match (&self.record.ended, &self.record.unconfirmed_refusal) {
            (Some(_), _) => GrantStatus::Ended,
            (None, Some(_)) => GrantStatus::Suspect,
            (None, None) => GrantStatus::Good,
        }
    }

    /// Why the last attempt failed, if it did. Callers do not see it while their token is valid.
    pub fn last_error(&self) -> Option<&Error> {
        self.backoff.error()
    }

    fn remember_finished(&mut self, id: String, is_unspent: bool) {
        self.finished.truncate(MAX_FINISHED_ATTEMPTS - 1);
        self.finished.push_front(FinishedAttempt { id, is_unspent });
    }

    /// Adopts a record at this version.
    fn adopt(&mut self, at: &Moment, record: Record, version: u64) {
        match &record.tokens {
            Some(tokens) => {
                let server = &self.config.server;
                let renewal = server.renewal(tokens.expires_in);
                let renewal = renewal.filter(|_| tokens.renews_with_access_token());
                self.deadlines = Deadlines::new(tokens, &self.policy, renewal, at);
            }
            None => self.deadlines.keep_alive_at = None,
        }
        let marker = |record: &Record| record.in_flight.as_ref().map(|marker| marker.id.clone());
        if marker(&record) != marker(&self.record) {
            self.marker_seen = at.now();
        }
        if record.unconfirmed_refusal != self.record.unconfirmed_refusal {
            self.unconfirmed_refusal_seen = at.now();
        }
        self.record = record;
        self.note_end(at.now());
        if self.version != version {
            self.version = version;
            self.version_seen_at = at.now();
        }
    }

    fn adopt_login(&mut self, at: &Moment) {
        let UnsavedState::Login(login) = &self.unsaved else {
            return;
        };
        if self.record.login.as_ref() == Some(&login.id) {
            return;
        }
        let record = login.record(self.until);
        self.adopt(at, record, self.version);
        self.backoff.clear();
        if self.storage == Storage::Local {
            self.version += 1;
            self.unsaved = UnsavedState::Nothing;
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("deadlines", &self.deadlines)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
