//! Any endpoint as an exchange: client authentication, signing, one request, one reply.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
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
    Waiting,
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

    fn send(&mut self, signed: Option<&Secret<String>>) -> Result<Step<E::Output>, Error> {
        let mut draft = self.endpoint.draft(&self.us.server)?;
        draft.url.require(self.us.server.transport())?;
        if draft.confidential_only && !self.us.auth.is_confidential() {
            return Err(Misuse::SecretMissing.into());
        }
        let mut headers = HeaderMap::with_capacity(6);
        headers.extend(self.us.headers.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(purpose) = draft.purpose {
            let signed = signed.map(|jwt| jwt.expose().as_str());
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
        self.state = State::Waiting;
        Ok(Step::Send(request))
    }

    fn step(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.begin(at),
            (State::Signing(job), Input::Signed(signature)) => {
                let jwt = SignedSecret::finish(&job, &signature)?;
                self.send(Some(&jwt))
            }
            (State::Waiting, Input::Reply(reply)) => self
                .endpoint
                .read(&self.us.server, at, &reply)
                .map(Step::Done),
            (State::Signing(_) | State::Waiting, Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }

    /// Some servers repeat in their error text what they were sent.
    fn without_secrets(&self, error: Error) -> Error {
        let form = self
            .endpoint
            .draft(&self.us.server)
            .map(|draft| draft.form)
            .unwrap_or_default();
        let sent = form::parse(form.as_str()).unwrap_or_default();
        let secrets = sent
            .iter()
            .filter(|(name, _)| is_secret(name))
            .map(|(_, value)| value.as_ref());
        error.without(
            secrets
                .chain(self.us.auth.secret())
                .filter(|secret| secret.len() >= 4),
        )
    }
}

impl<E: Endpoint> Exchange for Call<E> {
    type Output = E::Output;

    fn resume(&mut self, at: Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.step(&at, input)
            .map_err(|error| self.without_secrets(error.at_endpoint(E::NAME)))
    }
}

/// The form parameters that are worth something to a thief.
pub(crate) fn is_secret(name: &str) -> bool {
    [
        "client_secret",
        "code",
        "code_verifier",
        "refresh_token",
        "token",
        "password",
        "assertion",
        "client_assertion",
        "subject_token",
        "actor_token",
        "device_code",
    ]
    .contains(&name)
}

fn json_body(form: &Form) -> Result<Bytes, Error> {
    let pairs = form::parse(form.as_str()).map_err(|_| Error::from(Misuse::HeaderValue))?;
    let object: serde_json::Map<_, _> = pairs
        .into_iter()
        .map(|(name, value)| {
            (
                name.into_owned(),
                serde_json::Value::from(value.into_owned()),
            )
        })
        .collect();
    let text = serde_json::Value::Object(object).to_string();
    Ok(secret::wiped(text))
}
