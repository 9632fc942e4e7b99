//! Keys that JavaScript holds: a key service, a hardware security module, WebCrypto.

use bytes::Bytes;
use napi::Result;
use napi::bindgen_prelude::{Env, Object, Uint8Array};
use napi_derive::napi;
use oauth_core::error::{Cause, Error};
use oauth_facade::{Holder, SigningJob};

use crate::js_callbacks::{Foreign, Handler, NativeAsk, ask};
use crate::runtime::promise;

const WHO: &str = "key holder";

/// A key of the application's, whose signatures a JavaScript function makes.
struct HeldKey(Foreign);

pub(crate) fn holder(handler: &Handler<'_>) -> Result<Holder> {
    Foreign::new(WHO, handler).map(|asked| Holder::new(HeldKey(asked)))
}

/// Requests the signature from the holder of this job's key.
pub(crate) async fn signature(job: SigningJob) -> std::result::Result<Bytes, Cause> {
    let held = job.holder.as_ref().and_then(Holder::downcast::<HeldKey>);
    let nobody = || Cause::unsent(format!("nobody signs with the key {}", job.key_id));
    let held = held.ok_or_else(nobody)?;
    let input = String::from_utf8_lossy(&job.signing_input).into_owned();
    let asked = NativeAsk {
        record: Some(input),
        ..ask("sign", &job.key_id)
    };
    let told = held.0.ask(asked).await;
    let told = told.map_err(|error| match std::error::Error::source(&error) {
        Some(why) => Cause::unsent(why.to_string()),
        None => Cause::unsent(error.to_string()),
    })?;
    let none = || Cause::unsent(format!("the {WHO} gave no signature"));
    told.signature.map(Bytes::from).ok_or_else(none)
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
