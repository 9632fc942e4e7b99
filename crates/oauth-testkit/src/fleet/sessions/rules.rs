//! Checks the rules listed in `fleet.rs` against real sessions, by observing only their requests, saves and results.

use bytes::Bytes;
use oauth_core::Tokens;
use oauth_core::error::{Advice, Error};
use oauth_core::flow::keeper::Reuse;

use super::super::ledger::Send;
use super::super::simulation::{millis, window};
use super::super::slot::LeaseTerm;
use super::super::{Breach, Rule};
use super::endpoints::{Copy, number};
use super::simulation::Simulation;
use crate::twin::Rotation;

/// The number of failed saves before tokens may be handed out unsaved.
const MIN_FAILED_SAVES: u32 = 5;

/// The time within which a session need not know a new version, in milliseconds; longer than a turn.
const READ_IS_CURRENT_MS: u64 = 7000;

/// The maximum time that a session waits for a store, in milliseconds.
const STORE_WAIT: u64 = 11_000;

/// The maximum time for storing tokens and releasing the lease, in milliseconds: a caller that comes
/// in between gets the tokens before the hook does.
const MAX_HOOK_DELAY_MS: u64 = 120_000;

/// The maximum difference between two workers' clocks, because they run in turns; in milliseconds.
pub(super) const MAX_CLOCK_DIFFERENCE_MS: u64 = 1000;

fn breach<T>(rule: Rule, text: String) -> Result<T, Breach> {
    Err(Breach(rule, text))
}

impl Simulation {
    /// Checks rules 1, 2 and 6 for a token request about to be sent; returns its number in the ledger.
    pub(super) fn check_send(&mut self, member: usize, request: &http::Request<Bytes>) -> usize {
        let form: Vec<(String, String)> =
            serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
        let mut form = form.into_iter();
        let refresh = form.find_map(|(name, value)| (name == "refresh_token").then_some(value));
        let send = self.ledger.sends.len();
        let name = refresh
            .as_deref()
            .map_or("", |token| self.ledger.name(token));
        let name = name.to_owned();
        self.note_for(member, || format!("sends request {send} {name}"));
        let checked = self.check_may_send(member, refresh.as_deref());
        self.record_breach(checked);
        let session = &mut self.members[member];
        let (since, until) = session
            .lease
            .map_or((self.now, 0), |lease| (lease.since, lease.until));
        let (worker, grant) = (session.worker, session.grant);
        let excuse = refresh
            .as_deref()
            .map_or(Ok(()), |token| self.check_resend(worker, grant, token));
        self.ledger.sends.push(Send {
            worker,
            epoch: number(member),
            grant,
            refresh,
            at: self.now,
            lease: Some(until),
            window_end: since + window(&self.setup),
            end: None,
            may_count: true,
            is_processed: false,
            excuse,
            is_after_loss: false,
        });
        send
    }

