//! A host name with two addresses, one of which does not answer (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::{Client, ClientAuth, ClientId, Scope};
use oauth_reqwest::{Driver, Options, Transport, reqwest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{TEST_TIMEOUT, server};

/// A port that does not answer connection attempts, because its queue is full.
struct Hole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Hole {
    async fn open(at: &str) -> Self {
        let at: SocketAddr = at.parse().unwrap();
        let socket = match at {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.unwrap();
        socket.bind(at).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut queue, timeout) = (Vec::new(), Duration::from_millis(200));
        while let Ok(stream) = tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }
}

async fn lost(driver: &Driver, base: &str) -> Error {
    let client = Client::new(
        server(base),
        ClientId::new("id"),
        ClientAuth::post("S3CR3T"),
    );
    let exchange = client.unwrap().client_credentials(Scope::none());
    driver.run(exchange).await.unwrap_err()
}

fn driver(addresses: &[SocketAddr], options: Options) -> Driver {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .resolve_to_addrs("as.example", addresses);
    Driver::with_options(builder, options).unwrap()
}

/// A client that tries the addresses in turn never reaches the second: the first takes longer than the
/// timeout of the request.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_unreachable_address_does_not_delay_the_other() {
    for (hole, valid) in [("[::1]:0", "127.0.0.1:0"), ("127.0.0.1:0", "[::1]:0")] {
        let hole = Hole::open(hole).await;
        let valid = TcpListener::bind(valid).await.unwrap();
        let addresses = [hole.address, valid.local_addr().unwrap()];
        let came = tokio::spawn(async move {
            let (mut stream, _) = valid.accept().await.unwrap();
            // The connection was received, which suffices.
            let _ = stream.write_all(b"no TLS\r\n").await;
        });
        let options = Options::default()
            .connect_timeout(TEST_TIMEOUT)
            .timeout(Duration::from_secs(10));
        let error = lost(&driver(&addresses, options), "https://as.example").await;
        assert_eq!(error.code(), "lost.tls", "{error}");
        came.await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_connection_is_reported_with_the_addresses_tried() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let transport = Transport::default().without_proxy();
    let base = format!("https://localhost:{port}");
    let error = lost(&transport.driver().unwrap(), &base).await;
    assert_eq!(error.code(), "lost.connect");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(
        error.to_string().contains("tried 127.0.0.1, ::1"),
        "{error}"
    );
    let error = lost(&transport.driver().unwrap(), "https://nobody.invalid").await;
    assert_eq!(error.code(), "lost.dns", "{error}");
}
