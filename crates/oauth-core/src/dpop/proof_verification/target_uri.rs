//! The target URI of a request in the form in which `htu` is compared: "ignoring any query and fragment parts", "after
//! applying syntax-based normalization [...] and scheme-based normalization" (RFC 9449 section 4.3, RFC 3986 sections
//! 6.2.2 and 6.2.3).

use crate::url::{Url, without_dot_segments};

/// The normal form of a URI; `None` if it is not an absolute `http` or `https` URI with a plain host.
pub(super) fn normalized(uri: &str) -> Option<String> {
    let uri = uri.split(['?', '#']).next()?;
    let (scheme, after) = uri.split_once("://")?;
    let (authority, path) = match after.find('/') {
        Some(at) => after.split_at_checked(at)?,
        None => (after, ""),
    };
    // An empty port is the default one (RFC 3986 section 6.2.3).
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    // Converts scheme and host to lower case, and rejects user information.
    let root = Url::scan(&[scheme, "://", authority].concat()).ok()?;
    let path = match path {
        "" => "/".to_owned(),
        path => without_dot_segments(&with_normalized_escapes(path)),
    };
    Some([root.origin_text(), &path].concat())
}

/// Decodes the unreserved characters (RFC 3986 section 6.2.2.2), writes other escapes in upper case (section 6.2.2.1),
/// and escapes bytes that no URI contains, which servers accept in a request line.
fn with_normalized_escapes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = match escaped {
            Some((high, low)) => {
                push_escaped_unless(high << 4 | low, is_unreserved, &mut out);
                after.get(2..).unwrap_or_default()
            }
            None => {
                push_escaped_unless(*byte, is_path_byte, &mut out);
                after
            }
        };
    }
    out
}

fn push_escaped_unless(byte: u8, is_plain: fn(u8) -> bool, out: &mut String) {
    if is_plain(byte) {
        out.push(char::from(byte))
    } else {
        out.push_str(&format!("%{byte:02X}"))
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The characters that a path may contain unescaped (RFC 3986 section 3.3), and a percent sign that escapes nothing.
const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'@' | b'/' | b'%'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_uris_normalize_to_the_same_text() {
        for (uri, normal) in [
            ("https://a.example/x", "https://a.example/x"),
            ("HTTPS://A.example:443/x?y=z#f", "https://a.example/x"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example?x", "https://a.example/"),
            ("https://a.example:/x", "https://a.example/x"),
            ("https://a.example:8443/X", "https://a.example:8443/X"),
            ("http://a.example:80/", "http://a.example/"),
            ("http://a.example:443/", "http://a.example:443/"),
            ("https://[::1]:443/x", "https://[::1]/x"),
            (
                "https://a.example/%7euser/%c3%bc",
                "https://a.example/~user/%C3%BC",
            ),
            (
                "https://a.example/ü/{id}",
                "https://a.example/%C3%BC/%7Bid%7D",
            ),
            ("https://a.example/a/./b/../c", "https://a.example/a/c"),
            ("https://a.example/a/%2E%2e/b/.", "https://a.example/b/"),
            ("https://a.example/%2f", "https://a.example/%2F"),
            ("https://a.example/100%/%4", "https://a.example/100%/%4"),
            ("https://a.example//x/", "https://a.example//x/"),
        ] {
            assert_eq!(normalized(uri).as_deref(), Some(normal), "{uri}");
        }
    }

    #[test]
    fn different_uris_normalize_differently() {
        let other = [
            "http://a.example/x",
            "https://a.example/x/",
            "https://a.example/X",
            "https://a.example:8443/x",
            "https://b.example/x",
            "https://a.example/%2Fx",
            "https://a.example.:443/x",
        ];
        for uri in other {
            assert_ne!(normalized(uri), normalized("https://a.example/x"), "{uri}");
        }
    }

    #[test]
    fn relative_or_invalid_uri_is_not_normalized() {
        for uri in [
            "",
            "/x",
            "a.example/x",
            "https:/x",
            "https:///x",
            "ftp://a.example/x",
            "https://u:p@a.example/x",
            "https://a b/x",
            "https://a.example\\@b.example/x",
            "https://a.example:99999/x",
        ] {
            assert_eq!(normalized(uri), None, "{uri}");
        }
    }
}
