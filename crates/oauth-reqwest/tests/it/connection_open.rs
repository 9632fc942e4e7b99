//! APIs that need no authorization, and one that later requires it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oauth_core::{ClientMetadata, danger};
use oauth_reqwest::ResourceConnection;

use crate::support::{TEST_TIMEOUT, browse, driver, start_twin};

/// An API that needs no token until it is `protected`; then its server is the one at `issuer`.
struct Api {
    base: String,
    protected: Arc<AtomicBool>,
    /// The request lines, and whether each request had an `Authorization` header.
    seen: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Api {
    fn start(issuer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            protected: Arc::default(),
            seen: Arc::default(),
        };
        let (seen, protected) = (Arc::clone(&api.seen), Arc::clone(&api.protected));
        let metadata = format!(
            r#"{{"resource":"{}/mcp","authorization_servers":["{issuer}"]}}"#,
            api.base
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length, mut has_token) = (String::new(), 0, false);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim_end().split_once(": ") else {
                        break;
                    };
                    has_token |= name.eq_ignore_ascii_case("authorization");
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.parse().unwrap();
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let is_protected = protected.load(Ordering::SeqCst);
                let (status, body) = match first.contains("/mcp ") && !first.contains("well-known")
                {
                    true if has_token || !is_protected => ("200 OK", "served"),
                    true => ("401 Unauthorized", ""),
                    false if is_protected => ("200 OK", metadata.as_str()),
                    false => ("404 Not Found", ""),
                };
                seen.lock()
                    .unwrap()
                    .push((first.trim_end().to_owned(), has_token));
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        api
    }

    fn url(&self) -> String {
        format!("{}/mcp", self.base)
    }

    fn times(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tokio::test]
async fn an_api_without_authorization_is_called_without_a_token() {
    let twin = start_twin();
    let (api, logins) = (Api::start(twin.base()), Arc::new(AtomicUsize::new(0)));
    let request = danger::loopback_connect_request(&api.url()).unwrap();
    let issuer = danger::loopback_issuer(twin.base()).unwrap();
    let request = request.allow([issuer]);
    let request = request.register(ClientMetadata::of_native_app("Notes"));
    let opened = Arc::clone(&logins);
    let connection = ResourceConnection::new(driver(), request)
        .sign_in_timeout(TEST_TIMEOUT)
        .open(move |url| {
            opened.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(browse(url.as_str().to_owned()));
            Ok(())
        });
    let refused = connection.token().await.map(drop);
    assert_eq!(
        refused.map_err(|error| error.code()),
        Err("connect.not_protected")
    );
    let before = api.times();
    for _ in 0..3 {
        let post = connection.authorized().post(&api.url()).body("hello");
        let reply = post.send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "served");
    }
    // The result is cached.
    assert_eq!(api.times() - before, 3);
    assert!(
        api.seen
            .lock()
            .unwrap()
            .iter()
            .all(|(_, has_token)| !has_token)
    );
    let elsewhere = format!("{}/elsewhere", api.base);
    let elsewhere = connection.authorized().get(&elsewhere).send().await;
    assert_eq!(elsewhere.unwrap_err().code(), "resource.not_covered");

    // Later it requires authorization.
    api.protected.store(true, Ordering::SeqCst);
    let post = connection.authorized().post(&api.url()).body("hello");
    assert_eq!(post.send().await.unwrap().text().await.unwrap(), "served");
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    assert!(api.seen.lock().unwrap().last().unwrap().1);
}
