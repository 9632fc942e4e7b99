use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use oauth_core::client_auth::SignedSecret;
use oauth_core::error::{Cause, Delivery, Error};
use oauth_core::exchange::SendBy;
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Moment, Scope, Step};
use oauth_reqwest::Options;
use oauth_session::TokenDriver as _;
use oauth_testkit::{Fault, contract};

use crate::support::{confidential, counters, driver, driver_with, server, start_twin};

#[test]
fn the_async_driver_meets_the_driver_contract() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let driver = driver();
    contract::assert(|probe| runtime.block_on(driver.run(probe)));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_limited() {
    let served = start_twin();
    let driver = driver_with(Options::default().in_flight_per_origin(2));
    let client = confidential(&served);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (driver, exchange) = (driver.clone(), client.client_credentials(Scope::none()));
        callers.spawn(async move { driver.run(exchange).await.map(drop) });
    }
    for result in callers.join_all().await {
        result.unwrap();
    }
    assert_eq!(served.with(|twin| twin.counters().token_requests), 40);
    // Two are in use; the pool also opens one ahead while it waits for another, and keeps two idle.
    assert!(served.open_connections_peak() <= 6);
}

/// Servers close idle connections, Node.js after five seconds: a request on a connection that is being closed is
/// lost.
#[tokio::test]
async fn idle_connections_are_closed_after_the_idle_timeout() {
    assert!(Options::default().idle_timeout < Duration::from_secs(5));
    for (options, expected) in [
        (Options::default(), 1),
        (Options::default().idle_timeout(Duration::ZERO), 3),
    ] {
        let served = start_twin();
        let (driver, client) = (driver_with(options), confidential(&served));
        for _ in 0..3 {
            driver
                .run(client.client_credentials(Scope::none()))
                .await
                .unwrap();
        }
        assert_eq!(served.connections(), expected);
    }
}

async fn lost_error(driver: &oauth_reqwest::Driver, client: &Client) -> (Delivery, Error) {
    let exchange = client.client_credentials(Scope::none());
    let error = driver.run(exchange).await.unwrap_err();
    assert!(error.code().starts_with("lost"), "{error}");
    (error.cause().unwrap().delivery(), error)
}

#[tokio::test]
async fn a_slow_response_body_times_out() {
    let served = start_twin();
    let driver = driver_with(Options::default().timeout(Duration::from_millis(100)));
    served.with(|twin| {
        twin.inject(Fault::SlowBody {
            millis_per_byte: 60,
        })
    });
    let (reach, error) = lost_error(&driver, &confidential(&served)).await;
    assert_eq!((reach, error.code()), (Delivery::Unknown, "lost.timeout"));
}

/// A request that waits longer would have no time left for its response, and its fate would be unknown.
#[tokio::test]
async fn a_request_waits_for_its_turn_at_most_half_its_timeout() {
    let served = start_twin();
    let options = Options::default().timeout(Duration::from_secs(1));
    let driver = driver_with(options.in_flight_per_origin(1));
    assert_eq!(driver.longest(), Duration::from_secs(1));
    served.with(|twin| {
        twin.inject(Fault::SlowBody {
            millis_per_byte: 60,
        })
    });
    let client = confidential(&served);
    let (first, second) = tokio::join!(lost_error(&driver, &client), lost_error(&driver, &client));
    assert_eq!(
        (first.0, first.1.code()),
        (Delivery::Unknown, "lost.timeout")
    );
    assert_eq!(
        (second.0, second.1.code()),
        (Delivery::Unsent, "lost.unsent")
    );
    assert_eq!(counters(&served).token_requests, 1);
}

#[tokio::test]
async fn a_request_that_was_never_sent_is_reported_as_unsent() {
    let served = start_twin();
    // The server does not speak TLS, and the name does not resolve.
    let tls = served.base().replace("http:", "https:");
    for base in [tls.as_str(), "https://nobody.invalid"] {
        let client = Client::new(
            server(base),
            ClientId::new("id"),
            ClientAuth::post("S3CR3T"),
        );
        let (reach, error) = lost_error(&driver(), &client.unwrap()).await;
        assert_eq!(reach, Delivery::Unsent, "{error:?}");
    }
    assert!(served.with(|twin| twin.log().is_empty()));
}

