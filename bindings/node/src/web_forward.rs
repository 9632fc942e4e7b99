//! Forwards calls of a site's pages to an API, with the user's token.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use napi::Result;
use napi::bindgen_prelude::{Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_reqwest::reqwest;
use oauth_web::{Forward, Request};
use oauth_web_tower::{Forwarded, Host, MAX_FORWARDED};

use crate::error::fail;
use crate::runtime::promise;
use crate::web_visit::{self, NativeVisited};

/// A call to be forwarded to an API.
#[napi]
pub struct NativeForward {
    host: Host,
    request: Request,
    forward: Mutex<Option<Forward>>,
}

impl NativeForward {
    pub(crate) fn new(host: Host, request: Request, forward: Forward) -> Self {
        let forward = Mutex::new(Some(forward));
        Self {
            host,
            request,
            forward,
        }
    }
}

#[napi]
impl NativeForward {
    /// The largest body that is forwarded, in bytes.
    #[napi(getter)]
    pub fn limit(&self) -> u32 {
        u32::try_from(MAX_FORWARDED).unwrap_or(u32::MAX)
    }

    /// Forwards the call with this body, once. The response has a stream as its body.
    #[napi(ts_return_type = "Promise<NativeVisited>")]
    pub fn send<'env>(&self, env: &'env Env, body: Option<Uint8Array>) -> Result<Object<'env>> {
        let mut held = self.forward.lock().unwrap_or_else(PoisonError::into_inner);
        let forward = held.take().ok_or_else(|| fail(Misuse::Over.into()))?;
        let body = body.map(|body| Bytes::from(body.to_vec()));
        let (host, request) = (self.host.clone(), self.request.clone());
        promise(env, async move {
            let body = body.unwrap_or_default();
            Ok(match host.forward(request, forward, body).await? {
                Forwarded::Response(response) => visited_of(response),
                Forwarded::Reply(reply) => web_visit::visited_of(reply),
            })
        })
    }
}

fn visited_of(response: Response<reqwest::Body>) -> NativeVisited {
    let (parts, body) = response.into_parts();
    NativeVisited {
        stream: Some(NativeStream(Arc::new(tokio::sync::Mutex::new(Some(body))))),
        ..NativeVisited::of(parts.status, &parts.headers)
    }
}

/// The body of a response as a stream.
#[napi]
pub struct NativeStream(Arc<tokio::sync::Mutex<Option<reqwest::Body>>>);

#[napi]
impl NativeStream {
    /// The next chunk; nothing at the end.
    #[napi(ts_return_type = "Promise<Uint8Array | undefined>")]
    pub fn chunk<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let body = Arc::clone(&self.0);
        promise(env, async move {
            let mut held = body.lock().await;
            let Some(body) = held.as_mut() else {
                return Ok(None);
            };
            while let Some(frame) = body.frame().await {
                let closed = |error: reqwest::Error| {
                    let cause = Cause::unknown(error.without_url());
                    Error::lost(cause.because(Loss::Closed))
                };
                if let Ok(bytes) = frame.map_err(closed)?.into_data() {
                    return Ok(Some(Uint8Array::from(bytes.to_vec())));
                }
            }
            *held = None;
            Ok(None)
        })
    }

    /// Discards the rest of the body.
    #[napi]
    pub fn cancel(&self) {
        let body = Arc::clone(&self.0);
        if let Ok(runtime) = crate::runtime::runtime() {
            // The socket belongs to the runtime, and must be dropped inside it.
            runtime.spawn(async move { *body.lock().await = None });
        }
    }
}
