use super::*;
use oauth_core::exchange::{Exchange as _, Input, Step};
use oauth_core::issuer::Issuer;
use oauth_core::moment::Moment;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{ClientAuth, ClientId};

#[derive(Debug, Clone)]
struct Handle(Arc<OnceLock<Outcome>>);

impl Handle {
    fn get(&self) -> Option<&Outcome> {
        self.0.get()
    }
}

impl Flight for Handle {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn land(&self, outcome: Outcome) {
        let _ = self.0.set(outcome);
    }
}

const START: u64 = 1_750_000_000;

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(START + seconds)
}

fn client() -> Client {
    let server = Server::new(Issuer::parse("https://as.example").unwrap())
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .unwrap();
    Client::new(server, ClientId::new("id"), ClientAuth::basic("secret")).unwrap()
}

/// Tokens as the store brings them back, received at [`START`].
fn tokens(name: &str, expires_in: Option<u64>) -> Tokens {
    let stored = serde_json::json!({
        "version": 1, "issuer": "https://as.example", "client_id": "id", "access_token": name,
        "received_at": START, "expires_in": expires_in, "scope": "", "refresh_token": "r1",
        "refresh_scope": null, "id_token": null,
    });
    Tokens::from_json(&stored.to_string()).unwrap()
}

fn machine() -> Shared<Handle> {
    Shared::new(Keeper::client_credentials(client(), Scope::none()))
}

fn person(expires_in: Option<u64>) -> Arc<Shared<Handle>> {
    let keeper = Keeper::refreshing(client(), tokens("a1", expires_in)).unwrap();
    Arc::new(Shared::new(keeper))
}

fn name(turn: Turn<Handle>) -> String {
    match turn {
        Turn::Over(Ok(tokens)) => tokens.access_token.expose().clone(),
        Turn::Over(Err(error)) => error.code().to_owned(),
        Turn::Follow(_) => "follow".to_owned(),
        Turn::Lead(..) => "lead".to_owned(),
    }
}

fn lead(shared: &Arc<Shared<Handle>>, turn: Turn<Handle>) -> Landing<Handle> {
    match turn {
        Turn::Lead(flight, _) => Landing::new(Arc::clone(shared), flight),
        turn => panic!("{}", name(turn)),
    }
}

