//! Runs an exchange with scripted replies and a fake clock, and returns a transcript.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Exchange, Input, Step};

use crate::clock::Clock;

/// The inputs of an exchange, line by line.
///
/// The inputs are passed in order, regardless of the step that the exchange returns, so a script can also break the
/// order of an exchange on purpose. [`Input::Begin`] is added as the first.
///
/// ```
/// # use bytes::Bytes;
/// # use oauth_core::{error::{Error, Misuse}, exchange::{Exchange, Input, Step}, moment::Moment};
/// # struct Ping;
/// # impl Exchange for Ping {
/// #     type Output = u16;
/// #     fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<u16>, Error> {
/// #         Ok(match input {
/// #             Input::Begin => Step::Send(http::Request::get("https://as.test/ping").body(Bytes::new()).unwrap()),
/// #             Input::Reply(reply) => Step::Done(reply.status().as_u16()),
/// #             _ => return Err(Misuse::OutOfOrder.into()),
/// #         })
/// #     }
/// # }
/// use oauth_testkit::Script;
///
/// let seen = Script::new().at(1_750_000_000).reply(204, &[], "").run(Ping);
/// assert_eq!(seen.send(0).unwrap().url(), Some("https://as.test/ping"));
/// assert_eq!(seen.outcome.unwrap(), 204);
/// ```
#[derive(Debug, Default)]
pub struct Script {
    lines: VecDeque<ScriptLine>,
}

enum ScriptLine {
    At(u64),
    Reply(Box<http::Response<Bytes>>),
    Lost(Cause),
    Elapsed,
    Signed(Bytes),
}

impl Script {
    /// A script without lines, at 1 750 000 000 seconds after the epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock, for the next line on.
    #[must_use]
    pub fn at(self, unix_seconds: u64) -> Self {
        self.line(ScriptLine::At(unix_seconds))
    }

    /// A reply. A status or header field that HTTP cannot carry is left out: no driver could
    /// deliver it either.
    #[must_use]
    pub fn reply(self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let mut reply = http::Response::new(body.into());
        if let Ok(status) = StatusCode::from_u16(status) {
            *reply.status_mut() = status;
        }
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                reply.headers_mut().append(name, value);
            }
        }
        self.line(ScriptLine::Reply(Box::new(reply)))
    }

    /// A reply with `Content-Type: application/json`.
    #[must_use]
    pub fn json(self, status: u16, body: impl Into<Bytes>) -> Self {
        self.reply(status, &[("content-type", "application/json")], body)
    }

    /// No reply; whether the request arrived is unknown.
    #[must_use]
    pub fn lost(self) -> Self {
        self.line(ScriptLine::Lost(Cause::unknown("lost, as scripted")))
    }

    /// No reply, because the request was never sent.
    #[must_use]
    pub fn unsent(self) -> Self {
        self.line(ScriptLine::Lost(Cause::unsent("unsent, as scripted")))
    }

    /// A reply that was too large to read.
    #[must_use]
    pub fn too_large(self) -> Self {
        self.line(ScriptLine::Lost(Cause::too_large()))
    }

    /// The pause has passed; the clock advances by the requested duration.
    #[must_use]
    pub fn elapsed(self) -> Self {
        self.line(ScriptLine::Elapsed)
    }

    /// A signature by the host's key.
    #[must_use]
    pub fn signed(self, signature: impl Into<Bytes>) -> Self {
        self.line(ScriptLine::Signed(signature.into()))
    }

    fn line(mut self, line: ScriptLine) -> Self {
        self.lines.push_back(line);
        self
    }

    /// Runs the exchange with the script. If the exchange needs more inputs than the script has, the outcome is an
    /// error with the code `lost`.
    pub fn run<E: Exchange>(mut self, mut exchange: E) -> Transcript<E::Output> {
        let mut clock = Clock::new();
        let mut steps = Vec::new();
        let mut pause = Duration::ZERO;
        self.set(&mut clock);
        let mut input = Input::Begin;
        let outcome = loop {
            match exchange.resume(&clock.moment(), input) {
                Err(error) => break Err(error),
                Ok(Step::Done(output)) => break Ok(output),
                Ok(Step::Send(request)) => steps.push(Seen::sent(request)),
                Ok(Step::Sleep(requested_pause)) => {
                    pause = requested_pause;
                    steps.push(Seen::Sleep(requested_pause));
                }
                Ok(Step::Verify(job)) => {
                    input = Input::Verified(oauth_crypto::verify(&job));
                    continue;
                }
                Ok(Step::Sign(job)) => steps.push(Seen::Sign {
                    key_id: job.key_id,
                    alg: job.alg,
                    signing_input: job.signing_input,
                }),
            }
            self.set(&mut clock);
            input = match self.lines.pop_front() {
                Some(ScriptLine::Reply(reply)) => Input::Reply(*reply),
                Some(ScriptLine::Lost(cause)) => Input::Lost(cause),
                Some(ScriptLine::Signed(signature)) => Input::Signed(signature),
                Some(ScriptLine::Elapsed) => {
                    clock.advance(std::mem::take(&mut pause));
                    Input::Elapsed
                }
                Some(ScriptLine::At(_)) | None => {
                    break Err(Error::lost(Cause::unsent("the script has ended")));
                }
            };
        };
        Transcript {
            steps,
            outcome,
            unused: self.lines.len(),
        }
    }

    fn set(&mut self, clock: &mut Clock) {
        while let Some(ScriptLine::At(seconds)) = self.lines.front() {
            clock.set(*seconds);
            self.lines.pop_front();
        }
    }
}

