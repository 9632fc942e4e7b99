//! [`Handle`]: the content of the cookie of a stored session.

use oauth_core::moment::UnixTime;
use serde::{Deserialize, Serialize};

/// The handle in the cookie. The key of the record is its hash, so a reader of the store cannot forge the cookie.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handle {
    pub(crate) handle: String,
    pub(crate) until: UnixTime,
    /// The provider of the tokens, to revoke them if the session is removed but the tokens are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
}

impl Handle {
    pub(crate) fn key(&self) -> String {
        oauth_seal::digest("oauth-web session 1", [self.handle.as_str()])
    }
}
