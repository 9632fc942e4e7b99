//! The flag that is set in builds for web pages, which leave code out.

/// Whether this is built for a page, with the feature `js`. Its client is public, its only key is that of its DPoP
/// proofs, and its tokens are those of a user: the code for anything else is not linked.
pub(crate) const IS_BROWSER_BUILD: bool = cfg!(all(feature = "js", target_family = "wasm"));
