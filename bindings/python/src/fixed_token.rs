//! `FixedToken`: a source of one token that is never renewed, such as a personal access token.

use std::path::PathBuf;
use std::sync::Arc;

use oauth_core::error::{Cause, Error};
use oauth_facade::{RateLimitChoice, TokenOwner, Transport};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::api::{Api, Source};
use crate::custom_source::raised;
use crate::network::{Network, RequestSettings, seconds};
use crate::pending_call::{CallResult, PendingCall};
use crate::rate_limits::Limits;
use crate::resource::Resource;
use crate::server::{Server, read_transport};
use crate::sync_async::twins;
use crate::text::text;
use crate::tokens::Tokens;
use crate::{errors, runtime, secret, value};

/// A token without a grant, which is never renewed: a token source, and an API for its origins.
///
/// From fixed_token(). A 401 about it is grant.revoked, with the advice "reauthorize".
#[pyclass(frozen, extends = Api, module = "oauth_core")]
pub(crate) struct FixedToken {
    pub(crate) token: oauth_session::FixedToken,
    resource: oauth_facade::Resource,
}

impl FixedToken {
    /// Reads the token on a separate thread, because a callback may wait for other Python threads.
    fn reading(&self, refused: Option<&Tokens>, timeout: Option<f64>) -> PyResult<PendingCall> {
        let limit = timeout.map(seconds).transpose()?;
        let token = self.token.clone();
        let refused = refused.map(|refused| Arc::clone(&refused.0));
        let work = PendingCall::new("token", async move {
            let read = tokio::task::spawn_blocking(move || token.read(refused.as_deref()));
            let stopped = |_| Error::lost(Cause::unknown("reading the token was stopped"));
            read.await.map_err(stopped)?.map(CallResult::Tokens)
        });
        Ok(work.within(limit))
    }
}

#[pymethods]
impl FixedToken {
    /// Does nothing: the token is read again each time anyway.
    const fn invalidate(&self, tokens: &Tokens) {
        let _ = tokens;
    }

    /// The URLs to which the token may be sent. For plug-ins.
    fn resource(&self) -> Resource {
        Resource(self.resource.clone())
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.FixedToken>"
    }
}

twins! {
    impl FixedToken {
        /// The current token.
        ///
        /// token_source.unreadable if there is none, grant.expired after its expiry; exceptions of a callback
        /// are passed on unchanged. timeout is the number of seconds that this caller waits, by default without
        /// limit: then lost.timeout.
        #[pyo3(signature = (*, timeout = None))]
        fn token / atoken(self, py, timeout: Option<f64>) {
            self.reading(None, timeout)
        }

        /// The current token; grant.revoked if it is still this one.
        ///
        /// timeout and the other errors are those of token().
        #[pyo3(signature = (tokens, *, timeout = None))]
        fn renew / arenew(self, py, tokens: &Tokens, timeout: Option<f64>) {
            self.reading(Some(tokens), timeout)
        }
    }
}

/// A single token without a grant: this text, or the token from env, file or callback.
///
/// env names an environment variable, file a path, and callback a function that returns the
/// text; each is read again whenever a token is requested. origins are the URLs to which the token
/// may be sent, or a server with a preset. expires_at, a Unix time in seconds or an aware
/// datetime, is the expiry of the token, if known. url.* for an invalid origin,
/// token_source.unreadable for an empty text, TypeError unless exactly one of the four is given.
#[pyfunction]
#[pyo3(signature = (token = None, *, env = None, file = None, callback = None, origins,
                    expires_at = None, transport = "https", network = None))]
#[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn fixed_token<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = text)] token: Option<String>,
    #[pyo3(from_py_with = text)] env: Option<String>,
    file: Option<PathBuf>,
    callback: Option<Py<PyAny>>,
    origins: &Bound<'py, PyAny>,
    expires_at: Option<Bound<'py, PyAny>>,
    transport: &str,
    network: Option<&Bound<'py, Network>>,
) -> PyResult<Bound<'py, FixedToken>> {
    let is_literal = token.is_some();
    let fixed = match (token, env, file, callback) {
        (Some(token), None, None, None) => oauth_session::FixedToken::new(secret(token)),
        (None, Some(name), None, None) => {
            // Changes to os.environ also change the environment of the process.
            oauth_session::FixedToken::from_env(name)
        }
        (None, None, Some(path), None) => oauth_session::FixedToken::from_file(path),
        (None, None, None, Some(callback)) => oauth_session::FixedToken::from_fn(move || {
            let mut outcome = None;
            runtime::call_python(|py| {
                let token = callback.call0(py).and_then(|token| token.extract(py));
                outcome = Some(token.map(secret).map_err(|error| raised(py, error)));
            });
            let closed = || Error::lost(Cause::unknown("the interpreter is shutting down"));
            outcome.unwrap_or_else(|| Err(closed()))
        }),
        _ => {
            let text = "exactly one of token, env, file and callback must be given";
            return Err(PyTypeError::new_err(text));
        }
    };
    // An invalid string is reported now, rather than when it is read.
    if is_literal {
        fixed
            .read(None)
            .map_err(|error| errors::raise(py, &error))?;
    }
    let fixed = match expires_at {
        Some(end) => fixed.expiring_at(value::to_time(&end)?),
        None => fixed,
    };
    let transport: Transport = read_transport(transport)?;
    let built = match origins.cast::<Server>() {
        Ok(server) => {
            let server = &server.get().0;
            let api = server.api(None, &[TokenOwner::Any], RateLimitChoice::Nothing);
            server
                .resource(None)
                .and_then(|resource| Ok((api?, resource)))
        }
        Err(_) => {
            let origins: Vec<String> = text(origins).map_err(|error| {
                if error.is_instance_of::<PyTypeError>(py) {
                    PyTypeError::new_err("origins must be a list of URLs, or a Server")
                } else {
                    error
                }
            })?;
            let api = oauth_facade::Api::new(&origins, transport);
            oauth_facade::Resource::new(&origins, transport)
                .and_then(|resource| Ok((api?, resource)))
        }
    };
    let (api, resource) = built.map_err(|error| errors::raise(py, &error))?;
    let limits = Limits::new("error", 0.0, None, None)?;
    let settings = RequestSettings::new(network.map(Bound::get), None)?;
    let source = Source::Fixed(fixed.clone(), Arc::clone(&settings));
    let base = Api::new(api, vec![(TokenOwner::Any, source)], settings, limits);
    let this = FixedToken {
        token: fixed,
        resource,
    };
    Bound::new(py, PyClassInitializer::from(base).add_subclass(this))
}
