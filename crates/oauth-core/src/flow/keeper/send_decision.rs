//! Decides whether a token request may be sent, and builds it. A refresh token whose last refresh was lost is held back
//! here: it is not sent again before the outcome of that refresh is known, unless the server tolerates reuse.

use std::sync::Arc;
use std::time::Duration;

use super::record::{GrantEnd, InFlightMarker, Record};
use super::send_deadline::SendDeadline;
use super::state::State;
use super::unconfirmed_refusal::UnconfirmedRefusal;
use super::{Keeper, Reuse, Step, Storage};
use crate::call::Call;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Cause, Error, Misuse};
use crate::exchange::{Boxed, ExchangeExt as _};
use crate::flow::assertion_grant;
use crate::grant::Refresh;
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::token::Tokens;

/// Whether the worker that holds the lease may send the refresh token.
pub(super) enum SendDecision {
    /// Send it; `marked`: save an in-flight marker first, because the server may revoke a token that is sent twice.
    Send { marked: bool },
    /// Wait: the outcome of the last attempt is not known, and other workers may still learn it.
    Hold,
    /// The grant has ended: the token may have been used, and sending it again would revoke it.
    End(GrantEnd),
    /// The request cannot be made.
    Fail(Error),
}

impl Keeper {
    /// Whether the grant is renewed without a refresh token, so that every request can safely be repeated.
    pub(super) fn is_renewed_without_refresh_token(&self) -> bool {
        self.is_client_grant() || self.config.has_sign_in_elsewhere()
    }

    /// Whether the server certainly did not process the attempt of the marker; `None` if it is not a finished attempt
    /// of this worker.
    pub(super) fn marker_is_unspent(&self) -> Option<bool> {
        let marker = self.record.in_flight.as_ref()?;
        let finished = self
            .finished
            .iter()
            .find(|attempt| attempt.id == marker.id)?;
        Some(finished.is_unspent)
    }

    /// Decides whether the refresh token may be sent now. A token whose last refresh was lost is held back until no worker
    /// can still learn the outcome.
    pub(super) fn send_decision(&self, now: UnixTime) -> SendDecision {
        if let Err(error) = self.exchange() {
            return SendDecision::Fail(error);
        }
        if self.is_renewed_without_refresh_token() || self.tolerates_reuse() {
            return SendDecision::Send { marked: false };
        }
        let Some(marker) = &self.record.in_flight else {
            return SendDecision::Send { marked: true };
        };
        let is_finished = match self.marker_is_unspent() {
            Some(true) => return SendDecision::Send { marked: true },
            Some(false) => true,
            // The clock of the worker that sent it may have been ahead by any amount.
            None => {
                let window = marker.window(self.policy.attempt_window());
                now >= marker.at.min(self.marker_seen).after(window)
            }
        };
        match (
            self.valid_tokens(now).is_some() || !is_finished,
            self.policy.reuse,
        ) {
            (true, _) => SendDecision::Hold,
            (false, Reuse::Revokes) => SendDecision::End(GrantEnd::OutcomeUnknown),
            (false, _) => SendDecision::Send { marked: true },
        }
    }

    /// Whether a refresh token may be sent twice. A server that did not rotate one token may rotate the
    /// next: the observation counts only without an explicit policy.
    pub(super) fn tolerates_reuse(&self) -> bool {
        match self.policy.reuse {
            Reuse::Tolerated => true,
            Reuse::Unknown => self.record.rotates == Some(false),
            Reuse::Revokes => false,
        }
    }

    /// Continues when it is not known whether the refresh token was used: the access token stays usable until it
    /// expires, and after that this worker waits for others that may learn the outcome.
    pub(super) fn wait_for_lost_outcome(&mut self, at: &Moment) -> Step {
        if let Some(tokens) = self.valid_tokens(at.now()) {
            let lost = Cause::unknown_as("the fate of the last refresh is not known");
            let error = Error::lost(lost);
            self.backoff
                .set_soft(at.now(), self.deadlines.expires_at, &error);
            return self.release(Ok(tokens));
        }
        self.release_into(State::ReleaseAndWait)
    }

    pub(super) fn exchange(&self) -> Result<Boxed<Tokens>, Error> {
        let config = Arc::clone(&self.config);
        let mut token_request = self.id.token_request.clone();
        if self.is_renewed_without_refresh_token() {
            return Ok(assertion_grant::client_own_tokens(config, token_request));
        }
        let tokens = self.record.tokens.as_ref();
        let no_login = || Error::from(Misuse::NoRefreshToken).about("no user has logged in");
        let token = tokens.ok_or_else(no_login)?.refresh_token.clone();
        let grant = Refresh::new(token.ok_or(Misuse::NoRefreshToken)?);
        // The granted scope, which may differ from the requested one.
        token_request.scope = Scope::none();
        Ok(Call::new(config, TokenEndpoint::new(grant, token_request)).boxed())
    }

