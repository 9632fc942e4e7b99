//! Whom a client has asked, and who has not answered yet.
//!
//! Whoever is asked again and again agrees in the end, to be left alone: one request at a time for a person and a
//! purpose (RFC 10027 section 6.1.15).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::begin_unasked;
use crate::base64::hashed;
use crate::client_config::ClientConfig;
use crate::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelRequest, Repeat,
};
use crate::error::{Error, Misuse};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;

/// The most that are remembered; the one that ends first is forgotten for the one too many.
const CAPACITY: usize = 10_000;

/// How long a request may take to be made.
const LONGEST: Duration = Duration::from_secs(120);

/// Who waits, by the hash of person and purpose. Nothing of either is kept.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<BTreeMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// The hash of the server's name for the request, once it has one.
    request: Option<String>,
    until: UnixTime,
}

impl Asked {
    fn begin(&self, whom: &str, repeat: Repeat, now: UnixTime) -> Result<(), Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| now < waiting.until);
        if repeat == Repeat::Refused && all.contains_key(whom) {
            return Err(Misuse::CibaPending.into());
        }
        if all.len() >= CAPACITY {
            let first = all.iter().min_by_key(|(_, waiting)| waiting.until);
            let first = first.map(|(whom, _)| whom.clone());
            first.map(|whom| all.remove(&whom));
        }
        let until = now.after(LONGEST);
        let request = None;
        all.insert(whom.to_owned(), Waiting { request, until });
        Ok(())
    }

    fn begun(&self, whom: &str, request: &BackchannelRequest) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = all.get_mut(whom) {
            waiting.request = Some(name(&request.auth_req_id));
            waiting.until = request.expires_at;
        }
    }

    fn failed(&self, whom: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(whom);
    }

    /// The person has answered, or the request is over.
    pub(crate) fn answered(&self, auth_req_id: &Secret<String>) {
        let request = Some(name(auth_req_id));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| waiting.request != request);
    }
}

fn name(auth_req_id: &Secret<String>) -> String {
    hashed([auth_req_id.expose().as_str()])
}

/// Asks the server to ask, unless the person is being asked just that.
pub(crate) fn begin(config: Arc<ClientConfig>, ask: BackchannelAuthentication) -> Begin {
    Begin {
        whom: ask.whom(config.server.rules()),
        repeat: ask.repeat,
        inner: begin_unasked(Arc::clone(&config), ask).boxed(),
        config,
        is_begun: false,
    }
}

pub(crate) struct Begin {
    whom: Result<String, Error>,
    repeat: Repeat,
    inner: Boxed<BackchannelRequest>,
    config: Arc<ClientConfig>,
    /// Whether others wait for what comes of it.
    is_begun: bool,
}

impl Exchange for Begin {
    type Output = BackchannelRequest;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<BackchannelRequest>, Error> {
        let whom = self.whom.clone()?;
        let asked = &self.config.shared.asked;
        if matches!(input, Input::Begin) && !self.is_begun {
            asked.begin(&whom, self.repeat, at.now())?;
            self.is_begun = true;
        }
        let step = self.inner.resume(at, input)?;
        if let Step::Done(request) = &step {
            asked.begun(&whom, request);
            self.is_begun = false;
        }
        Ok(step)
    }
}

/// One that failed, or was given up, has asked nobody that anybody waits for.
impl Drop for Begin {
    fn drop(&mut self) {
        if let (true, Ok(whom)) = (self.is_begun, &self.whom) {
            self.config.shared.asked.failed(whom);
        }
    }
}
