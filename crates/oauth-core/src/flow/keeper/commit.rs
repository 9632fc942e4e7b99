//! The outcome of a token request: new tokens are saved before any caller gets them; after a failure, the in-flight
//! marker is cleared only if the server certainly did not process the request. After `invalid_grant` the record is read
//! again: another worker may have stored newer tokens (`recheck`).

use std::sync::Arc;
use std::time::Duration;

use super::login::Login;
use super::reconcile::{Reconciliation, version};
use super::record::{GrantEnd, INVALID_GRANT, Pause, Record};
use super::state::{Outcome, State};
use super::{Entry, Keeper, Step, Storage};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::call::Call;
use crate::endpoint::revocation::Revocation;
use crate::error::{Cause, Delivery, Error, Kind, Misuse, ServerError};
use crate::exchange::ExchangeExt as _;
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::{RefreshToken, Tokens};

/// The number of attempts to save before new tokens are returned unsaved.
const MAX_SAVE_ATTEMPTS: u32 = 5;

/// Tokens that are not in the store yet.
#[derive(Debug, Clone)]
pub(super) enum UnsavedState {
    Nothing,
    /// Tokens of a new login: they replace any stored ones.
    Login(Login),
    /// Tokens of a renewal: they replace only the tokens for which they were issued.
    Renewed {
        /// The tokens from which these were renewed.
        parent: Option<Arc<Tokens>>,
        /// Whether the save failed too often, so that the tokens were returned unsaved.
        is_given_up: bool,
        /// Whether the result of a save is unknown.
        may_be_stored: bool,
    },
}

/// New tokens that are being saved.
#[derive(Debug)]
pub(super) struct PendingSave {
    /// The tokens from which these were renewed.
    pub(super) parent: Option<Arc<Tokens>>,
    pub(super) record: Record,
    /// Whether the tokens were received before this renewal began, so that they may have expired.
    pub(super) is_deferred: bool,
    /// Whether the result of a save is unknown.
    pub(super) may_be_stored: bool,
    /// The version of the record that the tokens replace.
    base_version: u64,
    attempts: u32,
}

impl PendingSave {
    /// Tokens that could not be saved before. If they were already returned unsaved, give up after one more failed
    /// save.
    pub(super) fn deferred(
        parent: Option<Arc<Tokens>>,
        record: Record,
        base_version: u64,
        is_given_up: bool,
    ) -> Self {
        Self {
            parent,
            record,
            is_deferred: true,
            may_be_stored: false,
            base_version,
            attempts: if is_given_up {
                MAX_SAVE_ATTEMPTS - 1
            } else {
                0
            },
        }
    }

    pub(super) fn refresh_token(&self) -> Option<&RefreshToken> {
        self.record.tokens.as_ref()?.refresh_token.as_ref()
    }

    /// Whether these tokens succeed the stored ones: they come from the same login, and were issued for the
    /// stored refresh token. If the server does not rotate it, the number of renewals decides, and then the time.
    fn follows(&self, stored: &Record) -> bool {
        let secret = |tokens: &Option<Arc<Tokens>>| {
            let token = tokens.as_ref()?.refresh_token.as_ref()?;
            Some(token.secret.clone())
        };
        let has_same_refresh_token =
            |ours: &Option<Arc<Tokens>>, theirs: &Option<Arc<Tokens>>| match (
                secret(ours),
                secret(theirs),
            ) {
                (Some(ours), Some(theirs)) => ours.matches(theirs.expose()),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            };
        let (ours, theirs) = (&self.record.tokens, &stored.tokens);
        let counted = self.record.renewals.zip(stored.renewals);
        stored.login == self.record.login
            && if has_same_refresh_token(ours, theirs) {
                match counted {
                    Some((ours, theirs)) if ours != theirs => ours > theirs,
                    _ => self.record.received_at() > stored.received_at(),
                }
            } else {
                has_same_refresh_token(&self.parent, theirs)
            }
    }
}

