//! Private keys that JavaScript holds, for example in a key service, an HSM or WebCrypto.

use bytes::Bytes;
use napi::Result;
use napi::bindgen_prelude::{Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::error::{Cause, Error};
use oauth_facade::{Holder, SigningJob};

use crate::js_callbacks::{Handler, JsImplementation, NativeAsk, ask};
use crate::runtime::promise;

const CALLBACK: &str = "key holder";

/// A key of the application: a JavaScript function signs with it.
struct HeldKey(JsImplementation);

pub(crate) fn holder(handler: &Handler<'_>) -> Result<Holder> {
    JsImplementation::new(CALLBACK, handler).map(|function| Holder::new(HeldKey(function)))
}

/// Requests the signature from the holder of this job's key.
pub(crate) async fn signature(job: SigningJob) -> std::result::Result<Bytes, Cause> {
    let held = job.holder.as_ref().and_then(Holder::downcast::<HeldKey>);
    let not_held = || Cause::unsent(format!("no holder signs with the key {}", job.key_id));
    let held = held.ok_or_else(not_held)?;
    let input = String::from_utf8_lossy(&job.signing_input).into_owned();
    let call = NativeAsk {
        record: Some(input),
        ..ask("sign", &job.key_id)
    };
    let answer = held.0.ask(call).await;
    let answer = answer.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => Cause::unsent(source.to_string()),
        None => Cause::unsent(error.to_string()),
    })?;
    let none = || Cause::unsent(format!("the {CALLBACK} returned no signature"));
    answer.signature.map(Bytes::from).ok_or_else(none)
}

/// A signature to be made by the application.
#[napi]
pub struct NativeSigner(SigningJob);

impl NativeSigner {
    /// The signature of a job whose key the application holds; `None` for other jobs.
    pub(crate) fn of(job: &SigningJob) -> Option<Self> {
        job.holder.is_some().then(|| Self(job.clone()))
    }
}

#[napi]
impl NativeSigner {
    /// The signature, in the form of JWS.
    #[napi(ts_return_type = "Promise<Uint8Array>")]
    pub fn signature<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let job = self.0.clone();
        promise(env, async move {
            let signature = signature(job).await.map_err(Error::lost)?;
            Ok(Uint8Array::from(signature.to_vec()))
        })
    }
}
