//! The vectors of the group `loopback-listener`, over raw sockets.

use std::time::Duration;

use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Error, Moment};
use oauth_reqwest::loopback::Listener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{TEST_TIMEOUT, server};

/// A listener that waits for the callback of one flow.
struct PendingCallback {
    host: String,
    state: String,
    task: JoinHandle<Result<String, Error>>,
}

impl PendingCallback {
    async fn start() -> Self {
        Self::on(Listener::bind().await.unwrap()).await
    }

    async fn on(listener: Listener) -> Self {
        let client = Client::new(
            server("http://127.0.0.1:9"),
            ClientId::new("id"),
            ClientAuth::none(),
        );
        let listener = listener.at_path("/cb").unwrap();
        let request = AuthorizationRequest::new(listener.redirect_uri().clone());
        let (_, pending) = client
            .unwrap()
            .authorize(&Moment::system().unwrap(), request)
            .unwrap();
        let uri = listener.redirect_uri().as_str();
        let host = uri.strip_prefix("http://").unwrap();
        let host = host.strip_suffix("/cb").unwrap().to_owned();
        let state = pending.state().expose().clone();
        let task = tokio::spawn(async move { listener.wait(&pending, TEST_TIMEOUT).await });
        Self { host, state, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.host).await.unwrap()
    }

    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    async fn get(&self, target: &str, fields: &str) -> String {
        let host = &self.host;
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").as_bytes())
            .await
    }

    fn callback_target(&self) -> String {
        format!("/cb?code=C0DE&state={}", self.state)
    }

    /// Checks that the flow is still pending: its callback is accepted.
    async fn expect_completion(self) -> String {
        let target = self.callback_target();
        let reply = self.get(&target, "").await;
        assert_eq!(status(&reply), "200");
        let callback = self.task.await.unwrap().unwrap();
        assert_eq!(callback, format!("http://{}{target}", self.host));
        reply
    }
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or("none")
}

/// Checks the rules for all replies.
fn assert_reply_rules(reply: &str) {
    let lower = reply.to_ascii_lowercase();
    for field in [
        "connection: close",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
    ] {
        assert!(lower.contains(field), "{field} in {reply}");
    }
    for field in ["access-control-", "set-cookie"] {
        assert!(!lower.contains(field), "{field} in {reply}");
    }
}

#[tokio::test]
async fn lo_bind_listens_on_loopback_only() {
    let one = Listener::bind().await.unwrap();
    let two = Listener::bind().await.unwrap();
    assert_ne!(one.redirect_uri(), two.redirect_uri());
    let uri = one.redirect_uri().as_str();
    let port = uri
        .strip_prefix("http://127.0.0.1:")
        .and_then(|rest| rest.strip_suffix("/callback"))
        .unwrap();
    // A listener on every address would answer here as well. Other systems have no such address.
    if cfg!(target_os = "linux") {
        let other = TcpStream::connect(format!("127.0.0.2:{port}")).await;
        assert!(other.is_err());
    }
    // A port in use is refused.
    let taken = Listener::bind_on(port.parse().unwrap()).await;
    let taken = taken.unwrap_err();
    assert_eq!(taken.code(), "listener.unavailable");
    let message = format!("cannot listen on port {port}: address in use");
    assert_eq!(taken.detail(), Some(message.as_str()));
}

