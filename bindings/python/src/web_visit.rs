//! One request of a site, which halts where the application is asked whom to let in.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use oauth_core::error::{Error, Misuse};
use oauth_web::{Admission, Identity};
use oauth_web_tower::{Host, Outcome};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::twins::twins;
use crate::web_reply::Reply;
use crate::web_session::{self, Session};
use crate::work::{Answer, Work};
use crate::{errors, runtime};

type Driving = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>;

/// One request of a site.
///
/// It is resumed until it ends in a Reply, to be sent, or in a Session or None: then it is the application's turn. Where
/// somebody signs in it halts with their Identity, and wants to be told whom to let in.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Visit(Arc<Mutex<State>>);

enum State {
    Driving(Driving, Arc<Mutex<Option<Asked>>>),
    Halted(
        Driving,
        Arc<Mutex<Option<Asked>>>,
        oneshot::Sender<Admission>,
    ),
    Refused(Box<Reply>),
    Over,
}

/// Whom to let in, and where to say so.
struct Asked {
    identity: Identity,
    tell: oneshot::Sender<Admission>,
}

impl Visit {
    pub(crate) fn new(host: Host, visit: oauth_web::Visit) -> Self {
        let asked = Arc::new(Mutex::new(None));
        let asks = Arc::clone(&asked);
        let host = host.admit(move |identity| {
            let (tell, told) = oneshot::channel();
            *lock(&asks) = Some(Asked { identity, tell });
            async move { told.await.unwrap_or_default() }
        });
        let driving = Box::pin(async move { host.drive(visit).await });
        Self(Arc::new(Mutex::new(State::Driving(driving, asked))))
    }

    /// One whose form is larger than any that the site reads.
    pub(crate) fn too_large() -> Self {
        let reply = Box::new(Reply::plain(413));
        Self(Arc::new(Mutex::new(State::Refused(reply))))
    }

    fn resuming(&self, told: Option<Admission>) -> PyResult<Work> {
        if let Some(told) = told {
            lock(&self.0).tell(told);
        }
        let (state, first) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let handle = runtime::handle()?;
        let work = Work::new("visit", async move {
            std::future::poll_fn(|context| lock(&state).poll(context)).await
        });
        // Most requests are over at once: a session in a cookie takes microseconds to open.
        Ok(work.unless(move || {
            Python::attach(|py| {
                py.detach(|| {
                    let _inside = handle.enter();
                    let mut nobody = Context::from_waker(Waker::noop());
                    match lock(&first).poll(&mut nobody) {
                        Poll::Ready(outcome) => Some(outcome),
                        Poll::Pending => None,
                    }
                })
            })
        }))
    }
}

impl State {
    fn tell(&mut self, told: Admission) {
        *self = match std::mem::replace(self, Self::Over) {
            Self::Halted(driving, asked, tell) => {
                // It is waited for, as long as there is a visit.
                let _ = tell.send(told);
                Self::Driving(driving, asked)
            }
            other => other,
        };
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        let (state, polled) = match std::mem::replace(self, Self::Over) {
            Self::Driving(mut driving, asked) => match driving.as_mut().poll(context) {
                Poll::Ready(outcome) => (Self::Over, Poll::Ready(outcome.map(ended))),
                Poll::Pending => {
                    let halted = lock(&asked).take();
                    match halted {
                        Some(Asked { identity, tell }) => {
                            let identity = web_session::Identity(identity);
                            let answer = Ok(Answer::value(identity));
                            (Self::Halted(driving, asked, tell), Poll::Ready(answer))
                        }
                        None => (Self::Driving(driving, asked), Poll::Pending),
                    }
                }
            },
            Self::Refused(reply) => (Self::Over, Poll::Ready(Ok(Answer::value(*reply)))),
            Self::Halted(..) => (Self::Over, Poll::Ready(Err(Misuse::OutOfOrder.into()))),
            Self::Over => (Self::Over, Poll::Ready(Err(Misuse::Over.into()))),
        };
        *self = state;
        polled
    }
}

fn ended(outcome: Outcome) -> Answer {
    Answer::Value(Box::new(move |py| match outcome {
        Outcome::Respond(reply) => Reply::of(reply).into_py_any(py),
        Outcome::Pass(Some(session)) => Session(session).into_py_any(py),
        Outcome::Pass(None) => Ok(py.None()),
        // Only of a site that passes calls on to APIs, which none of this package does.
        Outcome::Forward(_) => Err(errors::raise(py, &Misuse::NotSupported.into())),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn admission(
    py: Python<'_>,
    local: Option<&Bound<'_, PyAny>>,
    refused: Option<String>,
) -> PyResult<Option<Admission>> {
    if let Some(reason) = refused {
        return Ok(Some(Admission::Refused(reason)));
    }
    let Some(local) = local else { return Ok(None) };
    let text: String = py
        .import("json")?
        .call_method1("dumps", (local,))?
        .extract()?;
    let map: Option<Map<String, Value>> = oauth_core::json::from_text(&text);
    let map = map.ok_or_else(|| PyTypeError::new_err("what is added to a session is a dict"))?;
    Ok(Some(Admission::In(map)))
}

twins! {
    impl Visit {
        /// Goes on until it ends, or halts with an Identity.
        ///
        /// After that local is what the application adds to the session, as json.dumps takes it, or refused the reason
        /// why it does not let the person in, which the person sees. misuse.* for what a host does wrong.
        #[pyo3(signature = (local = None, *, refused = None))]
        fn resume / aresume(self, py, local: Option<&Bound<'_, PyAny>>, refused: Option<String>) {
            self.resuming(admission(py, local, refused)?)
        }
    }
}

#[pymethods]
impl Visit {
    /// Neither who asks nor for what.
    #[allow(clippy::unused_self, reason = "it is what Python asks for")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.Visit>"
    }
}
