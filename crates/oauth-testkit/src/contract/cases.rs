//! The cases of the driver contract: how the hostile server behaves, and what the driver must return then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::error::{Delivery, Error};
use tokio::net::TcpSocket;

use super::hostile::{Hostile, Visit, contains};
use super::{CAP, FAILURES_ARE_LOST, NO_LOG, NO_REDIRECT, Probe, SEND_ONCE, Seen, log_capture};
use crate::REPLY_LIMIT;
use crate::twin::gzip;

const MIB: usize = 1 << 20;
/// The size of one case's endless reply. The socket buffers may hold part of it while the driver does not
/// read: Linux lets the two buffers of a loopback connection grow to some ten megabytes.
const FLOOD_BYTES: usize = 50 * MIB;
const MAX_BUFFERED_BYTES: usize = 16 * MIB;

/// Runs all cases; returns the ways in which each promise was broken.
pub(super) fn run<D>(driver: D) -> BTreeMap<&'static str, Vec<String>>
where
    D: FnMut(Probe) -> Result<Seen, Error>,
{
    let mut trial = ContractRun {
        driver,
        broken: BTreeMap::new(),
    };
    if let Err(reason) = log_capture::install() {
        trial.record_breach(NO_LOG, reason);
    }
    let cases: [(&'static str, Case<D>); 7] = [
        (SEND_ONCE, ContractRun::replies_come_back),
        (NO_REDIRECT, ContractRun::redirects_are_not_followed),
        (CAP, ContractRun::large_replies_are_dropped),
        (CAP, ContractRun::endless_replies_are_dropped),
        (FAILURES_ARE_LOST, ContractRun::connection_failures_are_lost),
        (
            FAILURES_ARE_LOST,
            ContractRun::refused_connections_are_unsent,
        ),
        (SEND_ONCE, ContractRun::check_kept_connections),
    ];
    for (promise, case) in cases {
        if let Err(reason) = case(&mut trial) {
            trial.record_breach(promise, &format!("cannot be checked: {reason}"));
        }
    }
    trial.broken
}

type Case<D> = fn(&mut ContractRun<D>) -> io::Result<()>;

struct ContractRun<D> {
    driver: D,
    broken: BTreeMap<&'static str, Vec<String>>,
}

/// Texts that identify one probe.
struct ProbeMarks {
    credential: String,
    query: String,
    body: String,
    reply: String,
}

impl ProbeMarks {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::SeqCst);
        let mark = |label: &str| format!("testkit{label}{n}mark");
        let (credential, query) = (mark("credential"), mark("query"));
        Self {
            credential,
            query,
            body: mark("body"),
            reply: mark("reply"),
        }
    }

    fn target(&self) -> String {
        format!("/probe?q={}", self.query)
    }

    fn form(&self) -> String {
        format!("grant_type=probe&secret={}", self.body)
    }

    fn request(&self, port: u16) -> http::Request<Bytes> {
        http::Request::post(format!("http://127.0.0.1:{port}{}", self.target()))
            .header("authorization", format!("Bearer {}", self.credential))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(Bytes::from(self.form()))
            .unwrap_or_default()
    }

    /// A complete reply with this status.
    fn reply(&self, status: &str) -> String {
        let body = self.reply_body();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-probe: {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.reply,
            body.len()
        )
    }

    fn reply_body(&self) -> String {
        format!(r#"{{"access_token":"{}"}}"#, self.reply)
    }
}

/// The result of a driver that has dropped a reply.
const LARGE: &str = "Lost with Cause::too_large()";

impl<D: FnMut(Probe) -> Result<Seen, Error>> ContractRun<D> {
    fn record_breach(&mut self, promise: &'static str, breach: &str) {
        let failures = self.broken.entry(promise).or_default();
        // A logging HTTP client does so in every case: it is reported once.
        if !failures.iter().any(|line| line == breach) {
            failures.push(breach.to_owned());
        }
    }

    /// Sends one probe through the driver, while its log records are searched.
    fn send(&mut self, marks: &ProbeMarks, port: u16) -> Result<Seen, Error> {
        let texts = [
            (&marks.credential, "the Authorization header"),
            (&marks.query, "the URL's query"),
            (&marks.body, "the request's body"),
            (&marks.reply, "the reply"),
        ];
        for (text, label) in texts {
            log_capture::watch_for(text, label);
        }
        let result = (self.driver)(Probe::new(marks.request(port)));
        for (text, _) in texts {
            for line in log_capture::take_found(text) {
                self.record_breach(NO_LOG, &format!("logged: {line}"));
            }
        }
        result
    }

