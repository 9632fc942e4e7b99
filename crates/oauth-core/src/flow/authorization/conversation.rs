//! An authorization as a conversation: the same whether the server has to be asked first or not.
//!
//! RFC 9126 <https://www.rfc-editor.org/rfc/rfc9126#section-4>: a pushed request leaves `client_id` and
//! `request_uri` in the URL.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::{AuthorizationRequest, FlowEntropy, HostGeneratedValues, Pending, Prepared};
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::pushed_authorization::{Pushed, PushedAuthorization};
use crate::error::{Error, Misuse};
use crate::exchange::{Exchange, Input, Step};
use crate::form::Form;
use crate::moment::Moment;
use crate::server::EndpointKind;
use crate::url::Url;

/// Where to send the person, and what to keep meanwhile.
#[derive(Debug)]
#[non_exhaustive]
pub struct Authorization {
    /// The URL to open.
    pub url: Url,
    /// The flow, to be kept until the callback.
    pub pending: Pending,
    /// For how many seconds the URL is good, if the server has said so.
    pub expires_in: Option<u64>,
}

/// The conversation that ends with an [`Authorization`].
#[derive(Debug)]
pub(crate) struct Begin {
    config: Arc<ClientConfig>,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh(Box<(AuthorizationRequest, Option<HostGeneratedValues>)>),
    Pushing(Box<(Call<PushedAuthorization>, Pending)>),
    Over,
}

impl Begin {
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        ask: AuthorizationRequest,
        values: Option<HostGeneratedValues>,
    ) -> Self {
        let state = State::Fresh(Box::new((ask, values)));
        Self { config, state }
    }

    fn begin(
        &mut self,
        at: &Moment,
        ask: AuthorizationRequest,
        values: Option<&HostGeneratedValues>,
    ) -> Result<Step<Authorization>, Error> {
        let config = &self.config;
        let pushes = ask.is_pushed(config);
        let Prepared { form, pending } = ask.prepare(config, at.now(), &entropy(at, values)?)?;
        if !pushes {
            let url = config.server.endpoint(EndpointKind::Authorization)?;
            return Ok(Step::Done(Authorization {
                url: url.with_query(&form),
                pending,
                expires_in: None,
            }));
        }
        let form = form.without(config.server.rules().client_id_parameter());
        let call = Call::new(Arc::clone(config), PushedAuthorization { form });
        self.push(at, Input::Begin, call, pending)
    }

    fn push(
        &mut self,
        at: &Moment,
        input: Input,
        mut call: Call<PushedAuthorization>,
        pending: Pending,
    ) -> Result<Step<Authorization>, Error> {
        Ok(match call.resume(at, input)? {
            Step::Done(pushed) => Step::Done(self.pushed(&pushed, pending)?),
            step => {
                self.state = State::Pushing(Box::new((call, pending)));
                match step {
                    Step::Send(request) => Step::Send(request),
                    Step::Sleep(pause) => Step::Sleep(pause),
                    Step::Sign(job) => Step::Sign(job),
                    Step::Verify(job) => Step::Verify(job),
                    Step::Done(_) => return Err(Misuse::Over.into()),
                }
            }
        })
    }

    fn pushed(&self, pushed: &Pushed, pending: Pending) -> Result<Authorization, Error> {
        let mut form = Form::new();
        form.push(
            self.config.server.rules().client_id_parameter(),
            self.config.client_id.as_str(),
        );
        form.push("request_uri", pushed.request_uri.expose());
        let url = self.config.server.endpoint(EndpointKind::Authorization)?;
        Ok(Authorization {
            url: url.with_query(&form),
            pending,
            expires_in: Some(pushed.expires_in),
        })
    }
}

#[cfg(feature = "sha2")]
fn entropy<'a>(
    at: &'a Moment,
    values: Option<&'a HostGeneratedValues>,
) -> Result<FlowEntropy<'a>, Error> {
    Ok(values.map_or(FlowEntropy::Derived(at), FlowEntropy::Host))
}

/// Without the hash the host generates the values.
#[cfg(not(feature = "sha2"))]
fn entropy<'a>(
    _: &'a Moment,
    values: Option<&'a HostGeneratedValues>,
) -> Result<FlowEntropy<'a>, Error> {
    Ok(FlowEntropy::Host(values.ok_or(Misuse::DrawnValues)?))
}

impl Exchange for Begin {
    type Output = Authorization;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Authorization>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh(ask), Input::Begin) => {
                let (ask, values) = *ask;
                self.begin(at, ask, values.as_ref())
                    .map_err(|error| error.at_endpoint("authorization"))
            }
            (State::Pushing(pushing), input) => {
                let (call, pending) = *pushing;
                self.push(at, input, call, pending)
            }
            (State::Over, _) => Err(Misuse::Over.into()),
            (State::Fresh(_), _) => Err(Misuse::OutOfOrder.into()),
        }
    }
}
