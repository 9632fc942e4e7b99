//! A blocking driver over one TCP connection, with every fault it might have.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use bytes::Bytes;
use http::{Request, Response};
use oauth_core::error::{Cause, Delivery, Error};
use oauth_core::exchange::{Exchange as _, Input, Step};
use oauth_core::moment::{Moment, UnixTime};
use oauth_testkit::contract::{Probe, Seen};

#[allow(dead_code)] // each test file has its own
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverFault {
    None,
    KeepsAlive,
    SendsTwice,
    RetriesWhenCut,
    RetriesOnDeadConnection,
    DropsAuthorization,
    FailsOnErrorStatus,
    FollowsRedirects,
    ReadsAll,
    ReadsAllThenComplains,
    Truncates,
    Expands,
    ReturnsErrors,
    SaysUnsent,
    AcceptsHalfBodies,
    LogsHeads,
    LogsUrls,
    LogsReplies,
}

pub(crate) type KeptConnection = Option<(TcpStream, String)>;

const MAX_REPLY_BYTES: usize = 1 << 20;

/// The run loop, for an exchange that only sends.
pub(crate) fn drive(
    mut probe: Probe,
    fault: DriverFault,
    cache: &mut KeptConnection,
) -> Result<Seen, Error> {
    let at = Moment::fixed(UnixTime::from_secs(0), [0; 32]);
    let mut input = Input::Begin;
    loop {
        input = match probe.resume(&at, input)? {
            Step::Send(request) => match with_fault(request, fault, cache) {
                Ok(reply) => Input::Reply(reply),
                Err(cause)
                    if fault == DriverFault::ReturnsErrors
                        && cause.delivery() != Delivery::TooLarge =>
                {
                    return Err(Error::lost(cause));
                }
                Err(cause) => Input::Lost(cause),
            },
            Step::Done(seen) => return Ok(seen),
            Step::Sleep(_) | Step::Sign(_) | Step::Verify(_) => unreachable!("a probe only sends"),
        };
    }
}

