//! Checks the rules of the model fleet at the points where they can be broken. `fleet.rs` lists the rules and their
//! exceptions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::Tokens;
use oauth_core::error::{Advice, Error};
use oauth_core::flow::keeper::Reuse;

use super::ledger::{Send, Version};
use super::save_rules::Replaced;
use super::simulation::{Simulation, window};
use super::slot::LeaseTerm;
use super::{Breach, Rule};
use crate::twin::Rotation;

/// The number of failed saves before tokens may be handed out unsaved.
const MIN_FAILED_SAVES: u32 = 5;

/// The time for which a version that a worker has read counts as current, in milliseconds.
const READ_IS_CURRENT_MS: u64 = 5000;

impl Simulation {
    fn breach<T>(rule: Rule, text: String) -> Result<T, Breach> {
        Err(Breach(rule, text))
    }

    fn current_version(&self, grant: usize) -> Option<&Version> {
        self.ledger.history[grant].last()
    }

    /// The largest difference between two workers' clocks, and two seconds because clocks are truncated to seconds.
    fn slack(&self) -> Duration {
        Duration::from_secs(2 * self.setup.odds.skew + 2)
    }

    /// Checks rules 1, 2 and 6 for a token request about to be sent.
    pub(super) fn check_send(
        &mut self,
        worker: usize,
        grant: usize,
        request: &http::Request<Bytes>,
    ) -> Result<usize, Breach> {
        let form: Vec<(String, String)> =
            serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
        let refresh = form
            .into_iter()
            .find_map(|(name, value)| (name == "refresh_token").then_some(value));
        let (now, epoch, number) = (
            self.now,
            self.workers[worker].epoch,
            self.ledger.sends.len(),
        );
        self.note_for(worker, grant, |ledger| {
            let token = refresh.as_ref().map_or("", |token| ledger.name(token));
            format!("sends request {number} {token}")
        });
        let is_fixed = self.setup.rotation == Rotation::Never;
        let needs_none =
            self.setup.is_client_grant || (is_fixed && self.setup.policy.reuse != Reuse::Revokes);
        let extend_every = super::simulation::millis(self.setup.policy.lease) * 3 / 10;
        // No other worker can send tokens that were never stored.
        let history = &self.ledger.history[grant];
        let is_stored = |token: &String| {
            history
                .iter()
                .any(|saved| saved.refresh.as_ref() == Some(token))
        };
        let is_ours_alone = refresh.as_ref().is_some_and(|token| !is_stored(token));
        let slot = self.slot(worker, grant);
        let has_no_lease_and_no_record = slot.lease.is_none() && !slot.keeper.is_stored();
        slot.is_alone = if needs_none {
            slot.is_silent || has_no_lease_and_no_record
        } else {
            has_no_lease_and_no_record && is_ours_alone
        };
        if slot.is_alone {
            slot.lease = Some(LeaseTerm::new(now, now));
        }
        let Some(lease) = &mut slot.lease else {
            let text = format!("worker {worker} sends a token request without a lease");
            return Self::breach(Rule::OneFlight, text);
        };
        lease.sends += 1;
        // A worker that was suspended in the meantime may be too late to extend it.
        lease.is_missed |= lease.until < now + extend_every + 1000;
        let lease = *lease;
        if lease.sends > 1 {
            let text = format!("worker {worker} sends a second request under one lease");
            return Self::breach(Rule::OneFlight, text);
        }
        let timeout = super::simulation::millis(self.setup.policy.longest_request);
        for other in self.ledger.sends.iter().rev() {
            if other.at + timeout < now {
                break;
            }
            let is_under_way = other.grant == grant && other.end.is_none();
            let has_run_out = lease.until <= now || other.lease.is_some_and(|until| until <= now);
            if is_under_way && !has_run_out {
                let text = format!(
                    "worker {worker} sends a token request while one of worker {} is under way, \
                     and neither lease has run out",
                    other.worker
                );
                return Self::breach(Rule::OneFlight, text);
            }
        }
        let (mut excuse, mut is_after_loss) = (Ok(()), false);
        if let Some(token) = &refresh {
            if self.ledger.token(token).map(|token| token.grant) != Some(grant) {
                let text = format!("worker {worker} sends the refresh token of another grant");
                return Self::breach(Rule::OwnGrant, text);
            }
            if let Some(version) =
                self.replaced(worker, grant, |saved| saved.refresh.as_ref() == Some(token))
            {
                let text = format!(
                    "worker {worker} sends {}, though it has read version {version} of the record, \
                     where another has replaced it",
                    self.ledger.name(token)
                );
                return Self::breach(Rule::Newest, text);
            }
            if self.is_suspect(worker, grant) {
                let text = format!(
                    "worker {worker} sends {}, although it has read that the server has just refused it",
                    self.ledger.name(token)
                );
                return Self::breach(Rule::Heeded, text);
            }
            excuse = self.check_resend(worker, grant, token);
            is_after_loss = self.is_after_loss(grant, token);
        }
        self.ledger.sends.push(Send {
            worker,
            epoch,
            grant,
            refresh,
            at: now,
            lease: Some(lease.until),
            window_end: lease.since + window(&self.setup),
            end: None,
            may_count: true,
            is_processed: false,
            excuse,
            is_after_loss,
        });
        Ok(number)
    }

