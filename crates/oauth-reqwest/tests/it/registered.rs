//! Logins with a fully registered redirect URI, and callbacks that fail or are pasted.

use std::net::SocketAddr;
use std::sync::mpsc;

use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Moment, PendingAuthorization, Secret,
};
#[cfg(feature = "blocking")]
use oauth_reqwest::blocking;
use oauth_reqwest::loopback::{Listener, UnexpectedCallback};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TEST_TIMEOUT, server};

fn uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).unwrap()
}

fn pending(listener: &Listener) -> PendingAuthorization {
    flow(listener.redirect_uri())
}

fn flow(redirect_uri: &RedirectUri) -> PendingAuthorization {
    let client = Client::new(
        server("http://127.0.0.1:9"),
        ClientId::new("id"),
        ClientAuth::none(),
    );
    let request = AuthorizationRequest::new(redirect_uri.clone());
    let now = Moment::system().unwrap();
    client.unwrap().authorize(&now, request).unwrap().1
}

fn port_of(uri: &RedirectUri) -> u16 {
    let rest = uri.as_str().rsplit_once(':').unwrap().1;
    rest.split(['/', '?']).next().unwrap().parse().unwrap()
}

fn valid_callback(pending: &PendingAuthorization) -> String {
    let uri = pending.redirect_uri().as_str();
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}code=C0DE&state={}", pending.state().expose())
}

/// Requests a URL of the listener at this address of its host.
async fn visit(url: &str, address: SocketAddr) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let at = rest.find(['/', '?']).unwrap();
    let (host, target) = rest.split_at(at);
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {slash}{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

/// A free port.
async fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap().port()
}

