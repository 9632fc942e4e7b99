//! An exchange of any type behind one concrete type, for language bindings: plain values in and out.

use std::fmt;
#[cfg(feature = "crypto")]
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::{
    Boxed, Exchange, ExchangeExt as _, Input, READ, SigningJob, Step, VerificationJob, field_named,
};
use oauth_core::http::{HeaderValue, Response, StatusCode};
use oauth_core::moment::Moment;

use crate::output::Record;

/// An exchange with type-erased output. It is itself an [`Exchange`], so a native driver can run it, too.
pub struct ErasedExchange(Boxed<Record>);

/// The next task of the host; its results are passed to the methods of [`ErasedExchange`].
#[derive(Debug)]
pub enum ErasedStep {
    /// Send this once, following no redirect; then [`ErasedExchange::reply`] or [`ErasedExchange::lost`].
    Send(Outgoing),
    /// Wait; then [`ErasedExchange::elapsed`].
    Sleep(Duration),
    /// Sign this; then [`ErasedExchange::signed`] or [`ErasedExchange::lost`].
    Sign(SigningJob),
    /// Verify this; then [`ErasedExchange::verified`] or [`ErasedExchange::lost`]. With the feature `crypto` an
    /// exchange does so itself.
    Verify(VerificationJob),
    /// The exchange has ended.
    Done(Record),
}

/// A request in plain parts. `Debug` shows neither its header values nor its body.
#[derive(Clone)]
pub struct Outgoing {
    /// The method: `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Names in lower case, in no particular order.
    pub headers: Vec<(String, String)>,
    /// The body, shared with the exchange's own memory, which is overwritten once it is no longer referenced.
    pub body: Bytes,
}

/// A reply in plain parts.
#[derive(Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names in any case; a name may occur several times. Only those of [`READ`] are needed.
    pub headers: Vec<(String, Vec<u8>)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

impl ErasedExchange {
    /// Wraps an exchange whose output has a record.
    pub fn new<E>(exchange: E) -> Self
    where
        E: Exchange + Send + 'static,
        E::Output: Into<Record> + 'static,
    {
        Self::with_record::<E, E::Output>(exchange)
    }

    /// Wraps an exchange whose output converts into this record.
    pub fn with_record<E, R>(exchange: E) -> Self
    where
        E: Exchange + Send + 'static,
        R: From<E::Output> + Into<Record> + 'static,
    {
        let record = |_: &Moment, output| Ok(R::from(output).into());
        Self(exchange.and_then(record).boxed())
    }

    /// An exchange whose first step is its last: nothing is sent.
    pub fn ready<R>(record: R) -> Self
    where
        R: Into<Record> + Send + 'static,
    {
        Self::new(Ready(Some(record)))
    }

    /// Takes the first step. If that ends the exchange, returns the output without a driver; otherwise a driver continues,
    /// beginning with that step.
    ///
    /// # Errors
    /// The errors of the exchange.
    #[cfg(feature = "crypto")]
    pub fn at_once(mut self, at: &Moment) -> Result<ControlFlow<Record, Self>, Error> {
        let first = self.0.resume(at, Input::Begin)?;
        Ok(match self.verified_here(at, first)? {
            Step::Done(record) => ControlFlow::Break(record),
            step => ControlFlow::Continue(Self(
                PrestartedExchange {
                    first: Some(step),
                    rest: self.0,
                }
                .boxed(),
            )),
        })
    }

    /// Takes the first step.
    ///
    /// # Errors
    /// The errors of the exchange; `misuse.out_of_order` and `misuse.already_finished` for a wrong call.
    pub fn begin(&mut self, at: &Moment) -> Result<ErasedStep, Error> {
        self.step(at, Input::Begin)
    }

