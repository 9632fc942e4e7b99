//! Any endpoint as an exchange: where it goes, who sends it, every signature that is due, one request,
//! one reply; and once more if the server wants its DPoP nonce in the proof.

mod redact;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::client_config::ClientConfig;
use crate::endpoint::{Context, Endpoint, Reply};
use crate::error::{Error, Misuse};
use crate::exchange::{Exchange, Input, SigningJob, Step};
use crate::moment::Moment;

use request::{Due, Sent, Unsent};

/// One endpoint, called once.
#[derive(Debug)]
pub struct Call<E> {
    config: Arc<ClientConfig>,
    endpoint: E,
    state: State,
    nonce: NonceRetry,
}

#[derive(Debug)]
enum State {
    Fresh,
    /// The host signs.
    Signing(Box<Signing>),
    /// For the reply, which must not repeat our secrets to anyone.
    Waiting(Sent),
    Over,
}

#[derive(Debug)]
struct Signing {
    request: Unsent,
    due: Due,
    job: SigningJob,
}

/// Whether the server's nonce has been asked for already: "once per call".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonceRetry {
    Unused,
    Used,
}

impl<E: Endpoint> Call<E> {
    pub(crate) const fn new(config: Arc<ClientConfig>, endpoint: E) -> Self {
        Self {
            config,
            endpoint,
            state: State::Fresh,
            nonce: NonceRetry::Unused,
        }
    }

    fn step(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.begin(at),
            (State::Signing(signing), Input::Signed(signature)) => {
                let Signing { request, due, job } = *signing;
                let request = request.signed(&self.config, due, &job, &signature)?;
                self.sign_and_send(at, request)
            }
            (State::Waiting(sent), Input::Reply(reply)) => self.read(at, &sent, &reply),
            (State::Signing(_) | State::Waiting(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }

    fn begin(&mut self, at: &Moment) -> Result<Step<E::Output>, Error> {
        let request = self.endpoint.request(&Context::new(&self.config, at))?;
        // A signature may cost a call to a key service: none for a request that cannot be made.
        let request = Unsent::new(&self.config, request)?;
        self.sign_and_send(at, request)
    }

    /// Adds the signatures that are due, one after the other, and sends the request.
    fn sign_and_send(
        &mut self,
        at: &Moment,
        mut request: Unsent,
    ) -> Result<Step<E::Output>, Error> {
        while let Some(due) = request.due(&self.config) {
            match request.sign(&self.config, at, due)? {
                None => {}
                Some(job) => {
                    let step = Step::Sign(job.clone());
                    self.state = State::Signing(Box::new(Signing { request, due, job }));
                    return Ok(step);
                }
            }
        }
        let (request, sent) = request.into_request(&self.config)?;
        self.state = State::Waiting(sent);
        Ok(Step::Send(request))
    }

    fn read(
        &mut self,
        at: &Moment,
        sent: &Sent,
        response: &Response<Bytes>,
    ) -> Result<Step<E::Output>, Error> {
        if sent.learn(&self.config, response)? && self.nonce == NonceRetry::Unused {
            self.nonce = NonceRetry::Used;
            return self.begin(at);
        }
        let reply = Reply::new(response, self.config.server.rules(), at.now());
        let read = self.endpoint.read(&Context::new(&self.config, at), reply);
        read.map(Step::Done)
            .map_err(|error| error.without(&redact::secrets(&self.config, sent)))
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

impl<E: Endpoint> Exchange for Call<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.step(at, input).map_err(|error| self.finish(error))
    }
}
