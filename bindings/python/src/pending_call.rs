//! A call that runs in the background: a blocking method waits for it, or a coroutine awaits it.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::{Moment, Tokens};
use oauth_facade::{ErasedExchange, Record};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use tokio::task::AbortHandle;

use crate::greenlet::Hub;
use crate::hook_owner::{Wait, WaitsFor};
use crate::network::LazyDriver;
use crate::resource_response::Response;
use crate::{errors, runtime, value};

/// The interval at which a waiting thread checks for signals.
const SIGNAL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The result of a call.
pub(crate) enum CallResult {
    Record(Record),
    Tokens(Arc<Tokens>),
    Response(Response),
    Text(String),
    /// The value that this function creates, once Python may be called.
    Value(Make),
}

type Make = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

impl CallResult {
    /// A plain value.
    pub(crate) fn value<T>(value: T) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        Self::Value(Box::new(move |py| value.into_py_any(py)))
    }

    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Record(record) => value::record_to_py(py, record),
            Self::Tokens(tokens) => value::tokens_to_py(py, tokens),
            Self::Response(response) => Ok(Bound::new(py, response)?.into_any().unbind()),
            Self::Text(text) => Ok(text.into_pyobject(py)?.into_any().unbind()),
            Self::Value(make) => make(py),
        }
    }
}

type Outcome = Result<CallResult, Error>;

/// A call that has not begun. It runs on the runtime of this process, without the GIL.
pub(crate) struct PendingCall {
    name: &'static str,
    work: Work,
    ready: Option<Ready>,
    waits_for: Option<WaitsFor>,
}

type BoxedFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

enum Work {
    Future(BoxedFuture),
    /// The verification of a token, which usually has its keys cached.
    Verification(ErasedExchange, LazyDriver),
}

impl Work {
    fn future(self) -> BoxedFuture {
        match self {
            Self::Future(future) => future,
            Self::Verification(exchange, driver) => {
                Box::pin(async move { driver.exchange(exchange).await.map(CallResult::Record) })
            }
        }
    }
}

/// Returns the result if it is available without waiting.
type Ready = Box<dyn Fn() -> Option<Outcome> + Send>;

impl PendingCall {
    /// `name` is for the log.
    pub(crate) fn new(
        name: &'static str,
        future: impl Future<Output = Outcome> + Send + 'static,
    ) -> Self {
        Self {
            name,
            work: Work::Future(Box::pin(future)),
            ready: None,
            waits_for: None,
        }
    }

    /// The verification of a token, on the caller's own thread unless keys have to be fetched.
    pub(crate) fn verification(
        name: &'static str,
        exchange: ErasedExchange,
        driver: LazyDriver,
    ) -> Self {
        Self {
            name,
            work: Work::Verification(exchange, driver),
            ready: None,
            waits_for: None,
        }
    }

    /// Refuses the call in a hook of those for whom it waits: `misuse.deadlock`.
    pub(crate) fn waiting_for(mut self, waits_for: WaitsFor) -> Self {
        self.waits_for = Some(waits_for);
        self
    }

    /// Begins to wait, until the result is dropped.
    fn begin_wait(&mut self, py: Python<'_>) -> PyResult<Option<Wait>> {
        let waits_for = self.waits_for.take();
        let begun = waits_for.map(|waits_for| waits_for.begin(py)).transpose()?;
        Ok(begun.flatten())
    }

    /// Checks `ready` first: often the answer is already available, and no work is needed.
    pub(crate) fn unless(mut self, ready: impl Fn() -> Option<Outcome> + Send + 'static) -> Self {
        self.ready = Some(Box::new(ready));
        self
    }

    /// Limits how long the caller waits, and then drops its future; work shared with other callers continues.
    pub(crate) fn within(mut self, limit: Option<Duration>) -> Self {
        if let Some(limit) = limit {
            let future = self.work.future();
            self.work = Work::Future(Box::pin(async move {
                let done = tokio::time::timeout(limit, future).await;
                done.unwrap_or_else(|_| {
                    let late =
                        Cause::unknown("the caller stopped waiting; the request may continue");
                    Err(Error::lost(late.because(Loss::Timeout)))
                })
            }));
        }
        self
    }

    /// Runs the call while this thread waits; Ctrl-C ends the wait.
    pub(crate) fn wait(mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let _waiting = self.begin_wait(py)?;
        let hub = Hub::current(py)?;
        let pending = match self.ready_now(py) {
            ControlFlow::Break(result) => return result,
            ControlFlow::Continue(pending) => pending,
        };
        let runtime = runtime::handle()?;
        let (name, mut future) = (pending.name, pending.work.future());
        // A call that never has to wait completes on this thread.
        let begun = py.detach(|| {
            let _inside = runtime.enter();
            let mut context = Context::from_waker(Waker::noop());
            let begun = future.as_mut().poll(&mut context);
            runtime::stay_if_left_behind();
            begun
        });
        if let Poll::Ready(outcome) = begun {
            return finish(py, Some(name), outcome);
        }
        let greenlet = hub.map(|hub| hub.waiting(py)).transpose()?;
        let waker = greenlet.as_ref().map(|greenlet| greenlet.waker(py));
        let (sender, receiver) = sync_channel(1);
        let task = runtime.spawn(async move {
            // The caller may have given up.
            let _ = sender.send(future.await);
            drop(waker);
        });
        if let Some(greenlet) = greenlet
            && let Err(ended) = greenlet.wait(py)
        {
            task.abort();
            return Err(ended);
        }
        let receiver = Mutex::new(receiver);
        loop {
            let received = py.detach(|| {
                let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                let received = receiver.recv_timeout(SIGNAL_CHECK_INTERVAL);
                runtime::stay_if_left_behind();
                received
            });
            match received {
                Ok(outcome) => return finish(py, Some(name), outcome),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = py.check_signals() {
                        task.abort();
                        return Err(signal);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let lost = Cause::unknown("the work was stopped");
                    return finish(py, Some(name), Err(Error::lost(lost)));
                }
            }
        }
    }