impl fmt::Debug for ScriptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(seconds) => write!(f, "At({seconds})"),
            Self::Reply(reply) => write!(f, "Reply({})", reply.status().as_u16()),
            Self::Lost(cause) => write!(f, "Lost({:?})", cause.delivery()),
            Self::Elapsed => f.write_str("Elapsed"),
            Self::Signed(_) => f.write_str("Signed(..)"),
        }
    }
}

/// The transcript of an exchange.
#[derive(Debug)]
#[non_exhaustive]
pub struct Transcript<T> {
    /// The steps that it returned, in order.
    pub steps: Vec<Seen>,
    /// The outcome.
    pub outcome: Result<T, Error>,
    /// The number of lines of the script that were not used.
    pub unused: usize,
}

impl<T> Transcript<T> {
    /// The `n`th request, counted from zero; pauses and signatures are not counted.
    pub fn send(&self, n: usize) -> Option<&Seen> {
        self.steps
            .iter()
            .filter(|event| matches!(event, Seen::Send { .. }))
            .nth(n)
    }

    /// The number of requests sent.
    pub fn sends(&self) -> usize {
        self.steps
            .iter()
            .filter(|event| matches!(event, Seen::Send { .. }))
            .count()
    }

    /// The pauses, in order.
    pub fn pauses(&self) -> Vec<Duration> {
        let pause = |event: &Seen| match event {
            Seen::Sleep(pause) => Some(*pause),
            _ => None,
        };
        self.steps.iter().filter_map(pause).collect()
    }

    /// The stable code of the error it ended with.
    pub fn code(&self) -> Option<&'static str> {
        self.outcome.as_ref().err().map(Error::code)
    }
}

/// One step of an exchange, as a driver sees it. `Debug` omits header values, query values and
/// bodies.
#[derive(Clone)]
pub enum Seen {
    /// It sent a request.
    Send {
        /// The method.
        method: Method,
        /// The whole URL.
        url: String,
        /// The header fields.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// It asked for a pause.
    Sleep(Duration),
    /// It asked for a signature.
    Sign {
        /// The host's name for the key.
        key_id: String,
        /// The JWS algorithm.
        alg: &'static str,
        /// The bytes to sign.
        signing_input: Bytes,
    },
}

impl Seen {
    fn sent(request: http::Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self::Send {
            method: head.method,
            url: head.uri.to_string(),
            headers: head.headers,
            body,
        }
    }

    /// The whole URL of a request.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Send { url, .. } => Some(url),
            _ => None,
        }
    }

    /// A header field of a request, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Send { headers, .. } => headers.get(name)?.to_str().ok(),
            _ => None,
        }
    }

    /// The first value of a parameter in a request's form, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        match self {
            Self::Send { body, .. } => first(body, name),
            _ => None,
        }
    }

    /// The first value of a parameter in a request's query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        first(self.url()?.split_once('?')?.1.as_bytes(), name)
    }
}

fn first(pairs: &[u8], name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(pairs).ok()?;
    pairs
        .into_iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value)
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send {
                method,
                url,
                headers,
                body,
            } => f
                .debug_struct("Send")
                .field("method", method)
                .field("url", &url.split(['?', '#']).next().unwrap_or_default())
                .field("headers", &headers.keys().collect::<Vec<_>>())
                .field("body_bytes", &body.len())
                .finish(),
            Self::Sleep(pause) => f.debug_tuple("Sleep").field(pause).finish(),
            Self::Sign { alg, .. } => f
                .debug_struct("Sign")
                .field("alg", alg)
                .finish_non_exhaustive(),
        }
    }
}
