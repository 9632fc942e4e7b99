//! Group `loopback-listener`: the real listener, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use oauth_core::url::Url;
use oauth_core::{Error, PendingAuthorization};
use oauth_reqwest::blocking::Listener;
use oauth_reqwest::browser;
use serde_json::{Value, json};

use crate::format::{Vector, Verdict, check, check_equal};

/// The `state` of every flow here.
const STATE: &str = "xyz";

/// A listener that waits on its own thread for the callback with [`STATE`].
struct WaitingListener {
    address: SocketAddr,
    host: String,
    outcome: JoinHandle<Result<String, Error>>,
}

pub(crate) fn event(vector: &Vector) -> Verdict {
    let event = vector.required_text("event")?;
    let behaviour = vector.expected["behaviour"]
        .as_str()
        .ok_or("no behaviour")?;
    if event.contains("bind address") {
        return bind_address();
    }
    if event.contains("port")
        && ["taken", "in use", "busy"]
            .iter()
            .any(|token| event.contains(token))
    {
        return bind_address();
    }
    if ["no callback", "nobody", "deadline"]
        .iter()
        .any(|words| event.contains(words))
    {
        return deadline();
    }
    if event.contains("passed to the OS") {
        return open_url();
    }
    let waiting = WaitingListener::start(Duration::from_secs(20))?;
    if event.contains("byte per") {
        return slow_connection(waiting);
    }
    if event.contains("second valid callback") {
        let first = waiting.send(&waiting.valid_callback(""))?;
        check("the first is accepted", first.starts_with("HTTP/1.1 200"))?;
        return waiting.check_outcome("code=a");
    }
    let request = match vector.input["lines"].as_array() {
        Some(lines) => waiting.request_of_lines(lines),
        None => waiting.request(event)?,
    };
    let reply = waiting.send(&request)?;
    judge(behaviour, event, &reply)?;
    if let Some(text) = vector.expected["page"].as_str() {
        check(&format!("the page says: {text}"), reply.contains(text))?;
    }
    if reply.starts_with("HTTP/1.1 200") {
        let is_refusal = event.contains("error=");
        let default_part = if is_refusal { "error=" } else { "code=a" };
        let expected_part = vector.expected["callback"].as_str().unwrap_or(default_part);
        return waiting.check_outcome(expected_part);
    }
    // Refused requests do not end the flow: the right callback still completes it.
    let second_reply = waiting.send(&waiting.valid_callback(""))?;
    check(
        "the flow was still pending",
        second_reply.starts_with("HTTP/1.1 200"),
    )?;
    waiting.check_outcome("code=a")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl WaitingListener {
    fn start(timeout: Duration) -> Result<Self, String> {
        let listener = Listener::bind()
            .and_then(|listener| listener.at_path("/cb"))
            .map_err(text)?;
        let listener = listener.with_header_timeout(Duration::from_millis(300));
        let uri = listener.redirect_uri().as_str().to_owned();
        let url = Url::parse(&uri).map_err(text)?;
        let host = url.origin().trim_start_matches("http://").to_owned();
        let address = host.parse().map_err(text)?;
        let stored = json!({
            "version": 1, "issuer": "https://as.example", "client_id": "id", "issuer_required": false,
            "redirect_uri": uri, "state": STATE, "nonce": null, "code_verifier": null, "scope": "",
            "response_mode": "query", "started_at": 0,
        });
        let pending = PendingAuthorization::from_json(&stored.to_string()).map_err(text)?;
        let outcome = std::thread::spawn(move || listener.wait(&pending, timeout));
        Ok(Self {
            address,
            host,
            outcome,
        })
    }

    fn valid_callback(&self, header_lines: &str) -> String {
        format!(
            "GET /cb?code=a&state={STATE} HTTP/1.1\r\nHost: {}\r\n{header_lines}\r\n",
            self.host
        )
    }

    /// The request that an event describes as a request line with or without a header, or in words.
    fn request(&self, event: &str) -> Result<String, String> {
        let host = format!("Host: {}\r\n", self.host);
        if let Some((method, rest)) = event.split_once(" /") {
            let (target, header) = rest.split_once(" with ").unwrap_or((rest, ""));
            // A browser escapes these before they reach the wire.
            let target = target.replace('<', "%3C").replace('>', "%3E");
            let headers = match header {
                "" => host,
                more if more.starts_with("Host:") => format!("{more}\r\n"),
                more if more.contains(": ") => format!("{host}{more}\r\n"),
                more => return Err(format!("no header {more:?}")),
            };
            return Ok(format!("{method} /{target} HTTP/1.1\r\n{headers}\r\n"));
        }
        if event.contains("without Host") {
            return Ok("GET /cb?code=a&state=xyz HTTP/1.1\r\n\r\n".to_owned());
        }
        if let Some((_, after)) = event.split_once("Origin: ") {
            let origin = after.split(' ').next().unwrap_or_default();
            return Ok(format!(
                "GET /cb?code=a&state=guess HTTP/1.1\r\n{host}Origin: {origin}\r\n\r\n"
            ));
        }
        if event.contains("request line") {
            return Ok(format!(
                "GET /cb?code={} HTTP/1.1\r\n{host}\r\n",
                "a".repeat(80 << 10)
            ));
        }
        if event.starts_with("Connection:") {
            return Ok(self.valid_callback(&format!("{event}\r\n")));
        }
        Err(format!("no request for {event:?}"))
    }

    /// The request of these lines, in which `<host>` is the listener.
    fn request_of_lines(&self, lines: &[Value]) -> String {
        let lines: Vec<_> = lines.iter().filter_map(Value::as_str).collect();
        lines.join("\r\n").replace("<host>", &self.host) + "\r\n\r\n"
    }

    fn send(&self, request: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(self.address).map_err(text)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .map_err(text)?;
        // A refusal may come before the whole request was written.
        let _ = stream.write_all(request.as_bytes());
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8(reply).map_err(text)
    }

    /// Checks that the wait ended with a callback that contains `expected_part`, and that the port is closed.
    fn check_outcome(self, expected_part: &str) -> Verdict {
        let callback = self
            .outcome
            .join()
            .map_err(|_| "the listener panicked")?
            .map_err(text)?;
        check(
            "the callback is handed over",
            callback.contains(expected_part),
        )?;
        check(
            "connection refused",
            TcpStream::connect(self.address).is_err(),
        )
    }
}

/// Checks a reply against the vector's description of the behaviour.
fn judge(behaviour: &str, event: &str, reply: &str) -> Verdict {
    let (head, page) = reply
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no reply: {reply:?}"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let expected_statuses = behaviour.split([' ', ',', ';']).next().unwrap_or_default();
    if expected_statuses.starts_with(|c: char| c.is_ascii_digit()) {
        check(
            &format!("status {status} is {expected_statuses}"),
            expected_statuses.split('/').any(|want| want == status),
        )?;
    }
    if behaviour.contains("rejected") {
        check(&format!("status {status} refuses"), status.starts_with('4'))?;
    }
    if behaviour.contains("without content") {
        check("no content", page.is_empty())?;
    }
    let head = head.to_ascii_lowercase();
    let expected_headers = behaviour
        .split([';', ','])
        .filter(|part| part.contains(": "));
    for header in expected_headers.map(|part| part.trim().to_ascii_lowercase()) {
        let header = header.trim_end_matches(" sent");
        check(header, head.lines().any(|line| line == header))?;
    }
    // These hold for every reply.
    check("no CORS header", !head.contains("access-control-"))?;
    check("no cookie", !head.contains("set-cookie"))?;
    check(
        "no code, state or markup on the page",
        !page.contains(STATE) && !page.contains("code=a") && !page.contains("<script"),
    )?;
    check(
        "the page does not repeat the event",
        event.len() < 8 || !page.contains(event),
    )
}

fn bind_address() -> Verdict {
    let listener = Listener::bind().map_err(text)?;
    let url = Url::parse(listener.redirect_uri().as_str()).map_err(text)?;
    check("a loopback address", url.is_loopback())?;
    check("a port of the system's choice", url.port() > 1023)?;
    let second = Listener::bind().map_err(text)?;
    let other = Url::parse(second.redirect_uri().as_str()).map_err(text)?;
    check(
        "another port for another listener",
        url.port() != other.port(),
    )?;
    // A port in use is refused: there is no second listener beside the first.
    check_equal("a taken port", Listener::bind_on(url.port()).is_err(), true)
}

/// A connection that sends very slowly does not delay others, and is dropped eventually.
fn slow_connection(waiting: WaitingListener) -> Verdict {
    let mut stream = TcpStream::connect(waiting.address).map_err(text)?;
    stream.write_all(b"GET /cb").map_err(text)?;
    let other = waiting.send(&format!(
        "GET /favicon.ico HTTP/1.1\r\nHost: {}\r\n\r\n",
        waiting.host
    ))?;
    check("others are served", other.starts_with("HTTP/1.1 404"))?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(text)?;
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .map_err(|error| format!("not dropped: {error}"))?;
    let _ = stream.shutdown(Shutdown::Both);
    let reply = waiting.send(&waiting.valid_callback(""))?;
    check(
        "the flow was still pending",
        reply.starts_with("HTTP/1.1 200"),
    )?;
    waiting.check_outcome("code=a")
}

/// The wait ends at its deadline if the user never returns.
fn deadline() -> Verdict {
    let waiting = WaitingListener::start(Duration::from_millis(50))?;
    let outcome = waiting
        .outcome
        .join()
        .map_err(|_| "the listener panicked")?;
    check_equal(
        "outcome",
        outcome.map_err(|error| error.code()),
        Err("lost"),
    )?;
    check(
        "connection refused",
        TcpStream::connect(waiting.address).is_err(),
    )
}

/// Only http and https URLs are accepted as [`Url`], and the browser gets the URL as one argument.
fn open_url() -> Verdict {
    for hostile in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "a:$(cmd.exe /c whoami)",
        "-oProxyCommand=x",
    ] {
        check("not a URL to open", Url::parse(hostile).is_err())?;
    }
    let url = Url::parse("https://as.example/authorize?a=$(id)&b=';|&c=%20")
        .or_else(|_| Url::parse("https://as.example/authorize?a=$(id)&b=';&c=%20"));
    let url = url.map_err(text)?;
    let dir = std::env::temp_dir().join(format!("oauth-open-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(text)?;
    let (program, seen) = (dir.join("browser"), dir.join("seen"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$1\" > '{0}.part' && mv '{0}.part' '{0}'\n",
        seen.display()
    );
    std::fs::write(&program, script).map_err(text)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).map_err(text)?;
    browser::open_with(&program.to_string_lossy(), &url).map_err(text)?;
    let arguments = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::read_to_string(&seen).ok()
    });
    let _ = std::fs::remove_dir_all(&dir);
    check_equal("arguments", arguments, Some(format!("1\n{url}\n")))
}