    /// Checks rule 1 for a lease that the store is about to grant.
    pub(super) fn check_lease(
        &self,
        worker: usize,
        epoch: u32,
        grant: usize,
    ) -> Result<(), Breach> {
        for send in self.ledger.sends.iter().rev().take(50) {
            let holder = &self.workers[send.worker];
            let lease = holder.slots[grant].lease;
            let is_other = (send.worker, send.epoch) != (worker, epoch);
            let is_under_way = send.grant == grant && send.end.is_none() && send.lease.is_some();
            let is_awake = self.is_awake(send.worker) && holder.awake_since <= send.at;
            let is_lease_current =
                lease.is_some_and(|lease| !lease.is_missed && lease.since < lease.until);
            let could_still_send = holder.epoch == send.epoch && is_awake && is_lease_current;
            if is_other && is_under_way && could_still_send {
                let text = format!(
                    "worker {worker} is given the lease while a request of worker {}, awake and \
                     heard by the store, is under way",
                    send.worker
                );
                return Self::breach(Rule::OneFlight, text);
            }
        }
        Ok(())
    }

    /// The version this worker has read that no longer contains a token of an earlier one.
    fn replaced(
        &self,
        worker: usize,
        grant: usize,
        holds: impl Fn(&Version) -> bool,
    ) -> Option<u64> {
        if self.is_lost_in_time(grant) {
            return None;
        }
        let known_version = self.workers[worker].slots[grant].known_version;
        let mut read = self.ledger.history[grant]
            .iter()
            .rev()
            .skip_while(|version| version.version > known_version);
        let newest = read.next()?;
        // Once the tombstone of a removal is lost, neither workers nor an application with a copy can detect the removal.
        let copies = &self.workers[worker].slots[grant].logins;
        let has_copy = copies.iter().any(|copy| self.ledger.copies.contains(copy));
        if newest.is_removed && (self.may_be_lost(grant, 0) || has_copy) {
            return None;
        }
        let before = read
            .find(|version| holds(version))
            .filter(|_| !holds(newest))?;
        // A worker with an older record has put it back into a store that has lost both.
        if self.ledger.grew_from(before, newest) || self.ledger.is_later_copy(before, newest) {
            return None;
        }
        // The same holds for the record before a login, if the times of both do not show which is newer.
        let is_other = before.generation != newest.generation && self.may_be_lost(grant, 0);
        let is_newer = self.ledger.is_clearly_newer(newest, before, self.slack());
        (!is_other || is_newer).then_some(newest.version)
    }

    /// Whether the record that the worker has read last says that the token must not be sent yet.
    fn is_suspect(&self, worker: usize, grant: usize) -> bool {
        let known_version = self.workers[worker].slots[grant].known_version;
        let mut history = self.ledger.history[grant].iter().rev();
        let read = history.find(|version| version.version == known_version);
        let until = read.and_then(|version| version.suspect_until);
        !self.have_clocks_stepped()
            && until.is_some_and(|until| self.time().after(self.slack()) < until)
    }

    /// Checks that a refresh token may be sent although it was sent before and may have been spent.
    fn check_resend(&self, worker: usize, grant: usize, token: &str) -> Result<(), String> {
        // A clock that has stepped since cannot tell when an attempt, or an access token, has expired.
        let is_sure = |send: &Send| {
            !self.has_stepped(worker, send.at)
                && !self.has_stepped(send.worker, send.at)
                && !self.may_be_lost(grant, send.at)
        };
        let earlier = |send: &&Send| {
            send.refresh.as_deref() == Some(token) && send.may_count && is_sure(send)
        };
        let mut earlier = self.ledger.sends.iter().filter(earlier).peekable();
        if earlier.peek().is_none() {
            return Ok(());
        }
        let later = self.time().after(self.slack());
        // The expiration of a token is by the clock of its receiver.
        if let Some(record) = self.current_version(grant)
            && !self.have_clocks_stepped()
            && record.refresh.as_deref() == Some(token)
            && self.certificates.is_accepted_from(worker, &record.access)
            && self.twin.honours(later, &record.access)
        {
            return Err(format!("{} is alive", self.ledger.name(&record.access)));
        }
        match earlier.find(|send| self.may_hold_response(grant, token, send)) {
            Some(send) => Err(format!(
                "worker {} may still have the answer to it, in time",
                send.worker
            )),
            None => Ok(()),
        }
    }

