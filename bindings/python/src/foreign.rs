//! Sources as an API takes them: one of ours, or any Python object with the three methods.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::Tokens;
use oauth_core::error::{Cause, Error};
use oauth_session::store::Answer;
use oauth_session::{Token, TokenSource};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::source::GrantSource;
use crate::{errors, runtime, tokens};

/// What a source of Python's raised, to be raised again where the caller waits.
pub(crate) type Raised = Arc<Mutex<Option<PyErr>>>;

/// A source written in Python. Its methods are called on a thread that may block.
struct Foreign {
    object: Arc<Py<PyAny>>,
    raised: Raised,
}

/// Refuses what has not the methods of a source.
pub(crate) fn check(object: &Bound<'_, PyAny>) -> PyResult<()> {
    for verb in ["token", "renew", "invalidate"] {
        let method = object.getattr_opt(verb)?;
        if !method.is_some_and(|method| method.is_callable()) {
            let text = format!("a source has a method {verb}; this has none");
            return Err(PyTypeError::new_err(text));
        }
    }
    Ok(())
}

/// The source, for use in this process.
pub(crate) fn here(object: &Bound<'_, PyAny>, raised: &Raised) -> PyResult<Arc<dyn TokenSource>> {
    if let Ok(source) = object.cast::<GrantSource>() {
        return Ok(Arc::new(source.get().session(object.py())?));
    }
    Ok(Arc::new(Foreign {
        object: Arc::new(object.clone().unbind()),
        raised: Arc::clone(raised),
    }))
}

impl Foreign {
    fn ask(&self, refused: Option<Tokens>) -> Answer<'_, Token> {
        let (object, raised) = (Arc::clone(&self.object), Arc::clone(&self.raised));
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || {
                let mut answer = None;
                runtime::call_python(|py| {
                    answer = Some(ask(py, &object, refused).map_err(|error| {
                        let known = errors::known(error.value(py));
                        let lost = || Error::lost(Cause::unsent("the source raised an exception"));
                        *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        known.unwrap_or_else(lost)
                    }));
                });
                answer
            });
            let stopped = |why: &'static str| Error::lost(Cause::unsent(why));
            match asked.await {
                Ok(Some(answer)) => answer.map(Token::from),
                Ok(None) => Err(stopped("the interpreter is shutting down")),
                Err(_) => Err(stopped("the source's thread was stopped")),
            }
        })
    }
}

fn ask(py: Python<'_>, object: &Py<PyAny>, refused: Option<Tokens>) -> PyResult<Arc<Tokens>> {
    let given = match refused {
        None => object.call_method0(py, "token")?,
        Some(refused) => {
            let refused = Bound::new(py, tokens::Tokens(Arc::new(refused)))?;
            object.call_method1(py, "renew", (refused,))?
        }
    };
    let given = given.bind(py).cast::<tokens::Tokens>()?;
    Ok(Arc::clone(&given.get().0))
}

impl TokenSource for Foreign {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        self.ask(refused.cloned())
    }

    fn refuse(&self, refused: &Tokens) {
        let (object, refused) = (Arc::clone(&self.object), refused.clone());
        let call = move || {
            runtime::call_python(|py| {
                let told = Bound::new(py, tokens::Tokens(Arc::new(refused)))
                    .and_then(|refused| object.call_method1(py, "invalidate", (refused,)));
                if let Err(error) = told {
                    error.write_unraisable(py, None);
                }
            });
        };
        tokio::task::block_in_place(call);
    }
}
