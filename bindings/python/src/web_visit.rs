//! One request of a site, which pauses while the application decides whether to admit a person.

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

use crate::pending_call::{Answer, PendingCall};
use crate::runtime;
use crate::sync_async::twins;
use crate::text::text;
use crate::web_forward::Forward;
use crate::web_provider::Provider;
use crate::web_reply::Reply;
use crate::web_session::{self, Session};

type Driving = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>;

/// One request of a site.
///
/// It is resumed until it ends in a Reply to send, a Forward to pass on, or a Session or None: then the request goes on
/// to the application. When somebody signs in it halts with their Identity, and is resumed with whether to admit them;
/// when it halts with a ProviderQuery, with a Provider.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Visit(Arc<Mutex<State>>);

type Asking = Arc<Mutex<Option<Asked>>>;

struct Drive {
    driving: Driving,
    asking: Asking,
    request: Request,
    host: Host,
}

enum State {
    Driving(Box<Drive>),
    Halted(Box<Drive>, Tell),
    Refused(Box<Reply>),
    Over,
}

/// What the application is asked, and where to say it.
enum Asked {
    Admission(Identity, oneshot::Sender<Admission>),
    Provider(ProviderQuery, oneshot::Sender<Option<oauth_web::Provider>>),
}

enum Tell {
    Admission(oneshot::Sender<Admission>),
    Provider(oneshot::Sender<Option<oauth_web::Provider>>),
}

/// What the application says.
struct HostOutcome {
    admission: Admission,
    provider: Option<oauth_web::Provider>,
}

impl Visit {
    pub(crate) fn new(host: Host, visit: oauth_web::Visit, request: Request) -> Self {
        let asking: Asking = Arc::default();
        let (admits, looks) = (Arc::clone(&asking), Arc::clone(&asking));
        let host = host
            .admit(move |identity| {
                let (tell, told) = oneshot::channel();
                *lock(&admits) = Some(Asked::Admission(identity, tell));
                async move { told.await.unwrap_or_default() }
            })
            .providers(move |ask| {
                let (tell, told) = oneshot::channel();
                *lock(&looks) = Some(Asked::Provider(ask, tell));
                async move { Ok(told.await.unwrap_or_default()) }
            });
        let driver = host.clone();
        let drive = Drive {
            driving: Box::pin(async move { driver.drive(visit).await }),
            asking,
            request,
            host,
        };
        Self(Arc::new(Mutex::new(State::Driving(Box::new(drive)))))
    }

    /// A request whose form is larger than the site reads.
    pub(crate) fn too_large() -> Self {
        let reply = Box::new(Reply::plain(413));
        Self(Arc::new(Mutex::new(State::Refused(reply))))
    }

    fn resuming(&self, told: Option<HostOutcome>) -> PyResult<PendingCall> {
        if let Some(told) = told {
            lock(&self.0).finish(told);
        }
        let (state, first) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let handle = runtime::handle()?;
        let work = PendingCall::new("visit", async move {
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
    fn finish(&mut self, told: HostOutcome) {
        *self = match std::mem::replace(self, Self::Over) {
            Self::Halted(drive, tell) => {
                // It is waited for, as long as there is a visit.
                match tell {
                    Tell::Admission(tell) => drop(tell.send(told.admission)),
                    Tell::Provider(tell) => drop(tell.send(told.provider)),
                }
                Self::Driving(drive)
            }
            other => other,
        };
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        let (state, polled) = match std::mem::replace(self, Self::Over) {
            Self::Driving(mut drive) => match drive.driving.as_mut().poll(context) {
                Poll::Ready(outcome) => {
                    let Drive { request, host, .. } = *drive;
                    let ended = outcome.map(|outcome| ended(outcome, host, request));
                    (Self::Over, Poll::Ready(ended))
                }
                Poll::Pending => {
                    let asked = lock(&drive.asking).take();
                    match asked {
                        Some(Asked::Admission(identity, tell)) => {
                            let answer = Ok(Answer::value(web_session::Identity(identity)));
                            let tell = Tell::Admission(tell);
                            (Self::Halted(drive, tell), Poll::Ready(answer))
                        }
                        Some(Asked::Provider(ask, tell)) => {
                            let answer = Ok(Answer::value(web_session::ProviderQuery(ask)));
                            let tell = Tell::Provider(tell);
                            (Self::Halted(drive, tell), Poll::Ready(answer))
                        }
                        None => (Self::Driving(drive), Poll::Pending),
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

fn ended(outcome: Outcome, host: Host, request: Request) -> Answer {
    Answer::Value(Box::new(move |py| match outcome {
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
    let map = map.ok_or_else(|| PyTypeError::new_err("what is added to a session is a dict"))?;
    let admission = Admission::Admitted(map);
    Ok(Some(HostOutcome {
        admission,
        ..nothing
    }))
}

twins! {
    impl Visit {
        /// Continues until it ends, or halts with an Identity or a ProviderQuery.
        ///
        /// After an Identity local is what the application adds to the session, as json.dumps takes
        /// it, or refused the reason why it does not let the person in, which the person sees.
        /// After a ProviderQuery provider is the requested one; local={} says that there is none.
        /// misuse.* for errors of the host.
        #[pyo3(signature = (local = None, *, refused = None, provider = None))]
        fn resume / aresume(self, py, local: Option<&Bound<'_, PyAny>>, #[pyo3(from_py_with = text)] refused: Option<String>, provider: Option<&Bound<'_, Provider>>) {
            self.resuming(host_outcome(py, local, refused, provider)?)
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
