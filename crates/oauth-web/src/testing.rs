//! Support for tests of applications: signs a person in without a provider.

use oauth_core::url::Url;
use oauth_seal::Key;

/// The key for tests, which everybody has: [`Site::testing`](crate::Site::testing) signs people in under it alone. A site
/// whose URL somebody else could open refuses it.
pub fn testing_key() -> Key {
    Key::new(*b"oauth-web: a key for tests alone")
}

pub(crate) fn is_testing_key(key: &Key) -> bool {
    key.id() == testing_key().id()
}

/// Whether nobody else can be at this URL: this machine, or a name that is nobody's (RFC 6761).
pub(crate) fn is_loopback_only(url: &Url) -> bool {
    let host = url.host();
    let reserved = ["test", "example", "invalid", "localhost"];
    url.is_local() || reserved.contains(&host.rsplit('.').next().unwrap_or_default())
}