    /// A coroutine that begins the work when it is first awaited. `public` is the name of the caller's method: Python
    /// names the coroutine by it if it is never awaited.
    pub(crate) fn into_coroutine<'py>(
        self,
        py: Python<'py>,
        public: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static WAIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let operation = self.name;
        let start = Bound::new(py, Start(Mutex::new(Some(self))))?;
        let wait = WAIT.import(py, "oauth_core._bridge", "wait")?;
        let coroutine = wait.call1((start,))?;
        // Operations share one method.
        let public = match public == "Client._acall" {
            true => PyString::new(py, &format!("Client.a{operation}")),
            false => public.clone(),
        };
        coroutine.setattr(intern!(py, "__qualname__"), public)?;
        Ok(coroutine)
    }

    /// The result, if it is available without waiting.
    fn ready_now(mut self, py: Python<'_>) -> ControlFlow<PyResult<Py<PyAny>>, Self> {
        if let Some(outcome) = self.ready.as_ref().and_then(|ready| ready()) {
            return ControlFlow::Break(finish(py, None, outcome));
        }
        let Work::Verification(exchange, driver) = self.work else {
            return ControlFlow::Continue(self);
        };
        let first = py.detach(|| {
            let first = Moment::system().and_then(|at| exchange.at_once(&at));
            runtime::stay_if_left_behind();
            first
        });
        let outcome = match first {
            Ok(ControlFlow::Continue(exchange)) => {
                self.work = Work::Verification(exchange, driver);
                return ControlFlow::Continue(self);
            }
            Ok(ControlFlow::Break(record)) => Ok(CallResult::Record(record)),
            Err(error) => Err(error),
        };
        ControlFlow::Break(finish(py, Some(self.name), outcome))
    }
}

fn finish(py: Python<'_>, name: Option<&str>, outcome: Outcome) -> PyResult<Py<PyAny>> {
    if let Some(name) = name {
        let code = outcome.as_ref().err().map_or("done", Error::code);
        errors::log(py, "debug", &format!("{name}: {code}"));
    }
    match outcome {
        Ok(result) => result.into_python(py),
        Err(error) => Err(errors::raise(py, &error)),
    }
}

/// The result, or the future of it.
type Begun = (Option<Py<PyAny>>, Option<Py<PyAny>>);

/// Begins the work: returns its result if that is available immediately, and otherwise a future of the running loop.
#[pyclass(frozen)]
struct Start(Mutex<Option<PendingCall>>);

#[pymethods]
impl Start {
    fn __call__(&self, py: Python<'_>) -> PyResult<Begun> {
        static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        runtime::refuse_if_closed()?;
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut work = work.ok_or_else(|| PyRuntimeError::new_err("already awaited"))?;
        let waiting = work.begin_wait(py)?;
        // A result that is available immediately needs no running loop.
        let work = match work.ready_now(py) {
            ControlFlow::Break(result) => return Ok((Some(result?), None)),
            ControlFlow::Continue(work) => work,
        };
        let running = RUNNING.import(py, "asyncio", "get_running_loop")?.call0();
        let event_loop = running.map_err(|_| errors::raise(py, &no_loop(work.name)))?;
        let future = event_loop.call_method0("create_future")?;
        let ends = (event_loop.unbind(), future.clone().unbind());
        let (name, pending) = (work.name, work.work.future());
        let task = runtime::handle()?.spawn(async move {
            let outcome = pending.await;
            drop(waiting);
            runtime::call_python(move |py| complete_future(py, ends, name, outcome));
        });
        let abort = Bound::new(py, Abort(task.abort_handle()))?;
        future.call_method1("add_done_callback", (abort,))?;
        Ok((None, Some(future.unbind())))
    }
}

/// The error for coroutines outside asyncio, such as those of trio, which cannot await a future of asyncio.
fn no_loop(name: &str) -> Error {
    let hint =
        format!("{name} needs that of asyncio; under trio, call the blocking method in a thread");
    Error::from(Misuse::RuntimeMissing).about(&hint)
}

/// Aborts the task when its future is cancelled; has no effect when the future completes.
#[pyclass(frozen)]
struct Abort(AbortHandle);

#[pymethods]
impl Abort {
    fn __call__(&self, _future: Bound<'_, PyAny>) {
        self.0.abort();
    }
}

/// Completes the future on the thread of its event loop.
fn complete_future(
    py: Python<'_>,
    (event_loop, future): (Py<PyAny>, Py<PyAny>),
    name: &str,
    outcome: Outcome,
) {
    static COMPLETE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (result, error) = match finish(py, Some(name), outcome) {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error.into_value(py))),
    };
    if let Ok(complete) = COMPLETE.import(py, "oauth_core._bridge", "complete") {
        // If the loop is closed, no task waits for the future.
        let _ = event_loop.call_method1(
            py,
            "call_soon_threadsafe",
            (complete, future, result, error),
        );
    }
}