    fn replies_come_back(&mut self) -> io::Result<()> {
        for status in ["200 OK", "400 Bad Request", "503 Service Unavailable"] {
            let marks = ProbeMarks::new();
            let reply = marks.reply(status);
            let server = Hostile::start(move |visit| respond_to_all(visit, &reply))?;
            let result = self.send(&marks, server.port);
            self.check_arrived_unchanged(&server, &marks);
            let came_back = matches!(&result, Ok(Seen::Reply(reply))
                if status.starts_with(reply.status().as_str())
                    && reply.body() == marks.reply_body().as_bytes()
                    && reply.headers().get("x-probe").is_some_and(|v| v == marks.reply.as_str()));
            if !came_back {
                let breach = format!(
                    "a reply {status} did not come back as it was sent: {}",
                    describe(&result)
                );
                self.record_breach(SEND_ONCE, &breach);
            }
        }
        Ok(())
    }

    fn check_arrived_unchanged(&mut self, server: &Hostile, marks: &ProbeMarks) {
        let requests = server.requests(&marks.body);
        let [request] = requests.as_slice() else {
            let breach = format!("one POST arrived {} times", requests.len());
            return self.record_breach(SEND_ONCE, &breach);
        };
        let request_line = format!("POST {} HTTP/1.1\r\n", marks.target());
        let credential = format!("Bearer {}\r\n", marks.credential);
        let is_unchanged = request.head.starts_with(&request_line)
            && request.head.contains(&credential)
            && contains(&request.body, marks.form().as_bytes());
        if !is_unchanged {
            self.record_breach(SEND_ONCE, "the request did not arrive unchanged");
        }
    }

    fn redirects_are_not_followed(&mut self) -> io::Result<()> {
        for status in [301, 302, 303, 307, 308] {
            let marks = ProbeMarks::new();
            let target_reply = marks.reply("200 OK");
            let target_server = Hostile::start(move |visit| respond_to_all(visit, &target_reply))?;
            let reply = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:{}/\r\n\
                 content-length: 0\r\n\r\n",
                target_server.port
            );
            let server = Hostile::start(move |visit| respond_to_all(visit, &reply))?;
            let result = self.send(&marks, server.port);
            if !matches!(&result, Ok(Seen::Reply(reply)) if reply.status() == status) {
                self.record_breach(
                    NO_REDIRECT,
                    &format!("a reply {status} became {}", describe(&result)),
                );
            }
            if target_server.connections() > 0 {
                self.record_breach(NO_REDIRECT, &format!("a reply {status} was followed"));
            }
        }
        Ok(())
    }

    fn large_replies_are_dropped(&mut self) -> io::Result<()> {
        // A reply of exactly the limit must not be lost.
        let result = self.reply_with(&reply_of_size(MIB))?;
        if !matches!(&result, Ok(Seen::Reply(reply)) if reply.body().len() == MIB) {
            self.record_breach(
                CAP,
                &format!("a reply of exactly 1 MiB became {}", describe(&result)),
            );
        }
        for size in [MIB + 1, 4 * MIB] {
            let result = self.reply_with(&reply_of_size(size))?;
            if !is_lost(&result, Delivery::TooLarge) {
                self.record_breach(
                    CAP,
                    &format!(
                        "a reply of {size} bytes became {}, not {LARGE}",
                        describe(&result)
                    ),
                );
            }
        }

        let bomb = gzip::zeros(1 << 30);
        let mut reply = head(&format!(
            "content-encoding: gzip\r\ncontent-length: {}",
            bomb.len()
        ));
        reply.extend(bomb);
        let result = self.reply_with(&reply)?;
        // Without decompression it is a small and harmless reply.
        let is_small =
            matches!(&result, Ok(Seen::Reply(r)) if r.body().len() as u64 <= REPLY_LIMIT);
        if !is_small && !is_lost(&result, Delivery::TooLarge) {
            self.record_breach(
                CAP,
                &format!(
                    "gzip that expands to 1 GiB became {}, not {LARGE}",
                    describe(&result)
                ),
            );
        }
        Ok(())
    }

    /// Without a Content-Length, the length is only known by reading.
    fn endless_replies_are_dropped(&mut self) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel();
        let server = Hostile::start(move |mut visit| {
            if visit.read_request() {
                let _ = sender.send(write_endless_reply(&mut visit));
            }
        })?;
        let marks = ProbeMarks::new();
        let result = self.send(&marks, server.port);
        if !is_lost(&result, Delivery::TooLarge) {
            let breach = format!("50 MiB in chunks became {}, not {LARGE}", describe(&result));
            self.record_breach(CAP, &breach);
        }
        // A pool may keep the connection open unread; then writing stalls, which is fine.
        match receiver.recv_timeout(Duration::from_secs(30)) {
            Ok(poured) if poured > MAX_BUFFERED_BYTES => {
                let breach = format!("{} MiB were read of a reply of 50 MiB", poured / MIB);
                self.record_breach(CAP, &breach);
            }
            Ok(_) => {}
            Err(_) => self.record_breach(CAP, "cannot be checked: no request arrived"),
        }
        Ok(())
    }

    fn connection_failures_are_lost(&mut self) -> io::Result<()> {
        let cases: [(&str, &[u8]); 6] = [
            ("a connection cut before any reply", b""),
            (
                "a connection cut within the head",
                b"HTTP/1.1 200 OK\r\ncontent-ty",
            ),
            (
                "a connection cut within the body",
                b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":",
            ),
            (
                "a connection cut between chunks",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
            ),
            (
                "a malformed chunk",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            ),
            (
                "garbage instead of HTTP",
                b"\x00\x01\x02 this is not HTTP at all\r\n\r\n",
            ),
        ];
        for (name, reply) in cases {
            let marks = ProbeMarks::new();
            let server = Hostile::start(move |mut visit: Visit| {
                if visit.read_request() {
                    let _ = visit.write(reply);
                }
            })?;
            let result = self.send(&marks, server.port);
            // The request was read, so "unsent" would invite a second one.
            if !is_lost(&result, Delivery::Unknown) {
                self.record_breach(
                    FAILURES_ARE_LOST,
                    &format!("{name} became {}", describe(&result)),
                );
            }
            let count = server.requests(&marks.body).len();
            if count != 1 {
                self.record_breach(
                    SEND_ONCE,
                    &format!("{name}: the POST arrived {count} times"),
                );
            }
        }
        Ok(())
    }

    fn refused_connections_are_unsent(&mut self) -> io::Result<()> {
        // Bound but not listening: connections are refused, and no other process can use the port.
        let nobody = TcpSocket::new_v4()?;
        nobody.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let result = self.send(&ProbeMarks::new(), nobody.local_addr()?.port());
        if !is_lost(&result, Delivery::Unsent) {
            let breach = format!("a refused connection became {}", describe(&result));
            self.record_breach(FAILURES_ARE_LOST, &breach);
        }
        Ok(())
    }

    /// HTTP clients often repeat a request when a connection from their pool turns out to be closed; a
    /// POST may have been processed by then.
    fn check_kept_connections(&mut self) -> io::Result<()> {
        let cases = [
            ("closed while idle", false),
            ("closed on the second request", true),
        ];
        for (name, reads_second) in cases {
            let (first, second) = (ProbeMarks::new(), ProbeMarks::new());
            let reply = first.reply("200 OK");
            let server = Hostile::start(move |mut visit| {
                if visit.read_request() && visit.write(reply.as_bytes()).is_ok() && reads_second {
                    visit.read_request();
                }
            })?;
            // Other cases check whether these succeed.
            let _ = self.send(&first, server.port);
            let result = self.send(&second, server.port);
            let count = server.requests(&second.body).len();
            if count > 1 || count == 0 && matches!(result, Ok(Seen::Reply(_))) {
                let breach = format!("a kept connection {name}: the POST arrived {count} times");
                self.record_breach(SEND_ONCE, &breach);
            }
        }
        Ok(())
    }

    /// Sends one probe to a server with one fixed answer.
    fn reply_with(&mut self, reply: &[u8]) -> io::Result<Result<Seen, Error>> {
        let reply = reply.to_vec();
        let server = Hostile::start(move |mut visit: Visit| {
            if visit.read_request() {
                let _ = visit.write(&reply);
                // Waits for the client to hang up: closing first could cut off what it has not
                // read yet.
                visit.read_request();
            }
        })?;
        Ok(self.send(&ProbeMarks::new(), server.port))
    }
}