impl Keeper {
    pub(super) fn tokens_received(
        &mut self,
        at: &Moment,
        tokens: Tokens,
        without_store: bool,
    ) -> Step {
        self.note_outcome(at, None);
        let mut refusals = self.record.refusals.clone();
        if self.is_refused() || self.is_of_unknown_age(at.now()) {
            refusals.count(at.now());
        }
        // A server that issues the refused token again considers it valid. Otherwise the refused
        // one remains the known token until the new one is stored.
        let is_refused = |refused: &Secret<String>| tokens.access_token.matches(refused.expose());
        if self.refused.as_ref().is_some_and(is_refused) {
            self.refused = None;
        }
        let token = |tokens: &Tokens| Some(tokens.refresh_token.as_ref()?.secret.clone());
        let before = self.record.tokens.as_deref().and_then(token);
        let rotates = match (
            self.is_renewed_without_refresh_token(),
            before,
            token(&tokens),
        ) {
            // Some servers rotate only occasionally: after one rotation, the server counts as rotating.
            (false, Some(before), Some(after)) => {
                Some(self.record.rotates == Some(true) || !before.matches(after.expose()))
            }
            _ => self.record.rotates,
        };
        let mut record = Record {
            rotates,
            login: self.record.login.clone(),
            renewals: match (
                self.is_renewed_without_refresh_token(),
                self.record.renewals,
            ) {
                (_, Some(count)) => Some(count.saturating_add(1)),
                // There is no login before them.
                (true, None) => Some(0),
                (false, None) => None,
            },
            refusals,
            until: self.record.until,
            ..Record::from_tokens(Arc::new(tokens))
        };
        // If one token was refused, the others are not kept either: the server may have revoked all of them.
        if !self.is_refused() {
            record.keep_other_certificates(&self.record, at.now());
        }
        let parent = match &self.unsaved {
            // The predecessor that the store has.
            UnsavedState::Renewed { parent, .. } => parent.clone(),
            _ => self.record.tokens.clone(),
        };
        self.save_tokens(Box::new(PendingSave {
            parent,
            record,
            is_deferred: false,
            may_be_stored: false,
            base_version: self.version,
            // The store did not respond before the request, so the save is tried only once.
            attempts: if without_store {
                MAX_SAVE_ATTEMPTS - 1
            } else {
                0
            },
        }))
    }

    pub(super) fn save_tokens(&mut self, unsaved: Box<PendingSave>) -> Step {
        let record = unsaved.record.clone();
        self.save_over(unsaved.base_version, &record, State::SaveTokens(unsaved))
    }

    pub(super) fn tokens_saved(
        &mut self,
        at: &Moment,
        unsaved: Box<PendingSave>,
        version: u64,
    ) -> Step {
        let tokens = unsaved.record.tokens.clone();
        self.adopt(at, unsaved.record, version);
        self.backoff.clear();
        // A restored record may carry a marker of this worker, as may a record that others restore once
        // the store has lost this one; only this worker has seen that the attempt had no effect.
        let marked = self.record.in_flight.as_ref().map(|marker| &marker.id);
        self.finished
            .retain(|attempt| attempt.is_unspent || Some(&attempt.id) == marked);
        self.discard_renewed();
        let is_fresh = self.valid_tokens(at.now()).is_some() && !self.is_stale(at.now());
        // The tokens may have expired by now; they are renewed only if a caller waits.
        if unsaved.is_deferred && !is_fresh && self.has_waiters {
            return self.load(State::LoadBeforeLease { attempts: 0 });
        }
        self.release(tokens.ok_or_else(|| Misuse::NoRefreshToken.into()))
    }