#[tokio::test]
async fn errors_contain_no_url_secrets() {
    let served = start_twin();
    served.with(|twin| twin.inject(Fault::LostReply));
    /// `GET`s one URL with a secret in it.
    struct Ask(String);
    impl Exchange for Ask {
        type Output = ();
        fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<()>, Error> {
            match input {
                Input::Lost(cause) => Err(Error::lost(cause)),
                _ => Ok(Step::Send(
                    http::Request::get(self.0.as_str())
                        .body(Bytes::new())
                        .unwrap(),
                )),
            }
        }
    }
    for base in [served.base(), "https://nobody.invalid", "ftp://a.invalid"] {
        let endpoint = Ask(format!("{base}/cb?code=S3CR3T"));
        let error = driver().run(endpoint).await.unwrap_err();
        let mut text = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(next) = source {
            text += &format!(" {next} {next:?}");
            source = next.source();
        }
        assert!(!text.contains("S3CR3T"), "{text}");
    }
}

#[tokio::test]
async fn requests_have_a_user_agent_and_accept_gzip() {
    let served = start_twin();
    let exchange = confidential(&served).client_credentials(Scope::none());
    driver().run(exchange).await.unwrap();
    served.with(|twin| {
        let entry = &twin.log()[0];
        let version = env!("CARGO_PKG_VERSION");
        let user_agent = format!("oauth-core/{version}");
        assert_eq!(entry.header("user-agent"), Some(user_agent.as_str()));
        assert_eq!(entry.header("accept-encoding"), Some("gzip"));
        assert_eq!(entry.header("referer"), None);
    });
}

#[tokio::test]
async fn a_signer_callback_signs_the_client_secret() {
    let served = start_twin();
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "key-1"));
    let client = Client::new(server(served.base()), ClientId::new("id"), auth).unwrap();

    let (reach, _) = lost_error(&driver(), &client).await;
    assert_eq!(reach, Delivery::Unsent);

    let failing = driver().with_signer(|_| async { Err(Cause::unsent("the HSM is asleep")) });
    let (reach, _) = lost_error(&failing, &client).await;
    assert_eq!(reach, Delivery::Unsent);
    assert!(served.with(|twin| twin.log().is_empty()));

    let requested = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&requested);
    let signing = driver().with_signer(move |job| {
        *seen.lock().unwrap() = Some(job.key_id);
        async { Ok(Bytes::from_static(&[7; 64])) }
    });
    // The client is unknown to the twin; the test is only that a signed secret arrived.
    let exchange = client.client_credentials(Scope::none());
    let error = signing.run(exchange).await.unwrap_err();
    assert_eq!(error.code(), "denied.invalid_client");
    assert_eq!(requested.lock().unwrap().as_deref(), Some("key-1"));
    served.with(|twin| {
        let secret = twin.log()[0].form("client_secret").unwrap();
        assert_eq!(secret.split('.').count(), 3);
        assert!(secret.ends_with(".BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw"));
    });
}

/// Plain http must not leave the machine, so it never uses a proxy.
#[tokio::test]
async fn plain_http_never_uses_a_proxy() {
    let (served, proxy) = (start_twin(), start_twin());
    let through = oauth_reqwest::reqwest::Proxy::all(proxy.base()).unwrap();
    let builder = oauth_reqwest::reqwest::Client::builder().proxy(through);
    let driver = oauth_reqwest::Driver::new(builder).unwrap();
    let exchange = confidential(&served).client_credentials(Scope::none());
    driver.run(exchange).await.unwrap();
    assert_eq!(proxy.connections(), 0);
}

/// A request whose turn came too late is not sent: another worker may have sent the same token by
/// then.
#[tokio::test]
async fn a_request_past_its_send_deadline_is_not_sent() {
    struct ExpiredRequest(String, SendBy);
    impl Exchange for ExpiredRequest {
        type Output = u16;
        fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<u16>, Error> {
            match input {
                Input::Lost(cause) => Err(Error::lost(cause)),
                Input::Reply(reply) => Ok(Step::Done(reply.status().as_u16())),
                _ => {
                    let mut request = http::Request::new(Bytes::new());
                    *request.uri_mut() = self.0.parse().unwrap();
                    request.extensions_mut().insert(self.1);
                    Ok(Step::Send(request))
                }
            }
        }
    }
    let served = start_twin();
    let url = format!("{}/nothing", served.base());
    let now = Moment::system().unwrap().now();
    let past = SendBy(now.before(Duration::from_secs(2)));
    let error = driver()
        .run(ExpiredRequest(url.clone(), past))
        .await
        .unwrap_err();
    assert_eq!(error.cause().unwrap().delivery(), Delivery::Unsent);
    assert!(served.with(|twin| twin.log().is_empty()));
    let soon = SendBy(now.after(Duration::from_secs(60)));
    assert!(driver().run(ExpiredRequest(url, soon)).await.is_ok());
}
