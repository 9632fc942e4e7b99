//! The flag that is set in builds for web pages, which leave code out.

/// Whether this is built for a page, with the feature `js`. Its client is a public one, whose one key is that of
/// its proofs, and its tokens are those of a person: the code for any other is not linked.
pub(crate) const IS_BROWSER_BUILD: bool = cfg!(all(feature = "js", target_family = "wasm"));
