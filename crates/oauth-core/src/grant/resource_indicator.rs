//! Resource indicators (RFC 8707): what a `resource` parameter must look like. That a refresh may only narrow them is in
//! `token/refresh_token.rs`.

use crate::error::{Error, Misuse};

/// "an absolute URI, as specified by Section 4.3 of RFC 3986. The URI MUST NOT include a fragment
/// component" (RFC 8707 section 2)
pub(crate) fn check_resource(uri: &str) -> Result<(), Error> {
    let is_absolute = uri.split_once(':').is_some_and(|(scheme, rest)| {
        let is_char = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(is_char)
            && !rest.is_empty()
    });
    if is_absolute && !uri.contains('#') && uri.bytes().all(crate::url::is_plain) {
        Ok(())
    } else {
        Err(Error::from(Misuse::ResourceSyntax).about(uri))
    }
}
