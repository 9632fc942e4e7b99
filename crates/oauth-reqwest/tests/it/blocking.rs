use std::net::TcpListener;
use std::sync::Barrier;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::client_auth::SignedSecret;
use oauth_core::error::Delivery;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Scope, Tokens, danger};
use oauth_reqwest::blocking::{Authorized, Driver, GrantSource, Listener};
use oauth_reqwest::{Options, ResponseExt as _, reqwest};
use oauth_testkit::{Fault, Served, contract};

use crate::support::{
    TEST_TIMEOUT, browse, confidential, counters, expired_tokens, public, server, start_twin,
};

fn driver() -> Driver {
    driver_with(Options::default())
}

fn driver_with(options: Options) -> Driver {
    let builder = reqwest::blocking::Client::builder().no_proxy();
    Driver::with_options(builder, options).unwrap()
}

fn login(client: &Client) -> Tokens {
    let listener = Listener::bind().unwrap();
    let request = AuthorizationRequest::new(listener.redirect_uri().clone())
        .scope(Scope::parse("read write offline_access").unwrap());
    let open = |url: &oauth_core::url::Url| {
        let url = url.as_str().to_owned();
        std::thread::spawn(|| {
            tokio::runtime::Runtime::new()
                .unwrap()
                .block_on(browse(url))
        });
        Ok(())
    };
    listener
        .login(&driver(), client, request, open, TEST_TIMEOUT)
        .unwrap()
        .tokens
}

fn machine(served: &Served) -> GrantSource {
    GrantSource::client_credentials(driver(), &confidential(served), Scope::none())
}

#[test]
fn the_blocking_driver_meets_the_driver_contract() {
    let driver = driver();
    contract::assert(|probe| driver.run(probe));
}

#[test]
fn fifty_threads_cause_one_token_request() {
    let served = start_twin();
    let client = public(server(served.base()), &served);
    let tokens = expired_tokens(&login(&client));
    let before = counters(&served).token_requests;
    let source = GrantSource::refreshing(driver(), &client, tokens).unwrap();
    let start = Barrier::new(50);
    let send = || {
        start.wait();
        source.token().unwrap()
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(send)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        all.iter()
            .all(|tokens| std::ptr::eq::<Tokens>(&**tokens, &*all[0]))
    );
    assert_eq!(counters(&served).token_requests - before, 1);
    assert_eq!(counters(&served).reuse_events, 0);
}

#[test]
fn an_error_ends_only_one_token_request() {
    let served = start_twin();
    let source = machine(&served);
    served.with(|twin| twin.inject(Fault::LostReply));
    assert_eq!(source.token().unwrap_err().code(), "lost.closed");
    let tokens = source.token().unwrap();
    source.invalidate(&tokens);
    assert!(source.renew(&tokens).is_ok());
    assert_eq!(counters(&served).token_requests, 3);
}

#[test]
fn a_401_is_retried_once_unless_the_body_is_a_stream() {
    let served = start_twin();
    let resource = danger::loopback_resource([served.base()]).unwrap();
    let api = Authorized::new(driver(), machine(&served), resource);
    let echo = format!("{}/api/echo", served.base());
    assert_eq!(api.get(&echo).send().unwrap().status(), 200);
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(api.get(&echo).send().unwrap().status(), 200);
    assert_eq!(counters(&served).api_401, 1);

    served.with(|twin| twin.expire_access_tokens());
    let stream = reqwest::blocking::Body::new(std::io::Cursor::new("once"));
    let reply = api.post(&echo).body_stream(stream).send().unwrap();
    assert_eq!((reply.status().as_u16(), reply.retry_after()), (401, None));
    assert_eq!(counters(&served).api_401, 2);
    assert_eq!(api.get(&echo).send().unwrap().status(), 200);
    assert_eq!(counters(&served).token_requests, 3);
}

#[test]
fn a_request_may_have_a_shorter_timeout_than_the_driver() {
    let served = start_twin();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let resource = danger::loopback_resource([served.base(), &silent_url]).unwrap();
    let patient = driver_with(Options::default().timeout(Duration::from_secs(3600)));
    let api = Authorized::new(patient, machine(&served), resource);
    let echo = format!("{}/api/echo", served.base());
    assert_eq!(api.get(&echo).send().unwrap().status(), 200);
    let hurried = api.get(&silent_url).timeout(Duration::ZERO);
    assert_eq!(hurried.send().unwrap_err().code(), "lost.timeout");
}

#[test]
fn requests_in_flight_are_limited() {
    let served = start_twin();
    let driver = driver_with(Options::default().in_flight_per_origin(2));
    let client = confidential(&served);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                driver
                    .run(client.client_credentials(Scope::none()))
                    .unwrap()
            });
        }
    });
    assert!(served.open_connections_peak() <= 6);
}

#[test]
fn a_slow_response_body_times_out() {
    let served = start_twin();
    let driver = driver_with(Options::default().timeout(Duration::from_millis(200)));
    // Each single read is within the timeout.
    served.with(|twin| {
        twin.inject(Fault::SlowBody {
            millis_per_byte: 20,
        })
    });
    let exchange = confidential(&served).client_credentials(Scope::none());
    let error = driver.run(exchange).unwrap_err();
    assert_eq!(error.cause().unwrap().delivery(), Delivery::Unknown);
}

#[test]
fn a_signer_callback_signs_the_client_secret() {
    let served = start_twin();
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "key-1"));
    let client = Client::new(server(served.base()), ClientId::new("id"), auth).unwrap();
    let run = |driver: Driver| {
        let exchange = client.client_credentials(Scope::none());
        driver.run(exchange).unwrap_err().code()
    };
    assert_eq!(run(driver()), "lost.unsent");
    let signing = driver().with_signer(|_| Ok(Bytes::from_static(&[7; 64])));
    assert_eq!(run(signing), "denied.invalid_client");
}

#[test]
fn idle_connections_are_closed_after_the_idle_timeout() {
    let served = start_twin();
    let options = oauth_reqwest::Options::default().idle_timeout(std::time::Duration::ZERO);
    let builder = oauth_reqwest::reqwest::blocking::Client::builder();
    let driver = oauth_reqwest::blocking::Driver::with_options(builder, options).unwrap();
    for _ in 0..2 {
        let exchange = confidential(&served).client_credentials(oauth_core::Scope::none());
        driver.run(exchange).unwrap();
    }
    assert_eq!(served.connections(), 2);
}

#[test]
fn plain_http_bypasses_every_proxy() {
    let (served, proxy) = (start_twin(), start_twin());
    let through = oauth_reqwest::reqwest::Proxy::all(proxy.base()).unwrap();
    let builder = oauth_reqwest::reqwest::blocking::Client::builder().proxy(through);
    let driver = oauth_reqwest::blocking::Driver::new(builder).unwrap();
    driver
        .run(confidential(&served).client_credentials(oauth_core::Scope::none()))
        .unwrap();
    assert_eq!(proxy.connections(), 0);
}
