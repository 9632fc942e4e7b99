//! gevent: a greenlet that waits for the runtime lets the other greenlets of its thread run.

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCFunction;

use crate::runtime;

/// The hub of the greenlets of this thread; none where there is no gevent.
pub(crate) struct Hub(Py<PyAny>);

impl Hub {
    /// The hub of the greenlet that runs, which is about to wait.
    pub(crate) fn current(py: Python<'_>) -> PyResult<Option<Self>> {
        static HUB: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let hub = HUB.import(py, "oauth_core._greenlets", "hub")?.call0()?;
        Ok((!hub.is_none()).then(|| Self(hub.unbind())))
    }

    pub(crate) fn waiting(&self, py: Python<'_>) -> PyResult<WaitingGreenlet> {
        static WAITING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let waiting = WAITING.import(py, "oauth_core._greenlets", "Waiting")?;
        Ok(WaitingGreenlet(waiting.call1((&self.0,))?.unbind()))
    }
}

/// A greenlet that waits.
pub(crate) struct WaitingGreenlet(Py<PyAny>);

impl WaitingGreenlet {
    /// Wakes it when this is dropped, which tasks do however they end.
    pub(crate) fn waker(&self, py: Python<'_>) -> Waker {
        Waker(Some(self.0.clone_ref(py)))
    }

    /// Waits until it is woken.
    pub(crate) fn wait(&self, py: Python<'_>) -> PyResult<()> {
        self.0.call_method0(py, "wait").map(drop)
    }
}

pub(crate) struct Waker(Option<Py<PyAny>>);

impl Drop for Waker {
    fn drop(&mut self) {
        if let Some(greenlet) = self.0.take() {
            // Its hub may have ended, and then no greenlet waits.
            runtime::call_python(move |py| drop(greenlet.call_method0(py, "notify")));
        }
    }
}

/// Calls code of the application, which may use what gevent has patched: where greenlets wait, in one of theirs.
pub(crate) fn call<T: Send + 'static>(
    py: Python<'_>,
    code: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    static CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (sender, receiver) = channel();
    let code = Mutex::new(Some((code, sender)));
    let work = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        let code = code.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((code, sender)) = code {
            // It is waited for.
            let _ = sender.send(code(arguments.py()));
        }
    })?;
    CALL.import(py, "oauth_core._greenlets", "call")?
        .call1((work,))?;
    receiver
        .try_recv()
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("the greenlet has not run")))
}
