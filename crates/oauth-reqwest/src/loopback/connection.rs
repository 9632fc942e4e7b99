//! One connection to the listener: reads the request, checks it, responds and closes.

use std::time::Duration;

use oauth_core::form;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time;

use super::expected_callback::ExpectedCallback;
use super::head::{self, Flaw, Head};

/// The time limit for writing the response, and for waiting for the peer to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of bytes read and discarded after a refused request.
const MAX_REST: usize = 1 << 20;

pub(super) struct CallbackConnection {
    stream: TcpStream,
    head: Result<Head, Flaw>,
}

/// All possible responses. None repeats anything from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome,
    Refused,
    Malformed,
    OtherFlow,
    OtherLogout,
    /// A refusal without a state, whose login is unknown.
    RefusedWithoutState,
    OtherHost,
    OtherPath,
    OtherMethod,
    LineTooLong,
    FieldsTooLarge,
}

impl CallbackConnection {
    /// Reads a head; `None` if the connection ends before.
    pub(super) async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::with_capacity(2 << 10);
        loop {
            let scanned = bytes.len();
            let room = (head::MAX_HEAD_BYTES - scanned).min(8 << 10) as u64;
            // A read of 0 bytes is the end of the stream, because the buffer has room.
            (&mut stream)
                .take(room)
                .read_buf(&mut bytes)
                .await
                .ok()
                .filter(|n| *n > 0)?;
            if let Some(end) = head::head_end(&bytes, scanned) {
                let head = head::parse(bytes.get(..end)?);
                return Some(Self { stream, head });
            }
            if bytes.len() >= head::MAX_HEAD_BYTES {
                let head = Err(head::too_large(&bytes));
                return Some(Self { stream, head });
            }
        }
    }

    /// Checks the request: returns the callback as the URL that was requested, if it belongs to this flow, and the
    /// response for the user.
    pub(super) fn classify(
        &self,
        host: &str,
        awaited: ExpectedCallback<'_>,
    ) -> Result<(String, Answer), Answer> {
        let head = self.head.as_ref().map_err(|flaw| match flaw {
            Flaw::Malformed => Answer::Malformed,
            Flaw::LineTooLong => Answer::LineTooLong,
            Flaw::FieldsTooLarge => Answer::FieldsTooLarge,
        })?;
        // Checked first, or a page under another name could probe the listener (DNS rebinding).
        if !is_same_host(&head.host, host) {
            return Err(Answer::OtherHost);
        }
        let callback = format!("http://{host}{}", head.target);
        let (path, query) = split(&head.target);
        if path != path_of(awaited.redirect_uri()) {
            return Err(Answer::OtherPath);
        }
        if head.method != "GET" {
            return Err(Answer::OtherMethod);
        }
        // As the core reads a callback: "Parameters sent without a value MUST be treated as if they were omitted"
        // (RFC 6749 section 3.1).
        let has = |name: &str| {
            let mut pairs = query.split('&').map(|pair| split_at(pair, '='));
            pairs.any(|(key, value)| {
                !value.is_empty() && form::decode(key).is_ok_and(|key| key == name)
            })
        };
        if !awaited.recognizes(&callback) {
            let is_stateless_refusal = has("error") && !has("state");
            return Err(match awaited {
                ExpectedCallback::Login(_) if is_stateless_refusal => Answer::RefusedWithoutState,
                ExpectedCallback::Login(_) => Answer::OtherFlow,
                ExpectedCallback::Logout(..) => Answer::OtherLogout,
            });
        }
        let response = match awaited {
            ExpectedCallback::Login(_) if has("error") => Answer::Refused,
            ExpectedCallback::Login(_) | ExpectedCallback::Logout(..) => Answer::Welcome,
        };
        Ok((callback, response))
    }

    pub(super) async fn respond(mut self, answer: Answer) {
        let mut bytes = answer.bytes();
        if self.head.as_ref().is_ok_and(|head| head.method == "HEAD") {
            // The response to HEAD has no content (RFC 9110 section 9.3.2).
            bytes.truncate(bytes.find("\r\n\r\n").map_or(bytes.len(), |end| end + 4));
        }
        let write = async {
            self.stream.write_all(bytes.as_bytes()).await?;
            self.stream.shutdown().await
        };
        // A peer that does not read the response does not get one.
        if matches!(time::timeout(CLOSE_TIMEOUT, write).await, Ok(Ok(()))) {
            let _ = time::timeout(CLOSE_TIMEOUT, self.lingering_close()).await;
        }
    }

    /// Reads until the peer closes: closing while it still sends would reset the connection, and the
    /// response with it.
    async fn lingering_close(&mut self) {
        let mut rest = [0; 4 << 10];
        let mut sum = 0;
        while let Ok(size @ 1..) = self.stream.read(&mut rest).await {
            sum += size;
            if sum > MAX_REST {
                break;
            }
        }
    }
}

