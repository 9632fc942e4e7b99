//! The Tokio runtime of this process, and its shutdown with the interpreter.
//!
//! A thread that is inside a call into Python when the interpreter shuts down is killed without proper unwinding, which
//! crashes the process. So these calls are counted, none starts once the shutdown has begun, and the shutdown waits for
//! those under way.

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
use crate::pending_call::{CallResult, PendingCall};

static RUNTIME: PerProcess<Runtime> = PerProcess::new();
/// The number of calls into Python under way from threads of the runtime.
static CALLS: AtomicUsize = AtomicUsize::new(0);
static IS_CLOSED: AtomicBool = AtomicBool::new(false);
static CLOSER: OnceLock<ThreadId> = OnceLock::new();

/// The longest time that the shutdown waits for calls under way.
const CALLS_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest time that the shutdown waits for renewals under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The runtime of this process, started on first use.
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

/// Calls into Python from a thread of the runtime, unless the interpreter is shutting down: then `call` is leaked, because
/// dropping Python objects is unsafe by then.
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

/// The error of new asynchronous work during shutdown, when no event loop could await it.
pub(crate) fn refuse_if_closed() -> PyResult<()> {
    if is_closed() {
        Err(PyRuntimeError::new_err("the interpreter is shutting down"))
    } else {
        Ok(())
    }
}

/// Parks this thread forever if the interpreter is shutting down and this is not the thread that shuts it down: a daemon
/// thread must not return to an interpreter that no longer exists.
pub(crate) fn stay_if_left_behind() {
    while is_closed() && CLOSER.get() != Some(&std::thread::current().id()) {
        std::thread::park();
    }
}

/// Registers `shutdown` with `atexit`, and `forked` with `os.register_at_fork`.
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

/// Finishes renewals under way and stores their tokens, then stops calls into Python. With refresh token rotation, a
/// renewal that is cut off loses its grant.
#[pyfunction]
fn shutdown(py: Python<'_>) -> PyResult<()> {
    let drained = if RUNTIME.is_made() { drain(py) } else { Ok(()) };
    close(py);
    drained
}

fn drain(py: Python<'_>) -> PyResult<()> {
    let drained = oauth_session::drain_all(DRAIN_TIMEOUT);
    if Hub::current(py)?.is_some() {
        // Renewals may need greenlets, as a store that is written in Python does.
        let drained = async { drained.await.map(CallResult::value) };
        return PendingCall::new("drain", drained).wait(py).map(drop);
    }
    let handle = handle()?;
    py.detach(|| handle.block_on(drained))
        .map_err(|error| errors::raise(py, &error))
}

fn close(py: Python<'_>) {
    // A second shutdown has no effect.
    let _ = CLOSER.set(std::thread::current().id());
    IS_CLOSED.store(true, Ordering::SeqCst);
    py.detach(|| {
        let start = Instant::now();
        while CALLS.load(Ordering::SeqCst) > 0 && start.elapsed() < CALLS_TIMEOUT {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Resets the counter in a forked child: the calling threads belong to the parent.
#[pyfunction]
fn forked() {
    CALLS.store(0, Ordering::SeqCst);
}