    /// Saves the in-flight marker.
    pub(super) fn save_marker(&mut self, at: &Moment) -> Step {
        let marker = InFlightMarker {
            id: self.renewal_id.clone(),
            at: at.now(),
            window: Some(self.policy.attempt_window().as_secs()),
        };
        let marked = Record {
            in_flight: Some(marker.clone()),
            ended: None,
            pause: None,
            unconfirmed_refusal: self
                .record
                .unconfirmed_refusal
                .clone()
                .map(UnconfirmedRefusal::with_no_pause),
            ..self.record.clone()
        };
        self.save(&marked, State::SaveMarker(marker))
    }

    /// The marker is saved. If that took a whole lease, sending may take as long, and by then others regard the attempt
    /// as finished: the renewal is restarted, once. It is also restarted if the clock has been set back in the
    /// meantime, because the elapsed time is then unknown.
    pub(super) fn marker_saved(&mut self, at: &Moment, marker: InFlightMarker) -> Step {
        let (id, since) = (marker.id.clone(), marker.at);
        self.record.in_flight = Some(marker);
        if at.now() < since || at.now() > self.latest_start(since) {
            self.remember_finished(id, true);
            self.restarts += 1;
            if self.restarts == 1 {
                return self.release_into(State::ReleaseAndWait);
            }
            self.record.in_flight = None;
            let outcome = self.failure_outcome(at, SendDeadline::deadline_error());
            let record = self.record.clone();
            return self.save(&record, State::SaveFailure(outcome));
        }
        self.send(since, false)
    }

    /// The latest time at which the request of an attempt that began at `since` may start. A request that starts by
    /// then has reached the server, or never will, before other workers consider the attempt finished.
    fn latest_start(&self, since: UnixTime) -> UnixTime {
        since.after(self.policy.lease.max(Duration::from_secs(1)))
    }

    /// The exchange with the send deadline of an attempt that began at `since`. The driver may queue it
    /// for half of the longest request, so that there is time left for the response.
    fn with_deadline(&self, exchange: Boxed<Tokens>, since: UnixTime) -> Boxed<Tokens> {
        let begin_by = self.latest_start(since);
        let send_by = begin_by.after(self.policy.longest_request / 2);
        SendDeadline::new(exchange, since, begin_by, send_by).boxed()
    }

    /// Whether a renewal may continue although the store does not respond: callers need a token now, and nothing can be
    /// lost. This applies to client credentials, and if the server is known not to rotate refresh tokens; if it rotates
    /// them, another worker may have used this one.
    pub(super) fn may_send_without_store(&self, now: UnixTime) -> bool {
        let never_rotates = self.tolerates_reuse() && self.record.rotates == Some(false);
        self.storage == Storage::Shared
            && !self.is_drained
            && (self.is_renewed_without_refresh_token() || never_rotates)
            && self.valid_tokens(now).is_none()
            && self.record.ended.is_none()
            && self.unconfirmed_refusal_error(now).is_none()
            && !self.backoff.is_active(now)
            && self.config.shared.breaker.error_while_open(now).is_none()
            && self.exchange().is_ok()
    }

    /// What distinguishes this grant from others of the client: its login, or else its subject and scope.
    pub(super) fn name(&self) -> String {
        let login = self.record.login.clone();
        login.unwrap_or_else(|| {
            let subject = self.id.subject().map(|subject| format!("={subject}"));
            format!(
                "{} {}",
                subject.unwrap_or_default(),
                self.id.token_request.scope
            )
        })
    }

    /// A request is about to be sent.
    pub(super) fn note_request(&self, at: &Moment) {
        if !self.config.has_sign_in_elsewhere() {
            self.config.shared.breaker.note_request(at);
        }
    }

    /// Records the outcome of a request for the other grants of the client. An error of a sign-in at an identity
    /// provider must not block requests that do not involve that provider.
    pub(super) fn note_outcome(&self, at: &Moment, error: Option<&Error>) {
        if !self.config.has_sign_in_elsewhere() {
            self.config
                .shared
                .breaker
                .note_outcome(at, self.name(), error);
        }
    }

    pub(super) fn send(&mut self, since: UnixTime, without_store: bool) -> Step {
        match self.exchange() {
            Ok(exchange) => {
                self.state = Some(State::RunRequest { without_store });
                Step::Run(match self.storage {
                    Storage::Local => exchange,
                    // The second of its requests may be late, and spends nothing.
                    Storage::Shared if self.config.has_sign_in_elsewhere() => exchange,
                    Storage::Shared => self.with_deadline(exchange, since),
                })
            }
            Err(error) => self.release(Err(error)),
        }
    }
}
