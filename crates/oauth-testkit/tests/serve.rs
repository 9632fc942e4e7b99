//! Twins on real sockets, over plain HTTP/1.1.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use common::pairs;
use oauth_testkit::{Fault, Served, Twin};
use serde_json::{Value, json};

/// Sends one request and reads until the server closes: status and body, or `None` if it closed
/// without a response.
fn send(served: &Served, head: &str, body: &str) -> Option<(u16, String)> {
    let address = served.base().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head[9..12].parse().unwrap(), body.to_owned()))
}

fn get(served: &Served, path: &str) -> (u16, Value) {
    let (status, body) = send(served, &format!("GET {path} HTTP/1.1"), "").unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn steer(served: &Served, route: &str, body: &str) -> u16 {
    send(served, &format!("POST /_twin/{route} HTTP/1.1"), body)
        .unwrap()
        .0
}

fn token(served: &Served) -> Option<(u16, Value)> {
    let client = get(served, "/_twin/client").1;
    let form = pairs(&[
        ("grant_type", "client_credentials"),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("client_secret", client["client_secret"].as_str().unwrap()),
    ]);
    let head = "POST /token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
    let (status, body) = send(served, head, &form)?;
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

#[test]
fn a_twin_serves_until_it_is_dropped() {
    let served = Served::start(Twin::generic).unwrap();
    assert_eq!(served.with(|twin| twin.base().to_owned()), served.base());
    let (status, reply) = token(&served).unwrap();
    assert_eq!((status, &reply["expires_in"]), (200, &json!(3600)));
    assert_eq!(served.with(|twin| twin.counters().token_requests), 1);
    // One for the client's data, one for the token; each closed before the next.
    assert_eq!(served.connections(), 2);
    assert!(served.open_connections_peak() >= 1);

    let address = served.base().strip_prefix("http://").unwrap().to_owned();
    drop(served);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_chosen_port_is_used() {
    let first = Served::start(Twin::socios).unwrap();
    let port = first.base().rsplit(':').next().unwrap().parse().unwrap();
    assert!(Served::start_on(port, Twin::socios).is_err());
    drop(first);
    let again = Served::start_on(port, Twin::uservoice).unwrap();
    assert!(again.base().ends_with(&format!(":{port}")));
}

#[test]
fn control_routes_change_the_twin() {
    let served = Served::start(Twin::generic).unwrap();
    let client = get(&served, "/_twin/client").1;
    assert_eq!(client["issuer"], served.base());
    assert_eq!(client["public_client_id"], "twin-public");
    assert_eq!(client["redirect_uris"][0], "https://app.example/callback");

    assert_eq!(
        steer(
            &served,
            "fault",
            r#"{"name":"status","status":503,"retry_after":2}"#
        ),
        200
    );
    assert_eq!(token(&served).unwrap().0, 503);
    assert_eq!(steer(&served, "fault", r#"{"name":"earthquake"}"#), 400);
    assert_eq!(steer(&served, "fault", "nonsense"), 400);
    assert_eq!(get(&served, "/_twin/nowhere").0, 404);

    let echo = |token: &Value| {
        let bearer = token["access_token"].as_str().unwrap();
        let head = format!("GET /api/echo HTTP/1.1\r\nauthorization: Bearer {bearer}");
        send(&served, &head, "").unwrap().0
    };
    let (_, first) = token(&served).unwrap();
    assert_eq!(echo(&first), 200);
    assert_eq!(steer(&served, "advance", r#"{"seconds":3600}"#), 200);
    assert_eq!(echo(&first), 401);
    let (_, second) = token(&served).unwrap();
    served.advance(Duration::from_secs(3600));
    assert_eq!(echo(&second), 401);
    let (_, third) = token(&served).unwrap();
    assert_eq!(steer(&served, "expire", ""), 200);
    assert_eq!(echo(&third), 401);

    assert_eq!(get(&served, "/_twin/counters").1["token_requests"], 4);
    let (_, log) = get(&served, "/_twin/log");
    assert_eq!(log[0]["fault"], "status");
    assert_eq!(log.as_array().unwrap().len(), 8);
    let shown = log.to_string();
    assert!(!shown.contains("s3cr") && !shown.contains(third["access_token"].as_str().unwrap()));

    assert_eq!(steer(&served, "deny", ""), 200);
    let query = pairs(&[
        ("client_id", "twin-client"),
        ("redirect_uri", "https://app.example/callback"),
        ("response_type", "code"),
    ]);
    assert_eq!(
        send(&served, &format!("GET /authorize?{query} HTTP/1.1"), "")
            .unwrap()
            .0,
        302
    );
    assert_eq!(served.with(|twin| twin.counters().authorizations), 0);
}

#[test]
fn a_lost_reply_closes_the_connection() {
    let served = Served::start(Twin::generic).unwrap();
    served.with(|twin| twin.inject(Fault::LostReply));
    assert_eq!(token(&served), None);
    assert_eq!(served.with(|twin| twin.log()[0].status), 200);
    assert_eq!(token(&served).unwrap().0, 200);
}

#[test]
fn a_slow_body_arrives_complete() {
    let served = Served::start(Twin::generic).unwrap();
    served.with(|twin| twin.inject(Fault::SlowBody { millis_per_byte: 1 }));
    assert!(token(&served).unwrap().1["access_token"].is_string());
}

#[test]
fn an_oversized_request_is_not_read() {
    let served = Served::start(Twin::generic).unwrap();
    let address = served.base().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // The server may hang up while this is being written.
    let _ = stream.write_all(&vec![b'x'; 2_000_000]);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    assert!(reply.is_empty());
    assert!(served.with(|twin| twin.log().is_empty()));
}

#[test]
fn control_routes_exist_for_browserless_grants() {
    let served = Served::start(Twin::generic).unwrap();
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let key = |jwk: &str| format!(r#"{{"issuer":"robot","jwk":{jwk}}}"#);
    assert_eq!(steer(&served, "register_assertion_key", &key(jwk)), 200);
    assert_eq!(steer(&served, "register_assertion_key", &key("{}")), 400);
    let keys = |jwk: &str| format!(r#"{{"issuer":"https://idp.test","jwks":{{"keys":[{jwk}]}}}}"#);
    assert_eq!(steer(&served, "trust_identity_provider", &keys(jwk)), 200);
    assert_eq!(steer(&served, "trust_identity_provider", &keys("1")), 400);
    let audience = r#"{"issuer":"https://other.test","client_id":"us"}"#;
    assert_eq!(steer(&served, "vouch_to", audience), 200);
    assert_eq!(steer(&served, "vouch_to", "{}"), 400);
    for wrong in [
        r#"{"delivery":"ping"}"#,
        r#"{"delivery":"ping","endpoint":"no way"}"#,
        "{}",
    ] {
        assert_eq!(
            steer(&served, "backchannel_delivery", wrong),
            400,
            "{wrong}"
        );
    }
    let ping = r#"{"delivery":"ping","endpoint":"https://client.test/ping"}"#;
    assert_eq!(steer(&served, "backchannel_delivery", ping), 200);
    assert_eq!(steer(&served, "polling_interval", r#"{"seconds":1}"#), 200);

    let client = get(&served, "/_twin/client").1;
    let form = pairs(&[
        ("scope", "openid"),
        ("login_hint", "alice"),
        (
            "client_notification_token",
            "a-token-of-the-client-with-many-bits",
        ),
        ("client_id", client["client_id"].as_str().unwrap()),
        ("client_secret", client["client_secret"].as_str().unwrap()),
    ]);
    let head = "POST /backchannel_authentication HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
    let (status, begun) = send(&served, head, &form).unwrap();
    let begun: Value = serde_json::from_str(&begun).unwrap();
    assert_eq!((status, &begun["interval"]), (200, &json!(1)));
    assert_eq!(get(&served, "/authentication_device").0, 200);
    let reply = send(&served, "POST /_twin/notifications HTTP/1.1", "")
        .unwrap()
        .1;
    let output: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(
        output,
        json!([{
            "endpoint": "https://client.test/ping",
            "authorization": "Bearer a-token-of-the-client-with-many-bits",
            "body": json!({ "auth_req_id": begun["auth_req_id"] }).to_string(),
        }])
    );
}