impl Answer {
    fn bytes(self) -> String {
        let (status, text) = match self {
            Self::Welcome => (
                "200 OK",
                "The answer has arrived. You can close this page and go back to the application.",
            ),
            Self::Refused => (
                "200 OK",
                "The login has failed: the server refuses it. You can close this page; the application says why.",
            ),
            Self::Malformed => ("400 Bad Request", "This is not a request for this page."),
            Self::OtherFlow => (
                "400 Bad Request",
                "The login has failed: this answer does not belong to the login that is waiting. Start again from the application.",
            ),
            Self::OtherLogout => (
                "400 Bad Request",
                "This answer does not belong to the logout that is waiting. Start again from the application.",
            ),
            Self::RefusedWithoutState => (
                "400 Bad Request",
                "The server has refused a login, and does not say which. If it was yours, start again from the application.",
            ),
            Self::OtherHost => ("403 Forbidden", "This page has another address."),
            Self::OtherPath => ("404 Not Found", "There is nothing here."),
            Self::OtherMethod => ("405 Method Not Allowed", "This page can only be visited."),
            Self::LineTooLong => ("414 URI Too Long", "The request is too large."),
            Self::FieldsTooLarge => (
                "431 Request Header Fields Too Large",
                "The request is too large.",
            ),
        };
        let allow = if self == Self::OtherMethod {
            "Allow: GET\r\n"
        } else {
            ""
        };
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Login</title><p>{text}</p></html>\n"
        );
        format!(
            "HTTP/1.1 {status}\r\n{allow}\
             Content-Type: text/html; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n{page}",
            page.len()
        )
    }
}

/// Whether a request names this listener: case does not distinguish hosts, nor does the port that http implies
/// (RFC 9110 section 4.2.3).
fn is_same_host(requested: &str, own: &str) -> bool {
    let has_port = own.rsplit(']').next().unwrap_or_default().contains(':');
    let requested = match requested.strip_suffix(":80") {
        Some(name) if !has_port => name,
        _ => requested,
    };
    requested.eq_ignore_ascii_case(own)
}

/// Path and query of a target.
fn split(target: &str) -> (&str, &str) {
    split_at(target, '?')
}

fn split_at(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

/// The path that leads to a redirect URI; browsers write an empty one as `/`.
fn path_of(uri: &str) -> &str {
    let rest = uri.split_once("//").map_or("", |(_, rest)| rest);
    let target_end = split(rest).0;
    let path = target_end
        .find('/')
        .and_then(|start| target_end.get(start..));
    path.unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::is_same_host;

    #[test]
    fn equivalent_host_spellings_match() {
        for (requested, own) in [
            ("localhost:8080", "localhost:8080"),
            ("LocalHost:8080", "localhost:8080"),
            ("localhost:80", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
        ] {
            assert!(is_same_host(requested, own), "{requested}");
        }
        for (requested, own) in [
            ("localhost", "localhost:8080"),
            ("localhost:80", "localhost:8080"),
            ("localhost:80:80", "localhost"),
            ("localhost:8080:80", "localhost:8080"),
            ("[::1]:8080:80", "[::1]:8080"),
            ("localhost.", "localhost"),
            ("localhost:8080", "localhost"),
            ("127.0.0.1", "localhost"),
            ("", "localhost"),
            (":80", "localhost"),
        ] {
            assert!(!is_same_host(requested, own), "{requested}");
        }
    }
}
