//! Nanoseconds and allocations of the two things a client does most, beside the plainest code
//! that makes the same bytes: `cargo bench -p oauth-core`.
//!
//! Both sides run in turns in one process, on inputs that change, and are checked to agree. The
//! figure to keep is the ratio, at most 1.25.

#![allow(clippy::indexing_slicing, reason = "a benchmark, not the library")]

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use oauth_core::issuer::{Issuer, RedirectUri};
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope, Step,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const ID: &str = "s6BhdRkqt3";
const SECRET: &str = "7Fjfp0ZBr1KtDRbnfVdmIw";
const ROUNDS: usize = 400;
const BATCH: usize = 500;

fn main() -> Result<(), Error> {
    let server = Server::new(Issuer::parse("https://server.example.com")?)
        .with_endpoint(EndpointKind::Token, "https://server.example.com/token")?
        .with_endpoint(
            EndpointKind::Authorization,
            "https://server.example.com/authorize",
        )?;
    let client = Client::new(server, ClientId::new(ID), ClientAuth::basic(SECRET))?;
    let scopes: Vec<String> = (0..16).map(|n| format!("read:{n} write:{n}")).collect();
    let mut all_ok = true;

    for (name, token) in [
        ("140 B reply", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        ("1.6 kB reply", "e".repeat(1500)),
    ] {
        let reply = Bytes::from(format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"read write","note":"x"}}"#
        ));
        let ours = |n: usize| client_credentials(&client, &scopes[n % 16], &reply);
        let floor = |n: usize| plain_client_credentials(&scopes[n % 16], &reply);
        assert_eq!(ours(3), floor(3), "both sides make the same bytes");
        all_ok &= compare(
            &format!("client_credentials, build and read, {name}"),
            ours,
            floor,
        );
    }

    let redirect_uri = RedirectUri::parse("https://client.example.com/cb")?;
    let ours = |n: usize| authorization_url(&client, &redirect_uri, &scopes[n % 16]);
    let floor = |n: usize| plain_authorization_url(&scopes[n % 16]);
    assert_eq!(
        ours(3).len(),
        floor(3).len(),
        "both sides make URLs of one shape"
    );
    all_ok &= compare(
        "authorization URL with PKCE and state, fresh randomness",
        ours,
        floor,
    );

    println!(
        "{}",
        if all_ok {
            "within 1.25 of the floor"
        } else {
            "OVER 1.25 times the floor"
        }
    );
    std::process::exit(i32::from(!all_ok));
}

/// Median nanoseconds of both sides, run in turns, and the allocations of one call.
fn compare<T>(name: &str, ours: impl Fn(usize) -> T, floor: impl Fn(usize) -> T) -> bool {
    let time = |run: &dyn Fn(usize) -> T| {
        let start = Instant::now();
        for n in 0..BATCH {
            black_box(run(black_box(n)));
        }
        start.elapsed().as_nanos() as f64 / BATCH as f64
    };
    let (mut us, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        us.push(time(&ours));
        plain.push(time(&floor));
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (us, plain) = (median(us), median(plain));
    let count = |run: &dyn Fn(usize) -> T| {
        allocation_counter::measure(|| drop(black_box(run(5)))).count_total
    };
    let ratio = us / plain;
    println!("{name}");
    println!("  ours  {us:7.0} ns  {:2} allocations", count(&ours));
    println!("  floor {plain:7.0} ns  {:2} allocations", count(&floor));
    println!("  ratio {ratio:7.2}");
    ratio <= 1.25
}

type Outcome = (Bytes, String, Option<u64>);

fn client_credentials(client: &Client, scope: &str, reply: &Bytes) -> Outcome {
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32]);
    let run = || -> Result<Outcome, Error> {
        let mut exchange = client.client_credentials(Scope::parse(scope)?);
        let body = match exchange.resume(&at, Input::Begin)? {
            Step::Send(request) => request.into_body(),
            _ => Bytes::new(),
        };
        match exchange.resume(&at, Input::Reply(json(reply)))? {
            Step::Done(tokens) => Ok((
                body,
                tokens.access_token.expose().clone(),
                tokens.expires_in,
            )),
            _ => Ok((body, String::new(), None)),
        }
    };
    run().unwrap_or_default()
}

fn json(reply: &Bytes) -> Response<Bytes> {
    let mut response = Response::new(reply.clone());
    let value = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, value);
    response
}

/// What the reply says, for the plain reader; it keeps what a client needs, as ours does.
#[derive(Deserialize)]
struct Reply {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

fn plain_client_credentials(scope: &str, reply: &Bytes) -> Outcome {
    let run = || -> Option<Outcome> {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let body = Bytes::from(serde_urlencoded::to_string(form).ok()?);
        let encoded =
            |text: &str| serde_urlencoded::to_string([("", text)]).map(|pair| pair[1..].to_owned());
        let pair = format!("{}:{}", encoded(ID).ok()?, encoded(SECRET).ok()?);
        let request = Request::post("https://server.example.com/token")
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {}", STANDARD.encode(pair)))
            .body(body)
            .ok()?;
        let body = black_box(request).into_body();
        let response = json(reply);
        let read: Reply = serde_json::from_slice(response.body()).ok()?;
        let is_bearer = read.token_type.eq_ignore_ascii_case("bearer");
        black_box((
            &read.scope,
            &read.refresh_token,
            &read.id_token,
            &read.extra,
        ));
        is_bearer.then_some((body, read.access_token, read.expires_in))
    };
    run().unwrap_or_default()
}

fn authorization_url(client: &Client, redirect_uri: &RedirectUri, scope: &str) -> String {
    let run = || -> Result<String, Error> {
        let ask = AuthorizationRequest::new(redirect_uri.clone()).scope(Scope::parse(scope)?);
        let (url, pending) = client.authorize(&Moment::system()?, ask)?;
        black_box(pending);
        Ok(url.as_str().to_owned())
    };
    run().unwrap_or_default()
}

fn plain_authorization_url(scope: &str) -> String {
    let mut random = [0; 64];
    if getrandom::fill(&mut random).is_err() {
        return String::new();
    }
    let (state, verifier) = (
        URL_SAFE_NO_PAD.encode(&random[..32]),
        URL_SAFE_NO_PAD.encode(&random[32..]),
    );
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let query = [
        ("response_type", "code"),
        ("client_id", ID),
        ("redirect_uri", "https://client.example.com/cb"),
        ("scope", scope),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    black_box((verifier, std::time::SystemTime::now()));
    format!("https://server.example.com/authorize?{query}")
}
