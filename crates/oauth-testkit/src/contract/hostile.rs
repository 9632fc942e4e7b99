//! The hostile server, whose cases write the bytes of their answers to plain sockets.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time limit of a case: longer than any driver takes on loopback, unless it is broken.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A listener with one thread per connection, all of which end when it is dropped.
pub(super) struct Hostile {
    pub(super) port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

/// A request as received.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// One connection.
pub(super) struct Visit {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Hostile {
    /// Serves every connection with `behave`; the connection closes when it returns.
    pub(super) fn start(behave: impl Fn(Visit) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let shared_state = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hostile".to_owned())
            .spawn(move || {
                let behave = &behave;
                std::thread::scope(|scope| {
                    for stream in listener.incoming() {
                        if shared_state.stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let Ok(visit) = stream.and_then(|stream| Visit::new(stream, &shared_state))
                        else {
                            continue;
                        };
                        scope.spawn(move || behave(visit));
                    }
                    // Wakes threads that wait for another request on a connection kept alive.
                    lock(&shared_state.streams).iter().for_each(|stream| {
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                });
            })?;
        Ok(Self {
            port,
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests whose body contains `mark`.
    pub(super) fn requests(&self, mark: &str) -> Vec<Request> {
        let is_marked = |request: &&Request| contains(&request.body, mark.as_bytes());
        lock(&self.shared.requests)
            .iter()
            .filter(is_marked)
            .cloned()
            .collect()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // One last connection, so that accept returns and sees the flag.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Visit {
    fn new(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Self> {
        stream.set_read_timeout(Some(MAX_WAIT))?;
        stream.set_write_timeout(Some(MAX_WAIT))?;
        stream.set_nodelay(true)?;
        shared.connections.fetch_add(1, Ordering::SeqCst);
        lock(&shared.streams).push(stream.try_clone()?);
        Ok(Self {
            stream,
            shared: Arc::clone(shared),
        })
    }

    /// Reads a whole request and records it. `false` if the client sends no more.
    pub(super) fn read_request(&mut self) -> bool {
        let request = self.request();
        let came = request.is_some();
        lock(&self.shared.requests).extend(request);
        came
    }

    /// Writes until the client stops reading.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn request(&mut self) -> Option<Request> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut bytes)?;
        };
        let mut body = bytes.split_off(head);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let lower = head.to_ascii_lowercase();
        if lower.contains("transfer-encoding: chunked") {
            while find(&body, b"0\r\n\r\n").is_none() {
                self.read_more(&mut body)?;
            }
        } else if let Some((_, rest)) = lower.split_once("\r\ncontent-length:") {
            let length: usize = rest.lines().next()?.trim().parse().ok()?;
            while body.len() < length {
                self.read_more(&mut body)?;
            }
        }
        Some(Request { head, body })
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let mut part = [0; 8192];
        let count = self
            .stream
            .read(&mut part)
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend(part.iter().take(count));
        Some(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // The clone in `streams` would keep the connection open.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    find(bytes, needle).is_some()
}