fn invalid_grant() -> Error {
    let keeper: Keeper<Handle> = Keeper::refreshing(client(), tokens("a1", Some(0))).unwrap();
    let mut exchange = keeper.exchange().unwrap();
    let moment = Moment::fixed(at(0), [1; 32]);
    let first = exchange.resume(moment, Input::Begin);
    assert!(matches!(first, Ok(Step::Send(_))));
    let reply = http::Response::builder()
        .status(400)
        .header("content-type", "application/json")
        .body(r#"{"error":"invalid_grant"}"#.into())
        .unwrap();
    exchange.resume(moment, Input::Reply(reply)).unwrap_err()
}

#[test]
fn leeway_is_a_tenth_of_a_short_life_and_thirty_seconds_of_a_long_one() {
    let is_fresh = |lifetime, now| is_fresh(&tokens("a", lifetime), at(now));
    assert!(is_fresh(Some(2), 1));
    assert!(!is_fresh(Some(2), 2));
    assert!(is_fresh(Some(100), 89));
    assert!(!is_fresh(Some(100), 90));
    assert!(is_fresh(Some(3600), 3569));
    assert!(!is_fresh(Some(3600), 3570));
    assert!(!is_fresh(Some(0), 0));
    assert!(is_fresh(None, 1 << 40));
}

#[test]
fn one_leads_and_the_others_follow_until_it_lands() {
    let shared = Arc::new(machine());
    let landing = lead(&shared, shared.turn(at(0), None));
    assert_eq!(name(shared.turn(at(0), None)), "follow");
    let Turn::Follow(flight) = shared.turn(at(0), None) else {
        panic!("nobody to follow");
    };
    landing.with(Ok(tokens("a1", Some(60))));
    assert!(flight.get().unwrap().is_ok());
    assert_eq!(name(shared.turn(at(1), None)), "a1");
    assert_eq!(name(shared.turn(at(60), None)), "lead");
}

#[test]
fn only_the_very_token_that_died_is_buried() {
    let shared = person(None);
    let first = tokens("a1", None);
    let landing = lead(&shared, shared.turn(at(5), Some(&first)));
    assert_eq!(name(shared.turn(at(5), Some(&first))), "follow");
    landing.with(Ok(tokens("a2", None)));
    assert_eq!(name(shared.turn(at(6), Some(&first))), "a2");
    shared.bury(&tokens("a2", None));
    assert_eq!(name(shared.turn(at(6), None)), "lead");
}

#[test]
fn an_error_ends_one_flight_only() {
    let shared = person(Some(0));
    let landing = lead(&shared, shared.turn(at(0), None));
    landing.with(Err(Error::lost(Cause::unsent("no route"))));
    assert_eq!(name(shared.turn(at(0), None)), "lead");
}

#[test]
fn a_grant_the_server_has_ended_is_over() {
    let shared = person(Some(60));
    let landing = lead(&shared, shared.turn(at(0), Some(&tokens("a1", None))));
    landing.with(Err(invalid_grant()));
    for _ in 0..2 {
        let Turn::Over(Err(error)) = shared.turn(at(0), None) else {
            panic!("another request would be made");
        };
        assert_eq!(error.code(), "denied.invalid_grant");
        assert_eq!(error.advice(), Advice::Reauthorize);
    }
    let machine = Arc::new(machine());
    let landing = lead(&machine, machine.turn(at(0), None));
    landing.with(Err(invalid_grant()));
    assert_eq!(name(machine.turn(at(0), None)), "lead");
}

#[test]
fn a_flight_lands_even_when_it_is_dropped_or_its_hook_panics() {
    let shared = person(Some(0));
    let landing = lead(&shared, shared.turn(at(0), None));
    let flight = landing.flight.clone();
    drop(landing);
    let error = flight.get().unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), "lost");

    let shared = machine();
    shared.set_hook(|_| panic!("disk full"));
    let shared = Arc::new(shared);
    let landing = lead(&shared, shared.turn(at(0), None));
    let call = std::panic::AssertUnwindSafe(|| landing.with(Ok(tokens("a1", None))));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(name(shared.turn(at(0), None)), "a1");
}

#[test]
fn the_hook_comes_before_the_followers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = machine();
    let handle: Arc<OnceLock<Handle>> = Arc::default();
    let (log, follower) = (Arc::clone(&seen), Arc::clone(&handle));
    shared.set_hook(move |tokens| {
        let has_landed = follower.get().unwrap().get().is_some();
        let name = tokens.access_token.expose().clone();
        log.lock().unwrap().push((name, has_landed));
    });
    let shared = Arc::new(shared);
    let landing = lead(&shared, shared.turn(at(0), None));
    handle.set(landing.flight.clone()).unwrap();
    landing.with(Ok(tokens("a1", None)));
    assert_eq!(*seen.lock().unwrap(), [("a1".to_owned(), false)]);
}

#[test]
fn without_a_refresh_token_there_is_no_way_on() {
    let mut bare = tokens("a1", Some(0));
    bare.refresh_token = None;
    let keeper = Keeper::refreshing(client(), bare).unwrap();
    let shared: Shared<Handle> = Shared::new(keeper);
    assert_eq!(name(shared.turn(at(0), None)), "grant.no_refresh_token");
}

#[test]
fn tokens_of_another_client_are_refused() {
    let text = tokens("a1", None).to_json().expose().clone();
    for (from, to) in [
        ("as.example", "other.example"),
        (r#""client_id":"id""#, r#""client_id":"x""#),
    ] {
        let foreign = Tokens::from_json(&text.replace(from, to)).unwrap();
        let refused = Keeper::<Handle>::refreshing(client(), foreign).err();
        assert_eq!(refused.unwrap().code(), "stored.issuer");
    }
}
