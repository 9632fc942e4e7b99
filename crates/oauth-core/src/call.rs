//! Any endpoint as an exchange: client authentication, signing, one request, one reply.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::client_auth::{Method as AuthMethod, SignedSecret};
use crate::endpoint::Endpoint;
use crate::error::{Error, Misuse};
use crate::exchange::{Exchange, Input, SigningJob, Step};
use crate::form::{self, Form};
use crate::identity::Identity;
use crate::moment::Moment;
use crate::quirk::Quirk;
use crate::secret::{self, Secret};

/// One endpoint, called once.
#[derive(Debug)]
pub struct Call<E> {
    us: Arc<Identity>,
    endpoint: E,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Signing(SigningJob),
    /// For the reply, which must not repeat the signed secret to us.
    Waiting(Option<Secret<String>>),
    Over,
}

impl<E: Endpoint> Call<E> {
    pub(crate) const fn new(us: Arc<Identity>, endpoint: E) -> Self {
        Self {
            us,
            endpoint,
            state: State::Fresh,
        }
    }

    fn begin(&mut self, at: &Moment) -> Result<Step<E::Output>, Error> {
        match &self.us.auth.0 {
            AuthMethod::Signed(secret) => {
                let job = secret.job(&self.us.client_id, at);
                self.state = State::Signing(job.clone());
                Ok(Step::Sign(job))
            }
            _ => self.send(None),
        }
    }

    fn send(&mut self, signed: Option<Secret<String>>) -> Result<Step<E::Output>, Error> {
        let mut draft = self.endpoint.draft(&self.us.server)?;
        draft.url.require(self.us.server.transport())?;
        if draft.confidential_only && !self.us.auth.is_confidential() {
            return Err(Misuse::SecretMissing.into());
        }
        let mut headers = HeaderMap::with_capacity(6);
        headers.extend(self.us.headers.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(purpose) = draft.purpose {
            let signed = signed.as_ref().map(|jwt| jwt.expose().as_str());
            self.us
                .authenticate(purpose, &mut draft.form, &mut headers, signed);
        }
        draft.form.check()?;
        let body = if draft.method == Method::GET {
            Bytes::new()
        } else if self.us.server.rules().has(&Quirk::JsonRequest) && E::NAME == "token" {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json_body(&draft.form)?
        } else {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            draft.form.into_body()
        };
        let mut request = Request::new(body);
        *request.method_mut() = draft.method;
        *request.uri_mut() = draft.url.uri()?;
        *request.headers_mut() = headers;
        self.state = State::Waiting(signed);
        Ok(Step::Send(request))
    }

    fn step(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.begin(at),
            (State::Signing(job), Input::Signed(signature)) => {
                let jwt = SignedSecret::finish(&job, &signature)?;
                self.send(Some(jwt))
            }
            (State::Waiting(signed), Input::Reply(reply)) => {
                let read = self.endpoint.read(&self.us.server, at, &reply);
                read.map(Step::Done)
                    .map_err(|error| error.without(&self.secrets(signed)))
            }
            (State::Signing(_) | State::Waiting(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }

    /// Everything secret in the request, in each form in which a server may repeat it: as it is,
    /// form-encoded, and as Basic credentials.
    fn secrets(&self, signed: Option<Secret<String>>) -> Vec<Secret<String>> {
        let Ok(mut draft) = self.endpoint.draft(&self.us.server) else {
            return Vec::new();
        };
        let mut headers = HeaderMap::new();
        if let Some(purpose) = draft.purpose {
            let signed = signed.as_ref().map(|jwt| jwt.expose().as_str());
            self.us
                .authenticate(purpose, &mut draft.form, &mut headers, signed);
        }
        let basic = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let basic = basic.and_then(|value| value.strip_prefix("Basic "));
        let sent = form::parse(draft.form.as_str()).unwrap_or_default();
        let values = sent
            .iter()
            .filter(|(name, _)| !is_public(name))
            .map(|(_, value)| value.as_ref());
        let mut secrets = Vec::new();
        for secret in values
            .chain(self.us.auth.secret())
            .chain(basic)
            .filter(|text| text.len() >= 4)
        {
            let mut encoded = String::new();
            form::encode(secret, &mut encoded);
            secrets.extend([Secret::from(secret), Secret::new(encoded)]);
        }
        secrets
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

    fn resume(&mut self, at: Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.step(&at, input).map_err(|error| self.finish(error))
    }
}

/// The form parameters that are worth nothing to a thief.
fn is_public(name: &str) -> bool {
    let known = [
        "scope",
        "redirect_uri",
        "client_id",
        "token_type_hint",
        "username",
        "resource",
        "audience",
    ];
    known.contains(&name) || name.ends_with("_type")
}

/// A form as a JSON object, which has no place for a name that stands twice.
fn json_body(form: &Form) -> Result<Bytes, Error> {
    let mut object = serde_json::Map::new();
    // What the form writer wrote is UTF-8.
    for (name, value) in form::parse(form.as_str()).unwrap_or_default() {
        if object
            .insert(name.clone().into_owned(), value.into_owned().into())
            .is_some()
        {
            return Err(Error::from(Misuse::ParameterTwice).about(&name));
        }
    }
    let text = serde_json::Value::Object(object).to_string();
    Ok(secret::wiped(text))
}
