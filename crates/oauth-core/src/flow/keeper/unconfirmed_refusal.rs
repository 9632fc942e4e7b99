//! Refresh tokens that the server refuses without saying that the grant has ended.
//!
//! The refusal may be temporary (a client that is not replicated yet, a confirmation that the user owes, a firewall's
//! reply), or this server's own form of `invalid_grant`. So callers get the server's own error, and the refresh token is
//! kept and tried again with backoff. After `invalid_grant` itself the store is read again: `recheck` in `commit.rs`.

use std::time::Duration;

use super::reconcile::Reconciliation;
use super::state::State;
use super::{Entry, Keeper, Step};
use crate::error::{Cause, Error, ServerError};
use crate::json_form;
use crate::moment::{Moment, UnixTime};
use crate::quirk::Rules;
use crate::secret::Secret;

/// Pause after the first refusal, in seconds.
const FIRST_PAUSE_SECONDS: u64 = 10;
/// Maximum pause after repeated refusals, in seconds, before jitter.
const MAX_PAUSE_SECONDS: u64 = 3600;

/// A refusal that does not prove that the grant has ended, as stored for all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnconfirmedRefusal {
    since: UnixTime,
    /// The pause before the token is sent again.
    seconds: u64,
    /// The number of refusals in a row.
    count: u32,
    status: Option<u16>,
    error: Option<String>,
    description: Option<String>,
    scheme: Option<String>,
}

json_form! { UnconfirmedRefusal { since, seconds, count, status, error, description, scheme } }

impl UnconfirmedRefusal {
    fn new(server: &ServerError, before: Option<&Self>, at: &Moment) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let doubled = FIRST_PAUSE_SECONDS << (count - 1).min(10);
        let pause = doubled.min(MAX_PAUSE_SECONDS);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            since: at.now(),
            seconds: pause + at.jitter_input() % (pause / 2 + 1),
            count,
            status: server.status(),
            error: owned(server.error()),
            description: owned(server.description()),
            scheme: owned(server.scheme()),
        }
    }

    /// The refusal without its pause, while the token is sent again: the refusal is not reported before the outcome is
    /// known.
    pub(super) fn with_no_pause(mut self: Box<Self>) -> Box<Self> {
        self.seconds = 0;
        self
    }

    /// Whether the token must not be sent yet, for a worker that first saw this refusal at `first_seen_at`: the clock of the
    /// worker that wrote it may have been ahead.
    fn blocks_sending(&self, first_seen_at: UnixTime, now: UnixTime) -> bool {
        let pause = Duration::from_secs(self.seconds.min(2 * MAX_PAUSE_SECONDS));
        now < self.since.min(first_seen_at).after(pause)
    }

    /// The refusal as an error with the server's own text, interpreted by the server's rules.
    pub(super) fn error(&self, rules: &Rules) -> Error {
        let server = self
            .status
            .map_or_else(ServerError::default, ServerError::from_status);
        let server = server.with_challenge_scheme(self.scheme.clone());
        let server = match self.error.as_deref() {
            Some(error) => {
                let meaning = rules.registered_error_code(error, self.description.as_deref());
                server.with_code(error).with_meaning(meaning)
            }
            None => server,
        };
        let server = server.with_description(self.description.as_deref(), None);
        Error::from(server)
            .at_endpoint("token")
            .with_doubtful_refresh_token()
    }
}

impl Keeper {
    /// The unconfirmed refusal in this error, unless it is a temporary failure of the server.
    pub(super) fn unconfirmed_refusal(
        &self,
        at: &Moment,
        error: &Error,
    ) -> Option<UnconfirmedRefusal> {
        let server = error
            .server_error()
            .filter(|server| !server.is_temporary())?;
        (!self.is_renewed_without_refresh_token()).then(|| {
            UnconfirmedRefusal::new(server, self.record.unconfirmed_refusal.as_deref(), at)
        })
    }

    pub(super) fn save_unconfirmed_refusal(
        &mut self,
        at: &Moment,
        error: Error,
        unconfirmed_refusal: UnconfirmedRefusal,
    ) -> Step {
        self.clear_marker(&error);
        self.unconfirmed_refusal_seen = at.now();
        self.record.unconfirmed_refusal = Some(Box::new(unconfirmed_refusal));
        let record = self.record.clone();
        self.save(
            &record,
            State::SaveUnconfirmedRefusal(error.with_doubtful_refresh_token()),
        )
    }

    /// The refusal is stored for all workers: callers get the error, unless there is still a valid token.
    pub(super) fn unconfirmed_refusal_saved(&mut self, at: &Moment, error: Error) -> Step {
        self.pause_briefly(at, &error);
        let outcome = self.valid_tokens(at.now()).ok_or(error);
        self.release(outcome)
    }

    /// Another worker has saved in the meantime. No user has to log in for a token that was replaced.
    pub(super) fn resolve_refusal_conflict(
        &mut self,
        at: &Moment,
        error: Error,
        entry: Option<Entry>,
    ) -> Step {
        let (unconfirmed_refusal, before) = (
            self.record.unconfirmed_refusal.clone(),
            self.refresh_token(),
        );
        match self.reconcile(at, entry) {
            Ok(Reconciliation::StoreLost(version)) => self.version = version,
            Ok(Reconciliation::Unchanged | Reconciliation::Adopted) => {}
            Err(error) => return self.release(Err(error)),
        }
        if let Some(error) = self.ended_error(at) {
            return self.release(Err(error));
        }
        let is_same_token = match (&before, self.refresh_token()) {
            (Some(before), Some(now)) => before.matches(now.expose()),
            _ => false,
        };
        if !is_same_token {
            let replaced = Cause::unknown_as("another worker has replaced the tokens");
            return self.fail(at, Error::lost(replaced));
        }
        self.record.unconfirmed_refusal = unconfirmed_refusal;
        let record = self.record.clone();
        self.save(&record, State::SaveUnconfirmedRefusal(error))
    }

    fn refresh_token(&self) -> Option<Secret<String>> {
        let token = self.record.tokens.as_ref()?.refresh_token.as_ref()?;
        Some(token.secret().clone())
    }

    /// The error of the unconfirmed refusal, if the token must not be sent yet.
    pub(super) fn unconfirmed_refusal_error(&self, now: UnixTime) -> Option<Error> {
        let unconfirmed_refusal = self.record.unconfirmed_refusal.as_ref()?;
        let rules = self.config.server.rules();
        unconfirmed_refusal
            .blocks_sending(self.unconfirmed_refusal_seen, now)
            .then(|| unconfirmed_refusal.error(rules))
    }
}
