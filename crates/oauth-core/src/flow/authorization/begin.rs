//! Begins an authorization: the request goes through the browser as it is, by reference (RFC 9101) or pushed first
//! (RFC 9126), and is signed here, by the host or not at all. A `request_uri` is never pushed itself (section 2.1). The
//! parameters are checked in `prepare.rs`, which also adds `dpop_jkt` (RFC 9449 section 10), PKCE with the methods
//! that the server supports in `pkce.rs`.
//! `Url::with_query` in `url.rs` keeps the query of the endpoint (RFC 6749 section 3.1).
//!
//! RFC 9126 <https://www.rfc-editor.org/rfc/rfc9126#section-4>: a pushed request leaves `client_id` and
//! `request_uri` in the URL.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::prepare::PreparedRequest;
use super::{
    AuthorizationRequest, FlowEntropy, HostGeneratedValues, PendingAuthorization, request_object,
    security_profile, step_up_request, warning,
};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::crypto::SigningKey;
use crate::endpoint::jwks::Jwks;
use crate::endpoint::pushed_authorization::{PushedAuthorization, PushedResponse};
use crate::error::{Error, Kind, Misuse, ValidationFailure};
use crate::exchange::{Exchange, Input, Step, host_step};
use crate::form::Form;
use crate::jose::{Lookup, OnUnknownKey};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::url::Url;

/// The URL to which to send the user, and the pending flow to keep until the callback.
#[derive(Debug)]
#[non_exhaustive]
pub struct Authorization {
    /// The URL to open.
    pub url: Url,
    /// The flow, to be kept until the callback.
    pub pending: PendingAuthorization,
    /// The number of seconds for which the URL is valid, if the server stated it.
    pub expires_in: Option<u64>,
    /// What to serve at the [`request_uri`](AuthorizationRequest::request_uri) before the user is sent to the server,
    /// if there is one.
    pub request_object: Option<Secret<String>>,
}

/// The exchange that ends with an [`Authorization`].
#[derive(Debug)]
pub(crate) struct Begin {
    config: Arc<ClientConfig>,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh(Box<(AuthorizationRequest, Option<HostGeneratedValues>)>),
    /// The host is signing the request.
    Signing(Box<Signing>),
    /// The server's keys are being fetched, to encrypt the signed request.
    Sealing(Box<(Call<Jwks>, Secret<String>, Signing)>),
    Pushing(Box<(Call<PushedAuthorization>, PendingAuthorization)>),
    Over,
}

/// How the parameters reach the server.
#[derive(Debug)]
pub(super) enum RequestDelivery {
    /// Pushed first.
    Pushed,
    /// Through the browser.
    Browser,
    /// Fetched from here.
    Reference(Url),
}

#[derive(Debug)]
struct Signing {
    key: SigningKey,
    input: String,
    form: Form,
    pending: PendingAuthorization,
    delivery: RequestDelivery,
}

