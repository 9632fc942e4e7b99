//! Polling for tokens while the user approves on another device: the device grant and CIBA.
//!
//! RFC 8628 <https://www.rfc-editor.org/rfc/rfc8628#section-3.5>, CIBA Core section 11
//!
//! The server sets the pace: its interval, plus five seconds for each `slow_down`, and twice as long after each reply
//! that was lost or asked to wait, but never past the expiry of the code.

use std::sync::Arc;
use std::time::Duration;

use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Advice, Denial, Error, Kind, Misuse, ServerError};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step};
use crate::grant::{Grant, TokenRequest};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;
use crate::value::Value;

/// The seconds that a `slow_down` adds to the interval, "for this and all subsequent requests".
const SLOW_DOWN_SECONDS: u64 = 5;
/// The largest number of times that the pause is doubled, after replies that were lost.
const MAX_DOUBLINGS: u32 = 6;

/// The polling interval, and when polling ends.
#[derive(Debug, Clone, Copy)]
pub struct PollTiming {
    /// The seconds to wait before each token request; at least 1.
    pub interval: u64,
    /// When the code expires. No request is sent after that.
    pub expires_at: UnixTime,
}

/// Polls the token endpoint until the user approves or declines, or the code expires.
pub(crate) struct Poll {
    token_call: Box<dyn Fn() -> Boxed<Tokens> + Send>,
    interval: u64,
    lost_replies: u32,
    expires_at: UnixTime,
    state: State,
}

enum State {
    Fresh,
    Waiting,
    Requesting(Boxed<Tokens>),
    Over,
}

impl Poll {
    pub(crate) fn new<G: Grant + Clone + Send + 'static>(
        config: Arc<ClientConfig>,
        grant: G,
        token_request: TokenRequest,
        timing: PollTiming,
    ) -> Self {
        let token_call = move || {
            let token = TokenEndpoint::new(grant.clone(), token_request.clone());
            Call::new(Arc::clone(&config), token).boxed()
        };
        Self {
            token_call: Box::new(token_call),
            interval: timing.interval.max(1),
            lost_replies: 0,
            expires_at: timing.expires_at,
            state: State::Fresh,
        }
    }

    /// Waits for the next token request, unless the code expires before.
    fn wait(&mut self, at: &Moment, min_pause: Option<Duration>) -> Result<Step<Tokens>, Error> {
        let pause = self
            .interval
            .saturating_mul(1 << self.lost_replies.min(MAX_DOUBLINGS));
        let pause = Duration::from_secs(pause).max(min_pause.unwrap_or_default());
        if at.now().after(pause) >= self.expires_at {
            return Err(expiry_error());
        }
        self.state = State::Waiting;
        Ok(Step::Sleep(pause))
    }

    fn resume_call(
        &mut self,
        at: &Moment,
        mut call: Boxed<Tokens>,
        input: Input,
    ) -> Result<Step<Tokens>, Error> {
        match call.resume(at, input) {
            Ok(Step::Done(tokens)) => Ok(Step::Done(tokens)),
            Ok(step) => {
                self.state = State::Requesting(call);
                Ok(step)
            }
            Err(error) => self.after(at, error),
        }
    }

    /// Handles a response without tokens. Any error except those that require waiting ends the polling
    /// (RFC 8628 section 3.5).
    fn after(&mut self, at: &Moment, error: Error) -> Result<Step<Tokens>, Error> {
        let server = error.server_error();
        match server.map(ServerError::denial) {
            Some(Denial::AuthorizationPending) => self.lost_replies = 0,
            Some(Denial::SlowDown) => {
                self.lost_replies = 0;
                // GitHub names the new interval.
                let named_interval = server.and_then(|server| server.extra().get("interval"));
                let named_interval = match named_interval {
                    Some(Value::Number(seconds)) => seconds.as_u64(),
                    _ => None,
                };
                let increased_interval = self.interval.saturating_add(SLOW_DOWN_SECONDS);
                self.interval = named_interval.map_or(increased_interval, |named_interval| {
                    named_interval.max(increased_interval)
                });
            }
            _ if matches!(error.kind(), Kind::Denied(_) | Kind::Lost(_))
                && matches!(error.advice(), Advice::Retry { .. }) =>
            {
                self.lost_replies = self.lost_replies.saturating_add(1);
            }
            _ => return Err(error),
        }
        self.wait(at, error.retry_after())
    }
}

/// The error that the server would now return; no request is sent.
fn expiry_error() -> Error {
    let expired = ServerError::from_code("expired_token");
    let expired = expired.with_description(Some("nobody answered before the code ended"), None);
    Error::from(expired).at_endpoint("token")
}