    /// Another worker has saved in the meantime. The new tokens are the newest if they succeed what is stored now,
    /// regardless of what other workers tried, or if the store has lost its record. Otherwise others have replaced or
    /// removed them.
    pub(super) fn resolve_conflict(
        &mut self,
        at: &Moment,
        mut unsaved: Box<PendingSave>,
        entry: Option<Entry>,
    ) -> Step {
        let is_local = self.storage == Storage::Local;
        let (stored, version) = if is_local {
            (Ok(self.record.clone()), self.version)
        } else {
            (self.parse_entry(entry.clone()), version(entry.as_ref()))
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                self.discard_renewed();
                self.adopt(at, Record::default(), 0);
                return self.release(Err(error));
            }
        };
        let is_first_record = !is_local && version == 0 && self.version == 0;
        let is_removed = entry.is_some_and(|entry| entry.is_removed());
        let follows = version >= self.version && !is_removed && unsaved.follows(&stored);
        let is_newest =
            is_first_record || self.supersedes(at, &unsaved.record, &stored, version) || follows;
        if is_newest {
            unsaved.record.count_after(&stored);
            unsaved.record.keep_other_certificates(&stored, at.now());
            // Until the new tokens are saved, callers get what has just been read.
            if follows && !unsaved.is_deferred {
                self.adopt(at, stored, version);
            }
            unsaved.base_version = version;
            return self.save_tokens(unsaved);
        }
        self.discard_renewed();
        self.adopt(at, stored, version);
        let outcome = match (self.ended_error(at), self.valid_tokens(at.now())) {
            (Some(error), _) => Err(error),
            (None, Some(tokens)) => Ok(tokens),
            (None, None) => {
                let replaced = Cause::unknown_as("another worker has replaced the tokens");
                self.failure_outcome(at, Error::lost(replaced))
            }
        };
        match unsaved.record.tokens.filter(|_| is_removed) {
            Some(unwanted) => self.revoke_unwanted(&unwanted, outcome),
            None => self.release(outcome),
        }
    }

    /// The user has logged out while these tokens were requested: revokes them. If that fails, there is
    /// nothing left to do.
    pub(super) fn revoke_unwanted(&mut self, unwanted: &Tokens, outcome: Outcome) -> Step {
        let Some(revocation) = self.revocation(unwanted) else {
            return self.release(outcome);
        };
        self.state = Some(State::RevokeUnwanted(outcome));
        Step::Run(
            revocation
                .and_then(|_, ()| Err(Misuse::NoRefreshToken.into()))
                .boxed(),
        )
    }

    /// The request that revokes these tokens of the grant (RFC 7009): the refresh token, or without one the access token.
    /// `None` if the server has no revocation endpoint. If it has one that cannot be used, the request fails (`metadata.*`).
    pub fn revocation(&self, tokens: &Tokens) -> Option<Call<Revocation>> {
        let is_absent = match self.config.server.endpoint(EndpointKind::Revocation) {
            Ok(_) => false,
            // A page ignores what it cannot report.
            Err(_) if IS_BROWSER_BUILD => true,
            Err(error) => matches!(error.kind(), Kind::Misuse(Misuse::EndpointMissing)),
        };
        let revoke = || Call::new(Arc::clone(&self.config), Revocation::from_tokens(tokens));
        (!is_absent).then(revoke)
    }

    /// Forgets the unsaved tokens of a renewal: they are stored, or superseded.
    fn discard_renewed(&mut self) {
        if matches!(self.unsaved, UnsavedState::Renewed { .. }) {
            self.unsaved = UnsavedState::Nothing;
        }
    }

    /// Retries the save when the store does not respond, and finally returns the tokens unsaved rather than lose the
    /// grant.
    pub(super) fn retry_save(
        &mut self,
        at: &Moment,
        mut unsaved: Box<PendingSave>,
        error: &Error,
    ) -> Step {
        unsaved.attempts += 1;
        unsaved.may_be_stored |= error
            .cause()
            .is_none_or(|cause| cause.delivery() != Delivery::Unsent);
        if unsaved.attempts < MAX_SAVE_ATTEMPTS {
            let pause = Duration::from_millis(100 << unsaved.attempts);
            self.state = Some(State::RetrySave(unsaved));
            return Step::Wait(pause);
        }
        if self.may_renew_from_unsaved(at, &unsaved) {
            self.keep_unsaved(at, &unsaved, true);
            return self.load(State::CheckStoreForUnsaved(error.clone()));
        }
        self.hand_out_unsaved(at, &unsaved, error)
    }

    /// Returns tokens that no other worker can have; they are saved later.
    pub(super) fn hand_out_unsaved(
        &mut self,
        at: &Moment,
        unsaved: &PendingSave,
        error: &Error,
    ) -> Step {
        let tokens = unsaved.record.tokens.clone();
        self.keep_unsaved(at, unsaved, true);
        if unsaved.is_deferred && self.has_waiters {
            return self.fail(at, error.clone());
        }
        // A caller that needs newer tokens need not wait for the store.
        let error = self.backoff.record_soft_failure(at, error.clone());
        if unsaved.is_deferred {
            let outcome = self.valid_tokens(at.now()).ok_or(error);
            return self.release(outcome);
        }
        self.release(tokens.ok_or_else(|| Misuse::NoRefreshToken.into()))
    }

    /// Keeps tokens that are not stored, unless a login has replaced them.
    pub(super) fn keep_unsaved(&mut self, at: &Moment, unsaved: &PendingSave, is_given_up: bool) {
        self.adopt(at, unsaved.record.clone(), self.version);
        if !matches!(self.unsaved, UnsavedState::Login(_)) {
            self.unsaved = UnsavedState::Renewed {
                parent: unsaved.parent.clone(),
                is_given_up,
                may_be_stored: unsaved.may_be_stored,
            };
        }
    }

    /// The request brought no tokens.
    pub(super) fn request_failed(&mut self, at: &Moment, error: Error) -> Step {
        self.note_outcome(at, Some(&error));
        let ends = ServerError::ends_the_grant;
        if !self.is_renewed_without_refresh_token() && error.server_error().is_some_and(ends) {
            return self.load(State::RecheckStore(error));
        }
        // The cause is unknown: the user may have to confirm something, this machine might not be trusted, or the
        // server may have its own error for an invalid token. So nothing is deleted.
        if let Some(unconfirmed_refusal) = self.unconfirmed_refusal(at, &error) {
            return self.save_unconfirmed_refusal(at, error, unconfirmed_refusal);
        }
        let is_cleared = self.clear_marker(&error);
        let pause = Pause::from_error(&error, at.now());
        let outcome = self.failure_outcome(at, error);
        if !is_cleared && pause.is_none() {
            return self.release(outcome);
        }
        self.record.pause = pause;
        let record = self.record.clone();
        self.save(&record, State::SaveFailure(outcome))
    }

    /// Clears the marker of this attempt if the error proves that the server did not process the
    /// request. Returns whether it was cleared.
    pub(super) fn clear_marker(&mut self, error: &Error) -> bool {
        let renewal_id = self.renewal_id.clone();
        let marker = self.record.in_flight.as_ref();
        let is_own_marker = marker.is_some_and(|marker| marker.id == renewal_id);
        let is_unspent = is_unspent(error);
        if is_own_marker {
            self.remember_finished(renewal_id, is_unspent);
        }
        let is_cleared = is_own_marker && is_unspent;
        if is_cleared {
            self.record.in_flight = None;
        }
        is_cleared
    }

    /// The server has refused the refresh token with `invalid_grant`. If another worker has stored newer
    /// tokens, they are used; otherwise the grant has ended for all workers.
    pub(super) fn recheck(&mut self, at: &Moment, error: Error, entry: Option<Entry>) -> Step {
        let read = self.reconcile(at, entry);
        if let Ok(Reconciliation::Adopted) = read {
            self.discard_renewed();
        }
        if let Ok(Reconciliation::Unchanged | Reconciliation::StoreLost(_)) = read {
            if let Ok(Reconciliation::StoreLost(version)) = read {
                self.version = version;
            }
            // The grant may have ended already, for another reason.
            let ended = self.record.ended.clone();
            let ended = ended.unwrap_or_else(|| GrantEnd::Refused(INVALID_GRANT.to_owned()));
            return self.end_grant(ended, error);
        }
        let newer = self.valid_tokens(at.now());
        let outcome = match (read, self.ended_error(at), newer) {
            (Err(error), ..) | (Ok(_), Some(error), _) => Err(error),
            (Ok(_), None, Some(tokens)) => Ok(tokens),
            (Ok(_), None, None) => {
                let replaced = Cause::unknown_as("another worker has replaced the tokens");
                self.failure_outcome(at, Error::lost(replaced))
            }
        };
        self.release(outcome)
    }

    pub(super) fn end_grant(&mut self, ended: GrantEnd, error: Error) -> Step {
        self.record.ended = Some(ended);
        // Later callers get the same error, with its cause.
        let none = UnixTime::from_secs(0);
        self.backoff.set(none, none, &error);
        let record = self.record.clone();
        self.save(&record, State::SaveGrantEnd(error))
    }
}