impl Begin {
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        request: AuthorizationRequest,
        values: Option<HostGeneratedValues>,
    ) -> Self {
        let state = State::Fresh(Box::new((request, values)));
        Self { config, state }
    }

    /// The whole exchange, if it needs neither the server nor the host.
    ///
    /// # Errors
    /// `authorization.push_required` if the server has to be asked first, `misuse.setup` if the host signs or the
    /// server's keys must be fetched.
    pub(crate) fn at_once(
        config: Arc<ClientConfig>,
        at: &Moment,
        request: AuthorizationRequest,
        values: Option<&HostGeneratedValues>,
    ) -> Result<Authorization, Error> {
        // The user would only see the server's error page.
        if request.is_pushed(&config) {
            return Err(at_endpoint(Misuse::PushRequired.into()));
        }
        let state = State::Over;
        let begun = Self { config, state }.begin(at, request, values);
        match begun.map_err(at_endpoint)? {
            Step::Done(authorization) => Ok(authorization),
            _ => {
                let reason = "a request that the host signs, or that is encrypted, needs begin_authorization";
                Err(Error::from(Misuse::Setup).about(reason))
            }
        }
    }

    fn begin(
        &mut self,
        at: &Moment,
        mut request: AuthorizationRequest,
        values: Option<&HostGeneratedValues>,
    ) -> Result<Step<Authorization>, Error> {
        let config = Arc::clone(&self.config);
        config.client_id.check()?;
        step_up_request::apply(&mut request, at.now())?;
        if let Some(profile) = config.profile {
            security_profile::apply(profile, &config, &mut request, values)?;
        }
        let delivery = match (request.is_pushed(&config), request.request_uri.take()) {
            (true, None) => RequestDelivery::Pushed,
            (false, None) => RequestDelivery::Browser,
            (false, Some(_)) if IS_BROWSER_BUILD => {
                return Err(Error::from(Misuse::KeyMissing).about("request_uri"));
            }
            (false, Some(url)) => {
                request_object::check_reference(&url, &config.server)?;
                RequestDelivery::Reference(url)
            }
            // "the request_uri authorization request parameter is one exception, and it MUST NOT be provided"
            // (RFC 9126 section 2.1)
            (true, Some(_)) => {
                return Err(Error::from(Misuse::ParameterReserved).about("request_uri"));
            }
        };
        let warnings = warning::warnings_for(&config, &request, &delivery);
        let PreparedRequest { form, mut pending } =
            request.prepare(&config, at.now(), &entropy(at, values)?)?;
        pending.warnings = warnings;
        let Some(signing) = config.request_signing() else {
            if IS_BROWSER_BUILD && config.request_signing.is_some() {
                return Err(Error::from(Misuse::Setup).about("a page signs no requests"));
            }
            if config.request_encryption.is_some() {
                let reason = "a request is signed before it is encrypted";
                return Err(Error::from(Misuse::Setup).about(reason));
            }
            return match delivery {
                RequestDelivery::Reference(_) => {
                    Err(Error::from(Misuse::KeyMissing).about("request_uri"))
                }
                RequestDelivery::Pushed => {
                    let form = form.without_parameter(config.server.rules().client_id_parameter());
                    self.push(at, form, pending)
                }
                RequestDelivery::Browser => self.open(&form, pending, None),
            };
        };
        signing.check_server_support(&config.server)?;
        if let Some(encryption) = &config.request_encryption {
            encryption.check(&config.server)?;
        }
        let input = request_object::signing_input(&signing, &config, at, &form)?;
        let signed = signing.key().sign(&input)?;
        let signing_state = Signing {
            key: signing.key().clone(),
            input,
            form,
            pending,
            delivery,
        };
        match signed {
            Some(jws) => self.signed(at, jws, signing_state),
            None => {
                let job = signing_state.key.job(signing_state.input.clone());
                self.state = State::Signing(Box::new(signing_state));
                Ok(Step::Sign(job))
            }
        }
    }

    /// Encrypts the signed request, if that is agreed on.
    fn signed(
        &mut self,
        at: &Moment,
        jws: Secret<String>,
        signed: Signing,
    ) -> Result<Step<Authorization>, Error> {
        let Some(encryption) = &self.config.request_encryption else {
            return self.deliver(at, jws, signed);
        };
        let cache = &self.config.shared.keys;
        let sealed = match cache.lookup(at.now()) {
            Lookup::Fresh(keys) => Some(encryption.seal(&keys, jws.expose())),
            Lookup::Stale(_) => None,
        };
        let is_missing =
            |error: &Error| matches!(error.kind(), Kind::Untrusted(ValidationFailure::JweNoKey));
        match sealed {
            Some(Err(error)) if is_missing(&error) => match cache.on_unknown_key(at.now()) {
                OnUnknownKey::Fetch => self.fetch(at, jws, signed),
                OnUnknownKey::Wait | OnUnknownKey::GiveUp => Err(error),
            },
            Some(sealed) => self.deliver(at, sealed?, signed),
            None => self.fetch(at, jws, signed),
        }
    }

    fn fetch(
        &mut self,
        at: &Moment,
        jws: Secret<String>,
        signed: Signing,
    ) -> Result<Step<Authorization>, Error> {
        let call = Call::new(Arc::clone(&self.config), Jwks);
        self.fetching(at, Input::Begin, call, jws, signed)
    }

    fn fetching(
        &mut self,
        at: &Moment,
        input: Input,
        mut call: Call<Jwks>,
        jws: Secret<String>,
        signed: Signing,
    ) -> Result<Step<Authorization>, Error> {
        let cache = &self.config.shared.keys;
        match call
            .resume(at, input)
            .inspect_err(|_| cache.fetch_failed())?
        {
            Step::Done(fetched) => {
                let keys = Arc::new(fetched.keys);
                cache.store_keys(at.now(), Arc::clone(&keys), fetched.max_age);
                let encryption = self.config.request_encryption.as_ref();
                let sealed = encryption.map(|encryption| encryption.seal(&keys, jws.expose()));
                let object = sealed.transpose()?.unwrap_or(jws);
                self.deliver(at, object, signed)
            }
            Step::Send(request) => {
                self.state = State::Sealing(Box::new((call, jws, signed)));
                Ok(Step::Send(request))
            }
            // A document is fetched without pauses, signatures or verification.
            Step::Sleep(_) | Step::Sign(_) | Step::Verify(_) => Err(Misuse::OutOfOrder.into()),
        }
    }

    /// Delivers the signed request.
    fn deliver(
        &mut self,
        at: &Moment,
        object: Secret<String>,
        signed: Signing,
    ) -> Result<Step<Authorization>, Error> {
        let Signing {
            form,
            pending,
            delivery,
            ..
        } = signed;
        match delivery {
            RequestDelivery::Pushed => {
                let mut form = Form::new();
                form.push("request", object.expose());
                self.push(at, form, pending)
            }
            RequestDelivery::Browser => {
                let mut form = request_object::parameters_beside(&self.config, &form);
                form.push("request", object.expose());
                self.open(&form, pending, None)
            }
            RequestDelivery::Reference(url) => {
                let mut form = request_object::parameters_beside(&self.config, &form);
                form.push("request_uri", url.as_str());
                self.open(&form, pending, Some(object))
            }
        }
    }

    fn open(
        &self,
        form: &Form,
        pending: PendingAuthorization,
        request_object: Option<Secret<String>>,
    ) -> Result<Step<Authorization>, Error> {
        let url = self.config.server.endpoint(EndpointKind::Authorization)?;
        Ok(Step::Done(Authorization {
            url: url.with_query(form),
            pending,
            expires_in: None,
            request_object,
        }))
    }

    /// Pushes the request. `form` has no `client_id`, which the client's authentication adds.
    fn push(
        &mut self,
        at: &Moment,
        form: Form,
        pending: PendingAuthorization,
    ) -> Result<Step<Authorization>, Error> {
        let call = Call::new(Arc::clone(&self.config), PushedAuthorization { form });
        self.pushing(at, Input::Begin, call, pending)
    }

    fn pushing(
        &mut self,
        at: &Moment,
        input: Input,
        mut call: Call<PushedAuthorization>,
        pending: PendingAuthorization,
    ) -> Result<Step<Authorization>, Error> {
        Ok(match call.resume(at, input)? {
            Step::Done(pushed) => Step::Done(self.pushed(&pushed, pending)?),
            step => {
                self.state = State::Pushing(Box::new((call, pending)));
                host_step(step)?
            }
        })
    }

    fn pushed(
        &self,
        pushed: &PushedResponse,
        pending: PendingAuthorization,
    ) -> Result<Authorization, Error> {
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
            request_object: None,
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

/// Without the hash, the host must generate the values.
#[cfg(not(feature = "sha2"))]
fn entropy<'a>(
    _: &'a Moment,
    values: Option<&'a HostGeneratedValues>,
) -> Result<FlowEntropy<'a>, Error> {
    Ok(FlowEntropy::Host(
        values.ok_or(Misuse::HostGeneratedValues)?,
    ))
}