    fn check_may_send(&mut self, member: usize, refresh: Option<&str>) -> Result<(), Breach> {
        let now = self.now;
        let is_fixed = self.setup.rotation == Rotation::Never;
        let needs_none =
            self.setup.is_client_grant || (is_fixed && self.setup.policy.reuse != Reuse::Revokes);
        let session = &mut self.members[member];
        if session.is_drained {
            let text = format!("session {member} sends a request although it was drained");
            return breach(Rule::Kept, text);
        }
        // A store that failed to save may be readable again by now.
        let mut history = self.ledger.history[session.grant].iter();
        let has_no_lease_and_no_record = session.lease.is_none()
            && session
                .landing
                .as_ref()
                .is_some_and(|(access, _)| !history.any(|version| version.access == *access));
        session.is_alone = needs_none && (session.is_silent || has_no_lease_and_no_record);
        if session.is_alone {
            session.lease = Some(LeaseTerm::new(now, now));
        }
        let Some(lease) = &mut session.lease else {
            let text = format!("session {member} sends a token request without a lease");
            return breach(Rule::OneFlight, text);
        };
        lease.sends += 1;
        let (until, sends, grant) = (lease.until, lease.sends, session.grant);
        if sends > 1 {
            let text = format!("session {member} sends a second request under one lease");
            return breach(Rule::OneFlight, text);
        }
        let timeout = millis(self.setup.policy.longest_request);
        let is_soon = |at: u64| at <= now + MAX_CLOCK_DIFFERENCE_MS;
        let concurrent_send = self.ledger.sends.iter().rev().find(|other| {
            let is_under_way = other.grant == grant && other.end.is_none();
            let has_run_out = is_soon(until) || other.lease.is_some_and(is_soon);
            other.at + timeout > now + MAX_CLOCK_DIFFERENCE_MS && is_under_way && !has_run_out
        });
        if let Some(other) = concurrent_send {
            let text = format!(
                "session {member} sends a token request while one of session {} is under way, and \
                 neither lease has run out",
                other.epoch
            );
            return breach(Rule::OneFlight, text);
        }
        let Some(token) = refresh else {
            return Ok(());
        };
        if self.ledger.token(token).map(|token| token.grant) != Some(grant) {
            let text = format!("session {member} sends the refresh token of another grant");
            return breach(Rule::OwnGrant, text);
        }
        if self.is_replaced(member, |refresh, _| refresh == Some(token)) {
            let name = self.ledger.name(token);
            let text = format!("session {member} sends {name}, which it has seen replaced");
            return breach(Rule::Newest, text);
        }
        let known_version = self.members[member].known_version;
        let mut history = self.ledger.history[grant].iter().rev();
        let read = history.find(|version| version.version == known_version);
        let slack = std::time::Duration::from_millis(
            MAX_CLOCK_DIFFERENCE_MS + 1000 * (2 * self.setup.odds.skew + 2),
        );
        if let Some(until) = read.and_then(|version| version.suspect_until)
            && self.time().after(slack) < until
        {
            let name = self.ledger.name(token);
            let text = format!("session {member} sends {name}, which was just refused");
            return breach(Rule::Heeded, text);
        }
        Ok(())
    }

    /// Whether the version this session has read last no longer holds a token that an earlier one held.
    fn is_replaced(&self, member: usize, holds: impl Fn(Option<&str>, &str) -> bool) -> bool {
        let session = &self.members[member];
        let history = self.ledger.history[session.grant].iter().rev();
        let mut read = history
            .skip_while(|version| version.version > session.known_version)
            .map(|version| holds(version.refresh.as_deref(), &version.access));
        read.next() == Some(false) && read.any(|holds| holds)
    }

    /// Checks that a refresh token may be sent although it was sent before and may have been spent.
    fn check_resend(&self, worker: usize, grant: usize, token: &str) -> Result<(), String> {
        let slack = MAX_CLOCK_DIFFERENCE_MS + 1000 * (2 * self.setup.odds.skew + 2);
        let is_earlier = |send: &&Send| send.refresh.as_deref() == Some(token) && send.may_count;
        let mut earlier = self.ledger.sends.iter().filter(is_earlier).peekable();
        if earlier.peek().is_none() {
            return Ok(());
        }
        let later = self.time().after(std::time::Duration::from_millis(slack));
        if let Some(record) = self.ledger.history[grant].last()
            && record.refresh.as_deref() == Some(token)
            && self.certificates.is_accepted_from(worker, &record.access)
            && self.twin.honours(later, &record.access)
        {
            return Err(format!("{} is alive", self.ledger.name(&record.access)));
        }
        let holds = |send: &&Send| {
            let sender = &self.members[usize::try_from(send.epoch).unwrap_or_default()];
            let is_in_time = self.now + slack < send.window_end;
            sender.is_alive && is_in_time && send.end.is_none()
        };
        match earlier.find(holds) {
            Some(send) => Err(format!("session {} may have the answer yet", send.epoch)),
            None => Ok(()),
        }
    }

