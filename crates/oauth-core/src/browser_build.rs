//! The constant that is true in builds for web pages, so that the compiler can drop code that no page uses.

/// Whether this is a build for a web page (feature `js`). A page's client is public, its only key is its DPoP key, and
/// its tokens belong to a user; the code for all other cases is not linked.
pub(crate) const IS_BROWSER_BUILD: bool = cfg!(all(feature = "js", target_family = "wasm"));