    /// Continues with the server's reply.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn reply(&mut self, at: &Moment, reply: Reply) -> Result<ErasedStep, Error> {
        let reply = reply.into_response()?;
        self.step(at, Input::Reply(reply))
    }

    /// Continues without an answer: none arrived, or no signature was made.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn lost(&mut self, at: &Moment, cause: Cause) -> Result<ErasedStep, Error> {
        self.step(at, Input::Lost(cause))
    }

    /// Continues after the pause.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn elapsed(&mut self, at: &Moment) -> Result<ErasedStep, Error> {
        self.step(at, Input::Elapsed)
    }

    /// Continues with the signature, in the form that JWS uses for its algorithm.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn signed(&mut self, at: &Moment, signature: Vec<u8>) -> Result<ErasedStep, Error> {
        self.step(at, Input::Signed(signature.into()))
    }

    /// Continues with whether the signature or hash is valid.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn verified(&mut self, at: &Moment, is_good: bool) -> Result<ErasedStep, Error> {
        self.step(at, Input::Verified(is_good))
    }

    fn step(&mut self, at: &Moment, input: Input) -> Result<ErasedStep, Error> {
        let step = self.0.resume(at, input)?;
        #[cfg(feature = "crypto")]
        let step = self.verified_here(at, step)?;
        Ok(match step {
            Step::Send(request) => ErasedStep::Send(Outgoing::from_request(request)?),
            Step::Sleep(pause) => ErasedStep::Sleep(pause),
            Step::Sign(job) => ErasedStep::Sign(job),
            Step::Verify(job) => ErasedStep::Verify(job),
            Step::Done(record) => ErasedStep::Done(record),
        })
    }

    /// The next task of the host.
    #[cfg(feature = "crypto")]
    fn verified_here(
        &mut self,
        at: &Moment,
        mut step: Step<Record>,
    ) -> Result<Step<Record>, Error> {
        while let Step::Verify(job) = step {
            let verified = Input::Verified(oauth_crypto::verify(&job));
            step = self.0.resume(at, verified)?;
        }
        Ok(step)
    }
}

/// An exchange whose first step was taken before its driver began.
#[cfg(feature = "crypto")]
struct PrestartedExchange {
    first: Option<Step<Record>>,
    rest: Boxed<Record>,
}

#[cfg(feature = "crypto")]
impl Exchange for PrestartedExchange {
    type Output = Record;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Record>, Error> {
        match (self.first.take(), input) {
            (Some(step), Input::Begin) => Ok(step),
            (Some(_), _) => Err(Misuse::OutOfOrder.into()),
            (None, input) => self.rest.resume(at, input),
        }
    }
}

/// An exchange whose output is already known.
struct Ready<R>(Option<R>);

impl<R> Exchange for Ready<R> {
    type Output = R;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<R>, Error> {
        match (input, self.0.take()) {
            (Input::Begin, Some(record)) => Ok(Step::Done(record)),
            (_, Some(_)) => Err(Misuse::OutOfOrder.into()),
            (_, None) => Err(Misuse::Over.into()),
        }
    }
}

impl Exchange for ErasedExchange {
    type Output = Record;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Record>, Error> {
        self.0.resume(at, input)
    }
}

impl Outgoing {
    fn from_request(request: oauth_core::http::Request<Bytes>) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let text = |value: &HeaderValue| {
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|_| Error::from(Misuse::HeaderValue))
        };
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| Ok((name.as_str().to_owned(), text(value)?)));
        Ok(Self {
            method: parts.method.as_str().to_owned(),
            url: parts.uri.to_string(),
            headers: headers.collect::<Result<_, Error>>()?,
            body,
        })
    }
}

impl Reply {
    /// A status or header that no HTTP client could have received is a misuse.
    fn into_response(self) -> Result<Response<Bytes>, Error> {
        let refused = |part: &str| Error::from(Misuse::HeaderValue).about(part);
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).map_err(|_| refused("status"))?;
        for (name, value) in self.headers {
            if !is_token(&name) {
                return Err(refused(&name));
            }
            let Some(key) = field_named(name.as_bytes(), &READ) else {
                continue;
            };
            // White space around a value is not part of it (RFC 9110 section 5.5), even if a host left it.
            let value =
                HeaderValue::from_maybe_shared(trimmed(value)).map_err(|_| refused(&name))?;
            response.headers_mut().append(key, value);
        }
        Ok(response)
    }
}

/// Whether the text can be a field name (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_part)
}

fn trimmed(value: Vec<u8>) -> Bytes {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().take_while(|b| is_blank(b)).count();
    let end = value.iter().rev().take_while(|b| is_blank(b)).count();
    let value = Bytes::from(value);
    value.slice(start..value.len().saturating_sub(end).max(start))
}

impl fmt::Debug for ErasedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedExchange").finish_non_exhaustive()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
