//! `Call`: the steps of one request to an API, for plug-ins of HTTP clients.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::error::Error;
use oauth_facade::{ApiCall, Attachment, BodyRepeat, CallStep, Clock, OnRateLimit, Redirects};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;

use crate::api::{Api, Source};
use crate::errors;
use crate::exchange::Sign;
use crate::tokens::Tokens;
use crate::value::Fields;

/// The steps of one request, as pairs of a name and a value. For plug-ins.
///
/// ("wait", seconds), ("token", source), ("renew", source), ("send", the value of the Authorization
/// header, or None for no such header), ("peek", the number of bytes of the body to read), ("step_up", source),
/// ("sign", Sign), ("done", None) or ("refused", source). A source whose token is available causes no "token" step.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Call {
    api: Py<Api>,
    state: Mutex<State>,
}

struct State {
    call: ApiCall,
    owner: &'static str,
    tokens: Option<Arc<oauth_core::Tokens>>,
    proof: Option<String>,
}

/// A step, as documented for [`Call`].
type Step = (&'static str, Py<PyAny>);

impl Call {
    pub(crate) fn new(
        api: &Bound<'_, Api>,
        method: &str,
        url: &str,
        headers: &Fields,
        (body, streams_once): (Option<&[u8]>, bool),
        on_rate_limit: OnRateLimit,
    ) -> PyResult<Self> {
        let call = oauth_facade::Call {
            method,
            request: Attachment {
                url,
                headers: &headers.0,
                body,
            },
            body_repeat: if streams_once {
                BodyRepeat::Impossible
            } else {
                BodyRepeat::Possible
            },
            on_rate_limit,
            redirects: Redirects::Host,
        };
        let call = ApiCall::new(&api.get().api, &call);
        Ok(Self {
            api: api.clone().unbind(),
            state: Mutex::new(State {
                call: call.map_err(|error| errors::raise(api.py(), &error))?,
                owner: "any",
                tokens: None,
                proof: None,
            }),
        })
    }

    /// Takes one step. No Python code runs while the lock is held.
    fn step(
        &self,
        py: Python<'_>,
        event: impl FnOnce(&mut State, &Clock) -> Result<CallStep, Error>,
    ) -> PyResult<Step> {
        let at = Clock::system().map_err(|error| errors::raise(py, &error))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut step = event(&mut state, &at);
        if let Ok(CallStep::Token(owner) | CallStep::Renew(owner)) = &step {
            state.owner = owner;
        }
        if let Ok(CallStep::Token(owner)) = &step
            && let Some(Source::Grant(grant)) = self.api.get().source(owner)
            && let Ok(Some(token)) = grant.get().native(py)?.ready()
        {
            let token = state.tokens.insert(token.into_arc()).clone();
            step = state.call.token(&at, &token);
        }
        if let Ok(CallStep::Send { dpop, .. }) = &mut step {
            state.proof = dpop.take();
        }
        let owner = state.owner;
        drop(state);
        Ok(match step.map_err(|error| errors::raise(py, &error))? {
            CallStep::Wait(pause) => ("wait", pause.as_secs_f64().into_py_any(py)?),
            CallStep::Token(_) => ("token", self.source(py, owner)?),
            CallStep::Renew(_) => ("renew", self.source(py, owner)?),
            CallStep::Send { authorization, .. } => ("send", authorization.into_py_any(py)?),
            CallStep::Peek(limit) => ("peek", limit.into_py_any(py)?),
            CallStep::Done => ("done", py.None()),
            CallStep::StepUp(_) => ("step_up", self.source(py, owner)?),
            CallStep::DoneRefused => ("refused", self.source(py, owner)?),
            CallStep::Sign(job) => ("sign", Sign(job).into_py_any(py)?),
        })
    }

    fn source(&self, py: Python<'_>, owner: &str) -> PyResult<Py<PyAny>> {
        Ok(match self.api.get().source(owner) {
            Some(Source::Grant(grant)) => grant.clone_ref(py).into_any(),
            Some(Source::Connection(connection)) => connection.clone_ref(py).into_any(),
            Some(Source::Python(object)) => object.clone_ref(py),
            Some(Source::Fixed(fixed, _)) => FixedSource(fixed.clone()).into_py_any(py)?,
            None => py.None(),
        })
    }
}

#[pymethods]
impl Call {
    /// The first step. resource.* and url.* if the request must not be sent.
    fn begin(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, |state, at| state.call.begin(at))
    }

    /// The step after a pause.
    fn elapsed(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, |state, at| state.call.elapsed(at))
    }

    /// The step after a source returned these tokens.
    fn token(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<Step> {
        self.step(py, |state, at| {
            state.tokens = Some(Arc::clone(&tokens.0));
            state.call.token(at, &tokens.0)
        })
    }

    /// The step after a source had no token, because its API requires no authorization (connect.not_protected).
    fn unprotected(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, |state, at| state.call.unprotected(at))
    }

    /// The step after ("sign", Sign), with the signature.
    fn signed(&self, py: Python<'_>, signature: &[u8]) -> PyResult<Step> {
        self.step(py, |state, at| state.call.signed(at, signature.to_vec()))
    }

    /// The step after a response, with its status and headers (pairs of names and values).
    ///
    /// resource.rate_limited if the API asks for a pause and on_rate_limit is "error".
    fn reply(&self, py: Python<'_>, status: u16, headers: &Bound<'_, PyAny>) -> PyResult<Step> {
        let fields = Fields::select(headers, |name| self.api.get().api.reads(name))?;
        self.step(py, |state, at| state.call.reply(at, status, &fields.0))
    }

    /// The step-up that the response requires after ("step_up", source), for the source's step_up().
    #[getter]
    fn required_step_up(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.call.step_up_json()
    }

    /// The step after the step-up.
    fn step_up_done(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, |state, at| state.call.resume_after_step_up(at))
    }

    /// The step after the beginning of the body was read; b"" if it cannot be read.
    fn body(&self, py: Python<'_>, body: &[u8]) -> PyResult<Step> {
        self.step(py, |state, at| state.call.body(at, body))
    }

    /// The owner of the token; "any" before one was requested, and if one source serves all.
    #[getter]
    fn owner(&self) -> &'static str {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .owner
    }

    /// The value of the DPoP header for the request to send; None for a bearer token.
    #[getter]
    fn proof(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proof.clone()
    }

    /// The token that was sent last; None before that.
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tokens.clone().map(Tokens::of)
    }
}

/// A fixed token as a token source for plug-ins.
#[pyclass(frozen)]
struct FixedSource(oauth_session::FixedToken);

impl FixedSource {
    fn read(&self, py: Python<'_>, refused: Option<&Tokens>) -> PyResult<Tokens> {
        let read = py.detach(|| self.0.read(refused.map(|refused| &*refused.0)));
        read.map(Tokens::of)
            .map_err(|error| errors::raise(py, &error))
    }
}

#[pymethods]
impl FixedSource {
    fn token(&self, py: Python<'_>) -> PyResult<Tokens> {
        self.read(py, None)
    }

    fn renew(&self, py: Python<'_>, tokens: &Tokens) -> PyResult<Tokens> {
        self.read(py, Some(tokens))
    }

    const fn invalidate(&self, tokens: &Tokens) {
        let _ = tokens;
    }
}
