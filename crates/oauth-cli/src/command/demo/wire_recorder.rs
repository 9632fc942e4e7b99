//! Records the wire between a client and a twin, so that the report shows what was actually sent and received.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::net::header;
use crate::trace::{Received, TracedRequest};

/// The user agent of the headless browser.
pub(super) const BROWSER: &str = "headless-browser";

const MAX_FIELDS: usize = 100;

/// One request and its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordedRequest {
    pub(super) is_browser: bool,
    pub(super) sent: TracedRequest,
    pub(super) received: Option<Received>,
}

/// Every request, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Recording(Arc<Mutex<Vec<RecordedRequest>>>);

impl Recording {
    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.locked().clone()
    }

    /// Records a request, and returns its index.
    pub(super) fn begin(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> usize {
        let mut hops = self.locked();
        hops.push(RecordedRequest {
            is_browser: header(headers, USER_AGENT.as_str()) == BROWSER,
            sent: TracedRequest::new(method, uri, headers, body),
            received: None,
        });
        hops.len() - 1
    }

    /// Records the reply to the request at this index.
    pub(super) fn end(&self, index: usize, received: Received) {
        if let Some(hop) = self.locked().get_mut(index) {
            hop.received = Some(received);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<RecordedRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that forwards everything to a server, and records it.
pub(super) struct WireRecorder {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl WireRecorder {
    /// Starts forwarding what arrives at `listener`.
    pub(super) fn start(
        listener: TcpListener,
        server: SocketAddr,
        hops: Recording,
    ) -> io::Result<Self> {
        let recorder = Self {
            address: listener.local_addr()?,
            is_over: Arc::default(),
        };
        let is_over = Arc::clone(&recorder.is_over);
        std::thread::Builder::new().spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let hops = hops.clone();
                // On an error, one side has closed the connection; the other sees the end of the stream.
                std::thread::spawn(move || hand_on(client, server, &hops));
            }
        })?;
        Ok(recorder)
    }
}

impl Drop for WireRecorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // One more connection wakes the loop up.
        let _ = TcpStream::connect(self.address);
    }
}

/// A free local port, and its base URL.
pub(super) fn listen() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let base = format!("http://{}", listener.local_addr()?);
    Ok((listener, base))
}

/// One connection: a request, its reply, the next request (HTTP/1.1 takes turns).
fn hand_on(client: TcpStream, server: SocketAddr, hops: &Recording) -> io::Result<()> {
    let mut server = BufferedPeer::new(TcpStream::connect(server)?)?;
    let mut client = BufferedPeer::new(client)?;
    while let Some(request) = client.read()? {
        let (method, uri, headers) = request_head(&request.head)?;
        let index = hops.begin(&method, &uri, &headers, &request.body);
        server.write(&request)?;
        let Some(reply) = server.read()? else { break };
        let (status, headers) = reply_head(&reply.head)?;
        hops.end(index, Received::new(status, &headers, &reply.body));
        client.write(&reply)?;
    }
    Ok(())
}

struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// One end of a connection, with what was read and not yet used.
struct BufferedPeer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl BufferedPeer {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let read = Vec::new();
        Ok(Self { stream, read })
    }

    /// The next message; `None` if there is none. Both sides here announce the length of what
    /// they send.
    fn read(&mut self) -> io::Result<Option<Message>> {
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let request_length = head + body_length(self.read.get(..head).unwrap_or_default())?;
        while self.read.len() < request_length {
            if !self.fill()? {
                return Ok(None);
            }
        }
        let rest = self.read.split_off(request_length);
        let mut message = std::mem::replace(&mut self.read, rest);
        let body = message.split_off(head);
        Ok(Some(Message {
            head: message,
            body,
        }))
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 8 << 10];
        let size = self.stream.read(&mut chunk)?;
        self.read
            .extend_from_slice(chunk.get(..size).unwrap_or_default());
        Ok(size > 0)
    }

    fn write(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(&message.head)?;
        self.stream.write_all(&message.body)
    }
}

fn body_length(head: &[u8]) -> io::Result<usize> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let start = head
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    httparse::parse_headers(head.get(start..).unwrap_or_default(), &mut fields)
        .map_err(invalid_data)?;
    let headers = map(&fields);
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(invalid_data("a body of unknown length"));
    }
    match header(&headers, CONTENT_LENGTH.as_str()) {
        "" => Ok(0),
        digits => digits.parse().map_err(invalid_data),
    }
}

fn request_head(head: &[u8]) -> io::Result<(Method, Uri, HeaderMap)> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).map_err(invalid_data)?;
    let method = request
        .method
        .unwrap_or_default()
        .parse()
        .map_err(invalid_data)?;
    let uri = request
        .path
        .unwrap_or_default()
        .parse()
        .map_err(invalid_data)?;
    Ok((method, uri, map(request.headers)))
}

fn reply_head(head: &[u8]) -> io::Result<(StatusCode, HeaderMap)> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut reply = httparse::Response::new(&mut fields);
    reply.parse(head).map_err(invalid_data)?;
    let status = StatusCode::from_u16(reply.code.unwrap_or_default()).map_err(invalid_data)?;
    Ok((status, map(reply.headers)))
}

fn map(fields: &[httparse::Header<'_>]) -> HeaderMap {
    let field = |field: &httparse::Header<'_>| {
        let name: HeaderName = field.name.parse().ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(field) {
        headers.append(name, value);
    }
    headers
}

fn invalid_data(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
