//! The one runtime of this process, and how it ends with the interpreter.
//!
//! A thread that meets the end of the interpreter inside a call into Python is killed without
//! unwinding properly, and takes the process with it. So every such call is counted, none starts
//! once the interpreter has begun to end, and the end waits for those under way.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::errors;
use crate::fork_safety::PerProcess;
use crate::greenlet::Hub;
use crate::pending_call::{Answer, PendingCall};

static RUNTIME: PerProcess<Runtime> = PerProcess::new();
/// Calls into Python from threads that are not Python's.
static CALLS: AtomicUsize = AtomicUsize::new(0);
static IS_CLOSED: AtomicBool = AtomicBool::new(false);
static CLOSER: OnceLock<ThreadId> = OnceLock::new();

/// How long the end of the interpreter waits for calls under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the end of the interpreter waits for renewals under way.
const DRAINING: Duration = Duration::from_secs(5);

/// The runtime of this process, started by the first who asks.
pub(crate) fn handle() -> PyResult<Handle> {
    RUNTIME.with(
        || {
            Ok(Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("oauth-core")
                .enable_all()
                .build()?)
        },
        |runtime| runtime.handle().clone(),
    )
}

/// Calls into Python from a thread of the runtime, unless the interpreter is ending. `call` must
/// own what it needs: if it is not called, it is not dropped either.
pub(crate) fn call_python(call: impl FnOnce(Python<'_>)) {
    CALLS.fetch_add(1, Ordering::SeqCst);
    if is_closed() {
        std::mem::forget(call);
    } else {
        Python::attach(call);
    }
    CALLS.fetch_sub(1, Ordering::SeqCst);
}

pub(crate) fn is_closed() -> bool {
    IS_CLOSED.load(Ordering::SeqCst)
}

/// No new asynchronous work can be done: nobody would hear of its end.
pub(crate) fn refuse_if_closed() -> PyResult<()> {
    match is_closed() {
        true => Err(PyRuntimeError::new_err("the interpreter is shutting down")),
        false => Ok(()),
    }
}

/// Stays here for good if the interpreter is ending and this thread is not the one that ends it:
/// a daemon thread must not come back to an interpreter that is gone.
pub(crate) fn stay_if_left_behind() {
    while is_closed() && CLOSER.get() != Some(&std::thread::current().id()) {
        std::thread::park();
    }
}

/// Has the two functions below called when their time comes.
pub(crate) fn watch_process(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let shutdown = pyo3::wrap_pyfunction!(shutdown, module)?;
    py.import("atexit")?.call_method1("register", (shutdown,))?;
    let os = py.import("os")?;
    if os.hasattr("register_at_fork")? {
        let options = pyo3::types::PyDict::new(py);
        options.set_item("after_in_child", pyo3::wrap_pyfunction!(forked, module)?)?;
        os.call_method("register_at_fork", (), Some(&options))?;
    }
    Ok(())
}

/// Renewals under way are finished and stored first: with servers that replace refresh tokens, one
/// that is cut off loses its grant.
#[pyfunction]
fn shutdown(py: Python<'_>) -> PyResult<()> {
    let drained = match RUNTIME.is_made() {
        true => drain(py),
        false => Ok(()),
    };
    close(py);
    drained
}

fn drain(py: Python<'_>) -> PyResult<()> {
    let drained = oauth_session::drain_all(DRAINING);
    if Hub::here(py)?.is_some() {
        // Renewals may need greenlets, as a store that is written in Python does.
        let drained = async { drained.await.map(Answer::value) };
        return PendingCall::new("drain", drained).wait(py).map(drop);
    }
    let handle = handle()?;
    py.detach(|| handle.block_on(drained))
        .map_err(|error| errors::raise(py, &error))
}

fn close(py: Python<'_>) {
    // A second shutdown would change nothing.
    let _ = CLOSER.set(std::thread::current().id());
    IS_CLOSED.store(true, Ordering::SeqCst);
    py.detach(|| {
        let start = Instant::now();
        while CALLS.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// The threads that were calling are the parent's.
#[pyfunction]
fn forked() {
    CALLS.store(0, Ordering::SeqCst);
}