    /// Whether the store may have lost the marker that a refresh token was sent before, or an application's
    /// own copy has replaced it.
    fn is_after_loss(&self, grant: usize, token: &str) -> bool {
        if self.ledger.is_copied_over(grant, token) {
            return true;
        }
        let mut sends = self.ledger.sends.iter();
        let is_earlier = |send: &Send| send.refresh.as_deref() == Some(token);
        sends.any(|send| is_earlier(send) && self.may_be_lost(grant, send.at))
    }

    /// Whether the sender of a refresh token may still get or store the response.
    fn may_hold_response(&self, grant: usize, token: &str, send: &Send) -> bool {
        let slack = super::simulation::millis(self.slack());
        let holder = &self.workers[send.worker];
        let is_living = holder.epoch == send.epoch && holder.is_up;
        let landing = holder.slots[grant].unstored_tokens.as_ref();
        let has_response = landing.is_some_and(|(access, _)| {
            let parent = self
                .ledger
                .token(access)
                .and_then(|saved| saved.parent.as_deref());
            parent == Some(token)
        });
        let is_in_time = self.now + slack < send.window_end;
        is_living && is_in_time && (send.end.is_none() || has_response)
    }

    /// Checks rule 3 for a refresh token that the server received twice.
    pub(super) fn check_reuse(
        &mut self,
        send: usize,
        is_reuse: bool,
        is_copy: bool,
    ) -> Result<(), Breach> {
        if !is_reuse {
            return Ok(());
        }
        self.report.reuse_events += 1;
        self.record_in_transcript(|| "server: refresh token reused, family revoked".to_owned());
        let token = self.ledger.sends[send].refresh.clone();
        let sends = self.ledger.sends.iter();
        let sends = sends.filter(|send| send.is_processed && send.refresh == token);
        let mut sends = sends.rev();
        let (Some(last), Some(_)) = (sends.next(), sends.next()) else {
            // One request, or one and its copy made by the network, which no worker can prevent.
            return Ok(());
        };
        let name = token
            .as_deref()
            .map_or("?", |token| self.ledger.name(token));
        match (&last.excuse, self.setup.policy.reuse) {
            _ if is_copy || last.is_after_loss => Ok(()),
            (_, Reuse::Revokes) => {
                let text = format!("{name} was sent twice to a server that revokes");
                Self::breach(Rule::Kept, text)
            }
            (Err(reason), Reuse::Unknown) => {
                let text = format!("{name} was sent twice, although {reason}");
                Self::breach(Rule::Kept, text)
            }
            // The server tolerates reuse for a while, and this came later.
            _ => Ok(()),
        }
    }

    /// Checks rule 3 for an error that tells a caller to log in.
    pub(super) fn check_refusal(
        &mut self,
        worker: usize,
        grant: usize,
        error: &Error,
        is_reported: bool,
    ) -> Result<(), Breach> {
        match error.advice() {
            Advice::Retry { .. } => return Ok(()),
            Advice::Reauthorize if !is_reported => return Ok(()),
            Advice::Reauthorize => {}
            _ => {
                let text = format!("an error that advises to give up: {error}");
                return Self::breach(Rule::Answered, text);
            }
        }
        let over = self.replaced_record(grant);
        let Some(record) = self.current_version(grant) else {
            return Ok(());
        };
        let Some(refresh) = record.refresh.as_deref() else {
            return Ok(());
        };
        let code = error.code();
        let message = format!("worker {worker} tells a caller to log in ({code})");
        let slot = &self.workers[worker].slots[grant];
        if error.code() == "grant.outcome_unknown" && self.setup.policy.reuse == Reuse::Revokes {
            let epoch = self.workers[worker].epoch;
            let attempt = record.attempt.as_deref();
            let knows = self.ledger.knows_unspent(worker, epoch, attempt);
            if !knows {
                return Ok(());
            }
        }
        let is_in_words = error.server_error().is_some() && error.code() != "denied.invalid_grant";
        let is_suspect = is_in_words && self.ledger.suspects.contains(refresh);
        let last_read_at = slot.seen_at.max(self.workers[worker].awake_since);
        // A read counts as current for `READ_IS_CURRENT_MS` (five seconds), and longer if the clock was set back since.
        let had_time_to_read =
            last_read_at + READ_IS_CURRENT_MS < self.now && !self.has_stepped(worker, last_read_at);
        let has_to_know =
            slot.known_version >= record.version || slot.is_behind || had_time_to_read;
        // The server's own refusal of this token is reported, regardless of the outcome of another worker's request.
        if is_suspect {
            return Ok(());
        }
        if !self.twin.honours(self.time(), refresh) {
            // It may have been true when the worker looked: another worker has sent the token since.
            let over = if has_to_know { over } else { Replaced::Older };
            return self.check_hands(worker, grant, (refresh, over), &message);
        }
        if over == Replaced::Older {
            return Ok(());
        }
        if has_to_know {
            let name = self.ledger.name(refresh);
            let over = if record.is_over { ", over" } else { "" };
            let text = format!(
                "{message}, while {name}, in the store at version {}{over}, is alive",
                record.version
            );
            return Self::breach(Rule::Kept, text);
        }
        Ok(())
    }