    /// Checks rule 3 for a refresh token that the server received twice.
    pub(super) fn check_reuse(&mut self, send: usize, copy: Copy) -> Result<(), Breach> {
        self.report.reuse_events += 1;
        let token = self.ledger.sends[send].refresh.clone();
        let sends = self.ledger.sends.iter().rev();
        let mut sends = sends.filter(|send| send.is_processed && send.refresh == token);
        let (Some(last), Some(_)) = (sends.next(), sends.next()) else {
            return Ok(());
        };
        let name = token
            .as_deref()
            .map_or("?", |token| self.ledger.name(token));
        match (&last.excuse, self.setup.policy.reuse) {
            _ if copy == Copy::Yes => Ok(()),
            (_, Reuse::Revokes) => {
                let text = format!("{name} was sent twice to a server that revokes");
                breach(Rule::Kept, text)
            }
            (Err(reason), Reuse::Unknown) => {
                let text = format!("{name} was sent twice, although {reason}");
                breach(Rule::Kept, text)
            }
            _ => Ok(()),
        }
    }

    /// Records tokens fetched by the session's own driver.
    pub(super) fn fetched(&mut self, member: usize, tokens: &Tokens) {
        let access = tokens.access_token.expose().clone();
        let refresh = tokens.refresh_token.as_ref();
        let refresh = refresh.map(|token| token.secret().expose().clone());
        self.report.renewals += 1;
        let session = &mut self.members[member];
        session.fails = 0;
        session.fetched.insert(access.clone(), self.now);
        session.landing = Some((access, refresh));
    }

    /// Checks a call of the session's hook.
    pub(super) fn note_hook(&mut self, member: usize, tokens: &Tokens) {
        let access = tokens.access_token.expose();
        let session = &mut self.members[member];
        session.hooked.insert(access.clone());
        let landed = session.landing.as_ref().map(|(access, _)| access);
        // The tokens it fetched itself were replaced before they could be stored.
        let is_replaced = landed.is_some_and(|ours| session.hooked.insert(ours.clone()));
        if !session.fetched.contains_key(access) && !is_replaced {
            let text = format!("session {member} calls its hook for tokens that it did not fetch");
            self.record_breach(breach(Rule::SavedFirst, text));
        }
    }

    /// Checks rules 2, 5 and 6 and the hook's rule for tokens that a caller gets.
    pub(super) fn check_hand_out(&mut self, member: usize, tokens: &Tokens) -> Result<(), Breach> {
        let access = tokens.access_token.expose();
        let name = self.ledger.name(access).to_owned();
        self.note_for(member, || format!("a caller gets {name}"));
        let session = &self.members[member];
        self.certificates.check(session.worker, tokens)?;
        if self.ledger.token(access).map(|token| token.grant) != Some(session.grant) {
            let text = format!("session {member} hands out {name}, of another grant");
            return breach(Rule::OwnGrant, text);
        }
        if session.refused.as_ref() == Some(access) {
            let text = format!("session {member} hands out {name}, which it knows was refused");
            return breach(Rule::Newest, text);
        }
        let is_login = session.logins.contains(access);
        let mut history = self.ledger.history[session.grant].iter();
        let is_stored = history.any(|version| version.access == *access);
        let fetched_at = session
            .fetched
            .get(access)
            .filter(|_| !session.has_lost_tasks);
        let is_late = fetched_at.is_some_and(|at| at + MAX_HOOK_DELAY_MS < self.now);
        if !is_login && is_late && !session.hooked.contains(access) {
            let text = format!("session {member} hands out {name}, and its hook was not called");
            return breach(Rule::SavedFirst, text);
        }
        let min_failed_saves = if session.is_alone {
            1
        } else {
            MIN_FAILED_SAVES
        };
        let save_abandoned =
            session.fails >= min_failed_saves || session.unsaved.as_ref() == Some(access);
        if is_stored || is_login {
            return Ok(());
        }
        if !save_abandoned {
            let text = format!("session {member} hands out {name}, which is not stored");
            return breach(Rule::SavedFirst, text);
        }
        self.report.unsaved += 1;
        self.members[member].unsaved = Some(access.clone());
        Ok(())
    }

