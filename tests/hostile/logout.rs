//! Logout: the modules of OpenID's plans about back-channel logout and the user's return.

use std::sync::Arc;

use oauth_core::flow::logout::{LogoutReply, LogoutRequest, check_return};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::logout_token::LogoutTokenChecks;
use oauth_core::{Moment, Secret};
use oauth_reqwest::reqwest;
use oauth_testkit::twin::LogoutTokenFlaw;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{Party, print_row};

/// The module of OpenID's plans with this flaw, or its source.
fn module(flaw: LogoutTokenFlaw) -> &'static str {
    match flaw {
        LogoutTokenFlaw::Unsigned => "rp-backchannel-rpinitlogout-alg-none",
        LogoutTokenFlaw::OtherAlgorithm => "rp-backchannel-rpinitlogout-wrong-alg",
        LogoutTokenFlaw::MissingEvent => "rp-backchannel-rpinitlogout-no-event",
        LogoutTokenFlaw::OtherEvent => "rp-backchannel-rpinitlogout-wrong-event",
        LogoutTokenFlaw::Nonce => "rp-backchannel-rpinitlogout-with-nonce",
        LogoutTokenFlaw::WrongIssuer => "rp-backchannel-rpinitlogout-wrong-iss",
        LogoutTokenFlaw::WrongAudience => "rp-backchannel-rpinitlogout-wrong-aud",
        _ => "OpenID Connect Back-Channel Logout 2.6",
    }
}

fn expected(flaw: LogoutTokenFlaw) -> &'static str {
    match flaw {
        LogoutTokenFlaw::Unsigned | LogoutTokenFlaw::OtherAlgorithm => "jws.alg_not_allowed",
        LogoutTokenFlaw::MissingEvent
        | LogoutTokenFlaw::MissingId
        | LogoutTokenFlaw::MissingExpiry
        | LogoutTokenFlaw::Nobody => "jwt.missing_claim",
        LogoutTokenFlaw::OtherEvent => "logout_token.event",
        LogoutTokenFlaw::Nonce => "jwt.unexpected_claim",
        LogoutTokenFlaw::WrongIssuer => "jwt.issuer",
        LogoutTokenFlaw::WrongAudience => "jwt.audience",
        LogoutTokenFlaw::Expired => "jwt.expired",
        _ => "a flaw without a row here",
    }
}

/// The application's back-channel logout URI: it reads the token from the form, verifies it, and answers as
/// the library prescribes. Returns its URL, and the codes of its errors.
async fn application(
    party: Arc<Party>,
) -> (String, tokio::sync::mpsc::Receiver<Option<&'static str>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/logout", listener.local_addr().expect("a port"));
    let (sender, codes) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let form = body(&mut stream).await;
            let form: Vec<(String, String)> = serde_urlencoded::from_str(&form).expect("a form");
            let token = form.into_iter().find(|(name, _)| name == "logout_token");
            let token = Secret::new(token.expect("a logout token").1);
            let checks = LogoutTokenChecks::default();
            let exchange = party.client.verify_logout_token(token, checks);
            let result = party.driver.run(exchange).await;
            let reply = LogoutReply::for_result(&result);
            let head = format!(
                "HTTP/1.1 {} -\r\nCache-Control: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                reply.status, reply.cache_control
            );
            stream.write_all(head.as_bytes()).await.expect("an answer");
            let code = result.err().map(|error| error.code());
            sender.send(code).await.expect("somebody asks");
        }
    });
    (url, codes)
}

/// The body of a connection's only request.
async fn body(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.expect("a request");
        read.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let content_length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let content_length: usize = content_length.expect("a length").parse().expect("a number");
        if body.len() >= content_length {
            return body.to_owned();
        }
    }
}

#[tokio::test]
async fn a_flawed_logout_token_gets_400_and_ends_no_session() {
    let party = Arc::new(Party::new().await);
    let (url, mut codes) = application(party.clone()).await;
    let all = LogoutTokenFlaw::ALL.iter().copied().map(Some);
    for flaw in [None].into_iter().chain(all) {
        let now = Moment::system().expect("a clock").now();
        let token = party.served.with(|twin| twin.logout_token(now, flaw));
        let form = serde_urlencoded::to_string([("logout_token", token.expect("a token"))]);
        let post = || {
            let post = reqwest::Client::new().post(&url);
            let post = post.header("content-type", "application/x-www-form-urlencoded");
            post.body(form.clone().expect("a form")).send()
        };
        let status = post().await.expect("an answer").status();
        let seen = codes.recv().await.expect("a verdict");
        let expected_code = flaw.map(expected);
        let name = flaw.map_or("rp-backchannel-rpinitlogout", module);
        print_row(
            name,
            &flaw.map_or("none".into(), |flaw| format!("{flaw:?}")),
            expected_code,
            seen,
        );
        assert_eq!(seen, expected_code, "{flaw:?}");
        assert_eq!(
            status,
            if expected_code.is_some() { 400 } else { 200 },
            "{flaw:?}"
        );
        if flaw.is_none() {
            assert_eq!(post().await.expect("an answer").status(), 400);
            let replayed = codes.recv().await.expect("a verdict");
            assert_eq!(replayed, Some("logout_token.replayed"));
        }
    }
    // A sender of made-up tokens cannot have the client fetch keys at any rate.
    assert_eq!(party.requests("/jwks"), 1);
}

/// rp-init-logout and similar modules: the user returns with the `state` that was sent, a different one, or none.
#[tokio::test]
async fn the_return_from_a_logout_is_verified_by_its_state() {
    let party = Party::new().await;
    let home = RedirectUri::parse("http://127.0.0.1/signed-out").expect("a URI");
    let at = Moment::system().expect("a clock");
    let request = LogoutRequest::returning_to(home, &at).expect("a request");
    let url = party.client.end_session_url(&request).expect("a URL");
    let browser = reqwest::Client::builder().no_proxy();
    let browser = browser.redirect(reqwest::redirect::Policy::none());
    let reply = browser.build().expect("a browser").get(url.as_str()).send();
    let reply = reply.await.expect("a reply");
    let back = reply.headers()["location"]
        .to_str()
        .expect("a URL")
        .to_owned();
    let state = request.state.expect("a state");
    let other = back.replace(state.expose().as_str(), "another");
    let none = back.split('?').next().unwrap_or_default().to_owned();
    for (module, back, expected) in [
        ("oidcc-client-test-rp-init-logout", back, None),
        (
            "oidcc-client-test-rp-init-logout-other-state",
            other,
            Some("logout.state"),
        ),
        (
            "oidcc-client-test-rp-init-logout-no-state",
            none,
            Some("logout.state"),
        ),
    ] {
        let seen = check_return(&back, &state).err().map(|error| error.code());
        print_row(module, "state", expected, seen);
        assert_eq!(seen, expected, "{module}");
    }
}