    /// Checks that no awake worker within its lease has newer tokens than the dead ones in the store. Its
    /// marker is in the store, unless the store has lost it.
    fn check_hands(
        &self,
        worker: usize,
        grant: usize,
        (refresh, over): (&str, Replaced),
        message: &str,
    ) -> Result<(), Breach> {
        for (other, holder) in self.workers.iter().enumerate() {
            let slot = &holder.slots[grant];
            let Some((_, Some(newer))) = &slot.unstored_tokens else {
                continue;
            };
            let is_newer = self.ledger.descends(newer, refresh);
            let is_leased = slot.lease.is_some_and(|held| self.now < held.until);
            let is_notified = self.is_awake(other) && is_leased && over != Replaced::Older;
            let is_near = other == worker || is_notified;
            if is_newer && is_near && self.twin.honours(self.time(), newer) {
                let newer = self.ledger.name(newer);
                let text = format!("{message}, while worker {other} has {newer}");
                return Self::breach(Rule::Kept, text);
            }
        }
        Ok(())
    }

    /// Checks rule 3 for the tokens of a request: stored, still held, or replaced.
    pub(super) fn check_landing(&mut self, worker: usize, grant: usize) -> Result<(), Breach> {
        let slot = &self.workers[worker].slots[grant];
        let Some((access, refresh)) = &slot.unstored_tokens else {
            return Ok(());
        };
        let mut history = self.ledger.history[grant].iter().rev();
        let is_stored = history.any(|version| version.access == *access);
        let in_hand = slot.keeper.tokens();
        let in_hand = in_hand.map(|tokens| tokens.access_token.expose());
        if !is_stored && in_hand == Some(access) {
            return Ok(());
        }
        let is_login = in_hand.is_some_and(|token| slot.logins.contains(token));
        let parent = self
            .ledger
            .token(access)
            .and_then(|saved| saved.parent.as_deref());
        let record = self
            .current_version(grant)
            .and_then(|saved| saved.refresh.as_deref());
        let is_successor = record.is_some() && record == parent && refresh.as_deref() != parent;
        let is_alive = refresh
            .as_ref()
            .is_some_and(|token| self.twin.honours(self.time(), token));
        if !is_stored && !is_login && is_successor && is_alive && !self.is_lost_in_time(grant) {
            let text = format!(
                "worker {worker} drops {}, the only one that can follow the one in the store",
                self.ledger.name(refresh.as_deref().unwrap_or_default())
            );
            return Self::breach(Rule::Kept, text);
        }
        self.slot(worker, grant).unstored_tokens = None;
        Ok(())
    }

    /// Checks rules 2, 5 and 6 for tokens about to be handed out.
    pub(super) fn check_hand_out(
        &mut self,
        worker: usize,
        grant: usize,
        tokens: &Arc<Tokens>,
    ) -> Result<(), Breach> {
        self.check_key(worker, tokens)?;
        self.certificates.check(worker, tokens)?;
        self.count_shared(worker, tokens);
        let access = tokens.access_token.expose();
        let name = self.ledger.name(access).to_owned();
        if self.ledger.token(access).map(|token| token.grant) != Some(grant) {
            let text = format!("worker {worker} hands out {name}, of another grant");
            return Self::breach(Rule::OwnGrant, text);
        }
        if let Some(version) = self.replaced(worker, grant, |read| read.has_access_token(access)) {
            let text = format!(
                "worker {worker} hands out {name}, though it has read version {version} of the \
                 record, where another has replaced it"
            );
            return Self::breach(Rule::Newest, text);
        }
        let is_stored = self.ledger.history[grant]
            .iter()
            .rev()
            .any(|version| version.access == *access);
        let slot = self.slot(worker, grant);
        let is_login = slot.logins.contains(access);
        let min_failed_saves = if slot.is_alone { 1 } else { MIN_FAILED_SAVES };
        let save_abandoned =
            slot.store_failures >= min_failed_saves || slot.unsaved.as_ref() == Some(access);
        if is_stored || is_login {
            return Ok(());
        }
        if !save_abandoned {
            let text = format!("worker {worker} hands out {name}, which is not stored");
            return Self::breach(Rule::SavedFirst, text);
        }
        slot.unsaved = Some(access.clone());
        self.report.unsaved += 1;
        Ok(())
    }
}