fn with_fault(
    mut request: Request<Bytes>,
    fault: DriverFault,
    cache: &mut KeptConnection,
) -> Result<Response<Bytes>, Cause> {
    let request_copy = request.clone();
    match fault {
        DriverFault::DropsAuthorization => drop(request.headers_mut().remove("authorization")),
        DriverFault::LogsHeads => log::debug!("sending {:?}", request.headers()),
        DriverFault::LogsUrls => log::trace!("sending {}", request.uri()),
        DriverFault::SendsTwice => drop(send(request.clone(), fault, cache)),
        _ => {}
    }
    let had_connection = cache.is_some();
    let mut result = send(request, fault, cache);
    let retries = match fault {
        DriverFault::RetriesWhenCut => true,
        DriverFault::RetriesOnDeadConnection => had_connection,
        _ => false,
    };
    if retries && matches!(&result, Err(cause) if cause.delivery() == Delivery::Unknown) {
        result = send(request_copy.clone(), fault, cache);
    }
    let reply = match result {
        Err(_) if fault == DriverFault::SaysUnsent => return Err(unsent_unless_large(result)),
        other => other?,
    };
    if fault == DriverFault::LogsReplies {
        log::info!("got {:?}", reply.body());
    }
    if fault == DriverFault::FailsOnErrorStatus && reply.status().as_u16() >= 400 {
        return Err(Cause::unknown("HTTP error"));
    }
    if fault == DriverFault::FollowsRedirects && reply.status().is_redirection() {
        let location = reply.headers()["location"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let mut next = request_copy;
        *next.uri_mut() = location;
        return send(next, fault, cache);
    }
    Ok(reply)
}

fn unsent_unless_large(result: Result<Response<Bytes>, Cause>) -> Cause {
    match result {
        Err(cause) if cause.delivery() == Delivery::TooLarge => cause,
        _ => Cause::unsent("never mind"),
    }
}

fn keeps_alive(fault: DriverFault) -> bool {
    matches!(
        fault,
        DriverFault::KeepsAlive | DriverFault::RetriesOnDeadConnection
    )
}

fn send(
    request: Request<Bytes>,
    fault: DriverFault,
    cache: &mut KeptConnection,
) -> Result<Response<Bytes>, Cause> {
    let authority = request.uri().authority().unwrap().to_string();
    let mut stream = match cache.take() {
        Some((stream, to)) if to == authority => stream,
        _ => TcpStream::connect(&authority).map_err(Cause::unsent)?,
    };
    let path = request.uri().path_and_query().unwrap();
    let mut bytes = format!(
        "{} {path} HTTP/1.1\r\nhost: {authority}\r\n",
        request.method()
    );
    for (name, value) in request.headers() {
        bytes += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    bytes += &format!("content-length: {}\r\n\r\n", request.body().len());
    let bytes = [bytes.as_bytes(), request.body()].concat();
    stream.write_all(&bytes).map_err(Cause::unknown)?;
    let reply = receive(&mut stream, fault)?;
    if keeps_alive(fault) {
        *cache = Some((stream, authority));
    }
    Ok(reply)
}

fn receive(stream: &mut TcpStream, fault: DriverFault) -> Result<Response<Bytes>, Cause> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut bytes)?;
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).map_err(Cause::unknown)?;
    let mut reply = Response::builder();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3));
    reply = reply.status(status.ok_or_else(not_http)?);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        reply = reply.header(name, value);
    }
    let mut reply = reply.body(Bytes::new()).map_err(Cause::unknown)?;
    let headers = reply.headers();
    let limit = match fault {
        DriverFault::ReadsAll | DriverFault::ReadsAllThenComplains => usize::MAX,
        _ => MAX_REPLY_BYTES,
    };
    let read = if headers.contains_key("transfer-encoding") {
        read_chunked(stream, &mut body, limit)
    } else {
        let length = headers["content-length"].to_str().unwrap().parse().unwrap();
        read_sized(stream, &mut body, length, limit)
    };
    match read {
        Err(cause)
            if fault == DriverFault::AcceptsHalfBodies && cause.delivery() == Delivery::Unknown => {
        }
        Err(cause) if fault == DriverFault::Truncates && cause.delivery() == Delivery::TooLarge => {
            body.truncate(MAX_REPLY_BYTES);
        }
        other => other?,
    }
    if fault == DriverFault::ReadsAllThenComplains && body.len() > MAX_REPLY_BYTES {
        return Err(Cause::too_large());
    }
    if fault == DriverFault::Expands && headers.contains_key("content-encoding") {
        // A sixteenth of a gibibyte suffices.
        let mut expanded = Vec::new();
        let decoder = flate2::read::GzDecoder::new(&body[..]);
        decoder
            .take(64 << 20)
            .read_to_end(&mut expanded)
            .map_err(Cause::unknown)?;
        body = expanded;
    }
    *reply.body_mut() = body.into();
    Ok(reply)
}

fn read_sized(
    stream: &mut TcpStream,
    body: &mut Vec<u8>,
    length: usize,
    limit: usize,
) -> Result<(), Cause> {
    if length > limit {
        return Err(Cause::too_large());
    }
    while body.len() < length {
        read_more(stream, body)?;
    }
    Ok(())
}

fn read_chunked(stream: &mut TcpStream, body: &mut Vec<u8>, limit: usize) -> Result<(), Cause> {
    let mut rest = std::mem::take(body);
    loop {
        let line = loop {
            if let Some(end) = find(&rest, b"\r\n") {
                break end;
            }
            read_more(stream, &mut rest)?;
        };
        let size = std::str::from_utf8(&rest[..line]).map_err(Cause::unknown)?;
        let size = usize::from_str_radix(size, 16).map_err(Cause::unknown)?;
        rest.drain(..line + 2);
        while rest.len() < size + 2 {
            read_more(stream, &mut rest)?;
        }
        body.extend(rest.drain(..size));
        rest.drain(..2);
        if body.len() > limit {
            return Err(Cause::too_large());
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), Cause> {
    let mut buffer = [0; 65536];
    match stream.read(&mut buffer) {
        Ok(0) => Err(Cause::unknown(io::Error::from(
            io::ErrorKind::UnexpectedEof,
        ))),
        Ok(count) => {
            bytes.extend(&buffer[..count]);
            Ok(())
        }
        Err(error) => Err(Cause::unknown(error)),
    }
}

fn not_http() -> Cause {
    Cause::unknown("this is not HTTP/1.1")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