    /// Checks an error: rule 3 if it tells a caller to log in, rule 4 if it advises to give up.
    pub(super) fn check_error(&mut self, member: usize, error: &Error) -> Result<(), Breach> {
        self.report.errors += 1;
        let code = error.code();
        self.note_for(member, || format!("a caller gets an error: {code}"));
        let grant = self.members[member].grant;
        match error.advice() {
            Advice::Retry { .. } => return Ok(()),
            Advice::Reauthorize => {}
            // Using a source that was closed is the caller's mistake.
            _ if code == "token_source.closed" && self.members[member].is_closed => return Ok(()),
            _ => {
                let text = format!("an error that advises to give up: {error}");
                return breach(Rule::Answered, text);
            }
        }
        let Some(record) = self.ledger.history[grant].last() else {
            return Ok(());
        };
        let Some(refresh) = record.refresh.as_deref() else {
            return Ok(());
        };
        let is_promised =
            self.setup.policy.reuse == Reuse::Revokes && code == "grant.outcome_unknown";
        let is_in_words = error.server_error().is_some() && code != "denied.invalid_grant";
        if is_in_words && self.ledger.suspects.contains(refresh) {
            return Ok(());
        }
        let session = &self.members[member];
        let awake_since = self.clocks[session.worker].awake_since;
        let last_read_at = session.seen_at.max(awake_since);
        // A session also waits for a store that stops answering after a read.
        let silence = match self.setup.odds.store_late {
            0 => 0,
            _ => STORE_WAIT,
        };
        let should_have_read = session.known_version >= record.version
            || last_read_at + READ_IS_CURRENT_MS + silence < self.now;
        if !is_promised && should_have_read && self.twin.honours(self.time(), refresh) {
            let text = format!(
                "session {member} tells a caller to log in ({code}), while {}, in the store, is alive",
                self.ledger.name(refresh)
            );
            return breach(Rule::Kept, text);
        }
        Ok(())
    }

    /// Checks rule 3 when a session has been drained: the tokens of its requests are stored, or replaced.
    pub(super) fn drained(&mut self, member: usize) -> Result<(), Breach> {
        self.members[member].is_drained = true;
        let session = &self.members[member];
        let Some((access, Some(refresh))) = &session.landing else {
            return Ok(());
        };
        let history = &self.ledger.history[session.grant];
        let parent = self
            .ledger
            .token(access)
            .and_then(|saved| saved.parent.as_deref());
        let record = history.last().and_then(|saved| saved.refresh.as_deref());
        let is_stored = history.iter().any(|version| version.access == *access);
        let is_successor = record.is_some() && record == parent && parent != Some(refresh);
        if !is_stored && is_successor && self.twin.honours(self.time(), refresh) {
            let text = format!(
                "session {member} is drained, but {}, a successor of the stored token, is not stored",
                self.ledger.name(refresh)
            );
            return breach(Rule::Kept, text);
        }
        Ok(())
    }

    /// Checks that a login whose call has returned is stored, or was followed by another.
    pub(super) fn logged_in(&mut self, member: usize, tokens: &Tokens) -> Result<(), Breach> {
        let grant = self.members[member].grant;
        let token = self.ledger.token(tokens.access_token.expose());
        let login = token.map_or(0, |token| token.generation);
        if self.ledger.is_stored(grant, login) || self.ledger.newest_login() > login {
            return Ok(());
        }
        let text = format!("session {member} has accepted a login without storing it");
        breach(Rule::Kept, text)
    }
}
