//! Any endpoint as an exchange: client authentication, signing, one request, one reply.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::client_auth::{Method as AuthMethod, SignedSecret};
use crate::endpoint::{Draft, Endpoint};
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
                // A signature may cost a call to a key service: none for a request that cannot be
                // made, and none for one that names no client.
                let draft = self.endpoint.draft(&self.us.server)?;
                if draft.purpose.is_none() {
                    return self.send(None);
                }
                draft.url.require(self.us.server.transport())?;
                draft.url.uri()?;
                draft.form.check()?;
                let job = secret.job(&self.us.client_id, at);
                self.state = State::Signing(job.clone());
                Ok(Step::Sign(job))
            }
            _ => self.send(None),
        }
    }

    fn send(&mut self, signed: Option<Secret<String>>) -> Result<Step<E::Output>, Error> {
        let draft = self.endpoint.draft(&self.us.server)?;
        let request = request(&self.us, E::NAME, draft, signed.as_ref())?;
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
                    .map_err(|error| match self.endpoint.draft(&self.us.server) {
                        Ok(draft) => error.without(&secrets(&self.us, draft, signed.as_ref())),
                        Err(_) => error.without(&[]),
                    })
            }
            (State::Signing(_) | State::Waiting(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
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

/// The draft of `endpoint` with the client's authentication. Not generic, so that it is compiled
/// once and not for every endpoint.
fn request(
    us: &Identity,
    endpoint: &str,
    mut draft: Draft,
    signed: Option<&Secret<String>>,
) -> Result<Request<Bytes>, Error> {
    draft.url.require(us.server.transport())?;
    if draft.confidential_only && !us.auth.is_confidential() {
        return Err(Misuse::SecretMissing.into());
    }
    let mut headers = HeaderMap::with_capacity(6);
    headers.extend(us.headers.clone());
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    authenticate(us, &mut draft, &mut headers, signed);
    draft.form.check()?;
    let body = if draft.method == Method::GET {
        Bytes::new()
    } else if us.server.rules().has(&Quirk::JsonRequest) && endpoint == "token" {
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
    Ok(request)
}

fn authenticate(
    us: &Identity,
    draft: &mut Draft,
    headers: &mut HeaderMap,
    signed: Option<&Secret<String>>,
) {
    if let Some(purpose) = draft.purpose {
        let signed = signed.map(|jwt| jwt.expose().as_str());
        us.authenticate(purpose, &mut draft.form, headers, signed);
    }
}

/// Everything secret in the request, in each form in which a server may repeat it: as it is,
/// form-encoded, escaped for a page, and as Basic credentials.
fn secrets(
    us: &Identity,
    mut draft: Draft,
    signed: Option<&Secret<String>>,
) -> Vec<Secret<String>> {
    let mut headers = HeaderMap::new();
    authenticate(us, &mut draft, &mut headers, signed);
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
        .chain(us.auth.secret())
        .chain(basic)
        .filter(|text| text.len() >= 4)
    {
        let mut encoded = String::new();
        form::encode(secret, &mut encoded);
        secrets.extend([Secret::from(secret), Secret::new(encoded)]);
        if secret.contains(['&', '<', '>', '"', '\'']) {
            // As a page would show it.
            let escaped = secret
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;");
            secrets.push(Secret::new(escaped));
        }
    }
    secrets
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
