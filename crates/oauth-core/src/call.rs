//! A call to an endpoint, as an exchange: builds the request, obtains the signatures it needs, sends it and reads the
//! response. A request refused with `use_dpop_nonce` is repeated once with the server's nonce (RFC 9449 section 8), a
//! request whose proof was refused because of its `iat` once with the server's time, and one whose workload token was
//! refused once with the token that has replaced it.

mod redact;
mod request;
mod sent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::http::{Request, Response};
use bytes::Bytes;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_auth::Remote;
use crate::client_config::ClientConfig;
use crate::crypto::SigningKey;
use crate::endpoint::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, Misuse};
use crate::exchange::{Exchange, Input, SigningJob, Step};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::workload;

use request::{MissingSignature, SigningStep, Unsent};
use sent::Sent;

/// A call to one endpoint, as an [`Exchange`].
#[derive(Debug)]
pub struct Call<E> {
    endpoint: E,
    run: Run,
}

/// The part of a call that does not depend on the endpoint, so that it is compiled once.
#[derive(Debug)]
struct Run {
    config: Arc<ClientConfig>,
    state: State,
    nonce: Retry,
    clock: Retry,
    assertion: Retry,
}

/// The next action of a call.
enum Next {
    Send(Request<Bytes>),
    Sign(SigningJob),
    /// Let the endpoint read the reply.
    Read(Sent, Response<Bytes>),
}

/// Builds the endpoint's request.
type BuildRequest<'a> = &'a dyn Fn(&Context<'_>) -> Result<EndpointRequest, Error>;

#[derive(Debug)]
enum State {
    Fresh,
    /// The host is making a signature.
    Signing(Box<Signing>),
    /// The JWT that authenticates the client is being requested.
    FetchingJwt(Box<Unsent>, Remote),
    /// The request was sent. Its secrets are kept so that they can be redacted from an error in the
    /// response.
    AwaitingReply(Sent),
    Over,
}

#[derive(Debug)]
struct Signing {
    request: Unsent,
    missing: MissingSignature,
    key: SigningKey,
    job: SigningJob,
}

/// Whether the call was already repeated for a certain reason. It is repeated at most once for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Unused,
    Used,
}

impl<E: Endpoint> Call<E> {
    pub(crate) const fn new(config: Arc<ClientConfig>, endpoint: E) -> Self {
        let run = Run {
            config,
            state: State::Fresh,
            nonce: Retry::Unused,
            clock: Retry::Unused,
            assertion: Retry::Unused,
        };
        Self { endpoint, run }
    }

    fn step(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        let Self { endpoint, run } = self;
        Ok(match run.step(at, input, &|cx| endpoint.request(cx))? {
            Next::Send(request) => Step::Send(request),
            Next::Sign(job) => Step::Sign(job),
            Next::Read(sent, response) => {
                let reply = Reply::new(&response, run.config.server.rules(), at.now());
                let read = endpoint.read(&Context::new(&run.config, at), reply);
                Step::Done(read.map_err(|error| sent.error(&run.config, error))?)
            }
        })
    }

    fn finish(&self, error: Error) -> Error {
        let error = error.at_endpoint(E::NAME);
        if self.endpoint.can_repeat() {
            error
        } else {
            error.once_only()
        }
    }
}

impl Run {
    fn step(
        &mut self,
        at: &Moment,
        input: Input,
        build_request: BuildRequest<'_>,
    ) -> Result<Next, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.begin(at, None, build_request),
            (State::Signing(signing), Input::Signed(signature)) => {
                let Signing {
                    request,
                    missing,
                    key,
                    job,
                } = *signing;
                let request = request.with_signature(missing, &key, &job, &signature)?;
                self.sign_and_send(at, request)
            }
            // Browser builds have no client that authenticates with a JWT.
            (State::FetchingJwt(..), _) if IS_BROWSER_BUILD => Err(Misuse::Over.into()),
            (State::FetchingJwt(mut request, _), Input::Reply(reply)) => {
                request.receive_client_jwt(&self.config, at, &reply)?;
                self.sign_and_send(at, *request)
            }
            (State::FetchingJwt(..), Input::Lost(cause)) => Err(workload::unsent_error(&cause)),
            (State::AwaitingReply(sent), Input::Reply(reply)) => {
                let wants_nonce = sent.remember_nonce(&self.config, &reply);
                let wants_nonce = wants_nonce.map_err(|error| sent.error(&self.config, error))?;
                if wants_nonce && self.nonce == Retry::Unused {
                    self.nonce = Retry::Used;
                    return self.begin(at, None, build_request);
                }
                if self.clock == Retry::Unused && sent.correct_clock(&self.config, at, &reply) {
                    self.clock = Retry::Used;
                    return self.begin(at, None, build_request);
                }
                if self.assertion == Retry::Unused
                    && let Some(replaced) = sent.replaced_workload_token(&self.config, at, &reply)
                {
                    self.assertion = Retry::Used;
                    return self.begin(at, Some(replaced), build_request);
                }
                Ok(Next::Read(sent, reply))
            }
            (State::Signing(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::AwaitingReply(sent), Input::Lost(cause)) => {
                Err(sent.error(&self.config, Error::lost(cause)))
            }
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }

    fn begin(
        &mut self,
        at: &Moment,
        client_jwt: Option<Secret<String>>,
        build_request: BuildRequest<'_>,
    ) -> Result<Next, Error> {
        let request = build_request(&Context::new(&self.config, at))?;
        // The request is checked before it is signed, because a signature may need a call to a key service.
        let request = Unsent::new(&self.config, request, client_jwt)?;
        self.sign_and_send(at, request)
    }

    /// Adds the missing signatures one by one, then sends the request.
    fn sign_and_send(&mut self, at: &Moment, mut request: Unsent) -> Result<Next, Error> {
        while let Some(missing) = request.next_signature(&self.config) {
            match request.sign(&self.config, at, missing)? {
                SigningStep::Complete => {}
                SigningStep::Request(exchange, remote) => {
                    self.state = State::FetchingJwt(Box::new(request), remote);
                    return Ok(Next::Send(*exchange));
                }
                SigningStep::Sign(job, key) => {
                    let step = Next::Sign(job.clone());
                    self.state = State::Signing(Box::new(Signing {
                        request,
                        missing,
                        key,
                        job,
                    }));
                    return Ok(step);
                }
            }
        }
        let (request, sent) = request.into_request(&self.config)?;
        self.state = State::AwaitingReply(sent);
        Ok(Next::Send(request))
    }
}

impl<E: Endpoint> Exchange for Call<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.step(at, input).map_err(|error| self.finish(error))
    }
}
