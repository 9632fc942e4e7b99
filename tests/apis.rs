//! The core's rules for API calls against the twins, without sockets and without sleeping: pauses are
//! entries in a calendar.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use oauth_core::flow::resource::{
    Allowance, Api, Clock, Event, OnRateLimit, ResourceRequest, Step,
};
use oauth_core::moment::UnixTime;
use oauth_core::{Moment, Tokens};
use oauth_providers::{TokenOwner, provider};
use oauth_testkit::Twin;
use proptest::prelude::*;

const START: u64 = 1_750_000_000;
const WAIT: OnRateLimit = OnRateLimit::Wait {
    longest: Duration::from_secs(600),
};
const USERTESTING: &str = "http://127.0.0.1:1";
const RESULTS: &str = "http://127.0.0.1:1/api/v2/sessionResults/?testId=1";
const SOCIOS: &str = "http://127.0.0.1:2";

fn clock(elapsed: Duration) -> Clock {
    Clock {
        moment: Moment::fixed(UnixTime::from_secs(START + elapsed.as_secs()), [7; 32]),
        elapsed,
    }
}

/// Sends one request to a twin at this time.
fn send(
    twin: &mut Twin,
    elapsed: Duration,
    request: http::request::Builder,
    body: Bytes,
) -> (StatusCode, HeaderMap, Bytes) {
    let at = clock(elapsed).moment;
    let request = request.body(body).expect("a request");
    let (parts, body) = twin.answer(&at, request).into_parts();
    (parts.status, parts.headers, body)
}

fn usertesting() -> (Twin, Api, Tokens) {
    let mut twin = Twin::usertesting(USERTESTING);
    let token = twin.console_token(UnixTime::from_secs(START));
    let preset = provider("usertesting").expect("a preset");
    let api = preset.on_loopback(USERTESTING).and_then(|p| p.api());
    (twin, api.expect("an API"), Tokens::bearer(token))
}

enum ScheduledEvent {
    Ask(Event<'static>),
    Arrive,
    Reply(StatusCode, HeaderMap),
}

/// Runs fifty callers at once; returns the order in which they were answered, and the times of the
/// refusals.
fn fifty(api: &Api, twin: &mut Twin, tokens: &Tokens) -> (Vec<usize>, Vec<Duration>) {
    let latency = Duration::from_millis(40);
    let new = |_| ResourceRequest::new(api, Method::GET, RESULTS).on_rate_limit(WAIT);
    let mut requests: Vec<_> = (0..50).map(new).collect();
    let mut calendar = BTreeMap::new();
    let mut number = 0;
    let mut plan =
        |calendar: &mut BTreeMap<_, _>, time: Duration, caller: usize, due: ScheduledEvent| {
            number += 1;
            calendar.insert((time, number), (caller, due));
        };
    for caller in 0..50 {
        plan(
            &mut calendar,
            Duration::ZERO,
            caller,
            ScheduledEvent::Ask(Event::Begin),
        );
    }
    let (mut succeeded, mut refused) = (Vec::new(), Vec::new());
    while let Some(((time, _), (caller, due))) = calendar.pop_first() {
        let request = &mut requests[caller];
        let step = match due {
            ScheduledEvent::Ask(event) => request.resume(&clock(time), event),
            ScheduledEvent::Arrive => {
                let token = format!("Bearer {}", tokens.access_token.expose());
                let http_request = http::Request::get(RESULTS).header(AUTHORIZATION, token);
                let (status, headers, _) = send(twin, time, http_request, Bytes::new());
                plan(
                    &mut calendar,
                    time + latency,
                    caller,
                    ScheduledEvent::Reply(status, headers),
                );
                continue;
            }
            ScheduledEvent::Reply(status, headers) => {
                if status == StatusCode::TOO_MANY_REQUESTS {
                    refused.push(time);
                } else {
                    assert_eq!(status, StatusCode::OK);
                }
                request.resume(&clock(time), Event::Reply(status, &headers))
            }
        };
        match step.expect("no caller waits too long") {
            Step::Wait(pause) => {
                plan(
                    &mut calendar,
                    time + pause,
                    caller,
                    ScheduledEvent::Ask(Event::Elapsed),
                );
            }
            Step::Token(_) => {
                let sent = request.resume(&clock(time), Event::Token(tokens));
                assert!(matches!(sent, Ok(Step::Send { .. })), "{sent:?}");
                plan(
                    &mut calendar,
                    time + latency,
                    caller,
                    ScheduledEvent::Arrive,
                );
            }
            Step::Done => succeeded.push(caller),
            step => panic!("{step:?}"),
        }
    }
    (succeeded, refused)
}

#[test]
fn fifty_callers_stay_within_ten_calls_a_minute_in_order() {
    let (mut twin, api, tokens) = usertesting();
    let preset = provider("usertesting").expect("a preset");
    let documented = preset.rate_limit().and_then(|limit| limit.allowance);
    let allowance = documented.expect("a documented rate limit");
    assert_eq!(allowance, Allowance::new(10, 60));
    let (succeeded, refused) = fifty(&api.keeping(allowance), &mut twin, &tokens);
    assert_eq!(refused, [] as [Duration; 0]);
    assert_eq!(succeeded, (0..50).collect::<Vec<_>>());
    assert_eq!(twin.counters().api_429, 0);
}

#[test]
fn without_a_client_side_limit_one_burst_is_refused_and_retried() {
    let (mut twin, api, tokens) = usertesting();
    let (succeeded, refused) = fifty(&api, &mut twin, &tokens);
    assert_eq!(refused.len(), 40);
    assert!(
        refused.iter().all(|when| when.as_secs() == 0),
        "{refused:?}"
    );
    assert_eq!(succeeded, (0..50).collect::<Vec<_>>());
}

/// A Socios twin with a token of the application and of a user.
struct Socios {
    twin: Twin,
    application: Tokens,
    user: Tokens,
}

impl Socios {
    fn new() -> Self {
        let mut twin = Twin::socios(SOCIOS);
        let application = twin.console_token(UnixTime::from_secs(START));
        Self {
            user: login(&mut twin),
            application: Tokens::bearer(application),
            twin,
        }
    }