fn at_endpoint(error: Error) -> Error {
    error.at_endpoint("authorization")
}

impl Exchange for Begin {
    type Output = Authorization;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Authorization>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh(request), Input::Begin) => {
                let (request, values) = *request;
                self.begin(at, request, values.as_ref())
                    .map_err(at_endpoint)
            }
            // In a browser build no request is signed.
            (State::Signing(_) | State::Sealing(_), _) if IS_BROWSER_BUILD => {
                Err(Misuse::Over.into())
            }
            (State::Signing(signing), Input::Signed(signature)) => {
                let object = signing.key.finish(&signing.input, &signature);
                object
                    .and_then(|object| self.signed(at, object, *signing))
                    .map_err(at_endpoint)
            }
            (State::Sealing(sealing), input) => {
                let (call, jws, signed) = *sealing;
                self.fetching(at, input, call, jws, signed)
            }
            (State::Signing(_), Input::Lost(cause)) => Err(at_endpoint(Error::lost(cause))),
            (State::Pushing(pushing), input) => {
                let (call, pending) = *pushing;
                self.pushing(at, input, call, pending)
            }
            (State::Over, _) => Err(Misuse::Over.into()),
            (State::Fresh(_) | State::Signing(_), _) => Err(Misuse::OutOfOrder.into()),
        }
    }
}
