//! The runtime of tokio on which renewals and timers run.

use oauth_core::error::{Error, Misuse};
use tokio::runtime::Handle;

/// The runtime of the calling thread.
///
/// # Errors
/// `runtime.missing`
pub(crate) fn current() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| Error::from(Misuse::RuntimeMissing).about("tokio"))
}