    /// The twin's status and the owner of the token that was sent; or the error if nothing was sent.
    fn get(&mut self, path: &str) -> Result<(u16, TokenOwner), &'static str> {
        let preset = provider("socios").expect("a preset");
        let api = preset.on_loopback(SOCIOS).and_then(|p| p.api());
        let api = api.and_then(|api| api.with_owners([TokenOwner::Application, TokenOwner::User]));
        let url = format!("{SOCIOS}{path}");
        let mut request = ResourceRequest::new(&api.expect("an API"), Method::GET, &url);
        let now = clock(Duration::ZERO);
        let owner = match request.resume(&now, Event::Begin) {
            Ok(Step::Token(owner)) => owner,
            Ok(step) => panic!("{step:?}"),
            Err(error) => return Err(error.code()),
        };
        let tokens = match owner {
            TokenOwner::User => &self.user,
            _ => &self.application,
        };
        let Ok(Step::Send {
            url,
            authorization: Some(authorization),
            ..
        }) = request.resume(&now, Event::Token(tokens))
        else {
            panic!("the request is not sent");
        };
        let http_request = http::Request::get(url.as_str()).header(AUTHORIZATION, authorization);
        let (status, ..) = send(&mut self.twin, Duration::ZERO, http_request, Bytes::new());
        Ok((status.as_u16(), owner))
    }
}

/// A user's tokens, by the code grant.
fn login(twin: &mut Twin) -> Tokens {
    let callback = "https://app.example/callback";
    let id = twin.client_id().to_owned();
    let url = format!(
        "{SOCIOS}/oauth2/authorize?response_type=code&client_id={id}&redirect_uri={callback}&state=s"
    );
    let (_, headers, _) = send(twin, Duration::ZERO, http::Request::get(url), Bytes::new());
    let location = headers["location"].to_str().expect("a URL");
    let (_, query) = location.split_once('?').expect("a query");
    let query: BTreeMap<String, String> = serde_urlencoded::from_str(query).expect("a form");
    let secret = twin.client_secret().to_owned();
    let form = serde_urlencoded::to_string([
        ("grant_type", "authorization_code"),
        ("code", query["code"].as_str()),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
        ("redirect_uri", callback),
    ]);
    let request = http::Request::post(format!("{SOCIOS}/oauth2/token"))
        .header("content-type", "application/x-www-form-urlencoded");
    let (_, _, body) = send(twin, Duration::ZERO, request, form.expect("a form").into());
    let reply: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    Tokens::bearer(reply["access_token"].as_str().expect("a token"))
}

const WRONG_TOKEN: u16 = 403;

#[test]
fn socios_routes_get_the_token_of_their_owner() {
    let mut socios = Socios::new();
    for (path, expected) in [
        ("/user", TokenOwner::User),
        ("/users", TokenOwner::Application),
        ("/poll/user-1", TokenOwner::Application),
        ("/user/polls", TokenOwner::User),
        ("/%75ser/polls", TokenOwner::User),
        ("/User/polls", TokenOwner::Application),
        ("/polls?by=/user/", TokenOwner::Application),
    ] {
        let (status, owner) = socios.get(path).expect("it is sent");
        assert_eq!(owner, expected, "{path}");
        assert_ne!(status, WRONG_TOKEN, "{path}");
    }
    for path in ["/polls%2Fuser", "/user;a=1", "/%2575ser"] {
        assert_eq!(socios.get(path), Err("resource.route_ambiguous"), "{path}");
    }
    assert_eq!(socios.get("/user/../polls"), Err("url.syntax"));
}

proptest! {
    /// The twin, which parses paths independently, never gets the wrong token, regardless of the path.
    #[test]
    fn a_route_never_gets_the_wrong_token(
        segments in prop::collection::vec(
            prop_oneof![
                Just("user".to_owned()),
                Just("%75ser".to_owned()),
                Just("u%73e%72".to_owned()),
                Just("User".to_owned()),
                Just("users".to_owned()),
                Just("user-1".to_owned()),
                Just("user;v=1".to_owned()),
                Just("a%2Fuser".to_owned()),
                Just("%2575ser".to_owned()),
                Just("a%5Cuser".to_owned()),
                Just("polls".to_owned()),
                Just(String::new()),
                Just("%2e%2e".to_owned()),
                "[a-zA-Z0-9._~%;!$&'()*+,=:@-]{0,8}",
            ],
            0..6,
        ),
        query in prop_oneof![
            Just(String::new()),
            Just("?next=/user/".to_owned()),
            Just("?user".to_owned()),
        ],
    ) {
        let path = format!("/{}{query}", segments.join("/"));
        match Socios::new().get(&path) {
            Ok((status, _)) => prop_assert_ne!(status, WRONG_TOKEN, "{}", path),
            Err(code) => prop_assert!(
                matches!(code, "resource.route_ambiguous" | "url.syntax"),
                "{}: {}", path, code
            ),
        }
    }
}
