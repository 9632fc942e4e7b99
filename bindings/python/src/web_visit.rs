//! `Visit`: handles one request of a web site, and pauses while the application decides whether to admit the user.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use oauth_core::error::{Error, Misuse};
use oauth_web::{Admission, Identity, ProviderQuery, Request};
use oauth_web_tower::{Host, Outcome};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::pending_call::{CallResult, PendingCall};
use crate::runtime;
use crate::sync_async::twins;
use crate::text::text;
use crate::web_forward::Forward;
use crate::web_provider::Provider;
use crate::web_reply::Reply;
use crate::web_session::{self, Session};

type VisitFuture = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>;

/// One request of a site.
///
/// Resume it until it ends with a Reply to send, a Forward to send on, or a Session or None: then the request continues
/// to the application. When a user signs in it halts with their Identity: resume it with whether to admit them.
/// When it halts with a ProviderQuery, resume it with a Provider.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Visit(Arc<Mutex<State>>);

type PendingQuestion = Arc<Mutex<Option<Question>>>;

struct Drive {
    future: VisitFuture,
    pending_question: PendingQuestion,
    request: Request,
    host: Host,
}

enum State {
    VisitFuture(Box<Drive>),
    Halted(Box<Drive>, OutcomeSender),
    Refused(Box<Reply>),
    Over,
}

/// A question to the application, and the channel for its answer.
enum Question {
    Admission(Identity, oneshot::Sender<Admission>),
    Provider(ProviderQuery, oneshot::Sender<Option<oauth_web::Provider>>),
}

enum OutcomeSender {
    Admission(oneshot::Sender<Admission>),
    Provider(oneshot::Sender<Option<oauth_web::Provider>>),
}

/// The application's answer.
struct HostOutcome {
    admission: Admission,
    provider: Option<oauth_web::Provider>,
}

impl Visit {
    pub(crate) fn new(host: Host, visit: oauth_web::Visit, request: Request) -> Self {
        let pending_question: PendingQuestion = Arc::default();
        let (for_admit, for_providers) =
            (Arc::clone(&pending_question), Arc::clone(&pending_question));
        let host = host
            .admit(move |identity| {
                let (sender, receiver) = oneshot::channel();
                *lock(&for_admit) = Some(Question::Admission(identity, sender));
                async move { receiver.await.unwrap_or_default() }
            })
            .providers(move |query| {
                let (sender, receiver) = oneshot::channel();
                *lock(&for_providers) = Some(Question::Provider(query, sender));
                async move { Ok(receiver.await.unwrap_or_default()) }
            });
        let driver = host.clone();
        let drive = Drive {
            future: Box::pin(async move { driver.drive(visit).await }),
            pending_question,
            request,
            host,
        };
        Self(Arc::new(Mutex::new(State::VisitFuture(Box::new(drive)))))
    }

    /// The visit of a request whose form exceeds the limit.
    pub(crate) fn too_large() -> Self {
        let reply = Box::new(Reply::plain(413));
        Self(Arc::new(Mutex::new(State::Refused(reply))))
    }

    fn resuming(&self, host_outcome: Option<HostOutcome>) -> PyResult<PendingCall> {
        if let Some(host_outcome) = host_outcome {
            lock(&self.0).finish(host_outcome);
        }
        let (state, first) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let handle = runtime::handle()?;
        let work = PendingCall::new("visit", async move {
            std::future::poll_fn(|context| lock(&state).poll(context)).await
        });
        // Most requests finish immediately: opening a session in a cookie takes microseconds.
        Ok(work.unless(move || {
            Python::attach(|py| {
                py.detach(|| {
                    let _inside = handle.enter();
                    let mut waiting = Context::from_waker(Waker::noop());
                    match lock(&first).poll(&mut waiting) {
                        Poll::Ready(outcome) => Some(outcome),
                        Poll::Pending => None,
                    }
                })
            })
        }))
    }
}