#[tokio::test]
async fn the_registered_redirect_uri_is_used_unchanged() {
    for form in ["/", "", "/a/b", "/cb?tenant=a", "?tenant=a/b"] {
        let port = free_port().await;
        let registered = uri(&format!("http://127.0.0.1:{port}{form}"));
        let listener = Listener::for_redirect_uri(&registered).await.unwrap();
        assert_eq!(listener.redirect_uri(), &registered);
        let flow = pending(&listener);
        let url = valid_callback(&flow);
        let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
        let reply = visit(&url, ([127, 0, 0, 1], port).into()).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{form}: {reply}");
        waiting.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_redirect_uri_without_a_port_gets_a_free_one() {
    let listener = Listener::for_redirect_uri(&uri("http://127.0.0.1/cb"))
        .await
        .unwrap();
    let port = port_of(listener.redirect_uri());
    let expected = format!("http://127.0.0.1:{port}/cb");
    assert_eq!(listener.redirect_uri().as_str(), expected);
    let taken = Listener::for_redirect_uri(listener.redirect_uri())
        .await
        .unwrap_err();
    assert_eq!(taken.code(), "listener.unavailable");
}

#[tokio::test]
async fn localhost_means_both_loopback_addresses_and_nothing_else() {
    let addresses = |port| -> [SocketAddr; 2] {
        [
            ([127, 0, 0, 1], port).into(),
            ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
        ]
    };
    let has_v6 = TcpListener::bind("[::1]:0").await.is_ok();
    for which in 0..if has_v6 { 2 } else { 1 } {
        let listener = Listener::for_redirect_uri(&uri("http://localhost/cb"))
            .await
            .unwrap();
        let port = port_of(listener.redirect_uri());
        let flow = pending(&listener);
        let url = valid_callback(&flow);
        assert!(url.starts_with(&format!("http://localhost:{port}/cb?")));
        let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
        let address = addresses(port)[which];
        // Only under its own name.
        let other = visit(&url.replace("localhost", "127.0.0.1"), address).await;
        assert!(other.starts_with("HTTP/1.1 403"), "{other}");
        let reply = visit(&url, address).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert_eq!(waiting.await.unwrap().unwrap(), url);
    }
    if has_v6 {
        // A program with the port in one address family would get callbacks.
        let other = TcpListener::bind("[::1]:0").await.unwrap();
        let port = other.local_addr().unwrap().port();
        let taken = Listener::for_redirect_uri(&uri(&format!("http://localhost:{port}/cb"))).await;
        assert_eq!(taken.unwrap_err().code(), "listener.unavailable");
    }
}

#[tokio::test]
async fn a_redirect_uri_on_another_machine_is_refused() {
    for elsewhere in [
        "https://app.example/cb",
        "https://127.0.0.1:1/cb",
        "https://localhost/cb",
        "com.example.app:/cb",
    ] {
        let refused = Listener::for_redirect_uri(&uri(elsewhere))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "redirect_uri.refused", "{elsewhere}");
    }
}

#[tokio::test]
async fn a_callback_of_another_login_is_reported_immediately() {
    let (sender, receiver) = mpsc::channel();
    let listener = Listener::bind().await.unwrap();
    let listener = listener.on_stray(move |stray| sender.send(stray).unwrap());
    let port = port_of(listener.redirect_uri());
    let flow = pending(&listener);
    let address = ([127, 0, 0, 1], port).into();
    let (url, base) = (
        valid_callback(&flow),
        flow.redirect_uri().as_str().to_owned(),
    );
    let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
    for (wrong, stray) in [
        ("?code=a&state=other", UnexpectedCallback::Callback),
        (
            "?error=access_denied&state=other",
            UnexpectedCallback::Callback,
        ),
        ("?code=a", UnexpectedCallback::Callback),
        (
            "?error=access_denied&error_description=no",
            UnexpectedCallback::Refusal,
        ),
    ] {
        let reply = visit(&format!("{base}{wrong}"), address).await;
        assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
        let page = match stray {
            UnexpectedCallback::Refusal => "has refused a login",
            _ => "The login has failed",
        };
        assert!(reply.contains(page), "{reply}");
        assert_eq!(receiver.recv().unwrap(), stray);
    }
    let reply = visit(&format!("{base}/other"), address).await;
    assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
    assert!(
        receiver.try_recv().is_err(),
        "requests for icons are not reported"
    );
    assert!(visit(&url, address).await.contains("has arrived"));
    waiting.await.unwrap().unwrap();
}

/// Anyone can send one, so it does not end the login; but the error at the end mentions it.
#[tokio::test]
async fn a_refusal_without_state_is_reported_at_the_timeout() {
    for (came, text) in [
        (&[][..], "did not return"),
        (&["?code=a&state=other"], "other logins"),
        (
            &["?code=a&state=other", "?error=access_denied"],
            "an error without `state`",
        ),
    ] {
        let (sender, receiver) = mpsc::channel();
        let listener = Listener::bind().await.unwrap();
        let listener = listener.on_stray(move |stray| sender.send(stray).unwrap());
        let port = port_of(listener.redirect_uri());
        let flow = pending(&listener);
        let base = flow.redirect_uri().as_str().to_owned();
        let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
        for query in came {
            visit(&format!("{base}{query}"), ([127, 0, 0, 1], port).into()).await;
        }
        tokio::task::yield_now().await;
        tokio::time::pause();
        tokio::time::advance(TEST_TIMEOUT).await;
        let error = waiting.await.unwrap().unwrap_err();
        tokio::time::resume();
        assert_eq!(error.code(), "lost.no_callback");
        let cause = error.cause().unwrap().to_string();
        assert!(cause.contains(text), "{cause}");
        assert_eq!(receiver.iter().count(), came.len());
    }
}

/// The page says what the login finds in the same callback: names may be escaped, and a parameter without a value is as
/// good as none (RFC 6749 section 3.1).
#[tokio::test]
async fn the_page_reports_whether_the_server_refused() {
    for (response, text) in [
        ("error=access_denied", "the server refuses it"),
        ("%65rror=access_denied", "the server refuses it"),
        ("error=&code=C0DE", "The answer has arrived"),
        ("error&code=C0DE", "The answer has arrived"),
    ] {
        let listener = Listener::bind().await.unwrap();
        let port = port_of(listener.redirect_uri());
        let flow = pending(&listener);
        let url = valid_callback(&flow).replace("code=C0DE", response);
        let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
        let reply = visit(&url, ([127, 0, 0, 1], port).into()).await;
        assert!(reply.contains(text), "{response}: {reply}");
        assert!(!reply.contains("access_denied"), "{reply}");
        assert_eq!(waiting.await.unwrap().unwrap(), url);
    }
}

/// A host's name is the same in any case (RFC 9110 section 4.2.3); the callback is at the URI of the flow.
#[tokio::test]
async fn the_host_is_compared_case_insensitively() {
    let listener = Listener::for_redirect_uri(&uri("http://localhost/cb"))
        .await
        .unwrap();
    let port = port_of(listener.redirect_uri());
    let flow = pending(&listener);
    let url = valid_callback(&flow);
    let waiting = tokio::spawn(async move { listener.wait(&flow, TEST_TIMEOUT).await });
    let capitals = url.replace("localhost", "LocalHost");
    let reply = visit(&capitals, ([127, 0, 0, 1], port).into()).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert_eq!(waiting.await.unwrap().unwrap(), url);
}

/// No error is defined for the return from a logout, so the page says nothing of a login.
#[tokio::test]
async fn the_page_of_a_logout_does_not_report_a_login() {
    let listener = Listener::bind().await.unwrap();
    let port = port_of(listener.redirect_uri());
    let url = format!("{}?state=s1&error=x", listener.redirect_uri().as_str());
    let state = Secret::from("s1");
    let waiting = tokio::spawn(async move { listener.wait_for_logout(&state, TEST_TIMEOUT).await });
    let reply = visit(&url, ([127, 0, 0, 1], port).into()).await;
    assert!(reply.contains("The answer has arrived"), "{reply}");
    waiting.await.unwrap().unwrap();
}

/// Over SSH no browser reaches the listener.
#[tokio::test]
async fn the_final_url_of_the_browser_may_be_pasted() {
    type Form = fn(&str) -> String;
    let forms: [Form; 4] = [
        |url| format!("  {url}\n"),
        |url| url.strip_prefix("http://").unwrap().to_owned(),
        |url| url.split_once('?').unwrap().1.to_owned(),
        |url| format!("?{}", url.split_once('?').unwrap().1),
    ];
    for form in forms {
        let (sender, receiver) = mpsc::channel();
        let listener = Listener::bind().await.unwrap();
        let mut listener = listener.on_stray(move |stray| sender.send(stray).unwrap());
        let paste = listener.paste();
        let flow = pending(&listener);
        let url = valid_callback(&flow);
        assert!(paste.give("http://127.0.0.1/?code=a&state=other"));
        assert!(paste.give(""));
        assert!(paste.give(&form(&url)));
        assert_eq!(listener.wait(&flow, TEST_TIMEOUT).await.unwrap(), url);
        assert_eq!(
            receiver.iter().collect::<Vec<_>>(),
            [UnexpectedCallback::Paste]
        );
        assert!(!paste.give(&url), "no login waits any more");
    }
}

#[cfg(feature = "blocking")]
#[test]
fn a_blocking_listener_accepts_a_pasted_url_as_well() {
    let refused = blocking::Listener::for_redirect_uri(&uri("https://app.example/cb")).unwrap_err();
    assert_eq!(refused.code(), "redirect_uri.refused");
    let mut listener = blocking::Listener::for_redirect_uri(&uri("http://127.0.0.1/cb")).unwrap();
    let paste = listener.paste();
    let flow = flow(listener.redirect_uri());
    let url = valid_callback(&flow);
    let hand = url.clone();
    std::thread::spawn(move || paste.give(&hand));
    assert_eq!(listener.wait(&flow, TEST_TIMEOUT).unwrap(), url);
}
