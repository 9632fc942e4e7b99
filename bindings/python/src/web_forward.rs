//! Forwards calls of a site's pages to an API, with the user's token.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_reqwest::reqwest;
use oauth_web::Request;
use oauth_web_tower::{Forwarded, Host, MAX_FORWARDED};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::pending_call::{CallResult, PendingCall};
use crate::sync_async::twins;
use crate::web_reply::{Reply, fields};

/// A call to an API, to be forwarded with the user's token.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Forward {
    host: Host,
    request: Request,
    forward: Mutex<Option<oauth_web::Forward>>,
}

/// The response of an API: status and headers, and the body as a stream.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Streamed {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<tokio::sync::Mutex<Option<reqwest::Body>>>,
}

impl Forward {
    pub(crate) const fn new(host: Host, request: Request, forward: oauth_web::Forward) -> Self {
        Self {
            host,
            request,
            forward: Mutex::new(Some(forward)),
        }
    }

    fn sending(&self, body: Vec<u8>) -> PendingCall {
        let mut held = self.forward.lock().unwrap_or_else(PoisonError::into_inner);
        let forward = held.take();
        let (host, request) = (self.host.clone(), self.request.clone());
        PendingCall::new("forward", async move {
            let forward = forward.ok_or(Misuse::Over)?;
            if body.len() > MAX_FORWARDED {
                return Ok(CallResult::value(Reply::plain(413)));
            }
            match host.forward(request, forward, Bytes::from(body)).await {
                Ok(Forwarded::Response(response)) => Ok(CallResult::value(Streamed::of(response))),
                Ok(Forwarded::Reply(reply)) => Ok(CallResult::value(Reply::of(reply))),
                // The error is in the log; the page gets a 502.
                Err(_) => Ok(CallResult::value(Reply::plain(502))),
            }
        })
    }
}

impl Streamed {
    fn of(response: Response<reqwest::Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: fields(&parts.headers),
            body: Arc::new(tokio::sync::Mutex::new(Some(body))),
        }
    }

    fn reading(&self) -> PendingCall {
        let body = Arc::clone(&self.body);
        PendingCall::new("forward", async move {
            let mut held = body.lock().await;
            if let Some(body) = held.as_mut() {
                while let Some(frame) = body.frame().await {
                    let closed = |error: reqwest::Error| {
                        let cause = Cause::unknown(error.without_url());
                        Error::lost(cause.because(Loss::Closed))
                    };
                    if let Ok(bytes) = frame.map_err(closed)?.into_data() {
                        let chunk =
                            move |py: Python<'_>| Ok(PyBytes::new(py, &bytes).into_any().unbind());
                        return Ok(CallResult::Value(Box::new(chunk)));
                    }
                }
            }
            *held = None;
            Ok(CallResult::value(None::<u8>))
        })
    }
}

#[pymethods]
impl Forward {
    /// The largest body that is forwarded, in bytes.
    #[getter]
    #[allow(clippy::unused_self, reason = "Python requires a method")]
    const fn limit(&self) -> usize {
        MAX_FORWARDED
    }

    #[allow(clippy::unused_self, reason = "Python requires a method")]
    fn __repr__(&self) -> &'static str {
        "<oauth_core.Forward>"
    }
}

#[pymethods]
impl Streamed {
    /// The HTTP status.
    #[getter]
    const fn status(&self) -> u16 {
        self.status
    }

    /// Pairs of names and values.
    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Streamed {}>", self.status)
    }
}

twins! {
    impl Forward {
        /// Forwards the call with this body, once, and returns a Streamed; a Reply if the tokens of the session have
        /// expired (401), the body is larger than limit (413), or the API cannot be reached (502).
        ///
        /// misuse.already_finished for a second call.
        #[pyo3(signature = (body, /))]
        fn send / asend(self, py, body: Vec<u8>) {
            let _ = py;
            Ok(self.sending(body))
        }
    }
}

twins! {
    impl Streamed {
        /// The next chunk; None at the end.
        #[pyo3(signature = ())]
        fn chunk / achunk(self, py) {
            let _ = py;
            Ok(self.reading())
        }
    }
}
