//! The head of an HTTP/1.1 request, to the extent that a callback needs it.

/// The largest head that is read, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_FIELDS: usize = 100;

/// A request line and the `Host` field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
}

/// Why there is no head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not HTTP/1, or without exactly one `Host`.
    Malformed,
    /// No end of the first line within [`MAX_HEAD_BYTES`].
    LineTooLong,
    /// No end of the fields within [`MAX_HEAD_BYTES`], or too many of them.
    FieldsTooLarge,
}

/// The end of the head within `bytes`, when only those from `scanned` on are new.
pub(super) fn head_end(bytes: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let unread = bytes.get(from..)?;
    let at = unread.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(from + at + 4)
}

/// What is wrong with bytes that have no end of the head within the limit.
pub(super) fn too_large(bytes: &[u8]) -> Flaw {
    if bytes.contains(&b'\n') {
        Flaw::FieldsTooLarge
    } else {
        Flaw::LineTooLong
    }
}

/// Reads a head that ends where [`end`] says.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Flaw> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Flaw::FieldsTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Flaw::Malformed),
    }
    let mut hosts = request
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("host"));
    // "A server MUST respond with a 400 [...] to any HTTP/1.1 request message that lacks a Host
    // header field and to any request message that contains more than one" (RFC 9112 3.2)
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Flaw::Malformed);
    };
    let host = std::str::from_utf8(host.value).ok();
    let position = request
        .path
        .zip(host)
        .and_then(|(target, host)| host_and_target(target, host));
    match (request.method, position) {
        (Some(method), Some((host, target))) => Ok(Head {
            method: method.to_owned(),
            target,
            host: host.to_owned(),
        }),
        _ => Err(Flaw::Malformed),
    }
}

/// The host, and path and query. A target may be a whole URL, as a proxy is sent it: its host then counts, and not the
/// field's (RFC 9112 section 3.2.2).
fn host_and_target<'a>(target: &'a str, host: &'a str) -> Option<(&'a str, String)> {
    if target.starts_with('/') {
        return Some((host, target.to_owned()));
    }
    let (scheme, rest) = target.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end)?;
    let slash = if target.starts_with('/') { "" } else { "/" };
    let is_http = scheme.eq_ignore_ascii_case("http");
    is_http.then(|| (host, format!("{slash}{target}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_head_is_parsed() {
        let bytes = b"GET /cb?code=a HTTP/1.1\r\nAccept: */*\r\nhost: 127.0.0.1:1\r\n\r\n";
        let head = parse(bytes).unwrap();
        assert_eq!(
            (head.method.as_str(), head.host.as_str()),
            ("GET", "127.0.0.1:1")
        );
        assert_eq!(head.target, "/cb?code=a");
    }

    #[test]
    fn an_absolute_request_url_overrides_the_host_field() {
        for (target, host, path) in [
            ("http://b:1/cb?code=a", "b:1", "/cb?code=a"),
            ("HTTP://b", "b", "/"),
            ("http://b?c=/", "b", "/?c=/"),
        ] {
            let head = parse(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let head = head.unwrap();
            assert_eq!((head.host.as_str(), head.target.as_str()), (host, path));
        }
    }

    #[test]
    fn malformed_request_heads_are_refused() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET /\r\n\r\n",
            "\x16\x03\x01\r\n\r\n",
        ] {
            assert_eq!(parse(head.as_bytes()), Err(Flaw::Malformed), "{head}");
        }
        let many = "a: b\r\n".repeat(MAX_FIELDS + 1);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        assert_eq!(parse(many.as_bytes()), Err(Flaw::FieldsTooLarge));
    }

    #[test]
    fn the_end_of_the_head_is_found_across_reads() {
        let bytes = b"GET / HTTP/1.1\r\n\r\nrest";
        for scanned in 0..18 {
            assert_eq!(head_end(bytes, scanned), Some(18), "{scanned}");
        }
        assert_eq!(head_end(&bytes[..17], 0), None);
    }
}