impl Exchange for Poll {
    type Output = Tokens;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Tokens>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.wait(at, None),
            // The pause may have taken longer than it should: the machine may have been asleep.
            (State::Waiting, Input::Elapsed) if at.now() >= self.expires_at => Err(expiry_error()),
            (State::Waiting, Input::Elapsed) => {
                let call = (self.token_call)();
                self.resume_call(at, call, Input::Begin)
            }
            (State::Requesting(call), input) => self.resume_call(at, call, input),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

    use super::*;
    use crate::error::Cause;
    use crate::grant::DeviceCode;
    use crate::http::Response;
    use crate::testing::{NOW, client, error_code, json, reply};
    use bytes::Bytes;

    fn at(seconds: u64) -> Moment {
        Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32])
    }

    fn pending() -> Response<Bytes> {
        json(400, r#"{"error":"authorization_pending"}"#)
    }

    /// Plays these replies, `None` for a lost one; returns the pauses and the result.
    fn run_with_replies(
        interval: u64,
        expires_in: u64,
        answers: Vec<Option<Response<Bytes>>>,
    ) -> (Vec<u64>, Result<String, &'static str>) {
        let pace = PollTiming {
            interval,
            expires_at: UnixTime::from_secs(NOW + expires_in),
        };
        let mut poll = client().poll(DeviceCode::new("d"), TokenRequest::new(), pace);
        let (mut now, mut pauses, mut answers) = (0, Vec::new(), answers.into_iter());
        let mut input = Input::Begin;
        loop {
            input = match poll.resume(&at(now), input) {
                Ok(Step::Sleep(pause)) => {
                    now += pause.as_secs();
                    pauses.push(pause.as_secs());
                    Input::Elapsed
                }
                Ok(Step::Send(_)) => match answers.next().unwrap() {
                    Some(reply) => Input::Reply(reply),
                    None => Input::Lost(Cause::unknown("gone")),
                },
                Ok(Step::Done(tokens)) => {
                    return (pauses, Ok(tokens.access_token.expose().clone()));
                }
                Ok(step) => panic!("{step:?}"),
                Err(error) => return (pauses, error_code(Err(error))),
            };
        }
    }

    fn tokens() -> Response<Bytes> {
        json(200, r#"{"access_token":"a","token_type":"Bearer"}"#)
    }

    #[test]
    fn lost_or_5xx_replies_double_the_interval_until_the_next_answer() {
        let busy = reply(503, &[], "");
        let answers = vec![None, Some(busy), Some(pending()), None, Some(tokens())];
        let played = run_with_replies(5, 1800, answers);
        assert_eq!(played, (vec![5, 10, 20, 5, 10], Ok("a".to_owned())));
    }

    #[test]
    fn retry_after_of_the_server_sets_the_interval() {
        let busy = reply(429, &[("retry-after", "90")], "");
        let played = run_with_replies(5, 1800, vec![Some(busy), Some(tokens())]);
        assert_eq!(played, (vec![5, 90], Ok("a".to_owned())));
    }

    #[test]
    fn polling_stops_when_the_code_has_expired() {
        let expired = Err("denied.expired_token");
        assert_eq!(
            run_with_replies(5, 5, Vec::new()),
            (Vec::new(), expired.clone())
        );
        let played = run_with_replies(5, 11, vec![Some(pending()), Some(pending())]);
        assert_eq!(played, (vec![5, 5], expired.clone()));
        assert_eq!(
            run_with_replies(u64::MAX, 60, Vec::new()),
            (Vec::new(), expired)
        );
        // It does not poll after a sleep that took too long either.
        let pace = PollTiming {
            interval: 5,
            expires_at: UnixTime::from_secs(NOW + 60),
        };
        let mut poll = client().poll(DeviceCode::new("d"), TokenRequest::new(), pace);
        let _ = poll.resume(&at(0), Input::Begin).unwrap();
        let outcome = poll.resume(&at(60), Input::Elapsed);
        assert_eq!(error_code(outcome.map(drop)), Err("denied.expired_token"));
    }

    #[test]
    fn huge_slow_down_interval_does_not_overflow() {
        let slow = json(
            400,
            r#"{"error":"slow_down","interval":18446744073709551615}"#,
        );
        let played = run_with_replies(5, 1800, vec![Some(slow)]);
        assert_eq!(played, (vec![5], Err("denied.expired_token")));
    }

    #[test]
    fn other_errors_end_polling() {
        let denied = json(400, r#"{"error":"access_denied"}"#);
        let played = run_with_replies(0, 1800, vec![Some(pending()), Some(denied)]);
        assert_eq!(played, (vec![1, 1], Err("denied.access_denied")));
        let broken = json(200, "{}");
        assert_eq!(
            run_with_replies(1, 9, vec![Some(broken)]).1,
            Err("token.missing_access_token")
        );
    }
}