fn respond_to_all(mut visit: Visit, reply: &str) {
    while visit.read_request() && visit.write(reply.as_bytes()).is_ok() {}
}

fn head(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n").into_bytes()
}

fn reply_of_size(size: usize) -> Vec<u8> {
    let mut reply = head(&format!("content-length: {size}"));
    reply.resize(reply.len() + size, b' ');
    reply
}

/// Writes the endless reply; returns the number of bytes written.
fn write_endless_reply(visit: &mut Visit) -> usize {
    let mut chunk = String::new();
    // Writing to a String cannot fail.
    let _ = write!(chunk, "{:x}\r\n{}\r\n", 65536, " ".repeat(65536));
    let mut written = 0;
    let mut open = visit.write(&head("transfer-encoding: chunked")).is_ok();
    while open && written < FLOOD_BYTES {
        open = visit.write(chunk.as_bytes()).is_ok();
        written += 65536;
    }
    if open {
        let _ = visit.write(b"0\r\n\r\n");
    }
    written
}

fn is_lost(result: &Result<Seen, Error>, delivery: Delivery) -> bool {
    matches!(result, Ok(Seen::Lost(cause)) if cause.delivery() == delivery)
}

fn describe(result: &Result<Seen, Error>) -> String {
    match result {
        Ok(seen) => format!("{seen:?}"),
        Err(error) => format!("a driver error ({error})"),
    }
}
