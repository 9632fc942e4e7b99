//! An HTTP server that records POST requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A recorded POST request.
pub(crate) struct PostRequest {
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// Its URL, which ends in this path, and the received requests, each answered with this status line.
pub(crate) fn mailbox(path: &str, status: &'static str) -> (String, Receiver<PostRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(posted) = receive(stream, status) else {
                break;
            };
            if sender.send(posted).is_err() {
                break;
            }
        }
    });
    (format!("http://{address}{path}"), receiver)
}

fn receive(stream: TcpStream, status: &str) -> Option<PostRequest> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization) = (0, None);
    for line in reader.by_ref().lines().map_while(Result::ok) {
        let Some((name, value)) = line.split_once(':') else {
            if line.is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = String::new();
    reader
        .by_ref()
        .take(length)
        .read_to_string(&mut body)
        .ok()?;
    let length = if status.starts_with("204") {
        ""
    } else {
        "Content-Length: 0\r\n"
    };
    let response = format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n");
    reader.get_mut().write_all(response.as_bytes()).ok()?;
    Some(PostRequest {
        authorization,
        body,
    })
}
