//! Signing with keys of the host: answers [`Step::Sign`](oauth_core::Step::Sign).

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use oauth_core::error::Cause;
use oauth_core::exchange::SigningJob;

type Signature = Pin<Box<dyn Future<Output = Result<Bytes, Cause>> + Send>>;

pub(crate) type Signer = Arc<dyn Fn(SigningJob) -> Signature + Send + Sync>;

#[cfg(feature = "blocking")]
pub(crate) type BlockingSigner = Arc<dyn Fn(SigningJob) -> Result<Bytes, Cause> + Send + Sync>;

/// The key's name is the host's own, so the error may contain it.
pub(crate) fn none(job: &SigningJob) -> Cause {
    Cause::unsent(format!("no signer for the key {}", job.key_id))
}