#[tokio::test]
async fn lo_host_evil_is_refused() {
    let wait = PendingCallback::start().await;
    let right = wait.callback_target();
    let port = wait.host.rsplit_once(':').unwrap().1;
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{port}.evil.example"),
        format!("[::1]:{port}"),
        String::new(),
    ] {
        let request = format!("GET {right} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = wait.raw(request.as_bytes()).await;
        assert_eq!(status(&reply), "403", "{host}");
        assert_reply_rules(&reply);
    }
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_host_missing() {
    let wait = PendingCallback::start().await;
    let (right, host) = (wait.callback_target(), wait.host.clone());
    for request in [
        format!("GET {right} HTTP/1.1\r\n\r\n"),
        format!("GET {right} HTTP/1.0\r\n\r\n"),
        format!("GET {right} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"),
        format!("GET {right}\r\n\r\n"),
    ] {
        let reply = wait.raw(request.as_bytes()).await;
        assert_eq!(status(&reply), "400", "{request}");
        assert_reply_rules(&reply);
    }
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_wrong_path() {
    let wait = PendingCallback::start().await;
    let query = wait.callback_target().replace("/cb", "");
    for path in [
        "/favicon.ico",
        "/",
        "/cb/",
        "/cb/..",
        "/CB",
        "//cb",
        "/%63b",
        "/cbx",
    ] {
        let reply = wait.get(&format!("{path}{query}"), "").await;
        assert_eq!(status(&reply), "404", "{path}");
        assert_reply_rules(&reply);
    }
    wait.expect_completion().await;
}

#[tokio::test]
async fn only_get_requests_are_accepted() {
    let wait = PendingCallback::start().await;
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "get"] {
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.example\r\n\
             Access-Control-Request-Method: GET\r\nContent-Length: 4\r\n\r\na=b&",
            wait.callback_target(),
            wait.host
        );
        let reply = wait.raw(request.as_bytes()).await;
        assert_eq!(status(&reply), "405", "{method}");
        assert!(reply.contains("Allow: GET\r\n"));
        assert_reply_rules(&reply);
    }
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_right_and_lo_keepalive() {
    let wait = PendingCallback::start().await;
    let (target, state) = (wait.callback_target(), wait.state.clone());
    let fields = "Connection: keep-alive\r\nCookie: state=planted; session=planted\r\n";
    let reply = wait.get(&target, fields).await;
    assert_eq!(status(&reply), "200");
    assert_reply_rules(&reply);
    assert!(!reply.contains(&state) && !reply.contains("C0DE") && !reply.contains("planted"));
    assert!(wait.task.await.unwrap().is_ok());
}

/// "A server MUST accept the absolute-form in requests" (RFC 9112 section 3.2.2).
#[tokio::test]
async fn an_absolute_request_target_is_accepted_only_for_the_listeners_own_host() {
    let wait = PendingCallback::start().await;
    let (target, host) = (wait.callback_target(), wait.host.clone());
    let elsewhere = format!("GET http://evil.example{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(status(&wait.raw(elsewhere.as_bytes()).await), "403");
    let request = format!("GET http://{host}{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(status(&wait.raw(request.as_bytes()).await), "200");
    assert!(wait.task.await.unwrap().is_ok());
}

#[tokio::test]
async fn lo_origin_of_another_page_does_not_end_the_wait() {
    let wait = PendingCallback::start().await;
    for target in [
        "/cb?code=a&state=guess",
        "/cb?code=a",
        "/cb?error=access_denied&state=guess",
        "/cb",
        "/cb?",
    ] {
        let reply = wait.get(target, "Origin: https://evil.example\r\n").await;
        assert_eq!(status(&reply), "400", "{target}");
        assert_reply_rules(&reply);
    }
    let twice = format!("/cb?code=a&state={0}&state={0}", wait.state);
    assert_eq!(status(&wait.get(&twice, "").await), "400");
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_second_callback_is_not_served() {
    let wait = PendingCallback::start().await;
    // A connection from before the callback is not served afterwards.
    let mut early = wait.connect().await;
    let mut first = wait.connect().await;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
        wait.callback_target(),
        wait.host
    );
    first.write_all(request.as_bytes()).await.unwrap();
    let mut byte = [0];
    assert_eq!(first.read(&mut byte).await.unwrap(), 1);
    // Not even during the response to the first.
    assert!(TcpStream::connect(&wait.host).await.is_err());
    let _ = early.write_all(request.as_bytes()).await;
    let mut rest = Vec::new();
    let _ = early.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    drop(first);
    assert!(wait.task.await.unwrap().is_ok());
}

#[tokio::test]
async fn lo_slowloris() {
    let listener = Listener::bind().await.unwrap();
    let wait = PendingCallback::on(listener.with_header_timeout(Duration::from_millis(300))).await;
    let mut slow = wait.connect().await;
    slow.write_all(b"GET /cb?").await.unwrap();
    assert_eq!(status(&wait.get("/favicon.ico", "").await), "404");
    // Sending single bytes does not extend the timeout, which starts with the connection.
    let mut byte = [0];
    loop {
        tokio::select! {
            read = slow.read(&mut byte) => {
                assert!(matches!(read, Ok(0) | Err(_)));
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                let _ = slow.write_all(b"a").await;
            }
        }
    }
    wait.expect_completion().await;
}

/// The oldest connections are closed: there may be 32.
#[tokio::test]
async fn idle_connections_do_not_block_the_callback() {
    let listener = Listener::bind().await.unwrap();
    let wait = PendingCallback::on(listener.with_header_timeout(TEST_TIMEOUT)).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(wait.connect().await);
    }
    let mut byte = [0];
    for stream in &mut idle[..60] {
        assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
    }
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_big_headers() {
    let wait = PendingCallback::start().await;
    let host = wait.host.clone();
    let big = "a".repeat(512 << 10);
    let line = wait.get(&format!("/cb?code={big}"), "").await;
    assert_eq!(status(&line), "414");
    let field = wait
        .get(&wait.callback_target(), &format!("Cookie: a={big}\r\n"))
        .await;
    assert_eq!(status(&field), "431");
    let fields = wait
        .get(&wait.callback_target(), &"a: b\r\n".repeat(200))
        .await;
    assert_eq!(status(&fields), "431");
    for reply in [line, field, fields] {
        assert_reply_rules(&reply);
    }
    // Cookies are shared by all ports of this host, so there may be many.
    let cookies = format!("Cookie: a={}\r\n", "a".repeat(32 << 10));
    assert_eq!(status(&wait.get("/other", &cookies).await), "404");
    assert_eq!(wait.host, host);
    wait.expect_completion().await;
}

#[tokio::test]
async fn lo_error_xss() {
    let wait = PendingCallback::start().await;
    let target = format!(
        "/cb?error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cb%3EBOO&state={}",
        wait.state
    );
    let reply = wait.get(&target, "").await;
    assert_eq!(status(&reply), "200");
    assert_reply_rules(&reply);
    assert!(!reply.contains("script") && !reply.contains("alert") && !reply.contains("BOO"));
    assert!(wait.task.await.unwrap().unwrap().ends_with(&target));
}

#[tokio::test]
async fn waiting_without_a_callback_times_out() {
    let listener = Listener::bind().await.unwrap();
    let client = Client::new(
        server("http://127.0.0.1:9"),
        ClientId::new("id"),
        ClientAuth::none(),
    );
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let (_, pending) = client
        .unwrap()
        .authorize(&Moment::system().unwrap(), request)
        .unwrap();
    let error = listener
        .wait(&pending, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "lost.no_callback");
    let cause = error.cause().unwrap();
    assert_eq!(cause.delivery(), oauth_core::error::Delivery::Unsent);
    assert!(cause.to_string().contains("did not return"));
}

#[tokio::test]
async fn an_invalid_callback_path_is_refused() {
    for path in ["cb", "/cb?x=1", "/cb#x", "/a/../b", "@evil.example/", ""] {
        let listener = Listener::bind().await.unwrap();
        let error = listener.at_path(path).unwrap_err();
        assert_eq!(error.code(), "redirect_uri.refused", "{path}");
    }
}
