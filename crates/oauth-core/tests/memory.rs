//! The memory that a reply of the maximum size may use, with any content.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use oauth_core::endpoint::MAX_REPLY;
use oauth_core::endpoint::introspection::Introspection;
use oauth_core::exchange::Boxed;
use oauth_core::issuer::Issuer;
use oauth_core::jose::KeySet;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    Client, ClientAuth, ClientId, Error, Exchange, ExchangeExt as _, Input, Moment, Scope, Step,
    discover,
};

const PEAK: u64 = 16 << 20;

/// One mebibyte, and the cost of an empty reply.
const KEPT: i64 = (1 << 20) + (4 << 10);

/// The memory of a key set while a client keeps it.
const KEPT_KEYS: i64 = 2 << 20;

/// Keeps the output of any exchange.
struct Kept(#[expect(dead_code, reason = "held, not read")] Box<dyn std::any::Any>);

fn keep_output<T: 'static>(exchange: impl Exchange<Output = T> + Send + 'static) -> Boxed<Kept> {
    exchange
        .and_then(|_, output| Ok(Kept(Box::new(output))))
        .boxed()
}

fn exchanges() -> [Boxed<Kept>; 4] {
    let server = Server::new(Issuer::parse("https://as.example").unwrap())
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .and_then(|server| {
            server.with_endpoint(EndpointKind::Introspection, "https://as.example/introspect")
        });
    let auth = ClientAuth::basic("hunter22");
    let client = Client::new(server.unwrap(), ClientId::new("id"), auth).unwrap();
    let token = client.refresh_token("r1", Scope::none());
    [
        keep_output(client.client_credentials(Scope::none())),
        keep_output(client.refresh(&token)),
        keep_output(client.introspect(Introspection::new("t"))),
        keep_output(discover(Issuer::parse("https://as.example").unwrap())),
    ]
}

/// `start`, then `part` as often as it fits, then `end`.
fn filled_body(start: &str, part: &str, end: &str) -> String {
    let room = MAX_REPLY - start.len() - end.len();
    format!("{start}{}{end}", part.repeat(room / part.len()))
}

fn bodies() -> Vec<(&'static str, String)> {
    let starts = [
        r#"{"error":"x","#,
        r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r2","active":true,"issuer":"https://as.example","#,
    ];
    let json = "application/json";
    let mut bodies = Vec::new();
    for start in starts {
        for (member, part, end) in [
            (r#""z":["#, r#"{"":0},"#, "0]}"),
            (r#""z":["#, "[],", "0]}"),
            (r#""z":["#, "{},", "0]}"),
            (r#""z":["#, "0,", "0]}"),
            (r#""z":["#, r#""","#, "0]}"),
            (r#""z":["#, "[[[[[[[[[[]]]]]]]]]],", "0]}"),
            (r#""z":""#, "x", r#""}"#),
            (r#""z":""#, r"\n", r#""}"#),
            (r#""scope":""#, "a ", r#""}"#),
            (r#""scope":["#, r#""a","#, r#""a"]}"#),
            (r#""aud":["#, r#""a","#, r#""a"]}"#),
            (r#""error_description":""#, "x", r#""}"#),
            (r#""scopes_supported":["#, r#""a","#, r#""a"]}"#),
            (r#""z":1e999,"y":""#, "x", r#""}"#),
        ] {
            bodies.push((json, filled_body(&format!("{start}{member}"), part, end)));
        }
        let distinct: String = (0..140_000).map(|n| format!("{n} ")).collect();
        bodies.push((json, format!(r#"{start}"scope":"{distinct}"}}"#)));
        for count in [1000, 4000] {
            let one = |n| format!(r#""m{n}":{{"a":[0]}}"#);
            let members: Vec<_> = (0..count).map(one).collect();
            bodies.push((json, format!("{start}{}}}", members.join(","))));
        }
    }
    let form = "application/x-www-form-urlencoded";
    let start = "access_token=a&token_type=bearer&";
    bodies.push((form, filled_body("error=x&", "a&", "")));
    bodies.push((form, filled_body(&format!("{start}z="), "%41", "")));
    bodies.push((form, filled_body(&format!("{start}scope="), "a+", "")));
    bodies.push(("text/html", filled_body("<html>", "<p>x", "</html>")));
    bodies
}

/// A key set may contain more values than any other reply, and is kept as long as the client.
#[test]
fn parsed_key_sets_stay_within_their_memory_limits() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},"#;
    let sets = [("[],", "0]}"), ("0,", "0]}"), (key, "{}]}")];
    for (part, end) in sets {
        for values in [16_000, 1 << 20] {
            let start = r#"{"keys":["#;
            let room = MAX_REPLY - start.len() - end.len();
            let count = (room / part.len()).min(values / (1 + part.matches(':').count()));
            let body = format!("{start}{}{end}", part.repeat(count));
            let mut cache: Option<Result<_, Error>> = None;
            let spent = allocation_counter::measure(|| cache = Some(KeySet::parse(&body)));
            assert!(
                spent.bytes_max <= PEAK,
                "{part}: {} KiB",
                spent.bytes_max >> 10
            );
            assert!(
                spent.bytes_current <= KEPT_KEYS,
                "{part}: {} KiB kept",
                spent.bytes_current >> 10
            );
        }
    }
}

#[test]
fn replies_of_one_mebibyte_stay_within_their_memory_limit() {
    for (media, body) in bodies() {
        assert!(body.len() <= MAX_REPLY);
        for status in [200, 400] {
            for (at, exchange) in exchanges().into_iter().enumerate() {
                check(exchange, media, &body, status, at);
            }
        }
    }
}

fn check(mut exchange: Boxed<Kept>, media: &'static str, body: &str, status: u16, which: usize) {
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [9; 32]);
    let Ok(Step::Send(_)) = exchange.resume(&at, Input::Begin) else {
        panic!("a request")
    };
    let mut reply = Response::new(Bytes::from(body.to_owned()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    let media = HeaderValue::from_static(media);
    reply.headers_mut().insert("content-type", media);
    let mut cache: Option<Result<Step<Kept>, Error>> = None;
    // The exchange drops the reply, so its body counts as freed.
    let spent = allocation_counter::measure(|| {
        cache = Some(exchange.resume(&at, Input::Reply(reply)));
    });
    let start: String = body.chars().take(120).collect();
    assert!(
        spent.bytes_max <= PEAK,
        "exchange {which}, {status}, {start}: {} KiB at its peak",
        spent.bytes_max >> 10
    );
    let bytes = spent.bytes_current + i64::try_from(body.len()).unwrap();
    assert!(
        bytes <= KEPT,
        "exchange {which}, {status}, {start}: {} KiB kept",
        bytes >> 10
    );
}
