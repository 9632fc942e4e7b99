//! Refresh tokens that the server refuses without saying that the grant has ended.
//!
//! The refusal may be temporary (a client that is not replicated yet, a confirmation that the user owes, a firewall's
//! reply), or this server's own form of `invalid_grant`. So callers get the server's own error, and the refresh token is
//! kept and tried again with backoff. After `invalid_grant` itself the store is read again: `recheck` in `commit.rs`.

use std::time::Duration;

use super::reconcile::Reconciled;
use super::state::State;
use super::{Entry, Keeper, Step};
use crate::error::{Cause, Error, ServerError};
use crate::json_form;
use crate::moment::{Moment, UnixTime};
use crate::quirk::Rules;
use crate::secret::Secret;

/// How long the token is not sent after the first refusal, and after any, in seconds.
const FIRST: u64 = 10;
const LONGEST: u64 = 3600;

/// The stored part of such a refusal, for all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnconfirmedRefusal {
    since: UnixTime,
    /// How long the token is not sent.
    seconds: u64,
    /// How many refusals there were in a row.
    count: u32,
    status: Option<u16>,
    error: Option<String>,
    description: Option<String>,
    scheme: Option<String>,
}

json_form! { UnconfirmedRefusal { since, seconds, count, status, error, description, scheme } }

impl UnconfirmedRefusal {
    fn of(server: &ServerError, before: Option<&Self>, at: &Moment) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let doubled = FIRST << (count - 1).min(10);
        let pause = doubled.min(LONGEST);
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            since: at.now(),
            seconds: pause + at.jitter_input() % (pause / 2 + 1),
            count,
            status: server.status(),
            error: own(server.error()),
            description: own(server.description()),
            scheme: own(server.scheme()),
        }
    }

    /// The same without its pause, while the token is sent once more: the refusal is not reported before the outcome is
    /// known.
    pub(super) fn without_pause(mut self: Box<Self>) -> Box<Self> {
        self.seconds = 0;
        self
    }

    /// Whether the token is held back now, for a worker that first saw this at `seen`: the clock of the
    /// worker that wrote it may have been ahead.
    fn holds(&self, seen: UnixTime, now: UnixTime) -> bool {
        let pause = Duration::from_secs(self.seconds.min(2 * LONGEST));
        now < self.since.min(seen).after(pause)
    }

    /// The refusal as an error, in the server's own words, read by its rules.
    pub(super) fn error(&self, rules: &Rules) -> Error {
        let server = self
            .status
            .map_or_else(ServerError::default, ServerError::of_status);
        let server = server.with_challenge_scheme(self.scheme.clone());
        let server = match self.error.as_deref() {
            Some(error) => {
                let meaning = rules.registered_error_code(error, self.description.as_deref());
                server.with_code(error).with_meaning(meaning)
            }
            None => server,
        };
        let server = server.with_description(self.description.as_deref(), None);
        Error::from(server).at_endpoint("token").of_suspect()
    }
}

impl Keeper {
    /// The suspicion that a refusal casts on the refresh token, if it is not conclusive.
    pub(super) fn suspicion(&self, at: &Moment, error: &Error) -> Option<UnconfirmedRefusal> {
        let server = error.server_error().filter(|server| !server.is_passing())?;
        (!self.is_requested_anew())
            .then(|| UnconfirmedRefusal::of(server, self.record.suspicion.as_deref(), at))
    }

    pub(super) fn save_suspicion(
        &mut self,
        at: &Moment,
        error: Error,
        suspicion: UnconfirmedRefusal,
    ) -> Step {
        self.clear_marker(&error);
        self.suspected_at = at.now();
        self.record.suspicion = Some(Box::new(suspicion));
        let record = self.record.clone();
        self.save(&record, State::SaveSuspicion(error.of_suspect()))
    }

    /// The suspicion is stored for all workers: callers get the error, unless there is a token that suffices for now.
    pub(super) fn suspicion_saved(&mut self, at: &Moment, error: Error) -> Step {
        self.pause_briefly(at, &error);
        let outcome = self.good(at.now()).ok_or(error);
        self.release(outcome)
    }

    /// Another worker has saved in the meantime. No user has to log in for a token that was replaced.
    pub(super) fn resolve_suspicion_conflict(
        &mut self,
        at: &Moment,
        error: Error,
        entry: Option<Entry>,
    ) -> Step {
        let (suspicion, before) = (self.record.suspicion.clone(), self.refresh_token());
        match self.reconcile(at, entry) {
            Ok(Reconciled::StoreLost(version)) => self.version = version,
            Ok(Reconciled::Unchanged | Reconciled::Adopted) => {}
            Err(error) => return self.release(Err(error)),
        }
        if let Some(error) = self.ended_error(at) {
            return self.release(Err(error));
        }
        let is_same = match (&before, self.refresh_token()) {
            (Some(before), Some(now)) => before.matches(now.expose()),
            _ => false,
        };
        if !is_same {
            let replaced = Cause::unknown_as("another worker has replaced the tokens");
            return self.fail(at, Error::lost(replaced));
        }
        self.record.suspicion = suspicion;
        let record = self.record.clone();
        self.save(&record, State::SaveSuspicion(error))
    }

    fn refresh_token(&self) -> Option<Secret<String>> {
        let token = self.record.tokens.as_ref()?.refresh_token.as_ref()?;
        Some(token.secret().clone())
    }

    /// The refusal that holds the token back now.
    pub(super) fn suspicion_error(&self, now: UnixTime) -> Option<Error> {
        let suspicion = self.record.suspicion.as_ref()?;
        let rules = self.config.server.rules();
        suspicion
            .holds(self.suspected_at, now)
            .then(|| suspicion.error(rules))
    }
}
