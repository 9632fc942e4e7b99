//! Support for tests of applications: signs a user in without a provider.

use oauth_core::url::Url;
use oauth_seal::Key;

/// The key for tests, which is public: [`Site::testing`](crate::Site::testing) signs people in only under it. A site
/// whose URL someone else could open refuses it.
pub fn testing_key() -> Key {
    Key::new(*b"oauth-web: a key for tests alone")
}

pub(crate) fn is_testing_key(key: &Key) -> bool {
    key.id() == testing_key().id()
}

/// Whether only this machine can be at this URL: a loopback address, or a reserved name (RFC 6761).
pub(crate) fn is_loopback_only(url: &Url) -> bool {
    let host = url.host();
    let reserved = ["test", "example", "invalid", "localhost"];
    url.is_local() || reserved.contains(&host.rsplit('.').next().unwrap_or_default())
}
