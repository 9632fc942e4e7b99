//! Token sources written in Python, and how their exceptions reach the caller unchanged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_session::store::Answer;
use oauth_session::{HeldTokens, Token, TokenSource};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::api::Source;
use crate::tokens::Tokens;
use crate::{errors, runtime};

/// An object with token(), renew() and invalidate(), called on a thread that may block.
pub(crate) struct PythonTokenSource(pub(crate) Arc<Py<PyAny>>);

impl TokenSource for PythonTokenSource {
    fn token<'a>(&'a self, refused: Option<&'a oauth_core::Tokens>) -> Answer<'a, Token> {
        let object = Arc::clone(&self.0);
        let refused = refused.cloned().map(Arc::new);
        Box::pin(async move {
            let work = tokio::task::spawn_blocking(move || {
                let mut outcome = None;
                runtime::call_python(|py| {
                    let object = object.bind(py);
                    let result = match refused {
                        None => object.call_method0("token"),
                        Some(refused) => object.call_method1("renew", (Tokens::of(refused),)),
                    };
                    let result = result
                        .and_then(|result| Ok(result.extract::<PyRef<'_, Tokens>>()?.0.clone()));
                    outcome = Some(result.map_err(|error| raised(py, error)));
                });
                outcome
            });
            match work.await {
                Ok(Some(outcome)) => outcome.map(Token::from),
                _ => Err(Error::lost(Cause::unknown("the source was stopped"))),
            }
        })
    }

    /// Holds the grant that the object names.
    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        let object = Arc::clone(&self.0);
        Box::pin(async move {
            let work = tokio::task::spawn_blocking(move || {
                let mut outcome = None;
                runtime::call_python(|py| {
                    let grant = extract_grant(object.bind(py));
                    outcome = Some(grant.map_err(|error| raised(py, error)));
                });
                outcome
            });
            match work.await {
                Ok(Some(Ok(Some(grant)))) => grant.hold(limit).await,
                Ok(Some(Ok(None))) => Ok(None),
                Ok(Some(Err(error))) => Err(error),
                _ => Err(Error::lost(Cause::unsent("the source was stopped"))),
            }
        })
    }

    fn refuse(&self, refused: &oauth_core::Tokens) {
        let (object, refused) = (Arc::clone(&self.0), Arc::new(refused.clone()));
        tokio::task::block_in_place(|| {
            runtime::call_python(move |py| {
                if let Err(error) = object.call_method1(py, "invalidate", (Tokens::of(refused),)) {
                    error.write_unraisable(py, None);
                }
            });
        });
    }
}

/// The grant whose tokens a source of the application's own returns, if it names one.
fn extract_grant(source: &Bound<'_, PyAny>) -> PyResult<Option<Arc<dyn TokenSource>>> {
    let grant = source.getattr_opt("grant")?;
    let Some(grant) = grant.filter(|grant| !grant.is_none()) else {
        return Ok(None);
    };
    match grant.extract() {
        Ok(source @ (Source::Grant(_) | Source::Connection(_))) => {
            source.native(grant.py()).map(Some)
        }
        _ => {
            let message = "grant must be a GrantSource or a ResourceConnection";
            Err(PyTypeError::new_err(message))
        }
    }
}

/// An exception of the application's code, carried through the Rust code and raised again unchanged.
pub(crate) struct Raised(pub(crate) PyErr);

impl std::error::Error for Raised {}

/// Wraps the exception so that it is the source of a cause.
#[derive(Debug)]
struct RaisedCause(Raised);

impl fmt::Display for RaisedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RaisedCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the application's code raised")
    }
}

impl fmt::Debug for Raised {
    /// Not the exception's text, which may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raised")
    }
}

/// The cause of an unsent request: the application's code raised this exception.
pub(crate) fn raised_cause(error: PyErr) -> Cause {
    Cause::unsent(RaisedCause(Raised(error)))
}

pub(crate) fn raised(py: Python<'_>, error: PyErr) -> Error {
    match errors::from_exception(error.value(py)) {
        Some(oauth_error) => oauth_error,
        None => Error::from(Misuse::TokenUnreadable).caused_by(raised_cause(error)),
    }
}