impl State {
    fn finish(&mut self, outcome: HostOutcome) {
        *self = match std::mem::replace(self, Self::Over) {
            Self::Halted(drive, sender) => {
                // Fails only if the visit has been dropped.
                match sender {
                    OutcomeSender::Admission(sender) => drop(sender.send(outcome.admission)),
                    OutcomeSender::Provider(sender) => drop(sender.send(outcome.provider)),
                }
                Self::VisitFuture(drive)
            }
            other => other,
        };
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<CallResult, Error>> {
        let (state, polled) = match std::mem::replace(self, Self::Over) {
            Self::VisitFuture(mut drive) => match drive.future.as_mut().poll(context) {
                Poll::Ready(outcome) => {
                    let Drive { request, host, .. } = *drive;
                    let ended = outcome.map(|outcome| outcome_to_py(outcome, host, request));
                    (Self::Over, Poll::Ready(ended))
                }
                Poll::Pending => {
                    let pending_question = lock(&drive.pending_question).take();
                    match pending_question {
                        Some(Question::Admission(identity, sender)) => {
                            let result = Ok(CallResult::value(web_session::Identity(identity)));
                            let sender = OutcomeSender::Admission(sender);
                            (Self::Halted(drive, sender), Poll::Ready(result))
                        }
                        Some(Question::Provider(query, sender)) => {
                            let result = Ok(CallResult::value(web_session::ProviderQuery(query)));
                            let sender = OutcomeSender::Provider(sender);
                            (Self::Halted(drive, sender), Poll::Ready(result))
                        }
                        None => (Self::VisitFuture(drive), Poll::Pending),
                    }
                }
            },
            Self::Refused(reply) => (Self::Over, Poll::Ready(Ok(CallResult::value(*reply)))),
            Self::Halted(..) => (Self::Over, Poll::Ready(Err(Misuse::OutOfOrder.into()))),
            Self::Over => (Self::Over, Poll::Ready(Err(Misuse::Over.into()))),
        };
        *self = state;
        polled
    }
}

fn outcome_to_py(outcome: Outcome, host: Host, request: Request) -> CallResult {
    CallResult::Value(Box::new(move |py| match outcome {
        Outcome::Respond(reply) => Reply::of(reply).into_py_any(py),
        Outcome::Pass(Some(session)) => Session(session).into_py_any(py),
        Outcome::Pass(None) => Ok(py.None()),
        Outcome::Forward(forward) => Forward::new(host, request, *forward).into_py_any(py),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn host_outcome(
    py: Python<'_>,
    local: Option<&Bound<'_, PyAny>>,
    refused: Option<String>,
    provider: Option<&Bound<'_, Provider>>,
) -> PyResult<Option<HostOutcome>> {
    let nothing = HostOutcome {
        admission: Admission::default(),
        provider: None,
    };
    if let Some(provider) = provider {
        let provider = Some(provider.get().provider.clone());
        return Ok(Some(HostOutcome {
            provider,
            ..nothing
        }));
    }
    if let Some(reason) = refused {
        let admission = Admission::Refused(reason);
        return Ok(Some(HostOutcome {
            admission,
            ..nothing
        }));
    }
    let Some(local) = local else { return Ok(None) };
    let text: String = py
        .import("json")?
        .call_method1("dumps", (local,))?
        .extract()?;
    let map: Option<Map<String, Value>> = oauth_core::json::from_text(&text);
    let map =
        map.ok_or_else(|| PyTypeError::new_err("the data to add to a session must be a dict"))?;
    let admission = Admission::Admitted(map);
    Ok(Some(HostOutcome {
        admission,
        ..nothing
    }))
}

twins! {
    impl Visit {
        /// Continues until the visit ends, or halts with an Identity or a ProviderQuery.
        ///
        /// After an Identity, local is the data that the application adds to the session, as json.dumps takes
        /// it, or refused the reason for refusing the user, which they see.
        /// After a ProviderQuery, provider is the requested one; local={} means that there is none.
        /// misuse.* for errors of the host.
        #[pyo3(signature = (local = None, *, refused = None, provider = None))]
        fn resume / aresume(self, py, local: Option<&Bound<'_, PyAny>>, #[pyo3(from_py_with = text)] refused: Option<String>, provider: Option<&Bound<'_, Provider>>) {
            self.resuming(host_outcome(py, local, refused, provider)?)
        }
    }
}

#[pymethods]
impl Visit {
    /// Reveals neither the user nor the URL.
    #[allow(clippy::unused_self, reason = "Python requires a method")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.Visit>"
    }
}