/// Whether the server certainly did not process the request: it was never sent, or the refusal says so. This is an
/// allow-list of proofs. Any other response may come from an intermediary that forwarded the request and then stopped
/// waiting for the response: gateways report this with 502 or 504, some with 499, 520, 524 or a bare 503; a firewall
/// may return any page.
fn is_unspent(error: &Error) -> bool {
    match error.kind() {
        Kind::Lost(_) => error
            .cause()
            .is_some_and(|cause| cause.delivery() == Delivery::Unsent),
        Kind::Denied(server) => {
            // The token endpoint itself has read the request, and returned an error code.
            let is_refused = server.error().is_some_and(|code| code != "server_error");
            match server.status() {
                // A rate limiter does not forward the request that it rejects.
                Some(429) => true,
                Some(400..=499 | 503) => is_refused,
                _ => false,
            }
        }
        // Errors that prevent a request from being written. Some may also occur after a reply that asks for another
        // proof, which is a refusal.
        Kind::Misuse(misuse) => matches!(
            misuse,
            Misuse::NoRefreshToken
                | Misuse::ResourceExceeds
                | Misuse::ResourceSyntax
                | Misuse::KeyMismatch
                | Misuse::KeyMissing
                | Misuse::KeyAlgorithm
                | Misuse::ProfileForbids
                | Misuse::AuthorizationDetails
                | Misuse::AssertionMalformed
                | Misuse::AssertionExpired
                | Misuse::AssertionAudience
                | Misuse::WorkloadRefused
                | Misuse::Setup
                | Misuse::TransportSetup
                | Misuse::ApplicationFunction
                | Misuse::ClientKeys
                | Misuse::RuntimeMissing
                | Misuse::ArgumentInvalid
                | Misuse::ArgumentsInconsistent
                | Misuse::EndpointMissing
                | Misuse::UrlSyntax
                | Misuse::InsecureTransport
                | Misuse::ParameterTwice
                | Misuse::ParameterReserved
                | Misuse::ScopeSyntax
                | Misuse::ScopeExceeds
                | Misuse::SecretMissing
                | Misuse::SecretNotAllowed
                | Misuse::ColonInRawId
                | Misuse::SignatureLength
                | Misuse::HeaderValue
        ),
        Kind::Malformed(_) | Kind::Untrusted(_) => false,
    }
}
