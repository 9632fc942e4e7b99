//! The Tokio runtime of the native transport, and the JavaScript promises that it settles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use napi::bindgen_prelude::{Either, Env, Object, ToNapiValue};
use napi::{JsDeferred, Result};
use oauth_core::error::{Cause, Error, Misuse};
use oauth_reqwest::{Driver, Transport};
use tokio::runtime::{Builder, Runtime};

use crate::error::{fail, overdue};
use crate::network::Network;

/// The runtime of the process, shared by all worker threads of Node.js, and created on first use.
pub(crate) fn runtime() -> std::result::Result<&'static Runtime, Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // One thread is enough: requests wait for sockets, and their own work takes microseconds.
    let new = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("oauth-core")
        .enable_all()
        .build()
        .map_err(|error| Error::from(Misuse::Setup).caused_by(Cause::unsent(error)))?;
    Ok(RUNTIME.get_or_init(|| new))
}

/// Returns the driver for the system's network with this timeout. All clients share it, and thus its connections.
pub(crate) fn driver(timeout: Option<Duration>) -> std::result::Result<Driver, Error> {
    static SYSTEM: OnceLock<Network> = OnceLock::new();
    if let Some(network) = SYSTEM.get() {
        return network.driver(timeout);
    }
    let network = Network::new(Transport::default())?;
    SYSTEM.get_or_init(|| network).driver(timeout)
}

/// Milliseconds from JavaScript; an invalid number means `Duration::MAX`, that is, no limit.
pub(crate) fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::MAX)
}

/// The error of a task that panicked, or that was stopped.
const STOPPED: &str = "the task was stopped";

type Settle<T> = Box<dyn FnOnce(Env) -> Result<T> + Send>;

/// A promise that is always settled: a task that panics or is stopped rejects it, because a pending promise would keep
/// the process alive.
struct Deferred<T: ToNapiValue>(Option<JsDeferred<T, Settle<T>>>);

impl<T: ToNapiValue + Send + 'static> Deferred<T> {
    fn settle(mut self, outcome: std::result::Result<T, Error>) {
        let Some(deferred) = self.0.take() else {
            return;
        };
        match outcome {
            Ok(value) => deferred.resolve(Box::new(move |_| Ok(value))),
            Err(error) => deferred.reject(fail(error)),
        }
    }
}

impl<T: ToNapiValue> Drop for Deferred<T> {
    fn drop(&mut self) {
        if let Some(deferred) = self.0.take() {
            deferred.reject(fail(overdue(STOPPED)));
        }
    }
}

/// Polls a future once on the calling thread, and returns its output if it is ready; otherwise returns a promise, and the
/// future continues on the runtime. Most futures here take less time than switching threads twice.
pub(crate) fn at_once_or_promise<T, F>(env: &Env, future: F) -> Result<Either<T, Object<'_>>>
where
    T: ToNapiValue + Send + 'static,
    F: Future<Output = std::result::Result<T, Error>> + Send + 'static,
{
    let runtime = runtime().map_err(fail)?;
    let mut future = Box::pin(future);
    // Timers and sockets created meanwhile belong to the runtime.
    let entered = runtime.enter();
    // The runtime polls again, with its own waker.
    let mut noop_context = Context::from_waker(Waker::noop());
    let polled = catch_panic(|| future.as_mut().poll(&mut noop_context));
    drop(entered);
    match polled? {
        Poll::Ready(outcome) => outcome.map(Either::A).map_err(fail),
        Poll::Pending => promise(env, future).map(Either::B),
    }
}

/// Catches panics on the Node.js thread, into which they must not unwind.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| fail(overdue(STOPPED)))
}

/// Runs a future on the runtime, and returns the promise of its output.
pub(crate) fn promise<T, F>(env: &Env, future: F) -> Result<Object<'_>>
where
    T: ToNapiValue + Send + 'static,
    F: Future<Output = std::result::Result<T, Error>> + Send + 'static,
{
    let runtime = runtime().map_err(fail)?;
    let (deferred, promise) = env.create_deferred::<T, Settle<T>>()?;
    let deferred = Deferred(Some(deferred));
    runtime.spawn(async move { deferred.settle(future.await) });
    Ok(promise)
}
