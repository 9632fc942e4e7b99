//! A request that another HTTP client sends: the decisions.

use std::sync::{Mutex, PoisonError};

use oauth_facade::{Attachment, Call, CallStep, Clock, Once, Redirects};
use pyo3::prelude::*;

use crate::api::Api;
use crate::errors;
use crate::tokens::Tokens;
use crate::value::Fields;

/// One request to an API, in steps: each method says what has happened, and gives what to do next.
///
/// ("wait", seconds), then elapsed(); ("token", owner) or ("renew", owner), then token(tokens);
/// ("send", header), then reply(status, headers); ("done", "") and ("done_refused", "") are the end.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ApiCall {
    call: Mutex<oauth_facade::ApiCall>,
    api: oauth_facade::Api,
}

type Step<'py> = (&'static str, Bound<'py, PyAny>);

impl ApiCall {
    pub(crate) fn new(
        py: Python<'_>,
        api: &Api,
        method: &str,
        url: &str,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
    ) -> PyResult<Self> {
        let headers = Fields::wanted(headers, oauth_facade::Resource::reads)?;
        let call = Call {
            method,
            request: Attachment {
                url,
                headers: &headers.0,
                body,
            },
            once: if body.is_some() { Once::No } else { Once::Yes },
            on_limit: api.on_limit,
            redirects: Redirects::Host,
        };
        let call = oauth_facade::ApiCall::new(&api.api, &call);
        Ok(Self {
            call: Mutex::new(call.map_err(|error| errors::raise(py, &error))?),
            api: api.api.clone(),
        })
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        resume: impl FnOnce(&mut oauth_facade::ApiCall, Clock) -> Result<CallStep, oauth_core::Error>,
    ) -> PyResult<Step<'py>> {
        let fail = |error: oauth_core::Error| errors::raise(py, &error);
        let at = Clock::system().map_err(fail)?;
        let step = {
            let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
            resume(&mut call, at).map_err(fail)?
        };
        let text = |text: &str| Ok::<_, PyErr>(text.into_pyobject(py)?.into_any());
        Ok(match step {
            CallStep::Wait(pause) => ("wait", pause.as_secs_f64().into_pyobject(py)?.into_any()),
            CallStep::Token(owner) => ("token", text(owner)?),
            CallStep::Renew(owner) => ("renew", text(owner)?),
            CallStep::Send { authorization, .. } => ("send", text(&authorization)?),
            CallStep::Done => ("done", text("")?),
            CallStep::DoneRefused => ("done_refused", text("")?),
        })
    }
}

#[pymethods]
impl ApiCall {
    /// Begins.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        self.step(py, oauth_facade::ApiCall::begin)
    }

    /// The pause is over.
    fn elapsed<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        self.step(py, oauth_facade::ApiCall::elapsed)
    }

    /// The tokens that were asked for.
    fn token<'py>(&self, py: Python<'py>, tokens: &Tokens) -> PyResult<Step<'py>> {
        self.step(py, |call, at| call.token(at, &tokens.0))
    }

    /// The head of the reply.
    fn reply<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: &Bound<'py, PyAny>,
    ) -> PyResult<Step<'py>> {
        let fields = Fields::wanted(headers, |name| self.api.reads(name))?;
        self.step(py, |call, at| call.reply(at, status, &fields.0))
    }
}
