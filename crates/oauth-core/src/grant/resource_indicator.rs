//! Resource indicators (RFC 8707): what a `resource` parameter must look like. That a refresh may only narrow them is
//! in `token/authorized_resources.rs`.

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
    if is_absolute
        && !uri.contains('#')
        && uri.bytes().all(crate::url::is_plain)
        && crate::url::escapes_are_whole(uri)
    {
        Ok(())
    } else {
        Err(Error::from(Misuse::ResourceSyntax).about(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_must_be_an_absolute_uri_without_fragment() {
        for uri in [
            "https://api.example",
            "https://api.example/a%20b?x=1",
            "urn:example:api",
            "api://0a1b/app",
        ] {
            assert!(check_resource(uri).is_ok(), "{uri}");
        }
        for uri in [
            "",
            "/x",
            "api.example/x",
            "https://api.example/#",
            "https://api.example/a b",
            "https://api.example/%",
            "https://api.example/%4",
            "urn:example:%zz",
        ] {
            assert!(check_resource(uri).is_err(), "{uri}");
        }
    }
}
