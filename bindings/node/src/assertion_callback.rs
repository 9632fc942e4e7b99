//! Client assertions (workload tokens) that a JavaScript function returns.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::client_auth::AssertionRequest;
use oauth_core::error::{Cause, Error};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::js_callbacks::{Handler, JsImplementation, NativeAsk, ask};

const CALLBACK: &str = "assertion function";

tokio::task_local! {
    /// Cancelled when the caller of this exchange gives up: its thread, which is blocked here, cannot notice otherwise.
    static STOP: CancellationToken;
}

/// Runs an exchange whose caller may give up while the function is called.
pub(crate) fn until<F: Future>(
    stop: &CancellationToken,
    run: F,
) -> impl Future<Output = F::Output> {
    STOP.scope(stop.clone(), run)
}

async fn stopped() {
    match STOP.try_with(Clone::clone) {
        Ok(stop) => stop.cancelled().await,
        Err(_) => std::future::pending().await,
    }
}

/// The source of the function's token. An exchange on the event loop cannot wait for the event loop, so JavaScript
/// stores the token here before each step; an exchange on the runtime's thread calls the function.
#[napi]
pub struct NativeAssertionSource(pub(crate) Arc<TokenCallback>);

/// The token that JavaScript has stored, or why there is none.
type StoredToken = std::result::Result<Secret<String>, String>;

pub(crate) struct TokenCallback {
    function: JsImplementation,
    stored: Mutex<StoredToken>,
    event_loop: ThreadId,
}

#[napi]
impl NativeAssertionSource {
    /// A source that calls this handler.
    #[napi(factory)]
    pub fn of(handler: Handler<'_>) -> Result<Self> {
        Ok(Self(Arc::new(TokenCallback {
            function: JsImplementation::new(CALLBACK, &handler)?,
            stored: Mutex::new(Err(format!("the {CALLBACK} was not called"))),
            event_loop: thread::current().id(),
        })))
    }

    /// Stores the token for the next step.
    #[napi]
    pub fn leave(&self, token: String) {
        self.0.set_token(Ok(Secret::new(token)));
    }

    /// Records that the function returned no token, and why.
    #[napi]
    pub fn leave_none(&self, reason: String) {
        self.0.set_token(Err(reason));
    }
}

impl TokenCallback {
    fn set_token(&self, token: StoredToken) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn stored(&self) -> StoredToken {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.clone()
    }

    /// The current token.
    pub(crate) fn assertion(
        &self,
        wanted: &AssertionRequest<'_>,
    ) -> std::result::Result<Secret<String>, Cause> {
        let token = if thread::current().id() == self.event_loop {
            self.stored()
        } else {
            self.call(wanted)
        };
        token.map_err(Cause::unsent)
    }

    /// Calls the function. Blocks this thread, but not the event loop's.
    fn call(&self, wanted: &AssertionRequest<'_>) -> StoredToken {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let call = self.function.ask(NativeAsk {
            until: Some(wanted.expires_at.as_secs() as f64 * 1000.0),
            ..ask("assertion", wanted.audience)
        });
        let stop = stopped();
        let answer = tokio::task::block_in_place(|| {
            runtime.block_on(async {
                tokio::select! {
                    answer = call => answer.map_err(|error| detail(&error)),
                    () = stop => Err("the caller gave up".to_owned()),
                }
            })
        });
        let token = answer?.said.assertion;
        token
            .map(Secret::new)
            .ok_or_else(|| format!("the {CALLBACK} returned no token"))
    }
}

/// The message of the error's source: the error itself says only that the request was lost.
fn detail(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
